//! Links that are there are brought to what is configured now: when that is asked for, and once when a
//! meeting comes to have dial-in.

use std::sync::Arc;

use meetbridge::calendar::Scope;
use meetbridge::clock::Clock as _;
use meetbridge::ical::block::Show;
use meetbridge::ical::document::Document;
use meetbridge::ical::edit::Edits;
use meetbridge::ical::read::read;
use meetbridge::ical::write::{Location, detach};
use meetbridge::model::JoinUrl;
use meetbridge::state::State;
use meetbridge::sync::{Bridge, Report, Watched};

use super::scenes::Scene;
use super::user::{assert_only_added, calendar, edit, event};
use super::world::{Faults, Happens, Server, World, watched};

type Change = fn(&mut Watched);

/// What an operator may change: what it is called, the change, and what it asks of the service.
const CHANGES: [(&str, Change, usize); 4] = [
    ("show", |c| c.show = vec![Show::Passcode], 0),
    ("language", |c| c.language = "de-DE".into(), 1),
    ("location", |c| c.location = Location::Label, 0),
    ("no location", |c| c.location = Location::Never, 0),
];

/// What the command does, which is run a minute later.
pub(super) async fn rewrite(world: &World, bridge: &Bridge, calendar: &Watched) -> Report {
    world.clock.advance(chrono::Duration::minutes(1));
    let asked = Some(world.clock.now());
    let mut report = Report::default();
    let mut scope = Scope::All;
    for _ in 0..20 {
        let part = bridge.pass_rewriting(calendar, scope, asked).await.unwrap();
        let again = part.again.clone();
        report.merge(part);
        report.again.clear();
        if again.is_empty() {
            return report;
        }
        scope = Scope::Only(again);
    }
    panic!("it never comes to rest");
}

impl Scene {
    pub(super) async fn rewrite(&self) -> Report {
        rewrite(&self.world, &self.bridge, &self.calendar).await
    }

    pub(super) async fn plan(&self) -> Vec<&'static str> {
        let preview = self.bridge.preview_rewrite(&self.calendar).await.unwrap();
        preview.rows.iter().map(|row| row.decision.name()).collect()
    }

    /// `one.ics` without the link, and without the stamps.
    fn without_link(&self) -> String {
        without_link(&self.world, "one.ics")
    }
}

fn without_link(world: &World, name: &str) -> String {
    let text = world.text(name).unwrap();
    let document = Document::parse(text.as_bytes()).unwrap();
    let mut edits = Edits::new();
    for event in read(&document, chrono_tz::UTC, world.clock.now()).events {
        let url = JoinUrl::new(world.url(event.uid.as_str()));
        edits.merge(detach(&document, &event, &url).unwrap());
    }
    let lines = String::from_utf8(edits.apply(text.as_bytes())).unwrap();
    let lines = lines.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("DTSTAMP")).collect()
}

#[tokio::test]
async fn a_change_applies_to_links_that_are_there_only_when_asked_for_and_once() {
    for (name, change, calls) in CHANGES {
        let mut scene = Scene::new();
        scene.save("20261120T090000Z", "DESCRIPTION:Agenda\r\n");
        let original = scene.text().replace("DTSTAMP:20261101T000000Z\r\n", "");
        scene.pass().await;
        change(&mut scene.calendar);
        let (before, text) = (scene.world.effects(), scene.text());
        scene.pass().await;
        assert_eq!(scene.plan().await, ["rewrite"], "{name}");
        assert_eq!(scene.world.effects(), before, "{name}: not asked for");
        let report = scene.rewrite().await;
        assert_eq!((report.written, report.failed), (1, 0), "{name}");
        let after = (before.0 + calls, before.1 + 1);
        assert_eq!(scene.world.effects(), after, "{name}");
        assert_ne!(scene.text(), text, "{name}");
        assert_eq!(scene.without_link(), original, "{name}");
        for _ in 0..2 {
            assert_eq!(scene.plan().await, ["in-step"], "{name}");
            scene.rewrite().await;
            scene.pass().await;
        }
        assert_eq!(scene.world.effects(), after, "{name}: twice");
    }
}

#[tokio::test]
async fn what_is_not_known_is_read_again_and_nothing_is_made() {
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    let text = scene.text();
    let mut scene = scene.restarted_without_state();
    let before = scene.world.effects();
    scene.pass().await;
    assert_eq!(scene.world.effects(), before);
    scene.rewrite().await;
    assert_eq!(scene.world.effects(), (before.0 + 1, before.1), "one read");
    assert_eq!(scene.text(), text);
    scene.rewrite().await;
    assert_eq!(scene.world.effects(), (before.0 + 1, before.1));
    // A meeting that is gone is not made anew for it.
    scene.world.end_meetings();
    scene.calendar.language = "de".into();
    assert_eq!(scene.rewrite().await.failed, 1);
    assert_eq!((scene.world.meetings(), scene.text()), (0, text));
}

