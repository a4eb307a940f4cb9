use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};

use super::*;
use crate::ical::event::{Class, Component, Event, FoundLink, HtmlTwin, Next, Place, Provider};
use crate::ical::mark::{EmptyBefore, Mark};
use crate::ical::write::Location;
use crate::meeting::{Details, Meeting};
use crate::model::*;
use crate::state::{Link, MeetingRecord, Phase};

mod person;

const OURS: &str = "https://teams.microsoft.com/l/meetup-join/ours";
const OTHER: &str = "https://teams.microsoft.com/l/meetup-join/other";
const TENANT: &str = "contoso.example";

fn at(day: u32, hour: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, day, hour, 0, 0).unwrap()
}

fn organizer() -> OrganizerId {
    OrganizerId::new("11111111-1111-1111-1111-111111111111").unwrap()
}

fn uid() -> Uid {
    Uid::new("one@example.org").unwrap()
}

fn rules() -> Rules {
    Rules {
        select: Select::Attendees,
        horizon: Duration::from_secs(30 * 86_400),
        settle: Duration::from_secs(10),
        addresses: None,
        events_with_attendees: EventsWithAttendees::Write,
        all_day: false,
        transparent: false,
        private: false,
    }
}

/// A plain meeting of two on the 20th, 9 to 10.
fn event() -> Event {
    Event {
        uid: uid(),
        summary: Some("Planning".into()),
        cancelled: false,
        class: Class::Public,
        transparent: false,
        all_day: false,
        categories: vec![],
        location: Some("Room 1".into()),
        organizer: Some("alice@example.org".into()),
        attendees: vec!["alice@example.org".into(), "bob@example.org".into()],
        recurring: false,
        next: Next::At(Span {
            start: at(20, 9),
            end: at(20, 10),
        }),
        last_modified: None,
        stamped: None,
        sequence: 0,
        schedule: "s1".into(),
        content: "c1".into(),
        components: vec![component(vec![])],
        line: 3,
        fault: None,
    }
}

fn component(links: Vec<(Place, Provider, &str)>) -> Component {
    let found = |(place, provider, url): (Place, Provider, &str)| FoundLink {
        place,
        provider,
        url: url.to_owned(),
    };
    Component {
        index: 1,
        is_override: false,
        cancelled: false,
        mark: None,
        links: links.into_iter().map(found).collect(),
        unlisted: Vec::new(),
        location_empty: false,
        url_absent: false,
        twins: Vec::new(),
    }
}

/// The event as it stands after its link was written.
fn linked() -> Event {
    let teams = |place| (place, Provider::Teams, OURS);
    let mut component = component(vec![
        teams(Place::Description),
        teams(Place::Conference),
        teams(Place::Url),
        teams(Place::SkypeTeams),
    ]);
    component.mark = Some(mark(&uid(), TENANT));
    Event {
        content: "c2".into(),
        components: vec![component],
        ..event()
    }
}

fn mark(of: &Uid, tenant: &str) -> Mark {
    let external_id = ExternalId::of(of, 0);
    let key = MeetingKey {
        tenant: tenant.into(),
        organizer: organizer(),
        external_id,
    };
    Mark::Link {
        key: key.digest(),
        wrote: "0".repeat(16),
        empty: EmptyBefore::default(),
        generation: 0,
    }
}

fn link(phase: Phase) -> Link {
    Link {
        calendar: CalendarName::new("team"),
        resource: ResourceId::new("one.ics"),
        uid: uid(),
        organizer: organizer(),
        external_id: ExternalId::of(&uid(), 0),
        generation: 0,
        phase,
        before: "c1".into(),
        attempts: 1,
        written: at(5, 0),
        ends: None,
        gone: None,
        cancelled: None,
        closed: false,
        former: false,
        unmarked: false,
    }
}

fn meeting() -> MeetingRecord {
    MeetingRecord {
        organizer: organizer(),
        external_id: ExternalId::of(&uid(), 0),
        uid: uid(),
        meeting: Meeting {
            id: Some(MeetingId::OnlineMeeting("m1".into())),
            join_url: JoinUrl::new(OURS),
            span: Some(Span {
                start: at(20, 9),
                end: at(20, 10),
            }),
            subject: Some("Planning".into()),
            expires: None,
            details: Details::default(),
        },
        schedule: "s1".into(),
        settings: Default::default(),
        created: at(1, 0),
    }
}

/// Events with attendees are not written.
fn skip(case: &mut Case) {
    case.rules.events_with_attendees = EventsWithAttendees::Skip;
}

/// One of the properties is gone.
fn without_skype(case: &mut Case) {
    let links = &mut case.event.components[0].links;
    links.retain(|l| l.place != Place::SkypeTeams);
}

