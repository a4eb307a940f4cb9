//! The join block: the fenced text at the end of DESCRIPTION (field-notes.md, 3.4, says why it looks
//! the way it does). Everything but the join URL is foreign text and is checked before it is shown.

mod labels;

use std::ops::Range;

pub(super) use self::labels::Labels;
use super::{html, wrapped};
use crate::meeting::{Details, DialIn};
use crate::model::{Escaped, JoinUrl};

/// What the join block contains beside the URL, each only if Graph gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Show {
    /// The meeting's id.
    MeetingId,
    /// Its passcode.
    Passcode,
    /// Toll numbers with the conference id.
    TollNumbers,
    /// Toll-free numbers with the conference id.
    TollFreeNumbers,
    /// The page of local numbers.
    DialinUrl,
    /// The id that a video-conference device dials.
    VideoDeviceId,
    /// The meeting's chat.
    Chat,
    /// The meeting's options page.
    Options,
}

impl Show {
    /// What is shown unless configured: all but chat and options.
    pub const DEFAULT: [Self; 6] = [
        Self::MeetingId,
        Self::Passcode,
        Self::TollNumbers,
        Self::TollFreeNumbers,
        Self::DialinUrl,
        Self::VideoDeviceId,
    ];
}

/// The line above and below the block: clients find it by exactly this.
pub(super) const FENCE: &str =
    "________________________________________________________________________________";
/// What fences it in HTML.
const HTML_FENCE: &str = "<hr>";
/// The same, as the last thing before a folding of ours.
const HTML_FENCE_FOLDED: &str = "<HR>";
/// Which line behind the first fence holds the join URL; one more is tolerated in front of it.
const URL_LINE: usize = 3;
/// How many words of a text are looked at for a wrapped URL.
const MAX_WORDS: usize = 50_000;
/// How many numbers of a kind are shown.
const MAX_NUMBERS: usize = 10;
/// The longest line of plain text that is taken from a meeting, in octets.
const MAX_FIELD: usize = 128;
/// The longest URL that is taken from a meeting, in octets.
const MAX_URL: usize = 2048;

/// One line of the join block: its label, and what stands behind it.
struct Item {
    label: &'static str,
    value: String,
    /// The value is a web address.
    is_url: bool,
}

/// The lines of the join block between its title and its end; the first has the join URL. A field that
/// holds a control character, a line break, something that is not what it should be, or too much of it,
/// is left out.
fn items(join_url: &JoinUrl, details: &Details, show: &[Show], labels: &Labels) -> Vec<Item> {
    let mut items = vec![Item {
        label: labels.join,
        value: join_url.expose().to_owned(),
        is_url: true,
    }];
    let mut item = |what: Show, label: &'static str, value: Option<String>, is_url: bool| {
        items.extend(value.filter(|_| show.contains(&what)).map(|value| Item {
            label,
            value,
            is_url,
        }));
    };
    let (id, passcode) = (plain(&details.meeting_id), plain(&details.passcode));
    item(Show::MeetingId, labels.meeting_id, id, false);
    item(Show::Passcode, labels.passcode, passcode, false);
    if let Some(dial_in) = &details.dial_in {
        for number in dialled(&dial_in.toll_numbers, dial_in) {
            item(Show::TollNumbers, labels.dial_in, Some(number), false);
        }
        for number in dialled(&dial_in.toll_free_numbers, dial_in) {
            let label = labels.dial_in_free;
            item(Show::TollFreeNumbers, label, Some(number), false);
        }
        let page = web(&dial_in.dialin_url);
        item(Show::DialinUrl, labels.local_numbers, page, true);
    }
    let device = plain(&details.video_device_id);
    item(Show::VideoDeviceId, labels.video_device, device, false);
    item(Show::Chat, labels.chat, chat(&details.chat_thread), true);
    let options = web(&details.options_url);
    item(Show::Options, labels.options, options, true);
    items
}

/// What stands for the title of an event that is nobody else's business, in this language (BCP 47).
pub fn private_title(language: &str) -> &'static str {
    Labels::of(language).private_title
}

/// What the event in Outlook says, in plain text, that stands for one of this calendar, in this language
/// (BCP 47).
pub fn mirror_note(language: &str, calendar: &str) -> String {
    Labels::of(language).mirror.replace("{}", calendar)
}

