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

/// Where log lines go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_certificate_near_its_end_is_logged_once_for_each_warning() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let world = world().await;
    let both = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(both.path(), format!("{CERTIFICATE}{KEY}")).unwrap();
    let graph = world.signed_in_by(SignIn::Certificate {
        certificate: file(both.path()),
        key: None,
        algorithm: CertificateAlgorithm::Ps256,
    });
    // It ends on 2126-10-30.
    let end = Utc.with_ymd_and_hms(2126, 10, 30, 16, 32, 17).unwrap();
    let warnings = || {
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.matches("graph.certificate").count()
    };
    for (days_left, expected) in [(40, 0), (29, 1), (28, 1), (6, 2), (1, 2)] {
        let left = end - world.clock.now() - TimeDelta::days(days_left);
        world.clock.pass(left.to_std().unwrap());
        graph.ensure(&wanted("a")).await.unwrap();
        assert_eq!(warnings(), expected, "{days_left}");
    }
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

/// What meetbridge does about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Asks once, and again in 15 to 30 minutes.
    Slowly,
    /// Asks once, and again in an hour.
    Rarely,
    /// Asks once, and not again with this credential.
    Never,
    /// Reads the credential again and asks a second time; then as [`Then::Slowly`].
    Twice,
    /// Asks four times within seconds, and again for the next event.
    Soon,
    /// Asks once, and again in five minutes.
    Later,
}

/// One row for each AADSTS number of graph-api.md, section 2.6: the numbers, what is done, and what
/// the person is told to look at.
const NUMBERS: &[(&[u32], Then, &str)] = &[
    (&[7_000_215], Then::Slowly, "the secret's value, not its id"),
    (&[7_000_222], Then::Slowly, "has expired; make a new one"),
    (&[7_000_218], Then::Slowly, "was shown none"),
    (
        &[700_016, 700_011, 70_001],
        Then::Slowly,
        "no such application",
    ),
    (&[7_000_112], Then::Slowly, "is disabled"),
    (&[700_025], Then::Slowly, "Allow public client flows"),
    (&[700_027], Then::Slowly, "add the certificate"),
    (&[700_024], Then::Twice, "time server"),
    (
        &[70_021, 700_211, 700_212, 700_213],
        Then::Slowly,
        "some minutes to have an effect",
    ),
    (
        &[50_012, 50_013, 500_133, 50_027],
        Then::Slowly,
        "time server",
    ),
    (&[50_034], Then::Slowly, "not in this tenant"),
    (
        &[50_057, 50_055, 50_126, 50_053],
        Then::Slowly,
        "mend the account",
    ),
    (
        &[
            50_076, 50_079, 50_158, 53_000, 53_001, 53_002, 53_003, 530_032,
        ],
        Then::Slowly,
        "conditional access",
    ),
    (
        &[65_001, 65_004, 90_094],
        Then::Slowly,
        "has to consent to what the application asks for: OnlineMeetings.ReadWrite.All, and \
         Calendars.ReadWrite where api = \"calendar-event\"",
    ),
    (
        &[70_000, 70_008, 700_082, 70_043, 50_173, 50_089, 54_005],
        Then::Never,
        "expired or was revoked",
    ),
    (
        &[
            70_011, 28_002, 700_022, 700_023, 500_011, 650_052, 650_057, 50_001,
        ],
        Then::Slowly,
        "does not know the Graph",
    ),
    (
        &[90_002, 50_059, 90_019],
        Then::Slowly,
        "there is no tenant",
    ),
    (&[90_038, 900_382, 900_432], Then::Slowly, "another cloud"),
    (&[50_196], Then::Rarely, "loop of identical requests"),
    (
        &[
            50_033, 50_087, 90_006, 90_012, 90_024, 90_033, 90_090, 90_091, 40_010, 80_005,
        ],
        Then::Soon,
        "tried again later",
    ),
    (&[90_055], Then::Later, ""),
    (
        &[90_036, 90_092, 40_008],
        Then::Slowly,
        "does not pass by itself",
    ),
];

#[tokio::test]
async fn each_number_of_entra_is_told_in_words_and_asked_about_as_often_as_it_should() {
    for (numbers, then, words) in NUMBERS {
        for number in *numbers {
            let world = World::new().await;
            let fault = Fault::next(Endpoint::Token, Effect::Aadsts(*number));
            world.simulator.script(fault.times(Times::Forever));
            let graph = world.graph();
            let error = graph.ensure(&wanted("a")).await.unwrap_err();
            match (&error, then) {
                (MeetingError::Credential(text), _) => {
                    assert!(text.contains(&format!("AADSTS{number}): ")), "{text}");
                    assert!(!text.contains("Trace ID"), "Entra's own words: {text}");
                    assert!(text.contains(words), "{number}: {text}");
                }
                (MeetingError::Transient(text), Then::Soon) => {
                    assert!(text.contains(words), "{number}: {text}");
                }
                (MeetingError::Throttled { .. }, Then::Later) => {}
                _ => panic!("{number}: {error:?}"),
            }
            // How often it was asked: at once, after so many minutes, and after so many more.
            let (first, wait, before, more, after) = match then {
                Then::Slowly => (1, 14, 1, 16, 2),
                Then::Rarely => (1, 59, 1, 1, 2),
                Then::Never => (1, 60, 1, 60 * 24 * 365, 1),
                Then::Twice => (2, 14, 2, 16, 4),
                Then::Soon => (4, 0, 8, 0, 12),
                Then::Later => (1, 4, 1, 1, 2),
            };
            assert_eq!(world.requests(Endpoint::Token), first, "{number}");
            for (minutes, requests) in [(wait, before), (more, after)] {
                world.clock.pass(Duration::from_secs(60 * minutes));
                let again = graph.ensure(&wanted("b")).await.unwrap_err();
                let found = world.requests(Endpoint::Token);
                assert_eq!(found, requests, "{number} after {minutes} min: {again:?}");
            }
        }
    }
}

#[tokio::test]
async fn each_error_of_entra_without_a_known_number_has_its_class() {
    let slowly: &[(u16, &str, &str)] = &[
        (401, "invalid_client", "check `client-id`"),
        (400, "unauthorized_client", "check `client-id`"),
        (400, "invalid_scope", "graph-url"),
        (400, "invalid_resource", "graph-url"),
        (400, "unsupported_grant_type", "authority-url"),
        (400, "invalid_request", "authority-url"),
        (400, "invalid_grant", "a person has to act"),
        (400, "interaction_required", "a person has to act"),
        (400, "consent_required", "a person has to act"),
    ];
    let answer = |status, error: &str| {
        Effect::Answer(Scripted {
            status,
            body: Some(json!({"error": error, "error_description": "private"})),
            retry_after: None,
        })
    };
    for (status, error, words) in slowly {
        let world = World::new().await;
        let fault = Fault::next(Endpoint::Token, answer(*status, error));
        world.simulator.script(fault.times(Times::Forever));
        let graph = world.graph();
        for _ in 0..3 {
            let text = refusal(graph.ensure(&wanted("a")).await.unwrap_err());
            assert!(text.contains(words) && !text.contains("private"), "{text}");
        }
        assert_eq!(world.requests(Endpoint::Token), 1, "{error}");
    }
    for effect in [
        answer(400, "temporarily_unavailable"),
        Effect::status(500),
        Effect::status(503),
        answer(429, ""),
    ] {
        let world = World::new().await;
        world.script(Endpoint::Token, effect);
        world.graph().ensure(&wanted("a")).await.unwrap();
        assert_eq!(world.requests(Endpoint::Token), 2);
    }
}
