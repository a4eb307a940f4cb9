//! What people do to events that have their link: what is left of it goes, it goes when they say so, and
//! it comes back when they take that back. And operators, who have links taken out.

use std::sync::Arc;

use meetbridge::calendar::Scope;
use meetbridge::clock::Clock as _;
use meetbridge::meeting::Fate;
use meetbridge::state::State;
use meetbridge::sync::{Bridge, Unlink, Watched};

use super::scenes::Scene;
use super::user::{calendar, edit, event};
use super::world::{Faults, Happens, Server, World, watched};

const AT: &str = "20261120T090000Z";
const MEET: &str = "X-GOOGLE-CONFERENCE:https://meet.google.com/abc-defg-hij\r\n";
const OPT_OUT: &str = "X-MEETBRIDGE-MEETING:v1.opt-out\r\n";

/// What a person does, and whether a mark stays.
type Doing = (&'static str, fn(&World, &str), bool);

const DOINGS: [Doing; 4] = [
    ("leftovers", strip, true),
    ("tag", tag, false),
    ("zoom", zoom, false),
    ("join line", without_join_line, true),
];

/// Takes out what people see of the link.
fn strip(world: &World, name: &str) {
    let text = world.text(name).unwrap().replace("\r\n ", "");
    let kept = text.split_inclusive("\r\n").filter_map(|line| {
        let ours = ["URL:https://", "LOCATION:https://"];
        if ours.iter().any(|head| line.starts_with(head)) {
            return None;
        }
        let block = line.find("\\n\\n____").or(line.find("____"));
        let Some(at) = block.filter(|_| line.starts_with("DESCRIPTION")) else {
            return Some(line.to_owned());
        };
        let kept = &line[..at];
        (kept != "DESCRIPTION:").then(|| format!("{kept}\r\n"))
    });
    world.save(name, &kept.collect::<String>());
}

/// Takes out the line with the link, and leaves the rest of the block.
fn without_join_line(world: &World, name: &str) {
    let text = world.text(name).unwrap().replace("\r\n ", "");
    let kept = text.split_inclusive("\r\n").filter_map(|line| {
        let ours = ["URL:https://", "LOCATION:https://"];
        if ours.iter().any(|head| line.starts_with(head)) {
            return None;
        }
        let Some(at) = line.find("Join: https://") else {
            return Some(line.to_owned());
        };
        let end = at + line[at..].find("\\n").unwrap() + 2;
        Some(format!("{}{}", &line[..at], &line[end..]))
    });
    world.save(name, &kept.collect::<String>());
}

fn tag(world: &World, name: &str) {
    edit(world, name, "SUMMARY:", "CATEGORIES:no-teams\r\nSUMMARY:");
}

fn untag(world: &World, name: &str) {
    edit(world, name, "CATEGORIES:no-teams\r\n", "");
}

fn zoom(world: &World, name: &str) {
    edit(world, name, "SUMMARY:", &format!("{MEET}SUMMARY:"));
}

/// The text without stamps and without the mark that says opt-out.
fn bare(text: &str) -> String {
    let lines = text.split_inclusive("\r\n");
    lines
        .filter(|line| !line.starts_with("DTSTAMP") && *line != OPT_OUT)
        .collect()
}

fn assert_nothing_left(text: &str, label: &str) {
    let rest = text.replace("\r\n ", "").replace(OPT_OUT, "");
    for ours in [
        "X-MEETBRIDGE",
        "\nCONFERENCE",
        "SKYPETEAMS",
        "____",
        "Join: ",
        "teams.microsoft",
    ] {
        assert!(!rest.contains(ours), "{label}: {ours}\n{rest}");
    }
}

impl Scene {
    /// With an event that is linked, whose link was seen.
    async fn linked(self, more: &str) -> Self {
        self.save(AT, more);
        self.pass().await;
        self.pass().await;
        assert!(self.text().contains("____"));
        self
    }

    async fn rests(&self) {
        let effects = self.world.effects();
        for _ in 0..3 {
            self.round().await;
        }
        assert_eq!(self.world.effects(), effects);
    }

    async fn unlink(&self, what: &Unlink, end: bool) -> meetbridge::sync::Unlinked {
        self.world.clock.advance(chrono::Duration::minutes(1));
        let done = self.bridge.unlink(&self.calendar, what, end);
        done.await.unwrap()
    }
}

fn servers() -> [Option<Server>; 3] {
    let drops = Server {
        drops: vec!["X-MEETBRIDGE", "X-MICROSOFT"],
        ..Server::default()
    };
    [None, Some(Server::default()), Some(drops)]
}

#[tokio::test]
async fn what_a_person_does_takes_the_link_out_in_one_write() {
    for server in servers() {
        for (name, doing, marked) in DOINGS {
            let label = format!("{name}, {:?}", server.as_ref().map(|s| s.drops.clone()));
            let scene = Scene::new();
            server
                .clone()
                .into_iter()
                .for_each(|s| scene.world.serve(s));
            let scene = scene.linked("DESCRIPTION:Agenda\r\n").await;
            scene.round().await;
            let before = scene.world.effects();
            let keeps_marks = scene.text().contains("X-MEETBRIDGE");
            doing(&scene.world, "one.ics");
            scene.round().await;
            let text = scene.text();
            assert_nothing_left(&text, &label);
            assert_eq!(text.contains(OPT_OUT), marked && keeps_marks, "{label}");
            assert_eq!(scene.world.effects(), (before.0, before.1 + 1), "{label}");
            let original = event("one@x", AT, "One", "DESCRIPTION:Agenda\r\n");
            let with = match name {
                "tag" => original.replace("SUMMARY:", "CATEGORIES:no-teams\r\nSUMMARY:"),
                "zoom" => original.replace("SUMMARY:", &format!("{MEET}SUMMARY:")),
                _ => original,
            };
            assert_eq!(bare(&text), bare(&calendar(&[with])), "{label}");
            scene.rests().await;
            // Where a mark or the event itself tells, a lost state changes nothing.
            if keeps_marks || !marked {
                let scene = scene.restarted_without_state();
                scene.rests().await;
            }
        }
    }
}

#[tokio::test]
async fn a_tag_and_a_foreign_link_that_go_again_bring_the_same_link_back() {
    for (doing, undoing) in [
        (tag as fn(&World, &str), untag as fn(&World, &str)),
        (zoom, |world, name| edit(world, name, MEET, "")),
    ] {
        let scene = Scene::new().linked("").await;
        for _ in 0..2 {
            doing(&scene.world, "one.ics");
            scene.pass().await;
            assert_nothing_left(&scene.text(), "out");
            undoing(&scene.world, "one.ics");
            scene.pass().await;
            scene.world.check_at_rest("in again", true);
            assert!(scene.text().contains("X-MEETBRIDGE"));
            scene.rests().await;
        }
        assert_eq!(scene.world.meetings(), 1);
    }
}

#[tokio::test]
async fn a_foreign_link_in_an_override_takes_ours_out_of_that_alone() {
    for server in servers() {
        let scene = Scene::new();
        server.into_iter().for_each(|s| scene.world.serve(s));
        let master = event(
            "one@x",
            "20261109T100000Z",
            "Weekly",
            "RRULE:FREQ=WEEKLY;COUNT=9\r\n",
        );
        let at = |day: &str| {
            let id = format!("RECURRENCE-ID:202611{day}T100000Z\r\n");
            event(
                "one@x",
                &format!("202611{day}T140000Z"),
                &format!("On {day}"),
                &id,
            )
        };
        let all = calendar(&[master, at("16"), at("23")]);
        scene.world.save("one.ics", &all);
        for _ in 0..3 {
            scene.round().await;
        }
        let before = scene.world.effects();
        let with = format!("{MEET}SUMMARY:On 16");
        edit(&scene.world, "one.ics", "SUMMARY:On 16", &with);
        scene.round().await;
        let text = scene.text();
        let events: Vec<&str> = text.split("BEGIN:VEVENT").skip(1).collect();
        assert_nothing_left(events[1], "the override");
        for whole in [events[0], events[2]] {
            assert!(
                whole.replace("\r\n ", "").contains("Join: https://"),
                "{text}"
            );
        }
        assert_eq!(scene.world.effects(), (before.0, before.1 + 1));
        scene.rests().await;
    }
}

#[tokio::test]
async fn the_meeting_of_a_link_that_is_taken_out_is_ended_as_configured() {
    for (fate, ended) in [(Fate::Keep, 0), (Fate::Delete, 1)] {
        let mut scene = Scene::new();
        scene.calendar.on_delete = fate;
        let scene = scene.linked("").await;
        tag(&scene.world, "one.ics");
        scene.pass().await;
        let end = async || scene.bridge.end_meetings(&scene.calendar).await.unwrap();
        assert_eq!(end().await, 0, "not at once");
        scene.world.clock.advance(chrono::Duration::hours(25));
        scene.pass().await;
        assert_eq!(end().await, ended);
        untag(&scene.world, "one.ics");
        scene.pass().await;
        assert!(scene.text().contains("X-MEETBRIDGE"));
        assert_eq!(scene.world.meetings(), 1);
    }
}

#[tokio::test]
async fn nothing_is_taken_out_while_settling_or_where_nothing_is_written() {
    let mut scene = Scene::new().linked("").await;
    scene.calendar.rules.settle = std::time::Duration::from_secs(90);
    tag(&scene.world, "one.ics");
    let before = scene.world.effects();
    let report = scene.pass().await;
    assert_eq!(report.outcome["settling"], 1);
    assert_eq!(scene.world.effects(), before);
    scene.pass().await;
    scene.pass().await;
    assert_nothing_left(&scene.text(), "settled");

    // A calendar that takes no write: tried again, and nothing is concluded from it.
    let mut scene = Scene::new();
    scene.calendar.on_delete = Fate::Delete;
    let scene = scene.linked("").await;
    tag(&scene.world, "one.ics");
    scene.world.fail(Faults {
        read_only: true,
        ..Faults::default()
    });
    for _ in 0..30 {
        scene.world.clock.advance(chrono::Duration::hours(1));
        scene.pass().await;
        scene.bridge.end_meetings(&scene.calendar).await.unwrap();
    }
    assert_eq!(scene.world.meetings(), 1);
    assert!(scene.text().contains("X-MEETBRIDGE"));
    scene.world.fail(Faults::default());
    scene.world.clock.advance(chrono::Duration::hours(1));
    scene.pass().await;
    assert_nothing_left(&scene.text(), "written at last");
}

#[tokio::test]
async fn many_at_once_freeze_the_calendar_before_anything_is_taken_out() {
    for (name, doing, _) in DOINGS {
        let mut scene = Scene::new();
        scene.bridge.first_pass_limit = 1_000;
        let names: Vec<String> = (0..45).map(|n| format!("{n}.ics")).collect();
        for (n, name) in names.iter().enumerate() {
            let one = event(&format!("{n}@x"), AT, "One", "");
            scene.world.save(name, &calendar(&[one]));
        }
        scene.pass().await;
        scene.pass().await;
        let before = scene.world.effects();
        names[..25].iter().for_each(|one| doing(&scene.world, one));
        for _ in 0..3 {
            scene.pass().await;
        }
        assert_eq!(scene.world.effects(), before, "{name}");
        let record = scene.bridge.state.calendar(&scene.calendar.name).unwrap();
        let why = record.frozen.unwrap().why;
        assert!(
            why.starts_with("25 of its 45 future links"),
            "{name}: {why}"
        );
        let (calendar, now) = (&scene.calendar.name, scene.world.clock.now());
        scene.bridge.state.resume(calendar, now).unwrap();
        scene.pass().await;
        let record = scene.bridge.state.calendar(&scene.calendar.name).unwrap();
        assert_eq!(record.frozen, None, "{name}: it was consented to");
        assert_eq!(scene.world.effects(), (before.0, before.1 + 25), "{name}");
        for one in &names[..25] {
            assert_nothing_left(&scene.world.text(one).unwrap(), name);
        }
        scene.rests().await;
    }
}

fn bridge(world: &Arc<World>, home: &std::path::Path) -> Bridge {
    let (state, _) = State::open(home, world.clock.now()).unwrap();
    world.bridge(Arc::new(state))
}

/// Three links in two resources, seen; returns what was saved.
async fn linked(world: &Arc<World>, bridge: &Bridge, calendar_: &Watched) -> Vec<(String, String)> {
    let agenda = event("two@x", "20261121T090000Z", "Two", "DESCRIPTION:Agenda\r\n");
    let late = event("late@x", "20261122T090000Z", "Late", "LOCATION:\r\n");
    world.save("two.ics", &calendar(&[agenda, late]));
    let rule = "RRULE:FREQ=WEEKLY;COUNT=9\r\n";
    let master = event("series@x", "20261109T100000Z", "Weekly", rule);
    let moved = "RECURRENCE-ID:20261116T100000Z\r\n";
    let moved = event("series@x", "20261116T140000Z", "Weekly", moved);
    world.save("series.ics", &calendar(&[master, moved]));
    let names = world.names().into_iter();
    let texts = names.map(|name| (name.clone(), world.text(&name).unwrap()));
    let texts = texts.collect();
    for _ in 0..3 {
        world.clock.advance(chrono::Duration::minutes(1));
        bridge.pass(calendar_, Scope::All).await.unwrap();
    }
    texts
}

async fn rounds(world: &Arc<World>, bridge: &Bridge, calendar: &Watched) {
    for _ in 0..4 {
        world.clock.advance(chrono::Duration::minutes(1));
        bridge.pass(calendar, Scope::All).await.unwrap();
    }
}

#[tokio::test]
async fn whatever_happens_at_any_point_the_link_goes_and_nothing_else() {
    for server in [None, Some(Server::default())] {
        for (name, doing, _) in DOINGS {
            for happens in [Happens::Crash, Happens::Edit, Happens::OtherPass] {
                for point in 1.. {
                    assert!(point < 500, "it never ends");
                    let label = format!("{name}, {happens:?} at {point}");
                    let world = World::new();
                    server.clone().into_iter().for_each(|s| world.serve(s));
                    let (home, other) =
                        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
                    let calendar = watched(&world);
                    let mut running = bridge(&world, home.path());
                    linked(&world, &running, &calendar).await;
                    world.join(State::open(other.path(), world.clock.now()).unwrap().0);
                    world.other_pass().await;
                    doing(&world, "two.ics");
                    let saved = world.text("two.ics").unwrap();
                    world.clock.advance(chrono::Duration::minutes(1));
                    world.arm(point, happens);
                    let crashed = tokio::select! {
                        biased;
                        () = world.crashed() => true,
                        done = running.pass(&calendar, Scope::All) => { done.unwrap(); false }
                    };
                    let reached = world.reached();
                    world.disarm();
                    if crashed {
                        drop(running);
                        running = bridge(&world, home.path());
                    }
                    rounds(&world, &running, &calendar).await;
                    if happens == Happens::OtherPass {
                        world.other_pass().await;
                        rounds(&world, &running, &calendar).await;
                    }
                    let text = world.text("two.ics").unwrap();
                    let first = text.split("END:VEVENT").next().unwrap();
                    assert_nothing_left(first, &label);
                    let series = world.text("series.ics").unwrap();
                    assert!(series.contains("X-MEETBRIDGE"), "{label}");
                    if happens == Happens::Edit && reached {
                        let edited = world.text("series.ics").unwrap();
                        assert!(edited.contains("COMMENT:edited"), "{label}");
                    }
                    super::user::assert_only_added(saved.as_bytes(), text.as_bytes(), &label);
                    let rest = world.effects();
                    rounds(&world, &running, &calendar).await;
                    assert_eq!(world.effects(), rest, "{label}");
                    if !reached && !crashed {
                        break;
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn unlinking_a_calendar_gives_back_what_was_there_and_freezes_it() {
    for server in servers() {
        for lost in [false, true] {
            let world = World::new();
            let keeps_marks = server.as_ref().is_none_or(|s| s.drops.is_empty());
            server.clone().into_iter().for_each(|s| world.serve(s));
            let home = tempfile::tempdir().unwrap();
            let calendar = watched(&world);
            let mut running = bridge(&world, home.path());
            let originals = linked(&world, &running, &calendar).await;
            if lost {
                drop(running);
                super::lose(home.path());
                running = bridge(&world, home.path());
            }
            let before = world.effects();
            let plan = running
                .preview_unlink(&calendar, &Unlink::All)
                .await
                .unwrap();
            assert_eq!(plan.rows.len(), 3);
            assert!(
                plan.rows
                    .iter()
                    .all(|row| row.decision.name() == "take-out")
            );
            assert_eq!(world.effects(), before);
            let done = running
                .unlink(&calendar, &Unlink::All, false)
                .await
                .unwrap();
            let report = &done.report;
            assert_eq!((done.found, report.taken_out, report.written), (3, 3, 2));
            for (name, original) in &originals {
                let text = world.text(name).unwrap();
                // What was empty before stands in the mark alone.
                let dropped = |text: &str| match keeps_marks {
                    true => bare(text),
                    false => bare(text).replace("LOCATION:\r\n", ""),
                };
                assert_eq!(dropped(&text), dropped(original), "lost: {lost}");
                assert!(!text.contains("X-MEETBRIDGE"));
            }
            let rest = world.effects();
            assert_eq!(rest, (before.0, before.1 + 2));
            let done = running
                .unlink(&calendar, &Unlink::All, false)
                .await
                .unwrap();
            assert_eq!((done.found, done.report.taken_out), (3, 0));
            rounds(&world, &running, &calendar).await;
            assert_eq!(world.effects(), rest, "frozen");
            let name = &calendar.name;
            let frozen = running.state.calendar(name).unwrap().frozen.unwrap();
            assert!(frozen.why.contains("unlinked"), "{}", frozen.why);
            running.state.resume(name, world.clock.now()).unwrap();
            rounds(&world, &running, &calendar).await;
            for (name, events) in [("two.ics", 2), ("series.ics", 2)] {
                let text = world.text(name).unwrap().replace("\r\n ", "");
                assert_eq!(text.matches("Join: https://").count(), events, "resumed");
            }
            assert_eq!(world.meetings(), 3);
        }
    }
}

#[tokio::test]
async fn an_event_that_is_unlinked_stays_opted_out() {
    for server in servers() {
        let scene = Scene::new();
        let keeps_marks = server.as_ref().is_none_or(|s| s.drops.is_empty());
        server.into_iter().for_each(|s| scene.world.serve(s));
        let scene = scene.linked("").await;
        scene.round().await;
        let what = Unlink::Event("one@x".into());
        let done = scene.unlink(&what, false).await;
        assert_eq!((done.found, done.report.taken_out), (1, 1));
        assert_nothing_left(&scene.text(), "unlinked");
        assert_eq!(scene.text().contains(OPT_OUT), keeps_marks);
        scene.rests().await;
        // An old copy comes back, and an edit follows.
        scene.save(AT, "");
        scene.round().await;
        edit(&scene.world, "one.ics", "SUMMARY:One", "SUMMARY:Two");
        scene.round().await;
        assert_nothing_left(&scene.text(), "an old copy");
        assert_eq!(scene.unlink(&what, false).await.report.written, 0);
        let done = scene.unlink(&Unlink::Event("nobody".into()), false).await;
        assert_eq!((done.found, done.report.written), (0, 0));
    }
}

#[tokio::test]
async fn an_event_can_be_opted_out_before_it_is_linked() {
    let scene = Scene::new();
    scene.save(AT, "");
    let what = Unlink::Event("one@x".into());
    let done = scene.unlink(&what, true).await;
    assert_eq!((done.found, done.report.taken_out, done.ended), (1, 0, 0));
    for _ in 0..3 {
        scene.pass().await;
    }
    assert_eq!(scene.world.effects(), (0, 0));
}

#[tokio::test]
async fn meetings_end_when_that_is_asked_for() {
    let scene = Scene::new().linked("").await;
    let what = Unlink::Event("one@x".into());
    scene.world.fail(Faults {
        no_delete: true,
        ..Faults::default()
    });
    let done = scene.unlink(&what, true).await;
    assert_eq!((done.ended, done.not_ended), (0, 1));
    assert_eq!(scene.world.meetings(), 1);
    scene.world.fail(Faults::default());
    let done = scene.unlink(&what, true).await;
    assert_eq!((done.ended, done.not_ended), (1, 0));
    assert_eq!(scene.world.meetings(), 0);
    let done = scene.unlink(&what, true).await;
    assert_eq!((done.ended, done.not_ended), (0, 0));
    scene.rests().await;
}

#[tokio::test]
async fn unlinking_that_breaks_off_at_any_point_can_be_run_again() {
    for server in [None, Some(Server::default())] {
        for what in [Unlink::All, Unlink::Event("two@x".into())] {
            for happens in [Happens::Crash, Happens::Edit] {
                for point in 1.. {
                    assert!(point < 500, "it never ends");
                    let label = format!("{what:?}, {happens:?} at {point}");
                    let world = World::new();
                    server.clone().into_iter().for_each(|s| world.serve(s));
                    let home = tempfile::tempdir().unwrap();
                    let calendar = watched(&world);
                    let mut running = bridge(&world, home.path());
                    let originals = linked(&world, &running, &calendar).await;
                    world.clock.advance(chrono::Duration::minutes(1));
                    world.arm(point, happens);
                    let crashed = tokio::select! {
                        biased;
                        () = world.crashed() => true,
                        done = running.unlink(&calendar, &what, true) => { done.unwrap(); false }
                    };
                    let reached = world.reached();
                    world.disarm();
                    if crashed {
                        drop(running);
                        running = bridge(&world, home.path());
                        rounds(&world, &running, &calendar).await;
                        running.unlink(&calendar, &what, true).await.unwrap();
                    }
                    rounds(&world, &running, &calendar).await;
                    let left = if what == Unlink::All { 0 } else { 2 };
                    assert_eq!(world.meetings(), left, "{label}");
                    for (name, original) in &originals {
                        let text = world.text(name).unwrap();
                        if what == Unlink::All {
                            let text = text.replace("COMMENT:edited meanwhile\r\n", "");
                            assert_eq!(bare(&text), bare(original), "{label}");
                        }
                    }
                    let two = world.text("two.ics").unwrap();
                    let two = two.split("END:VEVENT").next().unwrap();
                    assert_nothing_left(two, &label);
                    let rest = world.effects();
                    let done = running.unlink(&calendar, &what, true).await.unwrap();
                    assert_eq!((done.report.written, done.ended), (0, 0), "{label}");
                    assert_eq!(world.effects(), rest, "{label}");
                    if !reached && !crashed {
                        break;
                    }
                }
            }
        }
    }
}
