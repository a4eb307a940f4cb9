//! The bodies of PROPFIND and REPORT requests.

/// A property that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the property of its name, see `Props`")]
pub enum Prop {
    Etag,
    ScheduleTag,
    LastModified,
    ContentType,
    ResourceType,
    Ctag,
    SyncToken,
    DisplayName,
    Colour,
    Owner,
    CurrentUserPrincipal,
    CalendarHomeSet,
    CalendarUserAddressSet,
    CalendarTimezone,
    SupportedReportSet,
    CurrentUserPrivilegeSet,
    SupportedComponents,
    MaxResourceSize,
}

impl Prop {
    fn element(self) -> &'static str {
        match self {
            Self::Etag => "<d:getetag/>",
            Self::ScheduleTag => "<c:schedule-tag/>",
            Self::LastModified => "<d:getlastmodified/>",
            Self::ContentType => "<d:getcontenttype/>",
            Self::ResourceType => "<d:resourcetype/>",
            Self::Ctag => "<s:getctag/>",
            Self::SyncToken => "<d:sync-token/>",
            Self::DisplayName => "<d:displayname/>",
            Self::Colour => "<a:calendar-color/>",
            Self::Owner => "<d:owner/>",
            Self::CurrentUserPrincipal => "<d:current-user-principal/>",
            Self::CalendarHomeSet => "<c:calendar-home-set/>",
            Self::CalendarUserAddressSet => "<c:calendar-user-address-set/>",
            Self::CalendarTimezone => "<c:calendar-timezone/>",
            Self::SupportedReportSet => "<d:supported-report-set/>",
            Self::CurrentUserPrivilegeSet => "<d:current-user-privilege-set/>",
            Self::SupportedComponents => "<c:supported-calendar-component-set/>",
            Self::MaxResourceSize => "<c:max-resource-size/>",
        }
    }
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";
const NAMESPACES: &str = " xmlns:d=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\"";
const MORE_NAMESPACES: &str =
    " xmlns:s=\"http://calendarserver.org/ns/\" xmlns:a=\"http://apple.com/ns/ical/\"";

/// The body of a PROPFIND for these properties (RFC 4918, 9.1).
pub fn propfind(props: &[Prop]) -> Vec<u8> {
    let props: String = props.iter().map(|prop| prop.element()).collect();
    format!(
        "{DECLARATION}<d:propfind{NAMESPACES}{MORE_NAMESPACES}><d:prop>{props}</d:prop></d:propfind>"
    )
    .into_bytes()
}

/// The body of a sync-collection REPORT (RFC 6578, 3.2) for ETags: from `token` on, or from the
/// beginning. It asks for no limit, because some servers lose what is beyond it.
pub fn sync_collection(token: Option<&str>) -> Vec<u8> {
    let mut body = format!("{DECLARATION}<d:sync-collection xmlns:d=\"DAV:\"><d:sync-token>");
    escape(token.unwrap_or_default(), &mut body);
    body.push_str(
        "</d:sync-token><d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop></d:sync-collection>",
    );
    body.into_bytes()
}

/// The body of a calendar-multiget REPORT (RFC 4791, 7.9) for these hrefs: with their data, schedule tag
/// and time of change, or for their ETags alone.
pub fn multiget(hrefs: &[&str], with_data: bool) -> Vec<u8> {
    let props = match with_data {
        true => "<d:getetag/><c:schedule-tag/><d:getlastmodified/><c:calendar-data/>",
        false => "<d:getetag/>",
    };
    let mut body =
        format!("{DECLARATION}<c:calendar-multiget{NAMESPACES}><d:prop>{props}</d:prop>");
    for href in hrefs {
        body.push_str("<d:href>");
        escape(href, &mut body);
        body.push_str("</d:href>");
    }
    body.push_str("</c:calendar-multiget>");
    body.into_bytes()
}

fn escape(text: &str, to: &mut String) {
    for character in text.chars() {
        match character {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            // Reading would make a line feed of it.
            '\r' => to.push_str("&#13;"),
            other => to.push(other),
        }
    }
}
