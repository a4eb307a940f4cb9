//! What servers make of the bytes they store.

use super::quirks::Rewrite;

/// The UID of the first component that has one.
pub(super) fn uid(bytes: &[u8]) -> Option<String> {
    bytes.split(|b| *b == b'\n').find_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let value = line.strip_prefix(b"UID:")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

/// The values of the property `name` that begin with `mailto:`, without that, in lower case.
pub(super) fn addresses(bytes: &[u8], name: &str) -> Vec<String> {
    let lines = unfold(&String::from_utf8_lossy(bytes));
    let of = |line: &String| {
        (name_of(line) == name)
            .then(|| {
                line.to_lowercase()
                    .rsplit_once("mailto:")
                    .map(|(_, address)| address.to_owned())
            })
            .flatten()
    };
    lines.iter().filter_map(of).collect()
}

/// The unfolded lines of the property `name`.
pub(super) fn lines_of(bytes: &[u8], name: &str) -> Vec<String> {
    let mut lines = unfold(&String::from_utf8_lossy(bytes));
    lines.retain(|line| name_of(line) == name);
    lines
}

/// Whether it is one iCalendar object with a UID, as a strict server asks (RFC 4791, 5.3.2.1).
pub(super) fn is_calendar_object(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let lines = unfold(text);
    let is = |line: Option<&String>, wanted: &str| {
        line.is_some_and(|line| line.eq_ignore_ascii_case(wanted))
    };
    is(lines.first(), "BEGIN:VCALENDAR")
        && is(lines.last(), "END:VCALENDAR")
        && uid(bytes).is_some_and(|uid| !uid.is_empty())
}

/// The body as it is stored; `organizer` is the address of who puts it.
pub(super) fn rewrite(bytes: &[u8], how: &Rewrite, organizer: &[String]) -> Vec<u8> {
    if *how == Rewrite::default() {
        return bytes.to_vec();
    }
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = unfold(&text)
        .into_iter()
        .flat_map(|line| line_rewritten(line, how, organizer))
        .collect();
    let lines = if how.reorder { reordered(lines) } else { lines };
    let lines = if how.add_class {
        with_class(lines)
    } else {
        lines
    };
    let end = if how.lf { "\n" } else { "\r\n" };
    let mut out = String::with_capacity(bytes.len() + 64);
    for line in lines {
        fold(&line, end, &mut out);
    }
    out.into_bytes()
}

fn line_rewritten(mut line: String, how: &Rewrite, organizer: &[String]) -> Vec<String> {
    let name = name_of(&line);
    if how.drop.iter().any(|start| name.starts_with(start)) {
        return Vec::new();
    }
    let own = |line: &str| {
        let address = line.to_lowercase();
        let address = address.rsplit_once("mailto:").map(|(_, address)| address);
        address.is_some_and(|address| organizer.iter().any(|own| own == address))
    };
    if how.drop_own_attendee && name == "ATTENDEE" && own(&line) {
        return Vec::new();
    }
    let cut = how.cut_conference && name == "CONFERENCE"
        || how.cut_structured_location && name == "X-APPLE-STRUCTURED-LOCATION";
    let value_at = value_at(&line);
    if let Some(comma) = line[value_at..].find(',').filter(|_| cut) {
        line.truncate(value_at + comma);
    }
    if how.values && name == "RRULE" {
        let mut parts: Vec<&str> = line[value_at..].split(';').collect();
        parts.sort_unstable();
        line = format!("{}{}", &line[..value_at], parts.join(";"));
    }
    if how.values && name == "GEO" {
        let parts = line[value_at..].split(';');
        let parts: Vec<String> = parts
            .map(|part| {
                part.parse::<f64>()
                    .map_or(part.into(), |n| format!("{n:.6}"))
            })
            .collect();
        line = format!("{}{}", &line[..value_at], parts.join(";"));
    }
    if how.break_geo && name == "GEO" {
        line = line.replace(';', "\\;");
    }
    if how.unquote || how.requote {
        line = unquoted(&line, value_at, how.unquote);
    }
    if let Some(footer) = how
        .footer
        .filter(|footer| name == "DESCRIPTION" && !line.contains(footer))
    {
        line.push_str(footer);
    }
    if how.split_categories && name == "CATEGORIES" {
        let at = self::value_at(&line);
        let (head, values) = line.split_at(at);
        return values
            .split(',')
            .map(|value| format!("{head}{value}"))
            .collect();
    }
    vec![line]
}

/// The line without the quotes of its parameters: of those that need none, or of all.
fn unquoted(line: &str, value_at: usize, all: bool) -> String {
    let (head, value) = line.split_at(value_at);
    let parts = head.split('"').enumerate();
    let mut out = String::with_capacity(line.len());
    for (n, part) in parts {
        let quoted = n % 2 == 1;
        let needed = part.contains([':', ';', ',']);
        if quoted && needed && !all {
            out.push('"');
            out.push_str(part);
            out.push('"');
        } else {
            out.push_str(part);
        }
    }
    out + value
}

/// The properties of each component sorted by name, those of its subcomponents behind them.
fn reordered(lines: Vec<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(lines.len());
    let mut open: Vec<(String, Vec<String>, Vec<String>)> = Vec::new();
    for line in lines {
        match name_of(&line).as_str() {
            "BEGIN" => open.push((line, Vec::new(), Vec::new())),
            "END" => {
                let Some((begin, mut own, below)) = open.pop() else {
                    continue;
                };
                own.sort_by_key(|line| name_of(line));
                let whole = std::iter::once(begin).chain(own).chain(below);
                let whole = whole.chain(std::iter::once(line));
                match open.last_mut() {
                    Some((_, _, above)) => above.extend(whole),
                    None => out.extend(whole),
                }
            }
            _ => match open.last_mut() {
                Some((_, own, _)) => own.push(line),
                None => out.push(line),
            },
        }
    }
    out
}

fn with_class(lines: Vec<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(lines.len() + 1);
    let (mut inside, mut has) = (false, false);
    for line in lines {
        match line.as_str() {
            "BEGIN:VEVENT" => (inside, has) = (true, false),
            "END:VEVENT" if inside && !has => out.push("CLASS:PUBLIC".to_owned()),
            _ => has |= name_of(&line) == "CLASS",
        }
        out.push(line);
    }
    out
}

fn unfold(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(more), Some(last)) => last.push_str(more),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

fn fold(line: &str, end: &str, out: &mut String) {
    let mut width = 0;
    for c in line.chars() {
        if width + c.len_utf8() > 75 {
            out.push_str(end);
            out.push(' ');
            width = 1;
        }
        out.push(c);
        width += c.len_utf8();
    }
    out.push_str(end);
}

fn name_of(line: &str) -> String {
    let end = line.find([':', ';']).unwrap_or(line.len());
    line[..end].to_ascii_uppercase()
}

/// Where the value begins: after the first colon outside quotes.
fn value_at(line: &str) -> usize {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ':' if !quoted => return at + 1,
            _ => {}
        }
    }
    line.len()
}
