//! The handle, the control paths, and what the simulator keeps away from.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use meetbridge::simulator::{
    CLIENT_SECRET, Effect, Endpoint, Fault, ORGANIZER, Settings, Simulator, serve,
};

use super::client::{clock, start, start_with};
use super::{KEY, create_or_get, one, planning};

#[tokio::test]
async fn it_listens_on_loopback_only() {
    for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "[2001:db8::1]:0"] {
        let mut settings = Settings::new(clock());
        settings.listen = address.parse::<SocketAddr>().unwrap();
        let refused = Simulator::start(settings).await.err().expect(address);
        assert_eq!(
            refused.kind(),
            std::io::ErrorKind::InvalidInput,
            "{address}"
        );
        assert!(refused.to_string().contains("use 127.0.0.1"), "{refused}");
    }
}

#[tokio::test]
async fn it_is_steered_over_http_too() {
    let (simulator, client) = start(|_| {}).await;
    let path = create_or_get(ORGANIZER);
    let fault = r#"{"on":{"endpoint":"createOrGet"},"effect":{"answer":{"status":429,"retryAfter":{"seconds":3}}}}"#;
    let faults = format!("[{fault},{fault}]");
    for body in [fault, faults.as_str()] {
        let json = "application/json";
        client
            .raw("POST", "/_simulator/faults", Some(body.into()), json)
            .await
            .expect(200);
    }
    for status in [429, 429, 429, 201] {
        client.post(&path, &planning()).await.expect(status);
    }
    let wrong = r#"{"effect":"explode"}"#;
    let answer = client
        .raw(
            "POST",
            "/_simulator/faults",
            Some(wrong.into()),
            "application/json",
        )
        .await;
    assert!(answer.expect(400).raw.contains("explode"));

    let state = client
        .send_unchecked(client.request("GET", "/_simulator/state", None))
        .await;
    let state = state.expect(200).body;
    assert_eq!(state, simulator.dump());
    assert_eq!(state["requests"]["createOrGet"], 4);
    assert_eq!(state["answers"]["429"], 3);
    assert_eq!(state["insideRetryAfter"], 3);
    assert_eq!(state["meetings"][0]["externalId"], KEY);
    assert_eq!(state["meetings"][0]["calls"]["createOrGet"], 1);
    client
        .raw("POST", "/_simulator/reset", None, "")
        .await
        .expect(204);
    assert_eq!(simulator.snapshot().meetings.len(), 0);
    client.post(&path, &planning()).await.expect(401);
}

#[tokio::test]
async fn stopping_it_or_dropping_it_closes_every_connection() {
    for explicit in [true, false] {
        let clock = clock();
        let (simulator, client) = start_with(Arc::clone(&clock), |_| {}).await;
        simulator.script(Fault::next(Endpoint::Get, Effect::Delay(3_600_000)));
        let request = client.request("GET", &one(ORGANIZER, "x"), None);
        let waiting = tokio::spawn(request.send());
        clock.sleepers(1).await;
        match explicit {
            true => simulator.stop().await,
            false => drop(simulator),
        }
        assert!(waiting.await.unwrap().is_err());
        assert!(client.request("GET", "/", None).send().await.is_err());
    }
}

#[tokio::test]
async fn serve_tells_how_to_use_it_and_ends_when_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut told = String::new();
    let ready = |simulator: &Simulator| {
        let secret = simulator.write_secret(directory.path())?;
        told = simulator.graph_toml(&secret);
        Ok(())
    };
    serve(Settings::new(clock()), ready, async {})
        .await
        .unwrap();
    let parsed: toml::Table = told.parse().unwrap();
    let graph = parsed["graph"].as_table().unwrap();
    let keys: Vec<_> = graph.keys().map(String::as_str).collect();
    let expected = [
        "authority-url",
        "client-id",
        "client-secret-file",
        "graph-url",
        "tenant",
    ];
    assert_eq!(
        {
            let mut keys = keys;
            keys.sort_unstable();
            keys
        },
        expected
    );
    assert!(
        graph["graph-url"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1:")
    );
    assert!(
        !told.contains(CLIENT_SECRET),
        "the secret is in its file only"
    );
    let path = graph["client-secret-file"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), CLIENT_SECRET);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(told.contains(ORGANIZER), "{told}");
}

#[test]
fn it_and_the_client_know_nothing_of_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut sources, mut directories) = (Vec::new(), vec![root.clone()]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false => sources.push(path),
            }
        }
    }
    let mut of_simulator = 0;
    for path in sources {
        let inside = path.strip_prefix(&root).unwrap();
        let top = inside
            .components()
            .next()
            .and_then(|top| top.as_os_str().to_str());
        let forbidden = match top {
            Some("simulator") => {
                of_simulator += 1;
                "meeting"
            }
            Some("cli" | "lib.rs" | "main.rs") => continue,
            _ => "simulator",
        };
        let source = std::fs::read_to_string(&path).unwrap();
        let code = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let code = code.collect::<Vec<_>>().join(" ");
        for (at, _) in code
            .match_indices("crate::")
            .chain(code.match_indices("super::super::"))
        {
            let statement = code[at..].split(';').next().unwrap_or_default();
            let path_or_use = match statement.starts_with("crate::{") {
                true => statement,
                false => statement
                    .split([' ', '(', ')', '<', '>', ','])
                    .next()
                    .unwrap_or_default(),
            };
            let mut words = path_or_use.split(|c: char| !c.is_alphanumeric() && c != '_');
            assert!(
                words.all(|word| word != forbidden),
                "{}: {path_or_use}",
                path.display()
            );
        }
    }
    assert!(
        of_simulator >= 10,
        "the sources were looked for in the wrong place"
    );
}
