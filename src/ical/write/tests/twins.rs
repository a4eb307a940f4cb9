//! The HTML twins of DESCRIPTION.

use data_encoding::BASE64;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::*;
use crate::ical::block;
use crate::ical::twin::Twin;

pub(super) fn altrep(html: &str) -> String {
    let data = utf8_percent_encode(html, NON_ALPHANUMERIC);
    format!("DESCRIPTION;ALTREP=\"data:text/html,{data}\":Hello\n")
}

pub(super) fn base64(html: &str) -> String {
    let data = BASE64.encode(html.as_bytes());
    format!(
        "DESCRIPTION;LANGUAGE=de;ALTREP=\"data:text/html;charset=utf-8;base64,{data}\";X-A=b:Hello\n"
    )
}

pub(super) fn alt_desc(html: &str) -> String {
    let value = crate::ical::document::escape_text(html);
    format!("X-ALT-DESC;FMTTYPE=text/html:{value}\n")
}

/// The same line in physical lines of this many characters.
pub(super) fn folded(line: &str, width: usize) -> String {
    let mut text = String::new();
    for (at, c) in line.trim_end_matches('\n').chars().enumerate() {
        if at > 0 && at % width == 0 {
            text.push_str("\n ");
        }
        text.push(c);
    }
    text + "\n"
}

/// The HTML of every twin of the component.
fn htmls(bytes: &[u8], index: usize) -> Vec<String> {
    let document = Document::parse(bytes).unwrap();
    let lines: Vec<_> = document.lines(index).collect();
    let twins = lines.iter().filter_map(Twin::of);
    twins.map(|twin| twin.unwrap().html.text).collect()
}

/// Links the calendar and takes the link out again, with every promise checked on the way. With the link.
fn there_and_back(before: &str, case: &Case) -> Vec<u8> {
    let bytes = before.as_bytes();
    let after = case.attached(bytes);
    assert!(verify(&Document::parse(bytes).unwrap(), &after), "{before}");
    assert!(case.edits(&after).unwrap().is_empty(), "twice: {before}");
    let document = Document::parse(&after).unwrap();
    let join_url = JoinUrl::new(case.url);
    for event in events(&document) {
        assert_eq!(
            missing(&event, &join_url, case.location),
            BTreeSet::new(),
            "{before}"
        );
        let mut links = event.components.iter().flat_map(|c| &c.links);
        assert!(links.all(|link| link.url == case.url), "{before}");
    }
    let restored = String::from_utf8(detached(&after, case.url)).unwrap();
    assert_eq!(restored, before);
    after
}

/// Events with HTML twins.
pub(super) fn befores() -> Vec<(&'static str, String)> {
    let html = "<html><body><p>Hello, all of you: the agenda follows</p>\n</body></html>";
    let styled = alt_desc("<p>x</p>").replace("X-ALT-DESC", "STYLED-DESCRIPTION");
    vec![
        ("an ALTREP", altrep(html)),
        ("a folded ALTREP", folded(&altrep(html), 60)),
        ("an ALTREP in base64", base64(html)),
        ("a folded one", folded(&base64(html), 75)),
        (
            "an ALTREP with an empty text",
            altrep("<p>x</p>").replace("Hello", ""),
        ),
        ("an X-ALT-DESC", alt_desc(html) + "DESCRIPTION:Hello\n"),
        (
            "all twins",
            folded(&alt_desc(html), 40) + &altrep("<p>y</p>") + &styled,
        ),
        ("a twin that is left", base64("x") + &alt_desc("")),
    ]
}

