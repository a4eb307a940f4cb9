//! The requests of the online meetings API, as values. Pure.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use url::Url;

use super::call::{Call, below, segment};
use super::errors::Aim;
use super::wire::{self, Change};
use crate::meeting::{Settings, Wanted};
use crate::model::{JoinUrl, OrganizerId};

/// The body that closes a meeting.
const CLOSED: &str =
    r#"{"lobbyBypassSettings":{"scope":"organizer","isDialInBypassEnabled":false}}"#;

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

    fn new(method: Method, url: Url, body: Option<Vec<u8>>, wanted: &Wanted) -> Self {
        Self::of(method, url, body, &wanted.organizer).in_language(&wanted.language)
    }
}

fn meeting(root: &Url, organizer: &OrganizerId, id: &str) -> Url {
    let id = segment(id);
    below(
        root,
        &format!("/v1.0/users/{organizer}/onlineMeetings/{id}"),
    )
}
