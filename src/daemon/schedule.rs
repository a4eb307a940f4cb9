//! When a calendar is passed over: one task per calendar.
//!
//! At once when it says that something changed, when an event is due, and in full every `rescan` as
//! the safety net, or when a command asks for it. A pass that failed is made again, ever more slowly.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::desk::Errands;
use super::fleet::another;
use super::retry::Retry;
use crate::calendar::{Again, Scope};
use crate::log;
use crate::sync::{Bridge, PassError, Report, Watched, is_failure};

/// How long at most nothing is looked at: the wall clock may jump meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How long a resource is left alone that changed under our hands.
const PAUSE: Duration = Duration::from_secs(1);

/// How long nothing is concluded from what is gone: an event that moved while nobody looked is found
/// first, in whichever calendar it is.
const QUIET: Duration = Duration::from_secs(5 * 60);

/// By how much the wall clock differs from the monotonic one when it was set, or the machine slept.
const JUMP: TimeDelta = TimeDelta::minutes(1);

/// What is decided of events that get their link, or are looked at again, without anybody's doing.
const WAITING: [&str; 5] = [
    "settling",
    "uid-unproven",
    "day-budget",
    "month-budget",
    "frozen",
];

/// How often a summary line is logged.
const SUMMARY: Duration = Duration::from_secs(15 * 60);

/// Passes over `calendar` and runs its `errands` until `stop`; a pass that has begun is finished.
///
/// Another of the `bridges` is gone over after the pass that is under way. What failed is tried again at
/// once then, and all is decided anew where the other one decides otherwise.
pub async fn watch(
    bridges: &mut watch::Receiver<Arc<Bridge>>,
    calendar: &Watched,
    rescan: Duration,
    errands: &mut Errands,
    stop: &CancellationToken,
) {
    let mut bridge = bridges.borrow_and_update().clone();
    let mut began = bridge.clock.elapsed();
    let mut clocks = Clocks::new(began, bridge.clock.now());
    let mut agenda = Agenda::new(rescan, began);
    let mut scope = Scope::All;
    // Where the state fails, the pass says so.
    let _ = bridge.retry_failed(calendar);
    loop {
        errands.planned(None);
        let rewrite = errands.rewrite();
        let result = bridge
            .pass_rewriting(calendar, scope.clone(), rewrite)
            .await;
        let now = bridge.clock.elapsed();
        bridge.note(calendar, &result);
        if now.saturating_sub(began) >= QUIET
            && result.is_ok()
            && !matches!(scope, Scope::Only(_))
            && let Err(error) = bridge.end_meetings(calendar).await
        {
            bridge.note(calendar, &Err(error.into()));
        }
        agenda.passed(&result, scope, now, bridge.clock.now());
        agenda.due = bridge.state.next_due(&calendar.name).ok().flatten();
        errands.passed(&result, calendar.rules.settle, now);
        scope = loop {
            if stop.is_cancelled() {
                return;
            }
            if agenda.summary_is_due(bridge.clock.elapsed()) {
                summarise(&bridge, calendar);
            }
            if bridges.has_changed().unwrap_or(false) {
                let other = bridges.borrow_and_update().clone();
                let is_like = bridge.decides_like(&other);
                bridge = other;
                let _ = bridge.retry_failed(calendar);
                agenda.due = bridge.state.next_due(&calendar.name).ok().flatten();
                agenda.hurry(bridge.clock.elapsed());
                if !is_like {
                    break agenda.widen(Scope::News(None));
                }
            }
            if let Some(jump) = clocks.jump(bridge.clock.elapsed(), bridge.clock.now()) {
                // Nothing is concluded from what is gone before all is looked at again.
                began = bridge.clock.elapsed();
                if jump < TimeDelta::zero() {
                    // What was decided by a time that is yet to come would stand until then.
                    let _ = bridge.state.forget_decisions(&calendar.name);
                }
                break Scope::All;
            }
            // What is due goes first, or a calendar that changes all the time would never see it.
            let now = bridge.clock.elapsed();
            let wait = agenda.wait(now, bridge.clock.now()).min(errands.wait(now));
            errands.planned(agenda.planned(calendar.port.next_look()));
            let errand = if wait.is_zero() {
                errands.next().now_or_never()
            } else {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = another(bridges) => continue,
                    changed = calendar.port.changed() => break agenda.widen(changed),
                    errand = errands.next() => Some(errand),
                    () = bridge.clock.sleep(wait) => None,
                }
            };
            if let Some(errand) = errand {
                match errands.run(errand, &bridge, calendar).await {
                    true => break Scope::All,
                    false => continue,
                }
            }
            let now = bridge.clock.now();
            if let Some(next) = agenda.next(bridge.clock.elapsed()) {
                break next;
            }
            if agenda.failed.is_some() {
                continue;
            }
            match bridge.state.due(&calendar.name, now) {
                Ok(due) if !due.is_empty() => break Scope::Only(due.into_iter().collect()),
                Ok(_)
                    if bridge.clock.elapsed().saturating_sub(began) >= QUIET
                        && bridge.has_endings(calendar).unwrap_or(false) =>
                {
                    break Scope::News(None);
                }
                Ok(_) => agenda.due = bridge.state.next_due(&calendar.name).ok().flatten(),
                Err(_) => agenda.due = None,
            }
            errands.rest(bridge.clock.elapsed());
        };
    }
}