#[tokio::test]
async fn what_has_no_link_or_is_not_written_is_not_rewritten() {
    let mut scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    scene.pass().await;
    let (_, german, _) = CHANGES[1];
    german(&mut scene.calendar);
    for (more, stays) in [("CATEGORIES:no-teams\r\n", 0), ("STATUS:CANCELLED\r\n", 1)] {
        let text = scene.text();
        edit(
            &scene.world,
            "one.ics",
            "SUMMARY:",
            &format!("{more}SUMMARY:"),
        );
        scene.rewrite().await;
        let texts = ["Join: https://", "Teilnehmen"].map(|t| scene.text().matches(t).count());
        assert_eq!(texts, [stays, 0], "{more}");
        scene.world.save("one.ics", &text);
    }
    scene.take_out("");
    scene.rewrite().await;
    assert!(!scene.text().contains("X-MEETBRIDGE"));
    assert_eq!(scene.world.meetings(), 1);
}

#[tokio::test]
async fn no_calendar_that_alters_what_it_stores_is_rewritten_twice() {
    let drops: [&[&str]; 5] = [
        &["X-MEETBRIDGE"],
        &["CONFERENCE", "X-"],
        &["DTSTAMP", "X-MEETBRIDGE"],
        &["LOCATION", "DTSTAMP"],
        &["DESCRIPTION", "X-MEETBRIDGE"],
    ];
    for (name, change, _) in [CHANGES[1], CHANGES[3]] {
        for (drops, restless) in drops.iter().flat_map(|d| [(d, false), (d, true)]) {
            let label = format!("{name}, {drops:?}, {restless}");
            let mut scene = Scene::new();
            scene.world.serve(Server {
                drops: drops.to_vec(),
                restless,
                ..Server::default()
            });
            for n in 0..3 {
                let one = event(&format!("{n}@x"), "20261120T090000Z", "One", "");
                scene.world.save(&format!("{n}.ics"), &calendar(&[one]));
            }
            for _ in 0..8 {
                scene.round().await;
            }
            change(&mut scene.calendar);
            let before = scene.world.effects().1;
            scene.rewrite().await;
            let first = scene.world.effects().1;
            // Where neither stamp nor version tells whose a version is, what is dropped is written once more.
            let most = if restless { 3 * 2 } else { 3 };
            assert!(first <= before + most, "{label}: {before}, {first}");
            for _ in 0..8 {
                scene.round().await;
            }
            if restless && drops.contains(&"DTSTAMP") {
                // Only the number of writes ends it: what nobody has read since is read now.
                scene.rewrite().await;
            }
            let rest = scene.world.effects().1;
            scene.rewrite().await;
            assert_eq!(scene.world.effects().1, rest, "{label}: twice");
        }
    }
}

/// Three links, one of them of a series with an override, and their originals.
async fn linked(world: &Arc<World>, bridge: &Bridge) -> Vec<(String, String)> {
    let agenda = event("two@x", "20261121T090000Z", "Two", "DESCRIPTION:Agenda\r\n");
    let late = event("late@x", "20261122T090000Z", "Late", "LOCATION:\r\n");
    world.save("two.ics", &calendar(&[agenda, late]));
    let rule = "RRULE:FREQ=WEEKLY;COUNT=9\r\n";
    let master = event("series@x", "20261109T100000Z", "Weekly", rule);
    let moved = "RECURRENCE-ID:20261116T100000Z\r\n";
    let moved = event("series@x", "20261116T140000Z", "Weekly", moved);
    world.save("series.ics", &calendar(&[master, moved]));
    let texts = world.names().into_iter();
    let texts: Vec<_> = texts
        .map(|name| (name.clone(), world.text(&name).unwrap()))
        .collect();
    bridge.pass(&watched(world), Scope::All).await.unwrap();
    texts
}

fn bridge(world: &Arc<World>, home: &std::path::Path) -> Bridge {
    let (state, _) = State::open(home, world.clock.now()).unwrap();
    world.bridge(Arc::new(state))
}

fn german(world: &Arc<World>) -> Watched {
    let mut calendar = watched(world);
    (calendar.language, calendar.location) = ("de-DE".into(), Location::Label);
    calendar
}