struct Case {
    now: DateTime<Utc>,
    event: Event,
    rules: Rules,
    style: Style,
    link: Option<Link>,
    meeting: Option<MeetingRecord>,
    copied: Option<JoinUrl>,
    since: DateTime<Utc>,
    drops: BTreeSet<Place>,
    former: Option<JoinUrl>,
    moves: bool,
    outdated: bool,
    uid: Standing,
    derived: bool,
    traces: bool,
}

impl Case {
    fn new(event: Event) -> Self {
        let (link, meeting, copied) = (None, None, None);
        Self {
            now: at(10, 0),
            event,
            rules: rules(),
            link,
            meeting,
            copied,
            since: at(1, 0),
            style: Style::default(),
            drops: BTreeSet::new(),
            former: None,
            moves: false,
            outdated: false,
            uid: Standing::Proven,
            derived: false,
            traces: false,
        }
    }

    fn remembered(event: Event, phase: Phase) -> Self {
        Self {
            link: Some(link(phase)),
            meeting: Some(meeting()),
            ..Self::new(event)
        }
    }

    fn decide(&self) -> Decided {
        decide(&Ask {
            now: self.now,
            event: &self.event,
            rules: &self.rules,
            style: &self.style,
            location: Location::Url,
            drops: &self.drops,
            tenant: TENANT,
            organizer: &organizer(),
            link: self.link.as_ref(),
            meeting: self.meeting.as_ref(),
            foreign_meeting: self.copied.as_ref(),
            former: self.former.as_ref(),
            moves: self.moves,
            outdated: self.outdated,
            traces: self.traces,
            unchanged_since: self.since,
            uid: self.uid,
            derived: self.derived,
        })
    }
}

fn no(why: Why) -> Decision {
    Decision::Leave(why)
}

fn make() -> Decision {
    Decision::Link {
        span: Span {
            start: at(20, 9),
            end: at(20, 10),
        },
        replaces: None,
    }
}

