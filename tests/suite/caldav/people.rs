//! What people do to events that have their link, and operators who have links taken out, on every server
//! of the table.

use meetbridge::sync::Unlink;

use super::fake::*;
use super::house::{Does, House, Room};

impl House {
    fn text(&self, room: &Room) -> String {
        let names = self.fake.names(&room.path);
        let bytes = self.fake.get(&room.path, &names[0]).unwrap();
        String::from_utf8(bytes).unwrap().replace("\r\n ", "")
    }

    fn edit(&self, room: &Room, change: impl Fn(&str) -> String) {
        let name = &self.fake.names(&room.path)[0];
        let text = self.text(room);
        let changed = change(&text);
        assert_ne!(changed, text);
        self.fake.put(&room.path, name, changed);
    }

    fn puts(&self) -> usize {
        let requests = self.fake.requests();
        requests.iter().filter(|seen| seen.method == "PUT").count()
    }

    async fn passes(&self, room: &Room) {
        for _ in 0..4 {
            assert!(self.pass(&self.bridge, &room.watched).await);
        }
    }

    async fn linked(&self, name: &str) -> Room {
        let room = self.room(name);
        room.act(&self.fake, Does::Create, 0);
        self.passes(&room).await;
        assert!(self.text(&room).contains("Join: https://"), "{name}");
        self.fake.take_requests();
        room
    }
}

fn without_what_is_seen(text: &str) -> String {
    let ours = ["DESCRIPTION:", "LOCATION:", "URL:", "URL;"];
    let lines = text.split_inclusive("\r\n");
    lines
        .filter(|line| !ours.iter().any(|name| line.starts_with(name)))
        .collect()
}

fn assert_nothing_left(text: &str, label: &str) {
    let rest = text.replace("X-MEETBRIDGE-MEETING:v1.opt-out", "");
    for ours in [
        "X-MEETBRIDGE",
        "\nCONFERENCE",
        "SKYPETEAMS",
        "____",
        "Join: ",
    ] {
        assert!(!rest.contains(ours), "{label}: {ours}\n{rest}");
    }
    assert!(text.contains("COMMENT:by hand"), "{label}");
}

#[tokio::test]
async fn a_link_goes_when_a_person_says_so_and_comes_back_when_that_is_taken_back() {
    for (name, quirks) in Quirks::servers() {
        let house = House::new(quirks).await;
        let room = house.linked("tagged").await;
        let tag = "CATEGORIES:no-teams\r\nSUMMARY:";
        house.edit(&room, |text| text.replace("SUMMARY:", tag));
        house.passes(&room).await;
        assert_nothing_left(&house.text(&room), name);
        assert_eq!(house.puts(), 1, "{name}");
        house.edit(&room, |text| text.replace("CATEGORIES:no-teams\r\n", ""));
        house.passes(&room).await;
        assert!(house.text(&room).contains("Join: https://"), "{name}");
        assert_eq!(house.puts(), 2, "{name}");

        let room = house.linked("removed").await;
        let left = without_what_is_seen(&house.text(&room));
        let has_leftovers = left.contains("\nX-M") || left.contains("\nCONFERENCE");
        house.edit(&room, without_what_is_seen);
        house.passes(&room).await;
        assert_nothing_left(&house.text(&room), name);
        assert_eq!(house.puts(), usize::from(has_leftovers), "{name}");
    }
}

#[tokio::test]
async fn links_are_taken_out_when_an_operator_asks_for_it() {
    for (name, quirks) in Quirks::servers() {
        let house = House::new(quirks).await;
        for lost in [false, true] {
            let room = house.linked(&format!("all-{lost}")).await;
            let other;
            let bridge = if lost {
                other = house.other().0;
                &other
            } else {
                &house.bridge
            };
            let done = bridge.unlink(&room.watched, &Unlink::All, false).await;
            let done = done.unwrap();
            let label = format!("{name}, lost: {lost}");
            assert_eq!(
                (done.report.taken_out, done.report.failed),
                (1, 0),
                "{label}"
            );
            assert_nothing_left(&house.text(&room), &label);
            for _ in 0..3 {
                assert!(house.pass(bridge, &room.watched).await, "{label}");
            }
            let done = bridge.unlink(&room.watched, &Unlink::All, false).await;
            assert_eq!(done.unwrap().report.written, 0, "{label}");
            assert_eq!(house.puts(), 1, "{label}");
        }
        let room = house.linked("one").await;
        let what = Unlink::Event("one-1@x".into());
        let done = house
            .bridge
            .unlink(&room.watched, &what, true)
            .await
            .unwrap();
        assert_eq!((done.report.taken_out, done.ended), (1, 1), "{name}");
        house.passes(&room).await;
        // Whether the server keeps the mark or not.
        room.act(&house.fake, Does::Rename, 0);
        house.passes(&room).await;
        assert_nothing_left(&house.text(&room), name);
        assert_eq!(house.puts(), 1, "{name}");
    }
}
