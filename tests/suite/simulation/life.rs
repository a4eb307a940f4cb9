//! Scenes of the ends of meetings: deleted with their events, dead by themselves, or of an organizer who is gone.

use chrono::Duration;
use meetbridge::calendar::Scope;
use meetbridge::clock::Clock as _;
use meetbridge::meeting::{Chat, Fate, Setting, Settings};
use meetbridge::model::{CalendarName, ExternalId, OrganizerId, ResourceId, Uid};
use meetbridge::sync::Watched;

use super::scenes::Scene;
use super::user::{calendar, edit, event};
use super::world::{Faults, Happens, World, watched};

const TWO: &str = "22222222-2222-2222-2222-222222222222";

impl Scene {
    /// A linked event, whose link was seen, in a calendar that deletes.
    async fn deleting() -> Self {
        let mut scene = Self::new();
        scene.calendar = scene.deletes(watched(&scene.world));
        scene.save("20261220T090000Z", "");
        scene.pass().await;
        scene.pass().await;
        assert_eq!(scene.world.keys(), ["one@x"]);
        scene
    }

    fn deletes(&self, mut calendar: Watched) -> Watched {
        (calendar.on_cancel, calendar.on_delete) = (Fate::Delete, Fate::Delete);
        calendar
    }

    /// A while later, a pass, and what follows from it.
    pub(super) async fn after(&self, wait: Duration) -> usize {
        self.world.clock.advance(wait);
        self.pass().await;
        self.bridge.end_meetings(&self.calendar).await.unwrap()
    }

    pub(super) async fn a_day_later(&self) -> usize {
        self.after(Duration::hours(24)).await
    }

    /// The event is noticed to be gone.
    async fn lose_it(&self) {
        self.world.delete("one.ics");
        self.pass().await;
        self.pass().await;
    }

    fn cancel(&self) {
        edit(
            &self.world,
            "one.ics",
            "SUMMARY:",
            "STATUS:CANCELLED\r\nSUMMARY:",
        );
    }

    /// The event shows a meeting that is there.
    pub(super) fn assert_alive(&self, key: &str) {
        let url = self.world.url(key);
        let text = self.text().replace("\r\n ", "");
        assert!(text.contains(&url), "{url} is not in {text}");
    }
}

#[tokio::test]
async fn a_meeting_is_deleted_once_when_its_event_was_gone_for_a_day() {
    let scene = Scene::deleting().await;
    scene.lose_it().await;
    assert_eq!(scene.after(Duration::hours(23)).await, 0);
    assert_eq!(scene.after(Duration::hours(1)).await, 1);
    assert_eq!(scene.world.ended(), ["one@x"]);
    let effects = scene.world.effects();
    for _ in 0..3 {
        assert_eq!(scene.a_day_later().await, 0);
    }
    assert_eq!(scene.world.effects(), effects, "not for nothing");
    assert!(!scene.bridge.has_endings(&scene.calendar).unwrap());
}

#[tokio::test]
async fn a_meeting_of_a_cancelled_event_is_deleted_and_the_event_not_written() {
    let scene = Scene::deleting().await;
    scene.cancel();
    let text = scene.text();
    scene.pass().await;
    assert_eq!(scene.after(Duration::hours(23)).await, 0);
    assert_eq!(scene.after(Duration::hours(1)).await, 1);
    // Removed at last, as clients do: that is the same end, and no second one.
    assert_eq!(scene.text(), text);
    scene.lose_it().await;
    let effects = scene.world.effects();
    assert_eq!(scene.a_day_later().await, 0);
    assert_eq!(scene.world.effects(), effects);
}

