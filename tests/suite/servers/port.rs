//! Calendars of real servers through the port: reading, conditional writing, and what servers keep.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use meetbridge::calendar::caldav::profile::{Bodies, EtagOnPut};
use meetbridge::calendar::caldav::{Account, AccountSettings, CalDav};
use meetbridge::calendar::{
    Attendees, Calendar as _, Found, Known, Notes, ReadError, Resource, Scope, SyncToken, Written,
};
use meetbridge::daemon::clock::{SystemClock, SystemRandom};
use meetbridge::model::{ResourceId, Version};

use super::account::{settings, windows};
use super::event;
use super::harness::{ALICE, Kind, Raw};

/// What was learned, in memory.
#[derive(Default)]
struct Kept(Mutex<HashMap<String, String>>);

impl Notes for Kept {
    fn load(&self, key: &str) -> Option<String> {
        self.0.lock().unwrap().get(key).cloned()
    }

    fn store(&self, key: &str, text: &str) {
        let mut notes = self.0.lock().unwrap();
        notes.insert(key.to_owned(), text.to_owned());
    }
}

/// A calendar of alice's with nothing in it, through the port and beside it.
struct Place {
    kind: Kind,
    account: Arc<Account>,
    calendar: Arc<CalDav>,
    raw: Raw,
    url: String,
}

/// What one read found.
#[derive(Default)]
struct Read {
    changed: BTreeMap<String, Resource>,
    vanished: BTreeSet<String>,
    confirmed: BTreeSet<String>,
    unchanged: usize,
    token: Option<SyncToken>,
}

impl Read {
    fn names(&self) -> Vec<&str> {
        self.changed.keys().map(String::as_str).collect()
    }

    fn is_quiet(&self) -> bool {
        self.changed.is_empty() && self.vanished.is_empty() && self.confirmed.is_empty()
    }

    fn known(&self) -> Known {
        let all = self.changed.values();
        all.map(|r| (r.id.clone(), r.version.clone())).collect()
    }

    fn news(&self) -> Scope {
        Scope::News(Some(self.token.clone().expect("a token")))
    }
}

impl Place {
    async fn new(kind: Kind, name: &str) -> Self {
        let (server, raw) = (kind.shared(), Raw::new(ALICE));
        let url = raw.make_calendar(server, name, name).await;
        let account = Account::new(
            AccountSettings {
                connection: settings(&server.url(), ALICE),
                poll: Duration::from_secs(1),
                poll_fastest: Duration::from_secs(1),
            },
            windows(),
            Arc::new(Kept::default()),
            Arc::new(SystemClock::new()),
            Arc::new(SystemRandom),
        )
        .unwrap();
        let found = account.discover().await.unwrap();
        let chosen = found.chosen(std::slice::from_ref(&url)).unwrap();
        let calendar = account.calendar(chosen[0]);
        Self {
            kind,
            account,
            calendar,
            raw,
            url,
        }
    }

    fn at(&self, name: &str) -> String {
        format!("{}{name}", self.url)
    }

    async fn try_read(&self, scope: &Scope, known: Known) -> Result<Read, ReadError> {
        let mut found = self.calendar.read(scope, known).await?;
        let (mut read, mut complete) = (Read::default(), false);
        while let Some(found) = found.next().await {
            match found {
                Found::Changed(resource) => {
                    let id = resource.id.as_str().to_owned();
                    assert!(
                        read.changed.insert(id, resource).is_none(),
                        "twice in one read"
                    );
                }
                Found::Vanished(id) => assert!(read.vanished.insert(id.as_str().to_owned())),
                Found::Confirmed(id) => assert!(read.confirmed.insert(id.as_str().to_owned())),
                Found::Unreadable(id, error) => panic!("{id:?}: {error}"),
                Found::Complete { unchanged, token } => {
                    (read.unchanged, read.token, complete) = (unchanged, token, true);
                }
            }
        }
        assert!(complete, "the read was cut short");
        Ok(read)
    }

    async fn read(&self, scope: Scope, known: Known) -> Read {
        let read = self.try_read(&scope, known).await;
        read.unwrap_or_else(|e| panic!("{} {scope:?}: {e}", self.kind.name()))
    }