#[test]
fn a_rewritten_block_stays_in_its_place_in_a_twin() {
    let ja = Case {
        language: "ja",
        show: &[],
        ..Case::default()
    };
    for (line, coded) in [
        (altrep("<p>xyz</p>"), true),
        (base64("<p>xy</p>"), false),
        (alt_desc("<p>x</p>"), true),
    ] {
        for length in [3, 30, 57, 60, 66, 72, 75, 300] {
            let notes = "n".repeat(length);
            let linked = attached(&calendar(&line));
            let document = Document::parse(linked.as_bytes()).unwrap();
            let found = document.lines(1).find_map(|line| Twin::of(&line));
            let html = found.unwrap().unwrap().html;
            let found = block::find_html(&html.text, &JoinUrl::new(URL)).unwrap();
            // Behind the block: text that a person, or a program, has put there.
            let put = if coded {
                notes.clone()
            } else {
                BASE64.encode(notes.as_bytes())
            };
            let mut edits = Edits::new();
            edits.insert(html.after(found.end), put.as_str());
            // And behind the one in the text, too.
            let edited = edits.apply(linked.as_bytes());
            let behind = String::from_utf8(edited.clone()).unwrap();
            let behind = behind.replace("\r\nLOCATION", &format!("{notes}\r\nLOCATION"));
            for edited in [edited, behind.into_bytes()] {
                let (rewritten, outdated) = ja.rewritten(&edited);
                assert!(outdated);
                let [now] = &htmls(&rewritten, 1)[..] else {
                    panic!("one twin");
                };
                assert!(now.ends_with(&notes), "{now}");
                assert_eq!(now.matches(URL).count(), 2, "{now}");
                assert!(!now.contains("Passcode"), "{now}");
                assert!(description(&rewritten, 1).contains("参加"));
                let unfolded = |bytes: &[u8]| {
                    String::from_utf8(bytes.into())
                        .unwrap()
                        .replace("\r\n ", "")
                };
                assert_eq!(
                    unfolded(&detached(&rewritten, URL)),
                    unfolded(&detached(&edited, URL))
                );
                assert_eq!(ja.rewritten(&rewritten), (rewritten.clone(), false));
                assert!(ja.edits(&rewritten).unwrap().is_empty());
                let (back, _) = Case::default().rewritten(&rewritten);
                // The spelling of its last fence says how what follows is folded.
                let lower = |bytes: &[u8]| htmls(bytes, 1)[0].replace("<HR>", "<hr>");
                assert_eq!(lower(&back), lower(&edited));
                assert_eq!(description(&back, 1), description(&edited, 1));
            }
        }
    }
}

#[test]
fn a_rewrite_leaves_what_a_person_made_of_one_of_the_blocks() {
    let german = Case {
        language: "de",
        ..Case::default()
    };
    let before = calendar(&(altrep("<p>x</p>") + &alt_desc("<p>y</p>")));
    let linked = attached(&before).replace("\r\n ", "");
    // The fence of the text is gone: it is a text of a person's that holds the link, and no second goes in.
    let open = linked.replace(&format!("{FENCE}\\n\r\n"), "\r\n");
    assert_ne!(open, linked);
    let (rewritten, outdated) = german.rewritten(open.as_bytes());
    assert!(outdated);
    assert_eq!(description(&rewritten, 1), description(open.as_bytes(), 1));
    let twins = htmls(&rewritten, 1);
    assert!(
        twins
            .iter()
            .all(|html| html.contains("Teilnehmen:") && html.matches(URL).count() == 2)
    );
    // The fence of a twin is gone: the same.
    let open = linked
        .replace("</p><hr>\r\n", "</p>\r\n")
        .replace("</p><HR>\r\n", "</p>\r\n");
    assert_ne!(open, linked);
    let (rewritten, _) = german.rewritten(open.as_bytes());
    let then = htmls(open.as_bytes(), 1);
    let now = htmls(&rewritten, 1);
    assert!(now[0].contains("Teilnehmen:"));
    assert_eq!(now[1], then[1]);
    assert!(description(&rewritten, 1).contains("Teilnehmen:"));
    assert_eq!(german.rewritten(&rewritten), (rewritten.clone(), false));
}

#[test]
fn the_digest_tells_what_a_twin_says_where_the_text_cannot() {
    let text = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20250601T100000Z\r\nX-ALT-DESC;FMTTYPE=text/html:<p>K\xe4se</p>\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let linked = Case::default().attached(text);
    let french = Case {
        language: "fr",
        ..Case::default()
    };
    let (rewritten, outdated) = french.rewritten(&linked);
    assert!(outdated);
    assert!(htmls(&rewritten, 1)[0].contains("R&#233;union Microsoft Teams"));
    assert_eq!(description(&rewritten, 1), description(&linked, 1));
    assert_eq!(detached(&rewritten, URL), text);
}