/// The wall clock beside the monotonic one.
struct Clocks {
    /// What the wall clock showed when the monotonic one began.
    start: DateTime<Utc>,
}

impl Clocks {
    fn new(elapsed: Duration, wall: DateTime<Utc>) -> Self {
        Self {
            start: begin(elapsed, wall),
        }
    }

    /// How far the wall clock was set forth or back since the last look, or how long the machine slept;
    /// `None` where it went on as it should.
    fn jump(&mut self, elapsed: Duration, wall: DateTime<Utc>) -> Option<TimeDelta> {
        let start = begin(elapsed, wall);
        let by = start - std::mem::replace(&mut self.start, start);
        (by.abs() >= JUMP).then_some(by)
    }
}

fn begin(elapsed: Duration, wall: DateTime<Utc>) -> DateTime<Utc> {
    let elapsed = TimeDelta::from_std(elapsed).unwrap_or_default();
    wall.checked_sub_signed(elapsed).unwrap_or_default()
}

/// What is to be done next, and when.
struct Agenda {
    rescan: Duration,
    /// When the next full pass is due, on the monotonic clock.
    full: Duration,
    /// When an event is due, on the wall clock.
    due: Option<DateTime<Utc>>,
    /// What the last pass left to be done at once.
    again: Option<Scope>,
    /// How long that waits: nothing while it makes progress.
    pause: Duration,
    /// What the last pass failed to do, and when it is tried again; nothing else is done before.
    failed: Option<(Scope, Duration)>,
    /// How long the next failure is waited out.
    retry: Retry,
    /// When the next summary is logged.
    summary: Duration,
}

impl Agenda {
    fn new(rescan: Duration, now: Duration) -> Self {
        Self {
            rescan,
            full: now,
            due: None,
            again: None,
            pause: PAUSE,
            failed: None,
            retry: Retry::new(),
            summary: now + SUMMARY,
        }
    }

    fn passed(
        &mut self,
        result: &Result<Report, PassError>,
        scope: Scope,
        now: Duration,
        wall: DateTime<Utc>,
    ) {
        self.again = None;
        self.failed = None;
        match result {
            Ok(report) => {
                self.retry.worked();
                if scope == Scope::All {
                    self.full = now + self.rescan;
                }
                if !report.again.is_empty() {
                    self.again = Some(Scope::Only(report.again.clone()));
                    let progress = report.written + report.created > 0;
                    self.pause = if progress { Duration::ZERO } else { PAUSE };
                }
            }
            Err(error) => {
                self.failed = Some((scope, now + self.retry.failed(again(error), wall)));
            }
        }
    }

    /// What failed may have been mended: it is made again at `now`.
    fn hurry(&mut self, now: Duration) {
        self.retry.worked();
        if let Some((_, at)) = &mut self.failed {
            *at = now;
        }
    }

