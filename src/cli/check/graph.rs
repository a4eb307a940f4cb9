//! Entra and Graph: the token, the clock, and each organizer. Network.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::mailboxes;
use super::online::within;
use super::report::Line;
use crate::clock::Clock;
use crate::config::Config;
use crate::ical::block::Show;
use crate::meeting::MeetingError;
use crate::meeting::graph::GraphMeetings;
use crate::meeting::graph::probe::{Access, CALENDARS, Claims, OrganizerFault};
use crate::model::{CalendarName, OrganizerId};
use crate::state::State;

/// From where on a clock that is off is told of, and from where on it is a fault: tokens and
/// assertions are good for minutes.
const SKEW: (TimeDelta, TimeDelta) = (TimeDelta::seconds(60), TimeDelta::seconds(300));
/// How many of an organizer's known meetings are looked at for one that is still there.
const MEETINGS: u32 = 3;
/// What helps against silence.
const SILENT: &str = "check the network, and check again in some minutes";
/// How many calendars, or organizers, are named in a line.
const NAMED: usize = 5;

/// Somebody who is to own meetings.
struct Organizer {
    id: OrganizerId,
    /// Whose events.
    calendars: Vec<CalendarName>,
    /// Whether events are to show how to dial in.
    wants_dial_in: bool,
}

/// What Graph says of an organizer, and whether the organizer's meetings have dial-in data; `None`:
/// that is not known.
type Answer = (Result<(), OrganizerFault>, Option<bool>);

/// What Entra and Graph say.
pub(super) async fn ask(
    config: &Config,
    meetings: &GraphMeetings,
    state: &State,
    clock: &dyn Clock,
) -> Vec<Line> {
    let organizers = organizers(config);
    let mirrored = mailboxes::mirrored(config);
    let token = within(&[()], clock, |()| meetings.probe_token()).await;
    let mut lines = match token.into_iter().next().flatten() {
        Some(Ok(claims)) => {
            let asked = within(&organizers, clock, |organizer| {
                about(meetings, state, organizer)
            });
            let looked = within(&mirrored, clock, |one| mailboxes::about(meetings, one));
            let (asked, looked) = tokio::join!(asked, looked);
            let claims = claims.as_ref();
            let mut lines = token_lines(config, meetings, claims);
            if !organizers.is_empty() {
                lines.extend(permission_line(meetings, claims));
            }
            if !mirrored.is_empty() {
                lines.extend(mailboxes::permission(meetings, claims, &looked));
            }
            lines.extend(organizer_lines(config, &organizers, asked));
            lines.extend(mailboxes::lines(meetings, claims, &mirrored, looked));
            lines
        }
        other => {
            let all = organizers.iter().map(|one| &one.id);
            let all: BTreeSet<_> = all.chain(mirrored.iter().map(|one| &one.id)).collect();
            let n = all.len();
            let unasked = format!("without a token nothing is known of the organizers: {n}");
            let why = match other {
                Some(Err(error)) => {
                    let apis = (!organizers.is_empty(), !mirrored.is_empty());
                    no_token(meetings, apis, &error)
                }
                _ => silence("Entra", "there is no token"),
            };
            vec![why, Line::note(unasked)]
        }
    };
    lines.extend(clock_line(meetings));
    lines
}

/// Each organizer of online meetings of the enabled calendars once, in file order.
fn organizers(config: &Config) -> Vec<Organizer> {
    let mut all: Vec<Organizer> = Vec::new();
    for calendar in config.enabled().filter(|one| !one.api.is_mirror()) {
        let wants = |show: &Show| {
            matches!(
                show,
                Show::TollNumbers | Show::TollFreeNumbers | Show::DialinUrl
            )
        };
        let wants_dial_in = calendar.show.iter().any(wants);
        for id in std::iter::once(&calendar.organizer).chain(calendar.organizers.values()) {
            match all.iter_mut().find(|organizer| organizer.id == *id) {
                Some(known) => {
                    known.wants_dial_in |= wants_dial_in;
                    if known.calendars.last() != Some(&calendar.name) {
                        known.calendars.push(calendar.name.clone());
                    }
                }
                None => all.push(Organizer {
                    id: id.clone(),
                    calendars: vec![calendar.name.clone()],
                    wants_dial_in,
                }),
            }
        }
    }
    all
}

