//! What a simulated service knows from the start: tenants, an application, users.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;

use super::manners::{EntraManners, Limits, Manners, OutlookManners};

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
    /// How far the service's own wall clock is ahead of [`Settings::clock`]; behind it where negative.
    pub skew: TimeDelta,
    /// The tenants that the token endpoint knows.
    pub tenants: Vec<Tenant>,
    /// The registered application, known in every tenant.
    pub app: App,
    /// The users who can own meetings.
    pub organizers: Vec<Organizer>,
    /// Whether the tenant's global access policy names the application: for organizers whose own is
    /// [`Policy::Global`].
    pub global_policy: Policy,
    /// How long each request takes, at least.
    pub latency: Duration,
    /// Which shape join URLs have.
    pub url_shape: UrlShape,
    /// The host of join URLs; it differs between clouds.
    pub join_host: String,
    /// How long an access token lasts, in whole seconds.
    pub token_lifetime: Duration,
    /// What access tokens are to who looks into them.
    pub token_form: TokenForm,
    /// How long after an answer with `Retry-After` a request still counts as sent before that answer
    /// was read. Zero judges strictly; a client with calls in flight on a real clock needs some.
    pub window_grace: Duration,
    /// What Graph does where nothing is promised.
    pub manners: Manners,
    /// What Entra does where nothing is promised.
    pub entra: EntraManners,
    /// What Outlook calendars do where nothing is promised.
    pub outlook: OutlookManners,
    /// How many requests are let through; by default all.
    pub limits: Limits,
    /// Everything invented (ids, URLs, numbers) follows from this and the meeting's key.
    pub seed: u64,
}

impl Settings {
    /// One tenant, one application and three organizers (see the constants beside this type), no
    /// latency, no limits, long join URLs, on a free port of 127.0.0.1.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let organizer = |id: &str, name: &str| Organizer {
            id: id.to_owned(),
            tenant: TENANT.to_owned(),
            upn: format!("{name}@{TENANT_DOMAIN}"),
            policy: Policy::Granted,
            licensed: true,
            guest: false,
            dial_in: true,
            dial_in_from: DateTime::<Utc>::MIN_UTC,
            video_interop: false,
            mailbox: Some(Mailbox::default()),
        };
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clock,
            skew: TimeDelta::zero(),
            tenants: vec![Tenant {
                id: TENANT.to_owned(),
                domain: TENANT_DOMAIN.to_owned(),
            }],
            app: App::new(CLIENT_ID, CLIENT_SECRET),
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
            global_policy: Policy::Missing(Refused::Forbidden),
            latency: Duration::ZERO,
            url_shape: UrlShape::Long,
            join_host: "teams.microsoft.com".to_owned(),
            token_lifetime: Duration::from_secs(3599),
            token_form: TokenForm::Jwt,
            window_grace: Duration::ZERO,
            manners: Manners::default(),
            entra: EntraManners::default(),
            outlook: OutlookManners::default(),
            limits: Limits::default(),
            seed: 1,
        }
    }

    /// The service's wall-clock time.
    pub(super) fn now(&self) -> DateTime<Utc> {
        let now = self.clock.now();
        now.checked_add_signed(self.skew).unwrap_or(now)
    }

    /// The user with this object id or UPN in this tenant.
    pub(super) fn user(&self, tenant: &str, name: &str) -> Option<&Organizer> {
        let is_meant = |user: &&Organizer| {
            user.tenant.eq_ignore_ascii_case(tenant)
                && (user.id.eq_ignore_ascii_case(name) || user.upn.eq_ignore_ascii_case(name))
        };
        self.organizers.iter().find(is_meant)
    }

    /// The user with this object id in this tenant.
    pub(super) fn organizer(&self, tenant: &str, id: &str) -> Option<&Organizer> {
        let is_meant = |organizer: &&Organizer| {
            organizer.id.eq_ignore_ascii_case(id) && organizer.tenant.eq_ignore_ascii_case(tenant)
        };
        self.organizers.iter().find(is_meant)
    }
}

