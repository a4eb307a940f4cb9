//! Asks the services, within bounds: so many at once, so long in all. Makes and changes nothing.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::report::{Line, Report};
use super::{accounts, feeds, graph};
use crate::cli::{Context, Exit, assemble};
use crate::clock::Clock;
use crate::config::Config;
use crate::log::Chain;

/// How many are asked at once.
const AT_ONCE: usize = 8;
/// How long all questions of one kind may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Tells what the services say of the configuration. Only looks at the state, so that it may run beside
/// a daemon, and asks nobody before a Retry-After that is stored there.
///
/// # Errors
/// When the state cannot be looked at; that has been said.
pub(super) async fn online(
    context: &Context,
    config: &Config,
    report: &mut Report,
) -> Result<(), Exit> {
    let state = assemble::look_at_state(config)?;
    let reach = match assemble::reach(context, config, state.clone()) {
        Ok(reach) => reach,
        Err(error) => {
            report.tell(Line::failure(&Chain(&error).to_string()));
            return Ok(());
        }
    };
    let asked = graph::ask(config, &reach.meetings, &state, context.clock.as_ref());
    let looked = accounts::look(config, &reach.shared);
    let fetched = feeds::look(config, &reach.shared);
    let (asked, looked, fetched) = tokio::join!(asked, looked, fetched);
    for line in asked.into_iter().chain(looked).chain(fetched) {
        report.tell(line);
    }
    Ok(())
}

/// The answers about `all`, in their order: at most [`AT_ONCE`] questions at a time, and `None` for
/// those that [`LIMIT`] leaves unanswered.
pub(super) async fn within<'a, T, R, F>(
    all: &'a [T],
    clock: &dyn Clock,
    ask: impl Fn(&'a T) -> F,
) -> Vec<Option<R>>
where
    F: Future<Output = R>,
{
    let mut answers: Vec<Option<R>> = all.iter().map(|_| None).collect();
    {
        let questions = answers.iter_mut().zip(all).map(|(answer, one)| {
            let asked = ask(one);
            async move { *answer = Some(asked.await) }
        });
        let asking = stream::iter(questions)
            .buffer_unordered(AT_ONCE)
            .take_until(clock.sleep(LIMIT));
        let mut asking = pin!(asking);
        while asking.next().await.is_some() {}
    }
    answers
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::http::testing::Timeless;

    #[tokio::test]
    async fn so_many_are_asked_at_once_and_so_long() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let all: Vec<usize> = (0..100).collect();
        // A clock on which the limit never ends.
        struct Stopped;
        impl Clock for Stopped {
            fn now(&self) -> chrono::DateTime<chrono::Utc> {
                Timeless::start()
            }
            fn elapsed(&self) -> Duration {
                Duration::ZERO
            }
            fn sleep(&self, _: Duration) -> futures_util::future::BoxFuture<'static, ()> {
                Box::pin(std::future::pending())
            }
        }
        let answers = within(&all, &Stopped, |n| {
            let (now, most) = (&now, &most);
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                *n
            }
        })
        .await;
        assert_eq!(answers, (0..100).map(Some).collect::<Vec<_>>());
        assert_eq!(most.into_inner(), AT_ONCE);

        // What never answers is given up, and what has answered by then counts.
        let answers = within(&all, &Timeless::default(), |n| async move {
            if *n > 0 {
                std::future::pending::<()>().await;
            }
            *n
        })
        .await;
        assert_eq!(answers[0], Some(0));
        assert!(answers[1..].iter().all(Option::is_none));
    }
}
