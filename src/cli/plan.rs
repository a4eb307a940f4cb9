//! `meetbridge plan`: what a pass would do.

use std::io::IsTerminal as _;

use serde_json::json;

use super::{Context, Exit, assemble, output};
use crate::model::Escaped;
use crate::plan::Decision;
use crate::sync::{Preview, Row, Watched};

/// A directory or file tells nobody; only calendar servers mail attendees.
const MAILS: &str = "attendees are not told: files have no server that would mail them";

pub(super) async fn plan(context: &Context, only: Option<&str>, json: bool, titles: bool) -> Exit {
    match try_plan(context, only, json, titles).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn try_plan(
    context: &Context,
    only: Option<&str>,
    as_json: bool,
    titles: bool,
) -> Result<Exit, Exit> {
    let config = context.config()?;
    let state = assemble::look_at_state(&config)?;
    let parts = assemble::parts(context, &config, state, only)?;
    let (calendars, mut exit) = parts.calendars().await;
    let mut all = Vec::new();
    for kept in &calendars {
        let calendar = &*kept.calendar;
        match parts.bridge.preview(calendar).await {
            Ok(preview) if as_json => all.push(to_json(calendar, &preview, titles)),
            Ok(preview) => show(calendar, &preview),
            Err(error) => {
                output::say(&format!("{}: {}", calendar.name, crate::log::Chain(&error)));
                exit = Exit::Failed;
            }
        }
    }
    if as_json {
        output::print(&json!({ "calendars": all }).to_string());
    }
    Ok(exit)
}

fn show(calendar: &Watched, preview: &Preview) {
    let titles = std::io::stdout().is_terminal();
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
    output::print(&format!(
        "{}: {} events; {MAILS}",
        calendar.name,
        preview.rows.len()
    ));
    if !preview.rows.is_empty() {
        output::print(&output::table(&head, rows));
    }
    for (resource, fault) in &preview.faults {
        output::print(&format!("  {resource}: {}", Escaped(fault)));
    }
    if let Some(why) = &preview.waits {
        output::print(&format!("  waits: {why}"));
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
    match &row.decision {
        Decision::Leave(why) => why.to_string(),
        Decision::Link { replaces: None, .. } => "the rules select it".to_owned(),
        Decision::Link {
            replaces: Some(_), ..
        } => "it carries another event's link".to_owned(),
        Decision::Write { .. } => "a part of its link is missing".to_owned(),
        Decision::Update { .. } => "its meeting's times or title are behind".to_owned(),
        Decision::Adopt { .. } => "it carries our link".to_owned(),
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
        "attendees": "not-told",
        "waits": preview.waits,
        "events": events,
        "faults": faults,
    })
}
