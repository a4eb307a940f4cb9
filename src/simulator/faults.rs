//! Scripted misbehaviour: which request it strikes, and what happens to it. Pure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::route::Endpoint;

/// One scripted misbehaviour. As JSON, for `POST /_simulator/faults`:
///
/// ```json
/// {"on": {"endpoint": "createOrGet", "nth": 2},
///  "effect": {"answer": {"status": 429, "retryAfter": {"seconds": 3}}}, "times": 2}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which requests it strikes; by default every one.
    #[serde(default)]
    pub on: Match,
    /// What happens to them.
    pub effect: Effect,
    /// How many of them; by default one.
    #[serde(default)]
    pub times: Times,
}

impl Fault {
    /// `effect`, once, on the next request to `endpoint`.
    pub fn next(endpoint: Endpoint, effect: Effect) -> Self {
        Self {
            on: Match {
                endpoint: Some(endpoint),
                ..Match::default()
            },
            effect,
            times: Times::Once,
        }
    }

    /// The same fault, striking this often.
    pub fn times(self, times: Times) -> Self {
        Self { times, ..self }
    }
}

/// Which requests a fault strikes: all that agree with every part that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Match {
    /// Only requests of this kind.
    pub endpoint: Option<Endpoint>,
    /// Only requests for this organizer (the user segment of the path, without case).
    pub organizer: Option<String>,
    /// Only requests for the meeting with this externalId, or the event with this value of its first
    /// extended property.
    pub external_id: Option<String>,
    /// Not before the nth request, counted from 1, that agrees with the other parts.
    pub nth: Option<u64>,
}

/// What happens to a struck request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Effect {
    /// It is not carried out; this is the answer.
    Answer(Scripted),
    /// It is not carried out; the token endpoint's answer with this AADSTS number.
    Aadsts(u32),
    /// It is carried out after so many milliseconds more.
    Delay(u64),
    /// It is not carried out, and the connection closes without an answer.
    LostBefore,
    /// It is carried out, and the connection closes without an answer.
    LostAfter,
    /// It is carried out; the answer's body breaks off in the middle.
    Truncated,
    /// It is carried out; the answer's start and end are of year 1, 1 January, midnight.
    YearOne,
    /// It is carried out; the answer lacks `joinWebUrl`, or an event's `joinUrl`.
    Partial,
    /// It is not carried out, and no answer ever comes.
    SilentBefore,
    /// It is carried out, and no answer ever comes.
    SilentAfter,
    /// It is carried out; the answer has its status and an empty body.
    Empty,
    /// It is carried out; the answer has its status and a web page as its body.
    WebPage,
}

impl Effect {
    /// Whether it concerns the connection more than the answer; such a fault strikes a `$batch` as a
    /// whole, never a part of it.
    fn of_connection(&self) -> bool {
        matches!(
            self,
            Self::Delay(_)
                | Self::LostBefore
                | Self::LostAfter
                | Self::Truncated
                | Self::SilentBefore
                | Self::SilentAfter
        )
    }

    /// An answer with the usual body for `status`, and without `Retry-After`.
    pub fn status(status: u16) -> Self {
        Self::Answer(Scripted {
            status,
            body: None,
            retry_after: None,
        })
    }

    /// 429 with `Retry-After` in seconds.
    pub fn throttled(seconds: u64) -> Self {
        Self::Answer(Scripted {
            status: 429,
            body: None,
            retry_after: Some(RetryAfter::Seconds(seconds)),
        })
    }
}

/// A scripted answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Scripted {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// The body: JSON, or, when it is a string, `text/html` as it stands. By default the error
    /// envelope that is usual for the status.
    #[serde(default)]
    pub body: Option<Value>,
    /// The header of that name; it announces a window in which requests are counted.
    #[serde(default)]
    pub retry_after: Option<RetryAfter>,
}

/// The two forms of `Retry-After` (RFC 9110, 10.2.3), and one that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RetryAfter {
    /// So many seconds, as a number.
    Seconds(u64),
    /// So many seconds from the answer, as an HTTP date (rounded up to a whole second).
    Date(u64),
    /// So many milliseconds, as a number of seconds with three fraction digits, which is no form of
    /// RFC 9110.
    Milliseconds(u64),
}

impl RetryAfter {
    /// How long the client is to wait.
    pub(super) fn wait(self) -> Duration {
        match self {
            Self::Seconds(seconds) | Self::Date(seconds) => Duration::from_secs(seconds),
            Self::Milliseconds(milliseconds) => Duration::from_millis(milliseconds),
        }
    }

    /// The header of an answer that goes out at `now`.
    pub(super) fn header(self, now: DateTime<Utc>) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Milliseconds(milliseconds) => {
                format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
            }
            Self::Date(seconds) => {
                let wait = TimeDelta::seconds(i64::try_from(seconds).unwrap_or(0));
                let until = now.checked_add_signed(wait).unwrap_or(now);
                let part = u32::from(until.timestamp_subsec_nanos() > 0);
                let up = until.checked_add_signed(TimeDelta::seconds(part.into()));
                http_date(up.unwrap_or(until))
            }
        }
    }
}

/// An HTTP date (RFC 9110, 5.6.7).
pub(super) fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// How many requests a fault strikes. In JSON `"once"`, a number, or `"forever"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Times {
    /// One.
    #[default]
    Once,
    /// As many as this.
    N(u64),
    /// Every one, until a reset.
    Forever,
}

impl TryFrom<Value> for Times {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match (value.as_str(), value.as_u64()) {
            (Some("once"), _) => Ok(Self::Once),
            (Some("forever"), _) => Ok(Self::Forever),
            (_, Some(n)) => Ok(Self::N(n)),
            _ => Err("times is neither a number nor \"once\" nor \"forever\""),
        }
    }
}

