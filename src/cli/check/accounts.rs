//! The CalDAV accounts: reached, and what may be done in their calendars. Network.

use super::online::within;
use super::report::Line;
use crate::calendar::ReadError;
use crate::calendar::caldav::discover::Collection;
use crate::cli::accounts::{Account, Shared};
use crate::config::{Calendar, Config, Source};
use crate::http::ClientError;
use crate::log::Chain;

/// Why an account cannot be looked at.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Server(#[from] ReadError),
}

type Looked = Result<(Vec<Collection>, Vec<ReadError>), Fault>;

/// What each enabled account's server says.
pub(super) async fn look(config: &Config, shared: &Shared) -> Vec<Line> {
    let accounts = config
        .enabled()
        .filter_map(|calendar| match &calendar.source {
            Source::CalDav(server) => Some((calendar, server)),
            _ => None,
        });
    let accounts: Vec<_> = accounts.collect();
    let looked = within(
        &accounts,
        shared.clock.as_ref(),
        |(calendar, server)| async {
            let account = Account::new(config, calendar, server, shared)?;
            Looked::Ok(account.look().await?)
        },
    );
    let looked = looked.await;
    let told = accounts.iter().zip(looked);
    told.flat_map(|((calendar, _), looked)| tell(calendar, looked))
        .collect()
}

fn tell(calendar: &Calendar, looked: Option<Looked>) -> Vec<Line> {
    let account = &calendar.name;
    let failure = |error: &dyn std::error::Error| {
        Line::failure(&format!("calendar {account}: {}", Chain(error)))
    };
    match looked {
        None => vec![
            Line::warning(format!(
                "calendar {account}: its server did not answer in time, so nothing is known of it"
            ))
            .hint("check the network, and the server"),
        ],
        Some(Err(error)) => vec![failure(&error)],
        Some(Ok((found, missing))) => {
            let missing = missing.iter().map(|error| failure(error));
            let found = found.iter().map(|one| privileges(account.as_str(), one));
            found.chain(missing).collect()
        }
    }
}

/// Whether the account may do in a calendar what is needed.
fn privileges(account: &str, collection: &Collection) -> Line {
    let name = format!("calendar {}", collection.name_in(account));
    if !collection.holds_events {
        return Line::error(format!("{name}: takes no events"))
            .hint("take it out of `collections`; `meetbridge calendars` shows what there is");
    }
    match collection.writable {
        Some(true) => Line::ok(format!("{name}: reached, and may be written")),
        Some(false) => Line::error(format!("{name}: the account may not change its events"))
            .hint("let its owner share it with write access, or take it out of `collections`"),
        None => Line::ok(format!(
            "{name}: reached; its server does not tell whether it may be written"
        )),
    }
}