#[test]
fn rules_say_which_events_get_a_link() {
    let with = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::new(event());
        change(&mut case);
        case
    };
    let cases: Vec<(&str, Case, Decision)> = vec![
        ("a plain meeting", with(&|_| {}), make()),
        (
            "not understood",
            with(&|c| c.event.fault = Some("odd".into())),
            no(Why::NotUnderstood {
                line: Some(3),
                what: "odd".into(),
            }),
        ),
        (
            "cancelled",
            with(&|c| c.event.cancelled = true),
            no(Why::Cancelled),
        ),
        ("past", with(&|c| c.event.next = Next::Past), no(Why::Past)),
        (
            "beyond the horizon",
            with(&|c| c.rules.horizon = Duration::from_secs(86_400)),
            no(Why::BeyondHorizon),
        ),
        (
            "just within the horizon",
            with(&|c| c.rules.horizon = Duration::from_secs(10 * 86_400 + 9 * 3600)),
            make(),
        ),
        (
            "organized by another",
            with(&|c| c.rules.addresses = Some(["bob@example.org".into()].into())),
            no(Why::NotOrganizer),
        ),
        (
            "organized by the account",
            with(&|c| c.rules.addresses = Some(["alice@example.org".into()].into())),
            make(),
        ),
        (
            "nobody organizes it",
            with(&|c| {
                c.rules.addresses = Some(["alice@example.org".into()].into());
                c.event.organizer = None;
            }),
            make(),
        ),
        (
            "organized by somebody, of unknown addresses",
            with(&|c| c.rules.addresses = Some(BTreeSet::new())),
            no(Why::AddressesUnknown),
        ),
        (
            "organized by nobody, of unknown addresses",
            with(&|c| {
                c.rules.addresses = Some(BTreeSet::new());
                c.event.organizer = None;
            }),
            make(),
        ),
        (
            "with attendees, which are skipped",
            with(&skip),
            no(Why::AttendeesSkipped),
        ),
        (
            "tagged, with attendees, which are skipped",
            with(&|c| {
                skip(c);
                c.event.categories = vec!["Teams".into()];
            }),
            no(Why::AttendeesSkipped),
        ),
        (
            "with none but the organizer, attendees are skipped",
            with(&|c| {
                skip(c);
                c.rules.select = Select::All;
                c.event.attendees = vec!["alice@example.org".into()];
            }),
            make(),
        ),
        (
            "all day",
            with(&|c| c.event.all_day = true),
            no(Why::AllDay),
        ),
        (
            "all day, configured",
            with(&|c| {
                c.event.all_day = true;
                c.rules.all_day = true;
            }),
            make(),
        ),
        (
            "all day, tagged",
            with(&|c| {
                c.event.all_day = true;
                c.event.categories = vec!["Teams".into()];
            }),
            make(),
        ),
        (
            "transparent",
            with(&|c| c.event.transparent = true),
            no(Why::Transparent),
        ),
        (
            "transparent, configured",
            with(&|c| {
                c.event.transparent = true;
                c.rules.transparent = true;
            }),
            make(),
        ),
        (
            "private",
            with(&|c| c.event.class = Class::Private),
            no(Why::Private),
        ),
        (
            "confidential",
            with(&|c| c.event.class = Class::Confidential),
            no(Why::Private),
        ),
        (
            "private, configured",
            with(&|c| {
                c.event.class = Class::Private;
                c.rules.private = true;
            }),
            make(),
        ),
        (
            "opted out by category",
            with(&|c| c.event.categories = vec!["No-Teams".into()]),
            no(Why::OptedOut),
        ),
        (
            "opted out by title",
            with(&|c| c.event.summary = Some("Lunch #no-teams".into())),
            no(Why::OptedOut),
        ),
        (
            "opted out by the mark",
            with(&|c| c.event.components[0].mark = Some(Mark::OptOut)),
            no(Why::OptedOut),
        ),
        (
            "nobody invited",
            with(&|c| c.event.attendees.truncate(1)),
            no(Why::NotSelected),
        ),
        (
            "nobody invited, all selected",
            with(&|c| {
                c.event.attendees.clear();
                c.rules.select = Select::All;
            }),
            make(),
        ),
        (
            "only tagged ones, not tagged",
            with(&|c| c.rules.select = Select::Tagged),
            no(Why::NotSelected),
        ),
        (
            "tagged in the title",
            with(&|c| {
                c.rules.select = Select::Tagged;
                c.event.summary = Some("Sync (Teams)".into());
            }),
            make(),
        ),
        (
            "tagged by hash",
            with(&|c| {
                c.rules.select = Select::Tagged;
                c.event.summary = Some("sync #TEAMS!".into());
            }),
            make(),
        ),
        (
            "both teams is no tag",
            with(&|c| {
                c.rules.select = Select::Tagged;
                c.event.summary = Some("both teams".into());
            }),
            no(Why::NotSelected),
        ),
        (
            "tagged by location",
            with(&|c| {
                c.rules.select = Select::Tagged;
                c.event.location = Some(" teams ".into());
            }),
            make(),
        ),
        (
            "has a Zoom link",
            with(&|c| {
                c.event.components = vec![component(vec![(
                    Place::Location,
                    Provider::Zoom,
                    "https://zoom.us/j/1",
                )])];
            }),
            no(Why::ForeignLink(Provider::Zoom)),
        ),
        (
            "has a Teams link of another",
            with(&|c| {
                c.event.components = vec![component(vec![(
                    Place::Description,
                    Provider::Teams,
                    OTHER,
                )])];
            }),
            no(Why::ForeignLink(Provider::Teams)),
        ),
        (
            "only an override has a Zoom link",
            with(&|c| {
                let mut over = component(vec![(
                    Place::Location,
                    Provider::Zoom,
                    "https://zoom.us/j/1",
                )]);
                over.is_override = true;
                c.event.components.push(over);
            }),
            make(),
        ),
        (
            "changed a moment ago",
            with(&|c| c.since = at(10, 0) - chrono::Duration::seconds(3)),
            no(Why::Settling),
        ),
        (
            "unknown mark",
            with(&|c| c.event.components[0].mark = Some(Mark::Unknown)),
            no(Why::UnknownMark),
        ),
    ];
    for (name, case, expected) in cases {
        assert_eq!(case.decide().what, expected, "{name}");
    }
}

#[test]
fn waiting_decisions_say_until_when() {
    let mut case = Case::new(event());
    case.since = at(10, 0) - chrono::Duration::seconds(3);
    assert_eq!(
        case.decide().due,
        Some(at(10, 0) + chrono::Duration::seconds(7))
    );
    case.rules.horizon = Duration::from_secs(86_400);
    assert_eq!(case.decide().due, Some(at(19, 9)));
}