impl From<Times> for Value {
    fn from(times: Times) -> Self {
        match times {
            Times::Once => "once".into(),
            Times::N(n) => n.into(),
            Times::Forever => "forever".into(),
        }
    }
}

/// What is known of a request when its fault is chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) organizer: Option<&'a str>,
    pub(super) external_id: Option<&'a str>,
    /// Whether it is a part of a `$batch`.
    pub(super) part: bool,
}

/// The scripted faults, in order; the first that strikes is the one that happens.
#[derive(Debug, Default)]
pub(super) struct Queue(Vec<Queued>);

#[derive(Debug)]
struct Queued {
    fault: Fault,
    seen: u64,
    /// `None`: for ever.
    left: Option<u64>,
}

impl Queue {
    pub(super) fn push(&mut self, fault: Fault) {
        let left = match fault.times {
            Times::Once => Some(1),
            Times::N(n) => Some(n),
            Times::Forever => None,
        };
        self.0.push(Queued {
            fault,
            seen: 0,
            left,
        });
    }

    /// The effect on this request, if any. Every fault that agrees counts the request; one strikes.
    pub(super) fn strike(&mut self, request: Request<'_>) -> Option<Effect> {
        let mut struck = None;
        for queued in &mut self.0 {
            let out_of_reach = request.part && queued.fault.effect.of_connection();
            if out_of_reach || !queued.fault.on.agrees(request) {
                continue;
            }
            queued.seen += 1;
            if struck.is_none()
                && queued.seen >= queued.fault.on.nth.unwrap_or(1)
                && queued.left != Some(0)
            {
                queued.left = queued.left.map(|left| left - 1);
                struck = Some(queued.fault.effect.clone());
            }
        }
        self.0.retain(|queued| queued.left != Some(0));
        struck
    }
}

impl Match {
    fn agrees(&self, request: Request<'_>) -> bool {
        let organizer = self.organizer.as_deref().is_none_or(|wanted| {
            request
                .organizer
                .is_some_and(|given| given.eq_ignore_ascii_case(wanted))
        });
        let external_id =
            self.external_id.is_none() || self.external_id.as_deref() == request.external_id;
        self.endpoint
            .is_none_or(|wanted| wanted == request.endpoint)
            && organizer
            && external_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_strikes_what_it_names_as_often_as_it_says() {
        let request = |endpoint, organizer, external_id| Request {
            endpoint,
            organizer,
            external_id,
            part: false,
        };
        let mut queue = Queue::default();
        queue.push(Fault {
            on: Match {
                endpoint: Some(Endpoint::Patch),
                organizer: Some("ABC".into()),
                external_id: Some("k".into()),
                nth: Some(2),
            },
            effect: Effect::LostBefore,
            times: Times::N(2),
        });
        let cases = [
            (request(Endpoint::Get, Some("abc"), Some("k")), false),
            (request(Endpoint::Patch, Some("abd"), Some("k")), false),
            (request(Endpoint::Patch, Some("abc"), None), false),
            (request(Endpoint::Patch, Some("abc"), Some("k")), false), // the first
            (request(Endpoint::Patch, Some("abc"), Some("k")), true),
            (request(Endpoint::Patch, Some("abc"), Some("k")), true),
            (request(Endpoint::Patch, Some("abc"), Some("k")), false), // used up
        ];
        for (nth, (request, struck)) in cases.into_iter().enumerate() {
            assert_eq!(queue.strike(request).is_some(), struck, "request {nth}");
        }
        for effect in [Effect::Truncated, Effect::YearOne] {
            queue.push(Fault::next(Endpoint::Get, effect));
        }
        queue.push(Fault::next(Endpoint::Get, Effect::Partial).times(Times::Forever));
        let got: Vec<_> = (0..4)
            .filter_map(|_| queue.strike(request(Endpoint::Get, None, None)))
            .collect();
        use Effect::*;
        assert_eq!(got, [Truncated, YearOne, Partial, Partial]);
    }

    #[test]
    fn faults_are_written_as_json() {
        let cases = [
            (
                json!({"effect": {"answer": {"status": 503}}}),
                Fault {
                    on: Match::default(),
                    effect: Effect::status(503),
                    times: Times::Once,
                },
            ),
            (
                json!({"on": {"endpoint": "createOrGet"},
                       "effect": {"answer": {"status": 429, "retryAfter": {"seconds": 3}}},
                       "times": 2}),
                Fault::next(Endpoint::CreateOrGet, Effect::throttled(3)).times(Times::N(2)),
            ),
            (
                json!({"on": {"endpoint": "token"}, "effect": {"aadsts": 7000222}, "times": "forever"}),
                Fault::next(Endpoint::Token, Effect::Aadsts(7_000_222)).times(Times::Forever),
            ),
            (
                json!({"on": {"endpoint": "get"}, "effect": "lostAfter", "times": "once"}),
                Fault::next(Endpoint::Get, Effect::LostAfter),
            ),
        ];
        for (json, fault) in cases {
            assert_eq!(
                serde_json::from_value::<Fault>(json.clone()).unwrap(),
                fault
            );
            let written = serde_json::to_value(&fault).unwrap();
            assert_eq!(serde_json::from_value::<Fault>(written).unwrap(), fault);
        }
        for wrong in [
            json!({"effect": "lost"}),
            json!({"effect": "lostAfter", "times": "often"}),
            json!({"effect": "lostAfter", "where": {}}),
            json!({"on": {"externalid": "x"}, "effect": "lostAfter"}),
        ] {
            serde_json::from_value::<Fault>(wrong.clone()).expect_err(&wrong.to_string());
        }
    }
}
