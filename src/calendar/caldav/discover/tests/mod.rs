//! Discovery on the layouts of the servers that are known (reference: what real servers do).

mod server;

use std::collections::BTreeSet;

use url::Url;

use self::server::{Script, Server};
use super::read::{self, resolved};
use super::*;
use crate::calendar::{Again, ReadError};

/// What makes a calendar.
const CALENDAR: &str = "<resourcetype><collection/><c:calendar/></resourcetype>";
const COLLECTION: &str = "<resourcetype><collection/></resourcetype>";

fn principal(href: &str) -> String {
    format!("{COLLECTION}<current-user-principal><href>{href}</href></current-user-principal>")
}

fn home(href: &str) -> String {
    format!("<c:calendar-home-set><href>{href}</href></c:calendar-home-set>")
}

fn addresses(hrefs: &[&str]) -> String {
    let hrefs: String = hrefs.iter().map(|h| format!("<href>{h}</href>")).collect();
    format!("<c:calendar-user-address-set>{hrefs}</c:calendar-user-address-set>")
}

fn calendar(name: &str, owner: &str, more: &str) -> String {
    format!("{CALENDAR}<displayname>{name}</displayname><owner><href>{owner}</href></owner>{more}")
}

async fn find(server: &Server, path: &str) -> Result<Discovery, ReadError> {
    discover(&server.account(path), &server.url(path)).await
}

/// The hint and how soon another try is worthwhile.
async fn failure(script: Script, path: &str) -> (String, Again) {
    let server = script.start();
    match find(&server, path).await {
        Err(ReadError::Server { hint, again, .. }) => (hint, again),
        other => panic!("{other:?}"),
    }
}

fn paths(discovery: &Discovery) -> Vec<&str> {
    discovery.collections.iter().map(|c| c.url.path()).collect()
}

