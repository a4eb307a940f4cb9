//! The way: URL → principal → homes → calendars → their owners' addresses.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tracing::debug;
use url::Url;

use super::ask::{Failure, Finder, MAX_COLLECTIONS, There};
use super::choose::label_all;
use super::read::{self, COLLECTION, is_calendar};
use super::{Collection, Discovery, same_place};
use crate::calendar::ReadError;
use crate::calendar::caldav::connection::{Connection, DavError};
use crate::calendar::caldav::xml::{Prop, Props};

/// The most owners whose addresses are asked for.
const MAX_OWNERS: usize = 100;
/// Where RFC 6764 puts the way in.
const WELL_KNOWN: &str = "/.well-known/caldav";
/// The longest name of a server's software, in characters.
const LONGEST_PRODUCT: usize = 60;

/// Finds the calendars of the account at `url`: a server's address, a principal, a calendar home or a
/// calendar. Sends a handful of requests: two or three on the way, one for each home, one for each
/// other owner, one for what the server offers.
///
/// # Errors
/// When no calendar is found, or the way to them cannot be gone: one message that names the host and
/// what to do.
pub async fn discover(connection: &Connection, url: &Url) -> Result<Discovery, ReadError> {
    let finder = Finder { connection };
    let found = finder.discover(url).await;
    found.map_err(|failure| failure.into_read_error(&finder.host()))
}

/// What is known on the way.
struct Way {
    principal: Option<Url>,
    homes: Vec<Url>,
    addresses: BTreeSet<String>,
    collections: Vec<Collection>,
    headers: HeaderMap,
}

