//! The rules of the clients, one function each: what it takes for the link, held against ours.

use super::{Property, Vevent};

/// Says what a client takes from an event instead of the link.
type Rule = fn(&Vevent, &str) -> Result<(), String>;

/// Every client, and its rule.
pub(super) const RULES: [(&str, Rule); 10] = [
    ("GNOME Calendar", gnome),
    ("Thunderbird, description", thunderbird_description),
    ("Thunderbird, location and link", thunderbird_rows),
    ("Evolution", evolution),
    ("MeetingBar", meeting_bar),
    ("Nextcloud Calendar", nextcloud),
    ("a client that links text", linked_text),
    ("Outlook CalDAV Synchronizer", alt_desc),
    ("a reader of RFC 9073", styled_description),
    ("a script", script),
];

/// Between the first and the last line of 80 underscores, from `https://teams.microsoft.com` to the next
/// newline. Other hosts it does not know.
fn gnome(event: &Vevent, join_url: &str) -> Result<(), String> {
    const FENCE: &str =
        "________________________________________________________________________________";
    const HOST: &str = "https://teams.microsoft.com";
    if !join_url.starts_with(HOST) {
        return Ok(());
    }
    let text = event.text("DESCRIPTION").unwrap_or_default();
    let found = || {
        let (first, last) = (text.find(FENCE)?, text.rfind(FENCE)?);
        let inner = text.get(first + FENCE.len()..last)?;
        let url = inner.get(inner.find(HOST)?..)?;
        url.get(..url.find('\n')?)
    };
    takes(found(), join_url)
}

/// HTML in the ALTREP of DESCRIPTION replaces its text; addresses in the text become links.
fn thunderbird_description(event: &Vevent, join_url: &str) -> Result<(), String> {
    let Some(description) = event.first("DESCRIPTION") else {
        return Err("sees no description".to_owned());
    };
    let data = description
        .param("ALTREP")
        .and_then(|altrep| altrep.strip_prefix("data:text/html,"));
    match data.map(decode_uri_component) {
        Some(Some(html)) => html_links(&html, join_url),
        Some(None) => Err("cannot decode ALTREP".to_owned()),
        None => text_links(&description.text(), join_url),
    }
}

/// URL has a row of its own; in LOCATION the first web address, up to a blank, is a link. What belongs to
/// the person stays; what is ours is the link.
fn thunderbird_rows(event: &Vevent, join_url: &str) -> Result<(), String> {
    let location = event.text("LOCATION").unwrap_or_default();
    let link = location.find("http").map(|at| &location[at..]);
    let link = link.and_then(|link| link.split(' ').next());
    for shown in event
        .first("URL")
        .map(|url| url.value.trim())
        .into_iter()
        .chain(link)
    {
        if shown.starts_with(host_of(join_url)) {
            takes(Some(shown), join_url)?;
        }
    }
    match event.first("URL") {
        Some(_) => Ok(()),
        None => Err("sees no URL".to_owned()),
    }
}

/// X-MICROSOFT-SKYPETEAMSMEETINGURL becomes the URL of an event that has none.
fn evolution(event: &Vevent, join_url: &str) -> Result<(), String> {
    let teams = event.text("X-MICROSOFT-SKYPETEAMSMEETINGURL");
    takes(teams.as_deref(), join_url)
}

/// URL before LOCATION before the notes before the notes without their tags; in each the longest match.
fn meeting_bar(event: &Vevent, join_url: &str) -> Result<(), String> {
    let Some(wanted) = teams_match(join_url) else {
        return Ok(());
    };
    let notes = event.text("DESCRIPTION").unwrap_or_default();
    let fields = [
        event
            .first("URL")
            .map(|url| url.value.clone())
            .unwrap_or_default(),
        event.text("LOCATION").unwrap_or_default(),
        without_tags(&notes),
        notes,
    ];
    takes(fields.iter().find_map(|field| teams_match(field)), wanted)
}

/// The longest part of a text that looks like a Teams link.
fn teams_match(text: &str) -> Option<&str> {
    let starts = text.match_indices("http").filter_map(|(at, _)| {
        let from = text.get(at..)?;
        let rest = from
            .strip_prefix("https://")
            .or(from.strip_prefix("http://"))?;
        let rest = rest.strip_prefix("gov.").unwrap_or(rest);
        let rest = rest.strip_prefix("teams.microsoft.")?;
        let rest = rest.strip_prefix("com/").or(rest.strip_prefix("us/"))?;
        let path = rest
            .strip_prefix("l/meetup-join/")
            .or(rest.strip_prefix("meet/"))?;
        let formed = |c: char| c.is_ascii_alphanumeric() || "_%/=-+.?".contains(c);
        let length = path.find(|c| !formed(c)).unwrap_or(path.len());
        (length > 0).then(|| &from[..from.len() - path.len() + length])
    });
    starts.max_by_key(|url| url.len())
}

