//! `meetbridge explain`: every rule about one event, and what it saw.

use std::collections::BTreeSet;

use super::{Context, Exit, assemble, output};
use crate::clock::Clock as _;
use crate::config::nearest;
use crate::model::JoinUrl;
use crate::plan::{Decision, examine, has_guests};
use crate::state::Phase;
use crate::sync::{Planned, Understood, Watched};

pub(super) async fn explain(context: &Context, uid: &str) -> Exit {
    match try_explain(context, uid).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn try_explain(context: &Context, uid: &str) -> Result<Exit, Exit> {
    let config = context.config()?;
    let state = assemble::look_at_state(&config)?;
    let parts = assemble::parts(context, &config, state, None)?;
    let (calendars, mut exit) = parts.calendars().await;
    let mut found = 0;
    let mut near = Near::default();
    for kept in &calendars {
        let calendar = &*kept.calendar;
        let result = parts
            .bridge
            .look(calendar, None, |understood| {
                near.see(uid, &understood);
                for planned in understood
                    .events
                    .iter()
                    .filter(|p| p.event.uid.is_named_by(uid))
                {
                    found += 1;
                    output::print(&format!("{} {}", calendar.name, understood.resource.id));
                    show(context, calendar, planned);
                }
            })
            .await;
        if let Err(error) = result {
            output::fail(&format!("{}: {}", calendar.name, crate::log::Chain(&error)));
            exit = Exit::Failed;
        }
    }
    if found == 0 {
        let hint = near.hint();
        output::fail(&format!(
            "no watched calendar holds an event with this UID{hint}"
        ));
        exit = Exit::Failed;
    }
    Ok(exit)
}

/// The UIDs that are like the one that was asked for. None is taken in its place: it may be another event.
#[derive(Default)]
struct Near {
    /// Those that begin with it, and how many there are.
    longer: BTreeSet<String>,
    /// The last one that is like it otherwise.
    alike: Option<String>,
}

impl Near {
    fn see(&mut self, asked: &str, understood: &Understood) {
        for planned in &understood.events {
            let uid = planned.event.uid.to_string();
            if !asked.is_empty() && uid.starts_with(asked) {
                if self.longer.len() <= MOST_NEAR {
                    self.longer.insert(uid);
                }
            } else if nearest(asked, std::iter::once(uid.as_str())).is_some() && asked.len() > 3 {
                self.alike = Some(uid);
            }
        }
    }

    fn hint(&self) -> String {
        let names = |uids: Vec<&String>| {
            let quoted: Vec<_> = uids.iter().map(|uid| format!("`{uid}`")).collect();
            quoted.join(", ")
        };
        match (self.longer.len(), &self.alike) {
            (0, None) => "; `meetbridge plan` shows the UIDs of all events".to_owned(),
            (0, Some(alike)) => format!("; did you mean `{alike}`?"),
            (1, _) => format!(
                "; give it whole: did you mean {}?",
                names(self.longer.iter().collect())
            ),
            (2..=MOST_NEAR, _) => format!(
                "; give it whole: so begin {}",
                names(self.longer.iter().collect())
            ),
            _ => format!("; give it whole: more than {MOST_NEAR} begin so"),
        }
    }
}

/// How many UIDs are named that begin as it was asked for.
const MOST_NEAR: usize = 5;

fn show(context: &Context, calendar: &Watched, planned: &Planned) {
    let own = planned.meeting.as_ref().map(|m| m.meeting.join_url.clone());
    let copied = match &planned.decided.what {
        Decision::Link { replaces, .. } => replaces.clone(),
        _ => None,
    };
    let ours: Vec<&JoinUrl> = own.iter().chain(copied.iter()).collect();
    let now = context.clock.now();
    for verdict in examine(
        now,
        &planned.event,
        &calendar.rules,
        planned.unchanged_since,
        &ours,
        planned.uid,
    ) {
        let answer = if verdict.refusal.is_none() {
            "yes"
        } else {
            "no "
        };
        let saw = if verdict.saw.is_empty() {
            String::new()
        } else {
            format!(" ({})", verdict.saw)
        };
        let saw = crate::model::Escaped(&saw).to_string();
        output::print(&format!("  {answer} {}{saw}", verdict.rule));
    }
    if has_guests(&planned.event, &calendar.rules) {
        let (_, attendees) = output::attendees(calendar.port.attendees());
        output::print(&format!("  attendees: somebody is invited; {attendees}"));
    }
    if planned.link.is_some() {
        output::print("  (the rules say who gets a link; a link that is there stays)");
    }
    let link = planned
        .link
        .as_ref()
        .map_or("none", |link| match link.phase {
            Phase::Intended => "its write has begun",
            Phase::Written => "written",
            Phase::Seen => "written, and seen in the event",
            Phase::TakenOut => "taken out",
            Phase::OptedOut => "taken out for good",
        });
    output::print(&format!("  link: {link}"));
    if planned.is_of_other_form(calendar) {
        output::print(&format!("  meeting: {}", output::OTHER_API));
    }
    for twin in planned.event.components.iter().flat_map(|c| &c.twins) {
        if let Some(note) = twin.note() {
            output::print(&format!("  HTML: line {}: {note}", twin.line));
        }
    }
    let what = &planned.decided.what;
    let reason = match what {
        Decision::Leave(why) => match why.line() {
            Some(line) => format!("nothing is done: line {line}: {why}"),
            None => format!("nothing is done: {why}"),
        },
        Decision::TakeOut(out) => format!("the next pass will: {}: {out}", what.name()),
        _ => format!("the next pass will: {}", what.name()),
    };
    output::print(&format!("  {reason}"));
    if let Some(due) = planned.decided.due {
        output::print(&format!("  it is decided again at {due}"));
    }
}
