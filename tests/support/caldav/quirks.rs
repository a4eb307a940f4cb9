//! What servers do differently, each as a switch, and what the measured ones do taken together.

/// What one server does. The default is a server that does all of it well.
#[derive(Clone, Debug)]
pub struct Quirks {
    /// The `Server` header.
    pub server: &'static str,
    /// What a 401 offers, in this order; empty: everybody is let in as the first user.
    pub auth: Vec<Auth>,
    /// Whether `/.well-known/caldav` asks for credentials too.
    pub auth_at_well_known: bool,
    /// A digest nonce is stale after this many uses.
    pub nonce_uses: Option<usize>,
    /// A refresh token is good once, and another comes with the access token.
    pub rotates_tokens: bool,
    /// 429 instead of 401 after this many wrong passwords.
    pub brute_force: Option<usize>,
    /// How `/.well-known/caldav` answers.
    pub well_known: WellKnown,
    /// Whether `/` knows current-user-principal; else it answers 405.
    pub principal_at_root: bool,
    /// Whether principals know calendar-user-address-set.
    pub addresses: bool,
    /// Whether sync-collection is supported; else 403 supported-report.
    pub sync_collection: bool,
    /// Whether sync-collection demands `Depth: 0` or none, as RFC 6578 does; else any Depth will do.
    pub sync_depth_strict: bool,
    /// What a client's `limit` does.
    pub sync_limit: SyncLimit,
    /// The server pages by itself after this many rows, with 507.
    pub sync_page: Option<usize>,
    /// Whether calendar-data is answered within sync-collection.
    pub sync_data: bool,
    /// A token that this server cannot have made.
    pub malformed_token: TokenAnswer,
    /// A token of the right form that it never gave out.
    pub unknown_token: TokenAnswer,
    /// A first sync lists members that were deleted, too.
    pub first_sync_tombstones: bool,
    /// What a missing sync-level (first) or an infinite one (second) answers: 400 where set.
    pub sync_level_refused: (bool, bool),
    /// How finely tokens tell changes.
    pub token: Granularity,
    /// Whether the DAV:sync-token property differs from the token of a report.
    pub token_property_differs: bool,
    /// sync-collection lists the collection itself among its members.
    pub sync_lists_itself: bool,
    /// How getctag tells changes; `None`: there is none.
    pub ctag: Option<Granularity>,
    /// Whether a PROPFIND on the home set tells getctag and sync-token of the calendars.
    pub home_tells_changes: bool,
    /// Whether a calendar has DAV:sync-token as a property.
    pub token_property: bool,
    /// When a PUT answers an ETag.
    pub etag_on_put: EtagOnPut,
    /// How ETags are made.
    pub etag: Etag,
    /// What happens to ETags on their way.
    pub etag_on_the_way: EtagOnTheWay,
    /// Each listing shows other ETags, though nothing changed.
    pub restless_etags: bool,
    /// What is done to a body that is stored.
    pub rewrite: Rewrite,
    /// Whether PUT honours If-Match.
    pub if_match: bool,
    /// Whether PUT honours `If-None-Match: *`.
    pub if_none_match: bool,
    /// Whether DELETE honours If-Match.
    pub delete_if_match: bool,
    /// The condition of a PUT is checked when it arrives and not again when it is stored.
    pub racy_put: bool,
    /// What PUT answers, whatever is put.
    pub put: Option<(u16, &'static str)>,
    /// Schedule-Tag and If-Schedule-Tag-Match (RFC 6638, 3.2.10).
    pub schedule_tag: bool,
    /// Whether a PUT with attendees puts copies into their calendars, and how they are named.
    pub scheduling: Option<CopyName>,
    /// Whether a changed LOCATION, SUMMARY or DESCRIPTION in an attendee's copy is refused (412).
    pub attendee_allowed: bool,
    /// CALDAV:max-resource-size, and whether it is enforced (413).
    pub max_resource_size: Option<(usize, bool)>,
    /// What a UID at a second href answers; `None`: it is stored.
    pub same_uid: Option<(u16, &'static str)>,
    /// What calendar-multiget does with an href that is not there.
    pub multiget_missing: MultigetMissing,
    /// The most hrefs that a calendar-multiget may name; more are 413.
    pub multiget_most: Option<usize>,
    /// Whether a chunked request body is taken; else 400.
    pub chunked: bool,
    /// Whether GET honours If-None-Match.
    pub get_if_none_match: bool,
    /// PROPFIND of an absent resource answers 207 with the 404 inside.
    pub absent_is_multistatus: bool,
    /// What a calendar-query without Depth answers.
    pub query_no_depth: QueryNoDepth,
    /// Connections are closed after each answer.
    pub close: bool,
    /// `Upgrade: h2c` is offered with each answer.
    pub offers_h2c: bool,
    /// Answers are compressed for whoever takes it.
    pub gzip: bool,
    /// How hrefs are written.
    pub hrefs: Hrefs,
    /// The prefix of DAV elements; empty: the default namespace.
    pub prefix: &'static str,
    /// How calendar-data stands in XML.
    pub data: Data,
    /// What listings leave out or make up.
    pub listing: Listing,
    /// Which tombstones sync-collection shows.
    pub tombstones: Tombstones,
    /// Whether privileges are told.
    pub privileges: bool,
}

/// A way to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Basic realm="fake"`.
    Basic,
    /// `basic realm="fake"`: the scheme in lower case.
    LowerBasic,
    /// Digest with MD5, qop="auth".
    DigestMd5,
    /// Digest with SHA-256, qop="auth".
    DigestSha256,
    /// A Digest that no answer satisfies.
    BrokenDigest,
    /// Bearer tokens.
    Bearer,
    /// A scheme that no client of ours knows.
    Scram,
    /// What iCloud offers beside Basic when an app password is wrong.
    MobileMe,
}

/// How `/.well-known/caldav` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WellKnown {
    /// A redirect with this status; the Location is absolute or only a path.
    Redirect {
        /// 301, 302, 307 or 308.
        status: u16,
        /// Whether the Location has scheme and host.
        absolute: bool,
    },
    /// A redirect to exactly this Location; `{port}` stands for the fake's port.
    To(String),
    /// 404.
    Absent,
}

