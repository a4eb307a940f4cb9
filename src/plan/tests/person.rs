//! What follows from a person's change to an event that has its link.

use super::*;

const ZOOM: &str = "https://zoom.us/j/123456789";

type Change = fn(&mut Case);

fn tag(case: &mut Case) {
    case.event.categories = vec!["no-teams".into()];
}

fn foreign(place: Place, provider: Provider, url: &str) -> FoundLink {
    FoundLink {
        place,
        provider,
        url: url.to_owned(),
    }
}

fn add(case: &mut Case, url: &str, provider: Provider) {
    let found = foreign(Place::Description, provider, url);
    case.event.components[0].links.push(found);
}

fn zoom(case: &mut Case) {
    add(case, ZOOM, Provider::Zoom);
}

/// What people see of the link is gone; lines of it are left.
fn strip(case: &mut Case) {
    let seen = [Place::Description, Place::Location, Place::Url];
    let links = &mut case.event.components[0].links;
    links.retain(|link| !seen.contains(&link.place));
}

/// The event gets an override that has our link and a Zoom link.
fn zoom_in_override(case: &mut Case) {
    let mut moved = case.event.components[0].clone();
    moved.is_override = true;
    moved
        .links
        .push(foreign(Place::Location, Provider::Zoom, ZOOM));
    case.event.components.push(moved);
}

fn phase(case: &mut Case, phase: Phase) {
    case.link.as_mut().unwrap().phase = phase;
}

#[test]
fn a_link_is_taken_out_when_a_person_says_so_in_any_way() {
    let out = Decision::TakeOut;
    let zoomed = || Why::ForeignLink(Provider::Zoom);
    // What is changed, what is done while there are traces, and why nothing is done when there are none.
    let cases: [(&str, Change, Decision, Why); 27] = [
        ("nothing", |_| {}, no(Why::InStep), Why::InStep),
        ("leftovers", strip, out(Out::Removed), Why::LinkRemoved),
        (
            "never seen, so never taken out",
            |c| {
                strip(c);
                phase(c, Phase::Written);
            },
            Decision::Write { replaces: None },
            Why::Settling,
        ),
        (
            "a copy from before",
            |c| {
                strip(c);
                c.event.stamped = Some(at(4, 0));
            },
            Decision::Write { replaces: None },
            Why::Settling,
        ),
        (
            "its calendar keeps what was taken out",
            |c| {
                strip(c);
                c.event.components[0].mark = Some(Mark::OptOut);
            },
            no(Why::LinkRemoved),
            Why::LinkRemoved,
        ),
        ("tagged", tag, out(Out::Tagged), Why::OptedOut),
        (
            "tagged in its title",
            |c| c.event.summary = Some("Planning #no-teams".into()),
            out(Out::Tagged),
            Why::OptedOut,
        ),
        (
            "linked again by hand",
            |c| c.event.components[0].mark = Some(Mark::OptOut),
            no(Why::OptedOut),
            Why::OptedOut,
        ),
        (
            "a Zoom link",
            zoom,
            out(Out::Foreign(Provider::Zoom)),
            zoomed(),
        ),
        (
            "another Teams link",
            |c| add(c, OTHER, Provider::Teams),
            out(Out::Foreign(Provider::Teams)),
            Why::ForeignLink(Provider::Teams),
        ),
        (
            "a mention of another event",
            |c| {
                add(c, OTHER, Provider::Teams);
                c.copied = Some(JoinUrl::new(OTHER));
            },
            no(Why::InStep),
            Why::InStep,
        ),
        (
            "ours as a gateway writes it",
            |c| {
                let safe = "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2F\
                            teams.microsoft.com%2Fl%2Fmeetup-join%2Fours&amp;data=05";
                add(c, safe, Provider::Teams);
            },
            no(Why::InStep),
            Why::InStep,
        ),
        (
            "a Zoom link in an override",
            zoom_in_override,
            out(Out::ForeignInOverride(Provider::Zoom)),
            zoomed(),
        ),
        (
            "a Zoom link in an override without ours",
            |c| {
                zoom_in_override(c);
                let moved = &mut c.event.components[1];
                moved.links.retain(|link| link.url == ZOOM);
                moved.mark = None;
            },
            no(Why::InStep),
            Why::InStep,
        ),
        (
            "a Zoom link in a cancelled override",
            |c| {
                zoom_in_override(c);
                c.event.components[1].cancelled = true;
            },
            no(Why::InStep),
            Why::InStep,
        ),
        (
            "tagged and cancelled",
            |c| {
                tag(c);
                c.event.cancelled = true;
            },
            no(Why::Cancelled),
            Why::Cancelled,
        ),
        (
            "leftovers, and cancelled",
            |c| {
                strip(c);
                c.event.cancelled = true;
            },
            no(Why::LinkRemoved),
            Why::LinkRemoved,
        ),
        (
            "tagged and over",
            |c| {
                tag(c);
                c.event.next = Next::Past;
            },
            no(Why::Past),
            Why::Past,
        ),
        (
            "all day",
            |c| {
                tag(c);
                c.event.all_day = true;
            },
            no(Why::AllDay),
            Why::AllDay,
        ),
        (
            "somebody else's",
            |c| {
                zoom(c);
                c.rules.addresses = Some(["carol@example.org".into()].into());
            },
            no(Why::NotOrganizer),
            Why::NotOrganizer,
        ),
        (
            "not to be written",
            |c| {
                tag(c);
                skip(c);
            },
            no(Why::AttendeesSkipped),
            Why::OptedOut,
        ),
        (
            "settling",
            |c| {
                tag(c);
                c.since = at(10, 0);
            },
            no(Why::Settling),
            Why::OptedOut,
        ),
        (
            "put back by its calendar, once",
            |c| {
                tag(c);
                phase(c, Phase::TakenOut);
                c.event.stamped = Some(at(5, 0));
            },
            out(Out::Tagged),
            Why::OptedOut,
        ),
        (
            "put back by its calendar, again and again",
            |c| {
                tag(c);
                phase(c, Phase::TakenOut);
                c.event.stamped = Some(at(5, 0));
                c.link.as_mut().unwrap().attempts = 2;
            },
            no(Why::DoesNotStick),
            Why::OptedOut,
        ),
        (
            "the tag is gone before anything was written",
            |c| phase(c, Phase::TakenOut),
            no(Why::InStep),
            Why::InStep,
        ),
        (
            "the tag is gone again",
            |c| {
                strip(c);
                phase(c, Phase::TakenOut);
            },
            Decision::Write { replaces: None },
            Why::Settling,
        ),
        (
            "opted out by an operator",
            |c| phase(c, Phase::OptedOut),
            out(Out::Unlinked { for_good: true }),
            Why::OptedOut,
        ),
    ];
    for (name, change, with_traces, without) in cases {
        let mut case = Case::remembered(linked(), Phase::Seen);
        change(&mut case);
        case.traces = true;
        assert_eq!(case.decide().what, with_traces, "{name}");
        if without != Why::Settling {
            case.traces = false;
            assert_eq!(case.decide().what, no(without), "{name}: nothing left");
        }
    }
}

#[test]
fn what_an_operator_took_out_stays_out() {
    for meeting in [None, Some(meeting())] {
        let mut case = Case::remembered(event(), Phase::OptedOut);
        case.meeting = meeting;
        assert_eq!(case.decide().what, no(Why::OptedOut));
    }
}

#[test]
fn a_copy_of_an_event_that_is_opted_out_is_opted_out() {
    let mut copy = event();
    copy.components[0].mark = Some(Mark::OptOut);
    assert_eq!(Case::new(copy).decide().what, no(Why::OptedOut));
}
