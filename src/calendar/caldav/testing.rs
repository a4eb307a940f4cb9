//! Notes in memory and answers as text, for unit tests.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::calendar::Notes;
use crate::http::testing::server::answer;

/// Notes that are gone with the test.
#[derive(Default)]
pub(crate) struct Kept(Mutex<(HashMap<String, String>, usize)>);

impl Kept {
    /// How often something was stored.
    pub(crate) fn stores(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

impl Notes for Kept {
    fn load(&self, key: &str) -> Option<String> {
        self.0.lock().unwrap().0.get(key).cloned()
    }

    fn store(&self, key: &str, text: &str) {
        let mut kept = self.0.lock().unwrap();
        kept.0.insert(key.to_owned(), text.to_owned());
        kept.1 += 1;
    }
}

/// A multistatus of these rows, as a server answers it.
pub(crate) fn rows(rows: &[String], more: &str) -> Vec<u8> {
    answer(207, &[], &multistatus(rows, more))
}

pub(crate) fn multistatus(rows: &[String], more: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><d:multistatus xmlns:d=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\" \
         xmlns:s=\"http://calendarserver.org/ns/\">{}{more}</d:multistatus>",
        rows.concat()
    )
}

/// A row with properties.
pub(crate) fn row(href: &str, props: &str) -> String {
    format!(
        "<d:response><d:href>{href}</d:href><d:propstat><d:prop>{props}</d:prop>\
         <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    )
}

/// A row with a status alone.
pub(crate) fn bare(href: &str, status: u16) -> String {
    format!(
        "<d:response><d:href>{href}</d:href><d:status>HTTP/1.1 {status} X</d:status></d:response>"
    )
}

pub(crate) fn etag(etag: &str) -> String {
    format!("<d:getetag>{}</d:getetag>", etag.replace('"', "&quot;"))
}

/// A row with an ETag.
pub(crate) fn tagged(href: &str, tag: &str) -> String {
    row(href, &etag(tag))
}

/// A row with an ETag and data.
pub(crate) fn full(href: &str, tag: &str, data: &str) -> String {
    let data = data.replace('\r', "&#13;");
    row(
        href,
        &format!("{}<c:calendar-data>{data}</c:calendar-data>", etag(tag)),
    )
}

/// The token of a report.
pub(crate) fn token(token: &str) -> String {
    format!("<d:sync-token>{token}</d:sync-token>")
}
