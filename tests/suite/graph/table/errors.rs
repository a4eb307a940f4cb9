//! Section 11: errors.

use meetbridge::simulator::RetryAfter;
use serde_json::{Value, json};

use super::raw::{Raw, whole};
use super::scene::{Scene, UID};
use super::*;

pub(super) const ROWS: &[Row] = &[
    row!(
        "Envelope [ERR]",
        "reads every form of it, shows a plain code and never the message, and judges by the status",
        every_envelope
    ),
    table("| 400 |"),
    table("| 401 |"),
    table("| 402 |"),
    table("| 403 + \"application access policy\""),
    table("| 403 other"),
    table("| 404 on createOrGet"),
    Row {
        shown: Shown::By(|| Box::pin(an_event_whose_meeting_is_gone_gets_it_again())),
        ..table("| 404 on GET/PATCH")
    },
    table("| 404 on DELETE"),
    table("| 405, 406"),
    table("| 408 |"),
    table("| 409, 412"),
    table("| 410 |"),
    table("| 423 |"),
    table("| 424 |"),
    Row {
        shown: Shown::By(|| Box::pin(every_retry_after())),
        ..table("| 429 |")
    },
    table("| 500 |"),
    Row {
        shown: Shown::By(|| Box::pin(another_connection())),
        ..table("| 502, 503, 504")
    },
    table("| 507, 509"),
    row!(
        "Codes seen",
        "never judges by a code: it is shown, whatever its case",
        every_code
    ),
    row!(
        "A POST whose answer was lost",
        "repeats createOrGet, which makes one meeting; the others are never sent",
        a_lost_answer
    ),
];

/// A line of the table of statuses.
const fn table(line: &'static str) -> Row {
    Row {
        line,
        does: "see STATUSES",
        shown: Shown::Table,
    }
}

/// What an event needs, and which of its requests is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Its meeting: createOrGet.
    Make,
    /// Other times for its meeting: PATCH.
    Move,
    /// Settings for its meeting: PATCH.
    Set,
    /// Other settings for its meeting, by a changed configuration: PATCH.
    Reset,
    /// The end of its meeting: DELETE.
    End,
}

/// What the port says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Done,
    Request,
    Gone,
    Organizer,
    NoOrganizer,
    Credential,
    Throttled,
    Transient,
}

/// When the event's next request goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// After so many seconds.
    In(i64),
    /// After so many seconds at least, and at most.
    Within(i64, i64),
    /// Not again: it is done, or done without.
    Never,
    /// See the test beside the row.
    Beside,
}

