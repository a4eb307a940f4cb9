use chrono::{DateTime, TimeZone, Utc};
use proptest::prelude::*;

mod twins;

use super::*;
use crate::ical::clients::every_client_finds;
use crate::ical::document::ContentLine;
use crate::ical::edit::Edits;
use crate::ical::event::Provider;
use crate::ical::mark::Mark;
use crate::ical::read::read;
use crate::meeting::DialIn;
use crate::model::{ExternalId, OrganizerId};

mod take_out;

const URL: &str = "https://teams.microsoft.com/l/meetup-join/19%3ameeting_NTQ4YjgzNmMtZTY2Mi00%40thread.v2/0?context=%7b%22Tid%22%3a%2272f988bf%22%2c%22Oid%22%3a%22550fae72%22%7d";
const OTHER: &str = "https://teams.microsoft.com/meet/2411234567?p=AbCdEf";
const FENCE: &str =
    "________________________________________________________________________________";

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2025, 3, 1, 8, 30, 0).unwrap()
}

fn key(uid: &str) -> MeetingKey {
    MeetingKey {
        tenant: "contoso.onmicrosoft.com".to_owned(),
        organizer: OrganizerId::new("11111111-1111-1111-1111-111111111111").unwrap(),
        external_id: ExternalId::stored(uid),
    }
}

fn details() -> Details {
    Details {
        meeting_id: Some("241 123 456 789".to_owned()),
        passcode: Some("abcDEF".to_owned()),
        dial_in: Some(DialIn {
            dialin_url: Some("https://dialin.teams.microsoft.com/8d9?id=123456789".to_owned()),
            conference_id: Some("123 456 789".to_owned()),
            toll_numbers: vec!["+49 69 1234567".to_owned()],
            toll_free_numbers: vec!["+49 800 1234567".to_owned()],
            quick_dial: None,
        }),
        ..Details::default()
    }
}

/// What a test writes, and from which it can deviate.
struct Case {
    url: &'static str,
    key: MeetingKey,
    details: Details,
    location: Location,
    language: &'static str,
    show: &'static [Show],
    replaces: Option<JoinUrl>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            url: URL,
            key: key("a"),
            details: details(),
            location: Location::Url,
            language: "en-US",
            show: &Show::DEFAULT,
            replaces: None,
        }
    }
}

impl Case {
    fn attachment<'a>(&'a self, join_url: &'a JoinUrl) -> Attachment<'a> {
        Attachment {
            key: &self.key,
            generation: 0,
            join_url,
            details: &self.details,
            show: self.show,
            language: self.language,
            location: self.location,
        }
    }

    /// The bytes with every link that is outdated rewritten, and whether one was.
    fn rewritten(&self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let document = Document::parse(bytes).unwrap();
        let join_url = JoinUrl::new(self.url);
        let attachment = self.attachment(&join_url);
        let (mut edits, mut outdated) = (Edits::new(), false);
        for event in events(&document) {
            outdated |= is_outdated(&document, &event, &attachment);
            edits.merge(rewrite(&document, &event, &attachment, Some(now())).unwrap());
        }
        (edits.apply(bytes), outdated)
    }

    fn edits(&self, bytes: &[u8]) -> Result<Edits, WriteFault> {
        let document = Document::parse(bytes).unwrap();
        let join_url = JoinUrl::new(self.url);
        let attachment = self.attachment(&join_url);
        let mut edits = Edits::new();
        for event in events(&document) {
            edits.merge(attach(
                &document,
                &event,
                &attachment,
                self.replaces.as_ref(),
                Some(now()),
            )?);
        }
        Ok(edits)
    }

    /// With the link, which every client finds.
    fn attached(&self, bytes: &[u8]) -> Vec<u8> {
        let after = self.edits(bytes).unwrap().apply(bytes);
        every_client_finds(&after, self.url);
        after
    }
}

fn events(document: &Document<'_>) -> Vec<Event> {
    read(document, chrono_tz::UTC, now()).events
}

fn attached(text: &str) -> String {
    String::from_utf8(Case::default().attached(text.as_bytes())).unwrap()
}

fn detached(bytes: &[u8], url: &str) -> Vec<u8> {
    let document = Document::parse(bytes).unwrap();
    let mut edits = Edits::new();
    for event in events(&document) {
        edits.merge(detach(&document, &event, &JoinUrl::new(url)).unwrap());
    }
    edits.apply(bytes)
}

/// A calendar with one event that has these lines, each with CRLF.
fn calendar(lines: &str) -> String {
    let text = format!(
        "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:a\nDTSTART:20250601T100000Z\n{lines}BEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:ring\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n"
    );
    text.replace('\n', "\r\n")
}

/// The properties of component `index` with this name: parameters and value, unfolded.
fn property(bytes: &[u8], index: usize, name: &str) -> Vec<String> {
    let document = Document::parse(bytes).unwrap();
    document
        .lines(index)
        .filter(|line| line.is(name))
        .map(|line| String::from_utf8_lossy(&line.logical()[name.len()..]).into_owned())
        .collect()
}

