//! One call to Graph: in turn, with a token, inside no window, tried again where that helps. Network.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use super::auth::{Token, Tokens};
use super::call::Call;
use super::errors::{Caller, Fault, SHORT_PAUSE, classify};
use super::pace::{Busy, Pace, pass, try_id};
use super::probe::Dates;
use super::settings::GraphSettings;
use crate::clock::{Clock, Random};
use crate::http::windows::retry_after;
use crate::http::{Answer, Client, SendError, Windows};
use crate::meeting::MeetingError;
use crate::model::{Escaped, OrganizerId};

/// The scope of the Retry-After windows of online meetings: Graph's limits on them count per app, over all
/// users (graph-api.md, section 12).
const SCOPE: &str = "graph";
/// The most requests to one mailbox of Outlook that are under way at once (graph-api.md, section 12).
const TURNS_OF_A_MAILBOX: usize = 4;
/// The largest answer of Graph, in bytes.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// What a call came to.
#[derive(Debug)]
pub(super) struct Done<T> {
    pub(super) status: StatusCode,
    /// What was read from the answer's body.
    pub(super) read: T,
    /// Whether an earlier try of this call may have had its effect without an answer.
    pub(super) repeated: bool,
}

/// Makes calls for all tasks.
pub(super) struct Calls {
    settings: Arc<GraphSettings>,
    client: Client,
    windows: Arc<Windows>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    pub(super) tokens: Tokens,
    /// What Graph's answers say of the time.
    pub(super) dates: Dates,
    /// The bound on requests under way.
    turns: Semaphore,
    /// The same for each organizer's mailbox.
    mailboxes: Mutex<HashMap<OrganizerId, Arc<Semaphore>>>,
    /// Organizer, and whether it is about Outlook → what is wrong, and until when that is believed on
    /// the monotonic clock.
    organizers: Mutex<HashMap<(OrganizerId, bool), (MeetingError, Duration)>>,
}

impl Calls {
    pub(super) fn new(
        settings: Arc<GraphSettings>,
        client: Client,
        windows: Arc<Windows>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            tokens: Tokens::new(
                Arc::clone(&settings),
                client.clone(),
                Arc::clone(&windows),
                Arc::clone(&clock),
                Arc::clone(&random),
            ),
            dates: Dates::default(),
            turns: Semaphore::new(settings.in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            mailboxes: Mutex::default(),
            organizers: Mutex::default(),
            settings,
            client,
            windows,
            clock,
            random,
        }
    }

