//! From a URL to the calendars of an account, on every server of the table and past every trap.

use meetbridge::calendar::Again;
use meetbridge::calendar::caldav::discover::discover;

use super::account::{Ground, failed, lines};
use super::fake::*;

const ZONE: &str = "BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nEND:VTIMEZONE\r\nEND:VCALENDAR\r\n";

async fn furnished(quirks: Quirks) -> Fake {
    let fake = Fake::start(quirks).await;
    fake.describe("alice/work", |about| {
        about.display_name = Some("Work & more".into());
        about.colour = Some("#FF2968FF".into());
        about.time_zone = Some(ZONE.into());
    });
    fake.calendar("alice/tasks");
    fake.describe("alice/tasks", |about| about.components = vec!["VTODO"]);
    fake.calendar("alice/inbox");
    fake.describe("alice/inbox", |about| about.is_calendar = false);
    fake.share("bob/work", "alice", "work_by_bob", Access::Read);
    fake
}

#[tokio::test]
async fn every_server_shows_its_calendars_from_every_entrance() {
    for (name, quirks) in Quirks::servers() {
        let syncs = quirks.sync_collection;
        let schedules = quirks.scheduling.is_some();
        let fake = furnished(quirks).await;
        let ground = Ground::new();
        for (entrance, most) in [
            ("", 7),
            ("dav/", 6),
            ("dav/principals/alice/", 5),
            ("dav/calendars/alice/", 5),
        ] {
            let label = format!("{name} at /{entrance}");
            let url = format!("{}{entrance}", fake.url());
            let connection = ground.alice(&url);
            let found = discover(&connection, &url.parse().unwrap()).await;
            let found = found.unwrap_or_else(|error| panic!("{label}: {error}"));
            let requests = lines(&fake);
            let sent = requests.iter().filter(|line| !line.ends_with("401"));
            assert!(sent.count() <= most, "{label}: {requests:#?}");
            let names: Vec<_> = found.collections.iter().map(|c| c.label.clone()).collect();
            let names: Vec<_> = names.iter().flatten().map(String::as_str).collect();
            assert_eq!(names.len(), 3, "{label}: {names:?}");
            let chosen = found.chosen(&[]).unwrap();
            assert_eq!(chosen.len(), 1, "{label}");
            let work = chosen[0];
            assert_eq!(work.url.path(), "/dav/calendars/alice/work/", "{label}");
            assert_eq!(work.label.as_deref(), Some("Work & more"), "{label}");
            assert_eq!(work.colour.as_deref(), Some("#FF2968FF"), "{label}");
            assert_eq!(work.time_zone, Some(chrono_tz::Europe::Berlin), "{label}");
            assert_eq!(work.writable, Some(true), "{label}");
            assert_eq!(
                (work.sync_collection, work.multiget),
                (syncs, true),
                "{label}"
            );
            assert!(work.addresses.contains("alice@example.org"), "{label}");
            let by_bob = found.chosen(&["/dav/calendars/alice/work_by_bob".into()]);
            let by_bob = by_bob.unwrap()[0];
            assert_eq!(
                (by_bob.owned, by_bob.writable),
                (false, Some(false)),
                "{label}"
            );
            assert!(by_bob.addresses.contains("bob@example.org"), "{label}");
            assert_eq!(found.schedules, schedules, "{label}");
            assert!(found.addresses.contains("alice@example.org"), "{label}");
        }
        let url = fake.calendar_url("alice/work");
        let connection = ground.alice(&url);
        let found = discover(&connection, &url.parse().unwrap()).await.unwrap();
        let chosen = found.chosen(&[]).unwrap();
        assert_eq!(chosen.len(), 1, "{name}");
        assert_eq!(chosen[0].name_in("alice").as_str(), "alice", "{name}");
    }
}

#[tokio::test]
async fn hrefs_are_understood_in_every_form() {
    for how in [Hrefs::Absolute, Hrefs::EncodedMore, Hrefs::EncodedLess] {
        let fake = Fake::start(Quirks::default()).await;
        fake.quirks(|quirks| quirks.hrefs = how);
        for user in ["al@example.org", "zoë (1)"] {
            fake.user(user);
            fake.password(user, "alice-secret");
            fake.calendar(&format!("{user}/my cal~'1'!"));
            let ground = Ground::new();
            let url = fake.url();
            let settings = ground.settings(&url, ground.password(user, "alice-secret"));
            let connection = ground.connection(settings);
            let found = discover(&connection, &url.parse().unwrap()).await;
            let found = found.unwrap_or_else(|error| panic!("{how:?} {user}: {error}"));
            let chosen = found.chosen(&["my cal~'1'!".into()]).unwrap();
            assert!(chosen[0].owned, "{how:?} {user}");
            assert_eq!(chosen[0].segment(), "my cal~'1'!", "{how:?} {user}");
        }
    }
}

