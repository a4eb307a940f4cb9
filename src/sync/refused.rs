//! Whom the meeting service refuses until a person acts: remembered for `status`, whichever process met it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::calendar::Notes as _;
use crate::meeting::MeetingError;
use crate::model::OrganizerId;
use crate::state::State;

/// What the service said when it refused the organizer or, without one, the credential; `None`: it did
/// not, or has taken it since.
pub fn refusal(state: &State, organizer: Option<&OrganizerId>) -> Option<String> {
    state.load(&key(organizer)).filter(|text| !text.is_empty())
}

fn key(organizer: Option<&OrganizerId>) -> String {
    match organizer {
        Some(organizer) => format!("refused/{organizer}"),
        None => "refused".to_owned(),
    }
}

/// What was heard since it was last remembered. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    /// Whom, and why; an empty text: not any more.
    heard: Arc<Mutex<BTreeMap<Option<OrganizerId>, Heard>>>,
}

#[derive(Debug)]
struct Heard {
    text: String,
    is_news: bool,
}

impl Refusals {
    pub(super) fn refused(&self, organizer: &OrganizerId, error: &MeetingError) {
        match error {
            MeetingError::Organizer(text) | MeetingError::NoOrganizer(text) => {
                self.hear(Some(organizer), text);
            }
            MeetingError::Credential(text) => self.hear(None, text),
            _ => {}
        }
    }

    pub(super) fn worked(&self, organizer: &OrganizerId) {
        self.hear(Some(organizer), "");
        self.hear(None, "");
    }

    fn hear(&self, whom: Option<&OrganizerId>, text: &str) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let whom = whom.cloned();
        if heard.get(&whom).is_none_or(|known| known.text != text) {
            let text = text.to_owned();
            heard.insert(
                whom,
                Heard {
                    text,
                    is_news: true,
                },
            );
        }
    }

    /// Remembers what is news. A state that cannot be written is told of elsewhere.
    pub(super) fn remember(&self, state: &State) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        for (whom, heard) in heard.iter_mut().filter(|(_, heard)| heard.is_news) {
            let whom = whom.as_ref();
            if !heard.text.is_empty() || refusal(state, whom).is_some() {
                state.store(&key(whom), &heard.text);
            }
            heard.is_news = false;
        }
    }
}