#[tokio::test]
async fn what_is_to_be_kept_is_kept() {
    for (on_cancel, on_delete, cancelled, ended) in [
        (Fate::Keep, Fate::Delete, true, 0),
        (Fate::Delete, Fate::Keep, true, 1),
        (Fate::Delete, Fate::Keep, false, 0),
        (Fate::Keep, Fate::Delete, false, 1),
    ] {
        let mut scene = Scene::deleting().await;
        (scene.calendar.on_cancel, scene.calendar.on_delete) = (on_cancel, on_delete);
        if cancelled {
            scene.cancel();
            scene.pass().await;
        } else {
            scene.lose_it().await;
        }
        assert_eq!(
            scene.a_day_later().await,
            ended,
            "{on_cancel:?} {on_delete:?} {cancelled}"
        );
    }
}

#[tokio::test]
async fn a_link_that_a_person_took_out_takes_its_meeting_with_it() {
    let scene = Scene::deleting().await;
    scene.world.save(
        "one.ics",
        &calendar(&[event("one@x", "20261220T090000Z", "One", "")
            .replace("DTSTAMP:20261101", "DTSTAMP:20261103")]),
    );
    scene.pass().await;
    assert_eq!(scene.a_day_later().await, 1);
    assert!(!scene.text().contains("X-MEETBRIDGE"));
}

#[tokio::test]
async fn an_event_that_returns_in_time_keeps_its_meeting() {
    let scene = Scene::deleting().await;
    let text = scene.text();
    scene.lose_it().await;
    scene.after(Duration::hours(20)).await;
    scene.world.save("one.ics", &text);
    for _ in 0..3 {
        assert_eq!(scene.a_day_later().await, 0);
    }
    assert_eq!(scene.text(), text);
    scene.cancel();
    scene.pass().await;
    scene.after(Duration::hours(20)).await;
    scene.world.save("one.ics", &text);
    assert_eq!(scene.a_day_later().await, 0);
    assert_eq!(scene.world.keys(), ["one@x"]);
    // Its next absence has a day of its own.
    scene.lose_it().await;
    assert_eq!(scene.after(Duration::hours(23)).await, 0);
}

#[tokio::test]
async fn an_event_that_returns_too_late_gets_a_meeting_that_works() {
    for cancelled in [false, true] {
        let scene = Scene::deleting().await;
        let text = scene.text();
        match cancelled {
            true => scene.cancel(),
            false => scene.lose_it().await,
        }
        scene.pass().await;
        assert_eq!(scene.a_day_later().await, 1);
        scene.world.save("one.ics", &text);
        scene.pass().await;
        scene.pass().await;
        scene.assert_alive("one@x");
        assert_ne!(scene.text(), text);
        let effects = scene.world.effects();
        assert_eq!(scene.a_day_later().await, 0);
        assert_eq!(scene.world.effects(), effects);
    }
}

#[tokio::test]
async fn an_event_that_moves_keeps_its_meeting() {
    let scene = Scene::deleting().await;
    scene.world.rename("one.ics", "moved.ics");
    for _ in 0..3 {
        assert_eq!(scene.a_day_later().await, 0);
    }
    assert_eq!(scene.world.keys(), ["one@x"]);
    // Then the other place is the one that counts.
    scene.world.delete("moved.ics");
    scene.pass().await;
    scene.pass().await;
    assert_eq!(scene.a_day_later().await, 1);
}

#[tokio::test]
async fn an_event_in_another_calendar_keeps_the_meeting() {
    let scene = Scene::deleting().await;
    let mut other = scene.deletes(watched(&scene.world));
    other.name = CalendarName::new("other");
    scene.bridge.pass(&other, Scope::All).await.unwrap();
    // Deleted in the one only: the other does not look.
    scene.lose_it().await;
    assert_eq!(scene.a_day_later().await, 0);
    for _ in 0..2 {
        scene.world.clock.advance(Duration::minutes(1));
        scene.bridge.pass(&other, Scope::All).await.unwrap();
    }
    scene.world.clock.advance(Duration::hours(24));
    assert_eq!(scene.bridge.end_meetings(&other).await.unwrap(), 1);
}

