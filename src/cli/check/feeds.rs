//! The feeds: fetched once, and asked whether what is published may be stored. Network.

use super::online::within;
use super::report::Line;
use crate::calendar::feed::{self, Looked};
use crate::cli::accounts::Shared;
use crate::cli::assemble::feed_settings;
use crate::config::{Calendar, Config, Publish, Source};
use crate::http::ClientError;
use crate::log::Chain;

/// What each enabled feed's servers say.
pub(super) async fn look(config: &Config, shared: &Shared) -> Vec<Line> {
    let feeds = config
        .enabled()
        .filter_map(|calendar| match &calendar.source {
            Source::Feed(subscribed) => Some((calendar, subscribed)),
            _ => None,
        });
    let feeds: Vec<_> = feeds.collect();
    let looked = within(
        &feeds,
        shared.clock.as_ref(),
        |(calendar, subscribed)| async {
            let settings = feed_settings(config, calendar, subscribed, shared);
            let (clock, random) = (shared.clock.clone(), shared.random.clone());
            feed::look(settings, shared.windows.clone(), clock, random).await
        },
    );
    let looked = looked.await;
    let told = feeds.iter().zip(looked);
    told.flat_map(|((calendar, subscribed), looked)| tell(calendar, &subscribed.publish, looked))
        .collect()
}

fn tell(
    calendar: &Calendar,
    publish: &Publish,
    looked: Option<Result<Looked, ClientError>>,
) -> Vec<Line> {
    let name = &calendar.name;
    let failure =
        |error: &dyn std::error::Error| Line::failure(&format!("calendar {}", Chain(error)));
    let looked = match looked {
        None => {
            return vec![
                Line::warning(format!(
                    "calendar {name}: its server did not answer in time, so nothing is known of it"
                ))
                .hint("check the network, and the server"),
            ];
        }
        Some(Err(error)) => return vec![failure(&error)],
        Some(Ok(looked)) => looked,
    };
    let source = match &looked.source {
        Ok(extent) => Line::ok(format!(
            "calendar {name}: fetched; a calendar of {} bytes, events: {}",
            extent.bytes, extent.events
        )),
        Err(error) => failure(error),
    };
    let key = match publish {
        Publish::Source => "writable",
        _ => "publish-url",
    };
    let target = looked.target.map(|target| match target {
        Ok(true) => Line::ok(format!("calendar {name}: `{key}`: reached, and takes PUT")),
        Ok(false) => Line::ok(format!(
            "calendar {name}: `{key}`: reached; its server does not tell whether it takes PUT"
        )),
        Err(error) => failure(&error),
    });
    std::iter::once(source).chain(target).collect()
}