impl Finder<'_> {
    async fn discover(&self, url: &Url) -> Result<Discovery, Failure> {
        let bare = matches!(url.path(), "" | "/");
        let (entrance, given) = if bare {
            (self.by_well_known(url).await?, false)
        } else {
            match self.entrance(url).await {
                // What does not even know the method is no calendar that will be back.
                Err(Failure::Status(
                    StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED,
                )) => (self.by_well_known(url).await?, false),
                other => (other?, true),
            }
        };
        let mut way = Way {
            principal: entrance.principal(),
            homes: entrance.homes(),
            addresses: BTreeSet::new(),
            collections: Vec::new(),
            headers: entrance.headers.clone(),
        };
        if is_calendar(&entrance.props) {
            self.ask_principal(&mut way, &entrance).await?;
            return self.one_calendar(way, entrance).await;
        }
        if !way.homes.is_empty() && way.principal.is_none() {
            way.principal = Some(entrance.url.clone());
        }
        // What was given may be a home that is not the account's own, so it comes before those that
        // the principal names.
        if way.homes.is_empty() && (given || way.principal.is_none()) {
            match self.list(&entrance.url).await {
                Ok(found) if found.is_empty() => {}
                Ok(found) => {
                    way.homes.push(entrance.url.clone());
                    way.collections = found;
                }
                Err(failure) if failure.is_local() && way.principal.is_some() => {}
                Err(failure) => return Err(failure),
            }
        }
        self.ask_principal(&mut way, &entrance).await?;
        if way.homes.is_empty() {
            return Err(self.no_home(url, way.principal.is_some()));
        }
        if way.collections.is_empty() {
            way.collections = self.list_all(&way.homes).await?;
        }
        let found = way.collections.len();
        way.collections = read::each_once(way.collections, MAX_COLLECTIONS);
        if found > MAX_COLLECTIONS {
            debug!(
                host = self.host(),
                found, "more calendars than are looked at"
            );
        }
        label_all(&mut way.collections);
        self.complete(way).await
    }

    /// The configured URL is a calendar.
    async fn one_calendar(&self, mut way: Way, there: There) -> Result<Discovery, Failure> {
        let props = Props {
            more: Some(Box::new(there.more)),
            ..there.props
        };
        way.homes.clear();
        let collection = read::collection(&there.url, there.url.as_str(), props);
        way.collections.extend(collection);
        self.complete(way).await
    }

    /// Asks the principal how the account is addressed, and where its homes are if that is not known.
    async fn ask_principal(&self, way: &mut Way, entrance: &There) -> Result<(), Failure> {
        let needed = way.homes.is_empty() && !is_calendar(&entrance.props);
        let Some(principal) = &way.principal else {
            return Ok(());
        };
        let mut hrefs = Vec::new();
        if same_place(principal, &entrance.url) {
            hrefs.clone_from(&entrance.more.calendar_user_address_set);
        } else {
            let props = [Prop::CalendarHomeSet, Prop::CalendarUserAddressSet];
            match self.there(principal, &props).await {
                Ok(there) => {
                    if needed {
                        way.homes = there.homes();
                    }
                    hrefs = there.more.calendar_user_address_set;
                }
                Err(failure) if failure.is_local() && !needed => {}
                Err(Failure::Status(status)) => return Err(self.hidden("principal", status)),
                Err(failure) => return Err(failure),
            }
        }
        way.addresses = read::addresses(&hrefs);
        Ok(())
    }

    /// The calendars of all homes.
    async fn list_all(&self, homes: &[Url]) -> Result<Vec<Collection>, Failure> {
        let mut all = Vec::new();
        let mut refused = None;
        for home in homes {
            match self.list(home).await {
                Ok(found) => all.extend(found),
                // A home that is not shown is no reason to forget the others.
                Err(Failure::Status(status)) if status.is_client_error() => {
                    debug!(host = self.host(), status = status.as_u16(), "home refused");
                    refused = Some(self.hidden("calendar home", status));
                }
                Err(Failure::Status(status)) => return Err(self.hidden("calendar home", status)),
                Err(other) => return Err(other),
            }
        }
        match (all.is_empty(), refused) {
            (false, _) => Ok(all),
            (true, Some(refused)) => Err(refused),
            (true, None) => Err(Failure::lasting(format!(
                "{} shows no calendar to this account; make one there, or share one with it",
                self.host()
            ))),
        }
    }

    /// Adds what takes more requests: whose the calendars are, and what the server is.
    async fn complete(&self, mut way: Way) -> Result<Discovery, Failure> {
        if way.addresses.is_empty() {
            let name = self.connection.addresses_hint();
            way.addresses.extend(name.and_then(read::address));
        }
        let place = way
            .homes
            .first()
            .or(way.collections.first().map(|c| &c.url));
        if let Some(url) = place.cloned() {
            way.headers.extend(self.options(url).await?);
        }
        // Last: a server may answer 401 for what is somebody else's.
        self.owners(&mut way).await?;
        Ok(Discovery {
            host: self.host(),
            server: product(&way.headers),
            schedules: dav_classes(&way.headers).any(|class| class == "calendar-auto-schedule"),
            principal: way.principal,
            homes: way.homes,
            addresses: way.addresses,
            collections: way.collections,
        })
    }

    /// Says whose each calendar is, and how its owner is addressed.
    async fn owners(&self, way: &mut Way) -> Result<(), Failure> {
        let mut known: Vec<(Url, BTreeSet<String>)> = Vec::new();
        // Whoever is refused again and again looks like somebody who tries passwords.
        let mut refused = false;
        if let Some(principal) = &way.principal {
            known.push((principal.clone(), way.addresses.clone()));
        }
        for collection in &mut way.collections {
            let Some(owner) = &collection.owner else {
                collection.owned = true;
                collection.addresses.clone_from(&way.addresses);
                continue;
            };
            let is_principal = |principal: &Url| same_place(owner, principal);
            collection.owned = way.principal.as_ref().is_none_or(is_principal);
            let at = known.iter().position(|(url, _)| same_place(url, owner));
            collection.addresses = match at.and_then(|at| known.get(at)) {
                Some((_, addresses)) => addresses.clone(),
                None if known.len() <= MAX_OWNERS && !refused => {
                    let addresses = self.addresses_of(owner).await?;
                    refused = addresses.is_none();
                    let addresses = addresses.unwrap_or_default();
                    known.push((owner.clone(), addresses.clone()));
                    addresses
                }
                None => BTreeSet::new(),
            };
            if collection.owned && collection.addresses.is_empty() {
                collection.addresses.clone_from(&way.addresses);
            }
        }
        Ok(())
    }

    /// How a principal is addressed: nothing where the server does not tell, `None` where it refuses
    /// the account's credentials there.
    async fn addresses_of(&self, owner: &Url) -> Result<Option<BTreeSet<String>>, Failure> {
        match self.there(owner, &[Prop::CalendarUserAddressSet]).await {
            Ok(there) => Ok(Some(read::addresses(&there.more.calendar_user_address_set))),
            Err(Failure::Dav(DavError::Credentials { .. })) => Ok(None),
            Err(failure) if failure.is_local() => Ok(Some(BTreeSet::new())),
            Err(failure) => Err(failure),
        }
    }

    /// The way in for a server's address: where RFC 6764 puts it, else the root.
    async fn by_well_known(&self, url: &Url) -> Result<There, Failure> {
        let mut root = url.clone();
        root.set_query(None);
        root.set_path("/");
        let mut well_known = root.clone();
        well_known.set_path(WELL_KNOWN);
        let away = match self.entrance(&well_known).await {
            Ok(there) if there.principal().is_some() || !there.homes().is_empty() => {
                return Ok(there);
            }
            // Worth more than what the root may say: it names the site that the way leads to.
            Err(failure @ Failure::Dav(DavError::Redirect { .. })) => Some(failure),
            Err(Failure::Dav(error)) => return Err(error.into()),
            Ok(_) | Err(_) => None,
        };
        match (self.entrance(&root).await, away) {
            (Ok(there), Some(_)) if there.principal().is_some() => Ok(there),
            (_, Some(away)) => Err(away),
            (there, None) => there,
        }
    }

    /// What stands at a URL that may be anything.
    async fn entrance(&self, url: &Url) -> Result<There, Failure> {
        let mut props = COLLECTION.to_vec();
        props.extend([Prop::CalendarHomeSet, Prop::CalendarUserAddressSet]);
        self.there(url, &props).await
    }

    fn no_home(&self, url: &Url, has_principal: bool) -> Failure {
        let host = self.host();
        Failure::lasting(match (has_principal, url.path()) {
            (true, _) => format!(
                "{host} names no calendar home for this account; enable calendars for it on the \
                 server, or set `url` to the address of the calendar"
            ),
            (false, "" | "/") => format!(
                "{host} does not say where this account's calendars are; set `url` to the address \
                 of the calendar, as other calendar programs use it"
            ),
            (false, _) => format!(
                "{host} has neither a calendar nor the way to one at the configured address; \
                 correct `url`, or give the server's own address and let the calendars be found"
            ),
        })
    }

    /// What the server itself names is not there for this account.
    fn hidden(&self, what: &str, status: StatusCode) -> Failure {
        let host = self.host();
        match status.is_server_error() {
            true => Failure::Status(status),
            false => Failure::lasting(format!(
                "{host} names a {what} for this account and does not show it ({status}); check the \
                 account on the server, or set `url` to the address of the calendar"
            )),
        }
    }
}

/// The compliance classes of the DAV headers (RFC 4918, 10.1).
fn dav_classes(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all("dav").iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// What the server calls itself. A header of its own says more than `Server`, which often names what
/// stands before it.
fn product(headers: &HeaderMap) -> String {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let named = |name: &str, version: Option<&str>| version.map(|v| format!("{name} {v}"));
    let nextcloud = dav_classes(headers).any(|class| class.starts_with("nextcloud-"));
    let product = named("DAViCal", header("x-davical-version"))
        .or_else(|| nextcloud.then(|| "Nextcloud".to_owned()))
        .or_else(|| named("sabre/dav", header("x-sabre-version")))
        .or_else(|| header("server").map(str::to_owned))
        .unwrap_or_default();
    let shown = product.chars().filter(|c| matches!(c, ' '..='~'));
    shown.take(LONGEST_PRODUCT).collect()
}