/// The join block as plain text with LF line ends, from fence to fence. The join URL ends its line and
/// is the first URL.
pub fn render(join_url: &JoinUrl, details: &Details, show: &[Show], language: &str) -> String {
    let labels = Labels::of(language);
    let mut lines = vec![FENCE.to_owned(), labels.title.to_owned()];
    let items = items(join_url, details, show, labels);
    lines.extend(
        items
            .iter()
            .map(|item| format!("{}: {}", item.label, item.value)),
    );
    lines.extend([FENCE.to_owned(), String::new()]);
    lines.join("\n")
}

/// The join block as HTML in one line, up to its last fence, which [`html_end`] makes. With `ascii`,
/// what is not is written as numbers.
pub(super) fn render_html(
    join_url: &JoinUrl,
    details: &Details,
    show: &[Show],
    language: &str,
    ascii: bool,
) -> String {
    let labels = Labels::of(language);
    let title = html::escape(labels.title, ascii);
    let mut block = format!("{HTML_FENCE}<p>{title}");
    for item in items(join_url, details, show, labels) {
        let label = html::escape(item.label, ascii);
        let value = html::escape(&item.value, ascii);
        block += &if item.is_url {
            format!("<br>{label}: <a href=\"{value}\">{value}</a>")
        } else {
            format!("<br>{label}: {value}")
        };
    }
    block + "</p>"
}

/// A join block in plain text as HTML, as [`render_html`] gives it.
pub(super) fn text_to_html(block: &str, ascii: bool) -> String {
    let lines = block.lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty() && *line != FENCE);
    let title = html::escape(lines.next().unwrap_or_default(), ascii);
    let mut block = format!("{HTML_FENCE}<p>{title}");
    for line in lines {
        let url = line.rsplit_once(": ").map(|(_, value)| value);
        let url = url.filter(|value| web(&Some((*value).to_owned())).is_some());
        let label = line.strip_suffix(url.unwrap_or_default()).unwrap_or(line);
        block += &format!("<br>{}", html::escape(label, ascii));
        if let Some(url) = url.map(|url| html::escape(url, ascii)) {
            block += &format!("<a href=\"{url}\">{url}</a>");
        }
    }
    block + "</p>"
}

/// The end of the join block in HTML. Its spelling says, to whoever takes the block out again, whether a
/// folding of ours follows it.
pub(super) fn html_end(padding: usize, folded: bool) -> String {
    let fence = if folded {
        HTML_FENCE_FOLDED
    } else {
        HTML_FENCE
    };
    " ".repeat(padding) + fence
}

/// Where the join block with this URL stands in HTML.
pub(super) fn find_html(text: &str, join_url: &JoinUrl) -> Option<Range<usize>> {
    html::block(text, |href| {
        let href = href.trim();
        href == join_url.expose()
            || wrapped::unwrapped(href).is_some_and(|inner| inner == join_url.expose())
    })
}

/// Whether a folding of ours follows this join block in HTML.
pub(super) fn is_folded(block: &str) -> bool {
    block.ends_with(HTML_FENCE_FOLDED)
}

/// Whether HTML holds the URL, as [`holds`] says it of a text.
pub(super) fn html_holds(text: &str, join_url: &JoinUrl) -> bool {
    holds(&html::unescape(text), join_url)
}

/// The numbers with the conference id, as a telephone dials them: `+49 69 1234567,,123456789#`.
fn dialled(numbers: &[String], dial_in: &DialIn) -> Vec<String> {
    let conference = conference_id(dial_in);
    numbers
        .iter()
        .filter_map(|number| telephone(number))
        .take(MAX_NUMBERS)
        .map(|number| match &conference {
            Some(id) => format!("{number},,{id}#"),
            None => number,
        })
        .collect()
}

