//! Questions about an organizer's Outlook calendar (graph-api.md, section 9). Network.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::http::Answer;
use crate::meeting::MeetingError;
use crate::meeting::graph::GraphMeetings;
use crate::meeting::graph::call::{Call, below};
use crate::meeting::graph::errors::{Aim, Report, is_plain};
use crate::meeting::graph::wire::get;
use crate::model::OrganizerId;

/// The provider whose meetings are wanted.
const TEAMS: &str = "teamsForBusiness";
/// The most providers that are taken from an answer.
const MOST: usize = 10;

/// What Outlook says of an organizer's default calendar, and of those that are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailbox {
    /// `allowedOnlineMeetingProviders`.
    pub allowed: Vec<String>,
    /// `defaultOnlineMeetingProvider`.
    pub default: Option<String>,
    /// The names among those that were asked for of which there is no calendar.
    pub missing: Vec<String>,
}

impl Mailbox {
    /// Whether an event in it can be a meeting of Teams.
    pub fn has_teams(&self) -> bool {
        self.allowed
            .iter()
            .any(|provider| provider.eq_ignore_ascii_case(TEAMS))
    }

    fn read(body: &[u8]) -> Option<Self> {
        let answer: Value = serde_json::from_slice(body).ok()?;
        let answer = answer.as_object()?;
        let plain = |value: &Value| {
            let text = value.as_str().filter(|text| is_plain(text));
            text.map(str::to_owned)
        };
        let allowed = get(answer, "allowedOnlineMeetingProviders")?.as_array()?;
        Some(Self {
            allowed: allowed.iter().filter_map(plain).take(MOST).collect(),
            default: get(answer, "defaultOnlineMeetingProvider").and_then(plain),
            missing: Vec::new(),
        })
    }
}

/// Why Outlook does not tell of an organizer's calendar.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MailboxFault {
    /// No permission for this mailbox.
    #[error("Graph forbids the Outlook calendar ({0})")]
    Forbidden(String),
    /// There is no such user, or the user has no mailbox.
    #[error("Graph finds no such user, or no mailbox of theirs ({0})")]
    Unknown(String),
    /// Anything else, which does not concern the organizer alone.
    #[error(transparent)]
    Other(#[from] MeetingError),
}

impl GraphMeetings {
    /// Asks for the organizer's default calendar, and whether there are those with these names.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn probe_mailbox(
        &self,
        organizer: &OrganizerId,
        names: &[&str],
    ) -> Result<Mailbox, MailboxFault> {
        let path = format!("/v1.0/users/{organizer}/calendar");
        let mut url = below(&self.settings.graph_url, &path);
        url.set_query(Some(
            "$select=allowedOnlineMeetingProviders,defaultOnlineMeetingProvider",
        ));
        let call = Call {
            aim: Aim::Mailbox,
            ..Call::of(Method::GET, url, None, organizer)
        };
        let asked = self.calls.make_or(&call, Mailbox::read, refused).await?;
        let mut mailbox = asked.read;
        if !names.is_empty() {
            let there = self.mirrors().names(organizer).await?;
            let is_missing = |name: &&&str| !there.iter().any(|one| one == **name);
            let missing = names.iter().filter(is_missing);
            mailbox.missing = missing.map(|name| (*name).to_owned()).collect();
        }
        Ok(mailbox)
    }
}

/// What a refusal says of the mailbox, if it does.
fn refused(answer: &Answer) -> Option<MailboxFault> {
    let shown = Report::read(&answer.body).shown(answer.status);
    Some(match answer.status {
        StatusCode::FORBIDDEN | StatusCode::PAYMENT_REQUIRED => MailboxFault::Forbidden(shown),
        StatusCode::NOT_FOUND | StatusCode::GONE => MailboxFault::Unknown(shown),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_read_as_far_as_they_can_be_shown() {
        let read = |text: &str| Mailbox::read(text.as_bytes());
        let both = r#"{"@odata.context": "x", "allowedOnlineMeetingProviders":
            ["skypeForBusiness", "TeamsForBusiness", 1, "x\u001b[31m"],
            "defaultOnlineMeetingProvider": "unknown"}"#;
        let found = read(both).unwrap();
        assert_eq!(found.allowed, ["skypeForBusiness", "TeamsForBusiness"]);
        assert_eq!(found.default.as_deref(), Some("unknown"));
        assert!(found.has_teams());
        let none = read(r#"{"allowedOnlineMeetingProviders": []}"#).unwrap();
        assert_eq!(none, Mailbox::default());
        assert!(!none.has_teams());
        let many = format!(
            r#"{{"allowedOnlineMeetingProviders": [{}"x"]}}"#,
            r#""x","#.repeat(1000)
        );
        assert_eq!(read(&many).unwrap().allowed.len(), MOST);
        for partial in ["", "[]", "{}", r#"{"allowedOnlineMeetingProviders": "x"}"#] {
            assert_eq!(read(partial), None, "{partial}");
        }
    }
}
