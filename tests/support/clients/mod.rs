//! How calendar clients find the link to join an event by (field-notes.md, 3.1), as functions on the bytes
//! of a calendar. They share no code with the program: a mistake there shows here.
//!
//! Everything a test has let the program write goes through [`every_client_finds`].

mod rules;

use rules::RULES;

/// Panics unless each client takes `join_url` from each VEVENT of the calendar that was given it, and
/// one at least was.
#[track_caller]
#[allow(
    dead_code,
    clippy::panic,
    reason = "not every test that includes this calls it"
)]
pub(crate) fn every_client_finds(calendar: &[u8], join_url: &str) {
    match found(calendar, join_url) {
        Ok(0) => panic!("no event has the link"),
        Ok(_) => {}
        Err(why) => panic!("{why}\n{}", String::from_utf8_lossy(calendar)),
    }
}

/// The number of VEVENTs that were given the link; from each of them, each client takes it.
///
/// # Errors
/// The client that does not, and what it takes.
#[allow(dead_code, reason = "not every test that includes this calls it")]
pub(crate) fn found(calendar: &[u8], join_url: &str) -> Result<usize, String> {
    each_found(calendar, |url| url == join_url)
}

/// The same for every VEVENT whose X-MICROSOFT-SKYPETEAMSMEETINGURL is one of ours, with that URL.
///
/// # Errors
/// As [`found`].
pub(crate) fn each_found(calendar: &[u8], is_ours: impl Fn(&str) -> bool) -> Result<usize, String> {
    let mut count = 0;
    for event in events(calendar) {
        let url = event.text("X-MICROSOFT-SKYPETEAMSMEETINGURL");
        let Some(url) = url.filter(|url| is_ours(url)) else {
            continue;
        };
        count += 1;
        for (client, rule) in RULES {
            rule(&event, &url).map_err(|why| format!("{client} {why}"))?;
        }
    }
    Ok(count)
}

/// One VEVENT.
#[derive(Debug, Default)]
struct Vevent(Vec<Property>);

#[derive(Debug)]
struct Property {
    /// In upper case.
    name: String,
    /// Names in upper case; values without quotes.
    params: Vec<(String, String)>,
    value: String,
}

impl Vevent {
    fn all(&self, name: &str) -> impl Iterator<Item = &Property> {
        self.0.iter().filter(move |one| one.name == name)
    }

    fn first(&self, name: &str) -> Option<&Property> {
        self.all(name).next()
    }

    /// The first property of this name, its escapes taken off.
    fn text(&self, name: &str) -> Option<String> {
        self.first(name).map(Property::text)
    }
}

impl Property {
    fn text(&self) -> String {
        let mut text = String::new();
        let mut chars = self.value.chars();
        while let Some(c) = chars.next() {
            if c != '\\' {
                text.push(c);
                continue;
            }
            match chars.next() {
                Some('n' | 'N') => text.push('\n'),
                Some(c @ ('\\' | ',' | ';')) => text.push(c),
                Some(c) => text.extend(['\\', c]),
                None => text.push('\\'),
            }
        }
        text
    }

    fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(one, _)| one == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The VEVENTs of a calendar, without the components in them.
fn events(calendar: &[u8]) -> Vec<Vevent> {
    let (mut events, mut open, mut depth) = (Vec::new(), None, 0);
    for line in unfolded(calendar) {
        let Some(property) = property(&line) else {
            continue;
        };
        let value = property.value.trim().to_ascii_uppercase();
        match property.name.as_str() {
            "BEGIN" if value == "VEVENT" => (open, depth) = (Some(Vevent::default()), 0),
            "BEGIN" => depth += 1,
            "END" if value == "VEVENT" => events.extend(open.take()),
            "END" => depth -= 1,
            _ if depth == 0 => {
                if let Some(event) = &mut open {
                    event.0.push(property);
                }
            }
            _ => {}
        }
    }
    events
}

/// The lines with their continuations: a line ends with CRLF, LF or CR.
fn unfolded(calendar: &[u8]) -> Vec<String> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for line in calendar.split(|byte| b"\r\n".contains(byte)) {
        match (line.split_first(), lines.last_mut()) {
            (Some((b' ' | b'\t', rest)), Some(last)) => last.extend_from_slice(rest),
            // Between CR and LF.
            (None, _) => {}
            _ => lines.push(line.to_vec()),
        }
    }
    let text = |line: Vec<u8>| match String::from_utf8(line) {
        Ok(text) => text,
        Err(bytes) => bytes.as_bytes().iter().map(|&b| char::from(b)).collect(),
    };
    lines.into_iter().map(text).collect()
}

fn property(line: &str) -> Option<Property> {
    let (mut quoted, mut parts, mut from) = (false, Vec::new(), 0);
    let mut value = None;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ';' if !quoted => {
                parts.push(&line[from..at]);
                from = at + 1;
            }
            ':' if !quoted => {
                parts.push(&line[from..at]);
                value = Some(&line[at + 1..]);
                break;
            }
            _ => {}
        }
    }
    let mut parts = parts.into_iter();
    let name = parts
        .next()?
        .trim_start_matches('\u{feff}')
        .to_ascii_uppercase();
    let params = parts.filter_map(|part| part.split_once('='));
    let params = params.map(|(name, value)| {
        let value = value.strip_prefix('"').unwrap_or(value);
        let value = value.strip_suffix('"').unwrap_or(value);
        (name.to_ascii_uppercase(), value.to_owned())
    });
    Some(Property {
        name,
        params: params.collect(),
        value: value?.to_owned(),
    })
}
