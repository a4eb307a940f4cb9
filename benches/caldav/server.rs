//! The servers that are measured against, each with alice's calendars filled beforehand.

use std::path::Path;
use std::process::Command;

use tokio::runtime::Runtime;

use crate::fake;
use crate::harness::{self, ALICE, Raw};
use crate::steps::Steps;
use crate::support::Result;
use crate::support::events::calendar;

/// Makes one commit of all that was put into a calendar of Xandikos.
const COMMIT: &str = "
import os, sys
from dulwich.repo import Repo
path = sys.argv[1]
tree = Repo(path).get_worktree()
tree.stage([name for name in os.listdir(path) if name.endswith('.ics')])
tree.commit(message=b'filled', author=b'Alice <alice@example.org>', committer=b'Alice <alice@example.org>')
";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fake,
    Radicale,
    Xandikos,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Fake, Self::Radicale, Self::Xandikos];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fake => "fake",
            Self::Radicale => "radicale",
            Self::Xandikos => "xandikos",
        }
    }
}

/// A running server; it ends with this value.
pub(crate) enum Server {
    Fake { _steps: Steps, port: u16 },
    Real(harness::Server),
}

impl Server {
    /// Starts one whose calendars of these names hold `count` events each.
    pub(crate) fn start(
        runtime: &Runtime,
        kind: Kind,
        names: &[String],
        count: usize,
        attendees: bool,
    ) -> Result<Self> {
        let real = match kind {
            Kind::Fake => {
                let mut steps = Steps::start(&[fake::FLAG])?;
                let mut port = 0;
                for name in names {
                    let answer = steps.tell(&format!("{name} {count} {attendees}"))?;
                    port = answer.trim().parse()?;
                }
                return Ok(Self::Fake {
                    _steps: steps,
                    port,
                });
            }
            Kind::Radicale => harness::Server::start(harness::Kind::Radicale),
            Kind::Xandikos => harness::Server::start(harness::Kind::Xandikos),
        };
        for name in names {
            let raw = Raw::new(ALICE);
            let url = runtime.block_on(raw.make_calendar(&real, name, name));
            let (above, python) = match kind {
                Kind::Xandikos => ("alice/calendars", Some(harness::python::shared())),
                _ => ("collection-root/alice", None),
            };
            let home = real.storage().join(above).join(name);
            for n in 0..count {
                let file = home.join(format!("{n:05}.ics"));
                std::fs::write(file, calendar(n..n + 1, attendees))?;
            }
            if let Some(python) = python {
                commit(python, &home)?;
            }
            // Reads everything once, so that what is measured does not wait for that.
            let listing = raw
                .request("PROPFIND", &url)
                .header("depth", "1")
                .body("<propfind xmlns=\"DAV:\"><prop><getetag/></prop></propfind>");
            let listing = async { listing.send().await?.bytes().await };
            runtime.block_on(listing)?;
        }
        Ok(Self::Real(real))
    }

    /// The port on loopback.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Fake { port, .. } => *port,
            Self::Real(real) => real.port(),
        }
    }

    /// The path of alice's calendars.
    pub(crate) fn home(&self) -> &'static str {
        match self {
            Self::Fake { .. } => "/dav/calendars/alice/",
            Self::Real(real) if real.kind == harness::Kind::Radicale => "/alice/",
            Self::Real(_) => "/alice/calendars/",
        }
    }

    /// Changes an event, as another client does.
    pub(crate) fn put(&self, runtime: &Runtime, name: &str, event: usize) {
        let url = format!(
            "http://127.0.0.1:{}{}{name}/{event:05}.ics",
            self.port(),
            self.home()
        );
        runtime.block_on(Raw::new(ALICE).put(&url, calendar(event..event + 1, true)));
    }
}

fn commit(python: &Path, home: &Path) -> Result<()> {
    let output = Command::new(python)
        .args(["-I", "-c", COMMIT])
        .arg(home)
        .output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}