    /// What is owed and what changed, in one.
    fn widen(&self, changed: Scope) -> Scope {
        let failed = self.failed.iter().map(|(scope, _)| scope);
        let owed = self.again.iter().chain(failed);
        owed.cloned().fold(changed, |all, owed| match (all, owed) {
            (Scope::Only(ids), Scope::Only(owed)) => {
                Scope::Only(ids.into_iter().chain(owed).collect())
            }
            (Scope::All, _) | (_, Scope::All) => Scope::All,
            // What is named was noted as due.
            (Scope::News(_), _) | (_, Scope::News(_)) => Scope::News(None),
        })
    }

    fn wait(&self, now: Duration, wall: DateTime<Utc>) -> Duration {
        if self.again.is_some() {
            return self.pause;
        }
        if let Some((_, at)) = &self.failed {
            return at.saturating_sub(now).min(LONGEST_SLEEP);
        }
        let due = self
            .due
            .map(|due| (due - wall).to_std().unwrap_or_default());
        let full = self.full.saturating_sub(now);
        full.min(due.unwrap_or(LONGEST_SLEEP)).min(LONGEST_SLEEP)
    }

    /// When the next pass is planned, where changes are looked for at `look`; `None`: at once.
    fn planned(&self, look: Option<Duration>) -> Option<Duration> {
        match (&self.again, &self.failed) {
            (Some(_), _) => None,
            (None, Some((_, at))) => Some(*at),
            (None, None) => Some(look.unwrap_or(self.full).min(self.full)),
        }
    }

    fn next(&mut self, now: Duration) -> Option<Scope> {
        if let Some(again) = self.again.take() {
            return Some(again);
        }
        if let Some((_, at)) = &self.failed
            && now < *at
        {
            return None;
        }
        if now >= self.full {
            return Some(Scope::All);
        }
        self.failed.take().map(|(scope, _)| scope)
    }

    fn summary_is_due(&mut self, now: Duration) -> bool {
        let due = now >= self.summary;
        if due {
            self.summary = now + SUMMARY;
        }
        due
    }
}

