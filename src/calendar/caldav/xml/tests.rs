//! Answers as servers send them, and as attackers might.

use chrono::{TimeZone, Utc};
use proptest::prelude::*;

use super::*;

/// A multistatus with these responses, with the prefixes `d`, `c`, `s` and `a`.
fn multistatus(inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:multistatus xmlns:d=\"DAV:\" \
         xmlns:c=\"urn:ietf:params:xml:ns:caldav\" xmlns:s=\"http://calendarserver.org/ns/\" \
         xmlns:a=\"http://apple.com/ns/ical/\">{inside}</d:multistatus>"
    )
}

/// A response with these properties found.
fn found(props: &str) -> String {
    multistatus(&format!(
        "<d:response><d:href>/c/a.ics</d:href><d:propstat><d:prop>{props}</d:prop>\
         <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    ))
}

fn one(body: &str) -> Response {
    let mut answer = parse(body.as_bytes()).unwrap();
    assert_eq!(answer.responses.len(), 1);
    answer.responses.remove(0)
}

fn props(props: &str) -> Props {
    one(&found(props)).found
}

fn more(inside: &str) -> More {
    *props(inside).more.unwrap()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_property_is_read() {
    let read = props(
        "<d:getetag>\"1-&quot;&#xe4;\"</d:getetag><c:schedule-tag>\"s\"</c:schedule-tag>\
         <d:getlastmodified>Tue, 24 Nov 2026 08:09:10 GMT</d:getlastmodified>\
         <d:getcontenttype>text/calendar; component=vevent</d:getcontenttype>\
         <d:resourcetype><d:collection/><c:calendar></c:calendar></d:resourcetype>\
         <s:getctag>c1</s:getctag><d:sync-token>http://x/1</d:sync-token>\
         <c:calendar-data>BEGIN:VCALENDAR</c:calendar-data>",
    );
    assert_eq!(read.etag.as_deref(), Some("\"1-\"ä\""));
    assert_eq!(read.schedule_tag.as_deref(), Some("\"s\""));
    let time = Utc.with_ymd_and_hms(2026, 11, 24, 8, 9, 10).unwrap();
    assert_eq!(read.last_modified, Some(time));
    let content_type = read.content_type.as_deref();
    assert_eq!(content_type, Some("text/calendar; component=vevent"));
    assert!(read.is("collection") && read.is("calendar"));
    assert_eq!(read.ctag.as_deref(), Some("c1"));
    assert_eq!(read.sync_token.as_deref(), Some("http://x/1"));
    assert_eq!(read.calendar_data.as_deref(), Some(&b"BEGIN:VCALENDAR"[..]));
    assert_eq!(read.more, None);

    let read = more(
        "<d:displayname> Work &amp; Life </d:displayname>\
         <a:calendar-color symbolic-color=\"custom\">#FF0000FF</a:calendar-color>\
         <d:owner><d:href>/p/alice/</d:href></d:owner>\
         <d:current-user-principal><d:href>/p/me/</d:href></d:current-user-principal>\
         <c:calendar-home-set><d:href>/h/1/</d:href><d:href>/h/2/</d:href></c:calendar-home-set>\
         <c:calendar-user-address-set><d:href preferred=\"1\">mailto:A@example.org</d:href>\
         <d:href>urn:uuid:1</d:href></c:calendar-user-address-set>\
         <c:calendar-timezone>BEGIN:VCALENDAR&#13;\n</c:calendar-timezone>\
         <d:supported-report-set><d:supported-report><d:report><d:sync-collection/></d:report>\
         </d:supported-report><d:supported-report><d:report><c:calendar-multiget/></d:report>\
         </d:supported-report></d:supported-report-set>\
         <d:current-user-privilege-set><d:privilege><d:read/></d:privilege><d:privilege><d:write/>\
         <d:bind/></d:privilege></d:current-user-privilege-set>\
         <c:supported-calendar-component-set><c:comp name=\"VEVENT\"/><c:comp name='vtodo'/>\
         </c:supported-calendar-component-set>\
         <c:max-resource-size>10000000</c:max-resource-size><x xmlns=\"y\"><d:getetag/></x>",
    );
    let expected = More {
        display_name: Some("Work & Life".into()),
        colour: Some("#FF0000FF".into()),
        owner: Some("/p/alice/".into()),
        current_user_principal: Some("/p/me/".into()),
        calendar_home_set: vec!["/h/1/".into(), "/h/2/".into()],
        calendar_user_address_set: vec!["mailto:A@example.org".into(), "urn:uuid:1".into()],
        calendar_timezone: Some("BEGIN:VCALENDAR".into()),
        supported_reports: Some(names(&["sync-collection", "calendar-multiget"])),
        privileges: Some(names(&["read", "write", "bind"])),
        components: Some(names(&["VEVENT", "VTODO"])),
        max_resource_size: Some(10_000_000),
    };
    assert_eq!(read, expected);
}

#[test]
fn empty_and_senseless_properties_are_absent() {
    let read = props(
        "<d:getetag/><d:getlastmodified>yesterday</d:getlastmodified><d:resourcetype/>\
         <c:max-resource-size>much</c:max-resource-size><d:owner><d:unauthenticated/></d:owner>\
         <d:displayname> </d:displayname>",
    );
    let read_more = read.more.clone().unwrap();
    assert_eq!(*read_more, More::default());
    assert_eq!(Props { more: None, ..read }, Props::default());
    // Only calendar-data is told apart: what is there and empty is not what was not asked for.
    let data = props("<c:calendar-data/>").calendar_data;
    assert_eq!(data, Some(Vec::new()));
}

#[test]
fn only_status_200_is_found() {
    for (status, expected) in [
        ("<d:status>HTTP/1.1 200 OK</d:status>", None),
        ("<d:status>http/1.1 200 ok</d:status>", None),
        ("<d:status> HTTP/2 200</d:status>", None),
        ("", None),
        ("<d:status>HTTP/1.1 404 Not Found</d:status>", Some(404)),
        ("<d:status>HTTP/1.1 403 Forbidden</d:status>", Some(403)),
        ("<d:status>HTTP/1.1 204 No Content</d:status>", Some(204)),
        ("<d:status>fine</d:status>", Some(0)),
    ] {
        // The status may stand before the properties.
        for order in [false, true] {
            let prop = "<d:prop><d:getetag>\"1\"</d:getetag></d:prop>";
            let inside = match order {
                true => format!("{prop}{status}"),
                false => format!("{status}{prop}"),
            };
            let response = one(&multistatus(&format!(
                "<d:response><d:href>/a</d:href><d:propstat>{inside}</d:propstat></d:response>"
            )));
            assert_eq!(response.missing, expected, "{status}");
            assert_eq!(
                response.found.etag.is_some(),
                expected.is_none(),
                "{status}"
            );
            assert_eq!(response.status, None);
        }
    }
}

#[test]
fn property_groups_add_up() {
    let group = |prop: &str, status: &str| {
        format!(
            "<d:propstat><d:prop>{prop}</d:prop><d:status>HTTP/1.1 {status}</d:status></d:propstat>"
        )
    };
    let response = one(&multistatus(&format!(
        "<d:response><d:href>/a</d:href>{}{}{}{}</d:response>",
        group(
            "<d:getetag>\"1\"</d:getetag><d:displayname>x</d:displayname>",
            "200 OK"
        ),
        group("<s:getctag/><a:calendar-color/>", "404 Not Found"),
        group("<d:sync-token>no</d:sync-token>", "403 Forbidden"),
        group(
            "<d:resourcetype><d:collection/></d:resourcetype><c:max-resource-size>1</c:max-resource-size>",
            "200 OK"
        ),
    )));
    assert_eq!(response.missing, Some(404));
    assert_eq!(response.found.etag.as_deref(), Some("\"1\""));
    assert!(response.found.is("collection"));
    assert_eq!(response.found.sync_token, None);
    let more = response.found.more.unwrap();
    assert_eq!(more.display_name.as_deref(), Some("x"));
    assert_eq!(more.max_resource_size, Some(1));
}

#[test]
fn members_that_are_gone_and_listings_that_are_cut() {
    let body = multistatus(
        "<d:response><d:href>/c/gone.ics</d:href><d:status>HTTP/1.1 404 Not Found</d:status>\
         </d:response><d:response><d:href>/c/</d:href><d:status>HTTP/1.1 507 Insufficient Storage\
         </d:status><d:error><d:number-of-matches-within-limits/></d:error></d:response>\
         <d:response><d:href>/c/1.ics</d:href><d:href>/c/2.ics</d:href>\
         <d:href>http://h/c/3.ics</d:href><d:status>HTTP/1.1 410 Gone</d:status>\
         <d:responsedescription>no</d:responsedescription></d:response>\
         <d:sync-token>data:,2</d:sync-token>",
    );
    let answer = parse(body.as_bytes()).unwrap();
    let seen: Vec<_> = answer
        .responses
        .iter()
        .map(|r| (r.href.as_str(), r.status))
        .collect();
    let expected = [
        ("/c/gone.ics", Some(404)),
        ("/c/", Some(507)),
        ("/c/1.ics", Some(410)),
        ("/c/2.ics", Some(410)),
        ("http://h/c/3.ics", Some(410)),
    ];
    assert_eq!(seen, expected);
    assert_eq!(
        answer.responses[1].errors,
        ["number-of-matches-within-limits"]
    );
    assert_eq!(answer.sync_token.as_deref(), Some("data:,2"));
}

#[test]
fn prefixes_are_the_servers_choice() {
    for body in [
        "<multistatus xmlns=\"DAV:\"><response><href>/a</href><propstat><prop><getetag>\"1\"</getetag>\
         <C:calendar-data xmlns:C=\"urn:ietf:params:xml:ns:caldav\">x</C:calendar-data></prop>\
         <status>HTTP/1.1 200 OK</status></propstat></response></multistatus>",
        "<ns0:multistatus xmlns:ns0=\"DAV:\"><ns0:response><ns0:href>/a</ns0:href><ns0:propstat>\
         <ns0:prop><ns0:getetag>\"1\"</ns0:getetag><calendar-data \
         xmlns=\"urn:ietf:params:xml:ns:caldav\">x</calendar-data></ns0:prop></ns0:propstat>\
         </ns0:response></ns0:multistatus>",
        "\u{feff}<!-- hello -->\n<?pi x?><X:multistatus xmlns:X='DAV:'><X:response><X:href>/a</X:href>\
         <X:propstat><X:prop><X:getetag>\"1\"</X:getetag><X:calendar-data \
         xmlns:X=\"urn:ietf:params:xml:ns:caldav\">x</X:calendar-data></X:prop></X:propstat>\
         </X:response></X:multistatus><!-- bye -->\n",
    ] {
        let response = one(body);
        assert_eq!(response.found.etag.as_deref(), Some("\"1\""), "{body}");
        assert_eq!(
            response.found.calendar_data.as_deref(),
            Some(&b"x"[..]),
            "{body}"
        );
    }
    // The same names in another namespace are other properties.
    let other = props("<x:getetag xmlns:x=\"urn:x\">\"1\"</x:getetag><c:getetag>\"2\"</c:getetag>");
    assert_eq!(other, Props::default());
}

#[test]
fn hrefs_are_taken_as_they_are() {
    for (given, expected) in [
        ("/c/a%20b.ics", "/c/a%20b.ics"),
        ("\n   /c/a.ics\t\n", "/c/a.ics"),
        (
            "https://p7.example.org:443/c/a.ics",
            "https://p7.example.org:443/c/a.ics",
        ),
        ("/c/a&amp;b.ics", "/c/a&b.ics"),
        ("/c/<![CDATA[a&b]]>.ics", "/c/a&b.ics"),
        ("/c/a&b.ics", "/c/a&b.ics"),
        ("", ""),
    ] {
        let body = multistatus(&format!(
            "<d:response><d:href>{given}</d:href></d:response>"
        ));
        assert_eq!(one(&body).href, expected);
    }
}

#[test]
fn calendar_data_is_what_was_sent() {
    for (sent, expected) in [
        ("A:1\r\nB:2\r\n", "A:1\r\nB:2\r\n"),
        ("A:1&#13;\nB:2&#xD;&#10;", "A:1\r\nB:2\r\n"),
        ("A:1\nB:2\n", "A:1\nB:2\n"),
        ("\n A:1 \n", "\n A:1 \n"),
        (
            "<![CDATA[A:<&amp;>\r\n]]>B:&lt;&amp;&gt;&quot;&apos;",
            "A:<&amp;>\r\nB:<&>\"'",
        ),
        ("<![CDATA[a]]]]><![CDATA[>b]]>", "a]]>b"),
        ("SUMMARY:a\u{b}b\u{1}c\u{0}", "SUMMARY:a\u{b}b\u{1}c\u{0}"),
        ("SUMMARY:&#11;&#x1F600;", "SUMMARY:\u{b}\u{1f600}"),
        ("a<!-- no -->b", "ab"),
        // Not escaped by the server: taken as text, because nothing else can be meant.
        (
            "R&D; A&B &nbsp; &#xFFFFFFFF; AT&T",
            "R&D; A&B &nbsp; &#xFFFFFFFF; AT&T",
        ),
    ] {
        let read = props(&format!("<c:calendar-data>{sent}</c:calendar-data>"));
        let text = String::from_utf8(read.calendar_data.unwrap()).unwrap();
        assert_eq!(text, expected, "{sent:?}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_stay() {
    let body = found("<d:displayname>@</d:displayname><c:calendar-data>@</c:calendar-data>");
    let inside = b"\xe4\xf6\xc3\xa4\xff \xc3 \xf4\x8f\xbf\xbf \xf4\x8f\xbe\x80 \xed\xa0\x80.";
    let mut bytes = Vec::new();
    for byte in body.bytes() {
        match byte {
            b'@' => bytes.extend_from_slice(inside),
            other => bytes.push(other),
        }
    }
    let read = parse(&bytes).unwrap().responses.remove(0).found;
    assert_eq!(read.calendar_data.as_deref(), Some(&inside[..]));
    let name = read.more.unwrap().display_name.unwrap();
    assert!(name.starts_with("\u{fffd}\u{fffd}ä\u{fffd} "), "{name}");
}

#[test]
fn what_is_no_answer_is_named() {
    let bomb = format!(
        "<!DOCTYPE d:multistatus [<!ENTITY a \"aaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>{}",
        multistatus("<d:response><d:href>&b;</d:href></d:response>")
    );
    let deep = multistatus(&"<x>".repeat(100_000));
    let many_namespaces: String = (0..1_000)
        .map(|n| format!("<a xmlns:n{n}='{n}'>"))
        .collect();
    for (body, expected) in [
        ("", XmlError::Empty),
        (" \r\n ", XmlError::Empty),
        ("\u{feff}", XmlError::Empty),
        ("<?xml version=\"1.0\"?>", XmlError::Empty),
        (
            "<!DOCTYPE html><html><body>Sign in</body></html>",
            XmlError::WebPage,
        ),
        (
            "\n<!doctype HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\">\n<p>",
            XmlError::WebPage,
        ),
        ("<HTML><head><meta charset=utf-8></head>", XmlError::WebPage),
        (
            "<html xmlns=\"http://www.w3.org/1999/xhtml\"/>",
            XmlError::WebPage,
        ),
        ("{\"error\": \"unauthorized\"}", XmlError::NotXml),
        ("Internal Server Error", XmlError::NotXml),
        ("\u{0}\u{1}\u{2}", XmlError::NotXml),
        (
            "<d:error xmlns:d=\"DAV:\"><d:x/></d:error>",
            XmlError::NotDav,
        ),
        ("<multistatus/>", XmlError::NotDav),
        ("<D:multistatus/>", XmlError::NotDav),
        ("<rss version=\"2.0\"></rss>", XmlError::NotDav),
        (&bomb, XmlError::Doctype),
        (
            "<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><x/>",
            XmlError::Doctype,
        ),
        (&deep, XmlError::TooMuch),
        (&multistatus(&many_namespaces), XmlError::TooMuch),
        ("<m xmlns='DAV:'", XmlError::NotXml),
        ("<multistatus xmlns='DAV:'>", XmlError::Truncated),
        (
            "<multistatus xmlns='DAV:'><response><href>/a</",
            XmlError::Truncated,
        ),
        ("<multistatus xmlns='DAV:'><![CDATA[", XmlError::Truncated),
        (
            "<multistatus xmlns='DAV:'></response>",
            XmlError::Broken { at: 26 },
        ),
        (
            "<multistatus xmlns='DAV:'/><x/>",
            XmlError::Broken { at: 0 },
        ),
        (
            "<multistatus xmlns='DAV:'/>Warning: no",
            XmlError::Broken { at: 0 },
        ),
    ] {
        let shown = &body[..body.len().min(60)];
        match (parse(body.as_bytes()), expected) {
            (Err(XmlError::Broken { .. }), XmlError::Broken { .. }) => {}
            (Err(error), expected) => assert_eq!(error, expected, "{shown}"),
            (Ok(answer), _) => panic!("{shown}: {answer:?}"),
        }
    }
}

#[test]
fn counts_are_bounded() {
    const MANY: usize = 250_001;
    let names = "<d:x/>".repeat(MANY);
    for body in [
        multistatus(&"<d:response/>".repeat(MANY)),
        multistatus(&format!(
            "<d:response>{}</d:response>",
            "<d:href/>".repeat(MANY + 1)
        )),
        found(&format!("<d:resourcetype>{names}</d:resourcetype>")),
        multistatus(&format!(
            "<d:response><d:error>{names}</d:error></d:response>"
        )),
    ] {
        assert_eq!(parse(body.as_bytes()), Err(XmlError::TooMuch));
    }
}

#[test]
fn every_cut_is_an_error() {
    let body = multistatus(
        "<d:response><d:href>/c/&#228;.ics</d:href><d:propstat><d:prop><d:getetag>\"1\"</d:getetag>\
         <c:calendar-data><![CDATA[ä]]></c:calendar-data></d:prop></d:propstat></d:response>",
    );
    assert!(parse(body.as_bytes()).is_ok());
    for length in 0..body.len() {
        assert!(parse(&body.as_bytes()[..length]).is_err(), "{length}");
    }
}

#[test]
fn conditions_are_named() {
    for (body, expected) in [
        (
            "<error xmlns=\"DAV:\"><valid-sync-token/></error>",
            Some("valid-sync-token"),
        ),
        (
            "<?xml version='1.0'?><d:error xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\">\n \
             <d:supported-report/><s:message>x</s:message></d:error>",
            Some("supported-report"),
        ),
        (
            "<d:error xmlns:d='DAV:' xmlns:c='urn:ietf:params:xml:ns:caldav'><c:no-uid-conflict>",
            Some("no-uid-conflict"),
        ),
        ("<d:error xmlns:d='DAV:'/>", None),
        ("<error><valid-sync-token/></error>", None),
        ("<html><error/></html>", None),
        ("", None),
    ] {
        assert_eq!(
            error_condition(body.as_bytes()).as_deref(),
            expected,
            "{body}"
        );
    }
}

#[test]
fn requests_are_well_formed_and_escaped() {
    let text = |body: Vec<u8>| {
        let text = String::from_utf8(body).unwrap();
        let mut pull = pull::Pull::new(&text);
        pull.root().unwrap();
        pull.skip().unwrap();
        pull.end().unwrap();
        text
    };
    let find = text(propfind(&[Prop::Etag, Prop::Ctag, Prop::Colour]));
    let inside = "<d:prop><d:getetag/><s:getctag/><a:calendar-color/></d:prop>";
    assert!(find.contains(inside), "{find}");
    let first = text(sync_collection(None));
    assert!(first.contains("<d:sync-token></d:sync-token><d:sync-level>1</d:sync-level>"));
    assert!(!first.contains("limit"));
    let next = text(sync_collection(Some("a&b<c>\r")));
    assert!(
        next.contains("<d:sync-token>a&amp;b&lt;c&gt;&#13;</d:sync-token>"),
        "{next}"
    );
    let get = text(multiget(&["/a&b.ics", "/ä.ics"], true));
    assert!(
        get.contains("<d:href>/a&amp;b.ics</d:href><d:href>/ä.ics</d:href>"),
        "{get}"
    );
    assert!(get.contains("<c:calendar-data/>"), "{get}");
    assert!(!text(multiget(&["/a"], false)).contains("calendar-data"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
        let _ = error_condition(&bytes);
    }

    #[test]
    fn damaged_answers_never_panic(
        at in 0_usize..900,
        bytes in proptest::collection::vec(any::<u8>(), 0..8),
        pieces in proptest::collection::vec(0_usize..12, 0..40),
    ) {
        const PIECES: [&str; 12] = [
            "<d:response>", "</d:response>", "<d:propstat>", "</d:propstat>", "<d:prop>", "</d:prop>",
            "<d:href>", "</d:href>", "<d:getetag/>", "<c:calendar-data><![CDATA[", "]]>", "&#13;",
        ];
        let inside: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        let mut body = found(&inside).into_bytes();
        let at = at.min(body.len());
        body.splice(at..at, bytes);
        let _ = parse(&body);
    }
}