fn set(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

#[tokio::test]
async fn a_principal_that_is_its_own_home() {
    let own = "/alice/";
    let server = Script::default()
        .well_known(301, "/")
        .found("PROPFIND / 0", &[("/", &principal(own))])
        .found(
            "PROPFIND /alice/ 0",
            &[(own, &format!("{}{}", home(own), addresses(&["mailto:Alice@Example.org"])))],
        )
        .found(
            "PROPFIND /alice/ 1",
            &[
                (own, COLLECTION),
                ("/alice/book/", "<resourcetype><collection/><x/></resourcetype>"),
                (
                    "/alice/9f3a/",
                    &calendar(
                        "Work",
                        own,
                        "<a:calendar-color>#ff0000ff</a:calendar-color><s:getctag>c7</s:getctag>\
                         <c:calendar-timezone>BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:W. Europe \
                         Standard Time\r\nEND:VTIMEZONE\r\nEND:VCALENDAR\r\n</c:calendar-timezone>\
                         <c:max-resource-size>10000000</c:max-resource-size>\
                         <supported-report-set><supported-report><report><sync-collection/></report>\
                         </supported-report></supported-report-set><current-user-privilege-set>\
                         <privilege><all/></privilege></current-user-privilege-set>\
                         <c:supported-calendar-component-set><c:comp name=\"VEVENT\"/>\
                         </c:supported-calendar-component-set>",
                    ),
                ),
            ],
        )
        .on(
            "OPTIONS /alice/",
            200,
            &["dav: 1, 2, 3", "dav: calendar-access, calendar-auto-schedule", "server: Thing/3"],
            "",
        )
        .start();
    let found = find(&server, "/").await.unwrap();
    let expected = Discovery {
        host: found.host.clone(),
        principal: Some(server.url(own)),
        homes: vec![server.url(own)],
        addresses: set(&["alice@example.org"]),
        collections: vec![Collection {
            url: server.url("/alice/9f3a/"),
            label: Some("Work".to_owned()),
            display_name: Some("Work".to_owned()),
            colour: Some("#ff0000ff".to_owned()),
            owner: Some(server.url(own)),
            owned: true,
            addresses: set(&["alice@example.org"]),
            time_zone: Some(chrono_tz::Europe::Berlin),
            holds_events: true,
            writable: Some(true),
            sync_collection: true,
            multiget: false,
            max_resource_size: Some(10_000_000),
            home: Some(server.url(own)),
            ctag: Some("c7".to_owned()),
        }],
        server: "Thing/3".to_owned(),
        schedules: true,
    };
    assert_eq!(found, expected);
    assert!(found.host.starts_with("127.0.0.1"), "{}", found.host);
    let requests = [
        "PROPFIND /.well-known/caldav 0",
        "PROPFIND / 0",
        "PROPFIND /alice/ 0",
        "PROPFIND /alice/ 1",
        "OPTIONS /alice/",
    ];
    assert_eq!(server.seen(), requests);
}

/// A server below a path, with shared calendars, mailboxes and a bin beside the account's own.
fn groupware() -> Script {
    let me = "/remote.php/dav/principals/users/alice/";
    let bob = "/remote.php/dav/principals/users/bob/";
    let at = "/remote.php/dav/calendars/alice/";
    let read_only = "<current-user-privilege-set><privilege><read/></privilege>\
                     </current-user-privilege-set>";
    let tasks = "<c:supported-calendar-component-set><c:comp name=\"VTODO\"/>\
                 </c:supported-calendar-component-set>";
    Script::default()
        .on("PROPFIND / 0", 405, &[], "")
        .well_known(301, "{origin}/remote.php/dav/")
        .found(
            "PROPFIND /remote.php/dav/ 0",
            &[("/remote.php/dav/", &principal(me))],
        )
        .found(
            "PROPFIND /remote.php/dav/principals/users/alice/ 0",
            &[(
                me,
                &format!(
                    "{}{}",
                    home(at),
                    addresses(&["mailto:alice@example.org", me, "urn:x:1"])
                ),
            )],
        )
        .found(
            "PROPFIND /remote.php/dav/calendars/alice/ 0",
            &[(at, &principal(me))],
        )
        .on("PROPFIND /remote.php/dav/ 1", 403, &[], "")
        .found(
            "PROPFIND /remote.php/dav/calendars/alice/ 1",
            &[
                (at, COLLECTION),
                (&format!("{at}personal/"), &calendar("Personal", me, "")),
                (&format!("{at}tasks/"), &calendar("Tasks", me, tasks)),
                (
                    &format!("{at}team_shared_by_bob/"),
                    &calendar("Team", bob, read_only),
                ),
                (
                    &format!("{at}team2_shared_by_bob/"),
                    &calendar("Team", bob, ""),
                ),
                (
                    &format!("{at}carol/"),
                    &calendar("Carol", "/remote.php/dav/principals/users/carol/", ""),
                ),
                (
                    &format!("{at}inbox/"),
                    "<resourcetype><collection/><c:calendar/><c:schedule-inbox/></resourcetype>",
                ),
                (
                    &format!("{at}outbox/"),
                    "<resourcetype><c:schedule-outbox/></resourcetype>",
                ),
                (
                    &format!("{at}trashbin/"),
                    "<resourcetype><n:trash-bin/></resourcetype>",
                ),
                (
                    &format!("{at}old/"),
                    "<resourcetype><c:calendar/><n:deleted-calendar/></resourcetype>",
                ),
            ],
        )
        .found(
            "PROPFIND /remote.php/dav/principals/users/bob/ 0",
            &[(bob, &addresses(&["mailto:bob@example.org"]))],
        )
        .on(
            "PROPFIND /remote.php/dav/principals/users/carol/ 0",
            403,
            &[],
            "",
        )
        .on(
            "OPTIONS /remote.php/dav/calendars/alice/",
            200,
            &[
                "dav: 1, nextcloud-checksum-update, calendar-auto-schedule",
                "server: nginx",
            ],
            "",
        )
}

#[tokio::test]
async fn groupware_with_shared_calendars() {
    // The server's address, its CalDAV address, and the home all lead to the same.
    for path in ["/", "/remote.php/dav/", "/remote.php/dav/calendars/alice/"] {
        let server = groupware().start();
        let found = find(&server, path).await.unwrap();
        let seen: Vec<_> = found
            .collections
            .iter()
            .map(|c| {
                (
                    c.label.as_deref().unwrap(),
                    c.owned,
                    c.holds_events,
                    c.writable,
                )
            })
            .collect();
        let expected = [
            ("Personal", true, true, None),
            ("Tasks", true, false, None),
            ("Team (team_shared_by_bob)", false, true, Some(false)),
            ("Team (team2_shared_by_bob)", false, true, None),
            ("Carol", false, true, None),
        ];
        assert_eq!(seen, expected, "{path}");
        assert_eq!(found.collections[0].addresses, set(&["alice@example.org"]));
        assert_eq!(found.collections[3].addresses, set(&["bob@example.org"]));
        assert_eq!(found.collections[4].addresses, set(&[]));
        assert_eq!(
            found.homes,
            [server.url("/remote.php/dav/calendars/alice/")]
        );
        assert_eq!(
            (found.server.as_str(), found.schedules),
            ("Nextcloud", true)
        );
        // Once, though two calendars are his.
        let asked = server.seen().into_iter();
        let bob = asked.filter(|seen| seen.contains("/users/bob/")).count();
        assert_eq!(bob, 1, "{path}");
    }
}

#[tokio::test]
async fn names_choose_calendars() {
    let server = groupware().start();
    let found = find(&server, "/").await.unwrap();
    let at = "/remote.php/dav/calendars/alice/";
    let chosen = |wanted: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(|one| (*one).to_owned()).collect();
        let chosen = found.chosen(&wanted);
        chosen.map(|all| all.iter().map(|c| c.segment()).collect::<Vec<_>>())
    };
    let url = server.url(&format!("{at}carol"));
    for (wanted, expected) in [
        (vec![], vec!["personal"]),
        (vec!["Tasks", "Personal"], vec!["tasks", "personal"]),
        (
            vec!["/remote.php/dav/calendars/alice/t%61sks"],
            vec!["tasks"],
        ),
        (vec![url.as_str()], vec!["carol"]),
        (vec!["team2_shared_by_bob"], vec!["team2_shared_by_bob"]),
        (
            vec!["Team (team_shared_by_bob)"],
            vec!["team_shared_by_bob"],
        ),
        (vec!["Personal", "personal", " Personal"], vec!["personal"]),
    ] {
        assert_eq!(chosen(&wanted).unwrap(), expected);
    }
    for (wanted, expected) in [
        ("Nowhere", "no calendar there is named \"Nowhere\""),
        ("Team", "several calendars there are named \"Team\""),
        ("/else/personal/", "no calendar there is named"),
        ("old", "no calendar there is named"),
    ] {
        let error = chosen(&[wanted]).unwrap_err();
        let ReadError::Server { what, hint, again } = error else {
            panic!("{error:?}");
        };
        assert_eq!(again, Again::Slowly);
        assert!(what.starts_with("calendars at 127.0.0.1"), "{what}");
        assert!(hint.starts_with(expected), "{hint}");
        let all = "There are: \"Personal\", \"Tasks\", \"Team (team_shared_by_bob)\"";
        assert!(hint.contains(all), "{hint}");
    }
    let mut none_owned = found.clone();
    none_owned.collections.retain(|c| !c.owned);
    let error = none_owned.chosen(&[]).unwrap_err().to_string();
    assert!(
        error.contains("name those that are wanted in `collections`"),
        "{error}"
    );

    let name = |at: usize| found.collections[at].name_in("alice").to_string();
    assert_eq!(name(0), "alice/Personal");
    assert_eq!(name(2), "alice/Team (team_shared_by_bob)");
}