#[tokio::test]
async fn a_crash_at_every_point_of_a_rewrite_is_harmless() {
    for server in [None, Some(Server::default())] {
        for point in 1.. {
            assert!(point < 500, "it never ends");
            let world = World::new();
            server
                .clone()
                .into_iter()
                .for_each(|server| world.serve(server));
            let home = tempfile::tempdir().unwrap();
            let mut running = bridge(&world, home.path());
            let originals = linked(&world, &running).await;
            let calendar = german(&world);
            world.arm(point, Happens::Crash);
            let crashed = tokio::select! {
                biased;
                () = world.crashed() => true,
                _ = rewrite(&world, &running, &calendar) => false,
            };
            world.disarm();
            if crashed {
                drop(running);
                running = bridge(&world, home.path());
                running.pass(&calendar, world.news()).await.unwrap();
            }
            rewrite(&world, &running, &calendar).await;
            world.check_at_rest(&format!("point {point}"), true);
            for (name, original) in &originals {
                let text = world.text(name).unwrap();
                assert!(!text.contains("Microsoft Teams meeting"), "{point}: {text}");
                let stamp = "DTSTAMP:20261101T000000Z\r\n";
                assert_eq!(
                    without_link(&world, name),
                    original.replace(stamp, ""),
                    "{point}"
                );
            }
            let rest = world.effects();
            rewrite(&world, &running, &calendar).await;
            assert_eq!(world.effects(), rest, "{point}");
            if !crashed {
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_edit_at_every_point_of_a_rewrite_is_kept() {
    for point in 1.. {
        assert!(point < 500, "it never ends");
        let (world, home) = (World::new(), tempfile::tempdir().unwrap());
        let running = bridge(&world, home.path());
        linked(&world, &running).await;
        let calendar = german(&world);
        world.arm(point, Happens::Edit);
        rewrite(&world, &running, &calendar).await;
        let reached = world.reached();
        world.disarm();
        rewrite(&world, &running, &calendar).await;
        world.check_at_rest(&format!("point {point}"), true);
        for name in world.names() {
            let text = world.text(&name).unwrap();
            assert!(!text.contains("Microsoft Teams meeting"), "{point}: {text}");
        }
        if !reached {
            break;
        }
        let first = world.text("series.ics").unwrap();
        assert_eq!(first.matches("COMMENT:edited").count(), 1, "{point}");
    }
}

#[tokio::test]
async fn dial_in_that_is_found_is_shown_once() {
    for (shown, written) in [(Show::TollNumbers, 1), (Show::Passcode, 0)] {
        let mut scene = Scene::new();
        scene.calendar.show = vec![shown];
        scene.save("20261120T090000Z", "");
        scene.pass().await;
        scene.pass().await;
        scene.world.give_dial_in();
        scene.pass().await;
        assert!(!scene.text().contains("1234567"), "nothing asks for it");
        edit(&scene.world, "one.ics", "SUMMARY:One", "SUMMARY:Two");
        let before = scene.world.effects();
        let report = scene.pass().await;
        assert_eq!((report.updated, report.written), (1, written), "{shown:?}");
        assert_eq!(scene.text().contains("tel:+49691234567"), written == 1);
        for _ in 0..3 {
            scene.pass().await;
        }
        assert_eq!(scene.world.effects(), (before.0 + 1, before.1 + written));
        // A person takes it out of the block: it was written once.
        let edited = scene
            .text()
            .replace("\r\n ", "")
            .replace("+49 69 1234567", "none");
        scene.world.save("one.ics", &edited);
        edit(&scene.world, "one.ics", "SUMMARY:Two", "SUMMARY:Three");
        assert_eq!(scene.pass().await.written, 0);
    }
}

#[tokio::test]
async fn dial_in_is_shown_though_the_write_fails_at_any_point() {
    for point in 1.. {
        assert!(point < 500, "it never ends");
        let (world, home) = (World::new(), tempfile::tempdir().unwrap());
        let mut running = bridge(&world, home.path());
        let calendar = watched(&world);
        linked(&world, &running).await;
        running.pass(&calendar, Scope::All).await.unwrap();
        world.give_dial_in();
        edit(&world, "two.ics", "SUMMARY:Two", "SUMMARY:Second");
        world.clock.advance(chrono::Duration::minutes(1));
        world.arm(point, Happens::Crash);
        let crashed = tokio::select! {
            biased;
            () = world.crashed() => true,
            done = running.pass(&calendar, Scope::All) => { done.unwrap(); false }
        };
        world.disarm();
        if crashed {
            drop(running);
            running = bridge(&world, home.path());
        }
        for _ in 0..2 {
            running.pass(&calendar, Scope::All).await.unwrap();
        }
        let text = world.text("two.ics").unwrap();
        assert_eq!(text.matches("tel:").count(), 1, "{point}: {text}");
        world.check_at_rest(&format!("point {point}"), true);
        let rest = world.effects();
        running.pass(&calendar, Scope::All).await.unwrap();
        assert_eq!(world.effects(), rest, "{point}");
        if !crashed {
            break;
        }
    }
    let scene = Scene::new();
    scene.save("20261120T090000Z", "");
    scene.pass().await;
    scene.world.give_dial_in();
    edit(&scene.world, "one.ics", "SUMMARY:One", "SUMMARY:Two");
    scene.world.fail(Faults {
        contended: true,
        ..Faults::default()
    });
    scene.pass().await;
    scene.world.fail(Faults::default());
    scene.pass().await;
    scene.pass().await;
    assert!(scene.text().contains("tel:+49691234567"));
    assert_only_added(
        calendar(&[event("one@x", "20261120T090000Z", "Two", "")]).as_bytes(),
        scene.text().as_bytes(),
        "dial-in",
    );
}
