use super::*;

fn links(text: &str, written: Written) -> Vec<(Provider, String)> {
    let mut found = Found::default();
    find(text, written, Place::Description, &mut found);
    found
        .into_links()
        .into_iter()
        .map(|link| (link.provider, link.url))
        .collect()
}

#[test]
fn a_link_is_known_by_its_host_and_path() {
    use Provider::{Jitsi, Meet, Teams, Webex, Zoom};
    let cases = [
        (
            "https://teams.microsoft.com/l/meetup-join/19%3ameeting_x%40thread.v2/0?context=%7b%7d",
            Some(Teams),
        ),
        (
            "https://teams.microsoft.com/meet/1234567890?p=abc",
            Some(Teams),
        ),
        ("https://TEAMS.Microsoft.com/l/meetup-join/x", Some(Teams)),
        ("https://teams.live.com/meet/123?p=x", Some(Teams)),
        (
            "https://gov.teams.microsoft.us/l/meetup-join/x",
            Some(Teams),
        ),
        (
            "https://dod.teams.microsoft.us/l/meetup-join/x",
            Some(Teams),
        ),
        ("https://teams.cloud.microsoft/meet/1", Some(Teams)),
        (
            "https://teams.microsoft.com/meetingOptions/?organizerId=x",
            None,
        ),
        ("https://teams.microsoft.com/", None),
        ("https://dialin.teams.microsoft.com/l/meetup-join/x", None),
        ("https://zoom.us/j/123456", Some(Zoom)),
        ("http://us02web.zoom.us/j/123?pwd=x", Some(Zoom)),
        ("https://zoom.us:443/my/room", Some(Zoom)),
        ("https://zoom.us./j/1", Some(Zoom)),
        ("https://agency.zoomgov.com/j/1", Some(Zoom)),
        ("https://zoom.us/u/abc", None),
        ("https://support.zoom.us/hc/en-us", None),
        ("https://meet.google.com/abc-defg-hij", Some(Meet)),
        ("https://meet.google.com/", None),
        ("https://hangouts.google.com/hangouts/_/x", Some(Meet)),
        ("https://acme.webex.com/acme/j.php?MTID=m1", Some(Webex)),
        ("https://acme.webex.com/meet/jane", Some(Webex)),
        ("https://help.webex.com/article/1", None),
        ("https://webex.com/pricing", None),
        ("https://meet.jit.si/Room", Some(Jitsi)),
        ("https://8x8.vc/vpaas/Room", Some(Jitsi)),
        (
            "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fzoom.us%2Fj%2F1&data=x",
            Some(Zoom),
        ),
        (
            "https://www.google.com/url?q=https://meet.google.com/abc-defg-hij&sa=D",
            Some(Meet),
        ),
        // Look-alikes.
        ("https://zoom.us.evil.example/j/1", None),
        ("https://evilzoom.us/j/1", None),
        ("https://zoom.us@evil.example/j/1", None),
        (
            "https://evil.example/?x=https%3A%2F%2Fzoom.us%2Fj%2F1",
            None,
        ),
        ("https://evil.example\\@zoom.us/j/1", None),
        ("https://meet.google.com.evil.example/abc", None),
        ("https://notmeet.jit.si/x", None),
        (
            "https://teams.microsoft.com.evil.example/l/meetup-join/x",
            None,
        ),
        ("https://xteams.microsoft.com/l/meetup-join/x", None),
        (
            "https://safelinks.protection.outlook.com.evil.example/?url=https%3A%2F%2Fzoom.us%2Fj%2F1",
            None,
        ),
        ("ftp://zoom.us/j/1", None),
        ("https://", None),
        ("https://[::1/j/1", None),
    ];
    for (url, expected) in cases {
        let found: Vec<_> = links(url, Written::Text)
            .into_iter()
            .map(|(provider, _)| provider)
            .collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{url}");
    }
}

