//! `meetbridge plan`: what a pass would do.

use serde_json::json;

use super::output::{OTHER_API, Voice};
use super::{Context, Exit, assemble, beside, output};
use crate::calendar::Attendees;
use crate::daemon::control::Command;
use crate::log::Chain;
use crate::model::Escaped;
use crate::plan::Decision;
use crate::sync::{Preview, Row, Unlink, Watched};

/// What is asked of a plan.
#[derive(Clone)]
pub(super) struct Asked {
    /// As JSON.
    pub(super) json: bool,
    /// With titles in it.
    pub(super) titles: bool,
    /// Of a pass that rewrites links.
    pub(super) rewrite: bool,
    /// Of what is unlinked.
    pub(super) unlink: Option<Unlink>,
}

pub(super) async fn plan(context: &Context, only: Option<&str>, asked: Asked) -> Exit {
    match try_plan(context, only, asked).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn try_plan(context: &Context, only: Option<&str>, asked: Asked) -> Result<Exit, Exit> {
    let Asked {
        json,
        titles,
        rewrite,
        unlink,
    } = asked;
    let config = context.config()?;
    let command = Command::Plan {
        calendar: only.map(ToOwned::to_owned),
        json,
        titles,
        rewrite,
        unlink: unlink.clone(),
    };
    beside::unless_in_daemon(context, &config, command).await?;
    let state = assemble::look_at_state(&config)?;
    let parts = assemble::parts(context, &config, state, only)?;
    let (calendars, exit) = parts.calendars().await;
    let voice = Voice::own();
    let mut plan = Plan::new(json, titles, &voice);
    for kept in &calendars {
        let preview = match &unlink {
            Some(what) => parts.bridge.preview_unlink(&kept.calendar, what).await,
            None if rewrite => parts.bridge.preview_rewrite(&kept.calendar).await,
            None => parts.bridge.preview(&kept.calendar).await,
        };
        let preview = preview.map_err(|error| Chain(&error).to_string());
        plan.add(&kept.calendar, preview).await;
    }
    Ok(exit.or(plan.end().await))
}

/// What is told of the calendars' previews.
pub(super) struct Plan<'v> {
    voice: &'v Voice,
    /// The calendars so far, where JSON is wanted.
    json: Option<Vec<serde_json::Value>>,
    titles: bool,
    /// How many events there are, by what would become of them.
    sum: Sum,
    exit: Exit,
}

/// What would become of all events.
#[derive(Default)]
struct Sum {
    linked: usize,
    unlinked: usize,
    /// Written or brought up to date otherwise.
    changed: usize,
    left: usize,
}

impl Sum {
    fn add(&mut self, decision: &Decision) {
        *match decision {
            Decision::Link { .. } => &mut self.linked,
            Decision::TakeOut(_) => &mut self.unlinked,
            _ if decision.acts() => &mut self.changed,
            _ => &mut self.left,
        } += 1;
    }

    /// In one line.
    fn line(&self) -> String {
        let all = [
            (self.linked, "would be linked"),
            (self.unlinked, "would be unlinked"),
            (self.changed, "would be changed otherwise"),
            (self.left, "left alone"),
        ];
        let some = all.iter().filter(|(n, _)| *n > 0);
        let some: Vec<_> = some.map(|(n, what)| format!("{n} {what}")).collect();
        match some.as_slice() {
            [] => "in all: no events, and nothing to do".to_owned(),
            some => format!("in all: {}", some.join(", ")),
        }
    }
}

impl<'v> Plan<'v> {
    /// Tells as a table, or all in the end as JSON, with titles or without.
    pub(super) fn new(json: bool, titles: bool, voice: &'v Voice) -> Self {
        Self {
            voice,
            json: json.then(Vec::new),
            titles,
            sum: Sum::default(),
            exit: Exit::Done,
        }
    }

    /// Tells what a pass over `calendar` would do, or why that is not known.
    pub(super) async fn add(&mut self, calendar: &Watched, preview: Result<Preview, String>) {
        if let Ok(preview) = &preview {
            let rows = preview.rows.iter();
            rows.for_each(|row| self.sum.add(&row.decision));
        }
        match (preview, &mut self.json) {
            (Ok(preview), Some(all)) => all.push(to_json(calendar, &preview, self.titles)),
            (Ok(preview), None) => show(calendar, &preview, self.voice).await,
            (Err(error), _) => {
                self.voice
                    .fail(&format!("{}: {error}", calendar.name))
                    .await;
                self.exit = Exit::Failed;
            }
        }
    }