fn description(bytes: &[u8], index: usize) -> String {
    let document = Document::parse(bytes).unwrap();
    let mut lines = document.lines(index);
    lines
        .find(|line| line.is("DESCRIPTION"))
        .map(|line| line.text())
        .unwrap()
}

#[test]
fn a_link_consists_of_exactly_these_lines() {
    let before = calendar("SUMMARY:Talk\n");
    let block = format!(
        "{FENCE}\\nMicrosoft Teams meeting\\nJoin: {URL}\\nMeeting ID: 241 123 456 789\\nPasscode: abcDEF\\nDial in: +49 69 1234567\\,\\,123456789#\\nDial in toll-free: +49 800 1234567\\,\\,123456789#\\nFind a local number: https://dialin.teams.microsoft.com/8d9?id=123456789\\n{FENCE}\\n"
    );
    let after = attached(&before);
    let unfolded = after.replace("\r\n ", "");
    let block_text = block.replace("\\n", "\n").replace("\\,", ",");
    let text = format!(
        "{block_text}Join Microsoft Teams meeting {URL}\nFind a local number for Microsoft Teams meeting https://dialin.teams.microsoft.com/8d9?id=123456789\nDial in to Microsoft Teams meeting tel:+49691234567,,123456789#\n{URL}"
    );
    let mark = format!(
        "v1.{}.{}.dlu.0",
        key("a").digest(),
        Mark::digest_of(&ExternalId::stored("a"), &JoinUrl::new(URL), &text)
    );
    let written = format!(
        "DESCRIPTION:{block}\r\nLOCATION:{URL}\r\nURL:{URL}\r\nCONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO;LABEL=Join Microsoft Teams meeting:{URL}\r\nCONFERENCE;VALUE=URI;FEATURE=PHONE;LABEL=Find a local number for Microsoft Teams meeting:https://dialin.teams.microsoft.com/8d9?id=123456789\r\nCONFERENCE;VALUE=URI;FEATURE=PHONE;LABEL=Dial in to Microsoft Teams meeting:tel:+49691234567,,123456789#\r\nX-MICROSOFT-SKYPETEAMSMEETINGURL:{URL}\r\nX-MEETBRIDGE-MEETING:{mark}\r\n"
    );
    let expected = before.replace("BEGIN:VALARM", &format!("{written}BEGIN:VALARM"));
    assert_eq!(unfolded, expected);
    assert!(verify(
        &Document::parse(before.as_bytes()).unwrap(),
        after.as_bytes()
    ));
}

/// What an event may have before it is linked: what it is called, and its lines.
fn befores() -> Vec<(&'static str, String)> {
    let cases = [
        ("nothing", ""),
        ("a description", "DESCRIPTION:Bring cake\\, please\n"),
        ("an empty description", "DESCRIPTION:\n"),
        ("a description of blanks", "DESCRIPTION: \\n\n"),
        (
            "parameters",
            "DESCRIPTION;LANGUAGE=de;ALTREP=\"data:text/html,x\":Kuchen\n",
        ),
        ("a line of 75", &format!("DESCRIPTION:{}\n", "x".repeat(63))),
        ("a line of 74", &format!("DESCRIPTION:{}\n", "x".repeat(62))),
        ("a long line", &format!("DESCRIPTION:{}\n", "x".repeat(300))),
        ("an empty continuation", "DESCRIPTION:x\n \n"),
        (
            "a full line and an empty continuation",
            &format!("DESCRIPTION:{}\n \n", "x".repeat(63)),
        ),
        ("tabs", "DESCRIPTION:one\n\ttwo\n\tthree\n"),
        ("a lone backslash at the end", "DESCRIPTION:a\\\n"),
        (
            "a lone backslash at the end of a full line",
            &format!("DESCRIPTION:{}\\\n", "x".repeat(62)),
        ),
        ("two backslashes at the end", "DESCRIPTION:a\\\\\n"),
        (
            "a block of somebody else",
            &format!("DESCRIPTION:a\\n{FENCE}\\nJoin: https://zoom.example/j/1\\n{FENCE}\\n\n"),
        ),
        (
            "a location with a link",
            "LOCATION:https://example.org/map\n",
        ),
        ("a location of tabs and breaks", "LOCATION:\t\\n \n"),
        ("an empty location", "LOCATION;LANGUAGE=de:\n"),
        ("a blank location", "LOCATION: \n"),
        ("a location", "LOCATION:Room 5\n"),
        ("a URL", "URL:https://example.org/\n"),
        ("an empty URL", "URL:\n"),
        (
            "another conference",
            "CONFERENCE;VALUE=URI;FEATURE=PHONE:tel:+1555\n",
        ),
        (
            "stamps",
            "DTSTAMP:20250301T083000Z\nLAST-MODIFIED:20250301T083000Z\n",
        ),
        ("broken lines", "this is no line\nSUMMARY:x\n:\n"),
        (
            "lower case",
            "description:x\nlocation:\nurl:https://example.org\n",
        ),
    ];
    let plain = cases.map(|(name, lines)| (name, lines.to_owned()));
    plain.into_iter().chain(twins::befores()).collect()
}