#[test]
fn a_link_is_kept_whole_and_its_meeting_up_to_date() {
    let with = |phase, event: Event, change: &dyn Fn(&mut Case)| {
        let mut case = Case::remembered(event, phase);
        change(&mut case);
        case
    };
    let span = Span {
        start: at(20, 9),
        end: at(20, 10),
    };
    let bare = Event {
        content: "c3".into(),
        ..event()
    };
    let cases: Vec<(&str, Case, Decision)> = vec![
        (
            "in step",
            with(Phase::Seen, linked(), &|_| {}),
            no(Why::InStep),
        ),
        (
            "the write never landed",
            with(Phase::Intended, event(), &|_| {}),
            Decision::Write { replaces: None },
        ),
        (
            "written, then overwritten from an old copy",
            with(Phase::Written, bare.clone(), &|_| {}),
            Decision::Write { replaces: None },
        ),
        (
            "seen, then taken out",
            with(Phase::Seen, bare.clone(), &|_| {}),
            no(Why::LinkRemoved),
        ),
        (
            "a copy from before the link, once",
            with(Phase::Seen, event(), &|_| {}),
            Decision::Write { replaces: None },
        ),
        (
            "the same copy again and again",
            with(Phase::Seen, event(), &|c| {
                c.link.as_mut().unwrap().attempts = 2
            }),
            no(Why::LinkRemoved),
        ),
        (
            "an edit of such a copy, older than the link",
            with(Phase::Seen, bare.clone(), &|c| {
                c.event.stamped = Some(at(4, 0))
            }),
            Decision::Write { replaces: None },
        ),
        (
            "taken out by a client that stamps",
            with(Phase::Seen, bare.clone(), &|c| {
                c.event.stamped = Some(at(4, 0));
                c.event.last_modified = Some(at(6, 0));
            }),
            no(Why::LinkRemoved),
        ),
        (
            "taken out by hand: our own stamp stays",
            with(Phase::Seen, bare, &|c| c.event.stamped = Some(at(5, 0))),
            no(Why::LinkRemoved),
        ),
        (
            "dropped again and again",
            with(Phase::Written, event(), &|c| {
                c.link.as_mut().unwrap().attempts = 2
            }),
            no(Why::DoesNotStick),
        ),
        (
            "intended again after such drops",
            with(Phase::Intended, event(), &|c| {
                c.link.as_mut().unwrap().attempts = 2
            }),
            Decision::Write { replaces: None },
        ),
        (
            "a part is gone",
            with(Phase::Seen, linked(), &|c| {
                c.event.components[0]
                    .links
                    .retain(|l| l.place != Place::SkypeTeams);
            }),
            Decision::Write { replaces: None },
        ),
        (
            "a part is gone a moment ago",
            with(Phase::Seen, linked(), &|c| {
                c.event.components[0]
                    .links
                    .retain(|l| l.place != Place::SkypeTeams);
                c.since = at(10, 0);
            }),
            no(Why::Settling),
        ),
        (
            "moved",
            with(Phase::Seen, linked(), &|c| c.event.schedule = "s2".into()),
            Decision::Update { span },
        ),
        (
            "renamed",
            with(Phase::Seen, linked(), &|c| {
                c.event.summary = Some("New".into())
            }),
            Decision::Update { span },
        ),
        (
            "moved while it takes place",
            with(Phase::Seen, linked(), &|c| {
                c.event.schedule = "s2".into();
                c.now = at(20, 9);
            }),
            no(Why::InProgress),
        ),
        (
            "cancelled: no write",
            with(Phase::Seen, linked(), &|c| {
                c.event.cancelled = true;
                c.event.components[0]
                    .links
                    .retain(|l| l.place != Place::SkypeTeams);
            }),
            no(Why::Cancelled),
        ),
        (
            "past: stays",
            with(Phase::Seen, linked(), &|c| c.event.next = Next::Past),
            no(Why::Past),
        ),
        (
            "no longer selected: stays",
            with(Phase::Seen, linked(), &|c| c.rules.select = Select::Tagged),
            no(Why::InStep),
        ),
        (
            "beyond the horizon: stays",
            with(Phase::Seen, linked(), &|c| c.rules.horizon = Duration::ZERO),
            no(Why::InStep),
        ),
        (
            "now another's",
            with(Phase::Seen, linked(), &|c| {
                c.rules.addresses = Some(["bob@example.org".into()].into())
            }),
            no(Why::NotOrganizer),
        ),
        (
            "attendees are skipped: stays",
            with(Phase::Seen, linked(), &skip),
            no(Why::InStep),
        ),
        (
            "attendees are skipped: a part that is gone stays so",
            with(Phase::Seen, linked(), &|c| {
                skip(c);
                without_skype(c);
            }),
            no(Why::AttendeesSkipped),
        ),
        (
            "attendees are skipped: the meeting follows, though a part is gone",
            with(Phase::Seen, linked(), &|c| {
                skip(c);
                without_skype(c);
                c.event.summary = Some("Renamed".into());
            }),
            Decision::Update {
                span: Span {
                    start: at(20, 9),
                    end: at(20, 10),
                },
            },
        ),
        (
            "attendees are skipped: a link that never landed is not written",
            with(Phase::Intended, event(), &skip),
            no(Why::AttendeesSkipped),
        ),
    ];
    for (name, case, expected) in cases {
        assert_eq!(case.decide().what, expected, "{name}");
    }
}