/// The conferences of RFC 7986; ours is the first unless somebody else's was there.
fn nextcloud(event: &Vevent, join_url: &str) -> Result<(), String> {
    let uris: Vec<_> = event
        .all("CONFERENCE")
        .map(|one| one.value.as_str())
        .collect();
    if uris.contains(&join_url) {
        Ok(())
    } else {
        takes(uris.first().copied(), join_url)
    }
}

/// Apple's and Android's calendars, and everything that shows the text with its addresses as links.
fn linked_text(event: &Vevent, join_url: &str) -> Result<(), String> {
    text_links(&event.text("DESCRIPTION").unwrap_or_default(), join_url)
}

/// The HTML of X-ALT-DESC is the text.
fn alt_desc(event: &Vevent, join_url: &str) -> Result<(), String> {
    styled(event, "X-ALT-DESC", join_url)
}

/// The HTML of STYLED-DESCRIPTION replaces the text.
fn styled_description(event: &Vevent, join_url: &str) -> Result<(), String> {
    styled(event, "STYLED-DESCRIPTION", join_url)
}

fn styled(event: &Vevent, name: &str, join_url: &str) -> Result<(), String> {
    let is_html = |one: &&Property| {
        one.param("FMTTYPE")
            .is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"))
            && one
                .param("VALUE")
                .is_none_or(|kind| kind.eq_ignore_ascii_case("TEXT"))
            && one.param("ENCODING").is_none()
    };
    event
        .all(name)
        .filter(is_html)
        .try_for_each(|one| html_links(&one.text(), join_url))
}

/// The properties known to hold a link, then a pattern over the texts.
fn script(event: &Vevent, join_url: &str) -> Result<(), String> {
    let names = ["X-GOOGLE-CONFERENCE", "X-MICROSOFT-SKYPETEAMSMEETINGURL"];
    let known = names.iter().find_map(|name| event.text(name));
    takes(known.as_deref(), join_url)?;
    let pattern = |text: &str| {
        let from = text.get(text.find("https://teams.microsoft.com/")?..)?;
        let end = from.find(|c: char| c.is_whitespace() || "<>\"')".contains(c));
        Some(from.get(..end.unwrap_or(from.len()))?.to_owned())
    };
    let text = ["DESCRIPTION", "LOCATION"].map(|name| event.text(name).unwrap_or_default());
    match pattern(join_url) {
        Some(wanted) => takes(pattern(&text.join("\n")).as_deref(), &wanted),
        None => Ok(()),
    }
}

fn takes(found: Option<&str>, wanted: &str) -> Result<(), String> {
    match found {
        Some(found) if found == wanted => Ok(()),
        Some(found) => Err(format!("takes {found}")),
        None => Err("finds nothing".to_owned()),
    }
}

fn host_of(url: &str) -> &str {
    let end = url
        .match_indices('/')
        .nth(2)
        .map_or(url.len(), |(at, _)| at);
    &url[..end]
}

/// Whether addresses in the text become links, ours among them.
fn text_links(text: &str, join_url: &str) -> Result<(), String> {
    let link = |from: &str| {
        let end = from.find(|c: char| c.is_whitespace() || "<>\"".contains(c));
        let url = &from[..end.unwrap_or(from.len())];
        url.trim_end_matches(|c: char| ".,;:!?)|".contains(c))
            .to_owned()
    };
    let wanted = link(join_url);
    let starts = text.match_indices("http").map(|(at, _)| &text[at..]);
    let mut links = starts.map(link);
    if links.any(|found| found == wanted) {
        Ok(())
    } else {
        Err("has no link in the text".to_owned())
    }
}

/// Whether a link of the HTML leads to ours.
fn html_links(html: &str, join_url: &str) -> Result<(), String> {
    // Comments show nothing.
    let mut shown = String::new();
    let mut rest = html;
    while let Some((before, comment)) = rest.split_once("<!--") {
        shown += before;
        rest = comment.split_once("-->").map_or("", |(_, behind)| behind);
    }
    shown += rest;
    let leads = shown.split("<a ").skip(1).any(|tag| {
        let href = tag.split_once("href=").map_or("", |(_, value)| value);
        let quote = href.chars().next().unwrap_or(' ');
        let value = href.get(1..).and_then(|value| value.split(quote).next());
        decode_entities(value.unwrap_or("")) == join_url
    });
    if leads {
        Ok(())
    } else {
        Err("has no link in the HTML".to_owned())
    }
}

fn without_tags(text: &str) -> String {
    let mut inside = false;
    text.chars()
        .filter(|&c| {
            let shown = !inside && c != '<';
            inside = c == '<' || inside && c != '>';
            shown
        })
        .collect()
}

fn decode_entities(text: &str) -> String {
    let mut plain = text
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    while let Some((before, (number, behind))) = plain
        .split_once("&#")
        .and_then(|(before, rest)| Some((before, rest.split_once(';')?)))
    {
        let c = number.parse().ok().and_then(char::from_u32).unwrap_or('?');
        plain = format!("{before}{c}{behind}");
    }
    plain.replace("&amp;", "&")
}

/// As JavaScript has it: what is no UTF-8, or a `%` without two digits, is an error.
fn decode_uri_component(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((before, from)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(from.get(..2)?, 16).ok()?);
        rest = from.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}