#[test]
fn what_is_there_stays_and_is_restored() {
    let cases = befores();
    for location in [Location::Url, Location::Label, Location::Never] {
        for (name, lines) in &cases {
            for eol in ["\r\n", "\n", "\r", "\r\r\n"] {
                let before = calendar(lines).replace("\r\n", eol);
                let case = Case {
                    location,
                    ..Case::default()
                };
                let after = case.attached(before.as_bytes());
                assert!(
                    verify(&Document::parse(before.as_bytes()).unwrap(), &after),
                    "{name}"
                );
                assert_ne!(after, before.as_bytes(), "{name}");
                assert!(case.edits(&after).unwrap().is_empty(), "{name}: twice");
                let document = Document::parse(&after).unwrap();
                let event = &events(&document)[0];
                assert_eq!(
                    missing(event, &JoinUrl::new(URL), location),
                    BTreeSet::new()
                );
                assert!(shows(event, &JoinUrl::new(URL)), "{name}");
                assert_eq!(
                    String::from_utf8(detached(&after, URL)).unwrap(),
                    before,
                    "{name}, {location:?}, {eol:?}"
                );
            }
        }
    }
}

/// The lines of all components, unfolded and sorted.
fn sorted(bytes: &[u8]) -> Vec<String> {
    let document = Document::parse(bytes).unwrap();
    let lines = document.all_lines();
    let mut lines: Vec<_> = lines
        .map(|line| String::from_utf8_lossy(&line.logical()).into_owned())
        .collect();
    lines.sort();
    lines
}

/// Ways to write a link, all different.
fn ways() -> [Case; 5] {
    [
        Case::default(),
        Case {
            language: "de-DE",
            ..Case::default()
        },
        Case {
            show: &[Show::MeetingId, Show::Chat],
            location: Location::Label,
            ..Case::default()
        },
        Case {
            show: &[],
            language: "ja",
            location: Location::Never,
            ..Case::default()
        },
        Case {
            details: Details::default(),
            ..Case::default()
        },
    ]
}

#[test]
fn a_rewritten_link_is_as_if_it_were_written_now_and_is_taken_out_the_same_way() {
    for (name, lines) in befores() {
        for eol in ["\r\n", "\n"] {
            let before = calendar(&lines).replace("\r\n", eol);
            for (m, one) in ways().iter().enumerate() {
                for (n, other) in ways().iter().enumerate() {
                    // What one line end shows, another need not show for each pair.
                    if eol == "\n" && n > 0 && n != m {
                        continue;
                    }
                    let label = format!("{name}, {eol:?}, from {m} to {n}");
                    let first = one.attached(before.as_bytes());
                    let (second, outdated) = other.rewritten(&first);
                    every_client_finds(&second, other.url);
                    assert_eq!(outdated, m != n, "{label}");
                    assert_eq!(second == first, m == n, "{label}");
                    assert_eq!(
                        sorted(&second),
                        sorted(&other.attached(before.as_bytes())),
                        "{label}"
                    );
                    assert_eq!(
                        other.rewritten(&second),
                        (second.clone(), false),
                        "{label}: twice"
                    );
                    assert!(other.edits(&second).unwrap().is_empty(), "{label}");
                    assert_eq!(
                        String::from_utf8(detached(&second, URL)).unwrap(),
                        before,
                        "{label}"
                    );
                    let documents = [&first, &second].map(|bytes| Document::parse(bytes).unwrap());
                    let [then, now] = documents.map(|document| {
                        let event = &events(&document)[0];
                        bare(&document, event, &JoinUrl::new(URL))
                    });
                    assert_eq!(then, now, "{label}");
                }
            }
        }
    }
}

#[test]
fn a_rewritten_block_stays_where_a_person_has_put_it() {
    let german = Case {
        language: "de",
        ..Case::default()
    };
    for length in [1, 2, 3, 40, 60, 70, 71, 72, 73, 74, 200] {
        let notes = "n".repeat(length);
        let linked = attached(&calendar("DESCRIPTION:Cake\n"));
        // Behind the block, in lines of whatever length, and in front of it.
        let behind = linked.replace("\r\nLOCATION", &format!("{notes}\r\nLOCATION"));
        let folded = linked.replace("\r\nLOCATION", &format!("\r\n {notes}\r\nLOCATION"));
        let moved = behind.replace("DESCRIPTION:Cake\\n\\n", "DESCRIPTION:");
        for edited in [behind, folded, moved] {
            let (rewritten, outdated) = german.rewritten(edited.as_bytes());
            assert!(outdated);
            let text = description(&rewritten, 1);
            assert!(text.ends_with(&format!("{FENCE}\n{notes}")), "{text}");
            assert!(text.contains("Teilnehmen: https://"), "{text}");
            assert_eq!(text.matches(FENCE).count(), 2);
            assert_eq!(
                text.starts_with("Cake\n\n____"),
                edited.contains("Cake"),
                "{text}"
            );
            let original = detached(edited.as_bytes(), URL);
            assert_eq!(detached(&rewritten, URL), original, "{length}");
            assert_eq!(german.rewritten(&rewritten), (rewritten.clone(), false));
            let (back, _) = Case::default().rewritten(&rewritten);
            assert_eq!(description(&back, 1), description(edited.as_bytes(), 1));
        }
    }
}

