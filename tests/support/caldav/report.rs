//! REPORT: sync-collection (RFC 6578), calendar-multiget and calendar-query (RFC 4791).

use super::place::{self, Place, Spot};
use super::propfind::{Rows, is_by_second};
use super::quirks::{
    Granularity, Listing, MultigetMissing, QueryNoDepth, SyncLimit, TokenAnswer, Tombstones,
};
use super::serve::condition;
use super::store::{Change, World};
use super::wire::{Answer, Asked};
use super::xml::{self, CAL, DAV, Node, Writer};

const TOKEN: &str = "http://fake.example/sync/";
const XML: &str = "application/xml; charset=utf-8";

/// Answers a REPORT on what `place` names.
pub(super) fn report(
    world: &mut World,
    user: &str,
    port: u16,
    asked: &Asked,
    place: &Place,
) -> Answer {
    let Some(root) = xml::parse(&asked.body) else {
        return Answer::new(400).body("text/plain", "malformed XML\n");
    };
    let spot = match place {
        Place::Calendar(_) if world.quirks.listing == Listing::Gone => return Answer::new(404),
        Place::Calendar(spot) => spot,
        Place::Nowhere => return Answer::new(404),
        _ => return condition(403, DAV, "supported-report"),
    };
    world.listings += 1;
    let wanted = root.props();
    let rows = Rows {
        world,
        user,
        port,
        wanted: &wanted,
    };
    let depth = asked.header("depth");
    if root.is(DAV, "sync-collection") && rows.world.quirks.sync_collection {
        sync(&rows, spot, &root, depth)
    } else if root.is(CAL, "calendar-multiget") {
        multiget(&rows, spot, &root)
    } else if root.is(CAL, "calendar-query") {
        query(&rows, spot, depth)
    } else {
        condition(403, DAV, "supported-report")
    }
}

/// The DAV:sync-token property of a calendar.
pub(super) fn token_property(world: &World, at: usize) -> String {
    let collection = &world.collections[at];
    let token = match is_by_second(world.quirks.token) {
        true => collection.second,
        false => collection.version as i64,
    };
    match world.quirks.token_property_differs {
        true => format!("{TOKEN}{token}-property"),
        false => format!("{TOKEN}{token}"),
    }
}

fn multistatus(out: Writer) -> Answer {
    Answer::new(207).body(XML, out.end())
}

fn sync(rows: &Rows<'_>, spot: &Spot, root: &Node, depth: Option<&str>) -> Answer {
    let world = rows.world;
    let quirks = &world.quirks;
    if quirks.sync_depth_strict && !matches!(depth, None | Some("0")) {
        return Answer::new(400).body("text/plain", "Depth must be 0\n");
    }
    let level = root.child(DAV, "sync-level").map(|node| node.text.trim());
    let (absent, infinite) = quirks.sync_level_refused;
    if level.is_none() && absent || level == Some("infinite") && infinite {
        return Answer::new(400).body("text/plain", "sync-level\n");
    }
    let Some(token) = root.child(DAV, "sync-token") else {
        return Answer::new(400).body("text/plain", "sync-token\n");
    };
    let mut wanted = rows.wanted.to_vec();
    if !quirks.sync_data {
        wanted.retain(|(_, name)| name != "calendar-data");
    }
    let rows = Rows {
        wanted: &wanted,
        ..*rows
    };
    let limit = root
        .child(DAV, "limit")
        .and_then(|limit| limit.child(DAV, "nresults"))
        .and_then(|count| count.text.trim().parse().ok());
    let now = match is_by_second(quirks.token) {
        true => world.now,
        false => world.collections[spot.at].version as i64,
    };
    let given = token.text.trim();
    let first = world.collections[spot.at].first_token;
    let answer = match given.strip_prefix(TOKEN).map(str::parse::<i64>) {
        _ if given.is_empty() => return rows.changes(spot, None, limit),
        Some(Ok(from)) if (first..=now).contains(&from) => {
            return rows.changes(spot, Some(from), limit);
        }
        Some(Ok(_)) => quirks.unknown_token,
        _ if quirks.token_property_differs && given.ends_with("-property") => {
            let from = given.trim_end_matches("-property").rsplit('/').next();
            let from = from.and_then(|from| from.parse().ok());
            return rows.changes(spot, from, limit);
        }
        _ => quirks.malformed_token,
    };
    let mut out = Writer::new(quirks);
    match answer {
        TokenAnswer::Refused(status) => return condition(status, DAV, "valid-sync-token"),
        TokenAnswer::Nothing => {}
        TokenAnswer::All => rows.listing(&mut out, spot),
        TokenAnswer::AllAndTombstones => {
            rows.listing(&mut out, spot);
            let gone = world.collections[spot.at].journal.values();
            for change in gone.filter(|change| !change.there) {
                let href = rows.href(&format!("{}{}", spot.path(), change.name));
                out.status_row(&href, 404, None);
            }
        }
    }
    let token = format!("{TOKEN}{now}");
    out.text("sync-token", &token);
    multistatus(out)
}

