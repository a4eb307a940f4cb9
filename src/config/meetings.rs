//! What the meetings themselves are like: the keys of `[meeting]` that are passed on to Teams.

use super::table::{Table, Value, Wrong};
use super::value;
use crate::meeting::{Chat, LobbyScope, Presenters, Setting, Settings};
use crate::plan::{Style, Template};

const LOBBY: &[(&str, LobbyScope)] = &[
    ("organizer", LobbyScope::Organizer),
    ("organization", LobbyScope::Organization),
    (
        "organization-and-federated",
        LobbyScope::OrganizationAndFederated,
    ),
    (
        "organization-excluding-guests",
        LobbyScope::OrganizationExcludingGuests,
    ),
    ("invited", LobbyScope::Invited),
    ("everyone", LobbyScope::Everyone),
];

/// The words of Teams' `autoAdmittedUsers`, and those of [`LOBBY`] for them.
const OLD_LOBBY: &[(&str, &str)] = &[
    ("OrganizerOnly", "organizer"),
    ("EveryoneInCompany", "organization"),
    (
        "EveryoneInSameAndFederatedCompany",
        "organization-and-federated",
    ),
    (
        "EveryoneInCompanyExcludingGuests",
        "organization-excluding-guests",
    ),
    ("InvitedUsers", "invited"),
    ("Everyone", "everyone"),
];

const PRESENTERS: &[(&str, Presenters)] = &[
    ("everyone", Presenters::Everyone),
    ("organization", Presenters::Organization),
    ("organizer", Presenters::Organizer),
];

const CHAT: &[(&str, Chat)] = &[
    ("enabled", Chat::Enabled),
    ("disabled", Chat::Disabled),
    ("limited", Chat::Limited),
];

const PARTICIPANTS: &[(&str, bool)] = &[("none", false), ("attendees", true)];

/// What `[meeting]` sets of the meetings of all calendars, and each calendar may set for its own.
pub(super) struct MeetingKeys {
    subject: Option<Template>,
    lobby: Option<LobbyScope>,
    /// The older name that the lobby was given by, and the present one.
    pub(super) old_lobby_name: Option<(&'static str, &'static str)>,
    lobby_dial_in_bypass: Option<bool>,
    presenters: Option<Presenters>,
    chat: Option<Chat>,
    entry_announcement: Option<bool>,
    record_automatically: Option<bool>,
    attendee_camera: Option<bool>,
    attendee_microphone: Option<bool>,
    participants: Option<bool>,
}

impl MeetingKeys {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        let (lobby, old_lobby_name) = table.optional("lobby", lobby).unzip();
        Self {
            subject: table.optional("subject", subject),
            lobby,
            old_lobby_name: old_lobby_name.flatten(),
            lobby_dial_in_bypass: table.optional("lobby-dial-in-bypass", value::boolean),
            presenters: table.optional("presenters", presenters),
            chat: table.optional("chat", value::choice(CHAT)),
            entry_announcement: table.optional("entry-announcement", value::boolean),
            record_automatically: table.optional("record-automatically", value::boolean),
            attendee_camera: table.optional("attendee-camera", value::boolean),
            attendee_microphone: table.optional("attendee-microphone", value::boolean),
            participants: table.optional("participants", value::choice(PARTICIPANTS)),
        }
    }

    /// The keys that may ask for what an Outlook event cannot do, and whether they do; `None`: it is not
    /// set. No request for one may name attendees (graph-api.md, section 9).
    pub(super) fn beyond_events(&self) -> [(&'static str, Option<bool>); 2] {
        let invited = self.lobby.map(|scope| scope == LobbyScope::Invited);
        [("participants", self.participants), ("lobby", invited)]
    }

    /// What a calendar's meetings are like: its own keys before the defaults. What neither sets, the
    /// organizer's policy and habits decide.
    pub(super) fn or(&self, defaults: &Self) -> Style {
        let scope = self.lobby.or(defaults.lobby);
        let dial_in_bypass = self.lobby_dial_in_bypass.or(defaults.lobby_dial_in_bypass);
        let lobby = (scope.is_some() || dial_in_bypass.is_some()).then_some(Setting::Lobby {
            scope,
            dial_in_bypass,
        });
        let presenters = self.presenters.or(defaults.presenters);
        let chat = self.chat.or(defaults.chat);
        let announced = self.entry_announcement.or(defaults.entry_announcement);
        let recorded = self.record_automatically.or(defaults.record_automatically);
        let camera = self.attendee_camera.or(defaults.attendee_camera);
        let microphone = self.attendee_microphone.or(defaults.attendee_microphone);
        let settings = [
            lobby,
            presenters.map(Setting::Presenters),
            chat.map(Setting::Chat),
            announced.map(Setting::EntryAnnouncement),
            recorded.map(Setting::RecordAutomatically),
            camera.map(Setting::AttendeeCamera),
            microphone.map(Setting::AttendeeMicrophone),
        ];
        let subject = self.subject.clone().or_else(|| defaults.subject.clone());
        Style {
            subject: subject.unwrap_or_default(),
            settings: Settings(settings.into_iter().flatten().collect()),
            participants: self
                .participants
                .or(defaults.participants)
                .unwrap_or_default(),
            private_title: None,
        }
    }
}

type Lobby = (LobbyScope, Option<(&'static str, &'static str)>);

/// Who passes the lobby by, by the present name or an older one, which comes along with the present.
fn lobby(value: &Value<'_>) -> Result<Lobby, Wrong> {
    let present = |name: &str| LOBBY.iter().find(|(word, _)| *word == name);
    let text = value.get_ref().as_str().unwrap_or_default();
    let old = OLD_LOBBY
        .iter()
        .find(|(old, new)| old.eq_ignore_ascii_case(text) && *new != text);
    match old.and_then(|old| Some((present(old.1)?.1, *old))) {
        Some((scope, old)) => Ok((scope, Some(old))),
        None => Ok((value::choice(LOBBY)(value)?, None)),
    }
}

/// Who may present.
fn presenters(value: &Value<'_>) -> Result<Presenters, Wrong> {
    let plain = value.get_ref().as_str().unwrap_or_default();
    if ["role-is-presenter", "roleispresenter"].contains(&plain.to_ascii_lowercase().as_str()) {
        return Err(Wrong::new(
            "presenters cannot be named one by one",
            "use \"everyone\", \"organization\" or \"organizer\", and let organizers name them in Teams",
        ));
    }
    value::choice(PRESENTERS)(value)
}

/// How titles are made.
fn subject(value: &Value<'_>) -> Result<Template, Wrong> {
    Template::parse(&value::string(value)?).ok_or_else(|| {
        Wrong::new(
            "unknown word in braces",
            "{title} stands for the event's title, {calendar} for the calendar's name",
        )
    })
}
