//! The socket and both its ends, with an office that does as it is told.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::state::Announced;

/// Time passes only where a test says so: sleeps of this length end at once, others never.
struct Passing(Option<Duration>);

impl Clock for Passing {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        match self.0 == Some(duration) {
            true => tokio::task::yield_now().boxed(),
            false => std::future::pending().boxed(),
        }
    }
}

/// `status` prints the width, `plan` a long text, `resume` waits for the gate, `sync` panics.
#[derive(Default)]
struct Office {
    begun: AtomicUsize,
    gate: Notify,
}

#[async_trait]
impl Serve for Office {
    async fn serve(&self, command: Command, width: Option<u16>, to: mpsc::Sender<Said>) -> u8 {
        self.begun.fetch_add(1, Ordering::SeqCst);
        match command {
            Command::Status { .. } => {
                let _ = to.send(Said::Out(format!("{width:?}\n"))).await;
                let _ = to.send(Said::Err("a word\n".to_owned())).await;
                75
            }
            Command::Plan { .. } => {
                let _ = to.send(Said::Out(long_text())).await;
                0
            }
            Command::Resume { .. } => {
                self.gate.notified().await;
                0
            }
            Command::Unlink { .. } => 0,
            Command::Sync { .. } => panic!("as the test wants it"),
        }
    }
}

fn long_text() -> String {
    "ü\u{7}".repeat(100_000)
}

fn status() -> Command {
    Command::Status { json: true }
}

fn resume() -> Command {
    Command::Resume {
        calendar: "team".to_owned(),
    }
}