#[tokio::test]
async fn an_event_that_moved_to_a_calendar_that_cannot_be_read_keeps_its_meeting() {
    for fault in [
        Faults {
            silent: true,
            ..Faults::default()
        },
        Faults {
            unreadable: Some("one.ics".into()),
            ..Faults::default()
        },
    ] {
        let scene = Scene::deleting().await;
        let elsewhere = World::new();
        let mut other = scene.deletes(watched(&elsewhere));
        other.name = CalendarName::new("other");
        for name in [&scene.calendar.name, &other.name] {
            scene.bridge.watches(name);
        }
        scene.bridge.pass(&other, Scope::All).await.unwrap();
        let text = scene.text();
        scene.lose_it().await;
        elsewhere.save("one.ics", &text);
        elsewhere.fail(fault);
        for _ in 0..3 {
            let read = scene.bridge.pass(&other, Scope::All).await;
            scene.bridge.note(&other, &read);
            assert_eq!(scene.a_day_later().await, 0);
        }
        elsewhere.fail(Faults::default());
        scene.bridge.pass(&other, Scope::All).await.unwrap();
        for _ in 0..2 {
            assert_eq!(scene.a_day_later().await, 0);
        }
        assert_eq!(scene.world.keys(), ["one@x"]);
        assert_eq!(elsewhere.text("one.ics").unwrap(), text);
    }
}

#[tokio::test]
async fn an_end_waits_for_every_calendar_that_is_watched_and_for_no_other() {
    let scene = Scene::deleting().await;
    let (team, other) = (&scene.calendar.name, CalendarName::new("other"));
    scene.bridge.watches(team);
    scene.bridge.watches(&other);
    scene.bridge.watches_account("alice");
    scene.lose_it().await;
    assert_eq!(scene.a_day_later().await, 0);
    // One is not configured any more; the other tells which calendars it has.
    scene.bridge.leaves(&other);
    assert_eq!(scene.a_day_later().await, 0);
    scene.bridge.has_found("alice", scene.world.clock.now());
    assert_eq!(scene.after(Duration::hours(1)).await, 1);
}

#[tokio::test]
async fn nothing_is_deleted_while_a_calendar_of_the_event_is_frozen() {
    let scene = Scene::deleting().await;
    scene.lose_it().await;
    let name = &scene.calendar.name;
    let mut record = scene.bridge.state.calendar(name).unwrap();
    record.frozen = Some(meetbridge::state::Frozen {
        since: scene.world.clock.now(),
        why: "many are gone".into(),
    });
    scene.bridge.state.put_calendar(name, &record).unwrap();
    for _ in 0..2 {
        assert_eq!(scene.a_day_later().await, 0);
        assert!(!scene.bridge.has_endings(&scene.calendar).unwrap());
    }
    record.frozen = None;
    scene.bridge.state.put_calendar(name, &record).unwrap();
    assert_eq!(scene.a_day_later().await, 1);
}

#[tokio::test]
async fn a_crash_at_every_point_of_an_end_is_harmless() {
    for returns in [false, true] {
        let mut point = 1;
        loop {
            let scene = Scene::deleting().await;
            let text = scene.text();
            scene.lose_it().await;
            scene.world.clock.advance(Duration::hours(24));
            scene.pass().await;
            scene.world.arm(point, Happens::Crash);
            tokio::select! {
                biased;
                () = scene.world.crashed() => {}
                _ = scene.bridge.end_meetings(&scene.calendar) => {}
            }
            let reached = scene.world.reached();
            scene.world.disarm();
            let mut scene = scene.restarted();
            scene.calendar = scene.deletes(watched(&scene.world));
            if returns {
                scene.world.save("one.ics", &text);
            }
            scene.after(Duration::zero()).await;
            scene.after(Duration::zero()).await;
            assert_eq!(scene.world.keys().len(), usize::from(returns), "{point}");
            if returns {
                scene.assert_alive("one@x");
            }
            assert!(scene.world.ended().len() <= 1, "{point}");
            let effects = scene.world.effects();
            scene.a_day_later().await;
            assert_eq!(scene.world.effects(), effects, "{point}");
            if !reached {
                assert!(point > 2, "{point}");
                break;
            }
            point += 1;
        }
    }
}

