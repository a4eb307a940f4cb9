//! One schedule, lived through: the steps of its story at their times, and between them what the
//! daemon does, from its start to its end, restarts included.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use meetbridge::calendar::Scope;
use meetbridge::clock::Clock as _;
use meetbridge::http::{Client, Windows};
use meetbridge::ical::write::Location;
use meetbridge::meeting::graph::{GraphMeetings, GraphSettings, SignIn};
use meetbridge::meeting::{Form, Mirror, ShowAs};
use meetbridge::model::{CalendarName, OrganizerId};
use meetbridge::plan::{Rules, Select, Style};
use meetbridge::secret::SecretSource;
use meetbridge::simulator::{CLIENT_ID, CLIENT_SECRET, TENANT};
use meetbridge::state::State;
use meetbridge::sync::{Bridge, Report, Watched};
use tempfile::TempDir;
use url::Url;

use super::plan::Plan;
use super::story::{DAY, HOUR, MINUTE, Step, Story, set, stamp};
use super::time::{Time, run};
use super::world::{Kept, Numbers, Shelf, Wire, World};

/// How long the daemon concludes nothing after its start from what is gone.
const QUIET: Duration = Duration::from_secs(5 * 60);

/// More passes than any schedule needs.
const MOST_PASSES: usize = 400;

/// A story that is being lived through.
pub(super) struct Life<'a> {
    story: &'a Story,
    pub(super) world: Arc<World>,
    home: TempDir,
    /// `None` while it starts.
    process: Option<Process>,
    changes: usize,
    passes: usize,
}

struct Process {
    bridge: Bridge,
    calendar: Watched,
    began: Duration,
    /// When the calendar is passed over as a whole.
    full: Vec<Duration>,
    again: Option<(Duration, Scope)>,
}

impl<'a> Life<'a> {
    pub(super) fn new(story: &'a Story, plan: &Plan) -> Self {
        let world = World::new(story, plan);
        let mut life = Self {
            story,
            world,
            home: home(),
            process: None,
            changes: 0,
            passes: 0,
        };
        life.restart();
        life
    }

    /// Lives through all of it.
    pub(super) async fn live(&mut self) {
        let story = self.story;
        for (at, step) in &story.steps {
            self.go_on_until(*at).await;
            self.take(step);
        }
        self.go_on_until(story.end()).await;
    }

    /// Whether a pass finds nothing to do.
    pub(super) async fn is_quiet(&mut self) -> bool {
        let before = self.world.effects();
        self.pass(Scope::All).await;
        self.world.effects() == before
    }

    fn take(&mut self, step: &Step) {
        let (world, events) = (&self.world, &self.story.events);
        let edit = |n: &usize, from: &str, to: &str| {
            let plot = &events[*n];
            world.edit(&plot.resource, |text| set(text, &plot.uid, from, to));
        };
        match step {
            Step::Save(n) => {
                let name = &events[*n].resource;
                let there = events.iter().filter(|plot| plot.resource == *name);
                let text: String = there.map(|plot| plot.text()).collect();
                world.save(
                    name,
                    &format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{text}END:VCALENDAR\r\n"),
                );
            }
            Step::Move(n, to) => edit(n, "DTSTART:", &format!("DTSTART:{}", stamp(*to))),
            Step::Retitle(n) => {
                let title = format!(
                    "SUMMARY:Planning at {}",
                    world.time.elapsed().as_secs() / 60
                );
                edit(n, "SUMMARY:", &title);
            }
            Step::Cancel(n) => edit(
                n,
                "ORGANIZER:",
                "STATUS:CANCELLED\r\nORGANIZER:mailto:alice@x",
            ),
            Step::Delete(n) => world.delete(&events[*n].resource),
            Step::Return(n, as_it_was) => world.restore(&events[*n].resource, *as_it_was),
            Step::Restart => self.restart(),
            Step::LoseState => {
                // With the state the windows are lost: they are over when the process is back.
                let back = world.time.elapsed() + HOUR;
                world.time.pass_until(back);
                self.process = None;
                for entry in std::fs::read_dir(self.home.path()).unwrap() {
                    std::fs::remove_file(entry.unwrap().path()).unwrap();
                }
                self.restart();
            }
            Step::Settings => {
                self.changes += 1;
                self.restart();
            }
            Step::Weeks => {}
            Step::InOutlook(n, does) => world.meddle(&events[*n].resource, &events[*n].uid, does),
        }
        let now = self.world.time.elapsed();
        // What is gone is missed by a second look.
        let process = self.process_mut();
        process.full = vec![now];
        if matches!(step, Step::Delete(_)) {
            process.full.push(now + MINUTE + MINUTE / 60);
        }
    }

