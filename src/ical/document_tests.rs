use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Document<'_> {
    Document::parse(text.as_bytes()).unwrap()
}

fn first<'a>(document: &Document<'a>) -> ContentLine<'a> {
    document.lines(0).next().unwrap()
}

fn shape(text: &str) -> (Vec<String>, Vec<(usize, String)>) {
    let document = parse(text);
    let components = document
        .components()
        .iter()
        .enumerate()
        .map(|(index, component)| {
            let names: Vec<_> = document
                .lines(index)
                .map(|line| line.name().into_owned())
                .collect();
            format!(
                "{}{}{}[{}]",
                component
                    .parent
                    .map_or(String::new(), |parent| format!("{parent}>")),
                component.name,
                if component.closed { "" } else { "!" },
                names.join(" ")
            )
        })
        .collect();
    let faults = document
        .faults()
        .iter()
        .map(|fault| (fault.line, fault.what.clone()))
        .collect();
    (components, faults)
}

#[test]
fn components_and_faults() {
    type Case = (
        &'static str,
        &'static str,
        &'static [&'static str],
        &'static [(usize, &'static str)],
    );
    let cases: [Case; 12] = [
        (
            "nested",
            "BEGIN:VCALENDAR\r\nA:1\r\nBEGIN:VEVENT\r\nB:1\r\nBEGIN:VALARM\r\nC:1\r\nEND:VALARM\r\nD:1\r\nEND:VEVENT\r\nE:1\r\nEND:VCALENDAR\r\n",
            &["VCALENDAR[A E]", "0>VEVENT[B D]", "1>VALARM[C]"],
            &[],
        ),
        (
            "lower case, LF, blank lines, no line end at the end",
            "begin:vcalendar\n\nbegin:vevent\na:1\nend:vevent\n\nend:vcalendar",
            &["VCALENDAR[]", "0>VEVENT[a]"],
            &[],
        ),
        (
            "bare CR",
            "BEGIN:VEVENT\rA:1\rB:2\r 3\rEND:VEVENT\r",
            &["VEVENT[A B]"],
            &[],
        ),
        (
            "doubled CR",
            "BEGIN:VEVENT\r\r\nA:1\r\r\nB:2\r\r\n 3\r\r\nEND:VEVENT\r\r\n",
            &["VEVENT[A B]"],
            &[],
        ),
        (
            "names folded in the middle",
            "BEG\r\n IN:VEV\r\n ENT\r\nDTST\r\n\tART:1\r\nE\r\n ND:VEVENT\r\n",
            &["VEVENT[DTSTART]"],
            &[],
        ),
        (
            "a byte order mark",
            "\u{feff}BEGIN:VEVENT\nA:1\nEND:VEVENT\n",
            &["VEVENT[A]"],
            &[],
        ),
        (
            "a missing END ends with its parent",
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nA:1\nEND:VCALENDAR\nBEGIN:VCALENDAR\nEND:VCALENDAR\n",
            &["VCALENDAR[]", "0>VEVENT![A]", "VCALENDAR[]"],
            &[(2, "BEGIN:VEVENT without its END")],
        ),
        (
            "a missing END leaves the next event whole",
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nA:1\nBEGIN:VEVENT\nB:1\nEND:VEVENT\nEND:VCALENDAR\n",
            &["VCALENDAR[]", "0>VEVENT![A]", "0>VEVENT[B]"],
            &[(2, "BEGIN:VEVENT without its END")],
        ),
        (
            "cut off",
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nA:1",
            &["VCALENDAR![]", "0>VEVENT![A]"],
            &[
                (1, "BEGIN:VCALENDAR without its END"),
                (2, "BEGIN:VEVENT without its END"),
            ],
        ),
        (
            "a mismatched END",
            "BEGIN:VEVENT\nA:1\nEND:VTODO\nB:1\nEND:VEVENT\n",
            &["VEVENT[A B]"],
            &[(3, "END:VTODO without its BEGIN")],
        ),
        (
            "rubbish between",
            "hello\nBEGIN:VEVENT\nno line\nA:1\n:novalue\nEND:VEVENT\nX:outside\n",
            &["VEVENT[A]"],
            &[
                (1, "not a content line"),
                (3, "not a content line"),
                (5, "not a content line"),
                (7, "a property outside of any component"),
            ],
        ),
        (
            "two calendars, one unfinished",
            "BEGIN:VCALENDAR\nA:1\nBEGIN:VCALENDAR\nB:1\nEND:VCALENDAR\n",
            &["VCALENDAR![A]", "VCALENDAR[B]"],
            &[(1, "BEGIN:VCALENDAR without its END")],
        ),
    ];
    for (name, text, components, faults) in cases {
        let (found, faulty) = shape(text);
        assert_eq!(found, components, "{name}");
        let faulty: Vec<_> = faulty
            .iter()
            .map(|(line, what)| (*line, what.as_str()))
            .collect();
        assert_eq!(faulty, faults, "{name}");
    }
}