/// The `tel:` URI that dials straight into the meeting: from the quick-dial number, else from the
/// first toll or toll-free number and the conference id.
pub(super) fn tel_uri(dial_in: &DialIn) -> Option<String> {
    let quick = dial_in.quick_dial.as_deref().and_then(|quick| {
        let dialled = quick.trim().trim_start_matches("tel:");
        (dialled.len() <= MAX_FIELD && dialled.chars().all(is_dialling)).then(|| bare(dialled))
    });
    let built = || {
        let id = conference_id(dial_in)?;
        let numbers = dial_in.toll_numbers.iter();
        let number = numbers
            .chain(&dial_in.toll_free_numbers)
            .find_map(|number| telephone(number))?;
        Some(format!("{},,{}#", bare(&number), bare(&id)))
    };
    quick
        .filter(|dialled| dialled.bytes().any(|byte| byte.is_ascii_digit()))
        .or_else(built)
        .map(|dialled| format!("tel:{dialled}"))
}

/// The page of local numbers, if it is a web address.
pub(super) fn dialin_url(dial_in: &DialIn) -> Option<String> {
    web(&dial_in.dialin_url)
}

/// What a telephone dials, without what only eases reading. A plus counts at the beginning alone.
fn bare(dialled: &str) -> String {
    dialled
        .char_indices()
        .filter(|&(at, c)| c.is_ascii_digit() || ",#*".contains(c) || (at == 0 && c == '+'))
        .map(|(_, c)| c)
        .collect()
}

fn is_dialling(c: char) -> bool {
    c.is_ascii_digit() || " +-.()/,#*".contains(c)
}

fn telephone(number: &str) -> Option<String> {
    let number = number.trim();
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let formed = number
        .chars()
        .all(|c| c.is_ascii_digit() || " +-.()/".contains(c));
    (formed && number.len() <= 40 && (3..=20).contains(&digits)).then(|| number.to_owned())
}

fn conference_id(dial_in: &DialIn) -> Option<String> {
    let id: String = dial_in
        .conference_id
        .as_deref()?
        .chars()
        .filter(|c| *c != ' ')
        .collect();
    let formed = !id.is_empty() && id.len() <= 20 && id.bytes().all(|byte| byte.is_ascii_digit());
    formed.then_some(id)
}

/// One line of text that hides nothing and holds no address.
fn plain(field: &Option<String>) -> Option<String> {
    let text = field.as_deref()?.trim();
    let escaped = Escaped(text).to_string();
    let kept = !text.is_empty() && text.len() <= MAX_FIELD && escaped == text;
    (kept && !text.contains("://")).then(|| text.to_owned())
}

/// A web address, as it was given.
fn web(field: &Option<String>) -> Option<String> {
    let text = field.as_deref()?.trim();
    if text.len() > MAX_URL || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let url = url::Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then(|| text.to_owned())
}

fn chat(thread: &Option<String>) -> Option<String> {
    let thread = plain(thread)?;
    let encoded =
        percent_encoding::utf8_percent_encode(&thread, percent_encoding::NON_ALPHANUMERIC);
    Some(format!("https://teams.microsoft.com/l/chat/{encoded}/0"))
}

/// Where the join block with this URL stands in an unescaped DESCRIPTION: from its first fence to the
/// line end behind its last. Tolerates CRLF, blanks at line ends, blank lines, and lines that were put
/// into it behind the URL, which must stand close to the first fence.
pub fn find(description: &str, join_url: &JoinUrl) -> Option<Range<usize>> {
    let mut fence = None;
    let mut found = false;
    let mut lines = 0;
    let mut at = 0;
    for line in description.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let text = line.trim();
        if text == FENCE {
            match fence {
                Some(from) if found => return Some(from..at),
                _ => (fence, lines) = (Some(start), 0),
            }
        } else if !text.is_empty() {
            lines += 1;
            found |= fence.is_some() && lines <= URL_LINE && holds(text, join_url);
        }
    }
    None
}

/// Where a join block stands, known by its fences, its title and its other lines, whose join line is gone.
/// One with a line that is none of ours is somebody else's: Outlook's have the same fences and title.
pub(super) fn remains(description: &str) -> Option<Range<usize>> {
    let mut at = 0;
    let (mut begun, mut fence) = (None, None);
    for line in description.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let text = line.trim();
        if text == FENCE {
            if let Some(from) = begun {
                return Some(from..at);
            }
            fence = Some(start);
        } else if !text.is_empty() {
            let is_beside = |labels: &Labels| labels.beside().iter().any(|l| is_item(text, l));
            begun = match fence.take() {
                Some(from) => labels::ALL.iter().any(|l| l.title == text).then_some(from),
                None => begun.filter(|_| labels::ALL.iter().any(is_beside)),
            };
        }
    }
    None
}

