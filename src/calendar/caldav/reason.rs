//! Why a server did not store what it was sent, in words. Pure.

use memchr::memmem;

use super::connection::{DavError, Reply};
use super::xml;
use crate::calendar::{WriteRefusal, Written};
use crate::model::ResourceId;

/// A refusal that names the resource.
pub(super) fn refusal(id: &ResourceId, hint: impl Into<String>) -> WriteRefusal {
    WriteRefusal {
        what: id.to_string(),
        hint: hint.into(),
        source: None,
    }
}

/// A request that got no answer.
pub(super) fn no_answer(id: &ResourceId, error: &DavError) -> Written {
    if error.maybe_done() {
        let hint = format!("{error}; nobody knows whether it was stored: it is read first");
        return Written::Unknown(refusal(id, hint));
    }
    Written::Failed(refusal(id, format!("{error}; nothing was written")))
}

/// Preconditions of storing an event (RFC 4791, 5.3.2.1; RFC 6638, 3.2.4; RFC 4331, 6), in words.
const CONDITIONS: [(&str, &str); 19] = [
    ("no-uid-conflict", SAME_UID),
    ("unique-scheduling-object-resource", SAME_UID),
    ("attendee-allowed", ATTENDEE),
    ("allowed-attendee-scheduling-object-change", ATTENDEE),
    ("organizer-allowed", ORGANIZER),
    ("allowed-organizer-scheduling-object-change", ORGANIZER),
    (
        "same-organizer-in-all-components",
        "the parts of this series name different organizers; correct it in a calendar program",
    ),
    ("valid-calendar-data", FAULTY),
    ("valid-calendar-object-resource", FAULTY),
    ("supported-calendar-data", FAULTY),
    (
        "supported-calendar-component",
        "the calendar does not take events; see `meetbridge calendars` for those that do",
    ),
    (
        "max-resource-size",
        "it is larger than the server takes; shorten it",
    ),
    ("max-instances", LIMITS),
    ("max-attendees-per-instance", LIMITS),
    ("min-date-time", LIMITS),
    ("max-date-time", LIMITS),
    (
        "need-privileges",
        "no permission to write; grant the account write access to the calendar",
    ),
    ("quota-not-exceeded", FULL),
    ("sufficient-disk-space", FULL),
];
const SAME_UID: &str = "another event on the server has the same UID; remove one of the two";
const ATTENDEE: &str = "only the organizer may change this event, and the account is an attendee; leave it to the \
     organizer";
const ORGANIZER: &str = "the server does not let this account change it as its organizer; see that \
                         ORGANIZER is an address of the account";
const FAULTY: &str = "the server finds fault with its calendar data; see the server's log";
const LIMITS: &str =
    "it is beyond a limit of the server; shorten the series or its list of attendees";
const FULL: &str = "the account's storage is full; free some";

/// The precondition that an answer names as broken, in words; `None` where it names none of those
/// that are about the event itself.
pub(super) fn condition(reply: &Reply) -> Option<String> {
    // Some servers put texts of their own before the condition.
    let first = xml::error_condition(&reply.body)?;
    let (name, words) = CONDITIONS
        .iter()
        .find(|(name, _)| *name == first)
        .or_else(|| {
            let named = |name: &str| memmem::find(&reply.body, name.as_bytes()).is_some();
            CONDITIONS.iter().find(|(name, _)| named(name))
        })?;
    Some(format!("{words} ({name})"))
}