#[tokio::test]
async fn well_known_is_followed_within_the_site_only() {
    let fake = furnished(Quirks::default()).await;
    let url = fake.url();
    for status in [301, 302, 307, 308] {
        fake.quirks(|q| {
            q.well_known = WellKnown::Redirect {
                status,
                absolute: status > 302,
            };
        });
        let ground = Ground::new();
        let connection = ground.alice(&url);
        discover(&connection, &url.parse().unwrap()).await.unwrap();
    }
    fake.quirks(|q| q.well_known = WellKnown::Absent);
    let ground = Ground::new();
    let connection = ground.alice(&url);
    discover(&connection, &url.parse().unwrap()).await.unwrap();
    fake.take_requests();

    for (location, words) in [
        ("http://elsewhere.example/dav/", "elsewhere.example"),
        ("http://localhost:{port}/dav/", "localhost"),
        ("https://127.0.0.1.evil.example/", "evil.example"),
        ("ftp://127.0.0.1/", "https"),
    ] {
        fake.quirks(|q| q.well_known = WellKnown::To(location.into()));
        // The root knows nothing, so that the redirect is the only way.
        fake.quirks(|q| q.principal_at_root = false);
        let ground = Ground::new();
        let connection = ground.alice(&url);
        let error = discover(&connection, &url.parse().unwrap()).await;
        let (text, again) = failed(&error.unwrap_err());
        assert!(text.contains(words), "{location}: {text}");
        assert_eq!(again, Again::Slowly, "{location}");
        let foreign = fake.take_requests();
        let foreign = foreign
            .iter()
            .filter(|seen| seen.header("host").unwrap().starts_with("localhost"));
        assert_eq!(foreign.count(), 0, "{location}");
    }
    // A circle ends.
    fake.quirks(|q| q.well_known = WellKnown::To("/.well-known/caldav".into()));
    let ground = Ground::new();
    let connection = ground.alice(&url);
    let error = discover(&connection, &url.parse().unwrap()).await;
    assert!(failed(&error.unwrap_err()).0.contains("redirects"));
    assert!(lines(&fake).len() < 20);
}

#[tokio::test]
async fn what_is_no_caldav_server_is_said_in_one_message() {
    let cases: [(&str, Act, &str); 9] = [
        ("login page", Act::login_page(), "web page"),
        ("XML bomb", Act::xml_bomb(), "DOCTYPE"),
        ("deep XML", Act::deep_xml(), "deeper"),
        ("endless", Act::Endless, "bytes"),
        ("empty", Act::answer(207, &[], ""), "empty"),
        ("404", Act::status(404), "404"),
        ("forbidden", Act::status(403), "403"),
        ("failing", Act::status(500), "500"),
        ("cut", Act::CutAfter(100), "broke off"),
    ];
    for (name, act, words) in cases {
        let fake = Fake::start(Quirks::default()).await;
        fake.fault(Fault::new(act).on("PROPFIND").at("/dav/").always());
        let url = format!("{}dav/calendars/alice/", fake.url());
        let ground = Ground::new();
        let connection = ground.alice(&url);
        let error = discover(&connection, &url.parse().unwrap()).await;
        let (text, _) = failed(&error.expect_err(name));
        assert!(text.contains(words), "{name}: {text}");
        assert!(text.contains("127.0.0.1"), "{name}: {text}");
        assert!(text.len() < 400 && !text.contains('\n'), "{name}: {text}");
        assert!(lines(&fake).len() <= 4, "{name}");
        assert!(fake.traffic().bytes_out < 64 << 20, "{name}");
    }
}

#[tokio::test]
async fn privileges_and_owners_that_are_not_told_are_not_made_up() {
    let fake = Fake::start(Quirks::default()).await;
    fake.quirks(|q| (q.privileges, q.addresses) = (false, false));
    let url = fake.url();
    let ground = Ground::new();
    let connection = ground.alice(&url);
    let found = discover(&connection, &url.parse().unwrap()).await.unwrap();
    assert_eq!(found.collections[0].writable, None);
    assert!(found.addresses.is_empty() && found.collections[0].owned);
}
