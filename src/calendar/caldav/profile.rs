//! What is learned of a server from how it behaves, kept between runs. Disk by [`Notes`].
//!
//! Losing it costs learning it again; text that cannot be read counts as none.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::calendar::{Attendees, Notes};
use crate::model::Escaped;

/// The longest stored text that is read, in bytes.
const LONGEST: usize = 8192;
/// How many resources one multiget asks for, as long as the server takes that.
pub(super) const MULTIGET: u16 = 50;
/// The longest product name that is kept, in characters.
const PRODUCT: usize = 120;
/// How many empty answers with another token it takes to believe that tokens move without changes.
const MOVES: u8 = 3;
/// How many resources must be stored with bare LF before reports are believed to keep line ends.
const ALIKE: u8 = 3;

/// What a server does with what is asked of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Profile {
    /// The product, as the server names it; empty until it was discovered.
    pub server: String,
    /// Whether it says that it schedules by itself (RFC 6638: `calendar-auto-schedule`).
    pub schedules: Option<bool>,
    /// What it makes of the bytes it stores.
    #[serde(deserialize_with = "lenient")]
    pub bodies: Bodies,
    /// The properties of ours that were gone after a write.
    pub drops: BTreeSet<String>,
    /// What its answer to PUT says of the ETag.
    #[serde(deserialize_with = "lenient")]
    pub etag_on_put: EtagOnPut,
    /// Its ETags are the SHA-256 of what it stores, so that each tells whether that was rewritten.
    pub etag_is_digest: bool,
    /// What it takes as the condition of a write.
    #[serde(deserialize_with = "lenient")]
    pub condition: Condition,
    /// Whether its reports keep carriage returns.
    #[serde(deserialize_with = "lenient")]
    pub line_ends: LineEnds,
    /// What tells its changes.
    #[serde(deserialize_with = "lenient")]
    pub changes: Changes,
    /// How many resources one multiget may ask for; 0: none, each is fetched by itself.
    pub multiget: Option<u16>,
    /// How often a token moved though nothing had changed.
    moved: u8,
    /// How many resources came the same from a report and by themselves, with bare LF.
    alike: u8,
}

/// What another release wrote and this one does not know is not known.
fn lenient<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + DeserializeOwned,
{
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// What a server makes of the bytes it stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bodies {
    /// It was not seen yet.
    #[default]
    Unknown,
    /// They stay what they are.
    Kept,
    /// It rewrites them, even where it answers with an ETag as if it had not.
    Rewritten,
}

/// What an answer to PUT says of the ETag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EtagOnPut {
    /// It was not seen yet.
    #[default]
    Unknown,
    /// It has the ETag that reports show.
    Yes,
    /// It has none.
    No,
    /// It has one, and reports show another though the bytes are those that were written.
    Later,
}

/// What a server takes as the condition of a write, the strictest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The ETag as it is given.
    #[default]
    Etag,
    /// The ETag without `W/` and without what compressing appends.
    Stripped,
    /// The ETag of a GET without compression, right before the write.
    Reread,
    /// The Schedule-Tag (RFC 6638, 3.2.10).
    ScheduleTag,
    /// Only that the resource is there: its bytes are compared right before the write.
    Exists,
}

/// Whether reports keep carriage returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineEnds {
    /// Nobody knows: what comes without any is compared with what GET says.
    #[default]
    Unknown,
    /// They do.
    Kept,
    /// They do not; everything is read by GET.
    Lost,
}

/// What tells a server's changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Changes {
    /// It was not seen yet.
    #[default]
    Unknown,
    /// sync-collection (RFC 6578).
    Sync,
    /// getctag, then a listing.
    Ctag,
    /// Only a listing.
    Listing,
}

impl Profile {
    /// What is kept of an account in `notes`; `None` where nothing is.
    pub fn noted(account: &str, notes: &dyn Notes) -> Option<Self> {
        notes.load(&key(account)).map(|text| Self::parse(&text))
    }

    /// Reads stored text.
    fn parse(text: &str) -> Self {
        if text.len() > LONGEST {
            return Self::default();
        }
        let mut profile: Self = serde_json::from_str(text).unwrap_or_default();
        profile.multiget = profile.multiget.map(|size| size.min(MULTIGET));
        profile
    }

    /// Takes over what discovery found out.
    pub fn discovered(&mut self, server: &str, schedules: bool) {
        let server: String = server.chars().take(PRODUCT).collect();
        let server = Escaped(&server).to_string();
        if !self.server.is_empty() && self.server != server {
            // Another server, or another release of it, may do everything else.
            *self = Self::default();
        }
        self.server = server;
        self.schedules = Some(schedules);
    }

