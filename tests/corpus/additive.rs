//! Whether one calendar is another with a link added and nothing else: line by line and byte by byte,
//! by nothing that the program itself uses.

/// A VEVENT.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Its UID, unescaped.
    pub(crate) uid: String,
    /// The value of the X-MICROSOFT-SKYPETEAMSMEETINGURL that was added; `None`: it was not written.
    pub(crate) url: Option<String>,
    /// It is an override that is cancelled, or holds a web address.
    pub(crate) may_lack: bool,
}

/// The properties of which whole lines may be added.
const ADDED: [&str; 6] = [
    "CONFERENCE",
    "URL",
    "LOCATION",
    "X-MICROSOFT-SKYPETEAMSMEETINGURL",
    "X-MEETBRIDGE-MEETING",
    "DESCRIPTION",
];

/// Compares `after` with `before`. The VEVENTs of `after`.
///
/// # Errors
/// The first line that is neither the same, nor one that may be added, nor one that may grow.
pub(crate) fn compare(before: &[u8], after: &[u8]) -> Result<Vec<Shown>, String> {
    let (before, after) = (lines(before), lines(after));
    let mut open: Vec<Open> = Vec::new();
    let mut shown = Vec::new();
    let mut theirs = before.iter().copied().peekable();
    for (at, line) in after.iter().copied().enumerate() {
        let old = theirs.peek().copied();
        let text = unfold(line);
        let name = name(&text);
        let place = || format!("logical line {}: {}", at + 1, show(line));
        if old == Some(line) {
            theirs.next();
            if name == "BEGIN" {
                open.push(Open::new(value(&text)));
            } else if name == "END" {
                let closes = |one: &Open| one.name == value(&text).trim().to_ascii_uppercase();
                if let Some(from) = open.iter().rposition(closes) {
                    let ended = open.split_off(from).into_iter().next();
                    shown.extend(ended.map(Open::end).transpose()?.flatten());
                }
            } else if let Some(open) = open.last_mut() {
                open.says(&name, &text);
            }
            continue;
        }
        let Some(event) = open.last_mut().filter(|open| open.name == "VEVENT") else {
            return Err(format!("changed outside of a VEVENT, {}", place()));
        };
        if let Some(old) = old
            && let Some(tail) = twinned(&name, &unfold(old), &text)
        {
            theirs.next();
            if let Some(tail) = tail {
                event.grown.push((name.clone(), tail));
                event.appended(&name, &unfold(old), &place())?;
            }
        } else if let Some(old) = old
            && let Some(tail) = grown(old, line)
            && matches!(name.as_str(), "DESCRIPTION" | "LOCATION")
        {
            theirs.next();
            event.grown.push((name.clone(), tail));
            event.appended(&name, &unfold(old), &place())?;
        } else if let Some(old) = old.filter(|old| restamped(old, line)) {
            theirs.next();
            event.stamped = Some(show(old));
        } else if ADDED.contains(&name.as_str()) {
            event
                .added(
                    &name,
                    line,
                    &text,
                    before.first().copied().unwrap_or_default(),
                )
                .map_err(|why| format!("{why}, {}", place()))?;
        } else {
            let old = old.map(show).unwrap_or_default();
            return Err(format!("changed from {old}, {}", place()));
        }
    }
    match theirs.next() {
        Some(line) => Err(format!("lost: {}", show(line))),
        None => Ok(shown),
    }
}

/// A component that is being walked through.
#[derive(Default)]
struct Open {
    name: String,
    uid: String,
    /// Names and values of the lines that were added.
    new: Vec<(String, String)>,
    /// Names of the lines that grew, and by what.
    grown: Vec<(String, String)>,
    stamped: Option<String>,
    moved: bool,
    cancelled: bool,
    address: bool,
}

impl Open {
    fn new(name: &str) -> Self {
        Self {
            name: name.trim().to_ascii_uppercase(),
            ..Self::default()
        }
    }

    /// A line that was there before.
    fn says(&mut self, name: &str, text: &[u8]) {
        let value = String::from_utf8_lossy(text);
        match name {
            "UID" => self.uid = unescape(crate::additive::value(text).trim()),
            "RECURRENCE-ID" => self.moved = true,
            "STATUS" => self.cancelled = value.to_ascii_uppercase().ends_with("CANCELLED"),
            _ => self.address |= value.contains("://"),
        }
    }

