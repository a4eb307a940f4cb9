//! The measured servers.

use super::quirks::*;

/// The servers of `reference/caldav-servers.md`, column by column.
impl Quirks {
    /// Every profile with its name.
    pub fn servers() -> [(&'static str, Self); 7] {
        [
            ("radicale", Self::radicale()),
            ("xandikos", Self::xandikos()),
            ("sabredav 1.8", Self::sabredav_1_8()),
            ("sabredav 4.7", Self::sabredav_4_7()),
            ("cyrus", Self::cyrus()),
            ("davical", Self::davical()),
            ("sogo", Self::sogo()),
        ]
    }

    /// What the measured servers have in common, where it is not what the RFC asks for.
    fn measured(server: &'static str) -> Self {
        Self {
            server,
            sync_depth_strict: false,
            sync_limit: SyncLimit::Ignored,
            sync_level_refused: (false, false),
            query_no_depth: QueryNoDepth::Works,
            same_uid: None,
            ..Self::default()
        }
    }

    /// Radicale.
    pub fn radicale() -> Self {
        Self {
            sync_data: true,
            first_sync_tombstones: true,
            etag: Etag::Content,
            etag_on_put: EtagOnPut::Always,
            rewrite: Rewrite {
                reorder: true,
                requote: true,
                cut_conference: true,
                cut_structured_location: true,
                ..Rewrite::default()
            },
            max_resource_size: Some((10_000_000, false)),
            same_uid: Some((409, "no-uid-conflict")),
            chunked: false,
            get_if_none_match: false,
            prefix: "",
            data: Data::RawCr,
            ..Self::measured("Radicale")
        }
    }

    /// Xandikos behind a proxy that signs in.
    pub fn xandikos() -> Self {
        Self {
            auth_at_well_known: true,
            well_known: WellKnown::Redirect {
                status: 302,
                absolute: false,
            },
            sync_limit: SyncLimit::Cut,
            malformed_token: TokenAnswer::Refused(412),
            unknown_token: TokenAnswer::Refused(412),
            sync_level_refused: (true, true),
            etag: Etag::Content,
            etag_on_put: EtagOnPut::Always,
            rewrite: Rewrite {
                reorder: true,
                values: true,
                requote: true,
                ..Rewrite::default()
            },
            schedule_tag: true,
            scheduling: Some(CopyName::Uid),
            attendee_allowed: true,
            same_uid: Some((412, "no-uid-conflict")),
            absent_is_multistatus: true,
            query_no_depth: QueryNoDepth::Empty,
            prefix: "ns0",
            data: Data::RawCr,
            ..Self::measured("Xandikos")
        }
    }

    /// sabre/dav 1.8.
    pub fn sabredav_1_8() -> Self {
        Self {
            auth: vec![Auth::DigestMd5, Auth::Basic],
            sync_collection: false,
            token_property: false,
            etag_on_put: EtagOnPut::Always,
            racy_put: true,
            multiget_missing: MultigetMissing::WholeReport,
            close: true,
            etag: Etag::Content,
            ..Self::measured("sabredav")
        }
    }

    /// sabre/dav 4.7.
    pub fn sabredav_4_7() -> Self {
        Self {
            auth: vec![Auth::DigestMd5, Auth::Basic],
            sync_data: true,
            unknown_token: TokenAnswer::Nothing,
            etag_on_put: EtagOnPut::UnlessScheduled,
            etag: Etag::Content,
            racy_put: true,
            scheduling: Some(CopyName::Other),
            max_resource_size: Some((10_000_000, false)),
            multiget_missing: MultigetMissing::Omitted,
            query_no_depth: QueryNoDepth::Refused,
            close: true,
            ..Self::measured("sabredav")
        }
    }

    /// Cyrus IMAP.
    pub fn cyrus() -> Self {
        Self {
            auth: vec![Auth::Basic, Auth::Scram],
            well_known: WellKnown::Redirect {
                status: 301,
                absolute: true,
            },
            sync_limit: SyncLimit::Honoured,
            sync_data: true,
            sync_level_refused: (false, true),
            etag_on_put: EtagOnPut::UnlessScheduled,
            rewrite: Rewrite {
                values: true,
                requote: true,
                split_categories: true,
                ..Rewrite::default()
            },
            schedule_tag: true,
            scheduling: Some(CopyName::Uid),
            max_resource_size: Some((2 << 30, false)),
            same_uid: Some((403, "unique-scheduling-object-resource")),
            offers_h2c: true,
            prefix: "D",
            data: Data::Sections,
            ..Self::measured("Cyrus")
        }
    }

    /// DAViCal.
    pub fn davical() -> Self {
        Self {
            well_known: WellKnown::Redirect {
                status: 301,
                absolute: true,
            },
            principal_at_root: false,
            malformed_token: TokenAnswer::All,
            unknown_token: TokenAnswer::All,
            token: Granularity::Neighbours,
            etag: Etag::Content,
            etag_on_put: EtagOnPut::UnlessScheduled,
            racy_put: true,
            scheduling: Some(CopyName::Uid),
            multiget_missing: MultigetMissing::Omitted,
            get_if_none_match: false,
            prefix: "",
            ..Self::measured("DAViCal")
        }
    }

    /// SOGo.
    pub fn sogo() -> Self {
        Self {
            auth: vec![Auth::LowerBasic],
            well_known: WellKnown::Redirect {
                status: 301,
                absolute: true,
            },
            principal_at_root: false,
            sync_data: true,
            malformed_token: TokenAnswer::AllAndTombstones,
            unknown_token: TokenAnswer::Nothing,
            token: Granularity::Seconds,
            token_property_differs: true,
            ctag: Some(Granularity::Seconds),
            etag: Etag::PerName,
            etag_on_put: EtagOnPut::Always,
            rewrite: Rewrite {
                add_class: true,
                unquote: true,
                break_geo: true,
                drop_own_attendee: true,
                ..Rewrite::default()
            },
            if_none_match: false,
            delete_if_match: false,
            scheduling: Some(CopyName::Uid),
            same_uid: Some((409, "")),
            prefix: "D",
            ..Self::measured("SOGo")
        }
    }
}