#[tokio::test]
async fn roots_that_know_no_propfind() {
    for (target, status) in [("/caldav.php/", 301), ("/SOGo/dav/", 302), ("/dav/", 308)] {
        let me = format!("{target}alice/");
        let more = format!("{target}resource/");
        let homes = format!(
            "{}<owner><href>{me}</href></owner>",
            home(&format!(
                "{me}</href><href>\n {{origin}}{more} \n</href><href>{me}"
            ))
        );
        let server = Script::default()
            .on("PROPFIND / 0", 405, &[], "")
            .on("PROPFIND /caldav 0", 405, &[], "")
            .well_known(status, &format!("{{origin}}{target}"))
            .found(
                &format!("PROPFIND {target} 0"),
                &[(target, &principal(&me))],
            )
            .found(&format!("PROPFIND {me} 0"), &[(&me, &homes)])
            .found(
                &format!("PROPFIND {me} 1"),
                &[
                    (&me, COLLECTION),
                    (&format!("{me}home"), &calendar("home", &me, "")),
                ],
            )
            .found(
                &format!("PROPFIND {more} 1"),
                &[
                    (&format!("{more}room/"), &calendar("Room", &me, "")),
                    // The same as in the other home, written differently.
                    (
                        &format!("{{origin}}{me}hom%65/"),
                        &calendar("home", &me, ""),
                    ),
                ],
            )
            .start();
        // What is given and knows no PROPFIND leads to the server's own way in.
        for path in ["/", "", "/caldav"] {
            let found = find(&server, path).await.unwrap();
            assert_eq!(
                paths(&found),
                [format!("{me}home/"), format!("{more}room/")]
            );
            assert_eq!(found.homes, [server.url(&me), server.url(&more)]);
            assert!(found.collections.iter().all(|c| c.owned));
        }
    }
}