#[test]
fn what_a_person_made_of_a_link_is_no_reason_to_rewrite_it() {
    let linked = attached(&calendar("DESCRIPTION:Cake\n")).replace("\r\n ", "");
    let german = Case {
        language: "de",
        ..Case::default()
    };
    let noted = linked.replace("Passcode: abcDEF", "Passcode: none needed");
    let open = linked.replace(&format!("{FENCE}\\n\r\n"), "\r\n");
    let placed = linked.replace(&format!("\r\nLOCATION:{URL}"), "\r\nLOCATION:Room 5");
    let renamed = linked.replace("LABEL=Dial in", "LABEL=Call");
    for edited in [&noted, &open, &placed, &renamed] {
        assert_ne!(edited, &linked);
        assert_eq!(
            Case::default().rewritten(edited.as_bytes()),
            (edited.clone().into_bytes(), false)
        );
    }
    // Whatever else is written anew: a block that cannot be found stays, and so does another place.
    let (rewritten, _) = german.rewritten(open.as_bytes());
    assert_eq!(description(&rewritten, 1), description(open.as_bytes(), 1));
    assert_eq!(german.rewritten(&rewritten), (rewritten.clone(), false));
    let (rewritten, _) = german.rewritten(placed.as_bytes());
    assert_eq!(property(&rewritten, 1, "LOCATION"), [":Room 5"]);
    assert_eq!(german.rewritten(&rewritten), (rewritten.clone(), false));
    let (rewritten, _) = german.rewritten(renamed.as_bytes());
    assert_eq!(property(&rewritten, 1, "CONFERENCE").len(), 3);
    // Without its mark, the text of the block tells, however a server breaks its lines.
    let end = linked.find("X-MEETBRIDGE").unwrap();
    let unmarked = [
        &linked[..end],
        &linked[linked.find("BEGIN:VALARM").unwrap()..],
    ]
    .concat();
    let unmarked = unmarked.replace(&format!("{FENCE}\\n"), &format!(" {FENCE} \\n\\n"));
    assert!(!Case::default().rewritten(unmarked.as_bytes()).1);
    assert!(german.rewritten(unmarked.as_bytes()).1);
    // A mark of another version is nobody's to judge.
    let later = linked.replace("MEETING:v1.", "MEETING:v9.");
    assert!(!german.rewritten(later.as_bytes()).1);
}

#[test]
fn a_location_that_was_left_alone_is_not_missing() {
    let never = Case {
        location: Location::Never,
        ..Case::default()
    };
    let linked = never.attached(calendar("DESCRIPTION:Cake\n").as_bytes());
    let document = Document::parse(&linked).unwrap();
    let event = &events(&document)[0];
    assert!(missing(event, &JoinUrl::new(URL), Location::Url).is_empty());
    let (rewritten, outdated) = Case::default().rewritten(&linked);
    assert!(outdated);
    assert_eq!(property(&rewritten, 1, "LOCATION"), [format!(":{URL}")]);
}

#[test]
fn a_location_gets_what_is_configured_if_it_has_nothing() {
    // What stands in LOCATION, by what is configured.
    let cases = [
        ("", [URL, LOCATION_LABEL, "none"]),
        ("LOCATION:\n", [URL, LOCATION_LABEL, ""]),
        ("LOCATION;X-A=b: \n", [URL, LOCATION_LABEL, ""]),
        ("LOCATION:\\n\n", [URL, LOCATION_LABEL, ""]),
        ("LOCATION:Room 5\n", ["Room 5"; 3]),
        (
            "LOCATION:https://example.org/\n",
            ["https://example.org/"; 3],
        ),
    ];
    for (lines, expected) in cases {
        let locations = [Location::Url, Location::Label, Location::Never];
        for (location, expected) in locations.into_iter().zip(expected) {
            let case = Case {
                location,
                ..Case::default()
            };
            let before = calendar(lines);
            let after = case.attached(before.as_bytes());
            let document = Document::parse(&after).unwrap();
            let line = document.lines(1).find(|line| line.is("LOCATION"));
            let text = line.map_or("none".to_owned(), |line| line.text().trim().to_owned());
            assert_eq!(text, expected, "{lines:?}, {location:?}");
            assert_eq!(detached(&after, URL), before.as_bytes(), "{lines:?}");
        }
    }
}

