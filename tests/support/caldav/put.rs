//! GET, HEAD, PUT and DELETE of members (RFC 9110, RFC 4791, RFC 6638).

use super::place::{Place, Spot};
use super::propfind::Rows;
use super::quirks::{CopyName, EtagOnPut, EtagOnTheWay};
use super::rewrite;
use super::serve::{condition, http_date};
use super::store::{Access, World};
use super::wire::{Answer, Asked, Payload};
use super::xml::{CAL, DAV};

/// Answers a GET or HEAD.
pub(super) fn get(world: &World, asked: &Asked, place: &Place) -> Answer {
    let Place::Member(spot, name) = place else {
        let status = match place {
            Place::Nowhere => 404,
            _ => 405,
        };
        return Answer::new(status);
    };
    let Some(member) = world.collections[spot.at].members.get(name) else {
        return Answer::new(404);
    };
    let rows = Rows {
        world,
        user: &spot.user,
        port: 0,
        wanted: &[],
    };
    let mut etag = rows.etag(member);
    if asked.takes_gzip() && world.quirks.gzip {
        match world.quirks.etag_on_the_way {
            EtagOnTheWay::WeakWhenCompressed => etag.insert_str(0, "W/"),
            EtagOnTheWay::GzipSuffix => etag.insert_str(etag.len() - 1, "-gzip"),
            _ => {}
        }
    }
    let known = asked.header("if-none-match");
    if world.quirks.get_if_none_match && known == Some(etag.as_str()) {
        return Answer::new(304).with("ETag", etag);
    }
    let mut answer = Answer::new(200)
        .with("Content-Type", "text/calendar; charset=utf-8")
        .with("Last-Modified", http_date(member.second))
        .with("ETag", etag);
    if world.quirks.schedule_tag {
        answer = answer.with("Schedule-Tag", format!("\"{}\"", member.schedule_tag));
    }
    answer.body = Payload::new(member.bytes.to_vec());
    answer
}

/// Why a PUT is not done; `None`: it may be done.
pub(super) fn check_put(world: &World, asked: &Asked, spot: &Spot, name: &str) -> Option<Answer> {
    let quirks = &world.quirks;
    let collection = &world.collections[spot.at];
    let member = collection.members.get(name);
    if asked.chunked && !quirks.chunked {
        return Some(Answer::new(400));
    }
    if spot.access == Access::Read {
        return Some(condition(403, DAV, "need-privileges"));
    }
    if asked.header("content-range").is_some() {
        return Some(Answer::new(400));
    }
    let content_type = asked.header("content-type").unwrap_or_default();
    if !content_type
        .to_ascii_lowercase()
        .starts_with("text/calendar")
    {
        return Some(condition(415, CAL, "supported-calendar-data"));
    }
    if let Some((status, name)) = quirks.put {
        return Some(match name {
            "" => Answer::new(status),
            name => condition(status, DAV, name),
        });
    }
    let most = quirks.max_resource_size.filter(|(_, enforced)| *enforced);
    if most.is_some_and(|(most, _)| asked.body.len() > most) {
        return Some(condition(413, CAL, "max-resource-size"));
    }
    if !rewrite::is_calendar_object(&asked.body) {
        return Some(condition(403, CAL, "valid-calendar-data"));
    }
    let etag = member.map(|member| member.etag.as_str());
    if quirks.if_match && !matches(world, asked.header("if-match"), etag) {
        return Some(Answer::new(412));
    }
    if quirks.if_none_match && asked.header("if-none-match") == Some("*") && member.is_some() {
        return Some(Answer::new(412));
    }
    let tag = asked.header("if-schedule-tag-match");
    let current = member.map(|member| format!("\"{}\"", member.schedule_tag));
    if quirks.schedule_tag && tag.is_some_and(|tag| current.as_deref() != Some(tag)) {
        return Some(Answer::new(412));
    }
    let uid = rewrite::uid(&asked.body).unwrap_or_default();
    if let Some((status, name)) = quirks
        .same_uid
        .filter(|_| collection.holder_of(&uid, name).is_some())
    {
        return Some(condition(status, CAL, name));
    }
    if let Some(member) = member.filter(|_| quirks.attendee_allowed) {
        let organizer = rewrite::addresses(&member.bytes, "ORGANIZER");
        let own = &world.users[&spot.user].addresses;
        let copy = organizer.first().is_some_and(|one| !own.contains(one));
        let guarded = [
            "LOCATION",
            "SUMMARY",
            "DESCRIPTION",
            "URL",
            "CATEGORIES",
            "TRANSP",
            "DTSTART",
        ];
        let changed = |name: &&str| {
            rewrite::lines_of(&member.bytes, name) != rewrite::lines_of(&asked.body, name)
        };
        if copy && guarded.iter().any(changed) {
            return Some(condition(412, CAL, "attendee-allowed"));
        }
    }
    None
}

