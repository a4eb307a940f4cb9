//! What a calendar's meetings are set to, and what an event shows of them.

use meetbridge::simulator::{Effect, Endpoint, Fault, Match, Scripted, Spelling, Times};

use super::support::{GUEST, Setup, TITLE, World, single, unfold};

const SETTINGS: &str = "lobby = \"invited\"\nchat = \"limited\"\nparticipants = \"attendees\"\n\
                        subject = \"{calendar} meets\"";

fn world(meeting: &str) -> World {
    let world = World::new();
    world.configure(&Setup {
        meeting,
        ..Setup::default()
    });
    world
}

#[test]
fn meetings_are_set_when_they_are_made_and_when_the_configuration_changes() {
    let world = world(SETTINGS);
    let patches = || world.snapshot().requests(Endpoint::Patch);
    let held = || {
        let snapshot = world.snapshot();
        snapshot.meeting("a").unwrap().current.clone().unwrap()
    };
    world.put("a.ics", &single("a"));
    world.sync();
    assert!(world.is_linked("a.ics", "a"));
    assert_eq!(patches(), 1);
    let first = held();
    assert_eq!(first.subject.as_deref(), Some("team meets"), "not {TITLE}");
    assert_eq!(first.options["lobbyBypassSettings"]["scope"], "invited");
    assert_eq!(first.options["allowMeetingChat"], "limited");
    assert_eq!(first.options.len(), 2, "what is not configured is not sent");
    assert_eq!(first.attendees.len(), 1);
    assert_eq!(first.attendees[0]["upn"], GUEST);

    world.sync();
    assert_eq!(patches(), 1, "once");
    world.reconfigure("\"limited\"", "\"disabled\"");
    world.run(&["plan"]).says(0, &[]).shows(&["update"]);
    world.sync();
    assert_eq!(patches(), 2);
    assert_eq!(held().options["allowMeetingChat"], "disabled");
    let written = world.get("a.ics");

    // A lost state is no reason to set anything again.
    std::fs::remove_dir_all(world.path("state")).unwrap();
    world.sync();
    assert_eq!((patches(), world.asked()), (2, 1));
    world.put("a.ics", &written.replace(GUEST, "other@example.org"));
    world.sync();
    assert_eq!(patches(), 3, "participants follow the event");
    assert_eq!(held().attendees[0]["upn"], "other@example.org");
    world.reconfigure("chat = \"disabled\"\n", "");
    world.sync();
    assert_eq!(patches(), 3, "nothing is taken back");
}

#[test]
fn a_link_is_written_without_the_settings_that_are_refused() {
    for status in [400, 403] {
        let world = world(SETTINGS);
        let body = serde_json::json!({"error": {"code": "Forbidden", "message": "Not licensed."}});
        world.simulator.script(Fault {
            on: Match {
                endpoint: Some(Endpoint::Patch),
                ..Match::default()
            },
            times: Times::Forever,
            effect: Effect::Answer(Scripted {
                status,
                body: Some(body),
                retry_after: None,
            }),
        });
        for uid in ["a", "b", "c"] {
            world.put(&format!("{uid}.ics"), &single(uid));
        }
        let ended = world.sync();
        assert_eq!(ended.err.matches("settings.refused").count(), 1, "{ended}");
        for uid in ["a", "b", "c"] {
            assert!(world.is_linked(&format!("{uid}.ics"), uid));
        }
        let patches = world.snapshot().requests(Endpoint::Patch);
        world.sync();
        assert_eq!(world.snapshot().requests(Endpoint::Patch), patches);
        assert_eq!(world.asked(), 3);
    }
}

const ALL: &str = "language = \"de-DE\"\nshow = [\"meeting-id\", \"passcode\", \"toll-numbers\", \
                   \"toll-free-numbers\", \"dialin-url\", \"video-device-id\", \"chat\", \"options\"]";

/// The lines of the join block.
fn block(world: &World) -> Vec<String> {
    let text = unfold(&world.get("a.ics"));
    let line = text.lines().find(|line| line.starts_with("DESCRIPTION:"));
    let text = line.unwrap().replace("\\n", "\n").replace('\\', "");
    let fence = "_".repeat(80);
    let inside = text.split(&fence).nth(1).unwrap().trim();
    inside.lines().map(str::to_owned).collect()
}

#[test]
fn an_event_shows_all_that_graph_gives_and_nothing_else() {
    for spelling in [Spelling::Metadata, Spelling::Documentation] {
        let world = World::with(|settings| {
            settings.manners.spelling = spelling;
            settings.organizers[0].video_interop = true;
        });
        world.configure(&Setup {
            meeting: ALL,
            ..Setup::default()
        });
        world.put("a.ics", &single("a"));
        world.sync();
        let labels: Vec<_> = block(&world)
            .iter()
            .map(|line| line.split(": ").next().unwrap().to_owned())
            .collect();
        assert_eq!(
            labels,
            [
                "Microsoft Teams-Besprechung",
                "Teilnehmen",
                "Besprechungs-ID",
                "Passcode",
                "Einwahl",
                "Einwahl",
                "Einwahl (gebührenfrei)",
                "Lokale Nummer suchen",
                "Videokonferenz-ID",
                "Besprechungschat",
                "Besprechungsoptionen",
            ]
        );
        // In another language it is ours all the same.
        world.reconfigure("de-DE", "ja");
        world.run(&["plan"]).says(0, &[]).shows(&["in-step"]);
    }
    let world = World::with(|settings| {
        settings.manners.absent = [
            "joinMeetingIdSettings",
            "audioConferencing",
            "videoTeleconferenceId",
            "chatInfo",
            "meetingOptionsWebUrl",
        ]
        .map(str::to_owned)
        .to_vec();
    });
    world.configure(&Setup {
        meeting: ALL,
        ..Setup::default()
    });
    world.put("a.ics", &single("a"));
    world.sync();
    assert_eq!(block(&world).len(), 2, "title and link");
    assert!(!world.get("a.ics").contains("FEATURE=PHONE"));
}