    fn restart(&mut self) {
        self.process = None;
        let now = self.world.time.now();
        let (state, damaged) = State::open(self.home.path(), now).unwrap();
        assert_eq!(damaged, None);
        let process = start(self.story, &self.world, &Arc::new(state), self.changes);
        self.process = Some(process);
    }

    fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// Does what is due, until then.
    async fn go_on_until(&mut self, end: Duration) {
        loop {
            let now = self.world.time.elapsed();
            let (when, scope) = self.next();
            let when = when.max(now);
            if when > end {
                break;
            }
            self.world.time.pass_until(when);
            self.pass(scope).await;
            self.passes += 1;
            assert!(self.passes < MOST_PASSES, "it never comes to rest");
        }
        self.world.time.pass_until(end);
    }

    /// What the daemon does next, as its schedule would have it, and when.
    fn next(&self) -> (Duration, Scope) {
        let process = self.process();
        let state = &process.bridge.state;
        if let Some(again) = &process.again {
            return again.clone();
        }
        let name = &process.calendar.name;
        let full = process.full.iter().min().copied().unwrap_or(Duration::MAX);
        let due = state.next_due(name).unwrap().map(since_start);
        let end = self.next_end().unwrap_or(Duration::MAX);
        match due {
            Some(due) if due < full && due <= end => {
                let when = due.max(self.world.time.elapsed());
                let now = Time::start() + chrono::TimeDelta::from_std(when).unwrap();
                let due = state.due(name, now).unwrap();
                (when, Scope::Only(due.into_iter().collect()))
            }
            _ => (full.min(end), Scope::All),
        }
    }

    /// When the end of a meeting is due.
    fn next_end(&self) -> Option<Duration> {
        let process = self.process();
        let state = &process.bridge.state;
        let links = state.ended_links(&process.calendar.name).unwrap();
        let ends = links.iter().filter_map(|link| {
            let since = link.gone.map(|gone| gone.since).or(link.cancelled)?;
            let ending = state.ending(&link.organizer, &link.external_id);
            let due = ending
                .unwrap()
                .map_or(Duration::ZERO, |e| since_start(e.due));
            Some(
                (since_start(since) + DAY)
                    .max(due)
                    .max(process.began + QUIET),
            )
        });
        let now = self.world.time.elapsed();
        let is_due = process.bridge.has_endings(&process.calendar).unwrap();
        // What has its time and is none is to be kept.
        let quiet = process.began + QUIET;
        ends.filter(|end| *end > now || (is_due && now >= quiet))
            .min()
    }

    async fn pass(&mut self, scope: Scope) {
        let now = self.world.time.elapsed();
        let process = self.process.as_mut().unwrap();
        process.again = None;
        if scope == Scope::All {
            process.full.retain(|at| *at > now);
        }
        let (world, bridge, calendar) = (&self.world, &process.bridge, &process.calendar);
        let ends = !matches!(scope, Scope::Only(_)) && now >= process.began + QUIET;
        let work = async {
            let report = bridge.pass(calendar, scope).await.unwrap();
            if ends {
                bridge.end_meetings(calendar).await.unwrap();
            }
            report
        };
        let done = run(&world.time, async {
            tokio::select! {
                biased;
                () = world.crashed() => None,
                report = work => Some(report),
            }
        });
        match done.await {
            Some(report) => self.passed(report),
            None => {
                let full = self.process().full.clone();
                let back = self.world.time.elapsed() + Duration::from_secs(5);
                self.world.time.pass_until(back);
                self.restart();
                self.process_mut().full.extend(full);
            }
        }
    }

