//! Which endpoint a request is for: method and path to [`Target`]. Pure.

use axum::http::Method;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

/// The kinds of request the simulator tells apart, in counters and fault matchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Endpoint {
    /// `POST /{tenant}/oauth2/v2.0/token`
    Token,
    /// `POST /{tenant}/oauth2/v2.0/devicecode`
    DeviceCode,
    /// `POST .../onlineMeetings/createOrGet`
    CreateOrGet,
    /// `POST .../onlineMeetings`
    Create,
    /// `GET .../onlineMeetings/{id}`
    Get,
    /// `GET .../onlineMeetings?$filter=...`
    Filter,
    /// `PATCH .../onlineMeetings/{id}`
    Patch,
    /// `DELETE .../onlineMeetings/{id}`
    Delete,
    /// `GET /v1.0/me` or `/v1.0/users/{id}`
    User,
    /// `POST .../events`
    EventCreate,
    /// `GET .../events/{id}`
    EventGet,
    /// `GET .../events`, with a filter or without
    EventFilter,
    /// `PATCH .../events/{id}`
    EventPatch,
    /// `DELETE .../events/{id}`
    EventDelete,
    /// `GET .../calendar` or `.../calendars/{id}`
    Calendar,
    /// `GET .../calendars`
    Calendars,
    /// The rest of a user's Outlook calendar: counted and throttled, but not there.
    Outlook,
    /// `POST /v1.0/$batch`; its parts are counted as what they are, too.
    Batch,
    /// Anything else.
    Other,
}

impl Endpoint {
    /// Whether it is one of Entra's.
    pub(super) fn is_entra(self) -> bool {
        matches!(self, Self::Token | Self::DeviceCode)
    }
}

/// Whose meetings a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// `/me`: only with a token of a person.
    Me,
    /// `/users/{segment}`, decoded.
    User(String),
}

/// What a request asks of an organizer's meetings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    CreateOrGet,
    Create,
    /// The raw query string.
    Filter(String),
    /// These three: the meeting id, decoded.
    Get(String),
    Patch(String),
    Delete(String),
}

/// Which of a user's calendars a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// `/events`: any for an event that has an id; the default one for new events and lists.
    Any,
    /// `/calendar/events`
    Default,
    /// `/calendars/{id}/events`, decoded.
    Named(String),
}

/// What a request asks of a user's Outlook calendars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    Create(Folder),
    /// With the raw query string.
    List(Folder, String),
    /// These three: the event id, decoded; GET with the raw query string.
    Get(Folder, String, String),
    Patch(Folder, String),
    Delete(Folder, String),
    /// By id, or the default one; with the raw query string.
    Calendar(Option<String>, String),
    /// With the raw query string.
    Calendars(String),
    /// What the simulator does not know.
    Other,
}

/// A request's method and path, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Token {
        tenant: String,
    },
    DeviceCode {
        tenant: String,
    },
    Meetings(Who, Ask),
    /// With the raw query string.
    User(Who, String),
    Outlook(Who, Outlook),
    Batch,
    /// The path exists, the method does not.
    WrongMethod,
    /// No such path.
    Nothing,
}