    /// Whether attendees are told of a write.
    ///
    /// By what was measured: a server that does not schedule tells nobody, and one that does at least
    /// changes the copies of those attendees that it knows.
    pub fn attendees(&self) -> Attendees {
        let server = self.server.to_ascii_lowercase();
        let is = |names: &[&str]| names.iter().any(|name| server.contains(name));
        if is(&[
            "google",
            "exchange",
            "davmail",
            "icloud",
            "caldav calendar server",
        ]) {
            // They schedule whatever they say, by rules of their own.
            return Attendees::Told;
        }
        match self.schedules {
            Some(true) => Attendees::Told,
            Some(false) => Attendees::NotTold,
            None if is(&["radicale"]) => Attendees::NotTold,
            None => Attendees::Unknown,
        }
    }

    /// How many resources one multiget asks for; 0: none.
    pub(super) fn multiget_size(&self) -> usize {
        usize::from(self.multiget.unwrap_or(MULTIGET))
    }

    /// Whether an empty answer with another token is nothing to wonder at.
    pub(super) fn token_moves(&self) -> bool {
        self.moved >= MOVES
    }

    /// An empty answer came with another token, and a listing showed whether there were changes.
    pub(super) fn saw_token_move(&mut self, changes: bool) {
        self.moved = match changes {
            true => 0,
            false => self.moved.saturating_add(1).min(MOVES),
        };
    }

    /// A report's data, and that of a GET of the same version.
    pub(super) fn saw_line_ends(&mut self, report: &[u8], got: &[u8]) {
        let has_cr = |bytes: &[u8]| memchr::memchr(b'\r', bytes).is_some();
        if has_cr(report) {
            self.line_ends = LineEnds::Kept;
        } else if has_cr(got) {
            self.line_ends = LineEnds::Lost;
        } else if report == got {
            self.alike = self.alike.saturating_add(1).min(ALIKE);
            if self.alike >= ALIKE && self.line_ends == LineEnds::Unknown {
                self.line_ends = LineEnds::Kept;
            }
        }
    }

    /// What is known, for people: what it is about, and what was seen.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        let mut line = |name, text: &str| lines.push((name, text.to_owned()));
        if !self.server.is_empty() {
            line("server", &self.server);
        }
        let attendees = match self.attendees() {
            Attendees::NotTold => "are not told of a link",
            Attendees::Told => "are told of a link: by mail, or in their copies of the event",
            Attendees::Unknown => "may be told of a link; nobody knows",
        };
        line("attendees", attendees);
        match self.changes {
            Changes::Unknown => {}
            Changes::Sync if self.token_moves() => {
                line(
                    "changes",
                    "told by sync-collection; its token moves without any",
                );
            }
            Changes::Sync => line("changes", "told by sync-collection"),
            Changes::Ctag => line("changes", "told by its ctag, then listed"),
            Changes::Listing => line("changes", "found by listing everything"),
        }
        match self.bodies {
            Bodies::Unknown => {}
            Bodies::Kept => line("bodies", "kept as they are written"),
            Bodies::Rewritten => line(
                "bodies",
                "rewritten when stored, so read again after a write",
            ),
        }
        if !self.drops.is_empty() {
            let drops: Vec<&str> = self.drops.iter().map(String::as_str).collect();
            line("drops", &drops.join(", "));
        }
        match self.etag_on_put {
            EtagOnPut::Unknown => {}
            EtagOnPut::Yes if self.etag_is_digest => {
                line(
                    "etag of a write",
                    "told at once: the digest of what is stored",
                );
            }
            EtagOnPut::Yes => line("etag of a write", "told at once"),
            EtagOnPut::No => line("etag of a write", "not told, so read"),
            EtagOnPut::Later => line("etag of a write", "told, and changed later"),
        }
        match self.condition {
            Condition::Etag => {}
            Condition::Stripped => line("writes", "conditional on the stripped ETag"),
            Condition::Reread => line("writes", "conditional on the ETag of a fresh read"),
            Condition::ScheduleTag => line("writes", "conditional on the Schedule-Tag"),
            Condition::Exists => line(
                "writes",
                "not conditional, as there is no usable ETag: compared right before",
            ),
        }
        match self.line_ends {
            LineEnds::Unknown => {}
            LineEnds::Kept => line("line ends", "kept in reports"),
            LineEnds::Lost => line(
                "line ends",
                "lost in reports, so events are read one by one",
            ),
        }
        match self.multiget {
            None => {}
            Some(0) => line("multiget", "refused, so events are read one by one"),
            Some(size) => line("multiget", &format!("at most {size} events")),
        }
        lines
    }
}

/// Where an account's profile is kept.
fn key(account: &str) -> String {
    format!("caldav:{account}")
}

/// A profile that is learned by many and kept.
pub(super) struct Learned {
    key: String,
    notes: Arc<dyn Notes>,
    profile: Mutex<Profile>,
}

impl Learned {
    /// Begins with what is kept of the account.
    pub(super) fn new(account: &str, notes: Arc<dyn Notes>) -> Self {
        let profile = Profile::noted(account, &*notes).unwrap_or_default();
        Self {
            key: key(account),
            notes,
            profile: Mutex::new(profile),
        }
    }

    /// What is known.
    pub(super) fn get(&self) -> Profile {
        self.ask(Profile::clone)
    }