#[test]
fn a_new_line_goes_before_the_first_nested_component() {
    let text = "BEGIN:VEVENT\nA:1\nBEGIN:VALARM\nEND:VALARM\nB:1\nEND:VEVENT\n";
    let document = parse(text);
    let event = &document.components()[0];
    assert_eq!(&text[event.insert_at..][..12], "BEGIN:VALARM");
    assert_eq!(event.range, 0..text.len());
    let alarm = &document.components()[1];
    assert_eq!(&text[alarm.insert_at..][..10], "END:VALARM");
    assert_eq!(&text[alarm.range.clone()], "BEGIN:VALARM\nEND:VALARM\n");
}

#[test]
fn the_usual_line_end_and_continuation_are_the_files_own() {
    let cases: [(&str, &[u8], &[u8]); 6] = [
        ("", b"\r\n", b" "),
        ("A:1\nB:1\r\nC:1\n", b"\n", b" "),
        ("A:1\r\nB:1\nC:1\r\n", b"\r\n", b" "),
        ("A:1\r\nB:1\n", b"\r\n", b" "),
        ("A:1\rB:1\r\t1\r\t1\r 2", b"\r", b"\t"),
        ("A:1\r\r\n B:1", b"\r\n", b" "),
    ];
    for (text, eol, fold) in cases {
        let document = parse(text);
        assert_eq!((document.eol(), document.fold()), (eol, fold), "{text:?}");
    }
}

#[test]
fn values_are_unfolded_decoded_and_unescaped() {
    let cases: [(&[u8], &str, &str); 10] = [
        (b"A:x", "x", "x"),
        (b"A:", "", ""),
        (b"A;B=c:x:y", "x:y", "x:y"),
        (b"A;B=\"c:d;e\":x", "x", "x"),
        (b"A;B=c\"d:x", "x", "x"),
        (b"A:one\r\n  two\r\n\tthree", "one twothree", "one twothree"),
        (b"A:\xc3\r\n \xbc", "ü", "ü"),
        (b"A:\xfc \x80", "ü €", "ü €"),
        (
            b"A:a\\nb\\Nc\\,d\\;e\\\\n",
            "a\\nb\\Nc\\,d\\;e\\\\n",
            "a\nb\nc,d;e\\n",
        ),
        (b"A:a\\xb\\", "a\\xb\\", "a\\xb\\"),
    ];
    for (line, value, text) in cases {
        let bytes = [b"BEGIN:X\r\n", line, b"\r\nEND:X\r\n"].concat();
        let document = Document::parse(&bytes).unwrap();
        let found = first(&document);
        assert_eq!(
            (found.value().as_str(), found.text().as_str()),
            (value, text)
        );
        assert_eq!(found.number(), 2);
        assert_eq!(&bytes[found.content_range()], line);
        assert_eq!(found.range().end, found.content_range().end + 2);
    }
}