/// Asks about one organizer. A known meeting that Graph shows settles what else is in doubt.
async fn about(meetings: &GraphMeetings, state: &State, organizer: &Organizer) -> Answer {
    use OrganizerFault::{Doubtful, NoAnswer};
    let answer = meetings.probe_organizer(&organizer.id).await;
    let in_doubt = matches!(answer, Err(Doubtful(_) | NoAnswer(_)));
    if !(in_doubt || (answer.is_ok() && organizer.wants_dial_in)) {
        return (answer, None);
    }
    match dial_in(meetings, state, &organizer.id).await {
        None => (answer, None),
        found => (Ok(()), found),
    }
}

/// Whether a meeting that the state knows of the organizer shows dial-in data.
async fn dial_in(meetings: &GraphMeetings, state: &State, organizer: &OrganizerId) -> Option<bool> {
    let known = state.newest_meetings(organizer, MEETINGS).ok()?;
    for record in known {
        match meetings.probe_dial_in(&record.meeting, organizer).await {
            Ok(None) => {}
            Ok(found) => return found,
            Err(_) => return None,
        }
    }
    None
}

/// What the token says of itself.
fn token_lines(config: &Config, meetings: &GraphMeetings, claims: Option<&Claims>) -> Vec<Line> {
    let Some(claims) = claims else {
        return vec![Line::ok(
            "token: Entra gives one; it cannot be looked into, so its permissions are not known",
        )];
    };
    let access = meetings.access();
    let has = access.permissions(claims);
    let tenant = claims.tenant.as_deref().unwrap_or("not told");
    let mut lines = vec![Line::ok(format!(
        "token: Entra gives one; tenant: {tenant}; permissions: {}",
        match has {
            [] => "none".to_owned(),
            has => has.join(", "),
        }
    ))];
    let configured = &config.graph.tenant;
    // A domain name may be of any tenant.
    let is_id = uuid::Uuid::try_parse(configured).is_ok();
    if let Some(tenant) = &claims.tenant
        && is_id
        && !tenant.eq_ignore_ascii_case(configured)
    {
        let what = format!("the token is of tenant {tenant}, and `tenant` is {configured}");
        lines.push(Line::error(what).hint(
            "check `tenant` and `authority-url`: the organizers must be users of the token's tenant",
        ));
    }
    lines
}

/// That the token lacks the permission that online meetings take, if it does.
fn permission_line(meetings: &GraphMeetings, claims: Option<&Claims>) -> Option<Line> {
    let access = meetings.access();
    let mut has = access.permissions(claims?).iter();
    let needed = access.permission();
    let lacks = !has.any(|name| name.eq_ignore_ascii_case(needed));
    lacks.then(|| {
        let what = format!("the token lacks the permission {needed}");
        consent(meetings, needed, Line::error(what))
    })
}

/// How the permission `needed` is given.
pub(super) fn consent(meetings: &GraphMeetings, needed: &str, line: Line) -> Line {
    let kind = match meetings.access() {
        Access::Application => "Application",
        Access::Delegated => "Delegated",
    };
    line.hint(format!(
        "in the Entra admin center, open the app registration, then API permissions, Add a permission, \
         Microsoft Graph, {kind} permissions, {needed}; then an administrator presses Grant admin \
         consent there, or opens this page:"
    ))
    .paste([meetings.consent_page().to_string()])
}

/// Why there is no token; `online` and `mirrored`: which APIs make meetings.
fn no_token(
    meetings: &GraphMeetings,
    (online, mirrored): (bool, bool),
    error: &MeetingError,
) -> Line {
    let text = error.to_string();
    let access = meetings.access();
    // A person is asked for both.
    let online = online || access == Access::Delegated;
    let needed = match (online, mirrored) {
        (true, false) => access.permission().to_owned(),
        (true, true) => format!("{} and {CALENDARS}", access.permission()),
        (false, _) => CALENDARS.to_owned(),
    };
    match error {
        MeetingError::Credential(_) if text.contains(access.permission()) => {
            consent(meetings, &needed, Line::failure(&text))
        }
        _ => failure(error, ""),
    }
}

/// An error that does not concern one organizer alone; `of` says whom it concerns.
pub(super) fn failure(error: &MeetingError, of: &str) -> Line {
    match error {
        MeetingError::Throttled { .. } => {
            Line::warning(format!("{error}{of}")).hint("check again after that")
        }
        _ => match error.to_string().split_once("; ") {
            Some((what, hint)) => Line::error(format!("{what}{of}")).hint(hint),
            None => Line::error(format!("{error}{of}")).hint(SILENT),
        },
    }
}