    /// One resource as it is.
    async fn one(&self, name: &str) -> Resource {
        let only = Scope::Only(BTreeSet::from([ResourceId::new(name)]));
        self.read(only, Known::new())
            .await
            .changed
            .remove(name)
            .expect("it is there")
    }

    async fn write(&self, name: &str, version: &Version, bytes: &[u8]) -> Written {
        self.calendar
            .write(&ResourceId::new(name), version, bytes)
            .await
    }

    /// What the server holds under a name, as text.
    async fn held(&self, name: &str) -> Option<String> {
        let (bytes, _) = self.raw.get(&self.at(name)).await?;
        Some(String::from_utf8(bytes).unwrap())
    }
}

/// The bytes with one more line in the event.
fn with_line(bytes: &[u8], line: &str) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).unwrap();
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    text.replacen("END:VEVENT", &format!("{line}{end}END:VEVENT"), 1)
        .into_bytes()
}

fn no_known() -> Known {
    Known::new()
}

#[tokio::test]
async fn what_changed_is_read_and_what_did_not_is_not() {
    for kind in Kind::ALL {
        let place = Place::new(kind, "port-reading").await;
        for name in ["a", "b"] {
            place
                .raw
                .put(
                    &place.at(&format!("{name}.ics")),
                    event(&format!("{name}@reading")),
                )
                .await;
        }
        let all = place.read(Scope::All, no_known()).await;
        assert_eq!(all.names(), ["a.ics", "b.ics"], "{}", kind.name());
        for (name, resource) in &all.changed {
            let (bytes, _) = place.raw.get(&place.at(name)).await.unwrap();
            assert_eq!(
                &*resource.bytes,
                bytes,
                "{} {name}: not the bytes of a GET",
                kind.name()
            );
        }
        let quiet = place.read(all.news(), all.known()).await;
        assert!(quiet.is_quiet(), "{}", kind.name());

        place
            .raw
            .put(
                &place.at("a.ics"),
                event("a@reading").replace("Planning", "Edited"),
            )
            .await;
        place.raw.put(&place.at("c.ics"), event("c@reading")).await;
        place.raw.delete(&place.at("b.ics")).await;
        let news = place.read(quiet.news(), all.known()).await;
        assert_eq!(news.names(), ["a.ics", "c.ics"], "{}", kind.name());
        assert_eq!(
            news.vanished,
            BTreeSet::from(["b.ics".to_owned()]),
            "{}",
            kind.name()
        );
        let edited = std::str::from_utf8(&news.changed["a.ics"].bytes).unwrap();
        assert!(edited.contains("Edited"));

        let mut known = all.known();
        known.remove(&ResourceId::new("b.ics"));
        known.extend(news.known());
        let again = place.read(news.news(), known.clone()).await;
        assert!(again.is_quiet(), "{}", kind.name());
        let listed = place.read(Scope::All, known).await;
        assert!(listed.is_quiet(), "{}", kind.name());
        assert_eq!(listed.unchanged, 2, "{}", kind.name());
        // A whole reading knows all by itself, whatever is remembered.
        let stale = place.read(Scope::All, all.known()).await;
        assert_eq!(stale.names(), ["a.ics", "c.ics"], "{}", kind.name());
        assert_eq!(
            stale.vanished,
            BTreeSet::from(["b.ics".to_owned()]),
            "{}",
            kind.name()
        );
    }
}

#[tokio::test]
async fn what_is_asked_for_by_name_is_read_or_gone() {
    for kind in Kind::ALL {
        let place = Place::new(kind, "port-only").await;
        place.raw.put(&place.at("a.ics"), event("a@only")).await;
        let names = ["a.ics", "never.ics"].map(ResourceId::new);
        let all = place.read(Scope::All, no_known()).await;
        let read = place
            .read(Scope::Only(BTreeSet::from(names)), all.known())
            .await;
        assert_eq!(read.names(), ["a.ics"], "{}: known or not", kind.name());
        assert_eq!(
            read.vanished,
            BTreeSet::from(["never.ics".to_owned()]),
            "{}",
            kind.name()
        );
    }
}

