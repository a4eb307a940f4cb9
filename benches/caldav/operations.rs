//! The operations that have a budget, and how each is measured.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::client::{self, POLL};
use crate::harness::{ALICE, Tap};
use crate::minimal;
use crate::server::{Kind, Server};
use crate::steps::Steps;
use crate::support::measure::{Figure, percentile};
use crate::support::passes::Cost;
use crate::support::world::{World, quoted};
use crate::support::{Result, expect};

/// How many passes a median is of.
const PASSES: usize = 20;

/// A first pass is measured so often, each time with an empty state and in a process of its own.
const FIRST_PASSES: usize = 3;

/// How many calendars an account has that is watched, and how many events each of them.
const CALENDARS: (usize, usize) = (50, 10);

/// An operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// The first pass over a large calendar of which nothing is selected; then, in a process that
    /// begins with that state, passes with nothing changed, and passes after one change.
    Large,
    /// Linking everything in a calendar.
    Link,
    /// Watching an account of many calendars.
    Account,
}

/// All of them, in the order of the table.
pub(crate) const ALL: [Operation; 3] = [Operation::Large, Operation::Link, Operation::Account];

impl Operation {
    /// How many events a calendar has. Radicale takes seconds for each report of 10,000.
    fn events(self, kind: Kind) -> usize {
        match (self, kind) {
            (Self::Large, Kind::Radicale) => 2_000,
            (Self::Large, _) => 10_000,
            (Self::Link, _) => 1_000,
            (Self::Account, _) => CALENDARS.1,
        }
    }

    /// As the table says it.
    pub(crate) fn name(self, kind: Kind) -> String {
        let (server, events) = (kind.name(), self.events(kind));
        match self {
            Self::Large => format!("{server}: {events} events, none selected"),
            Self::Link => format!("{server}: linking {events} events"),
            Self::Account => format!("{server}: watching {} calendars", CALENDARS.0),
        }
    }

    /// Measures it.
    pub(crate) fn measure(self, kind: Kind) -> Result<Vec<Figure>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let scene = Scene::new(&runtime, self, kind)?;
        match self {
            Self::Large => large(&runtime, &scene, self.events(kind)),
            Self::Link => link(&scene, self.events(kind)),
            Self::Account => account(&scene),
        }
    }
}

/// A server, what counts on the way to it, and a home that is configured for it.
struct Scene {
    // The order in which they end: no client asks a server that is gone.
    world: World,
    tap: Tap,
    server: Server,
    first: String,
}

/// What a step took, on the wire too.
struct Took {
    cost: Cost,
    requests: f64,
    bytes: f64,
}

impl Scene {
    fn new(runtime: &Runtime, operation: Operation, kind: Kind) -> Result<Self> {
        let names: Vec<String> = match operation {
            Operation::Account => (0..CALENDARS.0).map(|n| format!("c{n:02}")).collect(),
            _ => vec!["work".to_owned()],
        };
        let attendees = matches!(operation, Operation::Link);
        let server = Server::start(runtime, kind, &names, operation.events(kind), attendees)?;
        let tap = Tap::to(server.port());
        let world = World::new(Duration::ZERO, |home| {
            let password = home.join("password");
            std::fs::write(&password, ALICE.password)?;
            std::fs::set_permissions(&password, PermissionsExt::from_mode(0o600))?;
            Ok(format!(
                "[[calendar.caldav]]\nname = \"alice\"\nurl = \"{}\"\nusername = \"{}\"\n\
                 password-file = {}\ncollections = {names:?}\naddresses = [\"alice@example.org\"]\n",
                tap.url(),
                ALICE.name,
                quoted(&password),
            ))
        });
        let world = runtime.block_on(world)?;
        let first = names.into_iter().next().unwrap_or_default();
        Ok(Self {
            world,
            tap,
            server,
            first,
        })
    }

    /// The measured client, when it has found its calendars.
    fn client(&self) -> Result<Steps> {
        let mut steps = Steps::start(&[client::FLAG, &self.home()])?;
        steps.step("begin")?;
        Ok(steps)
    }

