//! Taking a link out for good, and the check of it.

use super::*;

const OPT_OUT: &str = "X-MEETBRIDGE-MEETING:v1.opt-out\r\n";

fn url() -> JoinUrl {
    JoinUrl::new(URL)
}

fn taken_out(bytes: &[u8], opt_out: bool) -> Vec<u8> {
    let document = Document::parse(bytes).unwrap();
    let mut edits = Edits::new();
    for event in events(&document) {
        let out = take_out(&document, &event, &url(), |_| true, opt_out, Some(now()));
        edits.merge(out.unwrap());
    }
    edits.apply(bytes)
}

fn is_right(before: &[u8], after: &[u8]) -> bool {
    let (before, after) = (Document::parse(before), Document::parse(after));
    let (Ok(before), Ok(after)) = (before, after) else {
        return false;
    };
    let (then, now) = (events(&before), events(&after));
    then.len() == now.len()
        && then
            .iter()
            .zip(&now)
            .all(|(a, b)| is_out(&before, a, &after, b, &url(), |_| true))
}

const BODIES: [&str; 8] = [
    "SUMMARY:Talk\n",
    "DESCRIPTION:Agenda\\n1. this\nSUMMARY:Talk\n",
    "DESCRIPTION:\n",
    "DESCRIPTION:It ends in a backslash\\\\\\\n",
    "LOCATION:\nURL:https://example.org/\n",
    "LOCATION:Room 1\nX-OTHER:1\nDTSTAMP:20250301T083000Z\n",
    "CONFERENCE;VALUE=URI;FEATURE=PHONE;LABEL=Attendee dial-in:tel:+1-412-555-0123\n",
    "DESCRIPTION;ALTREP=\"cid:part1\":A text that is so long that its line is full, and then goes on for more\n",
];

#[test]
fn what_was_there_before_is_there_again_with_or_without_a_mark() {
    let plain = BODIES.map(ToOwned::to_owned);
    let with_twins = twins::befores().into_iter().map(|(_, body)| body);
    for body in plain.into_iter().chain(with_twins) {
        let before = calendar(&body);
        for (location, language) in [(Location::Url, "en-US"), (Location::Label, "de-DE")] {
            let case = Case {
                location,
                language,
                ..Case::default()
            };
            let linked = case.attached(before.as_bytes());
            let after = taken_out(&linked, false);
            assert_eq!(String::from_utf8_lossy(&after), before);
            assert!(is_right(&linked, &after), "{body}");
            let marked = taken_out(&linked, true);
            let text = String::from_utf8_lossy(&marked);
            assert_eq!(text.matches(OPT_OUT).count(), 1, "{body}");
            assert_eq!(text.replace(OPT_OUT, ""), before);
            assert!(is_right(&linked, &marked), "{body}");
            // Nothing is left, so nothing is done.
            assert_eq!(taken_out(&marked, true), marked);
            assert_eq!(
                ours(&Document::parse(&after).unwrap(), &events_of(&after)[0]),
                []
            );
            let found = ours(&Document::parse(&linked).unwrap(), &events_of(&linked)[0]);
            assert_eq!(found, [url()], "{body}");
        }
    }
}

fn events_of(bytes: &[u8]) -> Vec<Event> {
    events(&Document::parse(bytes).unwrap())
}

#[test]
fn what_a_person_left_of_a_link_goes_and_what_a_person_wrote_stays() {
    let linked = attached(&calendar("DESCRIPTION:Agenda\nSUMMARY:Talk\n"));
    let unfolded = linked.replace("\r\n ", "");
    let lines = unfolded.split_inclusive("\r\n");
    let gone = ["LOCATION:", "URL:"];
    let left: String = lines
        .filter(|line| !gone.iter().any(|name| line.starts_with(name)))
        .collect();
    let join = format!("Join: {URL}\\n");
    assert!(left.contains(&join));
    // The join line alone: what is left of the block goes.
    let left = left.replace(&join, "");
    let after = taken_out(left.as_bytes(), true);
    let text = String::from_utf8_lossy(&after);
    let bare = text.replace(OPT_OUT, "");
    assert_eq!(bare, calendar("DESCRIPTION:Agenda\nSUMMARY:Talk\n"));
    assert!(is_right(left.as_bytes(), &after));
    // A person's text behind it, and one that holds the URL.
    let more = left.replace("DESCRIPTION:Agenda", &format!("DESCRIPTION:See {URL} now"));
    let more = more.replace("____\\n\r\n", "____\\nThe end\r\n");
    let after = taken_out(more.as_bytes(), false);
    let text = String::from_utf8_lossy(&after).replace("\r\n ", "");
    assert!(
        text.contains(&format!("DESCRIPTION:See {URL} now")),
        "{text}"
    );
    assert!(text.contains("The end") && !text.contains("____"), "{text}");
    assert!(is_right(more.as_bytes(), &after));
    // Another's block of the same shape stays: it has its join line.
    let others =
        format!("DESCRIPTION:{FENCE}\\nMicrosoft Teams meeting\\nJoin: {OTHER}\\n{FENCE}\\n\n");
    let others = calendar(&others);
    assert_eq!(taken_out(others.as_bytes(), true), others.as_bytes());
}

