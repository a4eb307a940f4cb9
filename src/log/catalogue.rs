//! Every event of the log: a contract for monitoring.
//!
//! Ids, levels and field names stay what they are once released. `error`: a person must act; `warn`:
//! it will be tried again; `info`: the world changed; `debug`: why nothing happened.
//!
//! Fields mean the same everywhere: `calendar` its name; `resource` the path or href within it;
//! `uid` the event (hashed when it is long or not plain); `organizer` the object id; `error` what is
//! wrong and what to do; `reason` the name of a rule; `path` a file of ours; numbers are whole.

use tracing::Level;

/// One kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The stable name, `noun.what-happened`.
    pub id: &'static str,
    /// How severe it is.
    pub level: Level,
    /// What the line says; never varies.
    pub sentence: &'static str,
    /// What has happened, for the person who reads it.
    pub meaning: &'static str,
    /// What that person is to do.
    pub action: &'static str,
    /// The fields it may have beside `event` and the sentence.
    pub fields: &'static [&'static str],
}

macro_rules! catalogue {
    ($($name:ident $id:literal $level:ident $sentence:literal
        [$($field:literal),*]
        $meaning:literal
        do: $action:literal
    )*) => {
        $(
            #[doc = concat!("`", $id, "`: ", $meaning)]
            pub const $name: Kind = Kind {
                id: $id,
                level: Level::$level,
                sentence: $sentence,
                meaning: $meaning,
                action: $action,
                fields: &[$($field),*],
            };
        )*

        /// All of them.
        pub const ALL: &[Kind] = &[$($name),*];

        /// The constants' names, in the order of [`ALL`].
        #[cfg(test)]
        pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

catalogue! {
    DAEMON_STARTED "daemon.started" INFO "meetbridge has started"
        ["version", "calendars", "path"]
        "The process runs and has read its configuration; nothing is watched yet."
        do: "Nothing."
    DAEMON_READY "daemon.ready" INFO "meetbridge is at work"
        ["calendars"]
        "The configuration is checked, the state is open, and every calendar has begun."
        do: "Nothing."
    DAEMON_STOPPING "daemon.stopping" INFO "meetbridge finishes what it began and stops"
        ["signal"]
        "The process was asked to stop; passes that are under way come to an end."
        do: "Nothing."
    DAEMON_STOPPED "daemon.stopped" INFO "meetbridge has stopped"
        []
        "The last line of a process that ended in order."
        do: "Nothing."
    DAEMON_CUT_SHORT "daemon.cut-short" WARN "meetbridge stops before everything is finished"
        []
        "A second signal came, or what had begun took longer than the time of grace. Nothing is lost: the \
         next start finishes or redoes it."
        do: "Nothing. If it is at every stop, look what the calendar's server or disk takes so long for."
    CONFIG_LOADED "config.loaded" INFO "the configuration is in force"
        ["path", "calendars"]
        "The configuration file was read and is without fault."
        do: "Nothing."
    CONFIG_REFUSED "config.refused" ERROR "a faulty configuration is refused, and the old one stays in force"
        ["file", "line", "column", "fault", "hint"]
        "The daemon was told to reload. One line for each fault; nothing of the configuration is taken."
        do: "Mend what each line names, try it with `meetbridge check`, and reload again."
    CONFIG_RELOADED "config.reloaded" INFO "another configuration is in force"
        ["path", "added", "removed", "changed"]
        "The daemon was told to reload. It counts the calendars and accounts that it watches since, does          not watch any more, and watches otherwise; secrets are read anew."
        do: "Nothing."
    CONFIG_NEEDS_RESTART "config.needs-restart" WARN "a change of the configuration needs a restart"
        ["key"]
        "The daemon was told to reload. This cannot change while it runs and stays as it was; the rest of          the configuration is in force."
        do: "Restart meetbridge when it suits."
    CONTROL_COMMAND "control.command" DEBUG "a command is run in the daemon"
        ["command"]
        "Somebody ran it beside the daemon; its output goes to that person."
        do: "Nothing."
    CONTROL_FAILING "control.failing" WARN "commands cannot reach the running daemon"
        ["path", "error"]
        "The control socket cannot be made there. Calendars are watched all the same; `status` and \
         `plan` work beside the daemon, `sync`, `resume` and `unlink` need it stopped."
        do: "Free the path, or set RUNTIME_DIRECTORY to a directory of the service; then restart."
    NOTIFY_FAILING "notify.failing" WARN "systemd cannot be told how the service stands"
        ["error"]
        "NOTIFY_SOCKET names no socket that takes messages. Calendars are watched all the same, but \
         systemd may take the service for dead."
        do: "Start meetbridge by the unit that comes with it."
    STATE_DAMAGED "state.damaged" ERROR "the state was damaged and is begun anew"
        ["path", "error"]
        "The state file could not be used and was set aside under the named path. No link is lost: \
         links are found again in the events."
        do: "Look for the cause (a full or failing disk); delete the file when it is of no use."
    STATE_FAILING "state.failing" ERROR "the state cannot be written, so nothing new is made"
        ["path", "error"]
        "The disk is full or failing. No meeting is made and no event is written until it works."
        do: "Make room, or mend the disk; meetbridge goes on by itself."
    STATE_RECOVERED "state.recovered" INFO "the state can be written again"
        ["path"]
        "What `state.failing` reported is over."
        do: "Nothing."
    ACCOUNT_FAILING "account.failing" WARN "an account's calendars cannot be found out"
        ["account", "error"]
        "The server does not answer, refuses, or lacks a configured calendar. What of the account is \
         watched already goes on; it is tried again."
        do: "If it lasts, do what the error says; `meetbridge calendars` shows what the server offers."
    ACCOUNT_RECOVERED "account.recovered" INFO "an account's calendars can be found out again"
        ["account"]
        "What `account.failing` reported is over."
        do: "Nothing."
    CALENDAR_FOUND "calendar.found" INFO "a calendar of an account is watched"
        ["calendar"]
        "The server offers it and the configuration chooses it."
        do: "Nothing; name the calendars in `collections` to choose others."
    CALENDAR_LEFT "calendar.left" WARN "a calendar is not there any more and is left"
        ["calendar"]
        "The server does not offer it any more, or the configuration does not choose it. Its links \
         and meetings stay as they are."
        do: "Nothing, if somebody deleted or renamed it; else look at the server."
    CALENDAR_REMOVED "calendar.removed" INFO "a calendar is not watched any more, and what is linked stays"
        ["calendar", "linked"]
        "A reload found it removed or disabled. Its events keep their links, and their meetings stay;          nothing of them is maintained. The state keeps them in mind."
        do: "Nothing. `meetbridge unlink` takes links out while the calendar is configured."
    CALENDAR_FAILING "calendar.failing" WARN "a calendar cannot be read"
        ["calendar", "error"]
        "The calendar as a whole cannot be read; the others go on. It is tried again at its rescan."
        do: "If it lasts, do what the error says; `meetbridge check` looks at paths and permissions."
    CALENDAR_RECOVERED "calendar.recovered" INFO "a calendar can be read again"
        ["calendar"]
        "What `calendar.failing` reported is over."
        do: "Nothing."
    CALENDAR_STUCK "calendar.stuck" ERROR "the task of a calendar is stuck"
        ["calendar", "seconds"]
        "It has made no progress for so long, and nothing that it waits for may take that long. systemd \
         is not told any more that the service is alive, so its watchdog begins the service anew."
        do: "Look whether the calendar's disk or network file system answers; if it does, report it."
    CALENDAR_RESUMED "calendar.resumed" INFO "a calendar goes on, as an operator asked"
        ["calendar"]
        "Somebody ran `meetbridge resume`."
        do: "Nothing."
    CALENDAR_WAITING "calendar.waiting" ERROR "a large first pass waits for consent"
        ["calendar", "reason"]
        "The first pass over this calendar would link more events than first-pass-limit allows."
        do: "Look at `meetbridge plan --calendar CALENDAR`; then run `meetbridge resume CALENDAR`."
    CALENDAR_FROZEN "calendar.frozen" ERROR "a calendar lost many links at once and is frozen"
        ["calendar", "reason"]
        "More than 20 and more than 20 % of the calendar's future links vanished, or were taken out of \
         their events, in one pass. It is read on, and nothing is made or written in it."
        do: "Look whether the events are there. If the calendar is as it should be, run \
             `meetbridge resume CALENDAR`; if not, restore it first."
    CALENDAR_SUMMARY "calendar.summary" INFO "how a calendar stands"
        ["calendar", "linked", "waiting", "reasons"]
        "One line per calendar every 15 minutes in which something happened."
        do: "Nothing; a line that shows failing events is worth a look at `meetbridge status`."
    CALENDAR_PASS "calendar.pass" DEBUG "a pass over a calendar has ended"
        ["calendar", "scope", "changed", "unchanged", "vanished", "events", "created", "written", "milliseconds"]
        "What one pass looked at and did."
        do: "Nothing."
    CALENDAR_PUBLISHED "calendar.published" INFO "a feed was published with its links"
        ["calendar"]
        "The feed or its links have changed, and what is published has followed."
        do: "Nothing."
    RESOURCE_UNREADABLE "resource.unreadable" WARN "a file or object of a calendar cannot be read"
        ["calendar", "resource", "error"]
        "This one is left as it is; its neighbours go on. It is read again when it changes."
        do: "If it lasts, do what the error says."
    RESOURCE_VANISHED "resource.vanished" DEBUG "a file or object is not in its calendar any more"
        ["calendar", "resource"]
        "It was deleted or moved. Its meetings stay."
        do: "Nothing."
    EVENT_SKIPPED "event.skipped" DEBUG "an event gets no link"
        ["calendar", "resource", "uid", "reason"]
        "A rule says no; `meetbridge explain UID` shows all of them."
        do: "Nothing."
    EVENT_FAULTY "event.faulty" WARN "an event cannot be understood and is left as it is"
        ["calendar", "resource", "uid", "line", "reason", "error"]
        "The event breaks the iCalendar format, or uses a part of it that is not understood."
        do: "Mend the event in its calendar program, if it should have a link."
    LINK_CREATED "link.created" INFO "a meeting was made for an event"
        ["calendar", "resource", "uid", "organizer"]
        "Graph made a meeting; its link is written next."
        do: "Nothing."
    LINK_ADOPTED "link.adopted" INFO "an event's existing meeting was found"
        ["calendar", "resource", "uid", "organizer"]
        "The event had a meeting already, made before the state was lost, by another calendar or by \
         another meetbridge."
        do: "Nothing."
    LINK_WRITTEN "link.written" INFO "a link was written into an event"
        ["calendar", "resource", "uid"]
        "The event shows its link."
        do: "Nothing."
    LINK_TWIN_LEFT "link.twin-left" DEBUG "a description in HTML is left without the link"
        ["calendar", "resource", "uid", "line", "reason"]
        "A calendar program that shows the HTML in place of the text does not show the link there."
        do: "Nothing; the link is in the event's other properties."
    LINK_RESTORED "link.restored" INFO "parts of a link were written again"
        ["calendar", "resource", "uid"]
        "A calendar program had dropped some of the properties."
        do: "Nothing."
    LINK_REPLACED "link.replaced" INFO "a link was replaced by that of the event's own meeting"
        ["calendar", "resource", "uid"]
        "The event is a copy of another one and showed that one's meeting; or its own meeting was made anew, \
         as `sync --rewrite` asks for where `api` has changed."
        do: "Nothing."
    LINK_REWRITTEN "link.rewritten" INFO "a link was brought to what is configured now"
        ["calendar", "resource", "uid"]
        "`sync --rewrite` asked for it, or the meeting has dial-in now that had none."
        do: "Nothing."
    LINK_REMOVED "link.removed" INFO "a person took a link out, and it stays out"
        ["calendar", "resource", "uid"]
        "Our link was seen in the event and is gone from it."
        do: "Nothing. A copy of the event, under a UID of its own, gets a link."
    LINK_TAKEN_OUT "link.taken-out" INFO "a link was taken out of an event"
        ["calendar", "resource", "uid", "reason"]
        "`removed`: lines of it were left when a person took it out. `tagged`: the event says \
         `no-teams`. `foreign-link`: it, or an occurrence of it, has got another conference. \
         `unlinked`: `meetbridge unlink` asked for it."
        do: "Nothing."
    MEETING_UPDATED "meeting.updated" INFO "a meeting follows its event"
        ["calendar", "uid", "organizer"]
        "Times or title of the event changed, or the meeting was about to expire."
        do: "Nothing."
    MEETING_DELETED "meeting.deleted" INFO "a meeting was deleted, as its event does not need it"
        ["calendar", "uid", "organizer"]
        "The event has been gone or cancelled for a day, and on-delete or on-cancel is \"delete\"."
        do: "Nothing. An event that comes back gets another meeting."
    MEETING_DEAD "meeting.dead" ERROR "an event's meetings are dead, one after the other"
        ["calendar", "uid"]
        "Graph gives the event a meeting that it does not find afterwards, and so do its three other \
         keys. The event is left until it changes."
        do: "Look at Microsoft's service health; then change the event, or make it anew."
    MEETING_REFUSED "meeting.refused" ERROR "Graph refuses an event's meeting"
        ["calendar", "uid", "organizer", "error"]
        "The request for this event cannot succeed as it is; the event is left until it changes."
        do: "Do what the error says."
    SETTINGS_REFUSED "settings.refused" WARN "Graph refuses a calendar's meeting settings"
        ["calendar", "organizer", "error"]
        "The organizer's meetings are made and linked without them: a policy or licence of the \
         organizer does not allow one, or this cloud does not know it."
        do: "Change lobby, presenters, chat and their kin in the configuration, or the organizer's \
             policy. Meetings that are there get settings again when a value changes."
    SETTINGS_TAKEN "settings.taken" INFO "Graph takes a calendar's meeting settings again"
        ["calendar", "organizer"]
        "What `settings.refused` reported is over."
        do: "Nothing."
    WRITE_CHANGED "write.changed" DEBUG "an event changed while its link was being written"
        ["calendar", "resource"]
        "The change wins; the event is decided again."
        do: "Nothing."
    WRITE_REFUSED "write.refused" ERROR "a link cannot be written until somebody acts"
        ["calendar", "resource", "error"]
        "The file or object may not be written, or only at the price of its mode, owner or attributes."
        do: "Do what the error says: mostly, grant the permission."
    WRITE_FAILED "write.failed" WARN "a link could not be written and is tried again"
        ["calendar", "resource", "error"]
        "The disk is full, or something else is passing."
        do: "If it lasts, do what the error says."
    WRITE_UNKNOWN "write.unknown" WARN "whether a link was written is not known"
        ["calendar", "resource", "error"]
        "The answer to a write was lost. The event is read before anything else is done to it."
        do: "Nothing."
    GRAPH_CERTIFICATE "graph.certificate" WARN "the certificate for signing in to Graph expires soon"
        ["error"]
        "Told when it has less than 30 days left, and again when it has less than 7. After its end no \
         meeting is made."
        do: "Make a new certificate, add it to the app registration, and put it in the old one's place; \
             no restart is needed."
    GRAPH_THROTTLED "graph.throttled" WARN "Graph asks to wait"
        ["scope", "until", "seconds"]
        "No request goes out before the given time."
        do: "Nothing; if it is frequent, spread calendars over more organizers or lower the budgets."
    GRAPH_CREDENTIAL "graph.credential" ERROR "Graph refuses the app's credential"
        ["error"]
        "The client secret, the app's consent or the tenant is wrong. Nothing is linked meanwhile; it \
         is tried again slowly."
        do: "Do what the error says."
    GRAPH_ORGANIZER "graph.organizer" ERROR "Graph refuses all meetings of an organizer"
        ["organizer", "error"]
        "The access policy, the licence or the user is missing. It is tried again slowly."
        do: "Run the commands that the error names."
    GRAPH_UNREACHABLE "graph.unreachable" WARN "Graph cannot be reached"
        ["error"]
        "The network, a proxy or Graph fails. It is tried again."
        do: "If it lasts, look at the network and at Microsoft's service health."
    GRAPH_RECOVERED "graph.recovered" INFO "Graph works again"
        ["organizer"]
        "What graph.credential, graph.organizer or graph.unreachable reported is over."
        do: "Nothing."
    BUDGET_LOW "budget.low" WARN "four fifths of an organizer's meetings of the month are made"
        ["organizer", "used", "limit"]
        "meetings-per-month will be reached if it goes on like this; then new events wait for the next \
         month (UTC)."
        do: "Give some calendars another organizer, or raise meetings-per-month in [budget]."
    BUDGET_EXHAUSTED "budget.exhausted" WARN "a budget is used up, so events wait"
        ["calendar", "organizer", "budget", "limit", "waiting"]
        "new-links-per-day of a calendar or meetings-per-month of an organizer is reached."
        do: "Nothing if the number is plausible; else raise the limit in [budget] or the calendar."
}