#[test]
fn the_block_goes_into_each_twin_before_the_end_of_its_body() {
    let block = format!(
        "<hr><p>Microsoft Teams meeting<br>Join: <a href=\"{URL}\">{URL}</a><br>Meeting ID: 241 123 456 789<br>Passcode: abcDEF<br>Dial in: +49 69 1234567,,123456789#<br>Dial in toll-free: +49 800 1234567,,123456789#<br>Find a local number: <a href=\"https://dialin.teams.microsoft.com/8d9?id=123456789\">https://dialin.teams.microsoft.com/8d9?id=123456789</a></p>"
    );
    let cases = [
        ("", 0),
        ("Hello", 5),
        ("<p>Hello</p>", 12),
        ("<html><body><p>a,b;c\\d\ne</p>\n</body>\n</html>\n", 29),
        ("<body>ü€😀</body>", 15),
        (
            "<!DOCTYPE HTML>\n<HTML><BODY>\n<!-- x -->\n</BODY>\n</HTML>",
            40,
        ),
    ];
    for (html, at) in cases {
        let styled = format!(
            "STYLED-DESCRIPTION;VALUE=TEXT;FMTTYPE=text/html:{}\n",
            crate::ical::document::escape_text(html)
        );
        for line in [altrep(html), alt_desc(html), styled] {
            let after = there_and_back(&calendar(&line), &Case::default());
            let [found] = &htmls(&after, 1)[..] else {
                panic!("one twin");
            };
            let put = found.get(at..found.len() - (html.len() - at)).unwrap();
            assert_eq!(
                put.to_ascii_lowercase(),
                format!("{block}<hr>").to_ascii_lowercase()
            );
            assert_eq!(found.replacen(put, "", 1), html);
        }
    }
}

#[test]
fn base64_is_only_added_to() {
    for html in [
        "",
        "abc",
        "<body>x</body></html>",
        "<body>xy</body></html>",
        "<body>xyz</body></html>",
        "<p>xy</p>",
        "<div><p>xyz1</p></div>",
        "<b>ü</b>\n",
    ] {
        let after = there_and_back(&calendar(&base64(html)), &Case::default());
        let [found] = &htmls(&after, 1)[..] else {
            panic!("one twin");
        };
        assert!(found.contains(URL) && found.len() > html.len(), "{found}");
    }
}