    fn passed(&mut self, report: Report) {
        let progress = report.written + report.created > 0;
        let pause = match progress {
            true => Duration::ZERO,
            false => Duration::from_secs(1),
        };
        if !report.again.is_empty() {
            let when = self.world.time.elapsed() + pause;
            self.process_mut().again = Some((when, Scope::Only(report.again)));
        }
    }
}

fn since_start(when: DateTime<Utc>) -> Duration {
    (when - Time::start()).to_std().unwrap_or_default()
}

/// A process starts.
fn start(story: &Story, world: &Arc<World>, state: &Arc<State>, changes: usize) -> Process {
    let clock = Arc::new(world.time.clone());
    let windows = Windows::new(clock.clone(), Arc::new(Kept(state.clone())));
    let root = Url::parse(&world.simulator.graph_url()).unwrap();
    let graph = GraphSettings {
        tenant: TENANT.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        graph_url: root.clone(),
        authority_url: root,
        sign_in: SignIn::Secret(SecretSource::File(secret())),
        in_flight: GraphSettings::IN_FLIGHT,
        mirrors: story.mirrors.is_some(),
    };
    let meetings = GraphMeetings::new(
        graph,
        Client::carried_by(Arc::new(Wire(world.clone()))),
        Arc::new(windows),
        clock.clone(),
        Arc::new(Numbers(world.clone())),
    );
    let form = story.mirrors.as_ref().map_or(Form::default(), |mirrors| {
        Form::CalendarEvent(Arc::new(Mirror {
            note: "a mirror".to_owned(),
            calendar: mirrors.calendar.map(str::to_owned),
            show_as: ShowAs::default(),
        }))
    });
    let began = world.time.elapsed();
    let process = Process {
        bridge: Bridge {
            state: state.clone(),
            meetings: Arc::new(meetings),
            clock,
            tenant: TENANT.to_owned(),
            first_pass_limit: 50,
            meetings_per_month: 1_800,
            troubles: Default::default(),
        },
        calendar: Watched {
            name: CalendarName::new("team"),
            port: Arc::new(Shelf(world.clone())),
            organizer: OrganizerId::new(story.organizer()).unwrap(),
            organizers: Default::default(),
            on_cancel: story.on_cancel,
            on_delete: story.on_delete,
            language: "en-US".into(),
            style: Style {
                settings: story.settings(changes),
                ..Style::default()
            },
            rules: Rules {
                select: Select::Attendees,
                horizon: 365 * DAY,
                settle: Duration::ZERO,
                addresses: None,
                events_with_attendees: Default::default(),
                all_day: false,
                transparent: false,
                private: false,
            },
            zone: chrono_tz::UTC,
            location: Location::Url,
            show: story.show(),
            form,
            new_links_per_day: 500,
        },
        began,
        full: vec![began],
        again: None,
    };
    process.bridge.retry_failed(&process.calendar).unwrap();
    process
}

/// A place for the state, in memory where the system has one, with an empty state in it: to make one
/// takes longer than half of what follows.
fn home() -> TempDir {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    let place =
        || tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
    let empty = EMPTY.get_or_init(|| {
        let home = place();
        drop(State::open(home.path(), Time::start()).unwrap());
        std::fs::read(home.path().join("state.db")).unwrap()
    });
    let home = place();
    std::fs::write(home.path().join("state.db"), empty).unwrap();
    home
}

/// A file with the simulator's secret, for all schedules.
fn secret() -> PathBuf {
    static FILE: OnceLock<tempfile::NamedTempFile> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), CLIENT_SECRET).unwrap();
        file
    });
    file.path().to_owned()
}
