//! The organizers in whose Outlook calendars events are mirrored: their mailboxes. Network.

use super::graph::{consent, failure, listed, silence};
use super::report::Line;
use crate::config::{Api, Behind, Config};
use crate::meeting::graph::GraphMeetings;
use crate::meeting::graph::probe::{
    Access, CALENDARS, Claims, Mailbox, MailboxFault, OrganizerFault,
};
use crate::model::{CalendarName, OrganizerId};

/// Somebody whose Outlook calendar is to hold events.
pub(super) struct Mirrored {
    pub(super) id: OrganizerId,
    /// Whose events.
    calendars: Vec<CalendarName>,
    /// The names of the Outlook calendars that they are put into, besides the default one.
    names: Vec<String>,
    /// What is configured that takes the online meeting behind an event.
    behind: Behind,
}

/// What Outlook says of a mailbox, and what stands in the way of the online meetings behind its events;
/// `None`: that was not asked.
pub(super) type Answer = (
    Result<Mailbox, MailboxFault>,
    Option<Result<(), OrganizerFault>>,
);

/// Each organizer once whose Outlook calendar enabled calendars are mirrored into, in file order.
pub(super) fn mirrored(config: &Config) -> Vec<Mirrored> {
    let mut all: Vec<Mirrored> = Vec::new();
    for calendar in config.enabled() {
        let Api::CalendarEvent { calendar: name, .. } = &calendar.api else {
            continue;
        };
        for id in std::iter::once(&calendar.organizer).chain(calendar.organizers.values()) {
            if !all.iter().any(|one| one.id == *id) {
                all.push(Mirrored {
                    id: id.clone(),
                    calendars: Vec::new(),
                    names: Vec::new(),
                    behind: Behind::default(),
                });
            }
            let Some(one) = all.iter_mut().find(|one| one.id == *id) else {
                continue;
            };
            if one.calendars.last() != Some(&calendar.name) {
                one.calendars.push(calendar.name.clone());
                let behind = Behind::of([calendar]);
                one.behind.shown.extend(behind.shown);
                one.behind.set.extend(behind.set);
            }
            let name = name.iter().find(|name| !one.names.contains(name));
            one.names.extend(name.cloned());
        }
    }
    all
}

/// Asks about one of them.
pub(super) async fn about(meetings: &GraphMeetings, one: &Mirrored) -> Answer {
    let names: Vec<&str> = one.names.iter().map(String::as_str).collect();
    let mailbox = meetings.probe_mailbox(&one.id, &names).await;
    let behind = match one.behind.is_empty() {
        true => None,
        false => Some(meetings.probe_organizer(&one.id).await),
    };
    (mailbox, behind)
}

/// What the token says of the permission that events take. Exchange can give it past the token, by a role
/// for some mailboxes.
pub(super) fn permission(
    meetings: &GraphMeetings,
    claims: Option<&Claims>,
    answers: &[Option<Answer>],
) -> Option<Line> {
    let access = meetings.access();
    let has = access.permissions(claims?);
    if has.iter().any(|name| name.eq_ignore_ascii_case(CALENDARS)) {
        return None;
    }
    let reads = has.iter().any(|name| name.starts_with("Calendars."));
    let is_let_in = |answer: &Option<Answer>| matches!(answer, Some((Ok(_), _)));
    if access == Access::Application && !reads && answers.iter().all(is_let_in) {
        return Some(Line::note(format!(
            "the token does not name {CALENDARS}, and each mailbox may be used: so Exchange gives it, by \
             a role for these"
        )));
    }
    let line = Line::error(format!("the token lacks the permission {CALENDARS}"));
    Some(consent(meetings, CALENDARS, line))
}

/// What Outlook says of each of them. What is no fault of one is told once, and so is what will be
/// missing of the meetings.
pub(super) fn lines(
    meetings: &GraphMeetings,
    claims: Option<&Claims>,
    mirrored: &[Mirrored],
    answers: Vec<Option<Answer>>,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let (mut unasked, mut common) = (Vec::new(), Vec::<(String, Line)>::new());
    let mut missing = Missing::default();
    for (one, answer) in mirrored.iter().zip(answers) {
        let Some((mailbox, behind)) = answer else {
            unasked.push(one.id.to_string());
            continue;
        };
        match mailbox {
            Ok(mailbox) => lines.extend(mailbox_lines(one, &mailbox)),
            Err(MailboxFault::Other(error)) => {
                let text = error.to_string();
                if !common.iter().any(|(known, _)| *known == text) {
                    common.push((text, failure(&error, " (Outlook calendars)")));
                }
            }
            Err(fault) => lines.push(fault_line(one, &fault)),
        }
        missing.note(meetings, claims, one, behind);
    }
    lines.extend(common.into_iter().map(|(_, line)| line));
    if !unasked.is_empty() {
        let of = listed(&unasked);
        let what = format!("nothing is known of the Outlook calendars of these organizers: {of}");
        lines.push(silence("Graph", &what));
    }
    lines.extend(missing.line(meetings));
    lines
}