#[tokio::test]
async fn servers_without_the_well_known_place() {
    for status in [404, 405, 403, 400, 500, 501] {
        let server = Script::default()
            .on("PROPFIND /.well-known/caldav 0", status, &[], "")
            .found("PROPFIND / 0", &[("/", &principal("/p/"))])
            .found("PROPFIND /p/ 0", &[("/p/", &home("/h/"))])
            .found("PROPFIND /h/ 1", &[("/h/a/", CALENDAR)])
            .start();
        let found = find(&server, "/").await.unwrap();
        assert_eq!(paths(&found), ["/h/a/"], "{status}");
        // Without an owner it belongs to whose home it is in; without a name it is its path's end.
        let one = &found.collections[0];
        assert!(one.owned && one.holds_events && one.multiget && !one.sync_collection);
        assert_eq!(one.label.as_deref(), Some("a"));
        assert_eq!(found.server, "");
        assert!(!found.schedules);
    }
}

#[tokio::test]
async fn the_well_known_place_shows_a_web_page() {
    let server = Script::default()
        .on(
            "PROPFIND /.well-known/caldav 0",
            200,
            &[],
            "<!doctype html><html>hello</html>",
        )
        .found("PROPFIND / 0", &[("/", &principal("/p/"))])
        .found("PROPFIND /p/ 0", &[("/p/", &home("/h/"))])
        .found("PROPFIND /h/ 1", &[("/h/a/", CALENDAR)])
        .start();
    assert_eq!(paths(&find(&server, "/").await.unwrap()), ["/h/a/"]);
}

#[tokio::test]
async fn a_calendar_needs_no_discovery() {
    let at = "/caldav/v2/alice%40example.org/events";
    // With a principal that cannot be read, and with none.
    for props in [
        principal("/caldav/v2/alice%40example.org/user"),
        String::new(),
    ] {
        let props = props.replace(COLLECTION, "");
        let server = Script::default()
            .found(
                &format!("PROPFIND {at} 0"),
                &[(
                    "/caldav/v2/alice@example.org/events/",
                    &format!(
                        "{}{props}",
                        calendar("Alice", "/caldav/v2/alice@example.org/user", "")
                    ),
                )],
            )
            .on(
                "PROPFIND /caldav/v2/alice%40example.org/user 0",
                400,
                &[],
                "",
            )
            .start();
        let found = find(&server, at).await.unwrap();
        assert_eq!(paths(&found), [format!("{at}/")]);
        let one = &found.collections[0];
        assert!(one.owned && one.home.is_none() && found.homes.is_empty());
        assert_eq!(one.name_in("google").as_str(), "google");
        assert_eq!(found.chosen(&[]).unwrap(), [one]);
        assert!(!server.seen().iter().any(|seen| seen.contains("well-known")));
    }
}

#[tokio::test]
async fn a_calendar_that_somebody_else_owns_is_chosen_when_it_is_given() {
    let server = Script::default()
        .found(
            "PROPFIND /bob/work/ 0",
            &[(
                "/bob/work/",
                &format!("{}{}", principal("/service/"), calendar("W", "/bob/", "")),
            )],
        )
        .found(
            "PROPFIND /service/ 0",
            &[("/service/", &addresses(&["mailto:service@example.org"]))],
        )
        .found(
            "PROPFIND /bob/ 0",
            &[("/bob/", &addresses(&["mailto:bob@example.org"]))],
        )
        .start();
    let found = find(&server, "/bob/work/").await.unwrap();
    let one = &found.collections[0];
    assert!(!one.owned);
    assert_eq!(one.addresses, set(&["bob@example.org"]));
    assert_eq!(found.addresses, set(&["service@example.org"]));
    assert_eq!(found.chosen(&[]).unwrap(), [one]);
}

