//! The file's tables and keys: what each is called, its range and its default.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;
use tracing::Level;
use url::Url;

use super::api::Fit;
use super::calendars::{self, Context, Settings};
use super::fault::{Fault, Faults, Text};
use super::table::{Collector, Table, Wrong};
use super::{
    Budget, Calendar, Config, Graph, Log, Machine, Network, include, scan, sign_in, value,
};
use crate::log::{Filter, Format};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

const FORMAT: &[(&str, Option<Format>)] = &[
    ("auto", None),
    ("text", Some(Format::Text)),
    ("json", Some(Format::Json)),
    ("journald", Some(Format::Journald)),
];

/// Microsoft's clouds (graph-api: hosts): (name, Graph, authority).
const CLOUDS: &[(&str, (&str, &str))] = &[
    (
        "global",
        (
            "https://graph.microsoft.com",
            "https://login.microsoftonline.com",
        ),
    ),
    (
        "us-gov-l4",
        (
            "https://graph.microsoft.us",
            "https://login.microsoftonline.us",
        ),
    ),
    (
        "us-gov-l5",
        (
            "https://dod-graph.microsoft.us",
            "https://login.microsoftonline.us",
        ),
    ),
    (
        "china",
        (
            "https://microsoftgraph.chinacloudapi.cn",
            "https://login.partner.microsoftonline.cn",
        ),
    ),
];

/// Reads the whole file; what it includes is beside it in `home`.
pub(super) fn config(
    text: &str,
    file: &str,
    home: &Path,
    machine: &Machine,
) -> Result<Config, Faults> {
    read(text, file, home, machine, |_| {})
}

/// Reads the whole file; `seen` gets to see the collector before it is taken apart.
pub(super) fn read(
    text: &str,
    file: &str,
    home: &Path,
    machine: &Machine,
    seen: impl FnOnce(&Collector<'_>),
) -> Result<Config, Faults> {
    let inside = scanned(text, file)?;
    let (tree, syntax) = DeTable::parse_recoverable(text);
    let collector = Collector::new(Text::new(text, inside), &syntax);
    let mut others = Vec::new();
    let place = (file, home);
    let config = root(
        collector.root(&tree),
        &collector,
        place,
        machine,
        &mut others,
    );
    seen(&collector);
    let (faults, more) = collector.into_faults();
    let mut faults = Faults::new(file, faults, more);
    others.into_iter().for_each(|other| faults.and(other));
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(faults),
    }
}

/// The parts of a text that stand inside a multi-line value.
fn scanned(text: &str, file: &str) -> Result<Vec<Range<usize>>, Faults> {
    scan::scan(text).map_err(|span| {
        let fault = Fault {
            place: Some(Text::new(text, Vec::new()).place(span, None)),
            what: "nested too deeply".to_owned(),
            hint: Some("no key of meetbridge is nested like this".to_owned()),
        };
        Faults::new(file, vec![fault], 0)
    })
}

/// The calendars of a file that is included; it may hold nothing else.
fn included(text: &str, file: &str, context: &mut Context<'_>) -> Result<Vec<Calendar>, Faults> {
    let inside = scanned(text, file)?;
    let (tree, syntax) = DeTable::parse_recoverable(text);
    let collector = Collector::new(Text::new(text, inside), &syntax);
    let mut table = collector.root(&tree);
    for key in [
        "include", "state", "graph", "network", "budget", "log", "meeting",
    ] {
        table.refuse(
            key,
            "an included file holds calendars only",
            "write it into the main configuration file",
        );
    }
    context.file = file.to_owned();
    let calendars = calendars::calendars(table.table("calendar"), context);
    table.finish();
    let (faults, more) = collector.into_faults();
    let faults = Faults::new(file, faults, more);
    match faults.is_empty() {
        true => Ok(calendars),
        false => Err(faults),
    }
}

