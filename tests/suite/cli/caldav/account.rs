//! An account with many calendars.

use super::super::support::{World, wait_until};
use super::configure;
use crate::servers::event;
use crate::servers::harness::{ALICE, Kind, Raw, Server, Tap};

/// The calendars of the account.
const CALENDARS: usize = 50;
/// So many polls are counted.
const POLLS: usize = 4;

/// What 50 calendars cost in which nothing happens, and that a change in one is found.
fn fifty(kind: Kind) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = Server::start(kind);
    let raw = Raw::new(ALICE);
    let urls: Vec<_> = runtime.block_on(async {
        let mut urls = Vec::new();
        for n in 0..CALENDARS {
            urls.push(
                raw.make_calendar(&server, &format!("c{n}"), &format!("Calendar {n}"))
                    .await,
            );
        }
        urls
    });
    let (world, tap) = (World::new(), Tap::new(&server));
    configure(&world, kind, &tap, "");
    let mut daemon = world.start(&["run"]);
    let passes = |log: &str| log.matches("calendar.pass").count();
    wait_until("the first passes", || passes(&daemon.log()) >= CALENDARS);

    let home = server.home_url(ALICE).replace(&server.url(), "/");
    let is_look = |(method, path): &(String, String)| method == "PROPFIND" && *path == home;
    // Each calendar is looked at once more after its first pass.
    wait_until("polls that ask for nothing else", || {
        tap.seen()
            .rsplit(|request| !is_look(request))
            .next()
            .unwrap()
            .len()
            >= 3
    });
    let begun = tap.seen().len();
    let looks = || {
        tap.seen()
            .split_off(begun)
            .into_iter()
            .filter(&is_look)
            .count()
    };
    wait_until("more polls", || looks() > POLLS);
    let seen = tap.seen().split_off(begun);
    assert!(seen.len() <= 2 * looks(), "{seen:#?}");

    runtime.block_on(raw.put(&format!("{}a.ics", urls[7]), event("a@fifty")));
    let changed = urls[7].replace(&server.url(), "/");
    let begun = tap.seen().len();
    wait_until("the change to be found", || {
        let seen = tap.seen();
        seen[begun..]
            .iter()
            .any(|(method, path)| method != "PROPFIND" && path.starts_with(&changed))
    });
    let others = tap.seen().split_off(begun);
    let others = others
        .iter()
        .filter(|(_, path)| !path.starts_with(&changed) && *path != home);
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    assert!(!daemon.has_ended());
}

#[test]
fn an_account_of_fifty_calendars_costs_two_requests_a_poll_on_radicale() {
    fifty(Kind::Radicale);
}

#[test]
fn an_account_of_fifty_calendars_costs_two_requests_a_poll_on_xandikos() {
    fifty(Kind::Xandikos);
}
