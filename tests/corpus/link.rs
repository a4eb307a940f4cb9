//! Every event of every file is linked through the real bridge, directory and Graph client, against the
//! embedded simulator, or skipped with a named reason; what is written is only added; and a second
//! pass, or a lost state, changes and asks for nothing.
//!
//! That is done for each file as a whole, one day before the first of its events, and again for each of its
//! events by itself, one day before its own first occurrence.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use meetbridge::calendar::directory::Directory;
use meetbridge::calendar::{Calendar, Finding, Found, Known, ReadError, Resource, Scope, Written};
use meetbridge::clock::{Clock, Random};
use meetbridge::http::{Client, ClientOptions, WindowStore, Windows};
use meetbridge::ical::block::Show;
use meetbridge::ical::document::Document;
use meetbridge::ical::edit::Edits;
use meetbridge::ical::event::{Event, Next};
use meetbridge::ical::read::read;
use meetbridge::ical::write::{Location, detach, is_out, take_out};
use meetbridge::meeting::graph::{GraphMeetings, GraphSettings, SignIn};
use meetbridge::model::{CalendarName, ExternalId, JoinUrl, OrganizerId, ResourceId, Uid, Version};
use meetbridge::plan::{Decision, Rules, Select, Why};
use meetbridge::secret::SecretSource;
use meetbridge::simulator::{CLIENT_ID, ORGANIZER, Settings, Simulator, TENANT};
use meetbridge::state::{Phase, State};
use meetbridge::sync::{Bridge, Report, Troubles, Watched};
use serde_json::Value;
use url::Url;

use crate::{Sample, additive};

/// How many events get linked a day before they begin, at least.
const AT_LEAST: usize = 1_600;
/// And how many of them are no whole days, at least.
const TIMED_AT_LEAST: usize = 400;

/// What the events that were linked a day before they begin are counted as.
const TIMED: &str = "own time: linked, timed";
const ALL_DAY: &str = "own time: linked, all-day";

/// Far more than any file takes, even unoptimised on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// How many files are worked on at once.
const AT_ONCE: usize = 4;

/// How often a pass may ask to go on at once.
const PASSES: usize = 50;

/// The reason of files that the directory does not read; they are linked in memory instead.
const INCOMPLETE: &str = "incomplete file, linked in memory only";

/// What became of the events of one file, or of all: name → number.
type Counts = BTreeMap<String, usize>;

