//! The tables, their versions, and whose file it is.

use rusqlite::{Connection, TransactionBehavior};

use super::error::means_damage;

/// SQLite's `application_id` of our files: "MTBR".
const APPLICATION: i64 = 0x4d54_4252;

/// One entry per schema version, in order; each runs once, in a transaction. Entries are never
/// changed after a release, only added.
///
/// Times are microseconds since 1970 in UTC, days are counted from the common era, phases are 0
/// (intended), 1 (written), 2 (seen), 3 (taken out), 4 (opted out).
pub(super) const STEPS: &[&str] = &[
    "
    CREATE TABLE calendars (
        calendar TEXT PRIMARY KEY,
        first_pass_done INTEGER NOT NULL,
        consented INTEGER NOT NULL,
        rules TEXT NOT NULL,
        frozen_since INTEGER,
        frozen_why TEXT,
        last_pass INTEGER,
        failing TEXT
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE resources (
        calendar TEXT NOT NULL,
        resource TEXT NOT NULL,
        version TEXT NOT NULL,
        first_seen INTEGER NOT NULL,
        due INTEGER,
        outcome TEXT NOT NULL,
        PRIMARY KEY (calendar, resource)
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX resources_due ON resources (calendar, due) WHERE due IS NOT NULL;

    CREATE TABLE links (
        calendar TEXT NOT NULL,
        resource TEXT NOT NULL,
        uid TEXT NOT NULL,
        organizer TEXT NOT NULL,
        external_id TEXT NOT NULL,
        generation INTEGER NOT NULL,
        phase INTEGER NOT NULL,
        before TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        written INTEGER NOT NULL,
        PRIMARY KEY (calendar, resource, uid)
    ) STRICT, WITHOUT ROWID;

    -- Nearly always empty, so that asking for what is to be confirmed costs nothing.
    CREATE INDEX links_written ON links (calendar) WHERE phase = 1;

    -- With a rowid: its rows are too long to stand in the inner pages of a tree.
    CREATE TABLE meetings (
        organizer TEXT NOT NULL,
        external_id TEXT NOT NULL,
        uid TEXT NOT NULL,
        meeting TEXT NOT NULL,
        url_sha256 BLOB NOT NULL,
        schedule TEXT NOT NULL,
        created INTEGER NOT NULL,
        PRIMARY KEY (organizer, external_id)
    ) STRICT;

    CREATE INDEX meetings_by_url ON meetings (url_sha256);

    CREATE TABLE creations (
        scope TEXT NOT NULL,
        day INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (scope, day)
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX creations_by_day ON creations (day);

    CREATE TABLE windows (
        scope TEXT PRIMARY KEY,
        until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE calendars ADD COLUMN token TEXT;
    ALTER TABLE calendars ADD COLUMN kept TEXT;
    ALTER TABLE links ADD COLUMN ends INTEGER;
    ALTER TABLE links ADD COLUMN gone INTEGER;
    ALTER TABLE links ADD COLUMN gone_confirmed INTEGER NOT NULL DEFAULT 0;
    -- When the events end shows when they are decided again.
    UPDATE calendars SET rules = '';

    CREATE TABLE notes (
        key TEXT PRIMARY KEY,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE meetings ADD COLUMN settings TEXT NOT NULL DEFAULT '';
",
    "
    ALTER TABLE links ADD COLUMN cancelled INTEGER;
    ALTER TABLE links ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;

    -- Few, so that asking whose meeting is to end costs next to nothing.
    CREATE INDEX links_ended ON links (calendar)
        WHERE (gone IS NOT NULL OR cancelled IS NOT NULL) AND closed = 0;

    -- Where else an event is linked.
    CREATE INDEX links_by_uid ON links (uid);

    CREATE TABLE endings (
        organizer TEXT NOT NULL,
        external_id TEXT NOT NULL,
        begun INTEGER NOT NULL,
        due INTEGER NOT NULL,
        PRIMARY KEY (organizer, external_id)
    ) STRICT, WITHOUT ROWID;

    -- What the service does not find: a meeting, or where external_id is empty, an organizer.
    CREATE TABLE absences (
        organizer TEXT NOT NULL,
        external_id TEXT NOT NULL,
        since INTEGER NOT NULL,
        PRIMARY KEY (organizer, external_id)
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE links ADD COLUMN former INTEGER NOT NULL DEFAULT 0;

    -- Meetings that others have replaced under their keys, or are about to. fate: 0 (open), 1 (its end
    -- has begun), 2 (ended).
    CREATE TABLE formers (
        organizer TEXT NOT NULL,
        external_id TEXT NOT NULL,
        url_sha256 BLOB NOT NULL,
        uid TEXT NOT NULL,
        meeting TEXT NOT NULL,
        schedule TEXT NOT NULL,
        settings TEXT NOT NULL,
        created INTEGER NOT NULL,
        calendar TEXT NOT NULL,
        since INTEGER NOT NULL,
        fate INTEGER NOT NULL,
        due INTEGER NOT NULL,
        PRIMARY KEY (organizer, external_id, url_sha256)
    ) STRICT;

    CREATE INDEX formers_by_url ON formers (url_sha256);

    CREATE INDEX formers_by_calendar ON formers (calendar, due) WHERE fate < 2;
",
    "
    ALTER TABLE calendars ADD COLUMN needs_person INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE links ADD COLUMN unmarked INTEGER NOT NULL DEFAULT 0;
    -- Which events have no mark shows when they are decided again.
    UPDATE calendars SET rules = '';

    -- What is over, the oldest first.
    CREATE INDEX links_by_end ON links (ends, calendar, resource, uid) WHERE ends IS NOT NULL;

    -- The one row: the version of the program that has the file.
    CREATE TABLE written_by (
        version TEXT NOT NULL
    ) STRICT;
",
];

/// Every table of the newest version.
const TABLES: [&str; 11] = [
    "calendars",
    "resources",
    "links",
    "meetings",
    "creations",
    "windows",
    "notes",
    "endings",
    "absences",
    "formers",
    "written_by",
];

/// The schema version that this program writes.
pub(super) const KNOWN: i64 = STEPS.len() as i64;

/// The version of this program.
pub(super) const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// A longer text is no version of a program.
const LONGEST_VERSION: usize = 64;

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An empty database, to be filled.
    Empty,
    /// Ours, of this version, which is [`KNOWN`] or older.
    Ours(i64),
    /// Ours, of this version, which is newer, and by which program, where it says so.
    Newer(i64, Option<String>),
    /// No database, a broken one, or one of another program.
    Damaged,
}

/// Looks at the file's header, its list of tables and the first pages of each; not at every page:
/// a million links are half a gigabyte. What lies deeper shows when it is read.
pub(super) fn look(connection: &Connection) -> rusqlite::Result<Found> {
    match try_look(connection) {
        Err(e) if means_damage(&e) => Ok(Found::Damaged),
        result => result,
    }
}

fn try_look(connection: &Connection) -> rusqlite::Result<Found> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let tables = number("SELECT COUNT(*) FROM sqlite_schema")?;
    Ok(match (application, version) {
        (0, 0) if tables == 0 => Found::Empty,
        (APPLICATION, newer) if newer > KNOWN => Found::Newer(newer, writer(connection)),
        (APPLICATION, KNOWN) => {
            for table in TABLES {
                if !connection.table_exists(None, table)? {
                    return Ok(Found::Damaged);
                }
                number(&format!("SELECT EXISTS (SELECT 1 FROM {table})"))?;
            }
            Found::Ours(KNOWN)
        }
        (APPLICATION, older) if older > 0 => Found::Ours(older),
        _ => Found::Damaged,
    })
}

/// The version of the program that had the file last, as far as it can be read: what a later schema does
/// with that table nobody knows, and the file may be anybody's.
fn writer(connection: &Connection) -> Option<String> {
    let found = connection.query_row("SELECT version FROM written_by LIMIT 1", [], |row| {
        row.get::<_, String>(0)
    });
    let is_version = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    found
        .ok()
        .filter(|text| (1..=LONGEST_VERSION).contains(&text.len()) && text.chars().all(is_version))
}

/// Brings the schema from version `from` to [`KNOWN`], and says in the file which program has it.
pub(super) fn migrate(connection: &mut Connection, from: i64) -> rusqlite::Result<()> {
    migrate_by(STEPS, connection, from)?;
    if writer(connection).as_deref() == Some(PROGRAM) {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("DELETE FROM written_by", [])?;
    transaction.execute("INSERT INTO written_by (version) VALUES (?1)", [PROGRAM])?;
    transaction.commit()
}

/// Takes those of `steps` that a file of version `from` has not seen; a crash between two of them
/// leaves a file of a version in between.
pub(super) fn migrate_by(
    steps: &[&str],
    connection: &mut Connection,
    from: i64,
) -> rusqlite::Result<()> {
    for (version, step) in (1_i64..).zip(steps) {
        if version <= from {
            continue;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}
