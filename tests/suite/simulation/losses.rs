//! Scenes of links that are gone: a few of them, and many at once.

use meetbridge::calendar::Scope;
use meetbridge::clock::Clock as _;
use meetbridge::model::ResourceId;
use meetbridge::state::{Frozen, Gone, Link};

use super::scenes::Scene;
use super::user::{calendar, edit, event};
use super::world::{Faults, Happens};

impl Scene {
    /// With `n` linked events, each in a resource of its own, and each link seen.
    async fn with(mut self, n: usize) -> Self {
        self.bridge.first_pass_limit = 1_000;
        for at in 0..n {
            self.put(at, "20261120T090000Z");
        }
        self.pass().await;
        self.pass().await;
        assert!(self.links().iter().all(|link| link.gone.is_none()));
        assert_eq!(self.links().len(), n);
        self
    }

    fn put(&self, at: usize, start: &str) {
        let one = calendar(&[event(&format!("{at}@x"), start, "One", "")]);
        self.world.save(&name(at), &one);
    }

    fn delete(&self, which: std::ops::Range<usize>) {
        which.for_each(|at| self.world.delete(&name(at)));
    }

    /// Takes the links out as a client does that knows nothing of them, and says when.
    fn strip(&self, which: std::ops::Range<usize>) {
        for at in which {
            let one = event(&format!("{at}@x"), "20261120T090000Z", "One", "");
            let dated = one.replace("DTSTAMP:20261101", "DTSTAMP:20261103");
            self.world.save(&name(at), &calendar(&[dated]));
        }
    }

    fn links(&self) -> Vec<Link> {
        self.bridge.state.all_links(&self.calendar.name).unwrap()
    }

    /// Since when links are gone, and whether that is sure, for those that are.
    fn gone(&self) -> Vec<Gone> {
        self.links()
            .into_iter()
            .filter_map(|link| link.gone)
            .collect()
    }

    fn sure(&self) -> usize {
        self.gone().iter().filter(|gone| gone.confirmed).count()
    }

    fn frozen(&self) -> Option<Frozen> {
        let record = self.bridge.state.calendar(&self.calendar.name);
        record.unwrap().frozen
    }

    fn resume(&self) {
        let (name, now) = (&self.calendar.name, self.world.clock.now());
        assert!(self.bridge.state.resume(name, now).unwrap().is_some());
    }

    /// Nothing is made or written, whatever happens in the calendar.
    async fn assert_still(&self) {
        let effects = self.world.effects();
        self.put(900, "20261120T090000Z");
        if let Some(text) = self.world.text(&name(40)) {
            self.world
                .save(&name(40), &text.replace("SUMMARY:One", "SUMMARY:Two"));
        }
        let report = self.pass().await;
        assert!(report.outcome["frozen"] > 0, "{report:?}");
        self.pass().await;
        assert_eq!(self.world.effects(), effects);
    }
}

fn name(at: usize) -> String {
    format!("{at}.ics")
}

#[tokio::test]
async fn many_that_vanish_at_once_freeze_the_calendar_until_it_is_resumed() {
    let scene = Scene::on_a_server().with(50).await;
    scene.delete(0..30);
    let effects = scene.world.effects();
    scene.news().await;
    let frozen = scene.frozen().unwrap();
    assert!(
        frozen.why.starts_with("30 of its 50 future links"),
        "{}",
        frozen.why
    );
    assert!(frozen.why.contains("meetbridge resume team"));
    assert_eq!(scene.links().len(), 50, "links are remembered");
    assert_eq!(scene.world.effects(), effects);
    scene.assert_still().await;

    // Two more go meanwhile: what is consented to is what is said.
    scene.delete(30..32);
    scene.news().await;
    let frozen = scene.frozen().unwrap();
    assert!(
        frozen.why.starts_with("32 of its 50 future links"),
        "{}",
        frozen.why
    );

    scene.resume();
    let since = scene.world.clock.now();
    let report = scene.news().await;
    assert_eq!((report.created, report.updated), (1, 1), "it goes on");
    assert_eq!(scene.frozen(), None);
    assert_eq!(scene.sure(), 32);
    assert!(scene.gone().iter().all(|gone| gone.since == since));
    scene.news().await;
    assert_eq!(scene.frozen(), None);

    // Another loss is another freeze, counted by itself.
    scene.delete(32..50);
    scene.put(50, "20261120T090000Z");
    scene.news().await;
    assert_eq!(scene.frozen(), None, "18 are few");
}

