//! A CalDAV server to test against: small, strict, in memory, on loopback, and wrong in whatever way
//! it is told to be.
//!
//! ```text
//! http://127.0.0.1:PORT/                          the host
//! http://127.0.0.1:PORT/.well-known/caldav        redirects to the root
//! http://127.0.0.1:PORT/token                     takes refresh tokens
//! http://127.0.0.1:PORT/dav/                      the root
//! http://127.0.0.1:PORT/dav/principals/alice/
//! http://127.0.0.1:PORT/dav/calendars/alice/      the home set
//! http://127.0.0.1:PORT/dav/calendars/alice/work/a.ics
//! ```
//!
//! It starts with the users `alice` and `bob` (password: the name and `-secret`; address:
//! NAME@example.org) and a calendar `work` for each. Its clock stands still until the test moves it.
//! It knows nothing of the client's types.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each program that includes this uses a part of it"
)]

mod auth;
mod faults;
mod log;
mod place;
mod profiles;
mod propfind;
mod put;
mod quirks;
mod report;
mod rewrite;
mod serve;
mod store;
mod wire;
mod xml;

use std::ops::Deref;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use faults::{Act, Fault, Gate};
pub use log::{Moment, Phase, Seen, Traffic};
pub use quirks::*;
pub use store::{About, Access};

use serve::{Shared, lock};
use store::{Collection, User, World};

/// A running server; it stops when this is dropped.
pub struct Fake {
    editor: Editor,
    _stop: DropGuard,
}

impl Fake {
    /// Starts a server on a free port of loopback, within the runtime that calls.
    pub async fn start(quirks: Quirks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        let editor = Editor(Arc::new(Shared::new(port, World::new(quirks))));
        for name in ["alice", "bob"] {
            editor.user(name);
            editor.calendar(&format!("{name}/work"));
        }
        let stop = CancellationToken::new();
        tokio::spawn(serve::run(editor.0.clone(), listener, stop.clone()));
        Self {
            editor,
            _stop: stop.drop_guard(),
        }
    }
}

impl Deref for Fake {
    type Target = Editor;

    fn deref(&self) -> &Editor {
        &self.editor
    }
}

/// What the test does to the server, and sees of it. Calendars are named `alice/work`.
#[derive(Clone)]
pub struct Editor(Arc<Shared>);

