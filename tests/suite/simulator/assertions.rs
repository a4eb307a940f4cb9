//! Client assertions: signed by a registered certificate, or issued by another identity provider.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use meetbridge::simulator::{
    CLIENT_ID, Certificate, Federated, FederatedCodes, Settings, Simulator, TENANT, TENANT_DOMAIN,
    Verdict,
};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use serde_json::{Value, json};

use super::client::{Answer, Client, clock};

/// 2026-11-01T08:00:00Z, where the clock stands.
const NOW: i64 = 1_793_520_000;
const ISSUER: &str = "https://issuer.example";
const SUBJECT: &str = "system:serviceaccount:meetbridge:meetbridge";
const AUDIENCE: &str = "api://AzureADTokenExchange";

fn pem(text: &str) -> Vec<u8> {
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    BASE64.decode(lines.collect::<String>().as_bytes()).unwrap()
}

/// A certificate with its key.
struct Pair {
    certificate: Vec<u8>,
    key: RsaKeyPair,
}

impl Pair {
    fn registered() -> Self {
        Self::new(
            include_str!("keys/registered.certificate.pem"),
            include_str!("keys/registered.key.pem"),
        )
    }

    fn stranger() -> Self {
        Self::new(
            include_str!("keys/stranger.certificate.pem"),
            include_str!("keys/stranger.key.pem"),
        )
    }

    fn new(certificate: &str, key: &str) -> Self {
        Self {
            certificate: pem(certificate),
            key: RsaKeyPair::from_pkcs8(&pem(key)).unwrap(),
        }
    }

    fn sha256(&self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.certificate);
        BASE64URL_NOPAD.encode(digest.as_ref())
    }

    fn sha1(&self) -> String {
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.certificate);
        BASE64URL_NOPAD.encode(digest.as_ref())
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |json: &Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let text = format!("{}.{}", part(header), part(claims));
        let encoding: &dyn RsaEncoding = match header["alg"].as_str() {
            Some("PS256") => &RSA_PSS_SHA256,
            _ => &RSA_PKCS1_SHA256,
        };
        let mut signature = vec![0; self.key.public().modulus_len()];
        let random = SystemRandom::new();
        let signed = self
            .key
            .sign(encoding, &random, text.as_bytes(), &mut signature);
        signed.unwrap();
        format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))
    }
}

async fn start(change: impl FnOnce(&mut Settings)) -> (Simulator, Client) {
    let mut settings = Settings::new(clock());
    settings.app.certificates.push(Certificate {
        der: Pair::registered().certificate,
        expired: false,
    });
    settings.app.federated.push(Federated {
        issuer: ISSUER.into(),
        subject: SUBJECT.into(),
        audience: AUDIENCE.into(),
        certificate: Pair::stranger().certificate,
    });
    change(&mut settings);
    let simulator = Simulator::start(settings).await.unwrap();
    let client = Client::new(&simulator);
    (simulator, client)
}

async fn present(simulator: &Simulator, client: &Client, assertion: &str) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", &format!("{}/.default", simulator.graph_url())),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion),
    ];
    client.grant(TENANT, &form).await
}

fn claims(simulator: &Simulator, jti: &str) -> Value {
    let aud = format!("{}/{TENANT}/oauth2/v2.0/token", simulator.authority_url());
    json!({"aud": aud, "iss": CLIENT_ID, "sub": CLIENT_ID, "jti": jti,
           "nbf": NOW, "iat": NOW, "exp": NOW + 300})
}

#[tokio::test]
async fn a_certificate_signs_an_assertion_in_each_documented_way() {
    let (simulator, client) = start(|_| {}).await;
    let pair = Pair::registered();
    let (new, old) = (pair.sha256(), pair.sha1());
    for (nth, header) in [
        json!({"alg": "PS256", "typ": "JWT", "x5t#S256": new}),
        json!({"alg": "RS256", "typ": "JWT", "x5t": old}),
        json!({"alg": "PS256", "typ": "JWT", "x5t#S256": new, "x5t": old}),
    ]
    .iter()
    .enumerate()
    {
        let jwt = pair.sign(header, &claims(&simulator, &nth.to_string()));
        let answer = present(&simulator, &client, &jwt).await.expect(200);
        assert_eq!(answer.body.get("refresh_token"), None, "{header}");
        let by_old = nth == 1;
        simulator.change(|settings| settings.entra.old_assertions = Verdict::Refused);
        let jwt = pair.sign(header, &claims(&simulator, &format!("{nth} again")));
        let answer = present(&simulator, &client, &jwt).await;
        assert_eq!(answer.status == 401, by_old, "{header}: {}", answer.raw);
        simulator.change(|settings| settings.entra.old_assertions = Verdict::Taken);
    }
    let mut by_domain = claims(&simulator, "by domain");
    let base = simulator.authority_url();
    by_domain["aud"] = format!("{base}/{TENANT_DOMAIN}/oauth2/v2.0/token").into();
    let jwt = pair.sign(&json!({"alg": "PS256", "x5t#S256": new}), &by_domain);
    present(&simulator, &client, &jwt).await.expect(200);
}

