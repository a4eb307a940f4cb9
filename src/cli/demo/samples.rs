//! A few varied events for the demo, in the days after today.

use chrono::{DateTime, Datelike, Days, Utc};

/// The event that is shown before and after.
pub(super) const FIRST: &str = "quarterly-review.ics";

/// The files whose events get a link.
pub(super) const LINKED: [&str; 4] = [FIRST, "weekly.ics", "family-and-work.ics", "tagged.ics"];

/// Name and text of every sample.
pub(super) fn files(now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let day = |ahead: u64| {
        let date = now
            .date_naive()
            .checked_add_days(Days::new(ahead))
            .unwrap_or(now.date_naive());
        format!("{:04}{:02}{:02}", date.year(), date.month(), date.day())
    };
    let stamp = now.format("%Y%m%dT%H%M%SZ").to_string();
    let event = |uid: &str, lines: &[String]| {
        let mut text = format!("BEGIN:VEVENT\nUID:{uid}@demo.example\nDTSTAMP:{stamp}\n");
        lines.iter().for_each(|line| text += &format!("{line}\n"));
        text + "END:VEVENT\n"
    };
    let lines = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
    let at = |d: u64, hour: &str| {
        vec![
            format!("DTSTART:{}T{hour}0000Z", day(d)),
            "DURATION:PT1H".to_owned(),
        ]
    };
    let people = lines(&[
        "ORGANIZER;CN=Olga Organizer:mailto:organizer@simulator.example",
        "ATTENDEE;CN=\"Guest, Gustav\":mailto:gustav@example.org",
    ]);
    let review = [
        at(1, "09"),
        lines(&[
            "SUMMARY:Quarterly review",
            "DESCRIPTION:Bring the figures\\, please.\\nCoffee is there.",
        ]),
        people.clone(),
    ];
    let weekly = [
        at(2, "14"),
        lines(&["SUMMARY:Weekly", "RRULE:FREQ=WEEKLY;COUNT=20"]),
        people.clone(),
    ];
    let work = [
        at(3, "10"),
        lines(&["SUMMARY:Talk with a customer", "LOCATION:Room 3"]),
        people.clone(),
    ];
    let family = [at(3, "18"), lines(&["SUMMARY:Dinner"])];
    let tagged = [
        at(4, "08"),
        lines(&["SUMMARY:Alone\\, but #teams", "CATEGORIES:Focus"]),
    ];
    let zoom = [
        at(5, "11"),
        lines(&[
            "SUMMARY:Vendor call",
            "LOCATION:https://zoom.us/j/123456789",
        ]),
        people,
    ];
    vec![
        (
            FIRST,
            calendar("\r\n", &[event("review", &review.concat())]),
        ),
        (
            "weekly.ics",
            calendar("\n", &[event("weekly", &weekly.concat())]),
        ),
        (
            "family-and-work.ics",
            calendar(
                "\r\n",
                &[
                    event("work", &work.concat()),
                    event("family", &family.concat()),
                ],
            ),
        ),
        (
            "tagged.ics",
            calendar("\r\n", &[event("tagged", &tagged.concat())]),
        ),
        (
            "zoom.ics",
            calendar("\r\n", &[event("zoom", &zoom.concat())]),
        ),
    ]
}

fn calendar(eol: &str, events: &[String]) -> String {
    let text = format!(
        "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//meetbridge//demo//EN\n{}END:VCALENDAR\n",
        events.concat()
    );
    text.replace('\n', eol)
}
