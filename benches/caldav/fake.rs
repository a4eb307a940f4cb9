//! The fake server of the tests in a process of its own: a line `NAME COUNT ATTENDEES` on its standard
//! input gives alice a calendar.

#[path = "../../tests/support/caldav/mod.rs"]
#[allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "of the tests"
)]
mod caldav;

use caldav::{Fake, Quirks};

use crate::harness::ALICE;
use crate::steps::serve;
use crate::support::Result;
use crate::support::events::calendar;

/// The first argument of such a process.
pub(crate) const FLAG: &str = "--fake";

/// Runs until the standard input ends; each answer is the port.
pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let fake = runtime.block_on(Fake::start(Quirks::default()));
    fake.password(ALICE.name, ALICE.password);
    let mut empty = vec!["work".to_owned()];
    serve(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, count, attendees] = words[..] else {
            return Err("a calendar has a name, a count, and attendees or not".into());
        };
        let path = format!("{}/{name}", ALICE.name);
        if empty.iter().all(|known| known != name) {
            fake.calendar(&path);
            empty.push(name.to_owned());
        }
        for n in 0..count.parse()? {
            let bytes = calendar(n..n + 1, attendees == "true");
            fake.put(&path, &format!("{n:05}.ics"), bytes);
        }
        Ok(fake.port().to_string())
    })
}