#[tokio::test]
async fn a_token_from_before_the_calendar_was_made_anew_hides_nothing() {
    for kind in Kind::ALL {
        let place = Place::new(kind, "port-anew").await;
        place.raw.put(&place.at("old.ics"), event("old@anew")).await;
        let all = place.read(Scope::All, no_known()).await;
        place.raw.delete(&place.url).await;
        place
            .raw
            .make_calendar(kind.shared(), "port-anew", "port-anew")
            .await;
        place.raw.put(&place.at("new.ics"), event("new@anew")).await;
        match place.try_read(&all.news(), all.known()).await {
            Err(ReadError::Expired) => {}
            Err(error) => panic!("{}: {error}", kind.name()),
            Ok(read) => assert_eq!(read.names(), ["new.ics"], "{}", kind.name()),
        }
        let listed = place.read(Scope::All, all.known()).await;
        assert_eq!(listed.names(), ["new.ics"], "{}", kind.name());
        assert_eq!(
            listed.vanished,
            BTreeSet::from(["old.ics".to_owned()]),
            "{}",
            kind.name()
        );
    }
}

#[tokio::test]
async fn a_calendar_that_is_gone_is_an_error_and_not_an_empty_calendar() {
    for kind in Kind::ALL {
        let place = Place::new(kind, "port-gone").await;
        place.raw.put(&place.at("a.ics"), event("a@gone")).await;
        let all = place.read(Scope::All, no_known()).await;
        place.raw.delete(&place.url).await;
        for scope in [Scope::All, all.news()] {
            let Err(error) = place.try_read(&scope, all.known()).await else {
                panic!("{}: {scope:?} shows a calendar", kind.name());
            };
            let text = error.to_string();
            let said = matches!(error, ReadError::Expired) || text.contains("127.0.0.1");
            assert!(said, "{}: {text}", kind.name());
        }
    }
}

#[tokio::test]
async fn a_write_lands_only_on_the_version_that_was_read() {
    for kind in Kind::ALL {
        let place = Place::new(kind, "port-write").await;
        place.raw.put(&place.at("a.ics"), event("a@write")).await;
        let all = place.read(Scope::All, no_known()).await;
        let read = &all.changed["a.ics"];
        let ours = with_line(&read.bytes, "X-OURS:first");
        let Written::Stored(version) = place.write("a.ics", &read.version, &ours).await else {
            panic!("{}: not stored", kind.name());
        };
        assert!(place.held("a.ics").await.unwrap().contains("X-OURS:first"));
        // The version that was read is not there any more.
        let stale = place
            .write(
                "a.ics",
                &read.version,
                &with_line(&read.bytes, "X-OURS:stale"),
            )
            .await;
        assert!(
            matches!(stale, Written::Changed),
            "{}: {stale:?}",
            kind.name()
        );
        assert!(!place.held("a.ics").await.unwrap().contains("stale"));

        // The next report shows our own write at most once, and then nothing.
        let mut known = all.known();
        known.insert(ResourceId::new("a.ics"), version.clone());
        let news = place.read(all.news(), known.clone()).await;
        assert!(news.vanished.is_empty());
        assert_eq!(
            news.changed.len() + news.confirmed.len(),
            1,
            "{}",
            kind.name()
        );
        known.extend(news.known());
        assert!(
            place.read(news.news(), known.clone()).await.is_quiet(),
            "{}",
            kind.name()
        );
        let listed = place.read(Scope::All, known).await;
        assert!(listed.is_quiet(), "{}: {:?}", kind.name(), listed.names());

        // What a person writes in between stays.
        let read = place.one("a.ics").await;
        let person = with_line(&read.bytes, "X-PERSON:was here");
        place.raw.put(&place.at("a.ics"), person).await;
        let late = place
            .write(
                "a.ics",
                &read.version,
                &with_line(&read.bytes, "X-OURS:late"),
            )
            .await;
        assert!(
            matches!(late, Written::Changed),
            "{}: {late:?}",
            kind.name()
        );
        let held = place.held("a.ics").await.unwrap();
        assert!(held.contains("X-PERSON:was here") && !held.contains("late"));

        // What a person deletes stays away.
        let read = place.one("a.ics").await;
        place.raw.delete(&place.at("a.ics")).await;
        let late = place.write("a.ics", &read.version, &read.bytes).await;
        assert!(
            matches!(late, Written::Changed),
            "{}: {late:?}",
            kind.name()
        );
        assert_eq!(
            place.held("a.ics").await,
            None,
            "{}: it is back",
            kind.name()
        );
    }
}