#[test]
fn what_the_calendar_drops_is_not_missed() {
    let with = |drops: &[Place], gone: &[Place]| {
        let mut case = Case::remembered(linked(), Phase::Seen);
        case.drops = drops.iter().copied().collect();
        let links = &mut case.event.components[0].links;
        links.retain(|l| !gone.contains(&l.place));
        case.decide().what
    };
    use Place::{Conference, SkypeTeams};
    let write = Decision::Write { replaces: None };
    assert_eq!(with(&[], &[Conference]), write);
    assert_eq!(with(&[Conference], &[Conference]), no(Why::InStep));
    assert_eq!(with(&[Conference], &[]), no(Why::InStep));
    assert_eq!(with(&[Conference], &[Conference, SkypeTeams]), write);
    assert_eq!(with(&[SkypeTeams], &[Conference]), write);
}

#[test]
fn an_html_twin_is_a_place_of_its_own() {
    let twin = |left| HtmlTwin {
        place: Place::AltDesc,
        line: 9,
        left,
    };
    let mut with = Case::remembered(linked(), Phase::Seen);
    with.event.components[0].twins = vec![twin(Some("it is too long"))];
    assert_eq!(with.decide().what, no(Why::InStep));
    with.event.components[0].twins.push(twin(None));
    assert_eq!(with.decide().what, Decision::Write { replaces: None });
    // A calendar that puts its own HTML in the place of ours is learned.
    let join_url = JoinUrl::new(OURS);
    let drops = kept::learn(
        &with.event,
        &join_url,
        Location::Url,
        &BTreeSet::new(),
        true,
    );
    assert_eq!(drops, [Place::AltDesc].into());
    with.drops = drops;
    assert_eq!(with.decide().what, no(Why::InStep));
    for place in Place::WRITTEN {
        assert_eq!(Place::named(place.name()), Some(place));
    }
}

#[test]
fn what_a_calendar_drops_is_learned_from_what_it_makes_of_a_write() {
    use Place::{Conference, Description, Location as Where, SkypeTeams, Url};
    let learn = |event: &Event, drops: &[Place], untouched| {
        let drops = drops.iter().copied().collect();
        let learned = kept::learn(event, &JoinUrl::new(OURS), Location::Url, &drops, untouched);
        learned.into_iter().collect::<Vec<_>>()
    };
    let without = |gone: &[Place]| {
        let mut event = linked();
        let links = &mut event.components[0].links;
        links.retain(|l| !gone.contains(&l.place));
        event
    };
    type Case = (
        &'static str,
        Event,
        &'static [Place],
        bool,
        &'static [Place],
    );
    let cases: [Case; 10] = [
        ("all is kept", linked(), &[], true, &[]),
        (
            "one is dropped",
            without(&[Conference]),
            &[],
            true,
            &[Conference],
        ),
        (
            "another one, too",
            without(&[Conference, SkypeTeams]),
            &[Conference],
            true,
            &[Conference, SkypeTeams],
        ),
        (
            "a person took it out",
            without(&[Conference]),
            &[],
            false,
            &[],
        ),
        (
            "it is kept again",
            linked(),
            &[Conference, Where],
            false,
            &[Where],
        ),
        (
            "no place shows it to a person: nothing is told",
            without(&[Description, Url]),
            &[SkypeTeams],
            true,
            &[SkypeTeams],
        ),
        (
            "no link at all",
            event(),
            &[Conference],
            true,
            &[Conference],
        ),
        ("altered", altered(), &[], true, &[Conference]),
        (
            "kept in one component only",
            overridden(),
            &[Conference],
            false,
            &[Conference],
        ),
        (
            "dropped in one component",
            overridden(),
            &[],
            true,
            &[Conference],
        ),
    ];
    for (name, event, drops, untouched, expected) in cases {
        assert_eq!(learn(&event, drops, untouched), expected, "{name}");
    }
}

/// A link whose CONFERENCE was cut.
fn altered() -> Event {
    let mut event = linked();
    let links = event.components[0].links.iter_mut();
    links
        .filter(|l| l.place == Place::Conference)
        .for_each(|l| l.url.truncate(20));
    event
}

/// A series whose override has no CONFERENCE.
fn overridden() -> Event {
    let mut event = linked();
    let mut moved = event.components[0].clone();
    moved.is_override = true;
    moved.links.retain(|l| l.place != Place::Conference);
    event.components.push(moved);
    event
}