/// A status, and what becomes of the request that is answered with it.
pub(super) struct Status {
    /// How the line begins.
    pub(super) line: &'static str,
    pub(super) statuses: &'static [u16],
    /// The code and message, where they count.
    error: Option<(&'static str, &'static str)>,
    /// `Retry-After`, in seconds.
    after: Option<u64>,
    what: What,
    class: Class,
    /// How many requests are sent before that is said.
    tries: u64,
    next: Next,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const POLICY: (&str, &str) = (
    "Forbidden",
    "No application access policy found for this app",
);
const OTHER: (&str, &str) = ("Forbidden", "You do not have the required permissions");
const BUGS: &[u16] = &[405, 406, 411, 413, 415, 422, 501];

const fn status(
    line: &'static str,
    statuses: &'static [u16],
    what: What,
    class: Class,
    tries: u64,
    next: Next,
) -> Status {
    Status {
        line,
        statuses,
        error: None,
        after: None,
        what,
        class,
        tries,
        next,
    }
}

const fn saying(error: (&'static str, &'static str), status: Status) -> Status {
    Status {
        error: Some(error),
        ..status
    }
}

const fn waiting(seconds: u64, status: Status) -> Status {
    Status {
        after: Some(seconds),
        ..status
    }
}

use self::Class::{Credential, Done, Gone, NoOrganizer, Organizer, Request, Throttled, Transient};
use self::Next::{Beside, In, Never, Within};
use self::What::{End, Make, Move, Reset, Set};

/// Settings that are refused are done without: a calendar's settings are no reason to have no link.
#[rustfmt::skip]
pub(super) const STATUSES: &[Status] = &[
    status("| 400 |", &[400], Make, Request, 1, In(DAY)),
    status("| 400 |", &[400], Move, Request, 1, In(DAY)),
    status("| 400 |", &[400], Set, Request, 1, Never),
    status("| 400 |", &[400], Reset, Request, 1, Never),
    status("| 400 |", &[400], End, Request, 1, In(DAY)),
    // The token is renewed once. Then it is asked for again in 15 to 30 minutes.
    status("| 401 |", &[401], Make, Credential, 2, Within(15 * MINUTE, 30 * MINUTE)),
    status("| 401 |", &[401], Move, Credential, 2, Within(15 * MINUTE, 30 * MINUTE)),
    status("| 401 |", &[401], Set, Credential, 2, Within(15 * MINUTE, 30 * MINUTE)),
    status("| 401 |", &[401], End, Credential, 2, Within(15 * MINUTE, 30 * MINUTE)),
    status("| 402 |", &[402], Make, Organizer, 1, In(HOUR)),
    status("| 402 |", &[402], Move, Organizer, 1, In(HOUR)),
    status("| 402 |", &[402], Set, Request, 1, Never),
    status("| 402 |", &[402], End, Organizer, 1, In(HOUR)),
    saying(POLICY, status("| 403 + \"application access policy\"", &[403], Make, Organizer, 1, In(15 * MINUTE))),
    saying(POLICY, status("| 403 + \"application access policy\"", &[403], Move, Organizer, 1, In(15 * MINUTE))),
    saying(POLICY, status("| 403 + \"application access policy\"", &[403], Set, Organizer, 1, In(15 * MINUTE))),
    saying(POLICY, status("| 403 + \"application access policy\"", &[403], End, Organizer, 1, In(15 * MINUTE))),
    saying(OTHER, status("| 403 other", &[403], Make, Organizer, 1, In(HOUR))),
    saying(OTHER, status("| 403 other", &[403], Move, Organizer, 1, In(HOUR))),
    saying(OTHER, status("| 403 other", &[403], Set, Request, 1, Never)),
    saying(OTHER, status("| 403 other", &[403], End, Organizer, 1, In(HOUR))),
    status("| 404 on createOrGet", &[404], Make, NoOrganizer, 1, In(15 * MINUTE)),
    status("| 404 on GET/PATCH", &[404], Move, Gone, 1, Beside),
    status("| 404 on GET/PATCH", &[404], Set, Gone, 1, Beside),
    status("| 404 on DELETE", &[404], End, Done, 1, Never),
    status("| 405, 406", BUGS, Make, Request, 1, In(DAY)),
    status("| 405, 406", BUGS, Move, Request, 1, In(DAY)),
    status("| 405, 406", BUGS, Set, Request, 1, Never),
    status("| 405, 406", BUGS, End, Request, 1, In(DAY)),
    status("| 408 |", &[408], Make, Transient, 4, In(MINUTE)),
    status("| 408 |", &[408], Move, Transient, 4, In(MINUTE)),
    status("| 408 |", &[408], Set, Transient, 4, In(15 * MINUTE)),
    status("| 408 |", &[408], End, Transient, 4, In(MINUTE)),
    // Both times, the title and the settings are what the event wants whoever changed the meeting
    // meanwhile: there is nothing to decide anew within a call.
    status("| 409, 412", &[409, 412], Make, Transient, 4, In(MINUTE)),
    status("| 409, 412", &[409, 412], Move, Transient, 4, In(MINUTE)),
    status("| 409, 412", &[409, 412], End, Transient, 4, In(MINUTE)),
    // Of createOrGet it says nothing that is known: the organizer is not given up for it.
    status("| 410 |", &[410], Make, Request, 1, In(DAY)),
    status("| 410 |", &[410], Move, Gone, 1, Beside),
    status("| 410 |", &[410], Set, Gone, 1, Beside),
    status("| 410 |", &[410], End, Done, 1, Never),
    status("| 423 |", &[423], Make, Transient, 4, In(MINUTE)),
    status("| 423 |", &[423], Move, Transient, 4, In(MINUTE)),
    status("| 423 |", &[423], End, Transient, 4, In(MINUTE)),
    // No batch is sent.
    status("| 424 |", &[424], Make, Transient, 4, In(MINUTE)),
    // Without Retry-After: as long as the tries take, then half a minute.
    status("| 429 |", &[429], Make, Throttled, 4, In(30)),
    waiting(100, status("| 429 |", &[429], Make, Throttled, 1, In(100))),
    waiting(100, status("| 429 |", &[429], Move, Throttled, 1, In(100))),
    waiting(100, status("| 429 |", &[429], Set, Throttled, 1, In(15 * MINUTE))),
    waiting(100, status("| 429 |", &[429], End, Throttled, 1, In(100))),
    status("| 500 |", &[500], Make, Request, 4, In(DAY)),
    status("| 500 |", &[500], Move, Request, 4, In(DAY)),
    status("| 500 |", &[500], Set, Request, 4, Never),
    status("| 500 |", &[500], End, Request, 4, In(DAY)),
    waiting(100, status("| 500 |", &[500], Make, Throttled, 1, In(100))),
    status("| 502, 503, 504", &[502, 503, 504], Make, Transient, 4, In(MINUTE)),
    status("| 502, 503, 504", &[502, 503, 504], Move, Transient, 4, In(MINUTE)),
    status("| 502, 503, 504", &[502, 503, 504], Set, Transient, 4, In(15 * MINUTE)),
    status("| 502, 503, 504", &[502, 503, 504], Reset, Transient, 4, In(MINUTE)),
    status("| 502, 503, 504", &[502, 503, 504], End, Transient, 4, In(MINUTE)),
    waiting(100, status("| 502, 503, 504", &[502, 503, 504], Make, Throttled, 1, In(100))),
    status("| 507, 509", &[507, 509], Make, Throttled, 1, In(5 * MINUTE)),
    status("| 507, 509", &[507, 509], Move, Throttled, 1, In(5 * MINUTE)),
    status("| 507, 509", &[507, 509], End, Throttled, 1, In(5 * MINUTE)),
    waiting(400, status("| 507, 509", &[507, 509], Make, Throttled, 1, In(400))),
];

impl Status {
    /// What the request meets, so often and no more: a request too many would succeed.
    fn fault(&self, status: u16) -> Fault {
        let body = self
            .error
            .map(|(code, message)| json!({"error": {"code": code, "message": message}}));
        let effect = Effect::Answer(Scripted {
            status,
            body,
            retry_after: self.after.map(RetryAfter::Seconds),
        });
        Fault::next(self.what.endpoint(), effect).times(Times::N(self.tries))
    }
}

impl What {
    fn endpoint(self) -> Endpoint {
        match self {
            Make => Endpoint::CreateOrGet,
            Move | Set | Reset => Endpoint::Patch,
            End => Endpoint::Delete,
        }
    }