/// An answer to PUT that does not say that it was stored.
pub(super) fn refused(id: &ResourceId, reply: &Reply) -> Written {
    let status = reply.status.as_u16();
    let why = condition(reply);
    let says = |otherwise: &str| {
        let why = why.as_deref().unwrap_or(otherwise);
        refusal(id, format!("HTTP {status}: {why}"))
    };
    match status {
        404 | 410 => Written::Changed,
        412 if why.is_none() => Written::Changed,
        423 => Written::Failed(says("somebody holds a lock on it; it is tried again")),
        425 | 429 | 503 => Written::Failed(says("the server is busy; it is tried again")),
        507 => Written::Failed(says(
            "the account's storage on the server is full; free some, it is tried again",
        )),
        408 | 202 | 207 | 500 | 502 | 504..=506 | 508 | 509 | 520..=599 => Written::Unknown(says(
            "nobody knows whether it was stored: it is read first; see the server's log",
        )),
        403 => Written::Refused(says(
            "the server does not let the account write it; grant it write access, or leave the \
             event to its organizer",
        )),
        409 => Written::Refused(says(
            "it is in conflict with something else on the server; see the server's log",
        )),
        413 => Written::Refused(says(
            "larger than the server takes; shorten it, or have the server's limit raised",
        )),
        300..=399 => Written::Refused(says(
            "the server says it is elsewhere; see `meetbridge calendars` for the addresses that \
             there are",
        )),
        405 | 501 => Written::Refused(says(
            "the server does not take writes here; see whether the calendar is read-only",
        )),
        _ => Written::Refused(says("refused; see the server's log")),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;
    use url::Url;

    use super::*;
    use crate::calendar::Again;
    use crate::http::SendError;

    fn reply(status: u16, condition: &str) -> Reply {
        let body = format!(
            "<e:error xmlns:e=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\"><c:{condition}/></e:error>"
        );
        Reply {
            url: Url::parse("https://h.example.org/a.ics").unwrap(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: if condition.is_empty() {
                Vec::new()
            } else {
                body.into_bytes()
            },
        }
    }

    fn shown(written: Written) -> (&'static str, String) {
        match written {
            Written::Stored(_) => ("stored", String::new()),
            Written::Changed => ("changed", String::new()),
            Written::Refused(why) => ("refused", why.to_string()),
            Written::Failed(why) => ("failed", why.to_string()),
            Written::Unknown(why) => ("unknown", why.to_string()),
        }
    }

    #[test]
    fn each_answer_ends_a_write_in_one_way_and_says_what_to_do() {
        let cases = [
            (404, "", "changed", ""),
            (410, "", "changed", ""),
            (412, "", "changed", ""),
            (412, "exception", "changed", ""),
            (412, "attendee-allowed", "refused", "only the organizer"),
            (412, "no-uid-conflict", "refused", "same UID"),
            (403, "", "refused", "write access"),
            (
                403,
                "unique-scheduling-object-resource",
                "refused",
                "same UID",
            ),
            (403, "unheard-of", "refused", "write access"),
            (409, "", "refused", "conflict"),
            (409, "no-uid-conflict", "refused", "same UID"),
            (400, "", "refused", "log"),
            (301, "", "refused", "elsewhere"),
            (405, "", "refused", "read-only"),
            (413, "", "refused", "larger than the server takes"),
            (415, "", "refused", "log"),
            (501, "", "refused", "read-only"),
            (423, "", "failed", "lock"),
            (429, "", "failed", "busy"),
            (503, "", "failed", "busy"),
            (507, "", "failed", "storage"),
            (408, "", "unknown", "read first"),
            (500, "", "unknown", "read first"),
            (502, "", "unknown", "read first"),
            (504, "", "unknown", "read first"),
            (202, "", "unknown", "read first"),
        ];
        let id = ResourceId::new("a.ics");
        for (status, condition, expected, hint) in cases {
            let (ended, text) = shown(refused(&id, &reply(status, condition)));
            assert_eq!(ended, expected, "{status} {condition}");
            assert!(text.contains(hint), "{status}: {text}");
            assert!(text.is_empty() || text.starts_with("a.ics: "), "{text}");
        }
    }

    #[test]
    fn a_lost_answer_is_unknown_and_a_request_never_sent_is_not() {
        let id = ResourceId::new("a.ics");
        let host = || "h.example.org".to_owned();
        let lost = DavError::Send(SendError::Timeout { host: host() });
        assert_eq!(shown(no_answer(&id, &lost)).0, "unknown");
        let never = DavError::Token {
            host: host(),
            why: "no token".into(),
            again: Again::Soon,
        };
        assert_eq!(shown(no_answer(&id, &never)).0, "failed");
    }
}