    fn minimal(&self) -> Result<Steps> {
        let url = self.tap.url();
        let url = url.trim_end_matches('/');
        Steps::start(&[
            minimal::FLAG,
            &self.home(),
            url,
            self.server.home(),
            &self.first,
        ])
    }

    fn home(&self) -> String {
        self.world.home().to_string_lossy().into_owned()
    }

    /// Lets a client do something.
    fn step(&self, steps: &mut Steps, what: &str) -> Result<Took> {
        let (requests, bytes) = (self.tap.seen().len(), self.tap.bytes());
        let cost = steps.step(what)?;
        Ok(Took {
            cost,
            requests: (self.tap.seen().len() - requests) as f64,
            bytes: (self.tap.bytes() - bytes) as f64,
        })
    }
}

/// The median of each figure.
fn median(steps: &[Took]) -> Took {
    let of = |figure: fn(&Took) -> f64| {
        let mut figures: Vec<f64> = steps.iter().map(figure).collect();
        percentile(&mut figures, 0.5)
    };
    Took {
        cost: Cost {
            cpu: of(|took| took.cost.cpu),
            wall: of(|took| took.cost.wall),
            memory: of(|took| took.cost.memory),
            ..Cost::default()
        },
        requests: of(|took| took.requests),
        bytes: of(|took| took.bytes),
    }
}