#[test]
fn only_what_is_lacking_is_written() {
    let before = calendar("DESCRIPTION:Cake\n");
    let whole = attached(&before);
    let document = Document::parse(whole.as_bytes()).unwrap();
    let names = [
        ("LOCATION", Place::Location),
        ("URL", Place::Url),
        ("CONFERENCE", Place::Conference),
        ("X-MICROSOFT-SKYPETEAMSMEETINGURL", Place::SkypeTeams),
    ];
    for (name, place) in names {
        let line = document.lines(1).find(|line| line.is(name)).unwrap();
        let mut without = Edits::new();
        without.remove(line.range());
        let without = without.apply(whole.as_bytes());
        let reread = Document::parse(&without).unwrap();
        let event = &events(&reread)[0];
        assert_eq!(
            missing(event, &JoinUrl::new(URL), Location::Url),
            BTreeSet::from([place])
        );
        let restored = Case::default().attached(&without);
        let sorted = |bytes: &[u8]| {
            let document = Document::parse(bytes).unwrap();
            let mut lines: Vec<_> = document.lines(1).map(|line| line.logical()).collect();
            lines.sort();
            lines.iter().map(|line| line.to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(sorted(&restored), sorted(whole.as_bytes()), "{name}");
    }
    let cut = whole.find("\\n\\n____").unwrap();
    let end = whole.find("LOCATION").unwrap() - 2;
    let without = [&whole[..cut], &whole[end..]].concat();
    assert_eq!(attached(&without), whole);
}

#[test]
fn stamps_move_only_with_a_real_write() {
    let before = calendar(
        "DTSTAMP:20200101T000000Z\nLAST-MODIFIED;X-A=b:20200101T000000Z\nCREATED:20200101T000000Z\nSEQUENCE:3\n",
    );
    let after = attached(&before);
    assert_eq!(
        property(after.as_bytes(), 1, "DTSTAMP"),
        [":20250301T083000Z"]
    );
    assert_eq!(
        property(after.as_bytes(), 1, "LAST-MODIFIED"),
        [";X-A=b:20250301T083000Z"]
    );
    assert_eq!(
        property(after.as_bytes(), 1, "CREATED"),
        [":20200101T000000Z"]
    );
    assert_eq!(property(after.as_bytes(), 1, "SEQUENCE"), [":3"]);
    let old = after.replace("20250301T083000Z", "20240101T000000Z");
    assert_eq!(attached(&old), old);
    let floating = calendar("DTSTAMP:20200101T000000\n");
    assert!(attached(&floating).contains("DTSTAMP:20200101T000000\r\n"));
}

/// A master and three overrides: plain, cancelled, with a Zoom link.
fn series() -> String {
    let mut text = "BEGIN:VCALENDAR\nVERSION:2.0\n".to_owned();
    for (day, lines) in [
        (1, "RRULE:FREQ=DAILY;COUNT=9\n"),
        (2, "RECURRENCE-ID:20250602T100000Z\n"),
        (3, "RECURRENCE-ID:20250603T100000Z\nSTATUS:CANCELLED\n"),
        (
            4,
            "RECURRENCE-ID:20250604T100000Z\nLOCATION:https://zoom.us/j/123\n",
        ),
    ] {
        text += &format!(
            "BEGIN:VEVENT\nUID:a\nDTSTAMP:20200101T000000Z\nDTSTART:2025060{day}T100000Z\n{lines}END:VEVENT\n"
        );
    }
    text + "END:VCALENDAR\n"
}

#[test]
fn overrides_get_the_same_link_unless_cancelled_or_linked_elsewhere() {
    let before = series();
    let after = attached(&before);
    for (index, links) in [(1, 1), (2, 1), (3, 0), (4, 0)] {
        let found = property(after.as_bytes(), index, SKYPE_TEAMS);
        assert_eq!(found.len(), links, "{index}");
        let stamp = property(after.as_bytes(), index, "DTSTAMP");
        assert_eq!(stamp[0] == ":20250301T083000Z", links == 1, "{index}");
    }
    let document = Document::parse(after.as_bytes()).unwrap();
    let event = &events(&document)[0];
    assert!(missing(event, &JoinUrl::new(URL), Location::Url).is_empty());
    assert_eq!(attached(&after), after);
    let restored = detached(after.as_bytes(), URL);
    let restored = String::from_utf8(restored).unwrap();
    assert_eq!(
        restored.replace("20250301T083000Z", "20200101T000000Z"),
        before
    );
}

#[test]
fn a_copied_link_is_replaced_in_one_go() {
    for lines in [
        "",
        "DESCRIPTION:Cake\nLOCATION:\n",
        "DESCRIPTION:\nURL:https://example.org/\n",
        &format!("DESCRIPTION:{}\n", "x".repeat(63)),
    ] {
        let original = calendar(lines);
        let copied = Case {
            url: OTHER,
            key: key("other"),
            ..Case::default()
        }
        .attached(original.as_bytes());
        let replacing = Case {
            replaces: Some(JoinUrl::new(OTHER)),
            ..Case::default()
        };
        let replaced = replacing.attached(&copied);
        assert_eq!(
            String::from_utf8(replaced.clone()).unwrap(),
            attached(&original)
        );
        assert!(replacing.edits(&replaced).unwrap().is_empty());
    }
}

#[test]
fn a_block_with_text_behind_it_leaves_that_text() {
    let original = calendar("DESCRIPTION:Cake\n");
    let linked = attached(&original);
    let at = linked.find("\r\nLOCATION").unwrap();
    let behind = format!("{}Bring {}{}", &linked[..at], "x".repeat(20), &linked[at..]);
    let after = detached(behind.as_bytes(), URL);
    assert_eq!(
        description(&after, 1),
        format!("Cake\n\nBring {}", "x".repeat(20))
    );
    assert_narrow(&after, &[]);
}

#[test]
fn leftovers_go_unless_they_belong_to_another_link() {
    let original = calendar("DESCRIPTION:Cake\n");
    let linked = attached(&original);
    let document = Document::parse(linked.as_bytes()).unwrap();
    let mut edits = Edits::new();
    for line in document.lines(1).filter(|line| line.value().contains(URL)) {
        edits.remove(line.range());
    }
    let leftovers = edits.apply(linked.as_bytes());
    assert_eq!(property(&leftovers, 1, "CONFERENCE").len(), 2);
    let without_description = calendar("");
    assert_eq!(detached(&leftovers, URL), without_description.as_bytes());
    assert_eq!(detached(linked.as_bytes(), OTHER), linked.as_bytes());
}

#[test]
fn the_mark_follows_what_a_person_made_of_a_part_that_is_restored() {
    // What was there, which property a person takes out with the link in it, and what they leave of it.
    let cases = [
        ("DESCRIPTION:Agenda\n", "DESCRIPTION", ""),
        ("DESCRIPTION:Agenda\n", "DESCRIPTION", "DESCRIPTION:\n"),
        ("", "DESCRIPTION", "DESCRIPTION:\n"),
        ("", "LOCATION", "LOCATION:\n"),
        ("LOCATION:\n", "LOCATION", ""),
        ("URL:https://example.org/\n", "URL", ""),
    ];
    for (before, name, left) in cases {
        let alarm = "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:ring\r\nEND:VALARM\r\n";
        let event = |lines: &str| calendar(lines).replace(alarm, "");
        let linked = attached(&event(before));
        let mut taken = false;
        let edited: String = linked
            .split_inclusive('\n')
            .map(|line| {
                taken = line.starts_with(&format!("{name}:")) || (taken && line.starts_with(' '));
                match (taken, line.starts_with(' ')) {
                    (true, false) => left,
                    (true, true) => "",
                    (false, _) => line,
                }
            })
            .collect();
        let restored = Case::default().attached(edited.as_bytes());
        let document = Document::parse(edited.as_bytes()).unwrap();
        assert!(verify(&document, &restored), "{before}{left}");
        let marks = property(&restored, 1, "X-MEETBRIDGE-MEETING");
        assert_eq!(marks.len(), 1, "{before}{left}");
        let back = String::from_utf8(detached(&restored, URL)).unwrap();
        let expected = match before.is_empty() || before.starts_with(name) {
            true => left.to_owned(),
            false => before.to_owned() + left,
        };
        let lines = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(lines(&back), lines(&event(&expected)), "{before}{left}");
        // What stands is not written again.
        assert!(Case::default().edits(&restored).unwrap().is_empty());
    }
}

#[test]
fn the_mark_of_ours_that_says_something_else_gives_way() {
    let cases = [
        ("v1.opt-out", true),
        ("v1.000000000000000000000000.0000000000000000.-.0", true),
        ("v9.something", false),
    ];
    for (mark, gives_way) in cases {
        let before = calendar(&format!("X-MEETBRIDGE-MEETING:{mark}\n"));
        let after = attached(&before);
        let marks = property(after.as_bytes(), 1, "X-MEETBRIDGE-MEETING");
        assert_eq!(marks.len(), 1);
        assert_eq!(marks[0] != format!(":{mark}"), gives_way, "{mark}");
        assert_eq!(attached(&after), after, "{mark}");
    }
}

#[test]
fn what_cannot_be_written_safely_is_left_with_a_reason() {
    let faulty = |text: &str| Case::default().edits(text.as_bytes()).unwrap_err();
    let plain = calendar("");
    assert_eq!(
        faulty(&plain.replace("END:VEVENT\r\n", "")),
        WriteFault::NotClosed { line: 3 }
    );
    assert_eq!(
        faulty(&plain.replace("END:VALARM\r\n", "")),
        WriteFault::NotClosed { line: 3 }
    );
    assert_eq!(
        faulty(&plain.replace("VERSION:2.0", "VERSION:1.0")),
        WriteFault::VCalendar1 { line: 3 }
    );
    assert_eq!(
        faulty(&calendar("DESCRIPTION;ENCODING=quoted-printable:=C3\n")),
        WriteFault::Encoded {
            line: 6,
            encoding: "QUOTED-PRINTABLE"
        }
    );
    // With the block behind it, the value would begin at a colon of the block.
    let hidden = "DESCRIPTION;ALTREP=\"data:text/html,a\"b\n";
    assert_eq!(faulty(&calendar(hidden)), WriteFault::Quotes { line: 6 });
    for url in [
        "",
        "ftp://x",
        "https://x\r\nATTENDEE:mailto:a@b",
        "https://x y",
        "https://ü",
        "https://",
    ] {
        let case = Case {
            url,
            ..Case::default()
        };
        assert_eq!(
            case.edits(plain.as_bytes()).unwrap_err(),
            WriteFault::JoinUrl
        );
    }
    let fragment = "BEGIN:VEVENT\nUID:a\nDTSTART:20250601T100000Z\nEND:VEVENT";
    assert!(attached(fragment).ends_with("\nEND:VEVENT"));
    let document = Document::parse(b"").unwrap();
    let other = Document::parse(plain.as_bytes()).unwrap();
    assert_eq!(
        detach(&document, &events(&other)[0], &JoinUrl::new(URL)).unwrap_err(),
        WriteFault::Stale
    );
}

#[test]
fn a_file_in_another_character_set_gets_ascii_alone() {
    let before = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20250601T100000Z\r\nDESCRIPTION:K\xe4se\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".to_vec();
    let mut case = Case::default();
    case.details.passcode = Some("äö".to_owned());
    let after = case.attached(&before);
    assert!(verify(&Document::parse(&before).unwrap(), &after));
    let high = |bytes: &[u8]| bytes.iter().filter(|byte| !byte.is_ascii()).count();
    assert_eq!(high(&after), high(&before));
    assert!(description(&after, 1).starts_with("Käse\n\n____"));
    assert_eq!(detached(&after, URL), before);
}

#[test]
fn a_url_with_text_escapes_reads_back_byte_for_byte() {
    let url = "https://teams.microsoft.com/meet/1;a=b,c?p=\\n";
    let case = Case {
        url,
        ..Case::default()
    };
    let after = case.attached(calendar("").as_bytes());
    let document = Document::parse(&after).unwrap();
    let mut seen = 0;
    for line in document.lines(1) {
        if line.is("URL") {
            assert_eq!(line.value(), url);
            seen += 1;
        } else if line.is("LOCATION") || line.is(SKYPE_TEAMS) {
            assert_eq!(line.text(), url);
            seen += 1;
        }
    }
    assert_eq!(seen, 3);
    let join_url = JoinUrl::new(url);
    let [event] = &events(&document)[..] else {
        panic!("one event");
    };
    assert_eq!(missing(event, &join_url, Location::Url), BTreeSet::new());
    assert_eq!(detached(&after, url), calendar("").as_bytes());
}

#[test]
fn a_link_goes_even_if_an_override_without_it_has_no_end() {
    let before = series().replace("DTSTAMP:20200101T000000Z\n", "").replace(
        "END:VCALENDAR",
        "BEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID:20250701T100000Z\r\nSTATUS:CANCELLED\r\nEND:VCALENDAR",
    );
    let after = Case::default().attached(before.as_bytes());
    assert_ne!(after, before.as_bytes());
    assert_eq!(detached(&after, URL), before.as_bytes());
}

#[test]
fn verify_sees_a_lost_byte_but_no_new_stamp() {
    let before = calendar("DTSTAMP:20200101T000000Z\nSUMMARY:abc\n");
    let document = Document::parse(before.as_bytes()).unwrap();
    let stamped = before.replace("20200101T000000Z", "20250301T083000Z");
    assert!(verify(&document, stamped.as_bytes()));
    assert!(verify(&document, before.as_bytes()));
    assert!(!verify(
        &document,
        before.replace("SUMMARY:abc", "SUMMARY:ab").as_bytes()
    ));
    assert!(!verify(&document, b""));
}

/// Every physical line that is not one of `before` is at most 75 octets and whole characters.
fn assert_narrow(after: &[u8], before: &[u8]) {
    let lines = |bytes: &'_ [u8]| -> Vec<Vec<u8>> {
        bytes
            .split(|byte| b"\r\n".contains(byte))
            .map(<[u8]>::to_vec)
            .collect()
    };
    let old = lines(before);
    for line in lines(after) {
        let grown = old
            .iter()
            .any(|old| old.len() >= 75 && line.starts_with(old));
        if !grown {
            assert!(line.len() <= 75, "{}", String::from_utf8_lossy(&line));
            assert!(std::str::from_utf8(&line).is_ok());
        }
    }
}

/// Whether `before` is what is left of `after` when some bytes are taken out.
fn is_subsequence(before: &[u8], after: &[u8]) -> bool {
    let mut rest = after.iter();
    before.iter().all(|byte| rest.any(|found| found == byte))
}

/// A property whose value is folded at odd places, and never inside a character.
fn folded(name: &'static str) -> impl Strategy<Value = String> {
    let piece = "[a-z\u{e4}\u{20ac}\u{1f600} ]{0,70}|\\\\\\\\|\\\\n|\\\\,";
    let fold = prop_oneof![Just("\n "), Just("\n\t"), Just("\n \n\t"), Just("")];
    proptest::collection::vec((piece, fold), 0..6).prop_map(move |pieces| {
        let value: String = pieces.iter().flat_map(|(a, b)| [a.as_str(), *b]).collect();
        format!("{name}:{value}\n")
    })
}

/// Calendars with one event in all sorts of shapes.
fn event() -> impl Strategy<Value = String> {
    let optional = |name| prop_oneof![Just(String::new()), folded(name)];
    (
        optional("DESCRIPTION"),
        prop_oneof![
            optional("LOCATION"),
            Just("LOCATION:\n".to_owned()),
            Just("LOCATION;X=1:\n \n".to_owned())
        ],
        optional("COMMENT"),
        prop_oneof![Just(""), Just("URL:https://example.org/\n")],
        prop_oneof![Just(""), Just("DTSTAMP:20200101T000000Z\n")],
        prop_oneof![Just("\r\n"), Just("\n"), Just("\r")],
    )
        .prop_map(|(description, location, comment, url, stamp, eol)| {
            let lines = [&description, url, &comment, stamp, &location].concat();
            calendar(&lines).replace("\r\n", eol)
        })
}

/// The languages of the labels, one that has none, and none.
fn language() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "en-US",
            "de-DE",
            "fr",
            "es",
            "it",
            "nl",
            "pl",
            "pt-BR",
            "pt-PT",
            "ru",
            "uk",
            "ja",
            "zh-CN",
            "zh-TW",
            "zh-Hant-HK",
            "eo",
            "",
        ][..],
    )
}