/// Links the events of all files. The table of what was counted goes to stdout.
///
/// # Errors
/// All faults, one a line, or too few links.
pub(crate) fn link_all(samples: &[Sample], expected: &str) -> Result<(), String> {
    let firsts = firsts(expected);
    let client = Client::new(&ClientOptions::default()).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let done: Vec<(String, Result<Counts, String>)> = runtime.block_on(
        stream::iter(samples.to_vec())
            .map(|sample| {
                let (name, client) = (sample.name.clone(), client.clone());
                let first = firsts.get(&name).copied();
                // A task of its own: a panic ends it alone.
                let work = tokio::spawn(tokio::time::timeout(
                    LIMIT,
                    link_file(sample, first, client),
                ));
                async move {
                    let result = match work.await {
                        Ok(Ok(result)) => result,
                        Ok(Err(_)) => Err("it takes too long".to_owned()),
                        Err(_) => Err("it panicked".to_owned()),
                    };
                    (name, result)
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect(),
    );
    let (mut counts, mut faults) = (Counts::new(), Vec::new());
    for (name, result) in done {
        match result {
            Ok(part) => part
                .into_iter()
                .for_each(|(what, n)| *counts.entry(what).or_default() += n),
            Err(why) => faults.push(format!("{name}: {why}")),
        }
    }
    for (what, count) in &counts {
        println!("{count:6}  {what}");
    }
    let count = |what: &str| counts.get(what).copied().unwrap_or(0);
    let (timed, linked) = (count(TIMED), count(TIMED) + count(ALL_DAY));
    if linked < AT_LEAST || timed < TIMED_AT_LEAST {
        faults.push(format!(
            "only {linked} events, {timed} of them timed, were linked at their own time, not \
             {AT_LEAST} and {TIMED_AT_LEAST}"
        ));
    }
    faults.sort();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("\n"))
    }
}

/// By file, the first occurrence of all its series.
fn firsts(expected: &str) -> BTreeMap<String, DateTime<Utc>> {
    let facts = expected
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let first = |facts: &Value| {
        let series = facts["series"].as_array().into_iter().flatten();
        series
            .filter_map(|series| time(series["first"].as_str()?))
            .min()
    };
    facts
        .filter_map(|facts| Some((facts["path"].as_str()?.to_owned(), first(&facts)?)))
        .collect()
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim_end_matches('Z');
    let local = text.parse::<NaiveDateTime>().ok();
    let midnight = || text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
    Some(local.or_else(midnight)?.and_utc())
}

/// The first occurrence of all events, as we read the file.
fn first_we_read(bytes: &[u8]) -> Option<DateTime<Utc>> {
    let document = Document::parse(bytes).ok()?;
    let events = read(&document, chrono_tz::UTC, time("0001-01-01")?).events;
    let starts = events.iter().filter_map(|event| match event.next {
        Next::At(span) => Some(span.start),
        Next::Past | Next::Unknown => None,
    });
    starts.min()
}

async fn link_file(
    sample: Sample,
    first: Option<DateTime<Utc>>,
    client: Client,
) -> Result<Counts, String> {
    let bytes = sample.bytes()?;
    // Of a large file the oracle knows a sample only.
    let first = first.into_iter().chain(first_we_read(&bytes)).min();
    let first = first.unwrap_or_else(|| Utc.with_ymd_and_hms(2026, 11, 23, 0, 0, 0).unwrap());
    let clock = Arc::new(Still(Mutex::new(day_before(first))));
    let home = tempfile::tempdir().map_err(|error| error.to_string())?;
    let world = World::new(home.path(), clock.clone(), client.clone()).await?;

    let path = home.path().join("calendar").join("sample.ics");
    std::fs::create_dir_all(home.path().join("calendar")).map_err(|error| error.to_string())?;
    std::fs::write(&path, &bytes).map_err(|error| error.to_string())?;
    let directory = Directory::directory(home.path().join("calendar"), world.clock.clone());
    let directory = watched("corpus", Arc::new(directory));
    let look = world
        .bridge()?
        .preview(&directory)
        .await
        .map_err(|error| error.to_string())?;
    let incomplete = look
        .faults
        .iter()
        .any(|(_, why)| why.contains("does not end with END:VCALENDAR"));
    let linked = if incomplete {
        let shelf = Arc::new(Shelf(Mutex::new((1, bytes.clone()))));
        let watched = watched("corpus", shelf.clone());
        world.link(&watched, &bytes, || Ok(shelf.bytes())).await
    } else {
        let read = || std::fs::read(&path).map_err(|error| error.to_string());
        world.link(&directory, &bytes, read).await
    };
    let mut counts = linked?;
    if incomplete {
        counts = counts
            .into_iter()
            .map(|(what, n)| (format!("{INCOMPLETE}: {what}"), n))
            .collect();
        counts.insert(INCOMPLETE.to_owned(), 1);
    }
    world.simulator.stop().await;
    let home = tempfile::tempdir().map_err(|error| error.to_string())?;
    let world = World::new(home.path(), clock.clone(), client).await?;
    link_each(&world, &clock, &bytes, &mut counts).await?;
    world.simulator.stop().await;
    Ok(counts)
}

/// Links each event by itself, one day before it first takes place.
async fn link_each(
    world: &World,
    clock: &Still,
    bytes: &[u8],
    counts: &mut Counts,
) -> Result<(), String> {
    let bridge = world.bridge()?;
    for (n, own) in each(bytes)?.into_iter().enumerate() {
        clock.set(day_before(own.first));
        let shelf = Arc::new(Shelf(Mutex::new((1, own.bytes.clone()))));
        let calendar = watched(&format!("event{n}"), shelf.clone());
        let at_rest = |why: String| format!("{} at its own time: {why}", own.uid);
        for n in 0.. {
            let report = pass(&bridge, &calendar).await.map_err(at_rest)?;
            if report.failed > 0 || n > PASSES {
                return Err(at_rest("it fails, or never comes to rest".to_owned()));
            }
            if report.again.is_empty() {
                break;
            }
        }
        let after = shelf.bytes();
        let shown = additive::compare(&own.bytes, &after).map_err(at_rest)?;
        let (part, linked) = outcome(&bridge, &calendar).await.map_err(at_rest)?;
        for one in &shown {
            world.check_meeting(one, &linked).map_err(at_rest)?;
        }
        check_clients(&after, &shown).map_err(at_rest)?;
        let requests = world.requests();
        let now = || Ok(shelf.bytes());
        world
            .check_quiet(&bridge, &calendar, "a second pass", &after, requests, &now)
            .await
            .map_err(at_rest)?;
        check_state(&bridge, &calendar, &shown, &linked).map_err(at_rest)?;
        if linked.contains(&own.uid) {
            let what = if own.all_day { ALL_DAY } else { TIMED };
            *counts.entry(what.to_owned()).or_default() += 1;
        }
        for (what, n) in part {
            if what.starts_with("skipped") {
                *counts.entry(format!("own time: {what}")).or_default() += n;
            }
        }
    }
    Ok(())
}

/// Every client finds the link of every component that has one.
fn check_clients(after: &[u8], shown: &[additive::Shown]) -> Result<(), String> {
    let ours: BTreeSet<&str> = shown.iter().filter_map(|one| one.url.as_deref()).collect();
    let found = crate::clients::each_found(after, |url| ours.contains(url))?;
    let linked = shown.iter().filter(|one| one.url.is_some()).count();
    if found == linked {
        Ok(())
    } else {
        Err(format!("clients see {found} links of {linked}"))
    }
}

/// When an event that first takes place at `first` is linked. A token has no expiry before 1970: what
/// took place earlier is past.
fn day_before(first: DateTime<Utc>) -> DateTime<Utc> {
    (first - TimeDelta::days(1)).max(DateTime::UNIX_EPOCH)
}

/// One event of a file.
struct Own {
    uid: Uid,
    all_day: bool,
    first: DateTime<Utc>,
    /// The file without the other events.
    bytes: Vec<u8>,
}

/// The events of a file that take place at all, by the time they first do.
fn each(bytes: &[u8]) -> Result<Vec<Own>, String> {
    let document = Document::parse(bytes).map_err(|error| error.to_string())?;
    let components = document.components();
    let begin = time("0001-01-01").ok_or("no time")?;
    let mut all = Vec::new();
    for event in read(&document, chrono_tz::UTC, begin).events {
        let Next::At(span) = event.next else {
            continue;
        };
        let (mut kept, mut at) = (Vec::new(), 0);
        for (index, component) in components.iter().enumerate() {
            let own = event.components.iter().any(|one| one.index == index);
            if component.name == "VEVENT" && !own && component.range.start >= at {
                kept.extend_from_slice(&bytes[at..component.range.start]);
                at = component.range.end;
            }
        }
        kept.extend_from_slice(&bytes[at..]);
        all.push(Own {
            uid: event.uid,
            all_day: event.all_day,
            first: span.start,
            bytes: kept,
        });
    }
    all.sort_by_key(|own| own.first);
    Ok(all)
}

struct World {
    home: PathBuf,
    simulator: Simulator,
    clock: Arc<dyn Clock>,
    graph: Arc<GraphMeetings>,
}

impl World {
    async fn new(home: &Path, clock: Arc<dyn Clock>, client: Client) -> Result<Self, String> {
        let simulator = Simulator::start(Settings::new(clock.clone()));
        let simulator = simulator.await.map_err(|error| error.to_string())?;
        let url = Url::parse(&simulator.graph_url()).map_err(|error| error.to_string())?;
        let settings = GraphSettings {
            tenant: TENANT.to_owned(),
            client_id: CLIENT_ID.to_owned(),
            graph_url: url.clone(),
            authority_url: url,
            sign_in: SignIn::Secret(SecretSource::File(
                simulator
                    .write_secret(home)
                    .map_err(|error| error.to_string())?,
            )),
            in_flight: GraphSettings::IN_FLIGHT,
            mirrors: false,
        };
        let windows = Arc::new(Windows::new(clock.clone(), Arc::new(Nowhere)));
        let graph = GraphMeetings::new(settings, client, windows, clock.clone(), Arc::new(Zero));
        Ok(Self {
            home: home.to_owned(),
            simulator,
            clock,
            graph: Arc::new(graph),
        })
    }

    /// A process that starts with nothing remembered.
    fn bridge(&self) -> Result<Bridge, String> {
        let home = self.home.join("state");
        if home.exists() {
            std::fs::remove_dir_all(&home).map_err(|error| error.to_string())?;
        }
        let (state, _) = State::open(&home, self.clock.now()).map_err(|error| error.to_string())?;
        Ok(Bridge {
            state: Arc::new(state),
            meetings: self.graph.clone(),
            clock: self.clock.clone(),
            tenant: TENANT.to_owned(),
            first_pass_limit: u32::MAX,
            meetings_per_month: u32::MAX,
            troubles: Troubles::default(),
        })
    }

    fn requests(&self) -> u64 {
        self.simulator.snapshot().requests.values().sum()
    }

    /// Passes over the calendar until it is at rest, checks what was written, that nothing happens any
    /// more, and the same once more with nothing remembered.
    async fn link(
        &self,
        calendar: &Watched,
        before: &[u8],
        now: impl Fn() -> Result<Vec<u8>, String>,
    ) -> Result<Counts, String> {
        let bridge = self.bridge()?;
        let mut failed = 0;
        for n in 0.. {
            let report = pass(&bridge, calendar).await?;
            failed += report.failed;
            if report.again.is_empty() {
                break;
            }
            if n > PASSES {
                return Err("it never comes to rest".to_owned());
            }
        }
        if failed > 0 {
            return Err(format!("{failed} events failed"));
        }
        let after = now()?;
        let shown = additive::compare(before, &after)?;

        let (counts, linked) = outcome(&bridge, calendar).await?;
        self.check_meetings(&shown, &linked)?;
        check_clients(&after, &shown)?;
        let requests = self.requests();
        self.check_quiet(&bridge, calendar, "a second pass", &after, requests, &now)
            .await?;
        check_state(&bridge, calendar, &shown, &linked)?;

        drop(bridge);
        let forgetful = self.bridge()?;
        self.check_quiet(
            &forgetful,
            calendar,
            "a pass without its state",
            &after,
            requests,
            &now,
        )
        .await?;
        let (again, relinked) = outcome(&forgetful, calendar).await?;
        if (&again, &relinked) != (&counts, &linked) {
            return Err(format!(
                "without its state it is decided otherwise: {counts:?}, {again:?}"
            ));
        }
        check_state(&forgetful, calendar, &shown, &linked)?;
        self.check_rewrite(&forgetful, calendar, &shown, &after, &now)
            .await?;
        Ok(counts)
    }

    /// A rewrite with the same settings writes nothing; one with others does so once, and without its
    /// links the calendar is then what it was without those before.
    async fn check_rewrite(
        &self,
        bridge: &Bridge,
        calendar: &Watched,
        shown: &[additive::Shown],
        after: &[u8],
        now: &impl Fn() -> Result<Vec<u8>, String>,
    ) -> Result<(), String> {
        let same = self.rewrite(bridge, calendar).await?;
        if same.written > 0 || now()? != after {
            return Err("a rewrite with the same settings writes".to_owned());
        }
        let other = Watched {
            language: "de-DE".to_owned(),
            show: vec![Show::MeetingId, Show::Chat],
            location: Location::Label,
            ..watched(calendar.name.as_str(), Arc::clone(&calendar.port))
        };
        let report = self.rewrite(bridge, &other).await?;
        let (linked, rewritten) = (shown.iter().any(|one| one.url.is_some()), now()?);
        if linked != (report.written > 0) || linked != (rewritten != after) {
            return Err(format!("a rewrite writes {} times", report.written));
        }
        if bare(&rewritten, shown)? != bare(after, shown)? {
            return Err("a rewrite changes more than the links".to_owned());
        }
        let (requests, twice) = (self.requests(), self.rewrite(bridge, &other).await?);
        if twice.written > 0 || now()? != rewritten || self.requests() != requests {
            return Err("a second rewrite has effects".to_owned());
        }
        Ok(())
    }

    async fn rewrite(&self, bridge: &Bridge, calendar: &Watched) -> Result<Report, String> {
        // The clock stands: what was written up to now was written before.
        let asked = Some(self.clock.now() + TimeDelta::seconds(1));
        let (mut scope, mut all) = (Scope::All, Report::default());
        for _ in 0..PASSES {
            let pass = bridge.pass_rewriting(calendar, scope, asked).await;
            let report = pass.map_err(|error| error.to_string())?;
            if report.failed > 0 || report.halted.is_some() {
                return Err(format!("a rewrite fails: {:?}", report.halted));
            }
            let again = report.again.clone();
            all.merge(report);
            if again.is_empty() {
                return Ok(all);
            }
            scope = Scope::Only(again);
        }
        Err("a rewrite never comes to rest".to_owned())
    }

    /// One meeting per linked event, and each event shows its own.
    fn check_meetings(
        &self,
        shown: &[additive::Shown],
        linked: &BTreeSet<Uid>,
    ) -> Result<(), String> {
        let snapshot = self.simulator.snapshot();
        let uids: BTreeSet<Uid> = shown
            .iter()
            .filter(|one| one.url.is_some())
            .filter_map(|one| Uid::new(one.uid.clone()))
            .collect();
        if uids != *linked {
            let differ: Vec<_> = uids.symmetric_difference(linked).collect();
            return Err(format!(
                "written and linked are not the same events: {differ:?}"
            ));
        }
        if snapshot.meetings.len() != linked.len() {
            return Err(format!(
                "{} meetings for {}",
                snapshot.meetings.len(),
                linked.len()
            ));
        }
        let mut urls = BTreeSet::new();
        for state in &snapshot.meetings {
            let url = state
                .current
                .as_ref()
                .map(|current| current.join_web_url.clone());
            if state.made != 1 || !urls.insert(url) {
                return Err(format!(
                    "{:?} was made {} times",
                    state.external_id, state.made
                ));
            }
        }
        shown
            .iter()
            .try_for_each(|one| self.check_meeting(one, linked))
    }

    /// A component of a linked event shows its event's own meeting, which was made once.
    fn check_meeting(&self, shown: &additive::Shown, linked: &BTreeSet<Uid>) -> Result<(), String> {
        let uid = Uid::new(shown.uid.clone()).filter(|uid| linked.contains(uid));
        let Some(uid) = uid else { return Ok(()) };
        let Some(url) = &shown.url else {
            if shown.may_lack {
                return Ok(());
            }
            return Err(format!("a component of {uid} has no link"));
        };
        let snapshot = self.simulator.snapshot();
        let meeting = snapshot.meeting(ExternalId::of(&uid, 0).as_str());
        let meeting = meeting.filter(|meeting| meeting.made == 1);
        let current = meeting.and_then(|state| state.current.as_ref());
        if current.is_none_or(|current| current.join_web_url != *url) {
            return Err(format!("{uid} does not show its own meeting"));
        }
        Ok(())
    }

    /// With nothing changed, neither a listing nor a look at the file itself has any effect.
    async fn check_quiet(
        &self,
        bridge: &Bridge,
        calendar: &Watched,
        what: &str,
        after: &[u8],
        requests: u64,
        now: &impl Fn() -> Result<Vec<u8>, String>,
    ) -> Result<(), String> {
        let mut report = pass(bridge, calendar).await?;
        let resources = bridge
            .state
            .resources(&calendar.name)
            .map_err(|error| error.to_string())?;
        let named = Scope::Only(resources.into_iter().map(|one| one.id).collect());
        report.merge(
            bridge
                .pass(calendar, named)
                .await
                .map_err(|error| error.to_string())?,
        );
        if report.written > 0 || now()? != after {
            return Err(format!("{what} writes"));
        }
        if self.requests() != requests {
            return Err(format!("{what} asks for something"));
        }
        if report.failed > 0 || !report.again.is_empty() {
            return Err(format!("{what} is not at rest"));
        }
        Ok(())
    }
}

async fn pass(bridge: &Bridge, calendar: &Watched) -> Result<Report, String> {
    let report = bridge
        .pass(calendar, Scope::All)
        .await
        .map_err(|error| error.to_string())?;
    match report.halted {
        Some(why) => Err(why),
        None => Ok(report),
    }
}

/// How the events stand, and which are linked.
async fn outcome(bridge: &Bridge, calendar: &Watched) -> Result<(Counts, BTreeSet<Uid>), String> {
    let preview = bridge
        .preview(calendar)
        .await
        .map_err(|error| error.to_string())?;
    if let Some(why) = preview.waits {
        return Err(why);
    }
    let (mut counts, mut linked) = (Counts::new(), BTreeSet::new());
    for row in preview.rows {
        let what = match row.decision {
            Decision::Leave(Why::InStep) => {
                linked.insert(row.uid);
                "linked".to_owned()
            }
            Decision::Leave(Why::NotUnderstood { line, what: why }) => {
                if line.is_none() {
                    return Err(format!("{} is refused without a line: {why}", row.uid));
                }
                format!(
                    "skipped: not-understood: {}",
                    crate::oracle::without_names(&why)
                )
            }
            Decision::Leave(why) => {
                format!("skipped: {}", why.name())
            }
            other => return Err(format!("{} is not at rest: {}", row.uid, other.name())),
        };
        *counts.entry(what).or_default() += 1;
    }
    for (_, why) in preview.faults {
        *counts
            .entry(format!("no event: {}", without_place(&why)))
            .or_default() += 1;
    }
    Ok((counts, linked))
}

/// What could not be understood, without the line and without the name of a component.
fn without_place(fault: &str) -> String {
    let fault = fault.split_once(": ").map_or(fault, |(_, what)| what);
    for (begins, ends) in [
        ("BEGIN:", " without its END"),
        ("END:", " without its BEGIN"),
    ] {
        if fault.starts_with(begins) && fault.ends_with(ends) {
            return format!("{begins}…{ends}");
        }
    }
    if fault.ends_with(" more faults") {
        "more faults".to_owned()
    } else {
        fault.to_owned()
    }
}

/// What is remembered: a link of every linked event, seen in it, to the meeting it shows.
fn check_state(
    bridge: &Bridge,
    calendar: &Watched,
    shown: &[additive::Shown],
    linked: &BTreeSet<Uid>,
) -> Result<(), String> {
    let state = &bridge.state;
    let text = |error: meetbridge::state::StateError| error.to_string();
    let mut known = BTreeSet::new();
    for resource in state.resources(&calendar.name).map_err(text)? {
        for link in state.links(&calendar.name, &resource.id).map_err(text)? {
            let meeting = state
                .meeting(&link.organizer, &link.external_id)
                .map_err(text)?;
            let url = meeting
                .ok_or("a link without its meeting")?
                .meeting
                .join_url;
            let own = |one: &&additive::Shown| one.uid == link.uid.as_str();
            let mut urls = shown
                .iter()
                .filter(own)
                .filter_map(|one| one.url.as_deref());
            if link.phase != Phase::Seen || urls.next() != Some(url.expose()) {
                return Err(format!("{} is remembered as {:?}", link.uid, link.phase));
            }
            known.insert(link.uid);
        }
    }
    if known == *linked {
        Ok(())
    } else {
        Err("the state does not say what is linked".to_owned())
    }
}

#[expect(clippy::unwrap_used, reason = "a constant of the simulator")]
fn watched(name: &str, port: Arc<dyn Calendar>) -> Watched {
    Watched {
        name: CalendarName::new(name),
        port,
        organizer: OrganizerId::new(ORGANIZER).unwrap(),
        organizers: Default::default(),
        on_cancel: Default::default(),
        on_delete: Default::default(),
        language: "en-US".into(),
        style: Default::default(),
        rules: Rules {
            select: Select::All,
            horizon: Duration::from_secs(10_000 * 365 * 86_400),
            settle: Duration::ZERO,
            addresses: None,
            events_with_attendees: Default::default(),
            all_day: true,
            transparent: true,
            private: true,
        },
        zone: chrono_tz::UTC,
        location: Location::Url,
        show: Show::DEFAULT.to_vec(),
        new_links_per_day: u32::MAX,
        form: Default::default(),
    }
}

/// A calendar without its links and without the stamps.
fn bare(bytes: &[u8], shown: &[additive::Shown]) -> Result<Vec<u8>, String> {
    let document = Document::parse(bytes).map_err(|error| error.to_string())?;
    let urls: BTreeMap<&str, &str> = shown
        .iter()
        .filter_map(|one| Some((one.uid.as_str(), one.url.as_deref()?)))
        .collect();
    let begin = time("0001-01-01").ok_or("no time")?;
    let mut edits = Edits::new();
    let events = read(&document, chrono_tz::UTC, begin).events;
    let linked: Vec<(&Event, JoinUrl)> = events
        .iter()
        .filter_map(|event| Some((event, JoinUrl::new(*urls.get(event.uid.as_str())?))))
        .collect();
    taken_out(&document, &linked, begin)?;
    for (event, url) in &linked {
        let link = detach(&document, event, url);
        edits.merge(link.map_err(|error| error.to_string())?);
        for component in &event.components {
            let lines = document.lines(component.index);
            for line in lines.filter(|l| l.is("DTSTAMP") || l.is("LAST-MODIFIED")) {
                edits.remove(line.content_range());
            }
        }
    }
    Ok(edits.apply(bytes))
}

/// `unlink` and its check agree about these events, with a mark and without one.
fn taken_out(
    document: &Document<'_>,
    linked: &[(&Event, JoinUrl)],
    begin: DateTime<Utc>,
) -> Result<(), String> {
    for opt_out in [false, true] {
        let mut edits = Edits::new();
        for (event, url) in linked {
            let out = take_out(document, event, url, |_| true, opt_out, Some(begin));
            edits.merge(out.map_err(|error| error.to_string())?);
        }
        let after = edits.apply(document.bytes());
        let after = Document::parse(&after).map_err(|error| error.to_string())?;
        let events = read(&after, chrono_tz::UTC, begin).events;
        let events: BTreeMap<&Uid, &Event> = events.iter().map(|now| (&now.uid, now)).collect();
        let is_wrong = |(event, url): &&(&Event, JoinUrl)| {
            let now = events.get(&event.uid);
            !now.is_some_and(|now| is_out(document, event, &after, now, url, |_| true))
        };
        if linked.iter().any(|one| is_wrong(&one)) {
            return Err(format!(
                "opt-out {opt_out}: not taken out, or more than that"
            ));
        }
    }
    Ok(())
}

/// A calendar of one resource, in memory.
struct Shelf(Mutex<(u64, Vec<u8>)>);

impl Shelf {
    fn held(&self) -> std::sync::MutexGuard<'_, (u64, Vec<u8>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self) -> Vec<u8> {
        self.held().1.clone()
    }
}