    /// The request, through the port.
    async fn ask(self, graph: &GraphMeetings, made: Option<&Meeting>) -> Result<(), MeetingError> {
        let wanted = wanted("a");
        match (self, made) {
            (Move, Some(made)) => graph.update(made, &later("a")).await.map(drop),
            (Set | Reset, Some(made)) => graph.apply(made, &wanted, &quiet()).await,
            (End, Some(made)) => {
                graph
                    .delete(made, &wanted.organizer, &wanted.external_id)
                    .await
            }
            _ => graph.ensure(&wanted).await.map(drop),
        }
    }
}

fn quiet() -> Options {
    Options(vec![Setting::Chat(Chat::Disabled)])
}

fn class(result: &Result<(), MeetingError>) -> Class {
    match result {
        Ok(()) => Done,
        Err(MeetingError::Request(_)) => Request,
        Err(MeetingError::Gone) => Gone,
        Err(MeetingError::Organizer(_)) => Organizer,
        Err(MeetingError::NoOrganizer(_)) => NoOrganizer,
        Err(MeetingError::Credential(_)) => Credential,
        Err(MeetingError::Throttled { .. }) => Throttled,
        Err(MeetingError::Transient(_)) => Transient,
    }
}

#[tokio::test]
async fn each_status_of_section_11_has_its_class_and_its_tries() {
    for row in STATUSES {
        for status in row.statuses {
            let label = format!("{} {status} {:?}", row.line, row.what);
            let world = World::new().await;
            let graph = world.graph();
            let made = match row.what {
                Make => None,
                _ => Some(graph.ensure(&wanted("a")).await.unwrap().meeting),
            };
            world.simulator.script(row.fault(*status));
            // Closing, which comes before the DELETE, is no part of it.
            let before = world.requests(row.what.endpoint());
            let result = row.what.ask(&graph, made.as_ref()).await;
            assert_eq!(class(&result), row.class, "{label}: {result:?}");
            let sent = world.requests(row.what.endpoint()) - before;
            assert_eq!(sent, row.tries, "{label}");
            assert_eq!(world.simulator.snapshot().inside_retry_after, 0, "{label}");
        }
    }
}

#[tokio::test]
async fn each_status_of_section_11_lets_the_event_try_again_when_it_should() {
    for row in STATUSES.iter().filter(|row| row.next != Beside) {
        for status in row.statuses {
            let label = format!("{} {status} {:?}", row.line, row.what);
            let next = fate(row, *status, &label).await;
            match row.next {
                In(seconds) => assert_eq!(next, Some(seconds), "{label}"),
                Within(least, most) => {
                    let next = next.unwrap_or_default();
                    assert!((least..=most).contains(&next), "{label}: {next}");
                }
                Never => assert_eq!(next, None, "{label}"),
                Beside => {}
            }
        }
    }
}

/// An event whose request is refused once: after how many seconds the next one goes out, if one does.
async fn fate(row: &Status, status: u16, label: &str) -> Option<i64> {
    let mut scene = match row.what {
        Make | Set => Scene::new().await,
        Move | Reset | End => Scene::linked(|_| ()).await,
    };
    match row.what {
        Make => scene.save(UID, "20261120T090000Z"),
        Set => {
            scene.calendar.style.settings = quiet();
            scene.save(UID, "20261120T090000Z");
        }
        Move => scene.move_to("20261120T09", "20261120T11"),
        Reset => scene.calendar.style.settings = quiet(),
        End => {
            scene.delete();
            scene.pass().await;
            scene.world.clock.pass(Duration::from_secs(86_400));
        }
    }
    let sent = || scene.world.requests(row.what.endpoint());
    let before = sent();
    scene.world.simulator.script(row.fault(status));
    scene.pass().await;
    let mut due = scene.work().await;
    // A meeting is closed by one PATCH before its end; its DELETE alone is counted.
    assert_eq!(sent() - before, row.tries, "{label}");
    if matches!(row.what, Set | Reset) {
        assert!(scene.is_linked(), "{label}: the link is as good without");
    }
    let failed_at = scene.world.clock.now();
    let mut next = None;
    for _ in 0..10 {
        let Some(at) = due else { break };
        let wait = (at - scene.world.clock.now()).to_std().unwrap_or_default();
        scene.world.clock.pass(wait);
        let asked_at = scene.world.clock.now();
        due = scene.work().await;
        if sent() - before > row.tries {
            next = Some((asked_at - failed_at).num_seconds());
            break;
        }
    }
    // What was refused for a while is done in the end.
    if row.class != Done && row.next != Never {
        assert!(next.is_some(), "{label}: it was never tried again");
    }
    let snapshot = scene.world.simulator.snapshot();
    assert_eq!(snapshot.inside_retry_after, 0, "{label}");
    let meeting = snapshot.meeting(UID).unwrap();
    assert_eq!(meeting.made, 1, "{label}");
    match row.what {
        Make => assert!(scene.is_linked(), "{label}"),
        Move => {
            let held = meeting.current.as_ref().unwrap();
            assert!(held.start_date_time.contains("T11:00:00"), "{label}");
        }
        Set | Reset => {
            let set = meeting
                .current
                .as_ref()
                .unwrap()
                .options
                .get("allowMeetingChat");
            assert_eq!(set.is_some(), row.next != Never, "{label}");
            assert!(meeting.calls.patch <= 1, "{label}: applied once");
        }
        // One that the service says is gone is none of ours any more.
        End if row.class == Done => {}
        End => assert_eq!(meeting.current, None, "{label}"),
    }
    next
}

async fn an_event_whose_meeting_is_gone_gets_it_again() {
    for status in [404, 410] {
        let scene = Scene::linked(|_| ()).await;
        let before = scene.world.requests(Endpoint::CreateOrGet);
        scene.move_to("20261120T09", "20261120T11");
        scene.world.script(Endpoint::Patch, Effect::status(status));
        scene.pass().await;
        assert_eq!(scene.world.requests(Endpoint::CreateOrGet), before + 1);
        let snapshot = scene.world.simulator.snapshot();
        let meeting = snapshot.meeting(UID).unwrap();
        assert_eq!(meeting.made, 1, "{status}");
        let held = meeting.current.as_ref().unwrap();
        assert!(held.start_date_time.contains("T11:00:00"), "{status}");
        assert!(scene.is_linked(), "{status}");
    }
}

/// Graph's envelope in all its forms, with words that nobody may see.
async fn every_envelope() {
    let bodies: [(Value, &str); 9] = [
        (
            json!({"error": {"code": "BadRequest", "message": "Planning", "innerError": {"date": "2025-02-13T10:17:05"}}}),
            "BadRequest",
        ),
        (
            json!({"error": {"code": "badRequest", "message": "Planning", "innererror": {"code": "Inner"}}}),
            "badRequest",
        ),
        (
            json!({"error": {"code": "", "message": "", "innerError": {"innerError": {"code": "Deep"}}}}),
            "Deep",
        ),
        (json!({"error": {"code": "", "message": ""}}), "HTTP 400"),
        (json!({"error": {"code": 5, "message": null}}), "HTTP 400"),
        (json!({"error": "Planning"}), "HTTP 400"),
        (json!({}), "HTTP 400"),
        (json!([["Planning"]]), "HTTP 400"),
        (json!("<html>Planning</html>"), "HTTP 400"),
    ];
    for (body, shown) in bodies {
        let world = World::new().await;
        let answer = Effect::Answer(Scripted {
            status: 400,
            body: Some(body.clone()),
            retry_after: None,
        });
        world.script(Endpoint::CreateOrGet, answer);
        let error = world.graph().ensure(&wanted("a")).await.unwrap_err();
        assert!(
            matches!(error, MeetingError::Request(_)),
            "{body}: {error:?}"
        );
        let text = error.to_string();
        assert!(text.contains(shown) && !text.contains("Planning"), "{text}");
    }
}

async fn every_code() {
    const CODES: &[&str] = &[
        "Forbidden",
        "General",
        "Unauthorized",
        "BadRequest",
        "InvalidArgument",
        "NotFound",
        "UnknownError",
        "InternalServerError",
        "TooManyRequests",
        "ApplicationThrottled",
        "",
        "accessDenied",
        "activityLimitReached",
        "extensionError",
        "generalException",
        "invalidRequest",
        "itemNotFound",
        "notAllowed",
        "notSupported",
        "quotaLimitReached",
        "resourceModified",
        "serviceNotAvailable",
        "unauthenticated",
        "InvalidAuthenticationToken",
    ];
    let world = World::new().await;
    let graph = world.graph();
    for (n, code) in CODES.iter().enumerate() {
        for (form, code) in [code.to_string(), code.to_uppercase()]
            .into_iter()
            .enumerate()
        {
            let body = json!({"error": {"code": code, "message": "1026: An error has occurred."}});
            let answer = Effect::Answer(Scripted {
                status: 400,
                body: Some(body),
                retry_after: None,
            });
            world.script(Endpoint::CreateOrGet, answer);
            let result = graph.ensure(&wanted(&format!("{n}-{form}"))).await;
            let text = match result {
                Err(MeetingError::Request(text)) => text,
                other => panic!("{code}: {other:?}"),
            };
            assert!(text.contains(&code), "{text}");
            assert!(!text.contains("1026"), "{text}");
        }
    }
}

/// The forms of `Retry-After`: seconds, an HTTP date, a fraction, which no RFC knows.
async fn every_retry_after() {
    let forms = [
        RetryAfter::Seconds(3),
        RetryAfter::Date(3),
        RetryAfter::Milliseconds(2_500),
    ];
    for form in forms {
        let world = World::new().await;
        let graph = world.graph();
        graph.ensure(&wanted("token")).await.unwrap();
        let began = world.clock.elapsed();
        world.script(
            Endpoint::CreateOrGet,
            Effect::Answer(Scripted {
                status: 429,
                body: None,
                retry_after: Some(form),
            }),
        );
        graph.ensure(&wanted("a")).await.unwrap();
        let waited = world.clock.elapsed() - began;
        assert!(
            waited >= Duration::from_millis(2_500),
            "{form:?}: {waited:?}"
        );
        assert_eq!(world.simulator.snapshot().inside_retry_after, 0, "{form:?}");
    }
}

/// The retry goes out on a connection of its own.
async fn another_connection() {
    for status in [502, 503, 504] {
        let raw = Raw::start(move |n| match n {
            1 => (
                status,
                json!({"error": {"code": "serviceNotAvailable", "message": ""}}),
            ),
            _ => (201, whole("a")),
        });
        let world = World::new().await;
        raw.graph(&world).ensure(&wanted("a")).await.unwrap();
        let connections: Vec<_> = raw.received().iter().map(|one| one.connection).collect();
        assert_eq!(connections.len(), 2, "{status}");
        assert_ne!(connections[0], connections[1], "{status}");
    }
}

async fn a_lost_answer() {
    let lost = [
        Effect::LostAfter,
        Effect::LostBefore,
        Effect::Truncated,
        Effect::Partial,
    ];
    for effect in lost {
        let world = World::new().await;
        world.script(Endpoint::CreateOrGet, effect.clone());
        let ensured = world.graph().ensure(&wanted("a")).await.unwrap();
        assert!(ensured.created, "{effect:?}: it counts against the budgets");
        let snapshot = world.simulator.snapshot();
        assert_eq!(snapshot.meeting("a").unwrap().made, 1, "{effect:?}");
        assert_eq!(snapshot.requests(Endpoint::CreateOrGet), 2, "{effect:?}");
        assert_eq!(snapshot.requests(Endpoint::Create), 0);
        assert_eq!(snapshot.requests(Endpoint::Outlook), 0);
    }
}