#[tokio::test]
async fn what_is_not_many_or_not_a_fifth_is_no_mass() {
    let scene = Scene::on_a_server().with(110).await;
    scene.delete(0..22);
    scene.news().await;
    assert_eq!((scene.frozen(), scene.sure()), (None, 22));
    let scene = Scene::on_a_server().with(21).await;
    scene.delete(0..20);
    scene.news().await;
    assert_eq!((scene.frozen(), scene.sure()), (None, 20));
}

#[tokio::test]
async fn links_that_are_stripped_from_many_events_freeze_the_calendar() {
    let scene = Scene::on_a_server().with(45).await;
    scene.strip(0..25);
    scene.news().await;
    let frozen = scene.frozen().unwrap();
    assert!(
        frozen.why.starts_with("25 of its 45 future links"),
        "{}",
        frozen.why
    );
    scene.assert_still().await;
    scene.resume();
    for _ in 0..2 {
        scene.pass().await;
        assert_eq!(scene.frozen(), None, "it was consented to");
    }
    assert!(!scene.world.text("0.ics").unwrap().contains("X-MEETBRIDGE"));
}

#[tokio::test]
async fn copies_from_before_the_links_freeze_the_calendar_before_they_are_linked_again() {
    let scene = Scene::on_a_server().with(45).await;
    (0..25).for_each(|at| scene.put(at, "20261120T090000Z"));
    scene.news().await;
    assert!(scene.frozen().is_some());
    assert!(!scene.world.text("0.ics").unwrap().contains("X-MEETBRIDGE"));
    scene.resume();
    scene.news().await;
    scene.news().await;
    assert!(scene.world.text("0.ics").unwrap().contains("X-MEETBRIDGE"));
    assert_eq!((scene.gone(), scene.world.meetings()), (vec![], 45));
}

#[tokio::test]
async fn what_comes_back_is_not_gone_any_more() {
    let scene = Scene::on_a_server().with(45).await;
    let texts: Vec<_> = (0..30)
        .map(|at| scene.world.text(&name(at)).unwrap())
        .collect();
    scene.delete(0..30);
    scene.news().await;
    assert!(scene.frozen().is_some());
    let back = |(at, text): (usize, &String)| scene.world.save(&name(at), text);
    texts.iter().enumerate().for_each(back);
    scene.news().await;
    assert_eq!(scene.gone(), []);
    assert!(scene.frozen().is_some(), "until somebody has looked");
    scene.resume();
    let effects = scene.world.effects();
    scene.pass().await;
    assert_eq!((scene.frozen(), scene.world.effects()), (None, effects));
}

#[tokio::test]
async fn what_is_over_is_not_missed() {
    let scene = Scene::on_a_server().with(45).await;
    scene.world.clock.advance(chrono::Duration::days(30));
    scene.put(50, "20261220T090000Z");
    scene.news().await;
    scene.delete(0..45);
    scene.news().await;
    assert_eq!((scene.frozen(), scene.sure()), (None, 45));
}

#[tokio::test]
async fn what_moves_is_not_missed() {
    let scene = Scene::new().with(45).await;
    for at in 0..45 {
        scene.world.rename(&name(at), &format!("moved/{at}.ics"));
    }
    for _ in 0..4 {
        scene.pass().await;
    }
    assert_eq!((scene.frozen(), scene.sure()), (None, 45));
    assert_eq!(scene.world.meetings(), 45);
}

#[tokio::test]
async fn files_are_gone_when_two_listings_a_minute_apart_do_not_show_them() {
    let scene = Scene::new().with(45).await;
    let texts: Vec<_> = (0..45)
        .map(|at| scene.world.text(&name(at)).unwrap())
        .collect();
    let back = |(at, text): (usize, &String)| scene.world.save(&name(at), text);
    scene.delete(0..45);
    let only = Scope::Only((0..45).map(|at| ResourceId::new(name(at))).collect());
    scene
        .bridge
        .pass(&scene.calendar, only.clone())
        .await
        .unwrap();
    assert_eq!(scene.gone(), [], "no listing");
    scene.pass().await;
    scene.world.clock.advance(chrono::Duration::seconds(59));
    scene
        .bridge
        .pass(&scene.calendar, Scope::All)
        .await
        .unwrap();
    assert_eq!((scene.gone().len(), scene.sure()), (45, 0), "not yet");
    scene.bridge.pass(&scene.calendar, only).await.unwrap();
    texts.iter().enumerate().for_each(back);
    scene.pass().await;
    assert_eq!((scene.gone(), scene.frozen()), (vec![], None));

    scene.delete(0..45);
    scene.pass().await;
    assert_eq!(scene.frozen(), None);
    scene.pass().await;
    assert_eq!(scene.sure(), 45);
    assert!(scene.frozen().unwrap().why.starts_with("45 of its 45"));
    let record = scene.bridge.state.calendar(&scene.calendar.name).unwrap();
    scene.pass().await;
    let after = scene.bridge.state.calendar(&scene.calendar.name).unwrap();
    assert_eq!(after, record, "then all is quiet");
}