#[test]
fn a_url_ends_where_the_text_around_it_goes_on() {
    let cases = [
        ("Join (https://zoom.us/j/1).", "https://zoom.us/j/1"),
        ("[link](https://zoom.us/j/1), then", "https://zoom.us/j/1"),
        ("<https://zoom.us/j/1>", "https://zoom.us/j/1"),
        ("Join<https://zoom.us/j/1>;", "https://zoom.us/j/1"),
        ("\"https://zoom.us/j/1\"", "https://zoom.us/j/1"),
        (
            "see https://zoom.us/j/1?a=(b) and",
            "https://zoom.us/j/1?a=(b)",
        ),
        (
            "see https://zoom.us/j/1?a=[b]]",
            "https://zoom.us/j/1?a=[b]",
        ),
        ("https://zoom.us/j/1\\nMore", "https://zoom.us/j/1"),
        ("**https://zoom.us/j/1**", "https://zoom.us/j/1"),
        ("HTTPS://zoom.us/j/1!", "HTTPS://zoom.us/j/1"),
        ("xhttps://zoom.us/j/1", "https://zoom.us/j/1"),
        ("://://https://zoom.us/j/1", "https://zoom.us/j/1"),
    ];
    for (text, expected) in cases {
        assert_eq!(
            links(text, Written::Text),
            [(Provider::Zoom, expected.to_owned())],
            "{text}"
        );
    }
}

#[test]
fn in_a_join_block_the_url_ends_the_line() {
    let url = "https://teams.microsoft.com/l/meetup-join/x?context={\"Tid\":\"1\"})";
    let fence = "_".repeat(80);
    let block = format!("Hello\n\n{fence}\nMicrosoft Teams meeting\nJoin: {url}\n{fence}\n");
    assert_eq!(
        links(&block, Written::Text),
        [(Provider::Teams, url.to_owned())]
    );
    // Outside of one, and where something else stands on the line, it ends as in any text.
    let short = url.split('"').next().unwrap();
    let short = short.strip_suffix('{').unwrap_or(short);
    let cases = [
        format!("Join: {url}\n"),
        format!("{fence}\nJoin<{url}>\n{fence}\n"),
    ];
    for text in cases {
        let found = links(&text, Written::Text);
        assert!(found.len() == 1 && found[0].1.starts_with(short) && found[0].1.len() < url.len());
    }
}

#[test]
fn a_property_that_is_a_url_is_taken_whole() {
    let url = "https://teams.microsoft.com/meet/1?p=x).";
    for (text, place, expected) in [
        (url, Place::Url, url),
        (url, Place::Location, url),
        (
            url,
            Place::Description,
            "https://teams.microsoft.com/meet/1?p=x",
        ),
        (
            "Room (https://teams.microsoft.com/meet/1?p=x).",
            Place::Location,
            "https://teams.microsoft.com/meet/1?p=x",
        ),
    ] {
        let mut found = Found::default();
        find(text, Written::Text, place, &mut found);
        let found: Vec<_> = found.links.iter().map(|link| link.url.as_str()).collect();
        assert_eq!(found, [expected], "{text}");
    }
}

#[test]
fn html_is_searched_as_html() {
    let expected = [(Provider::Zoom, "https://zoom.us/j/1?a=b&c=d".to_owned())];
    let html = "<a href='https://zoom.us/j/1?a=b&amp;c=d'>https://zoom.us/j/1?a=b&amp;c=d</a>";
    assert_eq!(links(html, Written::Html), expected);
    let data = "data:text/html;charset=utf-8,%3Ca%20href%3D%22https%3A%2F%2Fzoom.us%2Fj%2F1%3Fa%3Db%26amp%3Bc%3Dd%22%3E";
    assert_eq!(links(data, Written::DataUrl), expected);
    for other in [
        "data:text/html;base64,aHR0cHM6",
        "https://zoom.us/j/1",
        "data:text/html",
    ] {
        assert_eq!(links(other, Written::DataUrl), [], "{other}");
    }
}

#[test]
fn the_search_is_bounded() {
    let many = "https://example.org/ ".repeat(MAX_URLS) + "https://zoom.us/j/1";
    assert_eq!(links(&many, Written::Text), []);
    let late = "ü".repeat(MAX_TEXT / 2) + "https://zoom.us/j/1";
    assert_eq!(links(&late, Written::Text), []);
    let long = format!("https://zoom.us/j/{}", "1".repeat(MAX_URL));
    assert_eq!(links(&long, Written::Text), []);
    let brackets = format!("https://zoom.us/j/1{}", ")".repeat(MAX_TEXT - 100));
    assert_eq!(links(&brackets, Written::Text).len(), 1);
    assert_eq!(links(&"://".repeat(80_000), Written::Text), []);
}

#[test]
fn many_links_are_told_apart_in_linear_time() {
    let mut found = Found::default();
    for number in 0..200_000 {
        let url = format!("https://zoom.us/j/{number}");
        find(&url, Written::Text, Place::Conference, &mut found);
        find(&url, Written::Text, Place::Conference, &mut found);
    }
    assert_eq!(found.into_links().len(), 200_000);
}