    /// A whole line that was added: folded as RFC 5545, 3.1 says, with the file's line ends.
    fn added(&mut self, name: &str, line: &[u8], text: &[u8], first: &[u8]) -> Result<(), String> {
        let crlf = first.ends_with(b"\r\n");
        for physical in line.split_inclusive(|&byte| byte == b'\n') {
            let content = physical
                .strip_suffix(b"\n")
                .ok_or("added without a line end")?;
            let content = match (content.strip_suffix(b"\r"), crlf) {
                (Some(content), true) => content,
                (None, false) => content,
                _ => return Err("added with another line end than the file's".to_owned()),
            };
            if content.len() > 75 {
                return Err("added longer than 75 octets".to_owned());
            }
            if content.contains(&b'\r') {
                return Err("added with a bare CR".to_owned());
            }
        }
        if std::str::from_utf8(text).is_err() {
            return Err("added what is no text".to_owned());
        }
        self.new.push((name.to_owned(), value(text).to_owned()));
        Ok(())
    }

    /// What grew: a DESCRIPTION by the join block, a LOCATION that was empty by the URL.
    fn appended(&mut self, name: &str, old: &[u8], place: &str) -> Result<(), String> {
        let Some((_, tail)) = self.grown.last() else {
            return Ok(());
        };
        let empty = value(old).trim().is_empty();
        let fence = "_".repeat(80);
        let fits = match name {
            "LOCATION" => empty && tail.starts_with("https://"),
            _ => {
                let block = ["\\n\\n", "\\\\N\\n", ""].iter().find_map(|gap| {
                    tail.strip_prefix(gap)
                        .filter(|block| block.starts_with(&fence))
                });
                block.is_some_and(|block| is_block(block, &fence))
            }
        };
        if fits {
            Ok(())
        } else {
            Err(format!("grown by something else, {place}"))
        }
    }

    /// What the component shows, once it has ended; `None` when it is no VEVENT.
    fn end(self) -> Result<Option<Shown>, String> {
        let values = |name: &str| -> Vec<&String> {
            let named = self.new.iter().filter(|(one, _)| one == name);
            named.map(|(_, value)| value).collect()
        };
        let once = |name: &str| match values(name)[..] {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => Err(format!("{}: {name} was added twice", self.uid)),
        };
        if self.new.is_empty() && self.grown.is_empty() {
            return match self.stamped {
                Some(line) => Err(format!("{}: restamped without a link: {line}", self.uid)),
                None if self.name != "VEVENT" => Ok(None),
                None => Ok(Some(Shown {
                    may_lack: self.moved && (self.cancelled || self.address),
                    uid: self.uid,
                    url: None,
                })),
            };
        }
        let missing = |what: &str| format!("{}: no {what} was added", self.uid);
        once("X-MEETBRIDGE-MEETING")?.ok_or_else(|| missing("mark"))?;
        let url =
            once("X-MICROSOFT-SKYPETEAMSMEETINGURL")?.ok_or_else(|| missing("URL for Teams"))?;
        let url = unescape(url);
        if !values("CONFERENCE").iter().any(|one| **one == url) {
            return Err(missing("CONFERENCE with the URL"));
        }
        for name in ["URL", "LOCATION"] {
            if once(name)?.is_some_and(|one| unescape(one) != url) {
                return Err(format!(
                    "{}: {name} was added with something else",
                    self.uid
                ));
            }
        }
        let grown = |name: &str| {
            self.grown
                .iter()
                .find(|(one, _)| one == name)
                .map(|(_, tail)| tail)
        };
        if grown("LOCATION").is_some_and(|tail| unescape(tail) != url) {
            return Err(format!("{}: LOCATION grew by something else", self.uid));
        }
        let described = once("DESCRIPTION")?
            .or(grown("DESCRIPTION"))
            .ok_or_else(|| missing("join block"))?;
        if !unescape(described)
            .lines()
            .any(|line| line.strip_prefix("Join: ") == Some(&url))
        {
            return Err(missing("join block with the URL"));
        }
        Ok(Some(Shown {
            uid: self.uid,
            url: Some(url),
            may_lack: false,
        }))
    }
}