#[tokio::test]
async fn principals_and_homes_of_others_work_as_they_are_given() {
    let script = || {
        Script::default()
            .found("PROPFIND /service/ 0", &[("/service/", &home("/service/"))])
            .found(
                "PROPFIND /p/bob/ 0",
                &[(
                    "/p/bob/",
                    &format!("{}{}", principal("/service/"), home("/h/bob/")),
                )],
            )
            .found(
                "PROPFIND /h/bob/ 0",
                &[("/h/bob/", &principal("/service/"))],
            )
            .found(
                "PROPFIND /h/bob/ 1",
                &[("/h/bob/work/", &calendar("Work", "/p/bob/", ""))],
            )
    };
    for path in ["/p/bob/", "/h/bob/"] {
        let server = script().start();
        let found = find(&server, path).await.unwrap();
        assert_eq!(paths(&found), ["/h/bob/work/"], "{path}");
        assert_eq!(found.principal, Some(server.url("/service/")));
        assert_eq!(found.homes, [server.url("/h/bob/")]);
        assert!(!found.collections[0].owned);
    }
}

#[tokio::test]
async fn a_home_that_is_refused_does_not_hide_the_others() {
    let two = home("/h/1/</href><href>/h/2/");
    let script = |status| {
        Script::default()
            .found("PROPFIND / 0", &[("/", &principal("/p/"))])
            .found("PROPFIND /p/ 0", &[("/p/", &two)])
            .on("PROPFIND /h/1/ 1", status, &[], "")
    };
    let with_two = |status| script(status).found("PROPFIND /h/2/ 1", &[("/h/2/a/", CALENDAR)]);
    let server = with_two(403).start();
    assert_eq!(paths(&find(&server, "/").await.unwrap()), ["/h/2/a/"]);
    // What fails for a moment would hide calendars: the whole is tried again.
    let (hint, again) = failure(with_two(502), "/").await;
    assert_eq!(again, Again::Soon, "{hint}");
    let (hint, again) = failure(script(403), "/").await;
    assert!(
        hint.contains("names a calendar home for this account"),
        "{hint}"
    );
    assert_eq!(again, Again::Slowly);
}

#[tokio::test]
async fn hrefs_may_be_whole_urls() {
    let server = Script::default()
        .found("PROPFIND / 0", &[("/", &principal("{origin}/p/"))])
        .found("PROPFIND /p/ 0", &[("{origin}/p/", &home("{origin}/h/"))])
        .found(
            "PROPFIND /h/ 1",
            &[("{origin}/h/a", CALENDAR), ("http://[/", CALENDAR)],
        )
        .start();
    assert_eq!(paths(&find(&server, "/").await.unwrap()), ["/h/a/"]);
}

#[test]
fn hrefs_are_resolved_against_the_answer() {
    let base = Url::parse("https://p07-caldav.example.com:8443/dav/alice/").unwrap();
    for (href, expected) in [
        (
            "/dav/bob/",
            Some("https://p07-caldav.example.com:8443/dav/bob/"),
        ),
        (
            "work/",
            Some("https://p07-caldav.example.com:8443/dav/alice/work/"),
        ),
        (
            "../bob/",
            Some("https://p07-caldav.example.com:8443/dav/bob/"),
        ),
        (
            "https://p42-caldav.example.com:443/1/",
            Some("https://p42-caldav.example.com/1/"),
        ),
        // A server behind a proxy that ends TLS.
        (
            "http://p07-caldav.example.com/dav/c/",
            Some("https://p07-caldav.example.com:8443/dav/c/"),
        ),
        (
            "/a b/ü/?x=1#y",
            Some("https://p07-caldav.example.com:8443/a%20b/%C3%BC/"),
        ),
        ("https://user:word@p07-caldav.example.com/", None),
        ("mailto:alice@example.org", None),
        ("file:///etc/passwd", None),
        ("https://[::1/", None),
    ] {
        assert_eq!(
            resolved(&base, href).as_ref().map(Url::as_str),
            expected,
            "{href}"
        );
    }
    assert_eq!(resolved(&base, &"x".repeat(3_000)), None);
}

