//! The Retry-After windows: no request of a scope goes out while its window is closed.
//!
//! One [`Windows`] is shared by all tasks. It measures on the monotonic clock, so that a wall clock
//! set back or forth neither opens nor prolongs a window, and it is kept through a [`WindowStore`],
//! so that a restart obeys what was asked before it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::clock::Clock;

/// The longest window that a server can ask for.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest that [`Windows::pass`] waits for a window to open.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where windows outlive the process.
pub trait WindowStore: Send + Sync {
    /// Every stored window: its scope and its end. One that cannot be read counts as absent.
    fn load(&self) -> Vec<(String, DateTime<Utc>)>;

    /// Remembers that nothing of `scope` may be sent before `until`; replaces an earlier one.
    fn store(&self, scope: &str, until: DateTime<Utc>);
}

/// Nothing of the scope may be sent before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing may be sent before {until}")]
pub struct Throttled {
    /// When requests may go out again.
    pub until: DateTime<Utc>,
}

/// The windows of this process, by scope (`graph`, `token`).
pub struct Windows {
    clock: Arc<dyn Clock>,
    store: Arc<dyn WindowStore>,
    /// Scope → the monotonic time at which its window opens.
    closed: Mutex<HashMap<String, Duration>>,
}

impl Windows {
    /// Begins with the windows that `store` holds, each cut to [`LONGEST`] from the present.
    pub fn new(clock: Arc<dyn Clock>, store: Arc<dyn WindowStore>) -> Self {
        let (now, elapsed) = (clock.now(), clock.elapsed());
        let closed = store
            .load()
            .into_iter()
            .filter_map(|(scope, until)| {
                let left = (until - now).to_std().ok()?.min(LONGEST);
                Some((scope, elapsed + left))
            })
            .collect();
        Self {
            clock,
            store,
            closed: Mutex::new(closed),
        }
    }

    /// Closes `scope` for `wait` (at most [`LONGEST`]); never opens a window earlier than it would.
    pub fn close(&self, scope: &str, wait: Duration) {
        let wait = wait.min(LONGEST);
        let opens = self.clock.elapsed() + wait;
        {
            let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
            if closed.get(scope).is_some_and(|earlier| *earlier >= opens) {
                return;
            }
            closed.insert(scope.to_owned(), opens);
        }
        self.store.store(scope, self.wall(wait));
    }

    /// When the window of `scope` opens; `None` when it is open.
    pub fn until(&self, scope: &str) -> Option<DateTime<Utc>> {
        self.left(scope).map(|left| self.wall(left))
    }

    /// Returns when a request of `scope` may be sent; send it without another await in between.
    ///
    /// # Errors
    /// [`Throttled`], at once, when that would take longer than five seconds.
    pub async fn pass(&self, scope: &str) -> Result<(), Throttled> {
        let mut patience = PATIENCE;
        while let Some(left) = self.left(scope) {
            if left > patience {
                return Err(Throttled {
                    until: self.wall(left),
                });
            }
            patience -= left;
            self.clock.sleep(left).await;
        }
        Ok(())
    }

    fn left(&self, scope: &str) -> Option<Duration> {
        let elapsed = self.clock.elapsed();
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let opens = *closed.get(scope)?;
        if opens > elapsed {
            return Some(opens - elapsed);
        }
        closed.remove(scope);
        None
    }

    fn wall(&self, left: Duration) -> DateTime<Utc> {
        self.clock.now() + TimeDelta::from_std(left).unwrap_or_default()
    }
}

/// How long an answer's `Retry-After` asks to wait, at most [`LONGEST`]; `None` without a usable one.
///
/// Seconds (RFC 9110, 10.2.3), also with a fraction, or an HTTP-date, which is measured from the
/// answer's own `Date` where it has one, so that the clocks need not agree; else from `now`.
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let date = date(headers);
    headers
        .get_all(RETRY_AFTER)
        .iter()
        .filter_map(|value| {
            let value = value.to_str().ok()?.trim();
            seconds(value).or_else(|| {
                let wait = http_date(value)? - date.unwrap_or(now);
                Some(wait.to_std().unwrap_or(Duration::ZERO))
            })
        })
        .max()
        .map(|wait| wait.min(LONGEST))
}

/// When its sender says that an answer was made, to the second.
pub(crate) fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

fn seconds(value: &str) -> Option<Duration> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    // More digits than a number can hold are more seconds than LONGEST.
    let whole = whole.parse().unwrap_or(u64::MAX).min(LONGEST.as_secs());
    // A started millisecond counts as a whole one: never a moment too early.
    let (millis, rest) = fraction.split_at(fraction.len().min(3));
    let started = u64::from(rest.bytes().any(|b| b != b'0'));
    let millis = format!("{millis:0<3}").parse::<u64>().ok()? + started;
    Some(Duration::from_millis(whole * 1000 + millis))
}

