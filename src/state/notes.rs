//! What calendar ports learned about their servers, under keys of their own.

use rusqlite::OptionalExtension as _;

use super::store::State;
use super::tables::put;
use crate::calendar::Notes;

/// A note that cannot be read or stored is as one that was lost: it is learned again.
impl Notes for State {
    fn load(&self, key: &str) -> Option<String> {
        let note = self.read(|c| {
            c.prepare_cached("SELECT text FROM notes WHERE key = ?1")?
                .query_row([key], |row| row.get(0))
                .optional()
        });
        note.ok().flatten()
    }

    fn store(&self, key: &str, text: &str) {
        let _ = self.write(|c| {
            put(
                c,
                "SELECT 1 FROM notes WHERE key = ?1 AND text = ?2",
                "INSERT OR REPLACE INTO notes (key, text) VALUES (?1, ?2)",
                std::iter::once((key, text)),
            )
        });
    }
}