    /// Makes a call that may be repeated without harm, until it succeeds or there is no point.
    ///
    /// `read` takes what is needed from a successful answer's body; `None` says that the answer is
    /// partial, which is a failure like a broken connection.
    pub(super) async fn make<T>(
        &self,
        call: &Call,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Done<T>, MeetingError> {
        self.make_or(call, read, |_| None).await
    }

    /// As [`Self::make`]; a refusal that `refused` knows what to say of ends it with that.
    pub(super) async fn make_or<T, E: From<MeetingError>>(
        &self,
        call: &Call,
        read: impl Fn(&[u8]) -> Option<T>,
        refused: impl Fn(&Answer) -> Option<E>,
    ) -> Result<Done<T>, E> {
        let mut pace = Pace::new(&scope(call), &self.windows, &self.clock, &self.random);
        let mut repeated = false;
        let mut renewed = false;
        // Whether the server failed on it each time, and nothing else was wrong.
        let mut fails_always = true;
        let mut apart = false;
        loop {
            let (token, outcome) = self.try_once(call, apart).await?;
            apart |= outcome.as_ref().is_ok_and(is_in_trouble);
            let fault = match outcome {
                Ok(answer) if answer.status.is_success() => match read(&answer.body) {
                    Some(read) => {
                        return Ok(Done {
                            status: answer.status,
                            read,
                            repeated,
                        });
                    }
                    None => busy("partial answer".to_owned(), true),
                },
                Ok(answer) => match refused(&answer) {
                    Some(known) => return Err(known),
                    None => self.classify(&answer, call),
                },
                Err(error) => busy(error.to_string(), !error.never_sent()),
            };
            match fault {
                Fault::Busy { busy, uncertain } => {
                    repeated |= uncertain;
                    fails_always = false;
                    pace.again(busy).await?;
                }
                Fault::Server(text) => {
                    repeated = true;
                    let busy = Busy {
                        text: text.clone(),
                        after: None,
                        throttled: false,
                    };
                    pace.again(busy).await.map_err(|error| match error {
                        MeetingError::Transient(text) if fails_always => {
                            MeetingError::Request(text)
                        }
                        other => other,
                    })?;
                }
                Fault::Unauthorized if !renewed => {
                    renewed = true;
                    self.tokens.discard(&token);
                }
                Fault::Unauthorized => {
                    let refused = self.tokens.refuse(
                        "Graph does not accept the token that Entra gave (HTTP 401); check that \
                         `graph-url`, `authority-url` and `tenant` belong to the same cloud",
                    );
                    return Err(refused.into());
                }
                Fault::Gone => return Err(MeetingError::Gone.into()),
                Fault::Request(text) => return Err(MeetingError::Request(text).into()),
                Fault::Credential(text) => return Err(self.tokens.refuse(&text).into()),
                Fault::Organizer { text, pause } => {
                    let error = MeetingError::Organizer(text);
                    return Err(self.remember(call, error, pause).into());
                }
                Fault::NoOrganizer(text) => {
                    let error = MeetingError::NoOrganizer(text);
                    return Err(self.remember(call, error, SHORT_PAUSE).into());
                }
            }
        }
    }

    /// Sends the request once, when its turn has come; `apart`: on a connection of its own.
    async fn try_once(
        &self,
        call: &Call,
        apart: bool,
    ) -> Result<(Token, Result<Answer, SendError>), MeetingError> {
        let scope = scope(call);
        let _turn_of_mailbox = match call.aim.is_outlook() {
            true => {
                let turn = self.turn_of_mailbox(&call.organizer).await?;
                // Not below: one mailbox's window is nothing to others.
                pass(&self.windows, &scope).await?;
                Some(turn)
            }
            false => None,
        };
        // Held until the answer is there; whatever a task waits for below, all others wait for too.
        let _turn = self.turns.acquire().await.map_err(|_| ended())?;
        self.check(call)?;
        pass(&self.windows, &scope).await?;
        let token = self.tokens.get().await?;
        if let Some(user) = token.user.as_ref().filter(|user| **user != call.organizer) {
            return Err(MeetingError::Organizer(format!(
                "organizer {}: somebody else, {user}, is signed in, and a person's sign-in makes only \
                 their own meetings; set `organizer` to {user}, sign in as the organizer by \
                 `meetbridge login`, or use an application's permission (client-secret-file) instead \
                 of device-code",
                call.organizer
            )));
        }
        pass(&self.windows, &scope).await?;

        let try_id = try_id(self.random.as_ref());
        let request = call.request(token.bearer.clone(), &try_id, token.user.is_some());
        let sent = self.clock.now();
        let outcome = match apart {
            false => self.client.send(request, LARGEST_ANSWER).await,
            true => self.client.send_apart(request, LARGEST_ANSWER).await,
        };
        match &outcome {
            Ok(answer) => {
                self.dates.note(sent, &answer.headers, self.clock.now());
                debug!(
                    client_request_id = try_id,
                    request_id = %Escaped(&request_id(&answer.headers)),
                    status = answer.status.as_u16(),
                    "graph answered"
                );
            }
            Err(error) => debug!(client_request_id = try_id, %error, "graph did not answer"),
        }
        Ok((token, outcome))
    }

    fn classify(&self, answer: &Answer, call: &Call) -> Fault {
        let after = retry_after(&answer.headers, self.clock.now());
        classify(
            answer.status,
            &answer.body,
            after,
            call.aim,
            &call.organizer,
            match self.settings.sign_in.is_person() {
                true => Caller::Person,
                false => Caller::App(&self.settings.client_id),
            },
        )
    }

    /// Has the secrets read anew before they are used next, and asks again for organizers who were at
    /// fault.
    pub(super) fn reread_secrets(&self) {
        self.tokens.reread();
        let mut organizers = self
            .organizers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        organizers.clear();
    }

    /// Waits for one of the turns of the organizer's mailbox.
    async fn turn_of_mailbox(
        &self,
        organizer: &OrganizerId,
    ) -> Result<OwnedSemaphorePermit, MeetingError> {
        let turns = {
            let mut mailboxes = self
                .mailboxes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let turns = mailboxes
                .entry(organizer.clone())
                .or_insert_with(|| Arc::new(Semaphore::new(TURNS_OF_A_MAILBOX)));
            Arc::clone(turns)
        };
        turns.acquire_owned().await.map_err(|_| ended())
    }

    /// Fails when the organizer is known to be at fault.
    fn check(&self, call: &Call) -> Result<(), MeetingError> {
        let now = self.clock.elapsed();
        let organizers = self
            .organizers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match organizers.get(&(call.organizer.clone(), call.aim.is_outlook())) {
            Some((error, until)) if now < *until => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Believes it for so long: nothing like `call` is asked for the organizer meanwhile.
    pub(super) fn remember(
        &self,
        call: &Call,
        error: MeetingError,
        pause: Duration,
    ) -> MeetingError {
        let now = self.clock.elapsed();
        let mut organizers = self
            .organizers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        organizers.retain(|_, (_, until)| now < *until);
        let whose = (call.organizer.clone(), call.aim.is_outlook());
        organizers.insert(whose, (error.clone(), now + pause));
        error
    }
}

/// The scope of the Retry-After windows that a call belongs to: Outlook's limits count per mailbox.
fn scope(call: &Call) -> String {
    match call.aim.is_outlook() {
        true => format!("outlook-{}", call.organizer),
        false => SCOPE.to_owned(),
    }
}

fn ended() -> MeetingError {
    MeetingError::Transient("calls to Graph have ended".to_owned())
}

/// Whether what stands at the other end of the connection is in trouble, and another one may lead to
/// what is not (graph-api.md, section 11).
fn is_in_trouble(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 502..=504)
}

fn busy(text: String, uncertain: bool) -> Fault {
    Fault::Busy {
        busy: Busy {
            text,
            after: None,
            throttled: false,
        },
        uncertain,
    }
}

/// Graph's own name for the exchange, for a support case.
fn request_id(headers: &HeaderMap) -> String {
    let id = headers
        .get("request-id")
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default();
    id.chars().take(64).collect()
}
