use super::super::body::Spool;
use super::*;
use crate::ical::document::Document;

fn body(text: &[u8]) -> Body {
    use std::io::Write as _;
    let mut spool = Spool::new(&std::env::temp_dir()).unwrap();
    spool.write_all(text).unwrap();
    spool.finish()
}

/// What the document as a whole says.
fn expected(text: &[u8]) -> Vec<Range<usize>> {
    let document = Document::parse(text).unwrap();
    let mut end = 0;
    let mut found = Vec::new();
    for component in document.components() {
        if component.name == "VEVENT" && component.range.start >= end {
            found.push(component.range.clone());
            end = component.range.end;
        }
    }
    found
}

fn scanned(text: &[u8]) -> Option<Vec<Range<usize>>> {
    let found = vevents(&body(text)).unwrap();
    found.map(|found| found.into_iter().map(Span::range).collect())
}

const EVENT: &str = "BEGIN:VEVENT\r\nUID:a\r\nDESCRIPTION:long\r\n  text\r\nBEGIN:VALARM\r\n\
                     END:VALARM\r\nEND:VEVENT\r\n";

fn calendar(inner: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{inner}END:VCALENDAR\r\n")
}

#[test]
fn vevents_are_found_where_the_document_has_them() {
    let zone = "BEGIN:VTIMEZONE\r\nTZID:x\r\nBEGIN:STANDARD\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n";
    let regular = [
        calendar(""),
        calendar(&format!("{EVENT}{zone}{EVENT}")),
        calendar(EVENT).replace("\r\n", "\n"),
        format!("\u{feff}{}", calendar(EVENT)),
        format!("{}{}", calendar(EVENT), calendar(&EVENT.repeat(3))),
        calendar(EVENT).trim_end().to_owned(),
        calendar(&format!(
            "X-A:b\r\n\r\nBEGINNING:1\r\nEND\r\n{EVENT}ENDED:1\r\nbe\r\n"
        )),
        calendar(&EVENT.replace("long", &"ä".repeat(9_000))),
        calendar(&EVENT.repeat(40_000)),
    ];
    for text in regular {
        let (found, expected) = (scanned(text.as_bytes()), expected(text.as_bytes()));
        assert_eq!(found, Some(expected), "{:.300}", text);
    }
}

#[test]
fn where_there_is_doubt_only_the_document_tells() {
    let doubtful = [
        calendar(EVENT).replace("\r\n", "\r"),
        calendar(EVENT).replace("UID:a\r\n", "UID:a\r"),
        calendar(EVENT).replace("UID:a\r\n", "UID:a\r\r\n"),
        calendar(&EVENT.replace("END:VALARM\r\n", "")),
        calendar(&EVENT.replace("END:VEVENT\r\n", "")),
        calendar(&EVENT.replace("UID:a\r\n", EVENT)),
        calendar(&EVENT.replace("UID:a\r\n", "begin:vevent\r\n")),
        calendar(&EVENT.replace("UID:a\r\n", "BEGIN;X=1:VTODO\r\n")),
        calendar(&EVENT.replace("UID:a\r\n", "BEGIN:VEV\r\n ENT\r\n")),
        calendar(&EVENT.replace("UID:a\r\n", "BEG\r\n IN:VEVENT\r\n")),
        calendar(&EVENT.replace("UID:a\r\n", "\r\n BEGIN:VEVENT\r\n")),
        calendar(&EVENT.replace("UID:a\r\n", "END\r\n :VEVENT\r\n")),
        calendar(&EVENT.replace("END:VEVENT\r\n", "END:VEVENT \r\n")),
        calendar(&EVENT.replace("END:VEVENT\r\n", "END:VEVENT\r\n \r\n")),
        format!("{}\u{feff}{}", calendar(EVENT), calendar(EVENT)),
        format!("{EVENT}{}", calendar(EVENT)),
        format!(" x\r\n{}", calendar(EVENT)),
        calendar(&calendar(EVENT)),
        calendar(&"BEGIN:X\r\n".repeat(40)),
        calendar("").replace("END:VCALENDAR\r\n", ""),
    ];
    for text in doubtful {
        assert_eq!(scanned(text.as_bytes()), None, "{text:.300}");
    }
}

#[test]
fn whatever_is_made_of_a_calendar_is_left_to_the_document_or_found_as_it_does() {
    let text = calendar(&EVENT.repeat(3));
    let bytes = text.as_bytes();
    let others = [
        &b""[..],
        b" ",
        b"\r",
        b"\n",
        b"\r\n",
        b"X",
        b":",
        b"\r\n ",
        b"e",
        b"BEGIN:VEVENT\r\n",
    ];
    for at in 0..bytes.len() {
        for other in others {
            for gone in [0, 1, 2] {
                let rest = bytes.get(at + gone..).unwrap_or_default();
                let made = [&bytes[..at], other, rest].concat();
                if let Some(found) = scanned(&made) {
                    assert_eq!(found, expected(&made), "{}", String::from_utf8_lossy(&made));
                }
            }
        }
    }
}
