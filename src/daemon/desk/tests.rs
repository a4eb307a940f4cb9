use async_trait::async_trait;

use super::super::testing::watched;
use super::*;
use crate::calendar::{Calendar, Finding, Known, ReadError, Scope, Written};
use crate::model::{ResourceId, Version};

const SETTLE: Duration = Duration::from_secs(10);

/// A calendar that nobody reads.
struct Nothing;

#[async_trait]
impl Calendar for Nothing {
    async fn read(&self, _: &Scope, _: Known) -> Result<Finding<'_>, ReadError> {
        Err(ReadError::Expired)
    }

    async fn write(&self, _: &ResourceId, _: &Version, _: &[u8]) -> Written {
        Written::Changed
    }

    async fn changed(&self) -> Scope {
        std::future::pending().await
    }
}

fn team() -> Arc<Watched> {
    Arc::new(watched("team", Arc::new(Nothing)))
}

fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn report(created: usize, settling: bool, again: bool) -> Result<Report, PassError> {
    let mut report = Report {
        created,
        ..Report::default()
    };
    if settling {
        report.outcome.insert(SETTLING.to_owned(), 1);
    }
    if again {
        report.again.insert(ResourceId::new("a.ics"));
    }
    Ok(report)
}

/// A sync under way, and where its answer arrives.
fn begun(errands: &mut Errands) -> oneshot::Receiver<Told<Report>> {
    let (answer, told) = oneshot::channel();
    errands.syncs.push(Sync {
        rewrite: None,
        total: Report::default(),
        passes: 0,
        settling: false,
        settled: None,
        answer,
    });
    told
}

fn errands() -> Errands {
    Arc::<Desk>::default().open(&team())
}

#[test]
fn a_sync_is_answered_when_nothing_is_left_to_do() {
    let mut errands = errands();
    let mut told = begun(&mut errands);
    assert_eq!(errands.wait(at(0)), Duration::MAX);
    errands.passed(&report(1, false, true), SETTLE, at(1));
    assert!(told.try_recv().is_err(), "a resource changed meanwhile");
    errands.passed(&report(2, false, false), SETTLE, at(2));
    assert_eq!(told.try_recv().unwrap().unwrap().created, 3);
    assert!(errands.syncs.is_empty());
}

#[test]
fn a_sync_waits_once_for_what_settles_and_counts_what_is_done_meanwhile() {
    let mut errands = errands();
    let mut told = begun(&mut errands);
    errands.passed(&report(0, true, false), SETTLE, at(1));
    assert_eq!(errands.wait(at(1)), SETTLE);
    errands.rest(at(10));
    errands.passed(&report(1, true, false), SETTLE, at(5));
    assert!(told.try_recv().is_err(), "it has not settled");
    assert_eq!(
        errands.wait(at(5)),
        at(6),
        "another that settles is not waited for"
    );
    // Due at the end of the wait: passed over before anything is said.
    errands.passed(&report(1, true, true), SETTLE, at(11));
    assert!(told.try_recv().is_err());
    errands.passed(&report(0, false, false), SETTLE, at(12));
    assert_eq!(told.try_recv().unwrap().unwrap().created, 2);

    let mut told = begun(&mut errands);
    errands.passed(&report(0, true, false), SETTLE, at(20));
    errands.rest(at(29));
    assert!(told.try_recv().is_err());
    errands.rest(at(30));
    assert_eq!(
        told.try_recv().unwrap().unwrap().created,
        0,
        "nothing was due"
    );
}

#[test]
fn a_pass_that_fails_is_the_answer_and_one_without_end_is_given_up() {
    let mut errands = errands();
    let (mut one, mut two) = (begun(&mut errands), begun(&mut errands));
    errands.passed(&Err(PassError::CutShort), SETTLE, at(1));
    for told in [&mut one, &mut two] {
        let why = told.try_recv().unwrap().unwrap_err();
        assert!(
            why.contains("the listing of the calendar broke off"),
            "{why}"
        );
    }
    let mut told = begun(&mut errands);
    for _ in 0..MOST_PASSES {
        assert!(told.try_recv().is_err());
        errands.passed(&report(1, false, true), SETTLE, at(1));
    }
    assert_eq!(told.try_recv().unwrap().unwrap().created, MOST_PASSES);
}

#[test]
fn who_has_gone_is_forgotten() {
    let mut errands = errands();
    drop(begun(&mut errands));
    errands.passed(&report(0, true, false), SETTLE, at(1));
    assert_eq!(errands.wait(at(1)), Duration::MAX);
}

#[tokio::test]
async fn errands_reach_the_task_that_is_there() {
    let desk = Arc::<Desk>::default();
    let name = CalendarName::new("team");
    assert_eq!(
        desk.plan(&name, false).await.map(|_| ()),
        None,
        "nobody is there"
    );
    let first = desk.open(&team());
    // Begun anew, before the old one is gone.
    let mut second = desk.open(&team());
    drop(first);
    assert_eq!(desk.calendars().len(), 1);
    let (told, errand) = tokio::join!(desk.resume(&name), async {
        match second.next().await {
            Errand::Resume(answer) => answer.send(Ok(None)),
            _ => panic!("another errand"),
        }
    });
    errand.unwrap();
    assert_eq!(told, Some(Ok(None)));
    // The daemon stops while an errand waits.
    let (told, ()) = tokio::join!(desk.sync(&name, false), async { drop(second) });
    assert_eq!(told, None);
    assert!(desk.calendars().is_empty());
}
