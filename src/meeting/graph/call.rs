//! A call to Graph as a value, of whichever API. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue,
};
use reqwest::{Method, Request};
use url::Url;

use super::errors::Aim;
use crate::model::OrganizerId;

/// The header that names one try of a request.
pub(super) const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What is preferred of any answer, and of one of Outlook's: ids that outlive a move to another folder,
/// and times in UTC.
const PREFERRED: &str = "include-unknown-enum-members";
const PREFERRED_OF_OUTLOOK: &str =
    r#"include-unknown-enum-members, IdType="ImmutableId", outlook.timezone="UTC""#;

/// What needs no encoding in a path segment; ids are encoded down to `=`, `*`, `:`, `@` and `_`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.');

/// One call, which may be tried several times.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Option<Vec<u8>>,
    /// `Accept-Language`.
    pub(super) language: Option<String>,
    /// Whose meeting it is about.
    pub(super) organizer: OrganizerId,
    /// What it is aimed at.
    pub(super) aim: Aim,
}

impl Call {
    /// This call, asking for join information in `language`.
    pub(super) fn in_language(self, language: &str) -> Self {
        Self {
            language: Some(language.to_owned()),
            ..self
        }
    }

    /// One for this organizer, aimed at a meeting.
    pub(super) fn of(
        method: Method,
        url: Url,
        body: Option<Vec<u8>>,
        organizer: &OrganizerId,
    ) -> Self {
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
        let preferred = match self.aim.is_outlook() {
            true => PREFERRED_OF_OUTLOOK,
            false => PREFERRED,
        };
        headers.insert(PREFER, HeaderValue::from_static(preferred));
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
