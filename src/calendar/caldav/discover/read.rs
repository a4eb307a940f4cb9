//! From the properties of a collection to a [`Collection`].

use std::collections::{BTreeSet, HashSet};

use percent_encoding::percent_decode_str;
use url::Url;

use super::{Collection, place};
use crate::calendar::caldav::xml::{More, Prop, Props};
use crate::ical::read::iana_zone;

/// The longest URL of a collection, in bytes.
const LONGEST_URL: usize = 2_000;
/// The longest name or colour, in bytes.
const LONGEST_TEXT: usize = 1_000;
/// The most addresses of one principal.
const MAX_ADDRESSES: usize = 100;

/// What is asked of a collection.
pub(super) const COLLECTION: [Prop; 12] = [
    Prop::ResourceType,
    Prop::DisplayName,
    Prop::Owner,
    Prop::Colour,
    Prop::CalendarTimezone,
    Prop::SupportedReportSet,
    Prop::CurrentUserPrivilegeSet,
    Prop::SupportedComponents,
    Prop::MaxResourceSize,
    Prop::Ctag,
    Prop::SyncToken,
    Prop::CurrentUserPrincipal,
];

/// Whether these are the properties of a calendar that has not been thrown away.
pub(super) fn is_calendar(props: &Props) -> bool {
    let other = ["schedule-inbox", "schedule-outbox", "deleted-calendar"];
    props.is("calendar") && !other.iter().any(|other| props.is(other))
}

/// A calendar as it stands in an answer from `base`; `None` where its URL cannot be used. Whose it is
/// and its addresses come later.
pub(super) fn collection(base: &Url, href: &str, props: Props) -> Option<Collection> {
    let mut url = resolved(base, href)?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    let Props {
        ctag,
        sync_token,
        more,
        ..
    } = props;
    let More {
        display_name,
        colour,
        owner,
        calendar_timezone,
        supported_reports,
        privileges,
        components,
        max_resource_size,
        ..
    } = more.map(|more| *more).unwrap_or_default();
    let offers = |report: &str| supported_reports.as_ref().map(|all| all.contains(report));
    let short = |text: &String| text.len() <= LONGEST_TEXT;
    Some(Collection {
        label: None,
        display_name: display_name.filter(short),
        colour: colour.filter(short),
        owner: owner.and_then(|href| resolved(base, &href)),
        owned: false,
        addresses: BTreeSet::new(),
        time_zone: calendar_timezone.and_then(|text| iana_zone(text.as_bytes())),
        holds_events: components.is_none_or(|all| all.contains("VEVENT")),
        writable: privileges.and_then(|all| writable(&all)),
        sync_collection: offers("sync-collection").unwrap_or(sync_token.is_some()),
        multiget: offers("calendar-multiget").unwrap_or(true),
        max_resource_size,
        home: None,
        ctag,
        url,
    })
}

/// Whether the privileges allow to change a member's content; `None` where there are none at all.
fn writable(privileges: &BTreeSet<String>) -> Option<bool> {
    let enough = ["write-content", "write", "all"];
    let any = enough.iter().any(|name| privileges.contains(*name));
    (!privileges.is_empty()).then_some(any)
}

/// An href as a URL (RFC 3986, 5.2), without what makes no difference to where it is.
pub(super) fn resolved(base: &Url, href: &str) -> Option<Url> {
    let mut url = base.join(href).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    let usable = matches!(url.scheme(), "http" | "https") && url.as_str().len() <= LONGEST_URL;
    // A server does not choose the credentials.
    let plain = url.username().is_empty() && url.password().is_none();
    // Behind a proxy that ends TLS, some servers believe that they are reached by http.
    if base.scheme() == "https" && url.scheme() == "http" && url.host() == base.host() {
        url.set_scheme("https").ok()?;
        url.set_port(base.port()).ok()?;
    }
    (usable && plain).then_some(url)
}

/// The addresses among the members of CALDAV:calendar-user-address-set, in lower case and without
/// `mailto:`.
pub(super) fn addresses(hrefs: &[String]) -> BTreeSet<String> {
    let bare = |href: &String| {
        let scheme = href.get(..7).filter(|s| s.eq_ignore_ascii_case("mailto:"));
        let rest = match scheme {
            Some(_) => href.get(7..)?,
            None if href.contains([':', '/']) => return None,
            None => href,
        };
        address(rest)
    };
    hrefs.iter().take(MAX_ADDRESSES).filter_map(bare).collect()
}

/// An address in lower case, where it looks like one.
pub(super) fn address(text: &str) -> Option<String> {
    let text = percent_decode_str(text.trim()).decode_utf8().ok()?;
    let good = text.len() <= LONGEST_TEXT
        && text.contains('@')
        && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    good.then(|| text.to_lowercase())
}

/// The first `most` of them, each place once.
pub(super) fn each_once(all: Vec<Collection>, most: usize) -> Vec<Collection> {
    let mut seen = HashSet::new();
    let new = |c: &Collection| {
        let place = place(c.url.path());
        seen.insert((c.url.host_str().map(str::to_owned), c.url.port(), place))
    };
    all.into_iter().filter(new).take(most).collect()
}