fn large(runtime: &Runtime, scene: &Scene, events: usize) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    // The listing, the multigets, and what shows whether the server keeps line ends.
    let requests = 1 + events.div_ceil(50) + 3;
    let mut firsts = Vec::new();
    for _ in 0..FIRST_PASSES {
        scene.world.forget()?;
        let first = scene.step(&mut scene.client()?, "all")?;
        expect("read", first.cost.read, events)?;
        firsts.push(first);
    }
    let first = median(&firsts);
    let floor = scene.step(&mut scene.minimal()?, "all")?;
    expect("read", floor.cost.read, events)?;
    figures.extend([
        Figure::new("first: requests", first.requests, "").within(requests as f64),
        Figure::new("first: CPU", first.cost.cpu, "ms").within(500.0),
        Figure::new("first: memory", first.cost.memory, "MiB").within(40.0),
        Figure::new("first: bytes", first.bytes / 1024.0, "KiB"),
        Figure::new("first: wall", first.cost.wall, "ms"),
    ]);
    figures.extend(beside("first", &floor));

    // As after a start: a listing first, in which everything is known.
    let (mut client, mut minimal) = (scene.client()?, scene.minimal()?);
    let start = scene.step(&mut client, "all")?;
    expect("unchanged", start.cost.unchanged, events)?;
    expect("read again", start.cost.read, 0)?;
    scene.step(&mut minimal, "all")?;
    figures.extend([
        Figure::new("start: requests", start.requests, ""),
        Figure::new("start: CPU", start.cost.cpu, "ms"),
        Figure::new("start: memory", start.cost.memory, "MiB"),
    ]);
    let (mut quiets, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..PASSES {
        quiets.push(scene.step(&mut client, "news")?);
        floors.push(scene.step(&mut minimal, "news")?);
    }
    let (quiet, floor) = (median(&quiets), median(&floors));
    figures.extend([
        Figure::new("quiet: requests", quiet.requests, "").within(1.0),
        Figure::new("quiet: bytes", quiet.bytes, "B").within(1024.0),
        Figure::new("quiet: CPU", quiet.cost.cpu, "ms").within(10.0),
        Figure::new("quiet: memory", quiet.cost.memory, "MiB").within(25.0),
        Figure::new("quiet: wall", quiet.cost.wall, "ms"),
    ]);
    figures.extend(beside("quiet", &floor));

    let (mut changes, mut afters, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..PASSES {
        // Each client has its own events, and does not see what the other wrote.
        scene.server.put(runtime, &scene.first, 2 * n);
        let change = scene.step(&mut client, "news")?;
        expect("written", change.cost.written, 1)?;
        changes.push(change);
        afters.push(scene.step(&mut client, "news")?);
        scene.step(&mut minimal, "see")?;
        scene.server.put(runtime, &scene.first, 2 * n + 1);
        floors.push(scene.step(&mut minimal, "news")?);
        scene.step(&mut client, "news")?;
    }
    let (change, after, floor) = (median(&changes), median(&afters), median(&floors));
    figures.extend([
        Figure::new("change: requests", change.requests, "").within(3.0),
        Figure::new("change: CPU", change.cost.cpu, "ms").within(20.0),
        Figure::new("change: memory", change.cost.memory, "MiB").within(25.0),
        Figure::new("change: bytes", change.bytes, "B"),
        Figure::new("change: wall", change.cost.wall, "ms"),
        Figure::new("pass after it: requests", after.requests, ""),
    ]);
    figures.extend(beside("change", &floor));
    Ok(figures)
}

fn link(scene: &Scene, events: usize) -> Result<Vec<Figure>> {
    let before = scene.tap.count("PUT");
    let mut client = scene.client()?;
    let took = scene.step(&mut client, "all")?;
    expect("written", took.cost.written, events)?;
    let puts = scene.tap.count("PUT") - before;
    drop(client);
    // What was linked is known to the process that follows, unless the server rewrote it.
    let mut client = scene.client()?;
    let start = scene.step(&mut client, "all")?;
    let quiet = scene.step(&mut client, "news")?;
    drop(client);
    let floor = scene.step(&mut scene.minimal()?, "link")?;
    // The listing, the multigets, the writes, and what shows how the server keeps what it is given.
    let requests = 1 + events.div_ceil(50) + events + 4;
    let mut figures = vec![
        Figure::new("requests", took.requests, "").within(requests as f64),
        Figure::new("PUTs", puts as f64, "").within(events as f64),
        Figure::new("meetings made", took.cost.created as f64, "").within(events as f64),
        Figure::new("CPU", took.cost.cpu, "ms").within(1_500.0),
        Figure::new("memory", took.cost.memory, "MiB").within(40.0),
        Figure::new("bytes", took.bytes / 1024.0, "KiB"),
        Figure::new("wall", took.cost.wall, "ms"),
        Figure::new("next start: requests", start.requests, ""),
        Figure::new("next start: read", start.cost.read as f64, ""),
        Figure::new("pass after it: requests", quiet.requests, ""),
    ];
    figures.extend(beside("link", &floor));
    Ok(figures)
}

fn account(scene: &Scene) -> Result<Vec<Figure>> {
    let mut client = scene.client()?;
    // Meanwhile all of them make their first pass, and what the first look at the home set asks for.
    for _ in 0..10 {
        if scene.step(&mut client, "watch")?.cost.read == 0 {
            break;
        }
    }
    let took = scene.step(&mut client, "watch")?;
    expect("passes", took.cost.read, 0)?;
    let polls = took.cost.wall / POLL.as_secs_f64() / 1e3;
    drop(client);
    let floor = scene.step(&mut scene.minimal()?, "watch")?;
    Ok(vec![
        Figure::new("poll: requests", took.requests / polls, "").within(2.0),
        Figure::new("poll: bytes", took.bytes / took.requests, "B"),
        Figure::new("poll: CPU", took.cost.cpu / took.requests, "ms"),
        Figure::new("memory", took.cost.memory, "MiB"),
        Figure::new("poll: minimal CPU", floor.cost.cpu / floor.requests, "ms"),
    ])
}

/// What the minimal client took for the same.
fn beside(what: &str, floor: &Took) -> [Figure; 3] {
    let name = |figure| format!("{what}: minimal {figure}");
    [
        Figure::new(name("requests"), floor.requests, ""),
        Figure::new(name("CPU"), floor.cost.cpu, "ms"),
        Figure::new(name("memory"), floor.cost.memory, "MiB"),
    ]
}
