//! A calendar directory and the world around it.

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use meetbridge::calendar::Calendar;
use meetbridge::calendar::directory::Directory;
use meetbridge::config::Source;
use meetbridge::sync::{Bridge, Watched};

use crate::support::Result;
use crate::support::events::calendar;
use crate::support::world::{World, assemble, quoted, watched};

/// A world whose one calendar is a directory.
pub(crate) struct Folder(World);

impl Folder {
    /// An empty calendar directory, and a Graph that takes `latency` for each answer.
    pub(crate) async fn new(latency: Duration) -> Result<Self> {
        let world = World::new(latency, |home| {
            let path = home.join("calendar");
            std::fs::create_dir(&path)?;
            let path = quoted(&path);
            Ok(format!(
                "[[calendar.directory]]\nname = \"team\"\npath = {path}\n"
            ))
        });
        Ok(Self(world.await?))
    }

    /// The calendar directory.
    pub(crate) fn calendar(&self) -> PathBuf {
        self.home().join("calendar")
    }

    /// Fills the calendar directory: one event in each of `count` files.
    pub(crate) fn fill(&self, count: usize, attendees: bool) -> io::Result<()> {
        for n in 0..count {
            let file = self.calendar().join(format!("{n:05}.ics"));
            std::fs::write(file, calendar(n..n + 1, attendees))?;
        }
        Ok(())
    }
}

impl Deref for Folder {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

/// The running parts of a home.
pub(crate) fn open(home: &Path) -> Result<(Bridge, Watched)> {
    let parts = assemble(home)?;
    let (table, clock) = (parts.table, parts.clock);
    let port: Arc<dyn Calendar> = match &table.source {
        Source::Directory { path } => Arc::new(Directory::directory(path.clone(), clock)),
        Source::File { path } => Arc::new(Directory::file(path.clone(), clock)),
        Source::CalDav(_) | Source::Feed(_) => {
            return Err("this measures directories".into());
        }
    };
    let calendar = watched(&table, table.name.clone(), port);
    Ok((parts.bridge, calendar))
}
