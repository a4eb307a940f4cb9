//! What the configuration says of Graph.

use url::Url;

use super::auth::SignIn;

/// How to reach one tenant's Graph, and as whom. Checked by the configuration.
#[derive(Clone, Debug)]
pub struct GraphSettings {
    /// The tenant's GUID or one of its domain names.
    pub tenant: String,
    /// The app registration's application (client) id.
    pub client_id: String,
    /// The Graph root, without a version: `https://graph.microsoft.com`.
    pub graph_url: Url,
    /// The authority, without a tenant: `https://login.microsoftonline.com`.
    pub authority_url: Url,
    /// How it is signed in to.
    pub sign_in: SignIn,
    /// The most calls to Graph under way at once, at least 1; [`GraphSettings::IN_FLIGHT`] as a rule.
    pub in_flight: usize,
    /// Whether a meeting may be there as an event in the organizer's Outlook calendar.
    pub mirrors: bool,
}

impl GraphSettings {
    /// The bound on calls under way that suits Graph's limit of 5,000 requests in 10 seconds.
    pub const IN_FLIGHT: usize = 64;
}
