//! Single requests, to see what a server really holds and to write what no client would.

use reqwest::{Method, RequestBuilder, StatusCode};

use super::{Server, User};

/// One user's requests.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    http: reqwest::Client,
    user: User,
}

impl Raw {
    pub(crate) fn new(user: User) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .no_gzip()
            // These servers close connections as they like.
            .pool_max_idle_per_host(0)
            .tls_certs_only([])
            .build()
            .unwrap();
        Self { http, user }
    }

    /// A request that is signed in.
    pub(crate) fn request(&self, method: &str, url: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let User { name, password } = self.user;
        self.http
            .request(method, url)
            .basic_auth(name, Some(password))
    }

    /// Makes a calendar and says where it is.
    pub(crate) async fn make_calendar(&self, server: &Server, name: &str, shown: &str) -> String {
        let url = server.calendar_url(self.user, name);
        let body = format!(
            "<?xml version=\"1.0\"?><C:mkcalendar xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\">\
             <D:set><D:prop><D:displayname>{shown}</D:displayname></D:prop></D:set></C:mkcalendar>"
        );
        let request = self.request("MKCALENDAR", &url);
        let answer = request
            .header("content-type", "application/xml")
            .body(body)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        assert_eq!(
            status,
            StatusCode::CREATED,
            "{}",
            answer.text().await.unwrap()
        );
        url
    }

    /// A resource's bytes and ETag; `None` where there is none.
    pub(crate) async fn get(&self, url: &str) -> Option<(Vec<u8>, String)> {
        let answer = self.request("GET", url).send().await.unwrap();
        if answer.status() == StatusCode::NOT_FOUND {
            return None;
        }
        assert!(answer.status().is_success(), "{}", answer.status());
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        Some((answer.bytes().await.unwrap().to_vec(), etag))
    }

    /// Writes a resource whatever is there.
    pub(crate) async fn put(&self, url: &str, bytes: impl Into<Vec<u8>>) {
        let status = self.put_if(url, None, bytes).await;
        assert!(status.is_success(), "{status}");
    }

    /// Writes a resource if it has this ETag.
    pub(crate) async fn put_if(
        &self,
        url: &str,
        etag: Option<&str>,
        bytes: impl Into<Vec<u8>>,
    ) -> StatusCode {
        let mut request = self.request("PUT", url).body(bytes.into());
        if let Some(etag) = etag {
            request = request.header("if-match", etag);
        }
        let request = request.header("content-type", "text/calendar; charset=utf-8");
        request.send().await.unwrap().status()
    }

    /// Takes a resource or a calendar away.
    pub(crate) async fn delete(&self, url: &str) {
        let answer = self.request("DELETE", url).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}
