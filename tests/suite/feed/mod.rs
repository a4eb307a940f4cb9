//! Feeds: passes with a real state over the real port, against a web server of the test's own.

mod passes;
pub(crate) mod web;
mod world;

/// The last number in a UID.
pub(crate) fn number(uid: &str) -> u32 {
    let digits: String = uid.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// An event of the day with this number, on which the tests begin at 0.
pub(crate) fn event(uid: &str, day: u32, more: &str) -> String {
    format!(
        "BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20261001T000000Z\r\n\
         DTSTART:202611{:02}T100000Z\r\nDTEND:202611{:02}T110000Z\r\nSUMMARY:Event {uid}\r\n{more}\
         END:VEVENT\r\n",
        day + 1,
        day + 1,
    )
}

/// A calendar with these events.
pub(crate) fn calendar(events: &[String]) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nX-WR-CALNAME:Events\r\n{}\
         END:VCALENDAR\r\n",
        events.concat()
    )
}

/// The text without folding.
pub(crate) fn unfold(text: &str) -> String {
    text.replace("\r\n ", "").replace("\n ", "")
}
