//! What was put into a file comes out of it again, to the byte, also when it was rewritten in between; a
//! second time nothing is put in; and every client finds what was. For every file as it is, with other line ends, and with HTML twins of its texts.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeZone as _, Utc};
use meetbridge::ical::block::Show;
use meetbridge::ical::document::Document;
use meetbridge::ical::edit::Edits;
use meetbridge::ical::event::Event;
use meetbridge::ical::read::read;
use meetbridge::ical::write::{
    Attachment, Location, WriteFault, attach, detach, is_outdated, missing, rewrite, verify,
};
use meetbridge::meeting::{Details, DialIn};
use meetbridge::model::{ExternalId, JoinUrl, MeetingKey, OrganizerId};

use crate::Sample;

const JOIN_URL: &str = "https://teams.microsoft.com/l/meetup-join/19%3ameeting_x%40thread.v2/0?context=%7b%22Tid%22%3a%221%22%7d";

/// The largest file that is tried in all its forms.
const SMALL: usize = 64 << 10;
/// How many events get a link and lose it again, all forms together, at least; and how many twins are
/// written.
const AT_LEAST: (usize, usize) = (9_000, 18_000);

/// Links and unlinks the events of all files.
///
/// # Errors
/// All faults, one a line, or too few links.
pub(crate) fn unlink_all(samples: &[Sample]) -> Result<(), String> {
    let (mut counts, mut faults) = ((0, 0), Vec::new());
    for sample in samples {
        let bytes = sample.bytes()?;
        let mut forms: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        forms.insert("with twins", with_twins(&bytes));
        if bytes.len() <= SMALL {
            let twins = with_twins(&bytes);
            forms.insert("with LF", with_ends(&twins, &["\n"]));
            forms.insert("with CRLF", with_ends(&twins, &["\r\n"]));
            forms.insert("with CR", with_ends(&twins, &["\r"]));
            forms.insert(
                "with all line ends",
                with_ends(&twins, &["\r\n", "\n", "\r"]),
            );
        }
        forms.insert("as it is", bytes);
        for (form, bytes) in forms {
            match there_and_back(&bytes) {
                Ok((events, twins)) => counts = (counts.0 + events, counts.1 + twins),
                Err(why) => faults.push(format!("{}, {form}: {why}", sample.name)),
            }
        }
    }
    println!("{:6}  linked and unlinked, {} twins", counts.0, counts.1);
    if counts.0 < AT_LEAST.0 || counts.1 < AT_LEAST.1 {
        faults.push(format!("only {counts:?}, not {AT_LEAST:?}"));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("\n"))
    }
}

/// The numbers of events that were linked, and of twins in them that were written.
fn there_and_back(bytes: &[u8]) -> Result<(usize, usize), String> {
    let Ok(document) = Document::parse(bytes) else {
        return Ok((0, 0));
    };
    let join_url = JoinUrl::new(JOIN_URL);
    let events = read(&document, chrono_tz::UTC, now()).events;
    // Those that a pass could link: understood, and without a conference of their own.
    let free = |event: &Event| {
        let links = event.components.iter().all(|one| one.links.is_empty());
        event.fault.is_none() && links
    };
    let free: Vec<&Event> = events.iter().filter(|event| free(event)).collect();
    let (mut edits, mut linked) = (Edits::new(), HashMap::new());
    for event in &free {
        if let Ok(edit) = attached(&document, event, &join_url) {
            edits.merge(edit);
            linked.insert(&event.uid, *event);
        }
    }
    let after = edits.apply(bytes);
    if !verify(&document, &after) {
        return Err("not only added to".to_owned());
    }
    let edited = Document::parse(&after).map_err(|error| error.to_string())?;
    let (mut again, mut back, mut anew) = (Edits::new(), Edits::new(), Edits::new());
    for event in read(&edited, chrono_tz::UTC, now()).events {
        if !linked.contains_key(&event.uid) {
            continue;
        }
        let lacking = missing(&event, &join_url, Location::Url);
        if !lacking.is_empty() {
            return Err(format!("{}: lacks {lacking:?}", event.uid));
        }
        let uid = &event.uid;
        again.merge(attached(&edited, &event, &join_url).map_err(|why| format!("{uid}: {why}"))?);
        anew.merge(rewritten(&edited, &event, &join_url).map_err(|why| format!("{uid}: {why}"))?);
        back.merge(detach(&edited, &event, &join_url).map_err(|why| format!("{uid}: {why}"))?);
    }
    if !again.is_empty() {
        return Err("linking twice writes twice".to_owned());
    }
    let left = |event: &&Event| {
        let twins = event.components.iter().flat_map(|one| &one.twins);
        twins.into_iter().any(|twin| twin.left.is_some())
    };
    let all_written = !linked.values().any(left);
    if all_written {
        crate::clients::each_found(&after, |url| url == JOIN_URL)?;
    }
    is_restored(bytes, &back.apply(&after))?;

    let renewed = anew.apply(&after);
    let document = Document::parse(&renewed).map_err(|error| error.to_string())?;
    let mut back = Edits::new();
    for event in read(&document, chrono_tz::UTC, now()).events {
        if !linked.contains_key(&event.uid) {
            continue;
        }
        let uid = &event.uid;
        let twice = rewritten(&document, &event, &join_url);
        if !twice.map_err(|why| format!("{uid}: {why}"))?.is_empty() {
            return Err(format!("{uid}: rewriting twice writes twice"));
        }
        back.merge(detach(&document, &event, &join_url).map_err(|why| format!("{uid}: {why}"))?);
    }
    if all_written {
        crate::clients::each_found(&renewed, |url| url == JOIN_URL)?;
    }
    is_restored(bytes, &back.apply(&renewed)).map_err(|why| format!("rewritten: {why}"))?;
    let components = linked.values().flat_map(|event| &event.components);
    Ok((linked.len(), components.map(|one| one.twins.len()).sum()))
}

