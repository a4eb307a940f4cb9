//! PROPFIND (RFC 4918, 9.1), and the rows that REPORTs show too.

use super::place::{self, Place, ROOT, Spot};
use super::quirks::{EtagOnTheWay, Granularity, Hrefs, Listing};
use super::report;
use super::store::{Access, Member, World};
use super::wire::{Answer, Asked};
use super::xml::{self, CAL, CS, DAV, ICAL, Writer};

/// What a row is made from.
pub(super) struct Rows<'a> {
    pub(super) world: &'a World,
    /// Who asks.
    pub(super) user: &'a str,
    pub(super) port: u16,
    pub(super) wanted: &'a [(String, String)],
}

/// Answers a PROPFIND of what `place` names.
pub(super) fn propfind(
    world: &mut World,
    user: &str,
    port: u16,
    asked: &Asked,
    place: &Place,
) -> Answer {
    let wanted = match asked.body.is_empty() {
        true => Vec::new(), // allprop
        false => {
            let Some(root) = xml::parse(&asked.body) else {
                return Answer::new(400).body("text/plain", "malformed XML\n");
            };
            if !root.is(DAV, "propfind") {
                return Answer::new(400).body("text/plain", "not a propfind\n");
            }
            root.props()
        }
    };
    let wanted = match wanted.is_empty() {
        true => ["resourcetype", "displayname", "getetag", "getcontenttype"]
            .map(|name| (DAV.to_owned(), name.to_owned()))
            .to_vec(),
        false => wanted,
    };
    let deep = match asked.header("depth") {
        Some("0") => false,
        Some("1") => true,
        // None means infinity (RFC 4918, 10.2), which no server is glad of.
        _ => return super::serve::condition(403, DAV, "propfind-finite-depth"),
    };
    world.listings += 1;
    let world = &*world;
    let rows = Rows {
        world,
        user,
        port,
        wanted: &wanted,
    };
    let mut out = Writer::new(&world.quirks);
    match place {
        Place::Host if !world.quirks.principal_at_root => return Answer::new(405),
        Place::Host | Place::Root | Place::Principal(_) => rows.row(&mut out, place),
        Place::Home(owner) => {
            rows.row(&mut out, place);
            for (segment, &(at, access)) in world.users[owner].home.iter().filter(|_| deep) {
                let spot = Spot {
                    user: owner.clone(),
                    segment: segment.clone(),
                    at,
                    access,
                };
                rows.row(&mut out, &Place::Calendar(spot));
            }
        }
        Place::Calendar(_) if world.quirks.listing == Listing::Gone => return Answer::new(404),
        Place::Calendar(spot) => {
            rows.row(&mut out, place);
            if deep {
                rows.listing(&mut out, spot);
            }
        }
        Place::Member(spot, name) => {
            if world.collections[spot.at].members.contains_key(name) {
                rows.row(&mut out, place);
            } else if world.quirks.absent_is_multistatus {
                let href = rows.href(&format!("{}{name}", spot.path()));
                out.status_row(&href, 404, None);
            } else {
                return Answer::new(404);
            }
        }
        Place::Nowhere => return Answer::new(404),
    }
    Answer::new(207)
        .with("DAV", super::serve::dav(world))
        .body("application/xml; charset=utf-8", out.end())
}

