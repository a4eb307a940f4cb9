//! `sync --rewrite` on every server of the table: each link is written once, whatever the server makes of
//! it, and then there is rest.

use meetbridge::calendar::Scope;
use meetbridge::clock::Clock as _;
use meetbridge::ical::write::Location;
use meetbridge::sync::Report;

use super::fake::*;
use super::house::{Does, House, Room};

const LINKS: usize = 3;

/// A pass that rewrites, and what it leaves to be done at once.
async fn rewrite(house: &House, room: &Room) -> Report {
    house.wait(60);
    let asked = Some(house.ground.clock.now());
    let (mut scope, mut all) = (Scope::All, Report::default());
    for _ in 0..10 {
        let pass = house.bridge.pass_rewriting(&room.watched, scope, asked);
        let report = pass.await.unwrap();
        let again = report.again.clone();
        all.merge(report);
        if again.is_empty() {
            return all;
        }
        scope = Scope::Only(again);
    }
    panic!("it never comes to rest");
}

/// The stored events, unfolded.
fn texts(house: &House, room: &Room) -> Vec<String> {
    let names = house.fake.names(&room.path).into_iter();
    let bytes = names.map(|name| house.fake.get(&room.path, &name).unwrap());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    bytes.map(|b| text(b).replace("\r\n ", "")).collect()
}

#[tokio::test]
async fn a_rewrite_writes_each_link_once_on_every_server() {
    for (name, quirks) in Quirks::servers() {
        let house = House::new(quirks).await;
        let mut room = house.room("rewritten");
        for _ in 0..LINKS {
            room.act(&house.fake, Does::Create, 0);
        }
        for _ in 0..4 {
            house.pass(&house.bridge, &room.watched).await;
        }
        let puts = || {
            let requests = house.fake.requests();
            requests.iter().filter(|seen| seen.method == "PUT").count()
        };
        let before = puts();
        assert_eq!(rewrite(&house, &room).await.written, 0, "{name}: the same");
        assert_eq!(puts(), before, "{name}");

        room.watched.language = "de-DE".into();
        room.watched.location = Location::Label;
        for _ in 0..2 {
            house.pass(&house.bridge, &room.watched).await;
        }
        assert_eq!(puts(), before, "{name}: not asked for");
        let report = rewrite(&house, &room).await;
        assert_eq!((report.written, report.failed), (LINKS, 0), "{name}");
        for text in texts(&house, &room) {
            assert!(text.contains("Teilnehmen: https://"), "{name}: {text}");
            assert!(!text.contains("Join: https://"), "{name}: {text}");
            assert_eq!(text.matches("Teilnehmen: ").count(), 1, "{name}: {text}");
        }
        for _ in 0..4 {
            house.pass(&house.bridge, &room.watched).await;
        }
        assert_eq!(rewrite(&house, &room).await.written, 0, "{name}: twice");
        assert_eq!(puts(), before + LINKS, "{name}");
        room.check(&house, name);
    }
}