/// What a client's `limit` in sync-collection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncLimit {
    /// Nothing.
    Ignored,
    /// The answer is cut with no 507, and the rest is never told.
    Cut,
    /// 507 and a token for the rest.
    Honoured,
}

/// What a token that is no good answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAnswer {
    /// This status with DAV:valid-sync-token.
    Refused(u16),
    /// 207 without any row.
    Nothing,
    /// 207 with all members, without tombstones.
    All,
    /// 207 with all members and all tombstones.
    AllAndTombstones,
}

/// How finely changes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// Each change counts.
    Exact,
    /// The change before the token is told again.
    Neighbours,
    /// By the second of the fake's clock.
    Seconds,
}

/// When a PUT answers an ETag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtagOnPut {
    /// Always, also when the stored body is another.
    Always,
    /// Never.
    Never,
    /// Unless the stored body is another.
    WhenUnaltered,
    /// Unless the body has attendees, which scheduling rewrites.
    UnlessScheduled,
}

/// How ETags are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Etag {
    /// A number that grows with each change of the server.
    Counter,
    /// The stored bytes' SHA-256.
    Content,
    /// How often the name was stored since it was created: a re-created one has the old tag.
    PerName,
}

/// What a proxy in front of the server does to ETags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtagOnTheWay {
    /// Nothing.
    Kept,
    /// All are shown weak; If-Match takes them only without the `W/`.
    Weak,
    /// All are weak, and If-Match takes them in no form.
    WeakForEver,
    /// All are shown weak, and If-Match is compared without the `W/`.
    WeakAndLenient,
    /// A compressed GET shows `W/`.
    WeakWhenCompressed,
    /// A compressed GET shows `-gzip` at the end of the tag.
    GzipSuffix,
}