impl Target {
    pub(super) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Token { .. } => Endpoint::Token,
            Self::DeviceCode { .. } => Endpoint::DeviceCode,
            Self::User(..) => Endpoint::User,
            Self::Outlook(_, ask) => match ask {
                Outlook::Create(_) => Endpoint::EventCreate,
                Outlook::List(..) => Endpoint::EventFilter,
                Outlook::Get(..) => Endpoint::EventGet,
                Outlook::Patch(..) => Endpoint::EventPatch,
                Outlook::Delete(..) => Endpoint::EventDelete,
                Outlook::Calendar(..) => Endpoint::Calendar,
                Outlook::Calendars(_) => Endpoint::Calendars,
                Outlook::Other => Endpoint::Outlook,
            },
            Self::Batch => Endpoint::Batch,
            Self::Meetings(_, ask) => match ask {
                Ask::CreateOrGet => Endpoint::CreateOrGet,
                Ask::Create => Endpoint::Create,
                Ask::Filter(_) => Endpoint::Filter,
                Ask::Get(_) => Endpoint::Get,
                Ask::Patch(_) => Endpoint::Patch,
                Ask::Delete(_) => Endpoint::Delete,
            },
            Self::WrongMethod | Self::Nothing => Endpoint::Other,
        }
    }

    /// The meeting id in the path, if there is one.
    pub(super) fn meeting_id(&self) -> Option<&str> {
        match self {
            Self::Meetings(_, Ask::Get(id) | Ask::Patch(id) | Ask::Delete(id)) => Some(id),
            _ => None,
        }
    }

    /// The event id in the path, if there is one.
    pub(super) fn event_id(&self) -> Option<&str> {
        match self {
            Self::Outlook(
                _,
                Outlook::Get(_, id, _) | Outlook::Patch(_, id) | Outlook::Delete(_, id),
            ) => Some(id),
            _ => None,
        }
    }

    /// Whom the request is about, if anybody.
    pub(super) fn who(&self) -> Option<&Who> {
        match self {
            Self::Meetings(who, _) | Self::User(who, _) | Self::Outlook(who, _) => Some(who),
            _ => None,
        }
    }
}

/// Understands a request line. The path is split before it is decoded, so `%2F` stays in its segment.
pub(super) fn route(method: &Method, path: &str, query: Option<&str>) -> Target {
    let mut segments = Vec::new();
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        match percent_decode_str(segment).decode_utf8() {
            Ok(segment) if !segment.is_empty() => segments.push(segment.into_owned()),
            _ => return Target::Nothing,
        }
    }
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        [tenant, "oauth2", "v2.0", "token"] if *method == Method::POST => Target::Token {
            tenant: (*tenant).to_owned(),
        },
        [tenant, "oauth2", "v2.0", "devicecode"] if *method == Method::POST => Target::DeviceCode {
            tenant: (*tenant).to_owned(),
        },
        [_, "oauth2", "v2.0", "token" | "devicecode"] => Target::WrongMethod,
        ["v1.0", "$batch"] if *method == Method::POST => Target::Batch,
        ["v1.0", "me", "onlineMeetings", rest @ ..] => meetings(Who::Me, method, rest, query),
        ["v1.0", "users", user, "onlineMeetings", rest @ ..] => {
            meetings(Who::User((*user).to_owned()), method, rest, query)
        }
        ["v1.0", "me", rest @ ..] => user(Who::Me, method, rest, query),
        ["v1.0", "users", id, rest @ ..] => user(Who::User((*id).to_owned()), method, rest, query),
        _ => Target::Nothing,
    }
}

/// What lies below a user beside the meetings.
fn user(who: Who, method: &Method, rest: &[&str], query: Option<&str>) -> Target {
    match rest {
        [] if *method == Method::GET => Target::User(who, query.unwrap_or_default().to_owned()),
        [] => Target::WrongMethod,
        ["calendar" | "calendars" | "calendarView" | "events", ..] => {
            Target::Outlook(who, outlook(method, rest, query.unwrap_or_default()))
        }
        _ => Target::Nothing,
    }
}

fn outlook(method: &Method, rest: &[&str], query: &str) -> Outlook {
    let (folder, events) = match rest {
        ["events", rest @ ..] => (Folder::Any, rest),
        ["calendar", "events", rest @ ..] => (Folder::Default, rest),
        ["calendars", id, "events", rest @ ..] => (Folder::Named((*id).to_owned()), rest),
        ["calendar"] if *method == Method::GET => {
            return Outlook::Calendar(None, query.to_owned());
        }
        ["calendars"] if *method == Method::GET => return Outlook::Calendars(query.to_owned()),
        ["calendars", id] if *method == Method::GET => {
            return Outlook::Calendar(Some((*id).to_owned()), query.to_owned());
        }
        _ => return Outlook::Other,
    };
    match (events, method.as_str()) {
        ([], "POST") => Outlook::Create(folder),
        ([], "GET") => Outlook::List(folder, query.to_owned()),
        ([id], "GET") => Outlook::Get(folder, (*id).to_owned(), query.to_owned()),
        ([id], "PATCH") => Outlook::Patch(folder, (*id).to_owned()),
        ([id], "DELETE") => Outlook::Delete(folder, (*id).to_owned()),
        _ => Outlook::Other,
    }
}

