//! From a URL to the calendars of an account, on servers that hold nothing else.

use meetbridge::calendar::caldav::discover::{Discovery, discover};
use meetbridge::calendar::{Again, ReadError};
use url::Url;

use super::account::connection;
use super::harness::{ALICE, BOB, Kind, Raw, Server, User};

/// What alice's account at `url` offers.
async fn offered(url: &str, user: User) -> Result<Discovery, ReadError> {
    discover(&connection(url, user), &Url::parse(url).unwrap()).await
}

/// The labels, sorted.
fn labels(discovery: &Discovery) -> Vec<&str> {
    let labels = discovery.collections.iter();
    let mut labels: Vec<_> = labels.map(|c| c.label.as_deref().unwrap_or("-")).collect();
    labels.sort_unstable();
    labels
}

/// A calendar for tasks, which holds no events.
async fn make_tasks(raw: &Raw, url: &str) {
    let body = "<?xml version=\"1.0\"?><C:mkcalendar xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\">\
                <D:set><D:prop><D:displayname>Tasks</D:displayname><C:supported-calendar-component-set>\
                <C:comp name=\"VTODO\"/></C:supported-calendar-component-set></D:prop></D:set></C:mkcalendar>";
    let request = raw
        .request("MKCALENDAR", url)
        .header("content-type", "application/xml");
    assert_eq!(request.body(body).send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn every_way_in_leads_to_the_calendars() {
    for kind in Kind::ALL {
        let server = Server::start(kind);
        let raw = Raw::new(ALICE);
        let work = raw.make_calendar(&server, "work", "Work").await;
        // A display name and a path that have to be escaped.
        let odd = raw
            .make_calendar(&server, "odd%20%25%26%C3%BC", "Ünï &amp; &lt;co&gt;")
            .await;
        make_tasks(&raw, &server.calendar_url(ALICE, "tasks")).await;

        let principal = format!("{}alice/", server.url());
        for way in [server.url(), principal.clone(), server.home_url(ALICE)] {
            let found = offered(&way, ALICE)
                .await
                .unwrap_or_else(|e| panic!("{} {way}: {e}", kind.name()));
            assert_eq!(
                labels(&found),
                ["Tasks", "Work", "Ünï & <co>"],
                "{} {way}",
                kind.name()
            );
            assert_eq!(found.principal.as_ref().unwrap().as_str(), principal);
            for collection in &found.collections {
                let tasks = collection.label.as_deref() == Some("Tasks");
                assert_eq!(collection.holds_events, !tasks, "{collection:?}");
                assert!(collection.owned, "{collection:?}");
                assert_eq!(collection.writable, Some(true), "{collection:?}");
                assert!(
                    collection.sync_collection && collection.multiget,
                    "{collection:?}"
                );
            }
            let chosen = found.chosen(&[]).unwrap();
            let mut places: Vec<_> = chosen.iter().map(|c| c.url.as_str()).collect();
            places.sort_unstable();
            let mut expected = [work.as_str(), odd.as_str()];
            expected.sort_unstable();
            assert_eq!(places, expected, "{}", kind.name());
            for name in ["Ünï & <co>", odd.as_str(), "odd %&ü"] {
                let chosen = found.chosen(&[name.to_owned()]).unwrap();
                assert_eq!(chosen[0].url.as_str(), odd, "{} {name}", kind.name());
                assert_eq!(chosen[0].name_in("alice").as_str(), "alice/Ünï & <co>");
            }
            let error = found
                .chosen(&["Holidays".to_owned()])
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("\"Work\"") && error.contains("collections"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn a_calendar_s_own_url_is_that_calendar() {
    for kind in Kind::ALL {
        let url = Raw::new(ALICE)
            .make_calendar(kind.shared(), "own-url", "Own")
            .await;
        let found = offered(&url, ALICE).await.unwrap();
        let chosen = found.chosen(&[]).unwrap();
        let places: Vec<_> = chosen.iter().map(|c| c.url.as_str()).collect();
        assert_eq!(places, [url.as_str()], "{}", kind.name());
        assert_eq!(
            chosen[0].name_in("alice").as_str(),
            "alice",
            "{}",
            kind.name()
        );
    }
}

#[tokio::test]
async fn the_addresses_are_those_that_the_server_knows() {
    let xandikos = offered(&Kind::Xandikos.shared().url(), ALICE)
        .await
        .unwrap();
    let addresses: Vec<_> = xandikos.addresses.iter().map(String::as_str).collect();
    assert_eq!(addresses, ["alice@example.org"]);
    assert!(xandikos.schedules);
    let radicale = offered(&Kind::Radicale.shared().url(), ALICE)
        .await
        .unwrap();
    let foreign = radicale.addresses.iter().find(|a| !a.starts_with("alice"));
    assert_eq!(foreign, None);
    assert!(!radicale.schedules);
}

#[tokio::test]
async fn a_wrong_password_is_said_and_waits_for_a_person() {
    for kind in Kind::ALL {
        let stranger = User {
            password: "wrong-one",
            ..ALICE
        };
        let error = offered(&kind.shared().url(), stranger).await.unwrap_err();
        let ReadError::Server {
            again: Again::Slowly,
            ..
        } = &error
        else {
            panic!("{}: {error:?}", kind.name());
        };
        let text = error.to_string();
        assert!(
            text.contains("127.0.0.1") && text.contains("password"),
            "{text}"
        );
        assert!(!text.contains("wrong-one"), "{text}");
    }
}

#[tokio::test]
async fn a_stranger_s_calendar_is_refused_in_words() {
    for kind in Kind::ALL {
        let url = Raw::new(BOB)
            .make_calendar(kind.shared(), "not-yours", "Bob's")
            .await;
        match offered(&url, ALICE).await {
            Err(error) => assert!(error.to_string().contains("127.0.0.1"), "{error}"),
            Ok(found) => {
                let bobs = found.collections.iter().find(|c| c.url.as_str() == url);
                assert_eq!(bobs, None, "{}", kind.name());
            }
        }
    }
}