/// A person and the port each put lines of their own into one event, as fast as they can; each reads,
/// adds a line, writes on condition, and begins anew when the other was faster.
///
/// A line can only be lost by two writes of one version that were both accepted. Xandikos lets that
/// happen now and then (see `facts`), and says so to nobody; everywhere else it must not.
async fn contest(kind: Kind) {
    const EACH: usize = 25;
    /// So often is one line tried; far more than the other can be faster.
    const TRIES: usize = 10 * EACH;
    let place = Place::new(kind, "port-contest").await;
    let at = place.at("a.ics");
    place.raw.put(&at, event("a@contest")).await;
    let bases = Mutex::new(Vec::new());
    let ours = async {
        for n in 0..EACH {
            for tried in 0.. {
                assert!(tried < TRIES, "{}: never the faster one", kind.name());
                let read = place.one("a.ics").await;
                let bytes = with_line(&read.bytes, &format!("X-OURS-{n}:1"));
                match place.write("a.ics", &read.version, &bytes).await {
                    Written::Stored(_) => {
                        bases.lock().unwrap().push(read.bytes.to_vec());
                        break;
                    }
                    Written::Changed | Written::Failed(_) | Written::Unknown(_) => {}
                    Written::Refused(why) => panic!("{}: {why}", kind.name()),
                }
            }
        }
    };
    let person = async {
        for n in 0..EACH {
            for tried in 0.. {
                assert!(tried < TRIES, "{}: never the faster one", kind.name());
                let (read, tag) = place.raw.get(&at).await.unwrap();
                let bytes = with_line(&read, &format!("X-PERSON-{n}:1"));
                let status = place.raw.put_if(&at, Some(&tag), bytes).await;
                if status.is_success() {
                    bases.lock().unwrap().push(read);
                    break;
                }
                assert!(
                    [412, 423, 500].contains(&status.as_u16()),
                    "{} {status}",
                    kind.name()
                );
            }
        }
    };
    tokio::join!(ours, person);
    let bases = bases.into_inner().unwrap();
    let distinct: BTreeSet<_> = bases.iter().collect();
    let twice = bases.len() - distinct.len();
    let held = place.held("a.ics").await.unwrap();
    let lost = (0..EACH).flat_map(|n| [format!("X-OURS-{n}:1"), format!("X-PERSON-{n}:1")]);
    let lost: Vec<_> = lost.filter(|line| !held.contains(line.as_str())).collect();
    match kind {
        Kind::Radicale => assert_eq!(twice, 0),
        Kind::Xandikos => assert!(twice <= 2, "{twice} versions were written twice"),
    }
    assert!(lost.is_empty() || twice > 0, "{}: {lost:?}", kind.name());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_edits_are_not_lost_on_radicale() {
    contest(Kind::Radicale).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_edits_are_not_lost_on_xandikos() {
    contest(Kind::Xandikos).await;
}

#[tokio::test]
async fn resources_of_any_name_are_read_written_and_missed() {
    // As a client writes them into its request.
    let all_names = [
        "plain.ics",
        "a%20b.ics",
        "%C3%BC.ics",
        "uid@example.org.ics",
        "uid%40example.com.ics",
        "plus+.ics",
        "100%25.ics",
        "quote'.ics",
        "parentheses().ics",
        "brackets%5B1%5D.ics",
        "comma,.ics",
        "semicolon;.ics",
        "UPPER-lower_~.ics",
        "no-extension",
    ];
    for kind in Kind::ALL {
        let place = Place::new(kind, "port-names").await;
        let (mut names, mut refused) = (Vec::new(), Vec::new());
        for (n, name) in all_names.into_iter().enumerate() {
            let status = place
                .raw
                .put_if(&place.at(name), None, event(&format!("{n}@names")))
                .await;
            let list = if status.is_success() {
                &mut names
            } else {
                &mut refused
            };
            list.push(name);
        }
        match kind {
            Kind::Radicale => assert_eq!(refused, ["quote'.ics", "comma,.ics"]),
            Kind::Xandikos => assert_eq!(refused, [""; 0]),
        }
        let all = place.read(Scope::All, no_known()).await;
        assert_eq!(
            all.changed.len(),
            names.len(),
            "{}: {:?}",
            kind.name(),
            all.names()
        );
        let mut known = all.known();
        for (id, resource) in &all.changed {
            let bytes = with_line(&resource.bytes, "X-OURS:1");
            match place.write(id, &resource.version, &bytes).await {
                Written::Stored(version) => known.insert(ResourceId::new(id), version),
                other => panic!("{} {id}: {other:?}", kind.name()),
            };
        }
        for name in &names {
            let held = place
                .held(name)
                .await
                .unwrap_or_else(|| panic!("{} {name}", kind.name()));
            assert!(held.contains("X-OURS:1"), "{} {name}", kind.name());
        }
        let news = place.read(all.news(), known.clone()).await;
        assert!(
            news.vanished.is_empty(),
            "{}: {:?}",
            kind.name(),
            news.vanished
        );
        known.extend(news.known());
        for name in &names {
            place.raw.delete(&place.at(name)).await;
        }
        let gone = place.read(news.news(), known.clone()).await;
        let ids: BTreeSet<_> = all.changed.keys().cloned().collect();
        assert_eq!(gone.vanished, ids, "{}", kind.name());
        let listed = place.read(Scope::All, known).await;
        assert_eq!(listed.vanished, ids, "{}", kind.name());
    }
}

#[tokio::test]
async fn what_a_server_keeps_of_a_link_is_learned() {
    for kind in Kind::ALL {
        let place = Place::new(kind, "port-profile").await;
        place.raw.put(&place.at("a.ics"), event("a@profile")).await;
        let read = place.one("a.ics").await;
        let link = "https://teams.example.com/l/meetup-join/19%3ameeting_a%40thread.v2/0?context=%7b%22Tid%22%7d";
        let lines = format!(
            "DESCRIPTION:Join: {link}\r\nURL:{link}\r\nLOCATION:{link}\r\n\
             CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO;LABEL=Join:{link}\r\n\
             X-MICROSOFT-SKYPETEAMSMEETINGURL:{link}\r\nX-MEETBRIDGE-MEETING;V=1:abc"
        );
        let bytes = with_line(&read.bytes, &lines);
        let written = place.write("a.ics", &read.version, &bytes).await;
        assert!(
            matches!(written, Written::Stored(_)),
            "{}: {written:?}",
            kind.name()
        );
        let held = place.held("a.ics").await.unwrap().replace("\r\n ", "");
        assert_eq!(held.matches(link).count(), 5, "{}: {held}", kind.name());

        let profile = place.account.profile();
        assert_eq!(profile.bodies, Bodies::Rewritten, "{}", kind.name());
        assert_eq!(profile.etag_on_put, EtagOnPut::Yes, "{}", kind.name());
        assert!(
            profile.drops.is_empty(),
            "{}: {:?}",
            kind.name(),
            profile.drops
        );
        let attendees = match kind {
            Kind::Radicale => Attendees::NotTold,
            Kind::Xandikos => Attendees::Told,
        };
        assert_eq!(place.calendar.attendees(), attendees);
    }
}

#[tokio::test]
async fn an_attendee_s_copy_that_may_not_be_changed_is_refused_and_not_tried_for_ever() {
    let place = Place::new(Kind::Xandikos, "port-attendee").await;
    let invited = "ORGANIZER:mailto:boss@example.org\r\nATTENDEE:mailto:alice@example.org";
    place
        .raw
        .put(
            &place.at("a.ics"),
            with_line(event("a@attendee").as_bytes(), invited),
        )
        .await;
    let read = place.one("a.ics").await;
    let bytes = with_line(&read.bytes, "LOCATION:Room 1");
    let Written::Refused(why) = place.write("a.ics", &read.version, &bytes).await else {
        panic!("it counts as a change of the event");
    };
    assert!(why.to_string().contains("a.ics"), "{why}");
}
