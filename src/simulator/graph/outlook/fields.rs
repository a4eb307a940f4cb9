//! Which properties the body of an event may have, and of which type (graph-api.md, section 9). Pure.

use crate::simulator::graph::shape::Fields;
use crate::simulator::graph::shape::Shape::{
    self, Bool, Choice, Closed, Date, Int, List, Number, Text, Time,
};

const WHEN: Shape = Closed(&[("dateTime", Text), ("timeZone", Text)]);
const ADDRESS: Fields = &[("address", Text), ("name", Text)];
const LOCATION: Shape = Closed(&[
    (
        "address",
        Closed(&[
            ("city", Text),
            ("countryOrRegion", Text),
            ("postalCode", Text),
            ("state", Text),
            ("street", Text),
        ]),
    ),
    (
        "coordinates",
        Closed(&[
            ("accuracy", Number),
            ("altitude", Number),
            ("altitudeAccuracy", Number),
            ("latitude", Number),
            ("longitude", Number),
        ]),
    ),
    ("displayName", Text),
    ("locationEmailAddress", Text),
    (
        "locationType",
        Choice(&[
            "default",
            "conferenceRoom",
            "homeAddress",
            "businessAddress",
            "geoCoordinates",
            "streetAddress",
            "hotel",
            "restaurant",
            "localBusiness",
            "postalAddress",
        ]),
    ),
    ("locationUri", Text),
    ("uniqueId", Text),
    (
        "uniqueIdType",
        Choice(&["unknown", "locationStore", "directory", "private", "bing"]),
    ),
]);
const ATTENDEE: Shape = Closed(&[
    ("emailAddress", Closed(ADDRESS)),
    ("type", Choice(&["required", "optional", "resource"])),
    ("proposedNewTime", Closed(&[("end", WHEN), ("start", WHEN)])),
    (
        "status",
        Closed(&[
            (
                "response",
                Choice(&[
                    "none",
                    "organizer",
                    "tentativelyAccepted",
                    "accepted",
                    "declined",
                    "notResponded",
                ]),
            ),
            ("time", Time),
        ]),
    ),
]);
const DAY: Shape = Choice(&[
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
]);
const RECURRENCE: Shape = Closed(&[
    (
        "pattern",
        Closed(&[
            ("dayOfMonth", Int),
            ("daysOfWeek", List(&DAY)),
            ("firstDayOfWeek", DAY),
            (
                "index",
                Choice(&["first", "second", "third", "fourth", "last"]),
            ),
            ("interval", Int),
            ("month", Int),
            (
                "type",
                Choice(&[
                    "daily",
                    "weekly",
                    "absoluteMonthly",
                    "relativeMonthly",
                    "absoluteYearly",
                    "relativeYearly",
                ]),
            ),
        ]),
    ),
    (
        "range",
        Closed(&[
            ("endDate", Date),
            ("numberOfOccurrences", Int),
            ("recurrenceTimeZone", Text),
            ("startDate", Date),
            ("type", Choice(&["endDate", "noEnd", "numbered"])),
        ]),
    ),
]);

/// The properties that PATCH can change.
pub(super) const EVENT: Fields = &[
    ("categories", List(&Text)),
    ("allowNewTimeProposals", Bool),
    ("attendees", List(&ATTENDEE)),
    (
        "body",
        Closed(&[
            ("content", Text),
            ("contentType", Choice(&["text", "html"])),
        ]),
    ),
    ("end", WHEN),
    ("hideAttendees", Bool),
    ("importance", Choice(&["low", "normal", "high"])),
    ("isAllDay", Bool),
    ("isOnlineMeeting", Bool),
    ("isReminderOn", Bool),
    ("location", LOCATION),
    ("locations", List(&LOCATION)),
    (
        "onlineMeetingProvider",
        Choice(&[
            "unknown",
            "skypeForBusiness",
            "skypeForConsumer",
            "teamsForBusiness",
        ]),
    ),
    ("recurrence", RECURRENCE),
    ("reminderMinutesBeforeStart", Int),
    ("responseRequested", Bool),
    (
        "sensitivity",
        Choice(&["normal", "personal", "private", "confidential"]),
    ),
    (
        "showAs",
        Choice(&[
            "unknown",
            "free",
            "tentative",
            "busy",
            "oof",
            "workingElsewhere",
        ]),
    ),
    ("start", WHEN),
    ("subject", Text),
    (
        "singleValueExtendedProperties",
        List(&Closed(&[("id", Text), ("value", Text)])),
    ),
];

/// What a new event takes beside [`EVENT`].
pub(super) const CREATE_ONLY: Fields = &[("transactionId", Text)];

/// The properties that only the service sets, or that never change.
pub(super) const FIXED: &[&str] = &[
    "id",
    "bodyPreview",
    "changeKey",
    "createdDateTime",
    "hasAttachments",
    "iCalUId",
    "isCancelled",
    "isDraft",
    "isOrganizer",
    "lastModifiedDateTime",
    "onlineMeeting",
    "onlineMeetingUrl",
    "organizer",
    "originalEndTimeZone",
    "originalStart",
    "originalStartTimeZone",
    "responseStatus",
    "seriesMasterId",
    "transactionId",
    "type",
    "webLink",
];

/// What `$select` can name of an event.
pub(super) fn selectable() -> Vec<&'static str> {
    let names = EVENT.iter().map(|field| field.0);
    let names = names.filter(|name| *name != "singleValueExtendedProperties");
    names.chain(FIXED.iter().copied()).collect()
}
