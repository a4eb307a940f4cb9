//! The ways to sign in, and what becomes of each refusal, against the simulated Entra.

use std::path::Path;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use meetbridge::meeting::graph::CertificateAlgorithm;
use meetbridge::simulator::{self, Federated, Verdict};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use serde_json::json;

use super::*;

const CERTIFICATE: &str = include_str!("../simulator/keys/registered.certificate.pem");
const KEY: &str = include_str!("../simulator/keys/registered.key.pem");
const STRANGER: &str = include_str!("../simulator/keys/stranger.certificate.pem");
const STRANGERS_KEY: &str = include_str!("../simulator/keys/stranger.key.pem");
/// What the identity provider's tokens say of themselves.
const ISSUER: &str = "https://issuer.example";
const SUBJECT: &str = "system:serviceaccount:meetbridge:meetbridge";
const AUDIENCE: &str = "api://AzureADTokenExchange";

fn der(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    BASE64.decode(lines.collect::<String>().as_bytes()).unwrap()
}

/// An application without a secret that counts, with a certificate and a federated credential.
async fn world() -> World {
    World::with(|settings| {
        settings.app.client_secret = "unused".into();
        settings.app.certificates.push(simulator::Certificate {
            der: der(CERTIFICATE),
            expired: false,
        });
        settings.app.federated.push(Federated {
            issuer: ISSUER.into(),
            subject: SUBJECT.into(),
            audience: AUDIENCE.into(),
            certificate: der(STRANGER),
        });
    })
    .await
}

fn file(path: &Path) -> SecretSource {
    SecretSource::File(path.to_owned())
}

impl World {
    fn signed_in_by(&self, sign_in: SignIn) -> GraphMeetings {
        let settings = GraphSettings {
            sign_in,
            ..self.settings()
        };
        let (clock, random) = (self.clock.clone(), self.random.clone());
        GraphMeetings::new(settings, client(), self.windows(), clock, random)
    }

    /// A token of the identity provider that holds so many seconds from now on.
    fn federated_token(&self, subject: &str, seconds: i64) -> String {
        let now = self.clock.now().timestamp();
        let claims = json!({"iss": ISSUER, "sub": subject, "aud": AUDIENCE,
                            "nbf": now - 3600, "exp": now + seconds});
        let part = |json: &serde_json::Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let text = format!("{}.{}", part(&json!({"alg": "PS256"})), part(&claims));
        let key = RsaKeyPair::from_pkcs8(&der(STRANGERS_KEY)).unwrap();
        let mut signature = vec![0; key.public().modulus_len()];
        let random = SystemRandom::new();
        key.sign(&RSA_PSS_SHA256, &random, text.as_bytes(), &mut signature)
            .unwrap();
        format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))
    }
}

fn refusal(error: MeetingError) -> String {
    match error {
        MeetingError::Credential(text) => text,
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_certificate_signs_in_by_either_algorithm_and_with_its_key_anywhere() {
    let world = world().await;
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("c"), folder.path().join("k"));
    let both = folder.path().join("both");
    std::fs::write(&certificate, CERTIFICATE).unwrap();
    std::fs::write(&key, KEY).unwrap();
    std::fs::write(&both, format!("{KEY}{CERTIFICATE}")).unwrap();
    let way = |certificate: &Path, key: Option<&Path>, algorithm| SignIn::Certificate {
        certificate: file(certificate),
        key: key.map(file),
        algorithm,
    };
    let (new, old) = (CertificateAlgorithm::Ps256, CertificateAlgorithm::Rs256);
    for sign_in in [
        way(&certificate, Some(&key), new),
        way(&both, None, new),
        way(&both, None, old),
    ] {
        let graph = world.signed_in_by(sign_in);
        // Each token is had with an assertion of its own: the simulator takes none twice.
        for event in ["a", "b"] {
            graph.ensure(&wanted(event)).await.unwrap();
            world.clock.pass(Duration::from_secs(3600));
        }
    }
    assert_eq!(world.requests(Endpoint::Token), 6);

    let refused = |settings: &mut Settings| settings.entra.old_assertions = Verdict::Refused;
    world.simulator.change(refused);
    world
        .signed_in_by(way(&both, None, new))
        .ensure(&wanted("a"))
        .await
        .unwrap();
    let graph = world.signed_in_by(way(&both, None, old));
    let text = refusal(graph.ensure(&wanted("a")).await.unwrap_err());
    assert!(
        text.contains("AADSTS700027") && text.contains("certificate-algorithm"),
        "{text}"
    );
}

#[tokio::test]
async fn a_certificate_past_its_end_asks_nobody_until_another_one_is_there() {
    let world = world().await;
    let both = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(both.path(), format!("{CERTIFICATE}{KEY}")).unwrap();
    let graph = world.signed_in_by(SignIn::Certificate {
        certificate: file(both.path()),
        key: None,
        algorithm: CertificateAlgorithm::Ps256,
    });
    graph.ensure(&wanted("a")).await.unwrap();
    let century = Duration::from_secs(101 * 365 * 86_400);
    world.clock.pass(century);
    for _ in 0..3 {
        let text = refusal(graph.ensure(&wanted("b")).await.unwrap_err());
        assert!(text.contains("expired on 2126-10-30"), "{text}");
        assert!(text.contains(both.path().to_str().unwrap()), "{text}");
    }
    assert_eq!(world.requests(Endpoint::Token), 1);

    std::fs::write(both.path(), format!("{STRANGER}{KEY}")).unwrap();
    world.clock.pass(Duration::from_secs(30));
    let text = refusal(graph.ensure(&wanted("b")).await.unwrap_err());
    assert!(text.contains("does not belong"), "{text}");
    assert_eq!(world.requests(Endpoint::Token), 1);
}

#[tokio::test]
async fn a_federated_token_is_read_anew_for_each_request() {
    let world = world().await;
    let token = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(token.path(), text).unwrap();
    let graph = world.signed_in_by(SignIn::FederatedToken(file(token.path())));
    for event in ["a", "b"] {
        write(&format!("{}\n", world.federated_token(SUBJECT, 600)));
        graph.ensure(&wanted(event)).await.unwrap();
        world.clock.pass(Duration::from_secs(3600));
    }
    assert_eq!(world.requests(Endpoint::Token), 2);

    // A stale one is read and tried once more; then it waits for another one.
    let text = refusal(graph.ensure(&wanted("c")).await.unwrap_err());
    assert!(
        text.contains("AADSTS700024") && text.contains(token.path().to_str().unwrap()),
        "{text}"
    );
    assert_eq!(world.requests(Endpoint::Token), 4);
    refusal(graph.ensure(&wanted("c")).await.unwrap_err());
    assert_eq!(world.requests(Endpoint::Token), 4);
    write(&world.federated_token(SUBJECT, 600));
    world.clock.pass(Duration::from_secs(30));
    graph.ensure(&wanted("c")).await.unwrap();
    assert_eq!(world.requests(Endpoint::Token), 5);

    // One that was replaced while it was being tried is taken at the second reading.
    world.clock.pass(Duration::from_secs(3600));
    write(&world.federated_token(SUBJECT, 600));
    world.script(Endpoint::Token, Effect::Aadsts(700_024));
    graph.ensure(&wanted("d")).await.unwrap();
    assert_eq!(world.requests(Endpoint::Token), 7);

    world.clock.pass(Duration::from_secs(3600));
    write(&world.federated_token("somebody else", 600));
    let text = refusal(graph.ensure(&wanted("e")).await.unwrap_err());
    assert!(
        text.contains("AADSTS70021") && text.contains("issuer"),
        "{text}"
    );
}