fn meetings(who: Who, method: &Method, rest: &[&str], query: Option<&str>) -> Target {
    let ask = match (rest, method.as_str()) {
        ([], "POST") => Ask::Create,
        ([], "GET") => Ask::Filter(query.unwrap_or_default().to_owned()),
        (["createOrGet"], "POST") => Ask::CreateOrGet,
        (["createOrGet"], _) => return Target::WrongMethod,
        ([id], "GET") => Ask::Get((*id).to_owned()),
        ([id], "PATCH") => Ask::Patch((*id).to_owned()),
        ([id], "DELETE") => Ask::Delete((*id).to_owned()),
        ([] | [_], _) => return Target::WrongMethod,
        _ => return Target::Nothing,
    };
    Target::Meetings(who, ask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_endpoint() {
        use Endpoint::*;
        let cases = [
            ("POST", "/t/oauth2/v2.0/token", Token),
            ("GET", "/t/oauth2/v2.0/token", Other),
            (
                "POST",
                "/v1.0/users/u/onlineMeetings/createOrGet",
                CreateOrGet,
            ),
            ("GET", "/v1.0/users/u/onlineMeetings/createOrGet", Other),
            ("POST", "/v1.0/me/onlineMeetings", Create),
            ("GET", "/v1.0/users/u/onlineMeetings", Filter),
            ("GET", "/v1.0/users/u/onlineMeetings/x%2Fy", Get),
            ("GET", "/v1.0/users/u/onlineMeetings/x/y", Other),
            ("PATCH", "/v1.0/users/u/onlineMeetings/x", Patch),
            ("DELETE", "/v1.0/users/u/onlineMeetings/x", Delete),
            ("PUT", "/v1.0/users/u/onlineMeetings/x", Other),
            ("POST", "//v1.0/users/u/onlineMeetings", Other),
            ("POST", "/beta/users/u/onlineMeetings", Other),
            ("GET", "/v1.0/users/%ff/onlineMeetings", Other),
            ("POST", "/organizations/oauth2/v2.0/devicecode", DeviceCode),
            ("GET", "/v1.0/me", User),
            ("GET", "/v1.0/users/a%40b.example", User),
            ("PATCH", "/v1.0/users/u", Other),
            ("POST", "/v1.0/users/u/events", EventCreate),
            ("POST", "/v1.0/users/u/calendar/events", EventCreate),
            ("POST", "/v1.0/users/u/calendars/c/events", EventCreate),
            ("GET", "/v1.0/me/events", EventFilter),
            ("GET", "/v1.0/users/u/events/e%2F", EventGet),
            ("PATCH", "/v1.0/users/u/calendar/events/e", EventPatch),
            ("DELETE", "/v1.0/me/calendars/c/events/e", EventDelete),
            ("PUT", "/v1.0/me/events/e", Outlook),
            ("GET", "/v1.0/me/events/e/instances", Outlook),
            ("GET", "/v1.0/me/calendar", Calendar),
            ("GET", "/v1.0/users/u/calendars/c", Calendar),
            ("GET", "/v1.0/users/u/calendars", Calendars),
            ("POST", "/v1.0/users/u/calendars", Outlook),
            ("GET", "/v1.0/me/calendarView", Outlook),
            ("GET", "/v1.0/users/u/messages", Other),
            ("POST", "/v1.0/%24batch", Batch),
        ];
        for (method, path, expected) in cases {
            let target = route(&method.parse().unwrap(), path, None);
            assert_eq!(target.endpoint(), expected, "{method} {path}");
        }
        let target = route(&Method::GET, "/v1.0/users/u/onlineMeetings/x%2Fy%3D", None);
        assert_eq!(target.meeting_id(), Some("x/y="));
    }
}