#[test]
fn every_rule_says_what_it_saw() {
    let saw = |addresses: Option<BTreeSet<String>>, with: EventsWithAttendees| {
        let rules = Rules {
            addresses,
            events_with_attendees: with,
            ..rules()
        };
        let all = examine(at(10, 0), &event(), &rules, at(1, 0), &[], Standing::Proven);
        let of = |rule: &str| {
            let found = all.iter().find(|v| v.rule == rule).unwrap();
            (found.refusal.as_ref().map(Why::name), found.saw.clone())
        };
        [
            of("the account organizes it"),
            of("its attendees may be mailed"),
        ]
    };
    use EventsWithAttendees::{Skip, Write};
    let text = str::to_owned;
    assert_eq!(
        saw(None, Write),
        [
            (
                None,
                text("no `addresses` are configured, so the rule is skipped")
            ),
            (None, text("configured")),
        ]
    );
    assert_eq!(
        saw(Some(BTreeSet::new()), Skip),
        [
            (
                Some("not-organizer"),
                text("ORGANIZER is there, and no `addresses` are known")
            ),
            (Some("attendees-skipped"), text("1 invited")),
        ]
    );
    assert!(
        Why::AddressesUnknown
            .to_string()
            .contains("set `addresses`")
    );
}

#[test]
fn a_series_meeting_is_rolled_before_it_expires() {
    let mut case = Case::remembered(linked(), Phase::Seen);
    case.event.recurring = true;
    let later = Span {
        start: at(27, 9),
        end: at(27, 10),
    };
    case.event.next = Next::At(later);
    let due = at(20, 10) + chrono::Duration::days(39);
    assert_eq!(
        case.decide(),
        Decided {
            what: no(Why::InStep),
            due: Some(due)
        }
    );
    case.now = due;
    assert_eq!(case.decide().what, Decision::Update { span: later });
}

#[test]
fn a_lost_state_is_found_again_in_the_event() {
    let case = Case::new(linked());
    let adopt = Decision::Adopt {
        generation: 0,
        join_url: JoinUrl::new(OURS),
    };
    assert_eq!(case.decide().what, adopt);
}

#[test]
fn a_copied_link_is_replaced() {
    let other = Uid::new("two@example.org").unwrap();
    let mut case = Case::new(linked());
    case.event.components[0].mark = Some(mark(&other, TENANT));
    let Span { start, end } = Span {
        start: at(20, 9),
        end: at(20, 10),
    };
    let copy = Decision::Link {
        span: Span { start, end },
        replaces: Some(JoinUrl::new(OURS)),
    };
    assert_eq!(case.decide().what, copy, "by its mark");

    case.event.components[0].mark = None;
    case.copied = Some(JoinUrl::new(OURS));
    assert_eq!(
        case.decide().what,
        copy,
        "by what is remembered of the meeting"
    );

    case.event.components[0].links.push(FoundLink {
        place: Place::Location,
        provider: Provider::Zoom,
        url: "https://zoom.us/j/1".into(),
    });
    assert_eq!(
        case.decide().what,
        no(Why::ForeignLink(Provider::Zoom)),
        "unless it has another one"
    );
}

#[test]
fn the_subject_is_clean_and_bounded() {
    let mut event = event();
    event.summary = Some(format!("a\u{7}b{}", "x".repeat(300)));
    let subject = |event: &Event| Style::default().subject(event);
    assert_eq!(subject(&event).unwrap().chars().count(), 255);
    assert!(subject(&event).unwrap().starts_with("a b"));
    event.summary = Some("  ".into());
    assert_eq!(subject(&event), None);
}

#[test]
fn a_private_title_stands_for_that_of_an_event_that_is_not_public() {
    let mut event = event();
    event.summary = Some("Budget".into());
    let style = Style {
        subject: Template::parse("Team: {title}").unwrap(),
        private_title: Some("Private appointment"),
        ..Style::default()
    };
    for (class, expected) in [
        (Class::Public, "Team: Budget"),
        (Class::Private, "Team: Private appointment"),
        (Class::Confidential, "Team: Private appointment"),
    ] {
        event.class = class;
        assert_eq!(
            style.subject(&event).as_deref(),
            Some(expected),
            "{class:?}"
        );
        let open = Style {
            private_title: None,
            ..style.clone()
        };
        assert_eq!(open.subject(&event).as_deref(), Some("Team: Budget"));
    }
    // What became private is renamed, and so is what became public again.
    let style = Style {
        private_title: Some("Private appointment"),
        ..Style::default()
    };
    let mut record = meeting();
    event.class = Class::Public;
    for class in [Class::Private, Class::Public, Class::Confidential] {
        record.meeting.subject = style.subject(&event);
        assert!(!is_behind(&event, &record, &style, at(1, 0)));
        event.class = class;
        assert!(is_behind(&event, &record, &style, at(1, 0)), "{class:?}");
    }
}

#[test]
fn explain_shows_every_rule_and_no_title() {
    let verdicts = examine(
        at(10, 0),
        &event(),
        &rules(),
        at(1, 0),
        &[],
        Standing::Proven,
    );
    assert_eq!(verdicts.len(), 14);
    assert!(verdicts.iter().all(|v| v.refusal.is_none()));
    assert!(
        verdicts
            .iter()
            .all(|v| !v.saw.contains("Planning") && !v.saw.contains('@'))
    );
}