pub(super) fn silence(of: &str, what: &str) -> Line {
    Line::error(format!("{of} did not answer in time, so {what}")).hint(SILENT)
}

/// What Graph says of each organizer. What is no fault of one is told once.
fn organizer_lines(
    config: &Config,
    organizers: &[Organizer],
    answers: Vec<Option<Answer>>,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut common: Vec<(MeetingError, Vec<String>)> = Vec::new();
    let (mut unasked, mut policy_told) = (Vec::new(), false);
    for (organizer, answer) in organizers.iter().zip(answers) {
        match answer {
            None => unasked.push(organizer.id.to_string()),
            Some((Err(OrganizerFault::Other(error)), _)) => {
                let text = error.to_string();
                let id = organizer.id.to_string();
                match common
                    .iter_mut()
                    .find(|(known, _)| known.to_string() == text)
                {
                    Some((_, of)) => of.push(id),
                    None => common.push((error, vec![id])),
                }
            }
            Some((Err(fault), _)) => {
                lines.push(fault_line(config, organizer, &fault, policy_told));
                policy_told |= matches!(fault, OrganizerFault::NoPolicy(_));
            }
            Some((Ok(()), dial_in)) => {
                let name = name(organizer);
                lines.push(Line::ok(format!(
                    "{name}: Graph lets meetbridge act for them"
                )));
                if organizer.wants_dial_in {
                    lines.push(dial_in_line(&name, dial_in));
                }
            }
        }
    }
    for (error, of) in common {
        lines.push(failure(&error, &format!(" (organizers: {})", listed(&of))));
    }
    if !unasked.is_empty() {
        let what = format!("nothing is known of these organizers: {}", listed(&unasked));
        lines.push(silence("Graph", &what));
    }
    lines
}

/// What is wrong with an organizer, and the cure; `policy_told`: how a policy is made was told already.
fn fault_line(
    config: &Config,
    organizer: &Organizer,
    fault: &OrganizerFault,
    policy_told: bool,
) -> Line {
    let id = &organizer.id;
    let name = name(organizer);
    let look_up = "az ad user show --id ADDRESS --query id".to_owned();
    let line = Line::error(format!("{name}: {fault}"));
    match fault {
        OrganizerFault::NoPolicy(_) => {
            let client_id = &config.graph.client_id;
            let grant = format!(
                "Grant-CsApplicationAccessPolicy -PolicyName \"Meeting-Bridge\" -Identity \"{id}\""
            );
            if policy_told {
                return line.hint("as above, and:").paste([grant]);
            }
            line.hint(
                "a Teams administrator runs this in PowerShell, without the second line where there is \
                 such a policy already; it takes up to 30 minutes to have an effect:",
            )
            .paste([
                "Connect-MicrosoftTeams".to_owned(),
                format!(
                    "New-CsApplicationAccessPolicy -Identity \"Meeting-Bridge\" -AppIds \
                     \"{client_id}\" -Description \"meetbridge\""
                ),
                grant,
            ])
        }
        OrganizerFault::Forbidden(_) => line.hint(format!(
            "grant the app the permission {} with admin consent, and see that the organizer has a \
             Teams licence, is no guest, and has an application access policy that names the app",
            Access::of(&config.graph.sign_in).permission()
        )),
        OrganizerFault::Unknown(_) => line
            .hint(
                "`organizer` is the object id of a user in this tenant, which this prints for an \
                 address:",
            )
            .paste([look_up]),
        OrganizerFault::Doubtful(_) => Line::warning(format!("{name}: {fault}"))
            .hint(
                "the app may not ask the directory (that takes User.Read.All); compare with what this \
                 prints for the organizer's address:",
            )
            .paste([look_up]),
        OrganizerFault::NoAnswer(_) => Line::warning(format!("{name}: {fault}")).hint(
            "nothing is known of the organizer before a meeting is made; `meetbridge sync` makes the \
             first",
        ),
        OrganizerFault::Other(error) => failure(error, ""),
    }
}

fn dial_in_line(name: &str, dial_in: Option<bool>) -> Line {
    match dial_in {
        Some(true) => Line::ok(format!("{name}: meetings have dial-in data")),
        Some(false) => Line::note(format!("{name}: meetings have no dial-in data")).hint(
            "events show none until the organizer has a Teams audio conferencing licence; a new one \
             takes time to show",
        ),
        None => Line::note(format!(
            "{name}: whether they have a Teams licence, and meetings have dial-in data, is not known \
             before a meeting is made"
        )),
    }
}