struct World {
    directory: tempfile::TempDir,
    office: Arc<Office>,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl World {
    /// A daemon for which sleeps of this length are over at once.
    fn new(passing: Option<Duration>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = Socket::open(&directory.path().join("run/control.sock")).unwrap();
        let office = Arc::<Office>::default();
        let stop = CancellationToken::new();
        let serving = socket.serve(office.clone(), Arc::new(Passing(passing)), stop.clone());
        Self {
            directory,
            office,
            serving: tokio::spawn(serving),
            stop,
        }
    }

    fn at(&self) -> Announced {
        Announced {
            process: std::process::id().to_string(),
            socket: self.directory.path().join("run/control.sock"),
        }
    }

    async fn ask(&self, command: Command) -> (Result<u8, AskError>, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        let hear = |said| match said {
            Said::Out(text) => out += &text,
            Said::Err(text) => err += &text,
        };
        let ended = ask(&self.at(), command, Some(99), &Passing(None), hear).await;
        (ended, out, err)
    }

    /// What is answered to these bytes, line by line.
    async fn answers(&self, bytes: &[u8]) -> Vec<Answer> {
        let mut stream = UnixStream::connect(self.at().socket).await.unwrap();
        // The daemon may have stopped reading before the end.
        let _ = stream.write_all(bytes).await;
        let mut reader = BufReader::new(stream);
        let mut answers = Vec::new();
        while let Ok(Some(line)) = read_line(&mut reader, LARGEST_ANSWER).await {
            answers.push(serde_json::from_slice(&line).unwrap());
        }
        answers
    }

    async fn begun(&self, count: usize) {
        while self.office.begun.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_is_said_and_how_it_ended_arrive() {
    let world = World::new(None);
    let (ended, out, err) = world.ask(status()).await;
    assert_eq!(
        (ended.unwrap(), out.as_str(), err.as_str()),
        (75, "Some(99)\n", "a word\n")
    );
    let plan = Command::Plan {
        calendar: None,
        json: false,
        titles: false,
        rewrite: false,
        unlink: None,
    };
    let (ended, out, _) = world.ask(plan).await;
    assert_eq!(ended.unwrap(), 0);
    assert!(out == long_text(), "a long text comes in pieces");
}

#[tokio::test]
async fn the_socket_is_for_its_owner_alone_and_goes_when_the_daemon_goes() {
    let world = World::new(None);
    let path = world.at().socket;
    let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    world.stop.cancel();
    world.serving.await.unwrap();
    let left = std::fs::read_dir(path.parent().unwrap()).unwrap();
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn a_socket_that_was_left_is_replaced_but_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let old = Socket::open(&path).unwrap();
    std::fs::write(directory.path().join("control.new"), "left by a crash").unwrap();
    let new = Socket::open(&path).unwrap();
    drop(old);
    assert!(path.exists(), "it is not the old one's any more");
    drop(new);
    assert!(!path.exists());
    std::fs::write(&path, "a file").unwrap();
    assert!(Socket::open(&path).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"a file");
    let too_long = directory.path().join("x".repeat(120));
    assert!(Socket::open(&too_long).is_err());
}

#[tokio::test]
async fn garbage_is_refused_and_does_no_harm() {
    let world = World::new(None);
    let pid = std::process::id().to_string();
    let other = format!("{{\"version\":2,\"daemon\":\"{pid}\",\"command\":\"dance\"}}\n");
    let unknown = format!("{{\"version\":1,\"daemon\":\"{pid}\",\"command\":\"dance\"}}\n");
    let elsewhere = "{\"version\":1,\"daemon\":\"0\",\"width\":null,\"command\":{\"status\":{\"json\":true}}}\n";
    let long = vec![b'['; LARGEST_REQUEST + 1];
    let deep = [vec![b'['; LARGEST_REQUEST - 1], b"\n".to_vec()].concat();
    let cases: [(&[u8], &str); 8] = [
        (b"\n", "not a request: a JSON"),
        (b"\xff\x00\x1b[31m\n", "not a request: a JSON"),
        (b"{}\n", "not a request: a JSON"),
        (b"{\"version\":-1}\n", "not a request: a JSON"),
        (&deep, "not a request: a JSON"),
        (&long, "at most 64 KiB"),
        (other.as_bytes(), "of another version; restart the daemon"),
        (unknown.as_bytes(), "not a request that is known"),
    ];
    for (bytes, expected) in cases {
        let answers = world.answers(bytes).await;
        let [Answer::Err(why), Answer::End(1)] = answers.as_slice() else {
            panic!("{answers:?}");
        };
        assert!(why.contains(expected), "{expected}: {why}");
    }
    assert_eq!(
        world.answers(elsewhere.as_bytes()).await,
        [Answer::Elsewhere]
    );
    // Somebody connects and goes, at once or in the middle of a line.
    for bytes in [b"" as &[u8], b"{\"version\""] {
        let mut stream = UnixStream::connect(world.at().socket).await.unwrap();
        stream.write_all(bytes).await.unwrap();
    }
    assert_eq!(world.office.begun.load(Ordering::SeqCst), 0);
    assert_eq!(world.ask(status()).await.0.unwrap(), 75);
}

#[tokio::test]
async fn a_command_that_fails_inside_ends_alone() {
    let world = World::new(None);
    let (ended, ..) = world
        .ask(Command::Sync {
            calendar: None,
            rewrite: false,
        })
        .await;
    assert!(matches!(ended, Err(AskError::Ended)), "{ended:?}");
    assert_eq!(world.ask(status()).await.0.unwrap(), 75);
}

#[tokio::test]
async fn eight_are_served_and_the_next_waits_its_turn() {
    let world = World::new(None);
    let mut waiting: Vec<_> = (0..9).map(|_| Box::pin(world.ask(resume()))).collect();
    let all = futures_util::future::join_all(waiting.iter_mut());
    tokio::select! {
        _ = all => panic!("the gate is closed"),
        () = world.begun(8) => {}
    }
    for _ in 0..100 {
        for one in &mut waiting {
            assert!(futures_util::poll!(one).is_pending());
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(world.office.begun.load(Ordering::SeqCst), 8);
    let all = futures_util::future::join_all(waiting);
    let open = async {
        loop {
            world.office.gate.notify_waiters();
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::select! {
        ended = all => ended,
        () = open => unreachable!(),
    };
    assert!(ended.iter().all(|(ended, ..)| matches!(ended, Ok(0))));
}

#[tokio::test]
async fn a_peer_that_has_gone_makes_room() {
    let world = World::new(None);
    for round in 1..=20 {
        let asked = world.ask(resume());
        tokio::select! {
            _ = asked => panic!("the gate is closed"),
            () = world.begun(round) => {}
        }
    }
    // It goes before it is served: what it asked for is begun all the same.
    let request = Request {
        version: VERSION,
        daemon: std::process::id().to_string(),
        width: None,
        command: resume(),
    };
    let request = serde_json::to_string(&request).unwrap() + "\n";
    let mut stream = UnixStream::connect(world.at().socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    drop(stream);
    world.begun(21).await;
    assert_eq!(world.ask(status()).await.0.unwrap(), 75);
}

#[tokio::test]
async fn while_there_is_nothing_to_say_the_daemon_says_that_it_is_at_work() {
    let world = World::new(Some(HEARTBEAT));
    let mut asked = Box::pin(world.ask(resume()));
    tokio::select! {
        _ = &mut asked => panic!("the gate is closed"),
        () = world.begun(1) => {}
    }
    // Far more than are kept for somebody who does not read.
    for _ in 0..10_000 {
        assert!(futures_util::poll!(&mut asked).is_pending());
        tokio::task::yield_now().await;
    }
    world.office.gate.notify_one();
    assert_eq!(asked.await.0.unwrap(), 0);
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let silent = World::new(Some(Duration::from_secs(10)));
    assert_eq!(silent.answers(b"{\"version\"").await, []);

    // A daemon that hangs.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _listener = tokio::net::UnixListener::bind(&path).unwrap();
    let at = Announced {
        process: "7".to_owned(),
        socket: path,
    };
    // Time passes where nothing else can happen: connecting and writing come first.
    struct Late;
    impl Clock for Late {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }
        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            async {
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
            }
            .boxed()
        }
    }
    let ended = ask(&at, status(), None, &Late, |_| {}).await;
    assert!(matches!(ended, Err(AskError::Silent(_))), "{ended:?}");
}

#[tokio::test]
async fn what_a_command_does_not_find_or_understand_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let at = |process: &str| Announced {
        process: process.to_owned(),
        socket: path.clone(),
    };
    let asked =
        async |process: &str| ask(&at(process), status(), None, &Passing(None), |_| {}).await;
    assert!(matches!(asked("1").await, Err(AskError::NotThere)));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(matches!(asked("1").await, Err(AskError::NotThere)), "stale");

    let world = World::new(None);
    let other = Announced {
        process: "0".to_owned(),
        ..world.at()
    };
    let ended = ask(&other, status(), None, &Passing(None), |_| {}).await;
    assert!(matches!(ended, Err(AskError::NotThere)), "another daemon");

    std::fs::remove_file(&path).unwrap();
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let long = vec![b'x'; LARGEST_ANSWER + 1];
    type Expected = fn(&AskError) -> bool;
    let answers: [(&[u8], Expected); 4] = [
        (b"", |error| matches!(error, AskError::Ended)),
        (b"\"working\"\n", |error| matches!(error, AskError::Ended)),
        (b"hello\n", |error| matches!(error, AskError::Foreign(_))),
        (&long, |error| matches!(error, AskError::Foreign(_))),
    ];
    for (bytes, expected) in answers {
        let daemon = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            read_line(&mut stream, LARGEST_REQUEST).await.unwrap();
            let _ = stream.get_mut().write_all(bytes).await;
        };
        let (ended, ()) = tokio::join!(asked("1"), daemon);
        let error = ended.unwrap_err();
        assert!(expected(&error), "{error:?}");
    }
}

#[test]
fn the_socket_is_in_the_runtime_directory_else_with_the_state() {
    type Variables<'v> = &'v [(&'v str, &'v str)];
    let state = Path::new("/var/lib/meetbridge");
    let of = |variables: Variables<'_>| {
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(found.1))
        };
        place(find, state).display().to_string()
    };
    let xdg = ("XDG_RUNTIME_DIR", "/run/user/1000");
    let cases: [(Variables<'_>, &str); 5] = [
        (
            &[("RUNTIME_DIRECTORY", "/run/a"), xdg],
            "/run/a/control.sock",
        ),
        (
            &[("RUNTIME_DIRECTORY", "/run/a:/run/b")],
            "/run/a/control.sock",
        ),
        (
            &[("RUNTIME_DIRECTORY", "")],
            "/var/lib/meetbridge/control.sock",
        ),
        (
            &[("XDG_RUNTIME_DIR", "relative")],
            "/var/lib/meetbridge/control.sock",
        ),
        (&[], "/var/lib/meetbridge/control.sock"),
    ];
    for (variables, expected) in cases {
        assert_eq!(of(variables), expected, "{variables:?}");
    }
    let users = of(&[xdg]);
    assert!(
        users.starts_with("/run/user/1000/meetbridge/control-"),
        "{users}"
    );
    let find = |_: &str| Some(OsString::from("/run/user/1000"));
    let find = |name: &str| find(name).filter(|_| name == "XDG_RUNTIME_DIR");
    let other = place(find, Path::new("/home/a/state"));
    assert_ne!(users, other.display().to_string(), "each state has its own");
}

#[test]
fn a_command_of_an_older_client_asks_for_no_rewrite() {
    let sync: Command = serde_json::from_str(r#"{"sync":{"calendar":"team"}}"#).unwrap();
    let calendar = Some("team".to_owned());
    let rewrite = false;
    assert_eq!(sync, Command::Sync { calendar, rewrite });
    let plan = r#"{"plan":{"calendar":null,"json":true,"titles":false}}"#;
    let plan: Command = serde_json::from_str(plan).unwrap();
    assert!(matches!(plan, Command::Plan { rewrite: false, .. }));
}