proptest! {
    #[test]
    fn attaching_is_additive_idempotent_narrow_and_reversible(
        before in event(),
        (language, later) in (language(), language()),
    ) {
        let case = Case { language, ..Case::default() };
        let bytes = before.as_bytes();
        let after = case.attached(bytes);
        let stamped = before.replace("DTSTAMP:20200101T000000Z", "DTSTAMP:20250301T083000Z");
        prop_assert!(is_subsequence(stamped.as_bytes(), &after));
        prop_assert!(verify(&Document::parse(bytes).unwrap(), &after));
        let case = Case { language: later, ..case };
        prop_assert!(case.edits(&after).unwrap().is_empty());
        assert_narrow(&after, bytes);
        let urls: Vec<_> = {
            let document = Document::parse(&after).unwrap();
            let ours = |line: &ContentLine<'_>| line.is(SKYPE_TEAMS) || line.is("CONFERENCE");
            document.lines(1).filter(ours).map(|line| line.value()).collect()
        };
        prop_assert_eq!(urls.iter().filter(|url| *url == URL).count(), 2);
        prop_assert_eq!(String::from_utf8(detached(&after, URL)).unwrap(), stamped);
    }

    #[test]
    fn no_document_makes_reading_or_writing_panic(
        bytes in crate::ical::document::tests::calendars(),
    ) {
        let document = Document::parse(&bytes).unwrap();
        for line in document.all_lines() {
            prop_assert_eq!(line.located().text, line.text());
        }
        if let Ok(edits) = Case::default().edits(&bytes) {
            let after = edits.apply(&bytes);
            prop_assert!(verify(&document, &after));
            let _ = detached(&after, URL);
        }
    }
}