fn is_block(block: &str, fence: &str) -> bool {
    let ends = block
        .strip_suffix("\\n")
        .is_some_and(|block| block.ends_with(fence));
    ends && block.contains("\\nJoin: https://")
}

/// The logical lines, each with its line end: a physical line that begins with a blank or a tab belongs
/// to the one before.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let (mut from, mut at) = (0, 0);
    for physical in bytes.split_inclusive(|&byte| byte == b'\n') {
        if at > from && !matches!(physical.first(), Some(b' ' | b'\t')) {
            lines.push(&bytes[from..at]);
            from = at;
        }
        at += physical.len();
    }
    if at > from {
        lines.push(&bytes[from..at]);
    }
    lines
}

/// Without line ends and continuation characters.
fn unfold(line: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(line.len());
    for (n, physical) in line.split(|&byte| byte == b'\n').enumerate() {
        let physical = physical.strip_suffix(b"\r").unwrap_or(physical);
        text.extend_from_slice(if n == 0 {
            physical
        } else {
            physical.get(1..).unwrap_or_default()
        });
    }
    text
}

fn name(text: &[u8]) -> String {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let end = text
        .iter()
        .position(|&byte| byte == b';' || byte == b':')
        .unwrap_or(text.len());
    String::from_utf8_lossy(&text[..end])
        .trim()
        .to_ascii_uppercase()
}

/// What stands behind the first colon that is in no quotes; nothing when that is no text.
fn value(text: &[u8]) -> &str {
    let mut quoted = false;
    let colon = text.iter().position(|&byte| {
        quoted ^= byte == b'"';
        byte == b':' && !quoted
    });
    let value = colon.and_then(|at| text.get(at + 1..)).unwrap_or_default();
    std::str::from_utf8(value).unwrap_or_default()
}

/// What a line has grown by at its end, unfolded; `None` when it did not grow.
fn grown(old: &[u8], new: &[u8]) -> Option<String> {
    let end = |line: &[u8]| {
        line.iter()
            .rev()
            .take_while(|byte| b"\r\n".contains(byte))
            .count()
    };
    let (old, old_end) = old.split_at(old.len() - end(old));
    let (new, new_end) = new.split_at(new.len() - end(new));
    let tail = new
        .strip_prefix(old)
        .filter(|tail| old_end == new_end && !tail.is_empty())?;
    String::from_utf8(unfold(tail)).ok()
}

/// Whether a line, unfolded, is another with the join block put into its HTML; with what its value has
/// grown by, where that is no HTML.
fn twinned(name: &str, old: &[u8], new: &[u8]) -> Option<Option<String>> {
    match name {
        "X-ALT-DESC" | "STYLED-DESCRIPTION" => {
            let html = put_in(old, new)?;
            (html.contains("<p>Microsoft Teams meeting<br>Join: <a href=\"https://"))
                .then_some(None)
        }
        "DESCRIPTION" => {
            let (old_value, new_value) = (value(old), value(new));
            let head = |line: &[u8], value: &str| line[..line.len() - value.len()].to_vec();
            let html = put_in(&head(old, old_value), &head(new, new_value))?;
            let block = "Microsoft%20Teams%20meeting%3Cbr%3EJoin%3A%20%3Ca%20href%3D%22https";
            let tail = new_value.strip_prefix(old_value)?;
            html.contains(block).then(|| Some(tail.to_owned()))
        }
        _ => None,
    }
}

/// What was put into `old`, in one place.
fn put_in(old: &[u8], new: &[u8]) -> Option<String> {
    let same = old
        .iter()
        .zip(new)
        .take_while(|(one, other)| one == other)
        .count();
    let behind = &old[same..];
    let put = new.get(same..)?.strip_suffix(behind)?;
    String::from_utf8(put.to_vec())
        .ok()
        .filter(|put| !put.is_empty())
}

