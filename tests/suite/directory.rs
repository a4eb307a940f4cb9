//! Calendars on a real disk: what is listed, what is told, what is written and what is not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use meetbridge::calendar::directory::Directory;
use meetbridge::calendar::{Calendar, Found, Known, ReadError, Resource, Scope, Written};
use meetbridge::clock::Clock;
use meetbridge::model::{ResourceId, Version};
use rustix::fs::{CWD, FileType, FlockOperation, Mode, XattrFlags};
use tempfile::TempDir;

/// Passes a hundred times as fast as the world, so that what waits for 5 s is tested in 50 ms.
struct Fast(Instant);

#[allow(
    clippy::disallowed_methods,
    reason = "this is the clock of these tests"
)]
impl Clock for Fast {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed() * 100
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration / 100).boxed()
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the clock of these tests"
)]
fn clock() -> Arc<dyn Clock> {
    Arc::new(Fast(Instant::now()))
}

/// A temporary directory where the build stands: a real disk, with extended attributes.
fn temporary() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn event(title: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:{title}\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

/// A calendar directory, and the port to it.
struct Fixture {
    directory: TempDir,
    calendar: Directory,
}

impl Fixture {
    fn new() -> Self {
        let directory = temporary();
        let calendar = Directory::directory(directory.path().to_owned(), clock());
        Self {
            directory,
            calendar,
        }
    }

    /// The same, watched already.
    async fn watched() -> Self {
        let fixture = Self::new();
        assert_eq!(changed(&fixture.calendar).await, Scope::All);
        fixture
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    fn save(&self, name: impl AsRef<Path>, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn content(&self, name: impl AsRef<Path>) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Every name below the directory.
    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    async fn resource(&self, name: &str) -> Resource {
        let mut seen = read(&self.calendar, &only([name]), Known::new()).await;
        seen.changed.remove(name).unwrap()
    }

    async fn write(&self, of: &Resource, content: &str) -> Written {
        let bytes = content.as_bytes();
        self.calendar.write(&of.id, &of.version, bytes).await
    }
}

/// What a read found, by identifier.
#[derive(Debug, Default)]
struct Seen {
    changed: BTreeMap<String, Resource>,
    vanished: BTreeSet<String>,
    unreadable: BTreeMap<String, ReadError>,
    unchanged: Option<usize>,
}

impl Seen {
    fn names(&self) -> Vec<&str> {
        self.changed.keys().map(String::as_str).collect()
    }

    fn known(&self) -> Known {
        let versions = self.changed.values();
        versions
            .map(|r| (r.id.clone(), r.version.clone()))
            .collect()
    }
}

async fn read(calendar: &Directory, scope: &Scope, known: Known) -> Seen {
    let reading = async {
        let mut seen = Seen::default();
        let mut finding = calendar.read(scope, known).await.unwrap();
        while let Some(found) = finding.next().await {
            assert_eq!(seen.unchanged, None, "nothing follows the end");
            match found {
                Found::Changed(resource) => {
                    let id = resource.id.as_str().to_owned();
                    assert!(seen.changed.insert(id, resource).is_none(), "told twice");
                }
                Found::Vanished(id) => assert!(seen.vanished.insert(id.as_str().to_owned())),
                Found::Unreadable(id, error) => {
                    seen.unreadable.insert(id.as_str().to_owned(), error);
                }
                Found::Confirmed(id) => panic!("{id}: a directory lists versions"),
                Found::Complete { unchanged, .. } => seen.unchanged = Some(unchanged),
            }
        }
        seen
    };
    within(reading).await
}

async fn all(calendar: &Directory) -> Seen {
    read(calendar, &Scope::All, Known::new()).await
}

fn only<const N: usize>(names: [&str; N]) -> Scope {
    Scope::Only(names.map(ResourceId::new).into())
}

async fn changed(calendar: &Directory) -> Scope {
    within(calendar.changed()).await
}

/// A test that waits for ever fails instead.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("waited in vain")
}

/// Collects what is told by name until `last` is among it. Nothing may need a look at everything.
async fn told_until(calendar: &Directory, last: &str) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    while !told.contains(last) {
        match changed(calendar).await {
            Scope::Only(ids) => told.extend(ids.iter().map(|id| id.as_str().to_owned())),
            Scope::All | Scope::News(_) => panic!("everything is to be looked at"),
        }
    }
    told
}

async fn told_all(calendar: &Directory) {
    while changed(calendar).await != Scope::All {}
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test]
async fn a_listing_finds_calendar_files_and_nothing_else() {
    let fixture = Fixture::new();
    for directory in ["work/2026", ".git", "dir.ics"] {
        fs::create_dir_all(fixture.path(directory)).unwrap();
    }
    for name in [
        "a.ics",
        "B.ICS",
        "work/c.ics",
        "work/2026/d.ics",
        "dir.ics/e.ics",
        "a.txt",
        ".hidden.ics",
        ".git/f.ics",
        "a.ics~",
        "noics",
    ] {
        fixture.save(name, &event(name));
    }
    let seen = all(&fixture.calendar).await;
    assert_eq!(
        seen.names(),
        [
            "B.ICS",
            "a.ics",
            "dir.ics/e.ics",
            "work/2026/d.ics",
            "work/c.ics"
        ]
    );
    assert_eq!((seen.unchanged, seen.unreadable.len()), (Some(0), 0));
    let resource = &seen.changed["work/c.ics"];
    let metadata = fs::metadata(fixture.path("work/c.ics")).unwrap();
    assert_eq!(resource.bytes.as_ref(), event("work/c.ics").as_bytes());
    assert_eq!(
        resource.modified.map(|m| m.timestamp()),
        Some(metadata.mtime())
    );
}

#[tokio::test]
async fn a_listing_reads_only_what_is_not_known() {
    let fixture = Fixture::new();
    for name in [
        "same.ics",
        "modified.ics",
        "replaced.ics",
        "gone.ics",
        "renamed.ics",
    ] {
        fixture.save(name, &event(name));
    }
    let known = all(&fixture.calendar).await.known();
    fixture.save("modified.ics", &event("other"));
    fixture.save("new", &event("replaced.ics"));
    fs::rename(fixture.path("new"), fixture.path("replaced.ics")).unwrap();
    fs::remove_file(fixture.path("gone.ics")).unwrap();
    fs::rename(fixture.path("renamed.ics"), fixture.path("to.ics")).unwrap();
    let seen = read(&fixture.calendar, &Scope::All, known.clone()).await;
    assert_eq!(seen.names(), ["modified.ics", "replaced.ics", "to.ics"]);
    assert_eq!(seen.vanished, set(["gone.ics", "renamed.ics"]));
    assert_eq!(seen.unchanged, Some(1));

    // Asked for by name it is read, however well it is known.
    let scope = only([
        "same.ics",
        "gone.ics",
        "../etc/passwd",
        "absent/x.ics",
        "a.txt",
    ]);
    let seen = read(&fixture.calendar, &scope, known).await;
    assert_eq!(seen.names(), ["same.ics"]);
    assert_eq!(
        seen.vanished,
        set(["gone.ics", "../etc/passwd", "absent/x.ics", "a.txt"])
    );
}

#[tokio::test]
async fn ten_thousand_unchanged_files_are_not_opened() {
    use notify::event::{AccessKind, AccessMode};
    use notify::{EventKind, RecursiveMode, Watcher as _};
    let fixture = Fixture::new();
    for n in 0..10_000 {
        fixture.save(format!("{n}.ics"), &event("x"));
    }
    let known = all(&fixture.calendar).await.known();
    let (sink, source) = std::sync::mpsc::channel();
    let mut watcher = notify::recommended_watcher(sink).unwrap();
    watcher
        .watch(fixture.directory.path(), RecursiveMode::NonRecursive)
        .unwrap();
    let seen = read(&fixture.calendar, &Scope::All, known).await;
    assert_eq!(seen.unchanged, Some(10_000));
    assert!(seen.changed.is_empty() && seen.vanished.is_empty());
    // Events come in their order: this one is the last.
    let end = fixture.path("end.txt");
    fs::write(&end, "").unwrap();
    let mut opened = 0;
    loop {
        let event = source
            .recv_timeout(Duration::from_secs(30))
            .unwrap()
            .unwrap();
        let open = event.kind == EventKind::Access(AccessKind::Open(AccessMode::Any));
        match event.paths.first() {
            Some(path) if *path == end => break,
            Some(path) if open && path.extension().is_some() => opened += 1,
            _ => {}
        }
    }
    assert_eq!(opened, 0);
}

#[tokio::test]
async fn what_is_not_a_whole_calendar_is_unreadable_and_its_neighbours_go_on() {
    let fixture = Fixture::new();
    fixture.save("good.ics", &event("good"));
    fixture.save("empty.ics", "");
    fixture.save("half.ics", &event("half")[..60]);
    let large = fs::File::create(fixture.path("large.ics")).unwrap();
    large.set_len((64 << 20) + 1).unwrap();
    let known = Known::from([(ResourceId::new("half.ics"), Version::new("1"))]);
    let seen = read(&fixture.calendar, &Scope::All, known).await;
    assert_eq!(seen.names(), ["good.ics"]);
    assert!(seen.vanished.is_empty(), "unreadable is not vanished");
    assert!(matches!(
        seen.unreadable["empty.ics"],
        ReadError::Incomplete(_)
    ));
    assert!(matches!(
        seen.unreadable["half.ics"],
        ReadError::Incomplete(_)
    ));
    assert!(matches!(
        seen.unreadable["large.ics"],
        ReadError::TooLarge { limit: 64, .. }
    ));
    assert_eq!(seen.unchanged, Some(0));
}

#[tokio::test]
async fn links_are_not_followed() {
    let fixture = Fixture::new();
    let outside = temporary();
    let target = outside.path().join("secret.ics");
    fs::write(&target, event("outside")).unwrap();
    fixture.save("inside.ics", &event("inside"));
    symlink(&target, fixture.path("file.ics")).unwrap();
    symlink(outside.path(), fixture.path("directory")).unwrap();
    symlink(fixture.directory.path(), fixture.path("loop")).unwrap();
    symlink("inside.ics", fixture.path("near.ics")).unwrap();
    let seen = all(&fixture.calendar).await;
    assert_eq!(seen.names(), ["inside.ics"]);
    assert!(seen.unreadable.is_empty());
    let through = [
        "file.ics",
        "directory/secret.ics",
        "near.ics",
        "loop/inside.ics",
    ];
    let seen = read(&fixture.calendar, &only(through), Known::new()).await;
    assert_eq!((seen.names().len(), seen.vanished), (0, set(through)));

    // Neither by a link that took the place of what was read.
    for (name, moved) in [("inside.ics", "inside.ics"), ("sub/secret.ics", "sub")] {
        fs::create_dir_all(fixture.path("sub")).unwrap();
        fixture.save(name, &event("inside"));
        let resource = fixture.resource(name).await;
        let aside = fixture.path(format!("{moved}.aside"));
        fs::rename(fixture.path(moved), aside).unwrap();
        let to = if moved == "sub" {
            outside.path()
        } else {
            &target
        };
        symlink(to, fixture.path(moved)).unwrap();
        let written = fixture.write(&resource, &event("written")).await;
        assert!(matches!(written, Written::Changed), "{written:?}");
        assert_eq!(fs::read_to_string(&target).unwrap(), event("outside"));
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_fifo_does_not_hold_anything_up() {
    let fixture = Fixture::new();
    fixture.save("a.ics", &event("a"));
    let fifo = fixture.path("fifo.ics");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    assert_eq!(all(&fixture.calendar).await.names(), ["a.ics"]);
    let seen = read(&fixture.calendar, &only(["fifo.ics"]), Known::new()).await;
    assert_eq!(seen.vanished, set(["fifo.ics"]));
}

#[tokio::test]
async fn hostile_names_go_round() {
    let fixture = Fixture::watched().await;
    let names: [(&[u8], &str); 4] = [
        (b"\xff\xc3.ics", "%FF%C3.ics"),
        (b"\x1b[31m\n.ics", "%1B[31m%0A.ics"),
        (b"100%41.ics", "100%2541.ics"),
        ("\u{202e}sci.ics".as_bytes(), "\u{202e}sci.ics"),
    ];
    for (name, id) in names {
        let name = OsStr::from_bytes(name);
        fixture.save(name, &event("before"));
        assert_eq!(told_until(&fixture.calendar, id).await, set([id]));
        let resource = fixture.resource(id).await;
        let written = fixture.write(&resource, &event("after")).await;
        assert!(matches!(written, Written::Stored(_)), "{written:?}");
        assert_eq!(fixture.content(name), event("after"));
        assert!(
            !resource
                .id
                .to_string()
                .contains(['\u{1b}', '\n', '\u{202e}'])
        );
    }
    assert_eq!(all(&fixture.calendar).await.changed.len(), names.len());
}

#[tokio::test]
async fn what_could_not_be_listed_has_not_vanished() {
    let fixture = Fixture::new();
    let deep: PathBuf = (0..33).map(|n| format!("d{n}")).collect();
    fs::create_dir_all(fixture.path(&deep)).unwrap();
    let deep = deep.to_str().unwrap();
    let version = Version::new("1");
    let known = [
        "gone.ics".to_owned(),
        "d0/gone.ics".to_owned(),
        format!("{deep}/kept.ics"),
    ]
    .map(|id| (ResourceId::new(id), version.clone()));
    let seen = read(&fixture.calendar, &Scope::All, known.into()).await;
    assert_eq!(seen.vanished, set(["gone.ics", "d0/gone.ics"]));
    let (id, error) = seen.unreadable.first_key_value().unwrap();
    assert_eq!(id, deep);
    assert!(error.to_string().contains("32 directories deep"), "{error}");
}

#[tokio::test]
async fn a_missing_directory_is_an_error_until_it_appears() {
    let parent = temporary();
    let root = parent.path().join("later");
    let calendar = Directory::directory(root.clone(), clock());
    let known = Known::from([(ResourceId::new("a.ics"), Version::new("1"))]);
    let appear = async {
        for scope in [Scope::All, only(["a.ics"])] {
            let error = calendar.read(&scope, known.clone()).await.err().unwrap();
            let text = error.to_string();
            assert!(text.contains("later: does not exist; create it"), "{text}");
        }
        fs::create_dir(&root).unwrap();
        fs::write(root.join("a.ics"), event("a")).unwrap();
    };
    let (scope, ()) = tokio::join!(changed(&calendar), appear);
    assert_eq!(scope, Scope::All);
    assert_eq!(all(&calendar).await.names(), ["a.ics"]);

    // And again when it went in between.
    fs::remove_dir_all(&root).unwrap();
    told_all(&calendar).await;
    assert!(calendar.read(&Scope::All, Known::new()).await.is_err());
    fs::create_dir(&root).unwrap();
    told_all(&calendar).await;
    fs::write(root.join("b.ics"), event("b")).unwrap();
    while !matches!(changed(&calendar).await, Scope::Only(ids) if ids.contains(&ResourceId::new("b.ics")))
    {
    }
    assert_eq!(all(&calendar).await.names(), ["b.ics"]);
}

#[tokio::test]
async fn changes_are_told_by_name() {
    let fixture = Fixture::watched().await;
    let calendar = &fixture.calendar;
    fixture.save("a.ics", &event("one"));
    assert_eq!(told_until(calendar, "a.ics").await, set(["a.ics"]));
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(fixture.path("a.ics"))
        .unwrap();
    file.write_all(event("two").as_bytes()).unwrap();
    drop(file);
    assert_eq!(told_until(calendar, "a.ics").await, set(["a.ics"]));
    fs::rename(fixture.path("a.ics"), fixture.path("b.ics")).unwrap();
    let mut told = told_until(calendar, "b.ics").await;
    if !told.contains("a.ics") {
        told.extend(told_until(calendar, "a.ics").await);
    }
    assert_eq!(told, set(["a.ics", "b.ics"]));
    let seen = read(calendar, &only(["a.ics", "b.ics"]), Known::new()).await;
    assert_eq!(
        (seen.names(), seen.vanished.clone()),
        (vec!["b.ics"], set(["a.ics"]))
    );
    fs::remove_file(fixture.path("b.ics")).unwrap();
    assert_eq!(told_until(calendar, "b.ics").await, set(["b.ics"]));
    let seen = read(calendar, &only(["b.ics"]), Known::new()).await;
    assert_eq!(seen.vanished, set(["b.ics"]));
}

#[tokio::test]
async fn an_editor_that_replaces_the_file_tells_only_the_file() {
    let fixture = Fixture::watched().await;
    fixture.save("a.ics", &event("one"));
    told_until(&fixture.calendar, "a.ics").await;
    fixture.save(".a.ics.swp", "swap");
    fixture.save("4913", "");
    fixture.save("a.ics.new", &event("two"));
    fs::rename(fixture.path("a.ics"), fixture.path("a.ics~")).unwrap();
    fs::rename(fixture.path("a.ics.new"), fixture.path("a.ics")).unwrap();
    fs::remove_file(fixture.path("a.ics~")).unwrap();
    fs::remove_file(fixture.path("4913")).unwrap();
    fixture.save("last.ics", &event("last"));
    assert_eq!(
        told_until(&fixture.calendar, "last.ics").await,
        set(["a.ics", "last.ics"])
    );
    let resource = fixture.resource("a.ics").await;
    assert_eq!(resource.bytes.as_ref(), event("two").as_bytes());
}

#[tokio::test]
async fn a_file_written_in_two_steps_is_read_once_it_is_whole() {
    let fixture = Fixture::watched().await;
    fixture.save("a.ics", &event("one"));
    told_until(&fixture.calendar, "a.ics").await;
    let two = event("two");
    let (first, second) = two.split_at(50);
    let mut file = fs::File::create(fixture.path("a.ics")).unwrap();
    file.write_all(first.as_bytes()).unwrap();
    told_until(&fixture.calendar, "a.ics").await;
    let seen = read(&fixture.calendar, &only(["a.ics"]), Known::new()).await;
    assert!(matches!(seen.unreadable["a.ics"], ReadError::Incomplete(_)));
    assert!(seen.changed.is_empty());
    file.write_all(second.as_bytes()).unwrap();
    drop(file);
    told_until(&fixture.calendar, "a.ics").await;
    assert_eq!(
        fixture.resource("a.ics").await.bytes.as_ref(),
        two.as_bytes()
    );
}

#[tokio::test]
async fn new_and_moved_directories_are_watched() {
    let fixture = Fixture::watched().await;
    let calendar = &fixture.calendar;
    // The files are there before anybody can have watched their directory.
    fs::create_dir_all(fixture.path("x/y/z")).unwrap();
    fixture.save("x/y/z/a.ics", &event("a"));
    told_all(calendar).await;
    while !all(calendar).await.changed.contains_key("x/y/z/a.ics") {
        told_all(calendar).await;
    }
    fixture.save("x/y/z/a.ics", &event("again"));
    while !matches!(changed(calendar).await, Scope::Only(ids) if ids.contains(&ResourceId::new("x/y/z/a.ics")))
    {
    }

    let known = all(calendar).await.known();
    fs::rename(fixture.path("x/y"), fixture.path("moved")).unwrap();
    told_all(calendar).await;
    let seen = read(calendar, &Scope::All, known).await;
    assert_eq!(
        (seen.names(), seen.vanished.clone()),
        (vec!["moved/z/a.ics"], set(["x/y/z/a.ics"]))
    );
    fixture.save("moved/z/b.ics", &event("b"));
    while !matches!(changed(calendar).await, Scope::Only(ids) if ids.contains(&ResourceId::new("moved/z/b.ics")))
    {
    }

    // Out of the calendar and in again.
    let outside = temporary();
    fs::rename(fixture.path("moved"), outside.path().join("moved")).unwrap();
    told_all(calendar).await;
    assert!(all(calendar).await.changed.is_empty());
    fs::rename(outside.path().join("moved"), fixture.path("back")).unwrap();
    told_all(calendar).await;
    assert_eq!(
        all(calendar).await.names(),
        ["back/z/a.ics", "back/z/b.ics"]
    );
}

#[tokio::test]
async fn a_change_outlives_a_dropped_wait() {
    let fixture = Fixture::watched().await;
    fixture.save("a.ics", &event("a"));
    for _ in 0..100 {
        tokio::select! {
            biased;
            scope = fixture.calendar.changed() => return assert_eq!(scope, only(["a.ics"])),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(changed(&fixture.calendar).await, only(["a.ics"]));
}

#[tokio::test]
async fn our_own_write_is_not_told_and_is_known() {
    let fixture = Fixture::watched().await;
    fixture.save("a.ics", &event("before"));
    told_until(&fixture.calendar, "a.ics").await;
    let resource = fixture.resource("a.ics").await;
    let Written::Stored(version) = fixture.write(&resource, &event("after")).await else {
        panic!("not stored");
    };
    fixture.save("last.ics", &event("last"));
    assert_eq!(
        told_until(&fixture.calendar, "last.ics").await,
        set(["last.ics"])
    );

    let known = Known::from([(resource.id.clone(), version.clone())]);
    let seen = read(&fixture.calendar, &Scope::All, known.clone()).await;
    assert_eq!((seen.names(), seen.unchanged), (vec!["last.ics"], Some(1)));

    // It can be written again on the version it was given.
    let again = Resource {
        version,
        ..resource
    };
    assert!(matches!(
        fixture.write(&again, &event("more")).await,
        Written::Stored(_)
    ));
    assert_eq!(fixture.content("a.ics"), event("more"));
}

#[tokio::test]
async fn an_edit_right_after_our_write_is_seen_however_fast_it_is() {
    let fixture = Fixture::new();
    fixture.save("a.ics", &event("0"));
    for n in 1..=20 {
        let resource = fixture.resource("a.ics").await;
        let ours = event(&format!("{n:03}"));
        let Written::Stored(version) = fixture.write(&resource, &ours).await else {
            panic!("not stored");
        };
        // In place, of the same size, within the same tick of the kernel's clock as a rule.
        let theirs = event(&format!("{:03}", n + 500));
        fixture.save("a.ics", &theirs);
        let known = Known::from([(resource.id.clone(), version)]);
        let seen = read(&fixture.calendar, &Scope::All, known).await;
        assert_eq!(seen.changed["a.ics"].bytes.as_ref(), theirs.as_bytes());
    }
}

#[tokio::test]
async fn a_write_gives_way_to_whatever_happened_since_the_read() {
    type Edit = fn(&Path);
    let edits: [(&str, Edit); 7] = [
        ("modified", |path| fs::write(path, event("theirs")).unwrap()),
        ("deleted", |path| fs::remove_file(path).unwrap()),
        ("replaced by the same content", |path| {
            let new = path.with_extension("new");
            fs::copy(path, &new).unwrap();
            fs::rename(&new, path).unwrap();
        }),
        ("touched", |path| {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
        ("given another mode", |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
        }),
        ("renamed", |path| {
            fs::rename(path, path.with_extension("old")).unwrap()
        }),
        ("its directory renamed", |path| {
            let parent = path.parent().unwrap();
            fs::rename(parent, parent.with_extension("moved")).unwrap();
        }),
    ];
    for (name, edit) in edits {
        let fixture = Fixture::new();
        fs::create_dir(fixture.path("sub")).unwrap();
        fixture.save("sub/a.ics", &event("before"));
        let resource = fixture.resource("sub/a.ics").await;
        edit(&fixture.path("sub/a.ics"));
        let theirs = tree(fixture.directory.path());
        let written = fixture.write(&resource, &event("ours")).await;
        assert!(matches!(written, Written::Changed), "{name}: {written:?}");
        assert_eq!(tree(fixture.directory.path()), theirs, "{name}");
    }
}

/// Every file below `path` with its content.
fn tree(path: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(tree(&path));
        } else {
            files.insert(path.clone(), fs::read_to_string(path).unwrap());
        }
    }
    files
}

#[tokio::test]
async fn a_path_that_leads_through_a_file_is_a_change() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("sub")).unwrap();
    fixture.save("sub/a.ics", &event("before"));
    let resource = fixture.resource("sub/a.ics").await;
    fs::remove_dir_all(fixture.path("sub")).unwrap();
    fixture.save("sub", "a file");
    assert!(matches!(
        fixture.write(&resource, "x").await,
        Written::Changed
    ));
    assert_eq!(fixture.content("sub"), "a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_writers_of_one_version_one_succeeds() {
    let fixture = Fixture::new();
    let other = Directory::directory(fixture.directory.path().to_owned(), clock());
    fixture.save("a.ics", &event("before"));
    for round in 0..20 {
        let resource = fixture.resource("a.ics").await;
        let contents: Vec<_> = (0..8).map(|n| event(&format!("{round}/{n}"))).collect();
        let writes = contents.iter().enumerate().map(|(n, content)| {
            let calendar = if n % 2 == 0 {
                &fixture.calendar
            } else {
                &other
            };
            calendar.write(&resource.id, &resource.version, content.as_bytes())
        });
        let written = futures_util::future::join_all(writes).await;
        let stored = |w: &&Written| matches!(w, Written::Stored(_));
        assert_eq!(written.iter().filter(stored).count(), 1, "{written:?}");
        let winner = written.iter().position(|w| stored(&w)).unwrap();
        assert_eq!(fixture.content("a.ics"), contents[winner]);
        assert_eq!(fixture.names(), set(["a.ics"]));
    }
}

#[tokio::test]
async fn a_write_keeps_everything_but_the_content() {
    let fixture = Fixture::new();
    let path = fixture.path("a.ics");
    // ACL entries as the kernel keeps them: version 2, then tag, permissions and id of each.
    let acl = |entries: &[(u16, u16, u32)]| {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(permissions.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    };
    let none = u32::MAX;
    let given = acl(&[
        (1, 6, none),
        (2, 4, 1234),
        (4, 4, none),
        (16, 4, none),
        (32, 0, none),
    ]);
    let inherited = acl(&[
        (1, 7, none),
        (2, 7, 4321),
        (4, 7, none),
        (16, 7, none),
        (32, 7, none),
    ]);
    let attribute = |path: &Path, name: &str| {
        let mut value = vec![0; 1024];
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).ok()?;
        value.truncate(length);
        Some(value)
    };
    let set = |path: &Path, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
    };
    for with_acl in [false, true] {
        fixture.save("a.ics", &event("before"));
        // What a new file inherits from its directory is not what the old one has.
        set(
            fixture.directory.path(),
            "system.posix_acl_default",
            &inherited,
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        // Takes effect where the tests may do so.
        let _ = std::os::unix::fs::chown(&path, Some(1234), Some(4321));
        set(&path, "user.note", b"kept");
        if with_acl {
            set(&path, "system.posix_acl_access", &given);
        }
        let before = fs::metadata(&path).unwrap();
        let acl_before = attribute(&path, "system.posix_acl_access");
        assert_eq!(acl_before.is_some(), with_acl);
        let resource = fixture.resource("a.ics").await;
        let written = fixture.write(&resource, &event("after")).await;
        assert!(matches!(written, Written::Stored(_)), "{written:?}");
        let after = fs::metadata(&path).unwrap();
        assert_eq!(fixture.content("a.ics"), event("after"));
        assert_eq!(
            (after.mode(), after.uid(), after.gid()),
            (before.mode(), before.uid(), before.gid())
        );
        assert_eq!(
            attribute(&path, "user.note").as_deref(),
            Some(b"kept".as_slice())
        );
        assert_eq!(attribute(&path, "system.posix_acl_access"), acl_before);
        fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn a_file_with_several_names_is_refused() {
    let fixture = Fixture::new();
    fixture.save("a.ics", &event("before"));
    fs::hard_link(fixture.path("a.ics"), fixture.path("copy.txt")).unwrap();
    let resource = fixture.resource("a.ics").await;
    let Written::Refused(refusal) = fixture.write(&resource, "x").await else {
        panic!("not refused");
    };
    assert!(
        refusal
            .to_string()
            .starts_with("a.ics: has several hard links"),
        "{refusal}"
    );
    assert_eq!(fixture.content("copy.txt"), event("before"));
    assert_eq!(fixture.names(), set(["a.ics", "copy.txt"]));
}

#[tokio::test]
async fn a_file_that_another_program_locks_is_tried_again_later() {
    let fixture = Fixture::new();
    fixture.save("a.ics", &event("before"));
    let resource = fixture.resource("a.ics").await;
    let holder = fs::File::open(fixture.path("a.ics")).unwrap();
    rustix::fs::flock(&holder, FlockOperation::LockExclusive).unwrap();
    assert!(matches!(
        fixture.write(&resource, "x").await,
        Written::Failed(_)
    ));
    assert_eq!(fixture.content("a.ics"), event("before"));
    drop(holder);
    assert!(matches!(
        fixture.write(&resource, "x").await,
        Written::Stored(_)
    ));
}

#[tokio::test]
async fn what_a_crash_left_is_removed_and_nothing_else() {
    let single = |fixture: &Fixture| Directory::file(fixture.path("a.ics"), clock());
    for file in [false, true] {
        let mut fixture = Fixture::new();
        if file {
            fixture.calendar = single(&fixture);
        }
        fixture.save("a.ics", &event("a"));
        let (left, held) = (
            ".a.ics.meetbridge-00ff01.tmp",
            ".a.ics.meetbridge-00ff02.tmp",
        );
        let others = [
            ".a.ics.tmp",
            "a.ics.meetbridge-00ff03.tmp",
            ".a.ics.meetbridge-xyz.tmp",
        ];
        for name in others.iter().chain([&left, &held]) {
            fixture.save(name, "half");
        }
        symlink("a.ics", fixture.path(".a.ics.meetbridge-00ff04.tmp")).unwrap();
        let holder = fs::File::open(fixture.path(held)).unwrap();
        rustix::fs::flock(&holder, FlockOperation::LockExclusive).unwrap();
        let mut expected = fixture.names();

        // Reading single files removes nothing.
        read(&fixture.calendar, &only(["a.ics"]), Known::new()).await;
        assert_eq!(fixture.names(), expected);
        all(&fixture.calendar).await;
        expected.remove(left);
        assert_eq!(fixture.names(), expected);
        drop(holder);
        all(&fixture.calendar).await;
        expected.remove(held);
        assert_eq!(fixture.names(), expected);
    }
}

#[tokio::test]
async fn a_single_file_is_a_calendar() {
    let directory = temporary();
    let path = directory.path().join("team.calendar");
    let save =
        |name: &str, title: &str| fs::write(directory.path().join(name), event(title)).unwrap();
    let calendar = Directory::file(path.clone(), clock());
    let error = calendar
        .read(&Scope::All, Known::new())
        .await
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("team.calendar: does not exist"),
        "{error}"
    );
    assert_eq!(changed(&calendar).await, Scope::All);

    save("other.ics", "other");
    save("team.calendar", "one");
    assert_eq!(
        told_until(&calendar, "team.calendar").await,
        set(["team.calendar"])
    );
    let seen = all(&calendar).await;
    assert_eq!(
        (seen.names(), seen.unchanged),
        (vec!["team.calendar"], Some(0))
    );
    let seen = read(&calendar, &Scope::All, seen.known()).await;
    assert_eq!((seen.names().len(), seen.unchanged), (0, Some(1)));

    // As editors save it.
    save("new", "two");
    fs::rename(directory.path().join("new"), &path).unwrap();
    assert_eq!(
        told_until(&calendar, "team.calendar").await,
        set(["team.calendar"])
    );
    let seen = read(
        &calendar,
        &only(["team.calendar", "other.ics"]),
        Known::new(),
    )
    .await;
    assert_eq!(
        (seen.names(), &seen.vanished),
        (vec!["team.calendar"], &set(["other.ics"]))
    );
    let resource = &seen.changed["team.calendar"];
    assert_eq!(resource.bytes.as_ref(), event("two").as_bytes());
    let written = calendar
        .write(&resource.id, &resource.version, event("three").as_bytes())
        .await;
    assert!(matches!(written, Written::Stored(_)), "{written:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), event("three"));

    // Gone is failing, not vanished.
    let known = all(&calendar).await.known();
    fs::remove_file(&path).unwrap();
    told_until(&calendar, "team.calendar").await;
    assert!(calendar.read(&Scope::All, known).await.is_err());
    assert!(
        calendar
            .read(&only(["team.calendar"]), Known::new())
            .await
            .is_err()
    );
    symlink("other.ics", &path).unwrap();
    let error = calendar
        .read(&Scope::All, Known::new())
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("symbolic link"), "{error}");
}

#[tokio::test]
async fn a_read_that_nobody_finishes_ends() {
    let fixture = Fixture::new();
    for n in 0..500 {
        fixture.save(format!("{n}.ics"), &event("x"));
    }
    let mut finding = fixture
        .calendar
        .read(&Scope::All, Known::new())
        .await
        .unwrap();
    assert!(finding.next().await.is_some());
    drop(finding);
    assert_eq!(all(&fixture.calendar).await.changed.len(), 500);
}
