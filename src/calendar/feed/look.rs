//! Looking at a feed and at the place where it is published, for a check. Network; writes nothing there.

use std::sync::Arc;

use reqwest::header::{ALLOW, HeaderMap};
use reqwest::{Method, StatusCode};

use super::fetch::{FetchError, Fetched, Place, Request, Validators};
use super::index::take_apart;
use super::intake::Refusal;
use super::publish::{is_weak, refusal};
use super::writable::NO_ETAG;
use super::{FeedSettings, Publish};
use crate::calendar::{Again, ReadError};
use crate::clock::{Clock, Random};
use crate::http::{ClientError, Windows};

/// What a look at a feed shows.
#[derive(Debug)]
pub struct Looked {
    /// What it is, or why it is not read.
    pub source: Result<Extent, ReadError>,
    /// Of a place that takes PUT: whether its server says so, or why it does not take it. `None` for a
    /// file.
    pub target: Option<Result<bool, ReadError>>,
}

/// How much there is in a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its size in bytes, unpacked.
    pub bytes: usize,
    /// How many events it has.
    pub events: usize,
}

/// Fetches a feed once, and asks the place where it is published what it takes.
///
/// # Errors
/// When a CA file or the proxy cannot be used.
pub async fn look(
    settings: FeedSettings,
    windows: Arc<Windows>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<Looked, ClientError> {
    let FeedSettings {
        name,
        source,
        publish,
        directory,
        ..
    } = settings;
    let place = |place| {
        let (windows, clock) = (Arc::clone(&windows), Arc::clone(&clock));
        Place::new(
            place,
            directory.clone(),
            windows,
            clock,
            Arc::clone(&random),
        )
    };
    let source = place(source)?;
    let what = format!("{name} at {}", source.host());
    let is_written = matches!(publish, Publish::Source);
    let (read, validators) = match source.fetch(&Validators::default(), is_written).await {
        Ok(Fetched::Body {
            body, validators, ..
        }) => {
            let bytes = body.len();
            let work = tokio::task::spawn_blocking(move || take_apart(body, String::new())).await;
            let taken = work.map_err(|_| Refusal::Broken);
            let taken = taken.and_then(|taken| taken.map_err(Refusal::Unread));
            let extent = taken.map(|snapshot| Extent {
                bytes,
                events: snapshot.index().pieces.len(),
            });
            let refused = |refusal: Refusal| {
                let (hint, again) = refusal.hint();
                let what = what.clone();
                ReadError::Server { what, hint, again }
            };
            (extent.map_err(refused), validators)
        }
        Ok(Fetched::NotModified) => (Err(ReadError::Expired), Validators::default()),
        Err(error) => (Err(error.into_read_error(&what)), Validators::default()),
    };
    let target = match publish {
        Publish::File(_) => None,
        Publish::Web(web) => {
            let asked = place(*web)?.takes_put().await;
            Some(asked.map_err(|error| error.into_read_error(&format!("{name}: `publish-url`"))))
        }
        // What cannot be read is not asked for more.
        Publish::Source if read.is_err() => None,
        Publish::Source => {
            let has_etag = validators.etag.is_some_and(|etag| !is_weak(&etag));
            let asked = match has_etag {
                true => source.takes_put().await,
                false => Err(source.refused(NO_ETAG, Again::Slowly)),
            };
            Some(asked.map_err(|error| error.into_read_error(&format!("{name}: `writable`"))))
        }
    };
    Ok(Looked {
        source: read,
        target,
    })
}

impl Place {
    /// Whether the server says that PUT is taken there; `false` where it does not tell.
    async fn takes_put(&self) -> Result<bool, FetchError> {
        // OPTIONS is often answered to everybody, HEAD shows whether we are let in.
        let head = self.bare(Method::HEAD).await?;
        if matches!(
            head.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            return Err(refusal(self, head.status));
        }
        let options = self.bare(Method::OPTIONS).await?;
        let allowed = options.headers.get_all(ALLOW).iter();
        let allowed: Vec<&str> = allowed.filter_map(|value| value.to_str().ok()).collect();
        let mut methods = allowed.iter().flat_map(|value| value.split(','));
        match options.status {
            status if !status.is_success() || allowed.is_empty() => Ok(false),
            _ if methods.any(|method| method.trim() == "PUT") => Ok(true),
            _ => Err(refusal(self, StatusCode::METHOD_NOT_ALLOWED)),
        }
    }

    async fn bare(&self, method: Method) -> Result<crate::http::Answer, FetchError> {
        let request = Request {
            method,
            headers: HeaderMap::new(),
            body: None,
            identity: true,
        };
        self.send(&request).await
    }
}
