//! What a simulated service knows from the start: tenants, an application, organizers, manners.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;

/// The default tenant's directory id.
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
/// The default tenant's domain name, accepted in the token path like its id.
pub const TENANT_DOMAIN: &str = "simulator.example";
/// The default application's client id.
pub const CLIENT_ID: &str = "00000000-1111-4222-8333-000000000001";
/// The default application's secret. It opens nothing but a simulator.
pub const CLIENT_SECRET: &str = "simulator~secret/with+signs=1";
/// The default organizer, who has an access policy and a dial-in licence.
pub const ORGANIZER: &str = "aaaaaaaa-bbbb-4ccc-8ddd-000000000001";
/// A default organizer with an access policy, but without a dial-in licence.
pub const ORGANIZER_WITHOUT_DIAL_IN: &str = "aaaaaaaa-bbbb-4ccc-8ddd-000000000002";
/// A default organizer to whom no application access policy applies.
pub const ORGANIZER_WITHOUT_POLICY: &str = "aaaaaaaa-bbbb-4ccc-8ddd-000000000003";

/// Everything that can be chosen of a simulator.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen: a loopback address; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The time by which tokens and meetings expire, and by which latency passes.
    pub clock: Arc<dyn Clock>,
    /// The tenants that the token endpoint knows.
    pub tenants: Vec<Tenant>,
    /// The registered application, known in every tenant.
    pub app: App,
    /// The users who can own meetings.
    pub organizers: Vec<Organizer>,
    /// How long each request takes, at least.
    pub latency: Duration,
    /// Which shape join URLs have.
    pub url_shape: UrlShape,
    /// What createOrGet does with the other parameters when the meeting exists.
    pub existing: Existing,
    /// How long an access token lasts, in whole seconds.
    pub token_lifetime: Duration,
    /// How long after an answer with `Retry-After` a request still counts as sent before that answer
    /// was read. Zero judges strictly; a client with calls in flight on a real clock needs some.
    pub window_grace: Duration,
    /// Everything invented (ids, URLs, numbers) follows from this and the meeting's key.
    pub seed: u64,
}

impl Settings {
    /// One tenant, one application and three organizers (see the constants beside this type), no
    /// latency, long join URLs, on a free port of 127.0.0.1.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let organizer = |id: &str, name: &str| Organizer {
            id: id.to_owned(),
            tenant: TENANT.to_owned(),
            upn: format!("{name}@{TENANT_DOMAIN}"),
            policy: Policy::Granted,
            dial_in: true,
            video_interop: false,
        };
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clock,
            tenants: vec![Tenant {
                id: TENANT.to_owned(),
                domain: TENANT_DOMAIN.to_owned(),
            }],
            app: App {
                client_id: CLIENT_ID.to_owned(),
                client_secret: CLIENT_SECRET.to_owned(),
                secret_expired: false,
            },
            organizers: vec![
                organizer(ORGANIZER, "organizer"),
                Organizer {
                    dial_in: false,
                    ..organizer(ORGANIZER_WITHOUT_DIAL_IN, "no-dial-in")
                },
                Organizer {
                    policy: Policy::Missing(Refused::Forbidden),
                    ..organizer(ORGANIZER_WITHOUT_POLICY, "no-policy")
                },
            ],
            latency: Duration::ZERO,
            url_shape: UrlShape::Long,
            existing: Existing::Ignore,
            token_lifetime: Duration::from_secs(3599),
            window_grace: Duration::ZERO,
            seed: 1,
        }
    }
}

/// A directory of users.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Directory id, a GUID.
    pub id: String,
    /// A domain name of it.
    pub domain: String,
}

/// A registered application.
#[derive(Clone)]
pub struct App {
    /// Application (client) id, a GUID.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Whether the secret has run out (AADSTS7000222).
    pub secret_expired: bool,
}

/// A user who can own meetings.
#[derive(Clone, Debug)]
pub struct Organizer {
    /// Object id, a GUID.
    pub id: String,
    /// The directory id of the tenant the user belongs to.
    pub tenant: String,
    /// User principal name, as it stands in answers.
    pub upn: String,
    /// Whether an application access policy lets the application act for this user.
    pub policy: Policy,
    /// Whether the user has an Audio Conferencing licence.
    pub dial_in: bool,
    /// Whether the tenant has Cloud Video Interop, which gives a `videoTeleconferenceId`.
    pub video_interop: bool,
}

/// Whether the application may act for an organizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// A policy applies.
    Granted,
    /// No policy applies; the answer is 403 in this form.
    Missing(Refused),
}

/// The forms in which a 403 for a missing access policy has been seen (graph-api.md, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Code `Forbidden`, the documented form.
    Forbidden,
    /// Code `General`, the same message.
    General,
    /// Code `Unauthorized`, "App ... is not authorized to ...", the older form.
    Unauthorized,
    /// An empty code and a message without the word policy.
    EmptyCode,
}

/// The two shapes of join URLs (graph-api.md, section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlShape {
    /// `https://teams.microsoft.com/l/meetup-join/...`
    Long,
    /// `https://teams.microsoft.com/meet/{digits}?p=...`; the filter still answers the long one.
    Short,
}

/// What createOrGet does to a meeting that exists: undocumented, so both can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The other parameters are ignored.
    Ignore,
    /// Times and subject are applied.
    Apply,
}
