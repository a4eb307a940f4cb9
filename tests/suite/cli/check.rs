//! `meetbridge check` without the network: what it tries, and that it leaves no trace.

use std::os::unix::fs::{PermissionsExt as _, chown};

use super::support::{World, contents, single};

#[test]
fn check_tries_whether_a_file_can_be_replaced() {
    let world = World::new();
    world.put("a.ics", &single("a@example.org"));
    world.put("b.ics", &single("b@example.org"));
    world.run(&["check"]).shows(&["in order"]);
    std::fs::hard_link(world.path("team/b.ics"), world.path("other.ics")).unwrap();
    let before = contents(&world.path("team"));
    let modified = |world: &World| {
        world
            .path("team/a.ics")
            .metadata()
            .unwrap()
            .modified()
            .unwrap()
    };
    let at = modified(&world);
    // One of each kind is enough.
    std::fs::set_permissions(
        world.path("team/b.ics"),
        std::fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    let ended = world.run(&["check"]);
    assert_eq!(ended.code, Some(1), "{ended}");
    ended.shows(&[
        "error: calendar team: ",
        "team/b.ics: has several hard links",
    ]);
    assert_eq!(ended.out.matches("error: ").count(), 1, "{ended}");
    assert_eq!(contents(&world.path("team")), before);
    assert_eq!(modified(&world), at, "nothing is replaced");
}

#[test]
fn check_tells_the_owner_that_cannot_be_kept() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.put(
            &format!("{name}.ics"),
            &single(&format!("{name}@example.org")),
        );
    }
    world.become_plain();
    // Only root gives files away; for anybody else there is nothing to be told.
    let gives = ["a", "b"].map(|name| {
        let path = world.path(&format!("team/{name}.ics"));
        let mode = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&path, mode).unwrap();
        chown(path, Some(12345), None).is_ok()
    });
    let before = contents(&world.path("team"));
    let ended = world.run(&["check"]);
    if gives == [true, true] {
        assert_eq!(ended.code, Some(1), "{ended}");
        ended.shows(&["its owner and group cannot be kept", "User="]);
        let told = ended.out.matches("cannot be kept").count();
        assert_eq!(told, 1, "one file stands for its kind: {ended}");
    } else {
        assert_eq!(ended.code, Some(0), "{ended}");
    }
    assert_eq!(contents(&world.path("team")), before);
}

#[test]
fn check_in_a_service_finds_a_credential_that_was_not_passed() {
    let mut world = World::new();
    let passed = world.path("credentials");
    std::fs::create_dir(&passed).unwrap();
    world.set("CREDENTIALS_DIRECTORY", passed.to_str().unwrap());
    let file = format!(
        "client-secret-file = \"{}\"",
        world.path("graph-secret").display()
    );
    world.reconfigure(
        &file,
        "client-secret-credential = \"meetbridge-test-secret\"",
    );
    let ended = world.run(&["check"]);
    assert_eq!(ended.code, Some(1), "{ended}");
    ended.shows(&[
        "error: this service lacks the credential `meetbridge-test-secret`",
        "    LoadCredential=meetbridge-test-secret",
    ]);
    std::fs::copy(
        world.path("graph-secret"),
        passed.join("meetbridge-test-secret"),
    )
    .unwrap();
    world.run(&["check"]).shows(&["in order"]);
}

#[test]
fn a_secret_that_everybody_can_use_is_refused_and_one_of_a_group_is_not() {
    let world = World::new();
    let secret = world.path("graph-secret");
    let mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&secret, mode).unwrap();
    };
    mode(0o644);
    let hint = format!("chmod 0600 {}", secret.display());
    for command in ["check", "run", "sync", "status"] {
        let told = ["client-secret-file", "has mode 0644: everybody", &hint];
        world.run(&[command]).says(78, &told);
    }
    assert_eq!(world.asked(), 0);
    mode(0o640);
    world.run(&["check"]).says(0, &[]);
}