/// Does a PUT that nothing speaks against.
pub(super) fn put(world: &mut World, asked: &Asked, spot: &Spot, name: &str) -> Answer {
    let own = world.users[&spot.user].addresses.clone();
    let existed = world.collections[spot.at].members.contains_key(name);
    let stored = rewrite::rewrite(&asked.body, &world.quirks.rewrite, &own);
    let altered = stored != asked.body;
    let scheduled = deliver(world, &stored, &own);
    world.store(spot.at, name, stored, false);
    let status = match existed {
        true => 204,
        false => 201,
    };
    let shown = match world.quirks.etag_on_put {
        EtagOnPut::Always => true,
        EtagOnPut::Never => false,
        EtagOnPut::WhenUnaltered => !altered,
        EtagOnPut::UnlessScheduled => !scheduled,
    };
    let rows = Rows {
        world,
        user: &spot.user,
        port: 0,
        wanted: &[],
    };
    let member = &world.collections[spot.at].members[name];
    let mut answer = Answer::new(status);
    if shown {
        answer = answer.with("ETag", rows.etag(member));
    }
    if world.quirks.schedule_tag {
        answer = answer.with("Schedule-Tag", format!("\"{}\"", member.schedule_tag));
    }
    answer
}

/// Puts copies into the attendees' calendars; whether there were any.
fn deliver(world: &mut World, bytes: &[u8], own: &[String]) -> bool {
    let Some(how) = world.quirks.scheduling else {
        return false;
    };
    let organizer = rewrite::addresses(bytes, "ORGANIZER");
    if !organizer.iter().any(|one| own.contains(one)) {
        return false;
    }
    let invited = rewrite::addresses(bytes, "ATTENDEE");
    let uid = rewrite::uid(bytes).unwrap_or_default();
    for address in invited.iter().filter(|address| !own.contains(address)) {
        let Some(user) = world.with_address(address).map(str::to_owned) else {
            continue;
        };
        let home = &world.users[&user].home;
        let first = home.values().find(|(_, access)| *access == Access::Owner);
        let Some(&(at, _)) = first else { continue };
        let fresh = match how {
            CopyName::Uid => format!("{uid}.ics"),
            CopyName::Other => format!("fake-{}.ics", world.serial),
        };
        let name = world.collections[at].holder_of(&uid, "").map(str::to_owned);
        world.store(at, &name.unwrap_or(fresh), bytes.to_vec(), false);
    }
    !invited.is_empty()
}

/// Answers a DELETE.
pub(super) fn delete(world: &mut World, asked: &Asked, place: &Place) -> Answer {
    let Place::Member(spot, name) = place else {
        return Answer::new(403);
    };
    if spot.access == Access::Read {
        return condition(403, DAV, "need-privileges");
    }
    let member = world.collections[spot.at].members.get(name);
    let Some(etag) = member.map(|member| member.etag.clone()) else {
        return Answer::new(404);
    };
    let given = asked.header("if-match");
    if world.quirks.delete_if_match && !matches(world, given, Some(&etag)) {
        return Answer::new(412);
    }
    world.remove(spot.at, name);
    Answer::new(204)
}

/// Whether If-Match is met: by strong comparison (RFC 9110, 13.1.1) with the tag as it is stored.
fn matches(world: &World, given: Option<&str>, etag: Option<&str>) -> bool {
    let Some(given) = given else {
        return true;
    };
    let Some(etag) = etag else {
        return false;
    };
    if given == "*" {
        return true;
    }
    if world.quirks.etag_on_the_way == EtagOnTheWay::WeakForEver {
        return false;
    }
    let lenient = world.quirks.etag_on_the_way == EtagOnTheWay::WeakAndLenient;
    given.split(',').map(str::trim).any(|one| {
        let one = match lenient {
            true => one.strip_prefix("W/").unwrap_or(one),
            false => one,
        };
        let one = one.strip_prefix('"').and_then(|one| one.strip_suffix('"'));
        match one {
            Some(one) if world.quirks.restless_etags => one.split('-').next() == Some(etag),
            one => one == Some(etag),
        }
    })
}
