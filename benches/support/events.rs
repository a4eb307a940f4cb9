//! Events like those of real calendars.

use std::fmt::Write as _;

use meetbridge::clock::Clock as _;
use meetbridge::daemon::clock::SystemClock;

/// A calendar with these events, each of its own UID, on the days to come; every tenth is a series.
pub(crate) fn calendar(events: std::ops::Range<usize>, attendees: bool) -> String {
    let mut text = String::from(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//Calendar 1.0//EN\r\n\
         BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\n\
         BEGIN:DAYLIGHT\r\nDTSTART:19810329T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\n\
         TZNAME:CEST\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\n\
         BEGIN:STANDARD\r\nDTSTART:19961027T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\n\
         TZNAME:CET\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n",
    );
    let today = SystemClock::new().now();
    for n in events {
        let day = today + chrono::Duration::days(2 + (n % 300) as i64);
        let (day, hour) = (day.format("%Y%m%d"), 8 + n % 9);
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "BEGIN:VEVENT\r\nUID:{n:08}-4c1d-4f0e-9b7a-2f6f3f0d5a11@example.org\r\n\
             DTSTAMP:20250101T080000Z\r\nCREATED:20250101T080000Z\r\nLAST-MODIFIED:20250101T080000Z\r\n\
             SUMMARY:Weekly review of project {n} and its open questions\r\n\
             DTSTART;TZID=Europe/Berlin:{day}T{hour:02}0000\r\n\
             DTEND;TZID=Europe/Berlin:{day}T{hour:02}4500\r\n\
             DESCRIPTION:Agenda:\\n1. What was done since the last time\\n2. What is in the\r\n  way\\n\
             3. What comes next\\n\\nPlease add your points to the shared notes.\r\n\
             SEQUENCE:1\r\nSTATUS:CONFIRMED\r\nTRANSP:OPAQUE\r\n"
        );
        if n % 10 == 9 {
            text += "RRULE:FREQ=WEEKLY;COUNT=20\r\n";
        }
        if attendees {
            text += "ORGANIZER;CN=Alice Example:mailto:alice@example.org\r\n\
                     ATTENDEE;CN=Bob Example;PARTSTAT=ACCEPTED;RSVP=TRUE:mailto:bob@example.org\r\n\
                     ATTENDEE;CN=Carol Example;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:carol@example.\r\n org\r\n";
        }
        text += "BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT15M\r\nDESCRIPTION:Reminder\r\n\
                 END:VALARM\r\nEND:VEVENT\r\n";
    }
    text + "END:VCALENDAR\r\n"
}