/// The form of access tokens, which are opaque to clients (graph-api.md, section 2.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenForm {
    /// A JWT whose claims are true.
    Jwt,
    /// A JWT that says it is of another tenant: this directory id.
    OfTenant(String),
    /// No JWT.
    Opaque,
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
    /// Whether an administrator has disabled it (AADSTS7000112).
    pub disabled: bool,
    /// Whether people can sign in with a device code; if so, its redemption takes no credential.
    pub public_client: bool,
    /// The certificates whose keys sign client assertions.
    pub certificates: Vec<Certificate>,
    /// The tokens of other identity providers that are taken as client assertions.
    pub federated: Vec<Federated>,
    /// The application permissions that an administrator has consented to.
    pub roles: Vec<String>,
    /// The delegated permissions that may be asked for.
    pub scopes: Vec<String>,
}

impl App {
    /// An application with a secret and device codes, without certificates, with every permission that
    /// the simulator knows.
    pub fn new(client_id: &str, client_secret: &str) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            secret_expired: false,
            disabled: false,
            public_client: true,
            certificates: Vec::new(),
            federated: Vec::new(),
            roles: owned(&[
                "OnlineMeetings.ReadWrite.All",
                "Calendars.ReadWrite",
                "User.Read.All",
            ]),
            scopes: owned(&[
                "OnlineMeetings.ReadWrite",
                "Calendars.ReadWrite",
                "User.Read",
            ]),
        }
    }
}

/// A certificate registered with an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// X.509, DER, with an RSA key of 2,048 bits or more.
    pub der: Vec<u8>,
    /// Whether it has run out (AADSTS700027).
    pub expired: bool,
}

/// A federated credential registered with an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Federated {
    /// The token's `iss`.
    pub issuer: String,
    /// The token's `sub`.
    pub subject: String,
    /// The token's `aud`.
    pub audience: String,
    /// A certificate (X.509, DER) with the RSA key that the issuer signs with: stands for the keys that
    /// a real issuer publishes.
    pub certificate: Vec<u8>,
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
    /// Whether the user has a Teams licence; without one, making a meeting is refused (403).
    pub licensed: bool,
    /// Whether the user is a guest, who cannot organize (403).
    pub guest: bool,
    /// Whether the user has an Audio Conferencing licence.
    pub dial_in: bool,
    /// From when on that licence shows: licences take time to spread.
    pub dial_in_from: DateTime<Utc>,
    /// Whether the tenant has Cloud Video Interop, which gives a `videoTeleconferenceId`.
    pub video_interop: bool,
    /// The user's Outlook mailbox; `None`: there is none in the cloud, 404.
    pub mailbox: Option<Mailbox>,
}

/// An Outlook mailbox, as far as its calendars go.
#[derive(Clone, Debug)]
pub struct Mailbox {
    /// The names of its calendars; the first is the default one.
    pub calendars: Vec<String>,
    /// `allowedOnlineMeetingProviders` of each calendar. Without a Teams licence Teams is never among them.
    pub allowed_providers: Vec<Provider>,
    /// `defaultOnlineMeetingProvider` of each calendar.
    pub default_provider: Provider,
}

impl Default for Mailbox {
    /// Two calendars, "Calendar" and "Bridge", that hold Teams meetings.
    fn default() -> Self {
        Self {
            calendars: vec!["Calendar".to_owned(), "Bridge".to_owned()],
            allowed_providers: vec![Provider::TeamsForBusiness],
            default_provider: Provider::TeamsForBusiness,
        }
    }
}

/// Who provides an event's online meeting: `onlineMeetingProviderType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// `unknown`
    Unknown,
    /// `skypeForBusiness`
    SkypeForBusiness,
    /// `skypeForConsumer`
    SkypeForConsumer,
    /// `teamsForBusiness`
    TeamsForBusiness,
}

impl Provider {
    const ALL: [Self; 4] = [
        Self::Unknown,
        Self::SkypeForBusiness,
        Self::SkypeForConsumer,
        Self::TeamsForBusiness,
    ];

    /// As it stands in requests and answers.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::SkypeForBusiness => "skypeForBusiness",
            Self::SkypeForConsumer => "skypeForConsumer",
            Self::TeamsForBusiness => "teamsForBusiness",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// Whether the application may act for an organizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// A policy of the user's own names the application.
    Granted,
    /// As [`Policy::Granted`], effective from this instant only: changes take up to 30 minutes.
    GrantedFrom(DateTime<Utc>, Refused),
    /// No policy names the application, or the user's own does not; the answer is 403 in this form.
    Missing(Refused),
    /// The user has no policy of their own: [`Settings::global_policy`] decides.
    Global,
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