#[test]
fn a_template_names_the_title_and_the_calendar() {
    let mut event = event();
    event.summary = Some(" Budget {calendar} ".into());
    let subject = |template: &str, event: &Event| {
        let style = Style {
            subject: Template::parse(template).unwrap(),
            ..Style::default()
        };
        let name = crate::model::CalendarName::new("alice/{title}");
        style.within(&name).subject(event)
    };
    for (template, expected) in [
        ("{title}", Some("Budget {calendar}")),
        ("Meeting", Some("Meeting")),
        (
            "{calendar}: {title}!",
            Some("alice/{title}: Budget {calendar}!"),
        ),
        ("{title}{title}", Some("Budget {calendar}Budget {calendar}")),
        (" ", None),
    ] {
        assert_eq!(subject(template, &event).as_deref(), expected, "{template}");
    }
    event.summary = None;
    assert_eq!(subject("{title}", &event), None);
    assert_eq!(
        subject("In {calendar}: {title}", &event).as_deref(),
        Some("In alice/{title}:")
    );
    for no in ["{", "}", "{Title}", "{organizer}", "{title", "{{title}}"] {
        assert_eq!(Template::parse(no), None, "{no}");
    }
}

#[test]
fn a_meeting_is_told_who_is_invited_but_not_of_whom_else() {
    let mut event = event();
    event.organizer = Some("boss@example.org".into());
    event.attendees = [
        "boss@example.org",
        "a@example.org",
        "tel:+1",
        "@x",
        "a@",
        "b c@d",
        "z@x",
    ]
    .map(str::to_owned)
    .to_vec();
    let style = Style {
        participants: true,
        ..Style::default()
    };
    let told = |event: &Event| match style.settings(event).0.as_slice() {
        [crate::meeting::Setting::Participants(who)] => who.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&event), ["a@example.org", "z@x"]);
    event.attendees = (0..1000).map(|n| format!("{n}@example.org")).collect();
    assert_eq!(told(&event).len(), 300);
    assert!(Style::default().settings(&event).is_empty());
}

#[test]
fn a_meeting_that_lacks_settings_is_brought_up_to_date_once() {
    use crate::meeting::{Chat, Setting, Settings};
    let mut case = Case::remembered(linked(), Phase::Seen);
    assert_eq!(case.decide().what, no(Why::InStep));
    case.style.settings = Settings(vec![Setting::Chat(Chat::Disabled)]);
    assert!(matches!(case.decide().what, Decision::Update { .. }));
    let meeting = case.meeting.as_mut().unwrap();
    meeting.settings = meeting.settings.with(&case.style.settings);
    assert_eq!(case.decide().what, no(Why::InStep));
    case.style.settings = Settings::default();
    assert_eq!(case.decide().what, no(Why::InStep), "nothing is taken back");
}

#[test]
fn an_event_gets_its_link_when_its_uid_is_proven() {
    let mut case = Case::new(event());
    for (minted, why) in [(false, Why::UidUnproven), (true, Why::UidMinted)] {
        let until = Some(at(12, 0));
        case.uid = Standing::Unproven { until, minted };
        let decided = case.decide();
        assert_eq!((decided.what, decided.due), (no(why), until));
    }
    case.uid = Standing::Proven;
    assert_eq!(case.decide().what, make());
}

#[test]
fn a_link_that_is_published_elsewhere_is_written_again_unless_something_keeps_it_out() {
    let bare = |change: &dyn Fn(&mut Event)| {
        let mut event = event();
        change(&mut event);
        let mut case = Case::remembered(event, Phase::Seen);
        case.derived = true;
        case.decide().what
    };
    let write = Decision::Write { replaces: None };
    assert_eq!(bare(&|_| {}), write);
    assert_eq!(bare(&|event| event.next = Next::Past), write);
    assert_eq!(bare(&|event| event.attendees.clear()), write);
    assert_eq!(bare(&|event| event.cancelled = true), no(Why::Cancelled));
    let tagged = |event: &mut Event| event.categories.push("no-teams".into());
    assert_eq!(bare(&tagged), no(Why::OptedOut));
}