#[test]
fn what_is_left_in_html_goes_with_the_text() {
    let html = "<html><body><p>Agenda</p></body></html>";
    for twin in [
        twins::altrep(html),
        twins::base64(html),
        twins::alt_desc(html) + "DESCRIPTION:Agenda\n",
        twins::folded(&twins::altrep(html), 60),
        twins::alt_desc(html),
    ] {
        let before = calendar(&twin);
        let linked = String::from_utf8(Case::default().attached(before.as_bytes())).unwrap();
        // What people see of it is gone but for the HTML: the block, LOCATION and URL.
        let lines = linked.replace("\r\n ", "");
        let seen = |line: &&str| !line.starts_with("LOCATION:") && !line.starts_with("URL:");
        let lines: String = lines.split_inclusive("\r\n").filter(seen).collect();
        let block = lines.find(FENCE).unwrap()..lines.rfind(FENCE).unwrap() + FENCE.len() + 2;
        let text =
            ["Hello", "Agenda"].map(|text| format!(":{text}\\n\\n{}", &lines[block.clone()]));
        let bare = [format!("DESCRIPTION:{}\r\n", &lines[block.clone()])];
        let left = text.iter().fold(lines.clone(), |left, text| {
            let word = &text[..text.find("\\n").unwrap()];
            left.replace(text.as_str(), word)
        });
        let left = bare.iter().fold(left, |left, line| left.replace(line, ""));
        assert!(!left.contains(FENCE), "{left}");
        let [event] = &events_of(left.as_bytes())[..] else {
            panic!("one event");
        };
        assert!(!shows(event, &url()), "{left}");
        for opt_out in [true, false] {
            let after = taken_out(left.as_bytes(), opt_out);
            let taken = String::from_utf8_lossy(&after).replace(OPT_OUT, "");
            let unfolded = |text: &str| text.replace("\r\n ", "");
            assert_eq!(unfolded(&taken), unfolded(&before));
            assert!(is_right(left.as_bytes(), &after), "{left}");
            assert_eq!(taken_out(&after, opt_out), after);
            // What is left in the HTML is seen, and so is anything else that is lost there.
            let html = format!("<p>Agenda</p>{}", "<hr><p>x</p><hr>");
            let other = taken.replace("<p>Agenda</p>", &html);
            if other != taken {
                assert!(!is_right(left.as_bytes(), other.as_bytes()));
                let lost = taken.replace("<p>Agenda</p>", "<p>Agend</p>");
                assert!(!is_right(left.as_bytes(), lost.as_bytes()));
            }
            let back = taken_out(left.as_bytes(), false);
            assert!(!is_right(left.as_bytes(), left.as_bytes()));
            assert!(is_right(left.as_bytes(), &back));
        }
    }
}

#[test]
fn a_join_line_that_is_gone_does_not_keep_the_html() {
    let linked = attached(&calendar(&twins::altrep("<p>x</p>")));
    let left = linked
        .replace("\r\n ", "")
        .replace(&format!("Join: {URL}\\n"), "");
    let after = taken_out(left.as_bytes(), false);
    let text = String::from_utf8_lossy(&after).replace("\r\n ", "");
    assert_eq!(
        text,
        calendar(&twins::altrep("<p>x</p>")).replace("\r\n ", "")
    );
    assert!(is_right(left.as_bytes(), &after));
}