impl Rows<'_> {
    pub(super) fn href(&self, path: &str) -> String {
        let how = self.world.quirks.hrefs;
        // The way in has to be found, whatever members are called.
        let how = match how {
            Hrefs::OtherHost if path.ends_with('/') => Hrefs::Path,
            how => how,
        };
        place::href(path, how, self.port)
    }

    /// The members of a calendar, as the quirks let them be seen.
    pub(super) fn listing(&self, out: &mut Writer, spot: &Spot) {
        let members = &self.world.collections[spot.at].members;
        let most = match self.world.quirks.listing {
            Listing::Complete => usize::MAX,
            Listing::Empty | Listing::Gone => 0,
            Listing::Silent(most) | Listing::Truncated(most) => most,
        };
        let base = spot.path();
        for (name, member) in members.iter().take(most) {
            self.member(out, &base, name, member);
        }
        if matches!(self.world.quirks.listing, Listing::Truncated(most) if most < members.len()) {
            let href = self.href(&base);
            out.status_row(&href, 507, Some("number-of-matches-within-limits"));
        }
    }

    /// A row of a member.
    pub(super) fn member(&self, out: &mut Writer, base: &str, name: &str, member: &Member) {
        out.open("response");
        out.text("href", &self.href(&format!("{base}{name}")));
        let value = |out: &Writer, namespace: &str, prop: &str| {
            Some(match (namespace, prop) {
                (DAV, "getetag") => xml::escaped(&self.etag(member)),
                (DAV, "resourcetype") => String::new(),
                (DAV, "getcontenttype") => "text/calendar; charset=utf-8".to_owned(),
                (DAV, "getcontentlength") => member.bytes.len().to_string(),
                (DAV, "getlastmodified") => super::serve::http_date(member.second),
                (CAL, "schedule-tag") if self.world.quirks.schedule_tag => {
                    format!("\"{}\"", member.schedule_tag)
                }
                (CAL, "calendar-data") => out.data(&member.bytes),
                _ => return None,
            })
        };
        self.props(out, value);
        out.close("response");
    }

    /// A member's ETag as listings show it.
    pub(super) fn etag(&self, member: &Member) -> String {
        let quirks = &self.world.quirks;
        let rest = match quirks.restless_etags {
            true => format!("-{}", self.world.listings),
            false => String::new(),
        };
        match quirks.etag_on_the_way {
            EtagOnTheWay::Weak | EtagOnTheWay::WeakForEver | EtagOnTheWay::WeakAndLenient => {
                format!("W/\"{}{rest}\"", member.etag)
            }
            _ => format!("\"{}{rest}\"", member.etag),
        }
    }

    /// A row of anything that is no member.
    fn row(&self, out: &mut Writer, place: &Place) {
        if let Place::Member(spot, name) = place {
            let member = &self.world.collections[spot.at].members[name];
            return self.member(out, &spot.path(), name, member);
        }
        let path = match place {
            Place::Host => "/".to_owned(),
            Place::Principal(user) => format!("{ROOT}principals/{user}/"),
            Place::Home(user) => format!("{ROOT}calendars/{user}/"),
            Place::Calendar(spot) => spot.path(),
            _ => ROOT.to_owned(),
        };
        out.open("response");
        out.text("href", &self.href(&path));
        self.props(out, |out, namespace, prop| {
            self.value(out, place, namespace, prop)
        });
        out.close("response");
    }

    fn props(&self, out: &mut Writer, value: impl Fn(&Writer, &str, &str) -> Option<String>) {
        let mut missing = Vec::new();
        let start = out.out.len();
        out.open("propstat");
        out.open("prop");
        let mut found = 0;
        for (namespace, name) in self.wanted {
            match value(out, namespace, name) {
                Some(inner) => {
                    out.any(namespace, name, &inner);
                    found += 1;
                }
                None => missing.push((namespace, name)),
            }
        }
        out.close("prop");
        out.status(200);
        out.close("propstat");
        if found == 0 && !missing.is_empty() {
            out.out.truncate(start);
        }
        if !missing.is_empty() {
            out.open("propstat");
            out.open("prop");
            for (namespace, name) in missing {
                out.any(namespace, name, "");
            }
            out.close("prop");
            out.status(404);
            out.close("propstat");
        }
    }

    fn value(&self, out: &Writer, place: &Place, namespace: &str, prop: &str) -> Option<String> {
        let href = |path: &str| out.around("href", &xml::escaped(&self.href(path)));
        let principal = |user: &str| href(&format!("{ROOT}principals/{user}/"));
        let found = match (place, namespace, prop) {
            (_, DAV, "current-user-principal") => principal(self.user),
            (Place::Principal(_), DAV, "resourcetype") => {
                out.empty("collection") + &out.empty("principal")
            }
            (Place::Principal(user), DAV, "principal-URL") => principal(user),
            (Place::Principal(user), DAV, "displayname") => xml::escaped(user),
            (Place::Principal(user), CAL, "calendar-home-set") => {
                href(&format!("{ROOT}calendars/{user}/"))
            }
            (Place::Principal(user), CAL, "calendar-user-address-set")
                if self.world.quirks.addresses =>
            {
                let addresses = &self.world.users[user].addresses;
                let all = addresses
                    .iter()
                    .map(|address| format!("mailto:{address}"))
                    .chain([format!("{ROOT}principals/{user}/")]);
                all.map(|one| out.around("href", &xml::escaped(&one)))
                    .collect()
            }
            (Place::Calendar(spot), ..) => return self.of_calendar(out, spot, namespace, prop),
            (Place::Home(user), DAV, "owner") => principal(user),
            (_, DAV, "resourcetype") => out.empty("collection"),
            _ => return None,
        };
        Some(found)
    }

    fn of_calendar(
        &self,
        out: &Writer,
        spot: &Spot,
        namespace: &str,
        prop: &str,
    ) -> Option<String> {
        let collection = &self.world.collections[spot.at];
        let about = &collection.about;
        let quirks = &self.world.quirks;
        Some(match (namespace, prop) {
            (DAV, "resourcetype") if about.is_calendar => out.empty("collection") + "<C:calendar/>",
            (DAV, "resourcetype") => out.empty("collection"),
            (DAV, "displayname") => xml::escaped(about.display_name.as_ref()?),
            (DAV, "owner") => {
                let path = self.href(&format!("{ROOT}principals/{}/", about.owner));
                out.around("href", &xml::escaped(&path))
            }
            (DAV, "supported-report-set") => {
                let report = |inner: &str| {
                    let report = out.around("report", inner);
                    out.around("supported-report", &report)
                };
                let mut all = report("<C:calendar-multiget/>") + &report("<C:calendar-query/>");
                if quirks.sync_collection {
                    all += &report(&out.empty("sync-collection"));
                }
                all
            }
            (DAV, "current-user-privilege-set") if quirks.privileges => {
                let granted: &[&str] = match spot.access {
                    Access::Owner => &["all", "read", "write", "write-content", "bind", "unbind"],
                    Access::Write => &["read", "write", "write-content", "bind", "unbind"],
                    Access::Read => &["read"],
                };
                let one = |name: &&str| out.around("privilege", &out.empty(name));
                granted.iter().map(one).collect()
            }
            (DAV, "sync-token") if quirks.token_property && quirks.home_tells_changes => {
                xml::escaped(&report::token_property(self.world, spot.at))
            }
            (CS, "getctag") if quirks.home_tells_changes => collection.ctag(quirks.ctag?),
            (CAL, "supported-calendar-component-set") if about.is_calendar => about
                .components
                .iter()
                .map(|name| format!("<C:comp name=\"{name}\"/>"))
                .collect(),
            (CAL, "calendar-timezone") => out.data(about.time_zone.as_ref()?.as_bytes()),
            (CAL, "max-resource-size") => quirks.max_resource_size?.0.to_string(),
            (ICAL, "calendar-color") => xml::escaped(about.colour.as_ref()?),
            _ => return None,
        })
    }
}

/// By second, or exactly.
pub(super) fn is_by_second(how: Granularity) -> bool {
    how == Granularity::Seconds
}