#[test]
fn places_are_compared_decoded() {
    let url = |text: &str| Url::parse(text).unwrap();
    let one = url("https://h/dav/alice%40example.org/Work/");
    for (other, same) in [
        ("https://h/dav/alice@example.org/Work", true),
        ("https://h:443/dav/%61lice%40example.org/Work//", true),
        ("https://h/dav/alice@example.org/work/", false),
        ("https://h:8443/dav/alice@example.org/Work/", false),
        ("https://g/dav/alice@example.org/Work/", false),
    ] {
        assert_eq!(same_place(&one, &url(other)), same, "{other}");
    }
}

#[test]
fn addresses_are_bare_and_in_lower_case() {
    let hrefs = [
        "mailto:Alice@Example.org",
        "MAILTO:alice%2Bwork@example.org",
        "/principals/users/alice/",
        "urn:uuid:1234",
        "https://example.org/alice@example.org",
        "bob@example.org",
        "mailto:",
        "mailto:nobody",
        "mailto:a b@example.org",
    ];
    let hrefs: Vec<String> = hrefs.iter().map(|href| (*href).to_owned()).collect();
    let expected = set(&[
        "alice@example.org",
        "alice+work@example.org",
        "bob@example.org",
    ]);
    assert_eq!(read::addresses(&hrefs), expected);
}

#[tokio::test]
async fn names_are_short_plain_and_unlike() {
    let same = |href: &str, name: &str| (href.to_owned(), calendar(name, "/p/", ""));
    let all = [
        same("/h/1/", "Work"),
        same("/h/2/", "Work"),
        same("/i/2/", "Work"),
        same("/h/3/", " a&#10;\u{202e}b&#27;[31m  c "),
        same("/h/4/", &"long ".repeat(100)),
        same("/h/%C3%A4%00/", "&#1;"),
        same("/h/%C3%B6/", ""),
    ];
    let all: Vec<_> = all
        .iter()
        .map(|(href, props)| (href.as_str(), props.as_str()))
        .collect();
    let server = Script::default()
        .found("PROPFIND / 0", &[("/", &principal("/p/"))])
        .found("PROPFIND /p/ 0", &[("/p/", &home("/h/"))])
        .found("PROPFIND /h/ 1", &all)
        .start();
    let found = find(&server, "/").await.unwrap();
    let labels: Vec<_> = found
        .collections
        .iter()
        .map(|c| c.label.clone().unwrap())
        .collect();
    let url = |path| server.url(path).to_string();
    assert_eq!(labels[0], "Work (1)");
    assert_eq!(labels[1], format!("Work ({})", url("/h/2/")));
    assert_eq!(labels[2], format!("Work ({})", url("/i/2/")));
    assert_eq!(labels[3], "a b [31m c");
    assert_eq!(labels[4].chars().count(), 60);
    assert_eq!(labels[5], "calendar");
    assert_eq!(labels[6], "ö");
}