#[tokio::test]
async fn an_assertion_that_is_not_as_it_should_be_is_refused_with_its_number() {
    let (simulator, client) = start(|_| {}).await;
    let (pair, stranger) = (Pair::registered(), Pair::stranger());
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": pair.sha256()});
    let with = |jti: &str, name: &str, value: Value| {
        let mut claims = claims(&simulator, jti);
        claims[name] = value;
        pair.sign(&header, &claims)
    };
    let fresh = |jti: &str| claims(&simulator, jti);
    let elsewhere = "https://login.microsoftonline.com/x/oauth2/v2.0/token";
    let hash = json!({"alg": "HS256", "x5t#S256": pair.sha256()});
    let bare = json!({"alg": "PS256"});
    let both = json!({"alg": "PS256", "x5t#S256": pair.sha256(), "x5t": stranger.sha1()});
    let good = with("good", "extra", json!(1));
    let changed = {
        let (rest, signature) = good.rsplit_once('.').unwrap();
        let header = rest.split('.').next().unwrap();
        let claims = BASE64URL_NOPAD.encode(fresh("other").to_string().as_bytes());
        format!("{header}.{claims}.{signature}")
    };
    let mut no_exp = fresh("x");
    no_exp.as_object_mut().unwrap().remove("exp");
    #[rustfmt::skip]
    let cases = [
        ("good", good.clone(), 0),
        ("jti repeated", good, 50013),
        ("claims changed", changed, 700027),
        ("key of another", stranger.sign(&header, &fresh("a")), 700027),
        ("thumbprint of another", pair.sign(&json!({"alg": "PS256", "x5t#S256": stranger.sha256()}), &fresh("b")), 700027),
        ("certificate of another", stranger.sign(&json!({"alg": "PS256", "x5t#S256": stranger.sha256()}), &fresh("c")), 700027),
        ("thumbprints that disagree", pair.sign(&both, &fresh("d")), 700027),
        ("no thumbprint", pair.sign(&bare, &fresh("e")), 700027),
        ("algorithm without a key pair", pair.sign(&hash, &fresh("f")), 700027),
        ("another audience", with("g", "aud", elsewhere.into()), 50012),
        ("another subject", with("h", "sub", TENANT.into()), 50013),
        ("expired", with("i", "exp", NOW.into()), 700024),
        ("not yet", with("j", "nbf", (NOW + 1).into()), 700024),
        ("without an end", pair.sign(&header, &no_exp), 50027),
        ("empty jti", with("", "iat", NOW.into()), 50027),
        ("no JWT", "a.b".to_owned(), 50027),
    ];
    for (what, assertion, code) in cases {
        let answer = present(&simulator, &client, &assertion).await;
        if code == 0 {
            answer.expect(200);
            continue;
        }
        assert_eq!(answer.body["error"], "invalid_client", "{what}: {answer:?}");
        assert_eq!(answer.body["error_codes"], json!([code]), "{what}");
    }
    simulator.change(|settings| settings.app.certificates[0].expired = true);
    let answer = present(&simulator, &client, &with("k", "iat", NOW.into())).await;
    assert_eq!(answer.expect(401).body["error_codes"], json!([700027]));
}

#[tokio::test]
async fn a_federated_token_counts_where_it_is_registered() {
    let (simulator, client) = start(|_| {}).await;
    let (issuer, other) = (Pair::stranger(), Pair::registered());
    let header = json!({"alg": "RS256", "kid": "1"});
    let good = json!({"iss": ISSUER, "sub": SUBJECT, "aud": AUDIENCE, "exp": NOW + 600});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        issuer.sign(&header, &claims)
    };
    let token = issuer.sign(&header, &good);
    for _ in 0..2 {
        // The file holds it until it is rotated, so it is presented again.
        present(&simulator, &client, &token).await.expect(200);
    }
    let cases = [
        (with("iss", "https://else.example".into()), 70021, 700211),
        (with("aud", "api://else".into()), 70021, 700212),
        (with("sub", "someone".into()), 70021, 700213),
        (with("exp", NOW.into()), 700024, 700024),
        (other.sign(&header, &good), 50013, 50013),
    ];
    for codes in [FederatedCodes::One, FederatedCodes::Three] {
        simulator.change(|settings| settings.entra.federated = codes);
        for (token, one, three) in &cases {
            let answer = present(&simulator, &client, token).await.expect(401);
            let code = match codes {
                FederatedCodes::One => one,
                FederatedCodes::Three => three,
            };
            assert_eq!(answer.body["error_codes"], json!([code]), "{}", answer.raw);
        }
    }
}