/// What the answers so far say of this machine's clock.
fn clock_line(meetings: &GraphMeetings) -> Option<Line> {
    let skew = meetings.skew();
    let told = [("Entra", skew.entra), ("Graph", skew.graph)];
    let told = told.into_iter().filter_map(|(of, by)| Some((of, by?)));
    let (of, by) = told.max_by_key(|(_, by)| by.abs())?;
    let (warned, wrong) = SKEW;
    let off = by.abs();
    if off <= warned {
        return Some(Line::ok("clock: this machine's agrees with theirs"));
    }
    let way = match by > TimeDelta::zero() {
        true => "ahead of",
        false => "behind",
    };
    let what = format!(
        "clock: this machine's is {} s {way} that of {of}",
        off.num_seconds()
    );
    let line = match off > wrong {
        true => Line::error(what),
        false => Line::warning(what),
    };
    Some(
        line.hint(
            "let a time server set it; the first line switches systemd's own client on, the second is \
             for chrony:",
        )
        .paste(["sudo timedatectl set-ntp true", "sudo chronyc makestep"].map(str::to_owned)),
    )
}

fn name(organizer: &Organizer) -> String {
    let names = organizer.calendars.iter().map(ToString::to_string);
    format!(
        "organizer {} (calendars: {})",
        organizer.id,
        listed(&names.collect::<Vec<_>>())
    )
}

/// The first names, and how many more there are.
pub(super) fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).map(String::as_str);
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;

    /// One calendar with this many organizers, by ORGANIZER and by default.
    fn config(organizers: u32, more: &str) -> Config {
        let id = |n| format!("aaaaaaaa-bbbb-4ccc-8ddd-{n:012}");
        let by_address = (1..organizers).map(|n| format!("\"u{n}@x\" = \"{}\"\n", id(n)));
        let text = format!(
            "[graph]\ntenant = \"contoso.example\"\nclient-id = \
             \"00000000-1111-4222-8333-000000000001\"\nclient-secret-file = \"/secret\"\n[meeting]\n\
             organizer = \"{}\"\n[meeting.organizers]\n{}[[calendar.directory]]\nname = \"team\"\n\
             path = \"/team\"\n{more}",
            id(0),
            by_address.collect::<String>(),
        );
        let machine = Machine {
            config: None,
            state_directory: Some("/state".into()),
            time_zone: Some("UTC".to_owned()),
        };
        Config::parse(&text, "c.toml", &machine).unwrap()
    }

    #[test]
    fn each_organizer_is_asked_once_with_all_calendars() {
        let more = "show = [\"chat\"]\n[[calendar.directory]]\nname = \"sales\"\npath = \"/sales\"\n\
                    organizer = \"aaaaaaaa-bbbb-4ccc-8ddd-000000000001\"\n\
                    [[calendar.directory]]\nname = \"off\"\npath = \"/off\"\nenabled = false\n\
                    organizer = \"aaaaaaaa-bbbb-4ccc-8ddd-000000000009\"\n";
        let found = organizers(&config(2, more));
        let found: Vec<_> = found.iter().map(|o| (name(o), o.wants_dial_in)).collect();
        let named = |n: u32, of: &str| {
            format!("organizer aaaaaaaa-bbbb-4ccc-8ddd-{n:012} (calendars: {of})")
        };
        assert_eq!(
            found,
            [(named(0, "team"), false), (named(1, "team, sales"), true),]
        );
    }

    #[test]
    fn what_was_not_answered_is_said() {
        let config = config(10, "");
        let all = organizers(&config);
        let mut answers: Vec<Option<Answer>> = all.iter().map(|_| None).collect();
        answers[0] = Some((Ok(()), Some(true)));
        let lines = organizer_lines(&config, &all, answers);
        let said: Vec<_> = all[1..6].iter().map(|o| o.id.to_string()).collect();
        let said = format!(
            "Graph did not answer in time, so nothing is known of these organizers: {} and 4 more",
            said.join(", ")
        );
        let expected = Line::error(said).hint(SILENT);
        assert_eq!(lines.last(), Some(&expected));
        assert_eq!(lines.len(), 3);
    }
}