/// How soon a pass that failed is worth another try.
fn again(error: &PassError) -> Again {
    match error {
        PassError::Calendar(error) => error.again(),
        PassError::CutShort | PassError::State(_) => Again::Soon,
    }
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Says in the log how the calendar stands.
fn summarise(bridge: &Bridge, calendar: &Watched) {
    let Ok(Some(own)) = bridge.state.overview_of(&calendar.name) else {
        return;
    };
    let count = |is: fn(&str) -> bool| -> u32 {
        let named = own.outcome.iter().filter(|(name, _)| is(name));
        named.map(|(_, n)| n).sum()
    };
    let reasons = own.outcome.iter().map(|(name, n)| format!("{name}={n}"));
    let linked: u32 = own.links.iter().sum();
    log::event!(CALENDAR_SUMMARY, calendar = %calendar.name, linked = linked,
        failing = count(is_failure), waiting = count(|name| WAITING.contains(&name)),
        frozen = own.record.frozen.is_some(), passed = own.record.last_pass.map(stamp),
        error = own.record.failing.as_deref(),
        reasons = %reasons.collect::<Vec<_>>().join(" "));
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::super::retry::SLOWLY;
    use super::*;
    use crate::calendar::ReadError;
    use crate::model::ResourceId;

    const RESCAN: Duration = Duration::from_secs(300);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn wall(second: u32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 23, 12, 0, second).unwrap()
    }

    fn only(names: &[&str]) -> Scope {
        Scope::Only(names.iter().map(|name| ResourceId::new(*name)).collect())
    }

    #[test]
    fn everything_is_looked_at_first_and_then_every_rescan() {
        let mut agenda = Agenda::new(RESCAN, seconds(1));
        assert_eq!(agenda.next(seconds(1)), Some(Scope::All));
        agenda.passed(&Ok(Report::default()), Scope::All, seconds(2), wall(2));
        assert_eq!(agenda.next(seconds(301)), None);
        assert_eq!(agenda.next(seconds(302)), Some(Scope::All));
        agenda.passed(
            &Ok(Report::default()),
            only(&["a.ics"]),
            seconds(302),
            wall(2),
        );
        assert_eq!(
            agenda.next(seconds(302)),
            Some(Scope::All),
            "a part is not all"
        );
    }

    #[test]
    fn a_summary_is_due_every_quarter_of_an_hour() {
        let mut agenda = Agenda::new(seconds(10_000), seconds(0));
        let due = [1, 899, 900, 901, 1799, 1800, 5000, 5001].map(|at| {
            let is_due = agenda.summary_is_due(seconds(at));
            (at, is_due)
        });
        let due: Vec<u64> = due
            .iter()
            .filter(|(_, is)| *is)
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(due, [900, 1800, 5000]);
    }

    #[test]
    fn what_is_due_is_waited_for_but_never_long_since_the_clock_may_jump() {
        let mut agenda = Agenda::new(RESCAN, seconds(0));
        agenda.passed(&Ok(Report::default()), Scope::All, seconds(0), wall(0));
        assert_eq!(agenda.wait(seconds(0), wall(0)), LONGEST_SLEEP);
        agenda.due = Some(wall(7));
        assert_eq!(agenda.wait(seconds(0), wall(0)), seconds(7));
        assert_eq!(agenda.wait(seconds(0), wall(9)), Duration::ZERO);
        assert_eq!(agenda.wait(seconds(299), wall(0)), seconds(1));
    }

    #[test]
    fn a_clock_that_is_set_is_told_from_one_that_goes_on() {
        let mut clocks = Clocks::new(seconds(5), wall(5));
        assert_eq!(clocks.jump(seconds(45), wall(45)), None, "it goes on");
        assert_eq!(clocks.jump(seconds(46), wall(50)), None, "it is corrected");
        let day = TimeDelta::days(1);
        assert_eq!(clocks.jump(seconds(46), wall(50) + day), Some(day));
        assert_eq!(clocks.jump(seconds(47), wall(51) + day), None, "told once");
        assert_eq!(clocks.jump(seconds(48), wall(52)), Some(-day));
        assert_eq!(
            clocks
                .jump(seconds(49), DateTime::<Utc>::MIN_UTC)
                .map(|by| by < -day),
            Some(true)
        );
    }

    #[test]
    fn what_failed_is_made_again_at_once_after_a_reload() {
        let mut agenda = Agenda::new(RESCAN, seconds(0));
        agenda.passed(&Ok(Report::default()), Scope::All, seconds(0), wall(0));
        agenda.hurry(seconds(1));
        assert_eq!(agenda.next(seconds(1)), None, "nothing had failed");
        for _ in 0..5 {
            agenda.passed(
                &Err(PassError::CutShort),
                Scope::News(None),
                seconds(1),
                wall(1),
            );
        }
        agenda.hurry(seconds(2));
        assert_eq!(agenda.wait(seconds(2), wall(2)), Duration::ZERO);
        assert_eq!(agenda.next(seconds(2)), Some(Scope::News(None)));
        agenda.passed(&Err(PassError::CutShort), Scope::All, seconds(2), wall(2));
        assert_eq!(
            agenda.wait(seconds(2), wall(2)),
            seconds(5),
            "a first failure"
        );
    }

    #[test]
    fn a_failure_is_retried_ever_more_slowly_and_forgotten_when_it_ends() {
        let mut agenda = Agenda::new(RESCAN, seconds(0));
        let mut at = seconds(0);
        for expected in [5, 10, 20, 40, 80, 160, 300, 300] {
            agenda.passed(&Err(PassError::CutShort), Scope::All, at, wall(0));
            assert_eq!(agenda.next(at + seconds(expected - 1)), None);
            at += seconds(expected);
            assert_eq!(agenda.next(at), Some(Scope::All));
        }
        agenda.passed(&Ok(Report::default()), Scope::All, at, wall(0));
        agenda.passed(&Err(PassError::CutShort), Scope::All, at, wall(0));
        assert_eq!(agenda.next(at + seconds(5)), Some(Scope::All));
    }

    #[test]
    fn what_is_due_waits_for_the_retry_of_a_pass_that_failed() {
        let mut agenda = Agenda::new(RESCAN, seconds(0));
        agenda.passed(
            &Err(PassError::CutShort),
            only(&["a.ics"]),
            seconds(0),
            wall(0),
        );
        agenda.due = Some(wall(0));
        assert_eq!(agenda.wait(seconds(1), wall(1)), seconds(4));
        agenda.passed(&Ok(Report::default()), Scope::All, seconds(5), wall(5));
        assert_eq!(agenda.wait(seconds(5), wall(5)), Duration::ZERO);
    }

    #[test]
    fn what_a_pass_left_goes_on_at_once_while_it_makes_progress() {
        let mut agenda = Agenda::new(RESCAN, seconds(0));
        let mut report = Report {
            written: 1,
            ..Report::default()
        };
        report.again.insert(ResourceId::new("a.ics"));
        agenda.passed(&Ok(report.clone()), Scope::All, seconds(0), wall(0));
        assert_eq!(agenda.wait(seconds(0), wall(0)), Duration::ZERO);
        assert_eq!(agenda.widen(only(&["b.ics"])), only(&["a.ics", "b.ics"]));
        assert_eq!(agenda.widen(Scope::All), Scope::All);
        assert_eq!(agenda.next(seconds(0)), Some(only(&["a.ics"])));
        report.written = 0;
        agenda.passed(&Ok(report), only(&["a.ics"]), seconds(0), wall(0));
        assert_eq!(agenda.wait(seconds(0), wall(0)), PAUSE);
    }

    #[test]
    fn what_failed_is_what_is_made_again() {
        let mut agenda = Agenda::new(RESCAN, seconds(0));
        agenda.passed(&Ok(Report::default()), Scope::All, seconds(0), wall(0));
        for scope in [Scope::News(None), only(&["a.ics"])] {
            agenda.passed(
                &Err(PassError::CutShort),
                scope.clone(),
                seconds(0),
                wall(0),
            );
            assert_eq!(agenda.next(seconds(4)), None);
            assert_eq!(agenda.next(seconds(5)), Some(scope.clone()));
            agenda.passed(&Ok(Report::default()), scope, seconds(5), wall(5));
        }
        agenda.passed(
            &Err(PassError::CutShort),
            Scope::News(None),
            seconds(299),
            wall(0),
        );
        assert_eq!(
            agenda.next(seconds(304)),
            Some(Scope::All),
            "a full pass that is due goes first"
        );
    }

    #[test]
    fn what_changed_and_what_is_owed_are_done_together() {
        let mut agenda = Agenda::new(RESCAN, seconds(0));
        let (a, b) = (only(&["a.ics"]), only(&["b.ics"]));
        for (owed, changed, together) in [
            (a.clone(), b.clone(), only(&["a.ics", "b.ics"])),
            (Scope::News(None), b.clone(), Scope::News(None)),
            (a.clone(), Scope::News(None), Scope::News(None)),
            (Scope::All, b, Scope::All),
            (a, Scope::All, Scope::All),
        ] {
            agenda.passed(&Err(PassError::CutShort), owed, seconds(0), wall(0));
            assert_eq!(agenda.widen(changed), together);
        }
    }

    #[test]
    fn what_a_person_must_mend_is_tried_slowly_and_a_server_that_asks_is_waited_for() {
        let refused = |again| {
            Err(PassError::Calendar(ReadError::Server {
                what: "alice at dav.example.org".to_owned(),
                hint: "a hint".to_owned(),
                again,
            }))
        };
        let mut agenda = Agenda::new(seconds(86_400), seconds(0));
        agenda.passed(&Ok(Report::default()), Scope::All, seconds(0), wall(0));
        agenda.passed(
            &refused(Again::Slowly),
            Scope::News(None),
            seconds(0),
            wall(0),
        );
        assert_eq!(agenda.next(SLOWLY - seconds(1)), None);
        assert_eq!(agenda.next(SLOWLY), Some(Scope::News(None)));
        agenda.passed(
            &refused(Again::At(wall(50))),
            Scope::News(None),
            seconds(0),
            wall(10),
        );
        assert_eq!(agenda.next(seconds(39)), None);
        assert_eq!(agenda.next(seconds(40)), Some(Scope::News(None)));
    }
}