impl Editor {
    /// `http://127.0.0.1:PORT/`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.0.port)
    }

    /// Where a calendar is.
    pub fn calendar_url(&self, calendar: &str) -> String {
        let path = place::href(calendar, Hrefs::Path, 0);
        format!("{}dav/calendars/{path}/", self.url())
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Adds a user.
    pub fn user(&self, name: &str) {
        let user = User {
            password: format!("{name}-secret"),
            addresses: vec![format!("{name}@example.org")],
            home: Default::default(),
        };
        self.0.world().users.insert(name.to_owned(), user);
    }

    /// The user's password becomes this.
    pub fn password(&self, user: &str, password: &str) {
        let mut world = self.0.world();
        world.users.get_mut(user).expect("a user").password = password.to_owned();
    }

    /// Whoever bears this token is the user.
    pub fn bearer(&self, token: &str, user: &str) {
        let mut world = self.0.world();
        world.bearer_tokens.insert(token.into(), user.into());
    }

    /// Whoever posts this to `/token` gets an access token of the user.
    pub fn refresh_token(&self, token: &str, user: &str) {
        let mut world = self.0.world();
        world.refresh_tokens.insert(token.into(), user.into());
    }

    /// No access token is good any more.
    pub fn revoke_tokens(&self) {
        self.0.world().bearer_tokens.clear();
    }

    /// Adds an empty calendar to its owner's home.
    pub fn calendar(&self, calendar: &str) {
        let (user, segment) = calendar.split_once('/').expect("USER/CALENDAR");
        let mut world = self.0.world();
        let about = About {
            owner: user.to_owned(),
            display_name: Some(segment.to_owned()),
            colour: None,
            time_zone: None,
            components: vec!["VEVENT"],
            is_calendar: true,
        };
        let at = world.collections.len();
        world.collections.push(Collection::new(about));
        let home = &mut world.users.get_mut(user).expect("a user").home;
        home.insert(segment.to_owned(), (at, Access::Owner));
        world.serial += 1;
    }

    /// Changes what a calendar says about itself.
    pub fn describe(&self, calendar: &str, change: impl FnOnce(&mut About)) {
        let mut world = self.0.world();
        change(&mut world.collection(calendar).about);
        world.serial += 1;
    }

    /// Shows a calendar in another user's home as well, under `segment`.
    pub fn share(&self, calendar: &str, with: &str, segment: &str, access: Access) {
        let (user, name) = calendar.split_once('/').expect("USER/CALENDAR");
        let mut world = self.0.world();
        let (at, _) = world.users[user].home[name];
        let home = &mut world.users.get_mut(with).expect("a user").home;
        home.insert(segment.to_owned(), (at, access));
        world.serial += 1;
    }

    /// What the user may do with a calendar of his home becomes this.
    pub fn access(&self, calendar: &str, access: Access) {
        let (user, name) = calendar.split_once('/').expect("USER/CALENDAR");
        let mut world = self.0.world();
        let home = &mut world.users.get_mut(user).expect("a user").home;
        home.get_mut(name).expect("a calendar").1 = access;
        world.serial += 1;
    }

    /// Stores exactly these bytes, unconditionally: a person's edit.
    pub fn put(&self, calendar: &str, name: &str, bytes: impl Into<Vec<u8>>) {
        self.store(calendar, name, bytes.into(), false);
    }

    /// The same, as a reply of an attendee that the server worked in: the Schedule-Tag stays.
    pub fn put_reply(&self, calendar: &str, name: &str, bytes: impl Into<Vec<u8>>) {
        self.store(calendar, name, bytes.into(), true);
    }

    fn store(&self, calendar: &str, name: &str, bytes: Vec<u8>, keep_schedule_tag: bool) {
        let mut world = self.0.world();
        let at = self.at(&world, calendar);
        world.store(at, name, bytes, keep_schedule_tag);
    }

    /// Takes a member out; whether it was there.
    pub fn delete(&self, calendar: &str, name: &str) -> bool {
        let mut world = self.0.world();
        let at = self.at(&world, calendar);
        world.remove(at, name)
    }

    /// A member's ETag changes, and its content does not.
    pub fn restamp(&self, calendar: &str, name: &str) {
        let mut world = self.0.world();
        world.serial += 1;
        let (now, etag) = (world.now, format!("r{}", world.serial));
        world.collection(calendar).restamp(name, etag, now);
    }

    /// No sync-token of the calendar that was given out is good any more.
    pub fn expire_tokens(&self, calendar: &str) {
        let mut world = self.0.world();
        world.serial += 1;
        world.collection(calendar).expire_tokens();
    }

    /// A member's bytes.
    pub fn get(&self, calendar: &str, name: &str) -> Option<Vec<u8>> {
        let mut world = self.0.world();
        let member = world.collection(calendar).members.get(name);
        member.map(|member| member.bytes.to_vec())
    }

    /// A member's ETag, in quotes, as the server keeps it.
    pub fn etag(&self, calendar: &str, name: &str) -> Option<String> {
        let mut world = self.0.world();
        let member = world.collection(calendar).members.get(name);
        member.map(|member| format!("\"{}\"", member.etag))
    }

    /// The members' names.
    pub fn names(&self, calendar: &str) -> Vec<String> {
        let mut world = self.0.world();
        world.collection(calendar).members.keys().cloned().collect()
    }

    fn at(&self, world: &World, calendar: &str) -> usize {
        let (user, name) = calendar.split_once('/').expect("USER/CALENDAR");
        world.users[user].home[name].0
    }

    /// Changes what the server does, from the next request on.
    pub fn quirks(&self, change: impl FnOnce(&mut Quirks)) {
        let mut world = self.0.world();
        change(&mut world.quirks);
        world.serial += 1;
    }

    /// What the server calls itself.
    pub fn server(&self) -> &'static str {
        self.0.world().quirks.server
    }

    /// Moves the server's clock on.
    pub fn advance(&self, seconds: i64) {
        let mut world = self.0.world();
        world.now += seconds;
        world.serial += 1;
    }

    /// Adds a fault to those that wait for their request.
    pub fn fault(&self, fault: Fault) {
        lock(&self.0.faults).push(fault);
    }

    /// Forgets all faults.
    pub fn no_faults(&self) {
        lock(&self.0.faults).clear();
    }

    /// Calls `hook` at each request: before it, after it, and in between where there is such a point.
    /// The hook must not set or take away a hook.
    pub fn hook(&self, hook: impl FnMut(&Editor, &Moment) + Send + 'static) {
        *lock(&self.0.hook) = Some(Box::new(hook));
    }

    /// No hook any more.
    pub fn no_hook(&self) {
        *lock(&self.0.hook) = None;
    }

    /// All requests since the start, or since they were taken.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.0.log).seen.clone()
    }

    /// The same, and forgets them.
    pub fn take_requests(&self) -> Vec<Seen> {
        lock(&self.0.log).take()
    }

    /// Sums over all requests since the start.
    pub fn traffic(&self) -> Traffic {
        lock(&self.0.log).traffic
    }
}