/// What is done to a body that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// The properties of each component in alphabetical order.
    pub reorder: bool,
    /// RRULE parts in alphabetical order, GEO with more digits.
    pub values: bool,
    /// CATEGORIES in one line each.
    pub split_categories: bool,
    /// Quotes around parameters that need none are taken off.
    pub requote: bool,
    /// Quotes around parameters are taken off, also where they are needed.
    pub unquote: bool,
    /// A CONFERENCE is cut at its first comma.
    pub cut_conference: bool,
    /// An X-APPLE-STRUCTURED-LOCATION is cut at its first comma.
    pub cut_structured_location: bool,
    /// `CLASS:PUBLIC` is added where there is no CLASS.
    pub add_class: bool,
    /// Properties whose name begins with one of these are dropped.
    pub drop: Vec<&'static str>,
    /// The `;` of GEO is escaped, which breaks it.
    pub break_geo: bool,
    /// The organizer's own ATTENDEE is dropped.
    pub drop_own_attendee: bool,
    /// Line ends are LF.
    pub lf: bool,
    /// A footer is appended to each DESCRIPTION.
    pub footer: Option<&'static str>,
}

/// How an attendee's copy is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyName {
    /// `UID.ics`.
    Uid,
    /// Something else.
    Other,
}

/// What calendar-multiget does with an href that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultigetMissing {
    /// A row with 404.
    Row,
    /// The whole report answers 404.
    WholeReport,
    /// No row.
    Omitted,
}

/// What a calendar-query without Depth answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryNoDepth {
    /// As with `Depth: 1`.
    Works,
    /// No rows.
    Empty,
    /// 400.
    Refused,
}

/// How hrefs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hrefs {
    /// A path, percent-encoded as RFC 3986 asks for.
    Path,
    /// With scheme and host.
    Absolute,
    /// On another host, which is not this server.
    OtherHost,
    /// `@`, `!`, `'`, `(`, `)` and `~` encoded too, in lower-case hexadecimal.
    EncodedMore,
    /// As little as possible encoded: the blank, `%` and what XML needs; others stand as they are.
    EncodedLess,
}

/// How calendar-data stands in XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Escaped text, CR as `&#13;`.
    Escaped,
    /// Escaped text, CR as it is.
    RawCr,
    /// In CDATA sections.
    Sections,
}

/// What listings (PROPFIND Depth 1, a first sync, calendar-query) leave out or make up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// All members.
    Complete,
    /// None.
    Empty,
    /// Only so many, and nothing says so.
    Silent(usize),
    /// Only so many, and a 507 says so.
    Truncated(usize),
    /// The collection and all in it answer 404.
    Gone,
}

/// Which tombstones sync-collection shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tombstones {
    /// Those of the members that were deleted.
    True,
    /// None.
    Missing,
    /// Also one of a member that never was.
    NeverWas,
    /// Also of all members that exist.
    OfAll,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            server: "fake",
            auth: vec![Auth::Basic],
            auth_at_well_known: false,
            nonce_uses: None,
            rotates_tokens: false,
            brute_force: None,
            well_known: WellKnown::Redirect {
                status: 301,
                absolute: false,
            },
            principal_at_root: true,
            addresses: true,
            sync_collection: true,
            sync_depth_strict: true,
            sync_limit: SyncLimit::Honoured,
            sync_page: None,
            sync_data: false,
            malformed_token: TokenAnswer::Refused(403),
            unknown_token: TokenAnswer::Refused(403),
            first_sync_tombstones: false,
            sync_level_refused: (true, true),
            token: Granularity::Exact,
            token_property_differs: false,
            sync_lists_itself: false,
            ctag: Some(Granularity::Exact),
            home_tells_changes: true,
            token_property: true,
            etag_on_put: EtagOnPut::WhenUnaltered,
            etag: Etag::Counter,
            etag_on_the_way: EtagOnTheWay::Kept,
            restless_etags: false,
            rewrite: Rewrite::default(),
            if_match: true,
            if_none_match: true,
            delete_if_match: true,
            racy_put: false,
            put: None,
            schedule_tag: false,
            scheduling: None,
            attendee_allowed: false,
            max_resource_size: None,
            same_uid: Some((403, "no-uid-conflict")),
            multiget_missing: MultigetMissing::Row,
            multiget_most: None,
            chunked: true,
            get_if_none_match: true,
            absent_is_multistatus: false,
            query_no_depth: QueryNoDepth::Empty,
            close: false,
            offers_h2c: false,
            gzip: true,
            hrefs: Hrefs::Path,
            prefix: "d",
            data: Data::Escaped,
            listing: Listing::Complete,
            tombstones: Tombstones::True,
            privileges: true,
        }
    }
}