/// A meeting whose host is no provider's that the reader knows: a join URL is opaque.
const OPAQUE: &str = "https://join.sovereign.example/x;y/(1),2?a=b|c.";

#[test]
fn a_link_on_a_host_that_nobody_knows_is_read_back() {
    let long: String = (0..100)
        .map(|n| format!("https://a.example/{n}\\n"))
        .collect();
    for lines in [
        "",
        "DESCRIPTION:Agenda\nLOCATION:Room 1\n",
        "DESCRIPTION:\nLOCATION:\nURL:https://example.org/page\n",
        &format!("DESCRIPTION:{long}\n"),
        &format!("DESCRIPTION:{}\n", "long text ".repeat(30_000)),
    ] {
        for url in [OPAQUE, URL] {
            let before = calendar(lines);
            let case = Case {
                url,
                ..Case::default()
            };
            let after = case.attached(before.as_bytes());
            let document = Document::parse(&after).unwrap();
            let [event] = &events(&document)[..] else {
                panic!("{lines:.40}");
            };
            let join_url = JoinUrl::new(url);
            assert!(shows(event, &join_url));
            assert_eq!(missing(event, &join_url, Location::Url), BTreeSet::new());
            assert_eq!(detached(&after, url), before.as_bytes());
        }
    }
}