impl Rows<'_> {
    /// What changed since `from`, or all of it.
    fn changes(&self, spot: &Spot, from: Option<i64>, limit: Option<usize>) -> Answer {
        let quirks = &self.world.quirks;
        let collection = &self.world.collections[spot.at];
        let base = spot.path();
        let by_second = is_by_second(quirks.token);
        let page = match (limit, quirks.sync_limit) {
            (Some(limit), SyncLimit::Cut | SyncLimit::Honoured) => Some(limit),
            _ => quirks.sync_page,
        };
        let told = page.filter(|_| limit.is_none() || quirks.sync_limit == SyncLimit::Honoured);
        let mut out = Writer::new(quirks);
        if quirks.sync_lists_itself {
            out.open("response");
            out.text("href", &self.href(&base));
            out.open("propstat");
            out.open("prop");
            out.any(DAV, "getetag", &format!("\"{}\"", collection.version));
            out.close("prop");
            out.status(200);
            out.close("propstat");
            out.close("response");
        }
        let first = match (from, quirks.token) {
            (None, _) | (_, Granularity::Seconds) => 0,
            (Some(from), Granularity::Exact) => from as u64 + 1,
            (Some(from), Granularity::Neighbours) => from as u64,
        };
        let seen = |change: &Change| match (from, change.there) {
            _ if by_second && from.is_some_and(|from| change.second < from) => false,
            (_, true) => true,
            (None, false) => quirks.first_sync_tombstones,
            (Some(_), false) => quirks.tombstones != Tombstones::Missing,
        };
        let (mut count, mut last, mut cut) = (0, 0, false);
        let most = match (from, quirks.listing) {
            (None, Listing::Empty) => 0,
            (None, Listing::Silent(most)) => most,
            _ => usize::MAX,
        };
        for (version, change) in collection.journal.range(first..) {
            if !seen(change) {
                last = *version;
                continue;
            }
            if page == Some(count) {
                cut = true;
                break;
            }
            if count == most {
                break;
            }
            (count, last) = (count + 1, *version);
            match collection.members.get(&change.name) {
                Some(member) => self.member(&mut out, &base, &change.name, member),
                None => {
                    let href = self.href(&format!("{base}{}", change.name));
                    out.status_row(&href, 404, None);
                }
            }
        }
        match quirks.tombstones {
            Tombstones::NeverWas => {
                let href = self.href(&format!("{base}never-was.ics"));
                out.status_row(&href, 404, None);
            }
            Tombstones::OfAll => {
                for name in collection.members.keys() {
                    let href = self.href(&format!("{base}{name}"));
                    out.status_row(&href, 404, None);
                }
            }
            Tombstones::True | Tombstones::Missing => {}
        }
        let cut = cut && told.is_some();
        if cut {
            let href = self.href(&base);
            out.status_row(&href, 507, Some("number-of-matches-within-limits"));
        }
        let token = match () {
            () if by_second => self.world.now,
            () if cut => last as i64,
            () => collection.version as i64,
        };
        out.text("sync-token", &format!("{TOKEN}{token}"));
        multistatus(out)
    }
}

fn multiget(rows: &Rows<'_>, spot: &Spot, root: &Node) -> Answer {
    let quirks = &rows.world.quirks;
    let hrefs = root.children.iter().filter(|node| node.is(DAV, "href"));
    let hrefs: Vec<&str> = hrefs.map(|node| node.text.trim()).collect();
    if hrefs.is_empty() {
        return Answer::new(400).body("text/plain", "no href\n");
    }
    if quirks.multiget_most.is_some_and(|most| hrefs.len() > most) {
        return Answer::new(413);
    }
    let mut out = Writer::new(quirks);
    for href in hrefs {
        let named = place::place(rows.world, rows.user, place::path_of(href));
        let found = match &named {
            Place::Member(found, name) if found == spot => {
                let member = rows.world.collections[spot.at].members.get_key_value(name);
                member.ok_or_else(|| rows.href(&format!("{}{name}", spot.path())))
            }
            // An href of another collection (RFC 4791, 7.9).
            _ => Err(href.to_owned()),
        };
        match (found, quirks.multiget_missing) {
            (Ok((name, member)), _) => rows.member(&mut out, &spot.path(), name, member),
            (Err(href), MultigetMissing::Row) => out.status_row(&href, 404, None),
            (Err(_), MultigetMissing::WholeReport) => return Answer::new(404),
            (Err(_), MultigetMissing::Omitted) => {}
        }
    }
    multistatus(out)
}

fn query(rows: &Rows<'_>, spot: &Spot, depth: Option<&str>) -> Answer {
    let mut out = Writer::new(&rows.world.quirks);
    match (depth, rows.world.quirks.query_no_depth) {
        (Some("1"), _) | (None, QueryNoDepth::Works) => rows.listing(&mut out, spot),
        (None, QueryNoDepth::Refused) => return Answer::new(400),
        _ => {}
    }
    multistatus(out)
}
