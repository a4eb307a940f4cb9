//! The requests of the online meetings API, as values. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue,
};
use reqwest::{Method, Request};
use url::Url;

use super::errors::Aim;
use super::wire::{self, Change};
use crate::meeting::{Settings, Wanted};
use crate::model::{JoinUrl, OrganizerId};

/// The header that names one try of a request.
pub(super) const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What needs no encoding in a path segment; ids are encoded down to `=`, `*`, `:`, `@` and `_`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.');

/// The body that closes a meeting.
const CLOSED: &str =
    r#"{"lobbyBypassSettings":{"scope":"organizer","isDialInBypassEnabled":false}}"#;

/// One call, which may be tried several times.
#[derive(Clone, Debug)]
pub(super) struct Call {
    method: Method,
    url: Url,
    body: Option<Vec<u8>>,
    /// `Accept-Language`.
    language: Option<String>,
    /// Whose meeting it is about.
    pub(super) organizer: OrganizerId,
    /// What it is aimed at.
    pub(super) aim: Aim,
}

impl Call {
    /// POST createOrGet.
    pub(super) fn create_or_get(root: &Url, wanted: &Wanted) -> Self {
        let path = format!(
            "/v1.0/users/{}/onlineMeetings/createOrGet",
            wanted.organizer
        );
        let url = below(root, &path);
        let body = Some(wire::create_or_get(wanted));
        Self {
            aim: Aim::Organizer,
            ..Self::new(Method::POST, url, body, wanted)
        }
    }

    /// PATCH of the meeting `id`.
    pub(super) fn patch(root: &Url, wanted: &Wanted, id: &str, change: &Change) -> Self {
        Self::new(
            Method::PATCH,
            meeting(root, &wanted.organizer, id),
            Some(wire::patch(change)),
            wanted,
        )
    }

    /// PATCH of the meeting `id` with settings alone.
    pub(super) fn apply(root: &Url, wanted: &Wanted, id: &str, settings: &Settings) -> Self {
        let (url, body) = (
            meeting(root, &wanted.organizer, id),
            wire::settings(settings),
        );
        Self {
            aim: Aim::Settings,
            ..Self::new(Method::PATCH, url, Some(body), wanted)
        }
    }

    /// GET of the meeting `id`.
    pub(super) fn get(root: &Url, wanted: &Wanted, id: &str) -> Self {
        Self::new(
            Method::GET,
            meeting(root, &wanted.organizer, id),
            None,
            wanted,
        )
    }

    /// PATCH that lets nobody but the organizer into the meeting `id`: the join URL of a deleted
    /// meeting keeps working (graph-api.md, section 5).
    pub(super) fn close(root: &Url, organizer: &OrganizerId, id: &str) -> Self {
        let body = Some(CLOSED.as_bytes().to_vec());
        Self::of(Method::PATCH, meeting(root, organizer, id), body, organizer)
    }

    /// DELETE of the meeting `id`.
    pub(super) fn delete(root: &Url, organizer: &OrganizerId, id: &str) -> Self {
        Self::of(
            Method::DELETE,
            meeting(root, organizer, id),
            None,
            organizer,
        )
    }

    /// GET of the meeting with this join URL (graph-api.md, section 6).
    pub(super) fn find(root: &Url, organizer: &OrganizerId, url: &JoinUrl) -> Self {
        let mut address = below(root, &format!("/v1.0/users/{organizer}/onlineMeetings"));
        // A quote is doubled (OData), then the whole is encoded once.
        let quoted = url.expose().replace('\'', "''");
        let encoded = utf8_percent_encode(&quoted, NON_ALPHANUMERIC);
        address.set_query(Some(&format!("$filter=JoinWebUrl%20eq%20'{encoded}'")));
        Self::of(Method::GET, address, None, organizer)
    }

    /// GET of the meeting `id`, in no language that matters.
    pub(super) fn read(root: &Url, organizer: &OrganizerId, id: &str) -> Self {
        Self::of(Method::GET, meeting(root, organizer, id), None, organizer)
    }

    /// GET of the organizer's object id in the directory.
    pub(super) fn user(root: &Url, organizer: &OrganizerId) -> Self {
        let mut address = below(root, &format!("/v1.0/users/{organizer}"));
        address.set_query(Some("$select=id"));
        Self::of(Method::GET, address, None, organizer)
    }

    /// Whether it is one of [`Self::close`].
    pub(super) fn is_close(&self) -> bool {
        self.body.as_deref() == Some(CLOSED.as_bytes())
    }

    /// This call, asking for join information in `language`.
    pub(super) fn in_language(self, language: &str) -> Self {
        Self {
            language: Some(language.to_owned()),
            ..self
        }
    }

    fn new(method: Method, url: Url, body: Option<Vec<u8>>, wanted: &Wanted) -> Self {
        Self::of(method, url, body, &wanted.organizer).in_language(&wanted.language)
    }

    fn of(method: Method, url: Url, body: Option<Vec<u8>>, organizer: &OrganizerId) -> Self {
        Self {
            method,
            url,
            body,
            language: None,
            organizer: organizer.clone(),
            aim: Aim::Meeting,
        }
    }

    /// One try of it, with the headers of graph-api.md, section 13; `as_me`: by the organizer in
    /// person, rather than by an application.
    pub(super) fn request(&self, bearer: HeaderValue, try_id: &str, as_me: bool) -> Request {
        let mut request = Request::new(self.method.clone(), self.address(as_me));
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            PREFER,
            HeaderValue::from_static("include-unknown-enum-members"),
        );
        let language = self.language.as_deref();
        for (name, value) in [
            (CLIENT_REQUEST_ID, Some(try_id)),
            (ACCEPT_LANGUAGE, language),
        ] {
            if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
                headers.insert(name, value);
            }
        }
        if let Some(body) = &self.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.clone().into());
        }
        request
    }

    fn address(&self, as_me: bool) -> Url {
        let mut url = self.url.clone();
        if as_me {
            let organizer = format!("/v1.0/users/{}/", self.organizer);
            url.set_path(&self.url.path().replacen(&organizer, "/v1.0/me/", 1));
        }
        url
    }
}

fn meeting(root: &Url, organizer: &OrganizerId, id: &str) -> Url {
    let id = segment(id);
    below(
        root,
        &format!("/v1.0/users/{organizer}/onlineMeetings/{id}"),
    )
}

/// `text` encoded as one path segment.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The URL of an encoded `path`, which begins with a slash, below `root`.
pub(super) fn below(root: &Url, path: &str) -> Url {
    let mut url = root.clone();
    url.set_path(&format!("{}{path}", root.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    url
}