#[async_trait]
impl Calendar for Shelf {
    async fn read(&self, scope: &Scope, known: Known) -> Result<Finding<'_>, ReadError> {
        let (version, bytes) = self.held().clone();
        let (id, version) = (
            ResourceId::new("sample.ics"),
            Version::new(version.to_string()),
        );
        let settled = *scope == Scope::All && known.get(&id) == Some(&version);
        let modified = None;
        let found = Found::Changed(Resource {
            id,
            version,
            bytes: bytes.into(),
            origins: Default::default(),
            modified,
        });
        let complete = Found::Complete {
            unchanged: settled.into(),
            token: None,
        };
        let found = (!settled).then_some(found).into_iter().chain([complete]);
        Ok(stream::iter(found.collect::<Vec<_>>()).boxed())
    }

    async fn write(&self, _: &ResourceId, version: &Version, bytes: &[u8]) -> Written {
        let mut held = self.held();
        if held.0.to_string() != version.as_str() {
            return Written::Changed;
        }
        *held = (held.0 + 1, bytes.to_vec());
        Written::Stored(Version::new(held.0.to_string()))
    }

    async fn changed(&self) -> Scope {
        std::future::pending().await
    }
}

/// A clock that stands still until it is set.
struct Still(Mutex<DateTime<Utc>>);

impl Still {
    fn set(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        tokio::task::yield_now().boxed()
    }
}

struct Zero;

impl Random for Zero {
    fn next(&self) -> u64 {
        0
    }
}

struct Nowhere;

impl WindowStore for Nowhere {
    fn load(&self) -> Vec<(String, DateTime<Utc>)> {
        Vec::new()
    }

    fn store(&self, _: &str, _: DateTime<Utc>) {}
}