    /// What is known of one thing.
    pub(super) fn ask<T>(&self, ask: impl FnOnce(&Profile) -> T) -> T {
        ask(&self.profile.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Learns, and keeps what changed.
    pub(super) fn learn(&self, learn: impl FnOnce(&mut Profile)) {
        let mut profile = self.profile.lock().unwrap_or_else(PoisonError::into_inner);
        let before = profile.clone();
        learn(&mut profile);
        if *profile != before
            && let Ok(text) = serde_json::to_string(&*profile)
        {
            self.notes.store(&self.key, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::caldav::testing::Kept;

    #[test]
    fn what_was_learned_is_there_after_a_restart() {
        let notes = Arc::new(Kept::default());
        let learned = Learned::new("alice", notes.clone());
        learned.learn(|profile| {
            profile.discovered("Radicale/3", false);
            profile.bodies = Bodies::Rewritten;
            profile.condition = Condition::Exists;
            profile.multiget = Some(12);
            profile.drops.insert("URL".into());
        });
        let before = learned.get();
        assert_eq!(Learned::new("alice", notes.clone()).get(), before);
        assert_eq!(Learned::new("bob", notes.clone()).get(), Profile::default());

        let stores = notes.stores();
        learned.learn(|profile| profile.multiget = Some(12));
        assert_eq!(notes.stores(), stores, "nothing was learned");
    }

    #[test]
    fn text_that_cannot_be_read_is_no_profile() {
        let long = format!("{{\"server\":\"{}\"}}", "x".repeat(9000));
        for text in ["", "{", "[]", "null", "{\"multiget\":-1}", &long] {
            assert_eq!(Profile::parse(text), Profile::default(), "{text}");
        }
        let newer =
            r#"{"server":"x","bodies":"compressed","line-ends":"kept","more":[1],"multiget":9999}"#;
        let profile = Profile::parse(newer);
        assert_eq!(
            (profile.bodies, profile.line_ends),
            (Bodies::Unknown, LineEnds::Kept)
        );
        assert_eq!(profile.multiget_size(), usize::from(MULTIGET));
    }

    #[test]
    fn another_server_is_learned_anew() {
        let mut profile = Profile {
            bodies: Bodies::Kept,
            ..Profile::default()
        };
        for schedules in [true, false] {
            profile.discovered("A/1\u{1b}", schedules);
            assert_eq!(
                (profile.bodies, profile.schedules),
                (Bodies::Kept, Some(schedules))
            );
            assert_eq!(profile.server, "A/1\\u{1b}");
        }
        profile.discovered("A/2", false);
        assert_eq!(profile.bodies, Bodies::Unknown);
    }

    #[test]
    fn who_is_told_goes_by_the_server() {
        for (server, schedules, expected) in [
            ("", None, Attendees::Unknown),
            ("Radicale", None, Attendees::NotTold),
            ("nginx", Some(false), Attendees::NotTold),
            ("Xandikos", Some(true), Attendees::Told),
            ("sabre/dav 4.7", Some(true), Attendees::Told),
            ("Google Calendar", Some(false), Attendees::Told),
        ] {
            let profile = Profile {
                server: server.to_owned(),
                schedules,
                ..Profile::default()
            };
            assert_eq!(profile.attendees(), expected, "{server}");
        }
    }

    #[test]
    fn line_ends_are_learned_from_what_shows_them() {
        let mut profile = Profile::default();
        profile.saw_line_ends(b"a\nb", b"a\r\nb");
        assert_eq!(profile.line_ends, LineEnds::Lost);
        let mut profile = Profile::default();
        for expected in [LineEnds::Unknown, LineEnds::Unknown, LineEnds::Kept] {
            profile.saw_line_ends(b"a\nb", b"a\nb");
            assert_eq!(profile.line_ends, expected);
        }
        let mut profile = Profile::default();
        profile.saw_line_ends(b"a\r\nb", b"");
        assert_eq!(profile.line_ends, LineEnds::Kept);
    }

    #[test]
    fn a_token_is_trusted_to_move_after_it_did_three_times() {
        let mut profile = Profile::default();
        for changes in [false, false, true, false, false] {
            profile.saw_token_move(changes);
            assert!(!profile.token_moves());
        }
        profile.saw_token_move(false);
        assert!(profile.token_moves());
    }

    #[test]
    fn lines_say_what_is_known_and_nothing_else() {
        let names = |profile: &Profile| -> Vec<&str> {
            profile.lines().iter().map(|(name, _)| *name).collect()
        };
        assert_eq!(names(&Profile::default()), ["attendees"]);
        let mut profile = Profile {
            changes: Changes::Sync,
            bodies: Bodies::Rewritten,
            etag_on_put: EtagOnPut::Later,
            condition: Condition::Exists,
            line_ends: LineEnds::Lost,
            multiget: Some(0),
            ..Profile::default()
        };
        profile.discovered("", true);
        profile.drops.insert("CONFERENCE".into());
        let expected = [
            "attendees",
            "changes",
            "bodies",
            "drops",
            "etag of a write",
            "writes",
            "line ends",
            "multiget",
        ];
        assert_eq!(names(&profile), expected);
    }
}