#[test]
fn a_meeting_gives_way_to_another_where_a_link_is_maintained_at_all() {
    let Next::At(span) = event().next else {
        panic!("it has a time");
    };
    let moves = Decision::Move { span };
    assert_eq!(
        (moves.name(), moves.acts(), moves.asks()),
        ("move", true, true)
    );
    type Change = fn(&mut Case);
    let cases: [(&str, Change, Decision); 9] = [
        ("asked for", |_| {}, moves.clone()),
        ("not asked for", |c| c.moves = false, no(Why::InStep)),
        ("outdated as well", |c| c.outdated = true, moves.clone()),
        (
            "behind as well",
            |c| c.event.schedule = "s2".into(),
            moves.clone(),
        ),
        (
            "published",
            |c| {
                c.derived = true;
                c.event = event();
            },
            moves,
        ),
        ("in progress", |c| c.now = at(20, 9), no(Why::InProgress)),
        ("settling", |c| c.since = c.now, no(Why::Settling)),
        (
            "cancelled",
            |c| c.event.cancelled = true,
            no(Why::Cancelled),
        ),
        ("over", |c| c.event.next = Next::Past, no(Why::Past)),
    ];
    for (name, change, expected) in cases {
        let mut case = Case::remembered(linked(), Phase::Seen);
        case.moves = true;
        change(&mut case);
        assert_eq!(case.decide().what, expected, "{name}");
    }
}

#[test]
fn a_link_to_a_former_meeting_is_ours_and_gives_way() {
    let with = |phase: Option<Phase>, change: &dyn Fn(&mut Event)| {
        let mut event = event();
        let url = (Place::Description, Provider::Teams, OTHER);
        event.components = vec![component(vec![url])];
        change(&mut event);
        let mut case = Case::remembered(event, phase.unwrap_or(Phase::Seen));
        if phase.is_none() {
            case.link = None;
        }
        case.former = Some(JoinUrl::new(OTHER));
        case.decide().what
    };
    let write = Decision::Write {
        replaces: Some(JoinUrl::new(OTHER)),
    };
    for phase in [Phase::Intended, Phase::Written, Phase::Seen] {
        assert_eq!(with(Some(phase), &|_| {}), write, "{phase:?}");
        assert_eq!(
            with(Some(phase), &|e| e.attendees.clear()),
            write,
            "{phase:?}"
        );
    }
    assert_eq!(with(None, &|_| {}).name(), "adopt");
    let over = with(Some(Phase::Seen), &|event| event.next = Next::Past);
    assert_eq!(over, no(Why::Past));
    // Beside the link that has replaced it, it is a mention.
    let mention = with(Some(Phase::Seen), &|event| {
        let mention = event.components[0].links[0].clone();
        *event = linked();
        event.components[0].links.push(mention);
    });
    assert_eq!(mention, no(Why::InStep));
}

#[test]
fn an_outdated_link_is_rewritten_where_a_link_is_maintained_at_all() {
    let Next::At(span) = event().next else {
        panic!("it has a time");
    };
    let rewrite = Decision::Rewrite { span };
    assert_eq!((rewrite.name(), rewrite.acts()), ("rewrite", true));
    type Change = fn(&mut Case);
    let cases: [(&str, Change, Decision); 14] = [
        ("outdated", |_| {}, rewrite.clone()),
        ("not asked for", |c| c.outdated = false, no(Why::InStep)),
        ("a part is missing as well", without_skype, rewrite.clone()),
        (
            "the calendar dropped it twice",
            |c| {
                without_skype(c);
                let link = c.link.as_mut().unwrap();
                (link.before, link.attempts) = ("c2".into(), 2);
            },
            rewrite.clone(),
        ),
        (
            "its meeting is behind as well",
            |c| c.event.schedule = "s2".into(),
            rewrite,
        ),
        (
            "a copied link goes first",
            |c| {
                c.copied = Some(JoinUrl::new(OTHER));
                c.link.as_mut().unwrap().phase = Phase::Intended;
            },
            Decision::Write {
                replaces: Some(JoinUrl::new(OTHER)),
            },
        ),
        (
            "a person took it out",
            |c| c.event.components = vec![component(vec![])],
            no(Why::LinkRemoved),
        ),
        (
            "cancelled",
            |c| c.event.cancelled = true,
            no(Why::Cancelled),
        ),
        ("past", |c| c.event.next = Next::Past, no(Why::Past)),
        ("all day", |c| c.event.all_day = true, no(Why::AllDay)),
        (
            "opted out",
            |c| c.event.categories = vec!["no-teams".into()],
            no(Why::OptedOut),
        ),
        (
            "somebody else's",
            |c| c.rules.addresses = Some(["carol@example.org".into()].into()),
            no(Why::NotOrganizer),
        ),
        ("not to be written", skip, no(Why::AttendeesSkipped)),
        ("settling", |c| c.since = at(10, 0), no(Why::Settling)),
    ];
    for (name, change, expected) in cases {
        let mut case = Case::remembered(linked(), Phase::Seen);
        case.outdated = true;
        change(&mut case);
        assert_eq!(case.decide().what, expected, "{name}");
    }
    let mut new = Case::new(event());
    new.outdated = true;
    assert_eq!(new.decide().what, make(), "an event without a link");
}