/// Whether the line has this label.
fn is_item(line: &str, label: &str) -> bool {
    let rest = line.strip_prefix(label.trim_end());
    rest.is_some_and(|rest| rest.trim_start().starts_with(':'))
}

/// The join URL of a join block in an unescaped DESCRIPTION, known by its fence, its title and the
/// label before the URL.
pub(super) fn shown(description: &str) -> Option<&str> {
    let mut lines = description.lines().map(str::trim);
    while lines.by_ref().any(|line| line == FENCE) {
        let mut inside = lines.clone().filter(|line| !line.is_empty());
        let title = inside.next()?;
        let url = inside.next()?;
        let ours = labels::ALL.iter().filter(|labels| labels.title == title);
        let mut joins = ours.filter_map(|labels| url.strip_prefix(labels.join.trim_end()));
        let join = joins.find_map(|rest| rest.trim_start().strip_prefix(':'));
        if let Some(url) = join {
            return Some(url.trim());
        }
    }
    None
}

/// The LABEL of the CONFERENCE that we write, in any language.
pub(super) fn is_conference_label(label: &str) -> bool {
    labels::ALL.iter().any(|labels| label == labels.conference)
}

/// The LABEL of a CONFERENCE for joining by telephone that we write, in any language.
pub(super) fn is_telephone_label(label: &str) -> bool {
    labels::ALL
        .iter()
        .any(|labels| label == labels.conference_phone || label == labels.conference_numbers)
}

