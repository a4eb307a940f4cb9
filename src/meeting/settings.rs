//! What can be set of a meeting beside its times and title (graph-api.md, section 5). Pure.

use crate::model::{hex, sha256};

/// Who need not wait in the lobby: Graph's `lobbyBypassScope`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LobbyScope {
    /// The organizer alone.
    Organizer,
    /// The organizer's organization, with its guests.
    Organization,
    /// The organization and those it federates with.
    OrganizationAndFederated,
    /// The organization without its guests.
    OrganizationExcludingGuests,
    /// Those whom Teams knows to be invited: see [`Setting::Participants`].
    Invited,
    /// Everyone.
    Everyone,
}

/// Who may present: Graph's `onlineMeetingPresenters`, without the one that names persons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presenters {
    /// Everyone.
    Everyone,
    /// The organizer's organization.
    Organization,
    /// The organizer alone.
    Organizer,
}

/// Graph's `meetingChatMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chat {
    /// There is a chat.
    Enabled,
    /// There is none.
    Disabled,
    /// While the meeting lasts.
    Limited,
}

/// One thing that is set of a meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The lobby; what is `None` stays as it is.
    Lobby {
        /// Who passes it by.
        scope: Option<LobbyScope>,
        /// Whether callers by telephone do, too.
        dial_in_bypass: Option<bool>,
    },
    /// Who may present.
    Presenters(Presenters),
    /// The chat.
    Chat(Chat),
    /// Whether it is announced who comes and goes by telephone.
    EntryAnnouncement(bool),
    /// Whether it is recorded from the beginning.
    RecordAutomatically(bool),
    /// Whether attendees may turn on their cameras.
    AttendeeCamera(bool),
    /// Whether attendees may turn on their microphones.
    AttendeeMicrophone(bool),
    /// Who is invited: addresses, taken to be user principal names; the whole list.
    Participants(Vec<String>),
}

impl Setting {
    /// The name that it is stored by, which is also its key in the configuration.
    pub fn name(&self) -> &'static str {
        self.noted().0
    }

    /// A name that is stored, and what stands for the value.
    fn noted(&self) -> (&'static str, String) {
        let (name, value) = match self {
            Self::Lobby {
                scope,
                dial_in_bypass,
            } => ("lobby", format!("{scope:?} {dial_in_bypass:?}")),
            Self::Presenters(who) => ("presenters", format!("{who:?}")),
            Self::Chat(mode) => ("chat", format!("{mode:?}")),
            Self::EntryAnnouncement(on) => ("entry-announcement", on.to_string()),
            Self::RecordAutomatically(on) => ("record-automatically", on.to_string()),
            Self::AttendeeCamera(on) => ("attendee-camera", on.to_string()),
            Self::AttendeeMicrophone(on) => ("attendee-microphone", on.to_string()),
            Self::Participants(who) => ("participants", who.join("\n")),
        };
        (name, hex(&sha256([value.as_bytes()])[..6]))
    }
}

/// Some settings, each kind at most once. What is not among them stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(pub Vec<Setting>);

impl Settings {
    /// Whether there is nothing to set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that were never applied, or with another value. Nobody invited is nothing to tell a
    /// meeting that was never told of anybody.
    pub fn beyond(&self, applied: &Applied) -> Self {
        let news = |setting: &&Setting| {
            let (name, digest) = setting.noted();
            match applied.digest(name) {
                Some(known) => known != digest,
                None => !matches!(setting, Setting::Participants(who) if who.is_empty()),
            }
        };
        Self(self.0.iter().filter(news).cloned().collect())
    }
}

/// Which settings a meeting was last given: `name=digest` of each, with blanks between.
///
/// What the organizer changes in Teams is not compared with, so it stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied(String);

impl Applied {
    /// Wraps what was stored.
    pub fn stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// With these settings applied, too.
    pub fn with(&self, settings: &Settings) -> Self {
        let given: Vec<_> = settings.0.iter().map(Setting::noted).collect();
        let kept = self
            .entries()
            .filter(|(name, _)| given.iter().all(|(new, _)| new != name))
            .map(|(name, digest)| format!("{name}={digest}"));
        let new = given
            .iter()
            .map(|(name, digest)| format!("{name}={digest}"));
        Self(kept.chain(new).collect::<Vec<_>>().join(" "))
    }

    fn digest(&self, name: &str) -> Option<&str> {
        let mut entries = self.entries();
        entries.find(|(known, _)| *known == name).map(|(_, d)| d)
    }

    fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.split(' ').filter_map(|entry| entry.split_once('='))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_applied_yet_is_left_to_apply() {
        let lobby = |scope| Setting::Lobby {
            scope: Some(scope),
            dial_in_bypass: None,
        };
        let first = Settings(vec![
            lobby(LobbyScope::Invited),
            Setting::Chat(Chat::Limited),
        ]);
        let none = Applied::default();
        assert_eq!(first.beyond(&none), first);
        let applied = none.with(&first);
        assert!(first.beyond(&applied).is_empty());
        assert!(first.beyond(&Applied::stored(applied.as_str())).is_empty());
        // One of them takes another value, and one comes to it.
        let (moved, new) = (lobby(LobbyScope::Everyone), Setting::AttendeeCamera(false));
        let second = Settings(vec![
            moved.clone(),
            Setting::Chat(Chat::Limited),
            new.clone(),
        ]);
        assert_eq!(second.beyond(&applied), Settings(vec![moved, new]));
        let applied = applied.with(&second.beyond(&applied));
        assert!(second.beyond(&applied).is_empty());
        // What is not configured any more is not set, and not set again when it comes back.
        assert!(Settings::default().beyond(&applied).is_empty());
        assert_eq!(first.beyond(&applied).0, first.0[..1]);
        // Whatever was stored.
        for odd in ["", "=", " = =", "lobby", "lobby=lobby=x chat"] {
            assert_eq!(first.beyond(&Applied::stored(odd)), first, "{odd}");
        }
    }

    #[test]
    fn participants_are_stored_as_a_digest_and_taken_back_when_the_last_one_goes() {
        let nobody = Settings(vec![Setting::Participants(Vec::new())]);
        assert!(nobody.beyond(&Applied::default()).is_empty());
        let one = Settings(vec![Setting::Participants(vec![
            "alice@example.org".into(),
        ])]);
        let applied = Applied::default().with(&one);
        assert!(!applied.as_str().contains("alice"));
        assert_eq!(nobody.beyond(&applied), nobody);
    }
}