/// The bytes of before, the stamps apart.
fn is_restored(before: &[u8], restored: &[u8]) -> Result<(), String> {
    if without_stamps(before) == without_stamps(restored) {
        return Ok(());
    }
    let mut pairs = before.iter().zip(restored);
    let at = pairs.position(|(one, other)| one != other);
    Err(format!("not restored, from byte {at:?} on"))
}

fn attached(document: &Document<'_>, event: &Event, join_url: &JoinUrl) -> Result<Edits, String> {
    let attach = |link: &Attachment<'_>| attach(document, event, link, None, Some(now()));
    with_attachment(event, join_url, &Show::DEFAULT, "fr-FR", attach)
}

/// The link as another configuration would write it.
fn rewritten(document: &Document<'_>, event: &Event, join_url: &JoinUrl) -> Result<Edits, String> {
    let rewrite = |link: &Attachment<'_>| {
        let edits = rewrite(document, event, link, Some(now()))?;
        // What says that it is outdated, and what is written, are one.
        assert_eq!(is_outdated(document, event, link), !edits.is_empty());
        Ok(edits)
    };
    with_attachment(event, join_url, &[Show::TollNumbers], "ja", rewrite)
}

fn with_attachment(
    event: &Event,
    join_url: &JoinUrl,
    show: &[Show],
    language: &str,
    work: impl FnOnce(&Attachment<'_>) -> Result<Edits, WriteFault>,
) -> Result<Edits, String> {
    let key = MeetingKey {
        tenant: "contoso.example".to_owned(),
        organizer: OrganizerId::new("11111111-1111-1111-1111-111111111111").ok_or("no id")?,
        external_id: ExternalId::of(&event.uid, 0),
    };
    let details = Details {
        passcode: Some("abcDEF".to_owned()),
        dial_in: Some(DialIn {
            conference_id: Some("123 456 789".to_owned()),
            toll_numbers: vec!["+49 69 1234567".to_owned()],
            ..DialIn::default()
        }),
        ..Details::default()
    };
    let attachment = Attachment {
        key: &key,
        generation: 0,
        join_url,
        details: &details,
        show,
        language,
        location: Location::Url,
    };
    work(&attachment).map_err(|why| why.to_string())
}

/// Every VEVENT gets properties with HTML, and every description one in its ALTREP.
fn with_twins(bytes: &[u8]) -> Vec<u8> {
    const PLAIN: &[u8] = b"DESCRIPTION:";
    const WITH_HTML: &[u8] =
        b"DESCRIPTION;ALTREP=\"data:text/html,%3Cbody%3E%3Cp%3EA%20text%3C%2Fp%3E%3C%2Fbody%3E\":";
    const TWINS: [&[u8]; 2] = [
        b"X-ALT-DESC;FMTTYPE=text/html:<html><body><p>A text\\, folded at no place\\n and longer than is good</p></body></html>",
        b"STYLED-DESCRIPTION;VALUE=TEXT;FMTTYPE=text/html:<b>A text</b>",
    ];
    let mut text = Vec::with_capacity(bytes.len() * 2);
    for line in physical_lines(bytes) {
        match line.strip_prefix(PLAIN) {
            Some(rest) => text.extend([WITH_HTML, rest].concat()),
            None => text.extend_from_slice(line),
        }
        let content = line.trim_ascii_end();
        if content.eq_ignore_ascii_case(b"BEGIN:VEVENT") && content.len() < line.len() {
            let eol = &line[content.len()..];
            text.extend(TWINS.iter().flat_map(|twin| [twin, eol].concat()));
        }
    }
    text
}

/// The same lines with these ends in turn.
fn with_ends(bytes: &[u8], ends: &[&str]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    for (line, end) in physical_lines(bytes).into_iter().zip(ends.iter().cycle()) {
        let content = line.iter().rposition(|byte| !b"\r\n".contains(byte));
        text.extend_from_slice(&line[..content.map_or(0, |at| at + 1)]);
        text.extend_from_slice(end.as_bytes());
    }
    text
}

/// The lines, each with its end: LF, CRs and a LF, or CRs.
fn physical_lines(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut from) = (Vec::new(), 0);
    for at in 0..bytes.len() {
        let next = bytes.get(at + 1);
        let ends = match bytes[at] {
            b'\n' => true,
            b'\r' => next != Some(&b'\n') && next != Some(&b'\r'),
            _ => false,
        };
        if ends || next.is_none() {
            lines.push(&bytes[from..=at]);
            from = at + 1;
        }
    }
    lines
}

/// The bytes without the values of DTSTAMP and LAST-MODIFIED.
fn without_stamps(bytes: &[u8]) -> Vec<u8> {
    let Ok(document) = Document::parse(bytes) else {
        return bytes.to_vec();
    };
    let mut edits = Edits::new();
    for line in document.all_lines() {
        if line.is("DTSTAMP") || line.is("LAST-MODIFIED") {
            edits.remove(line.content_range());
        }
    }
    edits.apply(bytes)
}

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 12, 0, 0)
        .single()
        .unwrap_or_default()
}