/// Whether the text holds the URL, as itself and not as the beginning of a longer one, or as a mail
/// filter has wrapped it.
pub fn holds(text: &str, join_url: &JoinUrl) -> bool {
    let url = join_url.expose();
    let is_here = || {
        text.match_indices(url).any(|(at, _)| {
            let next = text
                .get(at + url.len()..)
                .and_then(|rest| rest.chars().next());
            next.is_none_or(|c| !c.is_alphanumeric() && !"%/?&=#_~-+".contains(c))
        })
    };
    let is_wrapped = || {
        let ends = |c: char| c.is_whitespace() || "<>\"".contains(c);
        let mut words = text.split(ends).take(MAX_WORDS);
        words.any(|word| wrapped::unwrapped(word).is_some_and(|inner| inner == url))
    };
    !url.is_empty() && (is_here() || wrapped::may_hold(text) && is_wrapped())
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://teams.microsoft.com/l/meetup-join/19%3ameeting_abc/0?context=%7b%7d";

    const ALL: [Show; 8] = [
        Show::MeetingId,
        Show::Passcode,
        Show::TollNumbers,
        Show::TollFreeNumbers,
        Show::DialinUrl,
        Show::VideoDeviceId,
        Show::Chat,
        Show::Options,
    ];

    fn url() -> JoinUrl {
        JoinUrl::new(URL)
    }

    fn details() -> Details {
        Details {
            meeting_id: Some("241 123".to_owned()),
            passcode: Some("abcDEF".to_owned()),
            dial_in: Some(DialIn {
                dialin_url: Some("https://dialin.teams.microsoft.com/8d9".to_owned()),
                conference_id: Some("123 456".to_owned()),
                toll_numbers: vec!["+49 69 1234567".to_owned(), "+1 (555) 010-0".to_owned()],
                toll_free_numbers: vec!["0800 1234567".to_owned()],
                quick_dial: None,
            }),
            video_device_id: Some("117 444 555 6".to_owned()),
            chat_thread: Some("19:meeting_abc@thread.v2".to_owned()),
            options_url: Some("https://teams.microsoft.com/meetingOptions/?x=1".to_owned()),
            language: None,
        }
    }

    /// The lines between title and last fence, without the join line.
    fn shown(details: &Details, show: &[Show]) -> Vec<String> {
        let block = render(&url(), details, show, "en-US");
        let lines: Vec<_> = block.lines().map(str::to_owned).collect();
        let [first, title, join, shown @ .., last] = lines.as_slice() else {
            panic!("{block}");
        };
        assert_eq!((first.as_str(), last.as_str()), (FENCE, FENCE));
        assert_eq!(first.len(), 80);
        assert_eq!(title, "Microsoft Teams meeting");
        assert_eq!(join, &format!("Join: {URL}"));
        assert!(block.ends_with("_\n"));
        shown.to_vec()
    }

    #[test]
    fn the_block_shows_what_is_given_and_chosen() {
        assert_eq!(shown(&Details::default(), &ALL), [""; 0]);
        assert_eq!(shown(&details(), &[]), [""; 0]);
        let all = [
            "Meeting ID: 241 123",
            "Passcode: abcDEF",
            "Dial in: +49 69 1234567,,123456#",
            "Dial in: +1 (555) 010-0,,123456#",
            "Dial in toll-free: 0800 1234567,,123456#",
            "Find a local number: https://dialin.teams.microsoft.com/8d9",
            "Video conferencing device ID: 117 444 555 6",
            "Meeting chat: https://teams.microsoft.com/l/chat/19%3Ameeting%5Fabc%40thread%2Ev2/0",
            "Meeting options: https://teams.microsoft.com/meetingOptions/?x=1",
        ];
        assert_eq!(shown(&details(), &ALL), all);
        assert_eq!(shown(&details(), &Show::DEFAULT), all[..7]);
        assert_eq!(shown(&details(), &[Show::Passcode]), all[1..2]);
    }

    #[test]
    fn what_a_hostile_server_gives_stays_out() {
        let texts = [
            "a\nATTENDEE:mailto:x@y",
            "a\r\nX:1",
            "a\u{1b}[31m",
            "a\u{202e}b",
            "see https://evil.example/",
            " ",
            &"x".repeat(129),
        ];
        for text in texts {
            let field = Some(text.to_owned());
            let hostile = Details {
                meeting_id: field.clone(),
                passcode: field.clone(),
                dial_in: Some(DialIn {
                    dialin_url: field.clone(),
                    conference_id: field.clone(),
                    toll_numbers: vec![text.to_owned()],
                    toll_free_numbers: vec![text.to_owned()],
                    quick_dial: field.clone(),
                }),
                video_device_id: field.clone(),
                chat_thread: field.clone(),
                options_url: field.clone(),
                language: None,
            };
            assert_eq!(shown(&hostile, &ALL), [""; 0], "{text:?}");
            assert_eq!(tel_uri(&hostile.dial_in.unwrap()), None);
        }
        for address in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://x y/",
            "https:///",
        ] {
            assert_eq!(web(&Some(address.to_owned())), None, "{address}");
        }
        let many = Details {
            dial_in: Some(DialIn {
                toll_numbers: vec!["+1 555 0100".to_owned(); 1000],
                ..DialIn::default()
            }),
            ..Details::default()
        };
        assert_eq!(shown(&many, &ALL), ["Dial in: +1 555 0100"; MAX_NUMBERS]);
    }

    #[test]
    fn a_tel_uri_dials_straight_in() {
        let base = details().dial_in.unwrap();
        let free = DialIn {
            toll_numbers: Vec::new(),
            ..base.clone()
        };
        let quick = |quick: &str| DialIn {
            quick_dial: Some(quick.to_owned()),
            ..base.clone()
        };
        let cases = [
            (base.clone(), Some("tel:+49691234567,,123456#")),
            (free, Some("tel:08001234567,,123456#")),
            (quick("+1 555-0100,,9#"), Some("tel:+15550100,,9#")),
            (quick("call me"), Some("tel:+49691234567,,123456#")),
            (quick(""), Some("tel:+49691234567,,123456#")),
            (DialIn::default(), None),
        ];
        for (dial_in, expected) in cases {
            assert_eq!(tel_uri(&dial_in).as_deref(), expected);
        }
    }

    #[test]
    fn the_block_is_found_by_its_fences_and_url() {
        let block = render(&url(), &details(), &ALL, "en");
        let found = |text: &str| find(text, &url()).map(|range| text[range].to_owned());
        assert_eq!(found(&block).as_deref(), Some(block.as_str()));
        let behind = format!("Text\n\n{block}More");
        assert_eq!(found(&behind).as_deref(), Some(block.as_str()));
        let crlf = block.replace('\n', " \r\n");
        assert_eq!(found(&crlf).as_deref(), Some(crlf.as_str()));
        let spaced = block.replace('\n', "\n\n");
        assert_eq!(found(&spaced), Some(spaced.trim_end().to_owned() + "\n"));
        let trimmed = block.trim_end();
        assert_eq!(found(trimmed).as_deref(), Some(trimmed));
        let other = block.replace("abc", "other");
        assert_eq!(found(&other), None);
        assert_eq!(
            found(&format!("{other}\n{block}")).as_deref(),
            Some(block.as_str())
        );
        for no in [
            format!("Join: {URL}"),
            format!("{FENCE}\nJoin: {URL}\n"),
            format!("Join: {URL}\n{FENCE}\n"),
            format!("{FENCE}\na\nb\nc\nJoin: {URL}\n{FENCE}\n"),
            block.replace(URL, &format!("{URL}&more=1")),
        ] {
            assert_eq!(found(&no), None, "{no}");
        }
    }

    #[test]
    fn the_html_block_is_found_by_its_fences_and_link() {
        let url = JoinUrl::new("https://teams.microsoft.com/meet/1?p=a&b='c'");
        let details = Details {
            passcode: Some("<b>ä&".to_owned()),
            ..details()
        };
        for (ascii, folded) in [(false, false), (true, true)] {
            let block = render_html(&url, &details, &ALL, "fr", ascii) + &html_end(2, folded);
            let href = "href=\"https://teams.microsoft.com/meet/1?p=a&amp;b=&#39;c&#39;\"";
            assert_eq!(block.matches(href).count(), 1, "{block}");
            assert_eq!(block.matches("<a href=").count(), 4);
            assert_eq!(block.matches("<br>").count(), 10);
            assert!(block.contains(if ascii {
                "&lt;b&gt;&#228;&amp;"
            } else {
                "&lt;b&gt;ä&amp;"
            }));
            assert_eq!(block.is_ascii(), ascii);
            assert_eq!(is_folded(&block), folded);
            assert!(html_holds(&block, &url));
            let found = |text: &str| find_html(text, &url).map(|range| text[range].to_owned());
            for text in [
                block.clone(),
                format!("<p>a<hr>b</p>{block}<hr>x</body>"),
                format!("<hr><p>more than a title: {}<hr>{block}", "x".repeat(2000)),
            ] {
                assert_eq!(found(&text).as_deref(), Some(block.as_str()), "{text}");
            }
            let tidied = block
                .replace("<br>", "\n<br />")
                .replace("<hr>", "<hr class=\"x\"/>");
            assert_eq!(found(&tidied), Some(tidied.clone()));
            for no in [
                block.replace("meet/1", "meet/2"),
                block.replacen("<hr>", "", 1),
                block.replacen("<p>", &"<i>x</i>".repeat(200), 1),
                format!("<!--{block}-->"),
            ] {
                assert_eq!(found(&no), None, "{no}");
            }
        }
    }

    #[test]
    fn a_wrapped_link_in_the_block_is_ours() {
        let wrapped = format!(
            "https://eur01.safelinks.protection.outlook.com/?url={}&data=x",
            percent_encoding::utf8_percent_encode(URL, percent_encoding::NON_ALPHANUMERIC)
        );
        let text = render(&url(), &details(), &ALL, "de").replace(URL, &wrapped);
        assert_eq!(find(&text, &url()), Some(0..text.len()));
        let html = render_html(&url(), &details(), &ALL, "de", false) + &html_end(0, false);
        let html = html.replace(&html::escape(URL, false), &html::escape(&wrapped, false));
        assert_eq!(find_html(&html, &url()), Some(0..html.len()));
        let other = JoinUrl::new(format!("{URL}x"));
        assert!(!holds(&text, &other) && find_html(&html, &other).is_none());
    }

    #[test]
    fn the_block_is_ours_in_every_language() {
        for labels in &labels::ALL {
            let block = render(&url(), &details(), &ALL, labels.tags[0]);
            assert_eq!(find(&block, &url()), Some(0..block.len()), "{block}");
            assert_eq!(super::shown(&block), Some(URL), "{block}");
            assert_eq!(block.lines().count(), 13);
            let join = format!("{}: {URL}", labels.join);
            assert_eq!(block.lines().nth(2), Some(join.as_str()));
            for label in [labels.conference_phone, labels.conference_numbers] {
                assert!(is_telephone_label(label) && !is_conference_label(label));
            }
            assert!(is_conference_label(labels.conference));
        }
    }
}