    /// Ends the telling; returns how it went.
    pub(super) async fn end(self) -> Exit {
        let last = match self.json {
            Some(all) => json!({ "calendars": all }).to_string(),
            None => self.sum.line(),
        };
        self.voice.print(&last).await;
        self.exit
    }
}

async fn show(calendar: &Watched, preview: &Preview, voice: &Voice) {
    let titles = voice.is_terminal();
    let mut head = vec!["event", "next occurrence", "decision", "because"];
    if titles {
        head.insert(1, "title");
    }
    let rows = preview.rows.iter().map(|row| {
        let mut cells = vec![
            row.uid.to_string(),
            when(row),
            row.decision.name().to_owned(),
            match line(row) {
                Some(line) => format!("{}: line {line}: {}", row.resource, because(row)),
                None => because(row),
            },
        ];
        if titles {
            cells.insert(
                1,
                Escaped(row.title.as_deref().unwrap_or_default()).to_string(),
            );
        }
        cells
    });
    let count = preview.rows.len();
    let (_, attendees) = output::attendees(preview.attendees);
    let mut line = format!("{}: {count} events; {attendees}", calendar.name);
    let written = |row: &&Row| row.has_guests && row.decision.acts();
    match (
        preview.attendees,
        preview.rows.iter().filter(written).count(),
    ) {
        (Attendees::NotTold, _) | (_, 0) => {}
        (_, with) => line += &format!(": {with} of those to be written have some"),
    }
    voice.print(&line).await;
    if count > 0 {
        voice.print(&voice.table(&head, rows)).await;
    }
    for (resource, fault) in &preview.faults {
        let line = format!("  {resource}: {}", Escaped(fault));
        voice.print(&line).await;
    }
    if let Some(why) = &preview.waits {
        voice.print(&format!("  waits: {why}")).await;
    }
}

fn when(row: &Row) -> String {
    match row.span {
        Some(span) => span.start.format("%Y-%m-%d %H:%M UTC").to_string(),
        None => "-".to_owned(),
    }
}

/// The line of its resource that the reason is about.
fn line(row: &Row) -> Option<usize> {
    match &row.decision {
        Decision::Leave(why) => why.line(),
        _ => None,
    }
}

fn because(row: &Row) -> String {
    let because = reason(row);
    match (&row.decision, row.other_form) {
        (Decision::Move { .. } | Decision::TakeOut(_), _) | (_, false) => because,
        (_, true) => format!("{because}; {OTHER_API}"),
    }
}

fn reason(row: &Row) -> String {
    match &row.decision {
        Decision::Leave(why) => why.to_string(),
        Decision::Link { replaces: None, .. } => "the rules select it".to_owned(),
        Decision::Link {
            replaces: Some(_), ..
        } => "it carries another event's link".to_owned(),
        Decision::Write { .. } => "a part of its link is missing".to_owned(),
        Decision::Rewrite { .. } => {
            "its link is not, or not known to be, as it would be written now".to_owned()
        }
        Decision::Move { .. } => {
            "its meeting was made by another API than `api` says: it gets another one".to_owned()
        }
        Decision::Update { .. } => "its meeting's times or title are behind".to_owned(),
        Decision::Adopt { .. } => "it carries our link".to_owned(),
        Decision::TakeOut(out) => out.to_string(),
    }
}

fn to_json(calendar: &Watched, preview: &Preview, titles: bool) -> serde_json::Value {
    let events: Vec<_> = preview
        .rows
        .iter()
        .map(|row| {
            let mut event = json!({
                "resource": row.resource.as_str(),
                "uid": row.uid.to_string(),
                "start": row.span.map(|s| s.start),
                "end": row.span.map(|s| s.end),
                "decision": row.decision.name(),
                "acts": row.decision.acts(),
                "reason": because(row),
                "line": line(row),
                "has-attendees": row.has_guests,
                "other-api": row.other_form,
            });
            if titles {
                event["title"] = json!(row.title);
            }
            event
        })
        .collect();
    let faults: Vec<_> = preview
        .faults
        .iter()
        .map(|(resource, fault)| json!({ "resource": resource.as_str(), "reason": fault }))
        .collect();
    json!({
        "name": calendar.name.as_str(),
        "attendees": output::attendees(preview.attendees).0,
        "waits": preview.waits,
        "events": events,
        "faults": faults,
    })
}
