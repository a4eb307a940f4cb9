//! Limits, and the Retry-After windows that answers have announced, each for its scope. Pure.

use std::collections::HashMap;
use std::time::Duration;

use super::manners::{Limits, Rate};

/// What a limit or a window is for. Organizers by object id, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// The token and device code endpoints.
    Entra,
    /// Graph but for Outlook.
    App,
    /// One organizer's meetings.
    Organizer(String),
    /// One user's Outlook calendar.
    Mailbox(String),
}

impl Scope {
    fn rate(&self, limits: &Limits) -> Option<Rate> {
        match self {
            Self::Entra => None,
            Self::App => limits.app,
            Self::Organizer(_) => limits.organizer,
            Self::Mailbox(_) => limits.mailbox,
        }
    }
}

/// An announced Retry-After window, on the clock's monotonic time.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    from: Duration,
    until: Duration,
}

/// The requests counted in a limit's window.
#[derive(Clone, Copy, Debug)]
struct Meter {
    from: Duration,
    count: u64,
}

/// What is counted per scope.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    windows: HashMap<Scope, Window>,
    meters: HashMap<Scope, Meter>,
}

impl Throttle {
    /// Whether a request with these scopes comes inside an announced window.
    pub(super) fn inside(&self, scopes: &[Scope], at: Duration, grace: Duration) -> bool {
        scopes.iter().any(|scope| {
            self.windows
                .get(scope)
                .is_some_and(|window| window.from.saturating_add(grace) <= at && at < window.until)
        })
    }

    /// Announces a window; one that is still open is prolonged.
    pub(super) fn announce(&mut self, scope: Scope, at: Duration, wait: Duration) {
        let window = self.windows.entry(scope).or_default();
        if window.until <= at {
            window.from = at;
        }
        window.until = window.until.max(at.saturating_add(wait));
    }

    /// Counts a request against the limits of its scopes; the first that it exceeds, and for how long.
    pub(super) fn admit(
        &mut self,
        scopes: &[Scope],
        limits: &Limits,
        at: Duration,
    ) -> Result<(), (Scope, Duration)> {
        for scope in scopes {
            let Some(rate) = scope.rate(limits) else {
                continue;
            };
            let fresh = Meter { from: at, count: 0 };
            let meter = self.meters.entry(scope.clone()).or_insert(fresh);
            if at >= meter.from.saturating_add(rate.per) {
                *meter = fresh;
            }
            meter.count += 1;
            if meter.count > rate.requests {
                let end = meter.from.saturating_add(rate.per);
                return Err((scope.clone(), end.saturating_sub(at)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_lets_so_many_through_in_each_window() {
        let seconds = Duration::from_secs;
        let limits = Limits {
            organizer: Some(Rate::new(2, seconds(10))),
            ..Limits::default()
        };
        let scopes = [Scope::App, Scope::Organizer("a".into())];
        let other = [Scope::App, Scope::Organizer("b".into())];
        let mut throttle = Throttle::default();
        for (at, scopes, refused) in [
            (1, &scopes, None),
            (2, &scopes, None),
            (3, &scopes, Some(8)),
            (3, &other, None),
            (10, &scopes, Some(1)),
            (11, &scopes, None),
        ] {
            let got = throttle.admit(scopes, &limits, seconds(at));
            let wait = got.err().map(|(_, wait)| wait);
            assert_eq!(wait, refused.map(seconds), "at {at}");
        }
    }
}