#[tokio::test]
async fn a_meeting_whose_end_has_begun_is_deleted_before_its_event_gets_another() {
    let scene = Scene::deleting().await;
    let text = scene.text();
    scene.lose_it().await;
    scene.world.fail(Faults {
        no_delete: true,
        ..Faults::default()
    });
    assert_eq!(scene.a_day_later().await, 0);
    scene.world.fail(Faults::default());
    scene.world.save("one.ics", &text);
    scene.pass().await;
    scene.pass().await;
    assert_eq!(scene.world.ended(), ["one@x"]);
    scene.assert_alive("one@x");
    assert_eq!(scene.after(Duration::hours(48)).await, 0);
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_asked_again_later() {
    let scene = Scene::deleting().await;
    scene.lose_it().await;
    scene.world.fail(Faults {
        no_delete: true,
        ..Faults::default()
    });
    assert_eq!(scene.a_day_later().await, 0);
    let calls = scene.world.effects();
    assert!(!scene.bridge.has_endings(&scene.calendar).unwrap());
    assert_eq!(scene.bridge.end_meetings(&scene.calendar).await.unwrap(), 0);
    assert_eq!(scene.world.effects(), calls);
    scene.world.fail(Faults::default());
    assert_eq!(scene.after(Duration::hours(1)).await, 1);
}

#[tokio::test]
async fn a_meeting_whose_event_never_got_its_link_is_an_orphan() {
    for keeps in [true, false] {
        let mut scene = Scene::new();
        if !keeps {
            scene.calendar = scene.deletes(watched(&scene.world));
        }
        scene.world.fail(Faults {
            read_only: true,
            ..Faults::default()
        });
        scene.save("20261220T090000Z", "");
        scene.pass().await;
        let orphans = |scene: &Scene| {
            let (state, now) = (&scene.bridge.state, scene.world.clock.now());
            let orphans = state.orphans(&scene.calendar.name, now).unwrap();
            orphans
                .into_iter()
                .map(|uid| uid.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(orphans(&scene), [""; 0], "it is tried again");
        scene.lose_it().await;
        assert_eq!(orphans(&scene), ["one@x"]);
        assert_eq!(scene.a_day_later().await, usize::from(!keeps));
        assert_eq!(orphans(&scene).len(), usize::from(keeps));
    }
}

#[tokio::test]
async fn a_meeting_that_was_made_before_a_crash_is_the_events_or_an_orphan() {
    let mut orphans = 0;
    for point in 1.. {
        let mut scene = Scene::new();
        // A meeting is remembered before its settings are applied.
        scene.calendar.style.settings = Settings(vec![Setting::Chat(Chat::Disabled)]);
        let two = ["one@x", "two@x"].map(|uid| event(uid, "20261220T090000Z", "One", ""));
        scene.world.save("one.ics", &calendar(&two));
        scene.world.arm(point, Happens::Crash);
        tokio::select! {
            biased;
            () = scene.world.crashed() => {}
            _ = scene.pass() => {}
        }
        let reached = scene.world.reached();
        scene.world.disarm();
        // The events go before anybody looks again.
        let mut scene = scene.restarted();
        scene.calendar = scene.deletes(watched(&scene.world));
        let (state, organizer) = (scene.bridge.state.clone(), scene.calendar.organizer.clone());
        let known = |uid: &&str| {
            let key = ExternalId::stored(*uid);
            state.meeting(&organizer, &key).unwrap().is_some()
        };
        let known: Vec<_> = ["one@x", "two@x"].into_iter().filter(known).collect();
        let landed = scene.text().contains("X-MEETBRIDGE");
        scene.lose_it().await;
        let now = scene.world.clock.now();
        let listed = state.orphans(&scene.calendar.name, now).unwrap();
        let listed: Vec<_> = listed.iter().map(Uid::to_string).collect();
        if !landed {
            for uid in &known {
                assert!(
                    listed.contains(&(*uid).to_owned()),
                    "{point}: {uid}: {listed:?}"
                );
            }
            orphans += known.len();
        }
        // Those that are remembered are deleted; of the others nothing is known.
        scene.a_day_later().await;
        for uid in known {
            assert!(
                scene.world.ended().contains(&uid.to_owned()),
                "{point}: {uid}"
            );
        }
        assert!(state.orphans(&scene.calendar.name, now).unwrap().is_empty());
        if !reached {
            break;
        }
    }
    assert!(orphans > 2, "{orphans}");
}

#[tokio::test]
async fn a_meeting_that_died_is_made_anew_under_its_key() {
    let scene = Scene::deleting().await;
    scene.world.kill_meeting("one@x");
    edit(&scene.world, "one.ics", "20261220T09", "20261220T11");
    scene.pass().await;
    assert_eq!(scene.world.keys(), ["one@x"]);
    scene.assert_alive("one@x");
}

#[tokio::test]
async fn a_key_that_gives_a_dead_meeting_twice_is_followed_by_the_next() {
    let mut scene = Scene::deleting().await;
    let dies = Faults {
        gives_dead: true,
        ..Faults::default()
    };
    scene.world.fail(dies.clone());
    let uid = Uid::new("one@x").unwrap();
    let key = |n: u8| ExternalId::of(&uid, n).as_str().to_owned();
    for n in 1..=3_u8 {
        scene.world.kill_meeting(&key(n - 1));
        edit(&scene.world, "one.ics", "SUMMARY:", "SUMMARY:X");
        scene.pass().await;
        assert_eq!(scene.world.keys(), [""; 0], "one answer is no proof");
        // The same moment: still one.
        let only = Scope::Only([ResourceId::new("one.ics")].into());
        scene.bridge.pass(&scene.calendar, only).await.unwrap();
        assert_eq!(scene.world.keys(), [""; 0]);
        scene.world.clock.advance(Duration::minutes(1));
        assert_eq!(scene.due(), [ResourceId::new("one.ics")]);
        scene.pass().await;
        assert_eq!(scene.world.keys(), [key(n)]);
        scene.assert_alive(&key(n));
        // A lost state finds the same one, and asks for nothing.
        scene = scene.restarted_without_state();
        let (effects, text) = (scene.world.effects(), scene.text());
        scene.pass().await;
        scene.pass().await;
        assert_eq!((scene.world.effects(), scene.text()), (effects, text));
        scene.world.fail(dies.clone());
    }
    // The last: parked, with a reason, until it changes.
    scene.world.kill_meeting(&key(3));
    edit(&scene.world, "one.ics", "SUMMARY:", "SUMMARY:X");
    scene.pass().await;
    let report = scene.pass().await;
    assert_eq!(report.outcome["meeting-dead"], 1);
    assert_eq!(scene.due(), []);
    let effects = scene.world.effects();
    scene.a_day_later().await;
    assert_eq!(scene.world.effects(), effects);
}

#[tokio::test]
async fn a_lost_state_walks_past_dead_meetings_to_the_same_one() {
    let scene = Scene::deleting().await;
    scene.world.fail(Faults {
        gives_dead: true,
        ..Faults::default()
    });
    scene.world.kill_meeting("one@x");
    edit(&scene.world, "one.ics", "SUMMARY:", "SUMMARY:X");
    scene.pass().await;
    scene.pass().await;
    let keys = scene.world.keys();
    assert_eq!(keys.len(), 1);
    // The event as it was before any link, and nothing remembered.
    let scene = scene.restarted_without_state();
    scene.save("20261220T090000Z", "");
    scene.pass().await;
    assert!(!scene.text().contains("X-MEETBRIDGE"));
    scene.pass().await;
    assert_eq!(scene.world.keys(), keys);
    scene.assert_alive(&keys[0]);
}

#[tokio::test]
async fn the_events_organizer_owns_its_new_meeting() {
    let mut scene = Scene::new();
    let two = OrganizerId::new(TWO).unwrap();
    scene.calendar.organizers = [("alice@x".to_owned(), two)].into();
    scene.save("20261220T090000Z", "");
    let other = event("two@x", "20261220T090000Z", "Two", "").replace("alice@x", "carol@x");
    scene.world.save("two.ics", &calendar(&[other]));
    scene.pass().await;
    let of_two = format!("{TWO}/one@x");
    assert_eq!(scene.world.keys(), [of_two.as_str(), "two@x"]);
    // A lost state and a changed organizer leave what is linked as it is.
    scene.calendar.organizers.clear();
    let effects = scene.world.effects();
    scene.pass().await;
    assert_eq!(scene.world.effects(), effects);
    edit(&scene.world, "one.ics", "20261220T09", "20261220T11");
    scene.pass().await;
    assert_eq!(scene.world.keys().len(), 2);
    scene.assert_alive(&of_two);
}

#[tokio::test]
async fn links_of_an_organizer_who_is_not_found_for_a_day_are_renewed_within_the_budgets() {
    let mut scene = Scene::deleting().await;
    let three = calendar(&[event("three@x", "20261220T090000Z", "Three", "")]);
    scene.world.save("three.ics", &three);
    scene.pass().await;
    scene.pass().await;
    let old = scene.calendar.organizer.clone();
    scene.calendar.organizer = OrganizerId::new(TWO).unwrap();
    scene.world.fail(Faults {
        unknown: Some(old),
        ..Faults::default()
    });
    edit(&scene.world, "one.ics", "20261220T09", "20261220T11");
    scene.pass().await;
    scene.after(Duration::hours(23)).await;
    assert_eq!(scene.world.keys(), ["one@x", "three@x"], "not yet");
    scene.bridge.meetings_per_month = 1;
    scene.after(Duration::hours(1)).await;
    scene.pass().await;
    let mut renewed = scene.world.keys();
    renewed.retain(|key| key.starts_with(TWO));
    assert_eq!(renewed.len(), 1, "the budget holds: {renewed:?}");
    scene.bridge.meetings_per_month = 10;
    for _ in 0..3 {
        scene.pass().await;
    }
    scene.assert_alive(&format!("{TWO}/one@x"));
    assert_eq!(scene.world.keys().len(), 4, "what nobody changed, too");
    let effects = scene.world.effects();
    scene.pass().await;
    assert_eq!(scene.world.effects(), effects);
}

#[tokio::test]
async fn an_organizer_who_is_found_again_keeps_his_meetings() {
    let mut scene = Scene::deleting().await;
    let old = scene.calendar.organizer.clone();
    scene.calendar.organizer = OrganizerId::new(TWO).unwrap();
    let gone = Faults {
        unknown: Some(old),
        ..Faults::default()
    };
    scene.world.fail(gone.clone());
    edit(&scene.world, "one.ics", "20261220T09", "20261220T11");
    scene.pass().await;
    scene.world.fail(Faults::default());
    scene.after(Duration::hours(23)).await;
    scene.world.fail(gone);
    edit(&scene.world, "one.ics", "20261220T11", "20261220T12");
    scene.after(Duration::hours(2)).await;
    assert_eq!(scene.world.keys(), ["one@x"]);
}

#[tokio::test]
async fn each_organizer_has_a_month_of_his_own() {
    let mut scene = Scene::new();
    scene.bridge.meetings_per_month = 2;
    let two = OrganizerId::new(TWO).unwrap();
    scene.calendar.organizers = [("carol@x".to_owned(), two)].into();
    for n in 0..4 {
        let start = format!("2026122{n}T090000Z");
        let one = event(&format!("{n}@x"), &start, "One", "");
        scene.world.save(&format!("{n}.ics"), &calendar(&[one]));
    }
    let hers = event("hers@x", "20261229T090000Z", "Two", "").replace("alice@x", "carol@x");
    scene.world.save("hers.ics", &calendar(&[hers]));
    let report = scene.pass().await;
    assert_eq!(report.outcome["month-budget"], 2);
    let hers = format!("{TWO}/hers@x");
    assert_eq!(scene.world.keys(), ["0@x", "1@x", hers.as_str()]);
}