#[tokio::test]
async fn a_calendar_that_is_empty_after_a_change_of_rules_is_missed_all_the_same() {
    let mut scene = Scene::new().with(45).await;
    scene.calendar.rules.private = true;
    scene.delete(0..45);
    scene.pass().await;
    scene.pass().await;
    assert!(scene.frozen().is_some());
}

#[tokio::test]
async fn a_listing_that_breaks_off_takes_nothing_away() {
    let scene = Scene::on_a_server().with(45).await;
    scene.delete(0..45);
    scene.world.fail(Faults {
        cut_short: true,
        ..Faults::default()
    });
    for scope in [Scope::All, Scope::News(None)] {
        scene.bridge.pass(&scene.calendar, scope).await.unwrap_err();
    }
    assert_eq!((scene.gone(), scene.frozen()), (vec![], None));
}

#[tokio::test]
async fn a_crash_while_a_loss_is_read_hides_none_of_it() {
    let mut point = 1;
    loop {
        let scene = Scene::on_a_server().with(40).await;
        scene.strip(0..15);
        scene.delete(15..30);
        scene.put(40, "20261120T090000Z");
        scene.world.arm(point, Happens::Crash);
        tokio::select! {
            biased;
            () = scene.world.crashed() => {}
            _ = scene.news() => {}
        }
        let reached = scene.world.reached();
        scene.world.disarm();
        let scene = scene.restarted();
        scene.news().await;
        let frozen = scene.frozen().expect("it is frozen");
        assert!(
            frozen.why.starts_with("30 of its 40"),
            "{point}: {}",
            frozen.why
        );
        assert!(!scene.world.text("40.ics").unwrap().contains("X-MEETBRIDGE"));
        if !reached {
            return assert!(point > 10, "{point}");
        }
        point += 3;
    }
}

#[tokio::test]
async fn a_file_that_loses_its_events_is_looked_at_twice() {
    let mut scene = Scene::new();
    scene.bridge.first_pass_limit = 1_000;
    let all: Vec<_> = (0..30)
        .map(|n| event(&format!("{n}@x"), "20261120T090000Z", "One", ""))
        .collect();
    scene.world.save("one.ics", &calendar(&all));
    scene.pass().await;
    scene.pass().await;
    let whole = scene.text();
    for lost in [false, true] {
        let (before, after) = whole.split_at(whole.find("BEGIN:VEVENT").unwrap());
        let rest = after.rfind("BEGIN:VEVENT").unwrap();
        scene
            .world
            .save("one.ics", &format!("{before}{}", &after[rest..]));
        scene.pass().await;
        assert_eq!((scene.gone().len(), scene.sure()), (29, 0));
        scene.world.clock.advance(chrono::Duration::minutes(1));
        assert_eq!(scene.due(), [ResourceId::new("one.ics")]);
        if !lost {
            scene.world.save("one.ics", &whole);
        }
        let due = Scope::Only(scene.due().into_iter().collect());
        scene.bridge.pass(&scene.calendar, due).await.unwrap();
        assert_eq!(scene.sure(), if lost { 29 } else { 0 });
        assert_eq!(scene.frozen().is_some(), lost);
        assert_eq!(scene.due(), []);
    }
}

#[tokio::test]
async fn a_part_that_is_not_understood_takes_nothing_away() {
    let scene = Scene::on_a_server();
    let both = ["one@x", "two@x"].map(|uid| event(uid, "20261120T090000Z", "One", ""));
    scene.world.save("one.ics", &calendar(&both));
    scene.pass().await;
    scene.pass().await;
    edit(&scene.world, "one.ics", "UID:two@x", "COMMENT:no UID");
    scene.pass().await;
    assert_eq!(scene.gone(), []);
    edit(&scene.world, "one.ics", "COMMENT:no UID", "UID:three@x");
    scene.pass().await;
    assert_eq!(scene.sure(), 1);
}