fn mailbox_lines(one: &Mirrored, mailbox: &Mailbox) -> Vec<Line> {
    let name = name(one);
    let allowed = match mailbox.allowed.is_empty() {
        true => "none".to_owned(),
        false => mailbox.allowed.join(", "),
    };
    let default = mailbox.default.as_deref().unwrap_or("not told");
    let told = format!("online meetings allowed there: {allowed}; by default: {default}");
    let mut lines = vec![match mailbox.has_teams() {
        true => Line::ok(format!("{name}: the Outlook calendar may be used; {told}")),
        false => Line::error(format!("{name}: the mailbox has no meetings of Teams; {told}")).hint(
            "give the organizer a Teams licence beside the mailbox in Exchange Online, and see that Teams \
             is their provider of online meetings; or use api = \"online-meeting\"",
        ),
    }];
    for missing in &mailbox.missing {
        lines.push(
            Line::error(format!("{name}: there is no Outlook calendar named \"{missing}\"")).hint(
                "make it in Outlook, or correct `outlook-calendar`; without it, the organizer's default \
                 calendar is used",
            ),
        );
    }
    lines
}

fn fault_line(one: &Mirrored, fault: &MailboxFault) -> Line {
    let line = Line::error(format!("{}: {fault}", name(one)));
    match fault {
        MailboxFault::Unknown(_) => line
            .hint(
                "`organizer` is the object id of a user in this tenant with a mailbox in Exchange Online; \
                 this prints it for an address:",
            )
            .paste(["az ad user show --id ADDRESS --query id".to_owned()]),
        _ => line.hint(format!(
            "grant the app the permission {CALENDARS} with admin consent; where Exchange gives it by a \
             role, see that the role's scope has this mailbox (it may take two hours to have an effect)"
        )),
    }
}

/// What will be missing of meetings that are events, and whose, and why.
#[derive(Default)]
struct Missing {
    behind: Behind,
    organizers: Vec<String>,
    why: Option<String>,
}

impl Missing {
    fn note(
        &mut self,
        meetings: &GraphMeetings,
        claims: Option<&Claims>,
        one: &Mirrored,
        answer: Option<Result<(), OrganizerFault>>,
    ) {
        let access = meetings.access();
        let needed = access.permission();
        let may_set = claims.is_none_or(|claims| {
            let mut has = access.permissions(claims).iter();
            has.any(|name| name.eq_ignore_ascii_case(needed))
        });
        let why = match answer {
            Some(Err(fault @ (OrganizerFault::NoPolicy(_) | OrganizerFault::Forbidden(_)))) => {
                self.behind.shown.extend(&one.behind.shown);
                fault.to_string()
            }
            Some(Ok(())) if !may_set && !one.behind.set.is_empty() => {
                format!("the token lacks {needed}")
            }
            // What else is wrong is wrong with the mailbox, too, or says nothing of what is missing.
            None | Some(_) => return,
        };
        self.behind.set.extend(&one.behind.set);
        self.organizers.push(one.id.to_string());
        self.why.get_or_insert(why);
    }

    fn line(self, meetings: &GraphMeetings) -> Option<Line> {
        let why = self.why?;
        let what = format!(
            "left out of meetings that are Outlook events: {} (organizers: {}), since {why}",
            self.behind,
            listed(&self.organizers),
        );
        let line = match self.behind.set.is_empty() {
            true => Line::note(what),
            false => Line::warning(what),
        };
        let policy = match meetings.access() {
            Access::Application => ", and its application access policy for the organizers",
            Access::Delegated => "",
        };
        Some(line.hint(format!(
            "these take the permission {}{policy}, as online meetings do; or take them out of the \
             configuration",
            meetings.access().permission()
        )))
    }
}

fn name(one: &Mirrored) -> String {
    let names = one.calendars.iter().map(ToString::to_string);
    let names = listed(&names.collect::<Vec<_>>());
    format!("organizer {} (calendars: {names})", one.id)
}