#[test]
fn a_twin_is_written_and_restored_however_its_line_is_folded() {
    let long = "<body><p>".to_owned() + &"long text, ".repeat(40) + "</p></body>";
    for html in ["x", "<p>x</p>", "<body>x</body></html>\n", &long] {
        for line in [altrep(html), base64(html), alt_desc(html)] {
            for width in [1, 7, 60, 74, 75, 76, 400, 10_000] {
                for eol in ["\r\n", "\n", "\r"] {
                    let before = calendar(&folded(&line, width)).replace("\r\n", eol);
                    if html == "x" && line.contains("base64") {
                        continue;
                    }
                    let after = there_and_back(&before, &Case::default());
                    if width <= 74 {
                        assert_narrow(&after, before.as_bytes());
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_not_understood_is_left_with_its_reason() {
    let in_comment = utf8_percent_encode("<p>x<!-- y", NON_ALPHANUMERIC);
    let long = alt_desc(&"x".repeat(300_000));
    let cases = [
        (
            altrep("x").replace('"', "").replace(":Hello", "%3A:Hello"),
            "its ALTREP is not in quotes",
        ),
        (
            format!("DESCRIPTION;ALTREP=\"data:text/html,{in_comment}\":x\n"),
            "a comment, a tag or a script in its HTML has no end",
        ),
        (
            "DESCRIPTION;ALTREP=\"data:text/html;charset=utf-16,x\":x\n".to_owned(),
            "the character set of its ALTREP is not known",
        ),
        (
            "DESCRIPTION;ALTREP=\"data:text/html;base64,*\":x\n".to_owned(),
            "its base64 cannot be decoded",
        ),
        (base64("x"), "its base64 has no room at the end of its HTML"),
        (
            "DESCRIPTION;ALTREP=\"data:text/html\":x\n".to_owned(),
            "its ALTREP has no data",
        ),
        (
            "X-ALT-DESC;FMTTYPE=text/html;ENCODING=BASE64:eA==\n".to_owned(),
            "it is encoded",
        ),
        (
            "X-ALT-DESC;FMTTYPE=text/rtf:x\n".to_owned(),
            "its FMTTYPE is not text/html",
        ),
        (
            "STYLED-DESCRIPTION:x\n".to_owned(),
            "its FMTTYPE is not text/html",
        ),
        (
            "STYLED-DESCRIPTION;VALUE=URI;FMTTYPE=text/html:https://example.org/x\n".to_owned(),
            "its value is no text",
        ),
        (
            "X-ALT-DESC;FMTTYPE=text/html:x\\\n".to_owned(),
            "its HTML ends with a backslash",
        ),
        (long, "it is too long"),
    ];
    for (line, why) in cases {
        let before = calendar(&line);
        let document = Document::parse(before.as_bytes()).unwrap();
        let [event] = &events(&document)[..] else {
            panic!("one event");
        };
        let [twin] = &event.components[0].twins[..] else {
            panic!("{line:.80}: no twin");
        };
        assert_eq!((twin.line, twin.left), (6, Some(why)), "{line:.80}");
        let after = Case::default()
            .edits(before.as_bytes())
            .unwrap()
            .apply(before.as_bytes());
        let name = line.split([';', ':']).next().unwrap();
        if name != "DESCRIPTION" {
            let kept = line.trim_end().split_once(name).unwrap().1;
            assert_eq!(property(&after, 1, name), [kept], "{line:.80}");
        }
        let reread = Document::parse(&after).unwrap();
        let event = &events(&reread)[0];
        assert_eq!(
            missing(event, &JoinUrl::new(URL), Location::Url),
            BTreeSet::new()
        );
        assert_eq!(String::from_utf8(detached(&after, URL)).unwrap(), before);
    }
    // What is no HTML twin has no reason to be one.
    for line in [
        "DESCRIPTION;ALTREP=\"https://example.org/x\":x\n",
        "DESCRIPTION;ALTREP=\"CID:part1@example.org\":x\n",
        "DESCRIPTION;ALTREP=\"data:text/plain,x\":x\n",
        "SUMMARY;ALTREP=\"data:text/html,x\":x\n",
    ] {
        let before = calendar(line);
        let document = Document::parse(before.as_bytes()).unwrap();
        assert_eq!(events(&document)[0].components[0].twins, [], "{line}");
        there_and_back(&before, &Case::default());
    }
}

#[test]
fn a_twin_alone_is_restored_and_a_lost_one_is_not_missed() {
    let before = calendar(&(altrep("<p>x</p>") + &alt_desc("<p>y</p>")));
    let whole = String::from_utf8(Case::default().attached(before.as_bytes())).unwrap();
    // A server, or a person, puts the twin of before in its place.
    let document = Document::parse(whole.as_bytes()).unwrap();
    let line = document
        .lines(1)
        .find(|line| line.is("X-ALT-DESC"))
        .unwrap();
    let old = alt_desc("<p>y</p>").replace('\n', "\r\n");
    for (put, lacking) in [(old.as_str(), Some(Place::AltDesc)), ("", None)] {
        let mut edits = Edits::new();
        edits.replace(line.range(), put);
        let without = edits.apply(whole.as_bytes());
        let reread = Document::parse(&without).unwrap();
        let event = &events(&reread)[0];
        let missing = missing(event, &JoinUrl::new(URL), Location::Url);
        assert_eq!(missing, lacking.into_iter().collect(), "{put}");
        let restored = Case::default().edits(&without).unwrap();
        assert_eq!(restored.is_empty(), lacking.is_none());
        if lacking.is_some() {
            assert_eq!(String::from_utf8(restored.apply(&without)).unwrap(), whole);
        }
    }
}

#[test]
fn a_description_that_was_empty_keeps_its_twin() {
    let line = altrep("<p>x</p>").replace("Hello", "");
    let after = there_and_back(&calendar(&line), &Case::default());
    // Nor does it go when the mark is lost.
    let text = String::from_utf8(after).unwrap();
    let at = text.find("X-MEETBRIDGE-MEETING").unwrap();
    let end = text.find("BEGIN:VALARM").unwrap();
    let unmarked = [&text[..at], &text[end..]].concat();
    assert_eq!(
        String::from_utf8(detached(unmarked.as_bytes(), URL)).unwrap(),
        calendar(&line)
    );
}

#[test]
fn a_copied_link_is_replaced_in_the_twins_too() {
    for html in ["<p>x</p>", "<body>x</body></html>"] {
        for line in [altrep(html), base64(html), alt_desc(html)] {
            for width in [70, 10_000] {
                let original = calendar(&folded(&line, width));
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
    }
}

#[test]
fn a_twin_is_ascii_where_the_characters_of_the_file_are_not_known() {
    let text = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20250601T100000Z\r\nX-ALT-DESC;FMTTYPE=text/html:<p>K\xe4se</p>\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".to_vec();
    let case = Case {
        language: "fr",
        ..Case::default()
    };
    let after = case.attached(&text);
    let high = |bytes: &[u8]| bytes.iter().filter(|byte| !byte.is_ascii()).count();
    assert_eq!(high(&after), high(&text));
    assert!(htmls(&after, 1)[0].starts_with("<p>Käse</p><hr><p>R&#233;union Microsoft Teams<br>"));
    assert_eq!(detached(&after, URL), text);
    // In UTF-8, a property has the characters themselves, and a URL has numbers.
    let both = calendar(&(altrep("x") + &alt_desc("y")));
    let after = there_and_back(&both, &case);
    let [url, property] = &htmls(&after, 1)[..] else {
        panic!("two twins");
    };
    assert!(url.contains("R&#233;union") && property.contains("Réunion"));
}

#[test]
fn any_join_url_reads_back_from_a_twin() {
    for url in [
        OPAQUE,
        "https://teams.microsoft.com/meet/1;a=b,c?p=\\n&x='\"<y>.)",
        "https://join.sovereign.example/a&amp;b",
    ] {
        let case = Case {
            url,
            ..Case::default()
        };
        for line in [
            altrep("<p>x</p>"),
            base64("<p>xy</p>"),
            alt_desc("<p>x</p>"),
        ] {
            // Which quotes and angles a client takes for the end of a URL in text is its own affair.
            let before = calendar(&line);
            let after = case
                .edits(before.as_bytes())
                .unwrap()
                .apply(before.as_bytes());
            let document = Document::parse(&after).unwrap();
            let event = &events(&document)[0];
            let join_url = JoinUrl::new(url);
            assert_eq!(
                missing(event, &join_url, Location::Url),
                BTreeSet::new(),
                "{url}"
            );
            let place = event.components[0].twins[0].place;
            let mut links = event.components[0].links.iter();
            assert!(links.any(|link| link.place == place && link.url == url));
            assert!(case.edits(&after).unwrap().is_empty());
            assert_eq!(String::from_utf8(detached(&after, url)).unwrap(), before);
        }
    }
}

#[test]
fn a_foreign_link_in_a_twin_is_seen_and_left() {
    let html = "<p><a href=\"https://zoom.us/j/1?a=b&amp;c=d\">Join</a></p>";
    let wrapped = "<a href='https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fzoom.us%2Fj%2F1%3Fa%3Db%26c%3Dd&amp;data=x'>x</a>";
    for html in [html, wrapped] {
        let lines = [
            (altrep(html), Place::AltRep),
            (base64(html), Place::AltRep),
            (alt_desc(html), Place::AltDesc),
            (
                alt_desc(html).replace("X-ALT-DESC", "STYLED-DESCRIPTION"),
                Place::Styled,
            ),
            (format!("X-NOTES:{html}\n"), Place::Other),
        ];
        for (line, place) in lines {
            if place == Place::Other && html.contains("&amp;c") {
                continue;
            }
            let text = calendar(&line);
            let document = Document::parse(text.as_bytes()).unwrap();
            let links = &events(&document)[0].components[0].links;
            let [link] = &links[..] else {
                panic!("{line}: {links:?}");
            };
            assert_eq!(
                (link.place, link.provider),
                (place, Provider::Zoom),
                "{line}"
            );
            assert_eq!(link.url, "https://zoom.us/j/1?a=b&c=d");
        }
    }
}

#[test]
fn our_link_that_a_server_has_wrapped_is_ours() {
    let before = calendar(&(altrep("<p>x</p>") + "SUMMARY:Talk\n"));
    let whole = String::from_utf8(Case::default().attached(before.as_bytes())).unwrap();
    let whole = whole.replace("\r\n ", "");
    let wrapped = format!(
        "https://eur01.safelinks.protection.outlook.com/?url={}&data=05",
        utf8_percent_encode(URL, NON_ALPHANUMERIC)
    );
    // A mail gateway does this to texts.
    let line = whole
        .lines()
        .find(|line| line.starts_with("DESCRIPTION"))
        .unwrap();
    let twin = |url: &str| {
        let escaped = url.replace('&', "&amp;");
        const KEPT: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC
            .remove(b'-')
            .remove(b'_')
            .remove(b'.')
            .remove(b'~');
        utf8_percent_encode(&escaped, KEPT).to_string()
    };
    let changed = line
        .replace(URL, &wrapped)
        .replace(&twin(URL), &twin(&wrapped));
    assert!(changed.matches("safelinks").count() >= 3);
    let wrapped_whole = whole.replace(line, &changed);
    let document = Document::parse(wrapped_whole.as_bytes()).unwrap();
    let event = &events(&document)[0];
    let join_url = JoinUrl::new(URL);
    assert!(shows(event, &join_url));
    assert!(event.components[0].links.iter().all(|link| link.url == URL));
    assert_eq!(missing(event, &join_url, Location::Url), BTreeSet::new());
    assert!(
        Case::default()
            .edits(wrapped_whole.as_bytes())
            .unwrap()
            .is_empty()
    );
    let restored = String::from_utf8(detached(wrapped_whole.as_bytes(), URL)).unwrap();
    assert_eq!(restored.replace("\r\n ", ""), before.replace("\r\n ", ""));
}

/// HTML in all sorts of states.
fn html() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z\u{e4}\u{20ac}\u{1f600} ,;\\\\&\n]{0,40}",
        Just("<p>".to_owned()),
        Just("</p>".to_owned()),
        Just("<hr>".to_owned()),
        Just("<br/>".to_owned()),
        Just("<!-- x -->".to_owned()),
        Just("<a href='https://example.org/'>y</a>".to_owned()),
        Just("<".to_owned()),
    ];
    let end = prop::sample::select(
        &[
            "",
            "</body>",
            "</body></html>",
            "\n</BODY>\n</HTML>\n",
            "</html>",
            " ",
        ][..],
    );
    (proptest::collection::vec(piece, 0..6), end).prop_map(|(pieces, end)| pieces.concat() + end)
}

proptest! {
    #[test]
    fn the_block_comes_out_of_any_twin_as_it_went_in(
        html in html(),
        form in 0..3usize,
        (width, again) in (1..200usize, 5..200usize),
        eol in prop::sample::select(&["\r\n", "\n", "\r"][..]),
        folded_by in prop::sample::select(&["\n ", "\n\t", "\n \n "][..]),
    ) {
        let line = [altrep(&html), base64(&html), alt_desc(&html)][form].clone();
        let line = folded(&line, width).replace("\n ", folded_by);
        let before = calendar(&line).replace("\r\n", eol);
        let case = Case::default();
        let after = case.edits(before.as_bytes()).unwrap().apply(before.as_bytes());
        let document = Document::parse(&after).unwrap();
        let event = &events(&document)[0];
        prop_assert_eq!(missing(event, &JoinUrl::new(URL), Location::Url), BTreeSet::new());
        prop_assert!(case.edits(&after).unwrap().is_empty());
        prop_assert!(verify(&Document::parse(before.as_bytes()).unwrap(), &after));
        if event.components[0].twins.iter().all(|twin| twin.left.is_none()) {
            every_client_finds(&after, URL);
        }
        prop_assert_eq!(String::from_utf8(detached(&after, URL)).unwrap(), before.as_str());
        // Folded anew by a server, the same text comes out.
        let unfolded = |text: &str| text.replace(&format!("{eol} "), "").replace(&format!("{eol}\t"), "");
        let logical = unfolded(&String::from_utf8(after).unwrap());
        let anew: String = logical.split(eol).map(|line| folded(line, again)).collect();
        let anew = anew.replace('\n', eol);
        let restored = String::from_utf8(detached(anew.as_bytes(), URL)).unwrap();
        let (restored, before) = (unfolded(&restored), unfolded(&before));
        prop_assert_eq!(restored.trim_end(), before.trim_end());
    }
}