/// Whether only the value of a DTSTAMP or LAST-MODIFIED differs.
fn restamped(old: &[u8], new: &[u8]) -> bool {
    let stamp = |line: &[u8]| {
        let text = unfold(line);
        if !matches!(name(&text).as_str(), "DTSTAMP" | "LAST-MODIFIED") {
            return None;
        }
        let time = value(&text).to_owned();
        let head = text.len() - time.len();
        let end: Vec<u8> = line
            .iter()
            .rev()
            .take_while(|b| b"\r\n".contains(b))
            .copied()
            .collect();
        (time.len() == 16 && time.ends_with('Z')).then(|| (text[..head].to_vec(), end))
    };
    stamp(old).is_some() && stamp(old) == stamp(new)
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('n' | 'N') => plain.push('\n'),
                Some(escaped) => plain.push(escaped),
                None => plain.push('\\'),
            },
            _ => plain.push(c),
        }
    }
    plain
}

fn show(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let short: String = text.trim_end().chars().take(120).collect();
    format!("{short:?}")
}

/// That the comparison notices what it is there for.
///
/// # Errors
/// What it did not notice.
pub(crate) fn notices() -> Result<(), String> {
    let fence = "_".repeat(74);
    let before = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nSEQUENCE:1\r\nDTSTAMP:20260101T000000Z\r\n\
                  LOCATION:\r\nDESCRIPTION:Notes\r\nSTATUS:CONFIRMED\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let url = "https://x.example/1".to_owned();
    let block =
        format!("Notes\\n\\n\r\n {fence}______\\n\r\n Join: {url}\\n\r\n {fence}______\\n\r\n");
    let block = block.replace(&format!("{fence}______"), &format!("{fence}\r\n ______"));
    let added = format!(
        "CONFERENCE;VALUE=URI:{url}\r\nX-MICROSOFT-SKYPETEAMSMEETINGURL:{url}\r\nX-MEETBRIDGE-MEETING:m\r\n\
         END:VEVENT"
    );
    let after = before
        .replace("Notes\r\n", &block)
        .replace("LOCATION:", &format!("LOCATION:{url}"))
        .replace("20260101T000000Z", "20260202T000000Z")
        .replace("END:VEVENT", &added);
    let shown = compare(before.as_bytes(), after.as_bytes())?;
    if shown.len() != 1
        || shown
            .iter()
            .any(|one| one.uid != "a" || one.url.as_ref() != Some(&url))
    {
        return Err(format!("{shown:?}"));
    }
    let changes = [
        ("SEQUENCE:1", "SEQUENCE:2"),
        ("SEQUENCE:1\r\n", ""),
        ("STATUS:CONFIRMED", "STATUS:TENTATIVE"),
        ("STATUS:CONFIRMED\r\n", "STATUS:CONFIRMED\n"),
        ("STATUS:CONFIRMED\r\n", "STATUS:CONFIRMED\r\nX-OTHER:1\r\n"),
        ("STATUS:CONFIRMED\r\n", "STATUS:CONFIRMED\r\n\r\n"),
        ("DESCRIPTION:Notes", "DESCRIPTION:notes"),
        ("DESCRIPTION:Notes\\n\\n", "DESCRIPTION:Notes more\\n\\n"),
        ("X-MEETBRIDGE-MEETING:m\r\n", ""),
        ("X-MEETBRIDGE-MEETING:m\r\n", "X-MEETBRIDGE-MEETING:m\n"),
        (
            "X-MEETBRIDGE-MEETING:m",
            "X-MEETBRIDGE-MEETING:m\r\nX-MEETBRIDGE-MEETING:m",
        ),
        (
            "LOCATION:https://x.example/1",
            "LOCATION:https://x.example/2",
        ),
        ("Join: https://x.example/1", "Join: https://x.example/2"),
        ("END:VCALENDAR\r\n", "END:VCALENDAR"),
        ("UID:a", "uid:a"),
        ("BEGIN:VEVENT", "URL:https://x.example/1\r\nBEGIN:VEVENT"),
    ];
    for (from, to) in changes {
        let wrong = after.replacen(from, to, 1);
        if wrong == after || compare(before.as_bytes(), wrong.as_bytes()).is_ok() {
            return Err(format!("{from:?} changed to {to:?} is not noticed"));
        }
    }
    let restamped = before.replace("20260101T000000Z", "20260202T000000Z");
    match compare(before.as_bytes(), restamped.as_bytes()) {
        Ok(_) => Err("a stamp without a link is not noticed".to_owned()),
        Err(_) => Ok(()),
    }
}