#[test]
fn parameters() {
    type Params = &'static [(&'static str, &'static [&'static str])];
    let cases: [(&str, Params); 7] = [
        ("A:x", &[]),
        ("A;b=c:x", &[("B", &["c"])]),
        (
            "A;B=\"c;d,e:f\";G=h:x",
            &[("B", &["c;d,e:f"]), ("G", &["h"])],
        ),
        (
            "A;FEATURE=AUDIO,VIDEO,\"X,Y\":x",
            &[("FEATURE", &["AUDIO", "VIDEO", "X,Y"])],
        ),
        ("A;B=x^n^'y^'^^^z:x", &[("B", &["x\n\"y\"^^z"])]),
        ("A;B;C=:x", &[("B", &[""]), ("C", &[""])]),
        ("A;B=c\n  d:x", &[("B", &["c d"])]),
    ];
    for (line, expected) in cases {
        let text = format!("BEGIN:X\n{line}\nEND:X\n");
        let document = parse(&text);
        let line = first(&document);
        let params = line.params();
        let found: Vec<(&str, Vec<&str>)> = params
            .iter()
            .map(|param| {
                (
                    param.name.as_str(),
                    param.values.iter().map(String::as_str).collect(),
                )
            })
            .collect();
        let expected: Vec<(&str, Vec<&str>)> = expected
            .iter()
            .map(|(name, values)| (*name, values.to_vec()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }
    let document = parse("BEGIN:X\nA;F=a,b:x\nEND:X\n");
    assert_eq!(first(&document).param("f").as_deref(), Some("a,b"));
    assert_eq!(first(&document).param("g"), None);
}

#[test]
fn a_line_is_named_in_any_case_and_only_in_full() {
    let document = parse("BEGIN:X\nDtStart;VALUE=DATE:20250101\nEND:X\n");
    let line = first(&document);
    assert!(line.is("DTSTART") && line.is("dtstart"));
    assert!(!line.is("DTSTAR") && !line.is("DTSTARTS"));
}

#[test]
fn escapes_are_undone_by_unescaping() {
    for text in ["", "a,b;c\\d\ne", "\\n", "ü\\"] {
        assert_eq!(unescape_text(&escape_text(text)), text);
    }
}

/// Runs `work` and holds it to a generous time: what is not linear takes minutes.
fn quickly<T>(work: impl FnOnce() -> T) -> T {
    #[expect(clippy::disallowed_methods, reason = "measures its own run time")]
    let begun = std::time::Instant::now();
    let done = work();
    assert!(begun.elapsed() < Duration::from_secs(20));
    done
}

#[test]
fn hostile_input_is_refused_or_reported_in_bounded_time() {
    let deep = "BEGIN:X\n".repeat(100_000);
    assert_eq!(
        quickly(|| Document::parse(deep.as_bytes()).unwrap_err()),
        DocumentError::TooDeep { line: 33 }
    );
    let events = "BEGIN:VEVENT\n".repeat(100_000);
    quickly(|| assert_eq!(parse(&events).components().len(), 100_000));
    let many = "BEGIN:X\nEND:X\n".repeat(MAX_COMPONENTS + 1);
    assert_eq!(
        quickly(|| Document::parse(many.as_bytes()).unwrap_err()),
        DocumentError::TooManyComponents {
            line: 2 * MAX_COMPONENTS + 1
        }
    );
    let long = format!("BEGIN:X\nA:{}\nEND:X\n", "x".repeat(20 << 20));
    assert_eq!(
        quickly(|| Document::parse(long.as_bytes()).unwrap_err()),
        DocumentError::LineTooLong { line: 2 }
    );
    let folded = format!("BEGIN:X\nA:{}\nEND:X\n", "\n x".repeat(3 << 20));
    assert_eq!(
        quickly(|| Document::parse(folded.as_bytes()).unwrap_err()),
        DocumentError::LineTooLong { line: 2 }
    );
    for eol in ["\n", "\r", "\n\r"] {
        let ends = eol.repeat(5 << 20);
        quickly(|| {
            if let Ok(document) = Document::parse(ends.as_bytes()) {
                assert_eq!(document.components(), []);
            }
        });
    }
    let large = vec![b'x'; MAX_BYTES + 1];
    assert_eq!(
        Document::parse(&large).unwrap_err(),
        DocumentError::TooLarge {
            bytes: MAX_BYTES + 1
        }
    );
    let ends = "END:X\n".repeat(300_000);
    let faults = quickly(|| parse(&ends).faults().to_vec());
    assert_eq!(faults.len(), MAX_FAULTS);
    assert_eq!(faults[MAX_FAULTS - 1].what, "and 299901 more faults");
}

/// Calendars with odd folding, line ends, characters and structure.
pub(crate) fn calendars() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[A-Za-z\u{e4}\u{20ac}\u{1f600} \t:;,\\\\\"=_-]{0,90}",
        1 => Just("BEGIN:VEVENT".to_owned()),
        1 => Just("END:VEVENT".to_owned()),
        1 => Just("BEGIN:VALARM".to_owned()),
        1 => Just("END:VALARM".to_owned()),
        1 => Just("BEGIN:VCALENDAR".to_owned()),
        1 => Just("END:VCALENDAR".to_owned()),
        3 => "(DESCRIPTION|SUMMARY;LANGUAGE=de|LOCATION|UID):[a-z\u{fc}\\\\, ]{0,200}",
    ];
    let end = prop_oneof![
        Just("\r\n"),
        Just("\n"),
        Just("\r"),
        Just("\r\n "),
        Just("\n\t"),
        Just("")
    ];
    proptest::collection::vec((piece, end), 0..40).prop_map(|pieces| {
        let mut text = String::new();
        for (piece, end) in pieces {
            let _ = write!(text, "{piece}{end}");
        }
        text.into_bytes()
    })
}

proptest! {
    #[test]
    fn lines_cover_every_byte(bytes in prop_oneof![
        calendars(),
        proptest::collection::vec(any::<u8>(), 0..2000),
    ]) {
        let document = Document::parse(&bytes).unwrap();
        let mut at = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
        for line in document.all_lines() {
            prop_assert_eq!(line.range().start, at);
            prop_assert!(line.range().end > at);
            at = line.range().end;
            let (_, _, _) = (line.name(), line.params(), line.text());
        }
        prop_assert_eq!(at, bytes.len());
        for (index, component) in document.components().iter().enumerate() {
            prop_assert!(component.range.contains(&component.insert_at) || component.insert_at == component.range.end);
            for line in document.lines(index) {
                prop_assert!(component.range.start < line.range().start && line.range().end <= component.range.end);
            }
            if let Some(parent) = component.parent {
                let parent = &document.components()[parent].range;
                prop_assert!(parent.start < component.range.start && component.range.end <= parent.end);
            }
        }
    }
}