#[test]
fn the_block_of_another_program_with_the_same_title_stays() {
    let others = format!(
        "DESCRIPTION:{FENCE}\\nMicrosoft Teams meeting\\nJoin on your computer or mobile app\\nClick here to join the meeting<{OTHER}>\\nMeeting ID: 1\\n{FENCE}\\n\n"
    );
    let others = calendar(&others);
    assert_eq!(taken_out(others.as_bytes(), true), others.as_bytes());
}

#[test]
fn a_link_goes_from_the_components_that_are_named() {
    let one = "BEGIN:VEVENT\nUID:a\nDTSTART:20250601T100000Z\nRRULE:FREQ=DAILY\nEND:VEVENT\n";
    let two = "BEGIN:VEVENT\nUID:a\nRECURRENCE-ID:20250602T100000Z\nDTSTART:20250602T110000Z\nEND:VEVENT\n";
    let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\n{one}{two}END:VCALENDAR\n");
    let linked = attached(&text.replace('\n', "\r\n"));
    let document = Document::parse(linked.as_bytes()).unwrap();
    let event = &events(&document)[0];
    let goes = |component: &Component| component.is_override;
    let edits = take_out(&document, event, &url(), goes, false, Some(now())).unwrap();
    let after = edits.apply(linked.as_bytes());
    assert!(property(&after, 2, "CONFERENCE").is_empty());
    assert_eq!(property(&after, 1, "CONFERENCE").len(), 3);
    let changed = Document::parse(&after).unwrap();
    let now = &events(&changed)[0];
    assert!(is_out(&document, event, &changed, now, &url(), goes));
    assert!(!is_out(&document, event, &changed, now, &url(), |_| true));
    assert!(!is_out(&document, event, &changed, now, &url(), |_| false));
}

#[test]
fn the_check_finds_whatever_is_lost_left_or_put_in() {
    let before = calendar("DESCRIPTION:Agenda\nSUMMARY:Talk\nLOCATION:Room 1\nX-OTHER:1\n");
    let linked = attached(&before);
    assert!(is_right(linked.as_bytes(), before.as_bytes()));
    let cases = [
        ("SUMMARY:Talk", "SUMMARY:Tal"),
        ("SUMMARY:Talk\r\n", ""),
        ("SUMMARY:Talk\r\n", "SUMMARY:Talk\r\nCOMMENT:x\r\n"),
        ("DESCRIPTION:Agenda\r\n", ""),
        ("DESCRIPTION:Agenda\r\n", "DESCRIPTION:Agend\r\n"),
        ("DESCRIPTION:Agenda\r\n", "DESCRIPTION:\r\n"),
        ("LOCATION:Room 1\r\n", ""),
        ("LOCATION:Room 1\r\n", "LOCATION:\r\n"),
        ("ACTION:DISPLAY\r\n", ""),
        ("DESCRIPTION:ring", "DESCRIPTION:rin"),
        ("X-OTHER:1\r\nBEGIN", "BEGIN"),
    ];
    for (from, to) in cases {
        let after = before.replacen(from, to, 1);
        assert_ne!(after, before, "{from}");
        assert!(
            !is_right(linked.as_bytes(), after.as_bytes()),
            "{from} → {to}"
        );
    }
    for left in ["CONFERENCE", "X-MICROSOFT", "X-MEETBRIDGE", "URL:"] {
        let unfolded = linked.replace("\r\n ", "");
        let line = unfolded
            .lines()
            .find(|line| line.starts_with(left))
            .unwrap();
        let after = before.replace("BEGIN:VALARM", &format!("{line}\r\nBEGIN:VALARM"));
        assert!(!is_right(unfolded.as_bytes(), after.as_bytes()), "{left}");
    }
}

/// The check once looked at every pair of fences, so that a text of nothing else kept it busy for hours.
#[test]
fn a_text_of_thousands_of_fences_is_checked_as_well() {
    let fences = "_".repeat(80 * 5_000);
    let before = calendar(&format!("DESCRIPTION:{fences}\n"));
    let linked = attached(&before);
    let after = taken_out(linked.as_bytes(), false);
    assert_eq!(String::from_utf8_lossy(&after), before);
    assert!(is_right(linked.as_bytes(), &after));
    let more = String::from_utf8(after).unwrap().replacen("____", "__", 1);
    assert!(!is_right(linked.as_bytes(), more.as_bytes()));
}