#[test]
fn a_link_on_a_host_that_nobody_knows_is_one_of_teams_by_each_of_our_lines() {
    let case = Case {
        url: OPAQUE,
        ..Case::default()
    };
    let whole = case.attached(calendar("SUMMARY:Talk\n").as_bytes());
    let whole = String::from_utf8(whole).unwrap().replace("\r\n ", "");
    let only = |kept: &[&str]| -> Vec<(Place, Provider)> {
        let kept: Vec<&str> = whole
            .lines()
            .filter(|line| {
                let ours = ["DESCRIPTION:_", "LOCATION", "URL", "CONFERENCE", "X-"];
                !ours.iter().any(|name| line.starts_with(name))
                    || kept.iter().any(|name| line.starts_with(name))
            })
            .collect();
        let text = kept.join("\r\n") + "\r\n";
        let document = Document::parse(text.as_bytes()).unwrap();
        let links = &events(&document)[0].components[0].links;
        assert!(links.iter().all(|link| link.url == OPAQUE));
        links
            .iter()
            .map(|link| (link.place, link.provider))
            .collect()
    };
    let teams = |places: &[Place]| -> Vec<(Place, Provider)> {
        places
            .iter()
            .map(|&place| (place, Provider::Teams))
            .collect()
    };
    // A URL property alone may be any page.
    assert_eq!(only(&["URL", "LOCATION"]), teams(&[]));
    assert_eq!(only(&["X-MICROSOFT"]), teams(&[Place::SkypeTeams]));
    assert_eq!(only(&["DESCRIPTION"]), teams(&[Place::Description]));
    assert_eq!(only(&["CONFERENCE"]), teams(&[Place::Conference]));
    assert_eq!(
        only(&["X-MICROSOFT", "LOCATION", "URL"]),
        teams(&[Place::Location, Place::Url, Place::SkypeTeams])
    );
}