/// The three forms of an HTTP-date (RFC 9110, 5.6.7).
fn http_date(value: &str) -> Option<DateTime<Utc>> {
    [
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
    ]
    .iter()
    .find_map(|form| NaiveDateTime::parse_from_str(value, form).ok())
    .map(|date| date.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::Timeless;

    #[derive(Default)]
    struct Kept(Mutex<Vec<(String, DateTime<Utc>)>>);

    impl WindowStore for Kept {
        fn load(&self) -> Vec<(String, DateTime<Utc>)> {
            self.0.lock().unwrap().clone()
        }

        fn store(&self, scope: &str, until: DateTime<Utc>) {
            let mut kept = self.0.lock().unwrap();
            kept.retain(|(other, _)| other != scope);
            kept.push((scope.to_owned(), until));
        }
    }

    fn windows() -> (Arc<Timeless>, Arc<Kept>, Windows) {
        let (clock, kept) = (Arc::new(Timeless::default()), Arc::new(Kept::default()));
        let windows = Windows::new(clock.clone(), kept.clone());
        (clock, kept, windows)
    }

    fn after(seconds: i64) -> DateTime<Utc> {
        Timeless::start() + TimeDelta::seconds(seconds)
    }

    #[test]
    fn retry_after_in_every_form() {
        let cases = [
            ("seconds", "120", None, Some(120_000)),
            ("zero", "0", None, Some(0)),
            ("spaces", " 7 ", None, Some(7_000)),
            ("a fraction", "1.5", None, Some(1_500)),
            ("a long fraction is rounded up", "0.0001", None, Some(1)),
            (
                "absurd",
                "99999999999999999999999999",
                None,
                Some(86_400_000),
            ),
            ("three days", "259200", None, Some(86_400_000)),
            (
                "IMF-fixdate",
                "Sun, 01 Nov 2026 08:01:00 GMT",
                None,
                Some(60_000),
            ),
            (
                "RFC 850",
                "Sunday, 01-Nov-26 08:01:00 GMT",
                None,
                Some(60_000),
            ),
            ("asctime", "Sun Nov  1 08:01:00 2026", None, Some(60_000)),
            ("past", "Sun, 01 Nov 2026 07:00:00 GMT", None, Some(0)),
            (
                "measured from the server's own clock",
                "Sun, 01 Nov 2026 12:01:00 GMT",
                Some("Sun, 01 Nov 2026 12:00:00 GMT"),
                Some(60_000),
            ),
            (
                "next century",
                "Fri, 01 Jan 2100 00:00:00 GMT",
                None,
                Some(86_400_000),
            ),
            ("negative", "-1", None, None),
            ("words", "soon", None, None),
            ("not a number", "nan", None, None),
            ("infinite", "inf", None, None),
            ("empty", "", None, None),
            ("exponent", "1e3", None, None),
            ("bare dot", ".", None, None),
        ];
        for (name, value, date, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            let wait = retry_after(&headers, Timeless::start());
            assert_eq!(wait, expected.map(Duration::from_millis), "{name}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), Timeless::start()), None);
    }

    #[tokio::test]
    async fn a_long_window_refuses_at_once_and_a_short_one_is_waited_out() {
        let (clock, _, windows) = windows();
        assert_eq!(windows.pass("graph").await, Ok(()));

        windows.close("graph", Duration::from_secs(60));
        assert_eq!(
            windows.pass("graph").await,
            Err(Throttled { until: after(60) })
        );
        assert_eq!(windows.pass("token").await, Ok(()), "another scope");
        assert_eq!(clock.elapsed(), Duration::ZERO, "nobody waited");

        clock.pass(Duration::from_secs(57));
        assert_eq!(windows.pass("graph").await, Ok(()));
        assert_eq!(clock.elapsed(), Duration::from_secs(60));
        assert_eq!(windows.until("graph"), None);
    }

    #[test]
    fn a_window_is_prolonged_never_shortened_and_never_absurd() {
        let (_, kept, windows) = windows();
        windows.close("graph", Duration::from_secs(60));
        windows.close("graph", Duration::from_secs(10));
        assert_eq!(windows.until("graph"), Some(after(60)));
        assert_eq!(kept.load(), [("graph".to_owned(), after(60))]);
        windows.close("graph", Duration::MAX);
        assert_eq!(windows.until("graph"), Some(after(86_400)));
    }

    #[test]
    fn a_restart_obeys_the_stored_windows() {
        let (clock, kept, windows) = windows();
        windows.close("graph", Duration::from_secs(60));
        kept.store("past", after(-1));
        kept.store("absurd", after(30 * 86_400));

        let restarted = Windows::new(clock, kept);
        assert_eq!(restarted.until("graph"), Some(after(60)));
        assert_eq!(restarted.until("past"), None);
        assert_eq!(restarted.until("absurd"), Some(after(86_400)));
    }
}