/// Reads the main file; what is wrong with others goes to `others`.
fn root(
    mut file: Table<'_, '_>,
    collector: &Collector<'_>,
    (name, home): (&str, &Path),
    machine: &Machine,
    others: &mut Vec<Faults>,
) -> Option<Config> {
    let include = file.optional("include", include::pattern);
    let mut state = file.table("state");
    let directory = state
        .optional("directory", value::path)
        .or_else(|| machine.state_directory.clone());
    if directory.is_none() && !state.has("directory") {
        collector.general(
            "where the state is to be kept is not known",
            "set directory in [state], or $STATE_DIRECTORY",
        );
    }
    state.finish();

    let network = network(file.table("network"));
    let has_graph = file.has("graph");
    let table = file.table("graph");
    let graph = match has_graph {
        true => graph(table, network.allow_http, directory.as_deref()),
        false => {
            file.missing(
                "[graph] is missing",
                "it says how Microsoft Graph is reached; config/minimal.toml shows it",
            );
            None
        }
    };
    let budget = budget(file.table("budget"));
    let log = log(file.table("log"));
    let mut meeting = file.table("meeting");
    let defaults = Settings::read(&mut meeting);
    let old_lobby_names = defaults.style.old_lobby_name.into_iter().collect();
    let mut context = Context {
        defaults,
        budget,
        machine,
        allow_http: network.allow_http,
        time_zone_assumed: false,
        old_lobby_names,
        file: name.to_owned(),
        names: BTreeMap::new(),
        fit: Fit::default(),
    };
    let has_calendars = file.has("calendar") || file.has("include");
    let mut calendars = calendars::calendars(file.table("calendar"), &mut context);
    let files = include.map(|pattern| pattern.files(home)).transpose();
    let files = files.map_err(|wrong| file.report_at("include", wrong));
    for (name, text) in files.ok().flatten().unwrap_or_default() {
        match text.and_then(|text| included(&text, &name, &mut context)) {
            Ok(more) => calendars.extend(more),
            Err(faults) => others.push(faults),
        }
    }
    if !has_calendars {
        file.missing(
            "no calendar is configured",
            "add [[calendar.directory]] with a name and a path, or [[calendar.caldav]]",
        );
    }
    context.fit.tell(&meeting);
    meeting.finish();
    file.finish();
    Some(Config {
        state_directory: directory?,
        graph: graph?,
        budget: context.budget,
        network,
        log,
        calendars,
        time_zone_assumed: context.time_zone_assumed,
        old_lobby_names: context.old_lobby_names,
    })
}

fn graph(mut table: Table<'_, '_>, allow_http: bool, state: Option<&Path>) -> Option<Graph> {
    let tenant = table.required("tenant", value::tenant);
    let client_id = table.required("client-id", value::guid);
    let hosts = hosts(&mut table, allow_http);
    let sign_in = sign_in::sign_in(&mut table, state);
    table.finish();
    let (graph_url, authority_url) = hosts?;
    Some(Graph {
        tenant: tenant?,
        client_id: client_id?,
        graph_url,
        authority_url,
        sign_in: sign_in?,
    })
}

/// Graph's and the authority's base: by the cloud's name, or both given.
fn hosts(table: &mut Table<'_, '_>, allow_http: bool) -> Option<(Url, Url)> {
    let cloud = table.optional("cloud", value::choice(CLOUDS));
    let graph = table.optional("graph-url", value::base_url(allow_http));
    let authority = table.optional("authority-url", value::base_url(allow_http));
    let both = "give graph-url and authority-url, or neither";
    match (table.has("graph-url"), table.has("authority-url")) {
        (true, true) => {
            if table.has("cloud") {
                let hint = "take out cloud, or graph-url and authority-url";
                table.report_at("cloud", Wrong::new("the hosts are given twice", hint));
            }
            Some((graph?, authority?))
        }
        (true, false) => {
            table.report_at("graph-url", Wrong::new("without authority-url", both));
            None
        }
        (false, true) => {
            table.report_at("authority-url", Wrong::new("without graph-url", both));
            None
        }
        (false, false) => {
            let (graph, authority) = match table.has("cloud") {
                true => cloud?,
                false => CLOUDS.first()?.1,
            };
            if graph.ends_with(".cn") {
                table.report_at(
                    "cloud",
                    Wrong::new(
                        "Microsoft Graph has no online meetings in China (createOrGet is missing)",
                        "meetbridge cannot make meetings there",
                    ),
                );
                return None;
            }
            Some((Url::parse(graph).ok()?, Url::parse(authority).ok()?))
        }
    }
}

fn network(mut table: Table<'_, '_>) -> Network {
    let network = Network {
        proxy: table.optional("proxy", value::proxy),
        ca_file: table.optional("ca-file", value::path),
        connect_timeout: table
            .optional("connect-timeout", value::duration(SECOND..=2 * MINUTE))
            .unwrap_or(10 * SECOND),
        request_timeout: table
            .optional("request-timeout", value::duration(SECOND..=10 * MINUTE))
            .unwrap_or(30 * SECOND),
        allow_http: table
            .optional("allow-http", value::boolean)
            .unwrap_or(false),
    };
    table.finish();
    network
}

fn budget(mut table: Table<'_, '_>) -> Budget {
    let budget = Budget {
        first_pass_limit: table
            .optional("first-pass-limit", value::number(0..=100_000))
            .unwrap_or(50),
        new_links_per_day: table
            .optional("new-links-per-day", value::number(1..=100_000))
            .unwrap_or(500),
        meetings_per_month: table
            .optional("meetings-per-month", value::number(1..=2000))
            .unwrap_or(1800),
    };
    table.finish();
    budget
}

fn log(mut table: Table<'_, '_>) -> Log {
    let log = Log {
        format: table.optional("format", value::choice(FORMAT)).flatten(),
        filter: table
            .optional("level", value::log_filter)
            .unwrap_or_else(|| Filter::level(Level::INFO)),
    };
    table.finish();
    log
}
