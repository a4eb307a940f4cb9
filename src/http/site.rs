//! Where a request may be sent on to. Pure.

use reqwest::header::{HeaderMap, LOCATION};
use url::Url;

/// Where an answer's `Location` leads from `url`; `None` without a usable one.
pub(crate) fn location(url: &Url, headers: &HeaderMap) -> Option<Url> {
    let location = headers.get(LOCATION)?;
    let next = url.join(std::str::from_utf8(location.as_bytes()).ok()?);
    next.ok().map(bare)
}

/// The URL without its fragment, and without credentials: a server does not choose those.
pub(crate) fn bare(mut url: Url) -> Url {
    url.set_fragment(None);
    if !url.username().is_empty() || url.password().is_some() {
        // Fails only for URLs that cannot have any.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    url
}

/// Whether two URLs are on one host, or on hosts of one registrable domain.
pub(crate) fn same_site(one: &Url, other: &Url) -> bool {
    match (one.host(), other.host()) {
        (Some(one), Some(other)) if one == other => true,
        (Some(url::Host::Domain(one)), Some(url::Host::Domain(other))) => {
            let domain = psl::domain_str(one);
            domain.is_some() && domain == psl::domain_str(other)
        }
        _ => false,
    }
}