#[tokio::test]
async fn what_stands_in_the_way_is_named() {
    let html = "<html><body><form>Sign in</form></body></html>";
    let with_principal = |more: &str| {
        Script::default()
            .found("PROPFIND / 0", &[("/", &principal("/p/"))])
            .found("PROPFIND /p/ 0", &[("/p/", more)])
    };
    let absent = "<response><href>/x/</href><status>HTTP/1.1 404 Not Found</status></response>";
    let slowly = Again::Slowly;
    for (name, script, path, expected, again) in [
        (
            "nothing there",
            Script::default(),
            "/",
            "has nothing at the configured address",
            slowly,
        ),
        (
            "no such path",
            Script::default(),
            "/x/",
            "has nothing at the configured address",
            slowly,
        ),
        (
            "207 with 404 inside",
            Script::default().multistatus("PROPFIND /x/ 0", absent),
            "/x/",
            "has nothing at the configured address (404)",
            slowly,
        ),
        (
            "no answer inside",
            Script::default().multistatus("PROPFIND /x/ 0", ""),
            "/x/",
            "has nothing at the configured address (404)",
            slowly,
        ),
        (
            "no WebDAV",
            Script::default().on("PROPFIND / 0", 405, &[], ""),
            "/",
            "does not speak CalDAV at the configured address (PROPFIND is answered with 405",
            slowly,
        ),
        (
            "not implemented",
            Script::default().on("PROPFIND / 0", 501, &[], ""),
            "/",
            "does not speak CalDAV at the configured address",
            slowly,
        ),
        (
            "down",
            Script::default().on("PROPFIND /x/ 0", 503, &[], ""),
            "/x/",
            "failed (503 Service Unavailable); it is asked again",
            Again::Soon,
        ),
        (
            "forbidden",
            Script::default().on("PROPFIND /x/ 0", 403, &[], ""),
            "/x/",
            "refuses to show the configured address to this account",
            slowly,
        ),
        (
            "login page",
            Script::default().on("PROPFIND /x/ 0", 200, &[], html),
            "/x/",
            ": the answer is a web page instead of XML, perhaps a login form",
            slowly,
        ),
        (
            "cut off",
            Script::default().on(
                "PROPFIND /x/ 0",
                207,
                &[],
                "<multistatus xmlns='DAV:'><resp",
            ),
            "/x/",
            ": the answer is cut off",
            Again::Soon,
        ),
        (
            "bomb",
            Script::default().on(
                "PROPFIND /x/ 0",
                207,
                &[],
                "<!DOCTYPE x [<!ENTITY a 'a'>]><x/>",
            ),
            "/x/",
            ": the answer has a DOCTYPE",
            slowly,
        ),
        (
            "WebDAV without accounts",
            Script::default()
                .found("PROPFIND / 0", &[("/", COLLECTION)])
                .found("PROPFIND / 1", &[]),
            "/",
            "does not say where this account's calendars are",
            slowly,
        ),
        (
            "a folder",
            Script::default()
                .found("PROPFIND /x/ 0", &[("/x/", COLLECTION)])
                .found("PROPFIND /x/ 1", &[("/x/", COLLECTION)]),
            "/x/",
            "has neither a calendar nor the way to one at the configured address",
            slowly,
        ),
        (
            "no home",
            with_principal(COLLECTION),
            "/",
            "names no calendar home",
            slowly,
        ),
        (
            "principal hidden",
            Script::default()
                .found("PROPFIND / 0", &[("/", &principal("/p/"))])
                .on("PROPFIND /p/ 0", 403, &[], ""),
            "/",
            "names a principal for this account and does not show it (403 Forbidden)",
            slowly,
        ),
        (
            "no calendar",
            with_principal(&home("/h/")).found("PROPFIND /h/ 1", &[("/h/", COLLECTION)]),
            "/",
            "shows no calendar to this account",
            slowly,
        ),
        (
            "another site",
            Script::default().well_known(301, "https://example.org/dav/"),
            "/",
            "leads to example.org",
            slowly,
        ),
        (
            "a circle",
            Script::default().moved("PROPFIND /x/ 0", 301, "/x/"),
            "/x/",
            "redirects more than",
            slowly,
        ),
    ] {
        let (hint, is) = failure(script, path).await;
        assert!(hint.contains(expected), "{name}: {hint}");
        assert!(hint.starts_with("127.0.0.1"), "{name}: {hint}");
        assert_eq!(is, again, "{name}");
    }
}

#[tokio::test]
async fn homes_and_calendars_are_bounded() {
    let homes: Vec<String> = (0..50).map(|n| format!("/h/{n}/")).collect();
    let mut script = Script::default()
        .found("PROPFIND / 0", &[("/", &principal("/p/"))])
        .found(
            "PROPFIND /p/ 0",
            &[("/p/", &home(&homes.join("</href><href>")))],
        );
    for home in &homes {
        let all: Vec<_> = (0..100).map(|n| format!("{home}{n}/")).collect();
        let all: Vec<_> = all.iter().map(|href| (href.as_str(), CALENDAR)).collect();
        script = script.found(&format!("PROPFIND {home} 1"), &all);
    }
    let server = script.start();
    let found = find(&server, "/").await.unwrap();
    assert_eq!((found.homes.len(), found.collections.len()), (20, 1_000));
}
