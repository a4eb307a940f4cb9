//! What of a feed is not believed at once: that much of it is gone, and that its events are others.
//!
//! In: the feed as it was believed before, and as it came. Out: whether it is believed. Since when it
//! is in doubt is kept as a note, so that single passes find their way, too.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::split::Index;
use crate::calendar::Notes;

/// As many events may be gone at once, or one in so many.
const MOST: usize = 20;
const SHARE: usize = 5;
/// How far apart the two readings are by which it is believed.
const INTERVAL: chrono::Duration = chrono::Duration::seconds(60);
/// So many events under new UIDs, and half of all, make a feed one that mints them.
const MANY: usize = 3;
/// How long a feed counts as one that mints UIDs.
const MINTS: chrono::Duration = chrono::Duration::days(7);

/// Why a feed is not believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Distrust {
    /// Much of it is gone; another fetch may show so from `until` on.
    Shrunk {
        lost: usize,
        of: usize,
        until: DateTime<Utc>,
    },
    /// Its events have other UIDs than a fetch before.
    Minted { minted: usize, of: usize },
}

/// What is in doubt about one feed.
#[derive(Clone)]
pub(super) struct Doubts {
    short: String,
    mints: String,
    notes: Arc<dyn Notes>,
    seen: Arc<Mutex<Seen>>,
}

/// What was seen of its UIDs.
#[derive(Default)]
struct Seen {
    /// When others were last seen in place of them; `None` until that was looked up.
    minted: Option<Option<DateTime<Utc>>>,
    /// The identifiers of the feed that was last refused for them.
    refused: HashSet<Box<str>>,
}

impl Doubts {
    pub(super) fn new(name: &str, notes: Arc<dyn Notes>) -> Self {
        Self {
            short: format!("feed:{name}:short"),
            mints: format!("feed:{name}:mints"),
            notes,
            seen: Arc::default(),
        }
    }

    /// Whether the feed mints UIDs, as far as was seen.
    pub(super) fn mints(&self, now: DateTime<Utc>) -> bool {
        let mut seen = self.seen();
        let since = *seen.minted.get_or_insert_with(|| self.noted(&self.mints));
        since.is_some_and(|since| now.signed_duration_since(since) < MINTS)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that the feed is what was believed before.
    pub(super) fn unchanged(&self) {
        if self.noted(&self.short).is_some() {
            self.notes.store(&self.short, "");
        }
    }

    /// Judges `new`: its UIDs after those of the fetch `before`, its length after what was `shown`, in
    /// this process or by what was published before it.
    ///
    /// Whether it is believed although much of what was shown is gone.
    ///
    /// # Errors
    /// That it is not believed yet.
    pub(super) fn judge(
        &self,
        before: Option<&Index>,
        shown: Option<&Index>,
        new: &Index,
        now: DateTime<Utc>,
    ) -> Result<bool, Distrust> {
        if let Some(before) = before {
            self.judge_uids(before, new, now)?;
        }
        shown.map_or(Ok(false), |shown| self.judge_length(shown, new, now))
    }

    fn judge_uids(&self, before: &Index, new: &Index, now: DateTime<Utc>) -> Result<(), Distrust> {
        let (minted, of) = (minted(before, new).len(), new.pieces.len());
        let mut seen = self.seen();
        if minted < MANY || minted * 2 < of {
            seen.refused.clear();
            return Ok(());
        }
        seen.minted = Some(Some(now));
        self.notes.store(&self.mints, &now.to_rfc3339());
        // They stayed since they were refused: the feed has other UIDs once and for all, perhaps.
        let stayed = new.pieces.iter();
        let stayed = stayed.filter(|piece| seen.refused.contains(&piece.id));
        if stayed.count() * 10 >= of * 9 {
            seen.refused.clear();
            return Ok(());
        }
        seen.refused = new.pieces.iter().map(|piece| piece.id.clone()).collect();
        Err(Distrust::Minted { minted, of })
    }

    fn judge_length(
        &self,
        shown: &Index,
        new: &Index,
        now: DateTime<Utc>,
    ) -> Result<bool, Distrust> {
        let noted = self.noted(&self.short);
        let Some(lost) = shortage(shown, new) else {
            self.unchanged();
            return Ok(false);
        };
        let of = shown.pieces.len();
        let since = match noted {
            Some(since) if since <= now => since,
            _ => {
                self.notes.store(&self.short, &now.to_rfc3339());
                now
            }
        };
        let until = since.checked_add_signed(INTERVAL).unwrap_or(now);
        if now < until {
            return Err(Distrust::Shrunk { lost, of, until });
        }
        self.notes.store(&self.short, "");
        Ok(true)
    }

    fn noted(&self, key: &str) -> Option<DateTime<Utc>> {
        let text = self.notes.load(key)?;
        let time = DateTime::parse_from_rfc3339(&text).ok()?;
        Some(time.to_utc())
    }
}

/// How many of the events are gone from `new`, if that is much at once.
pub(super) fn shortage(before: &Index, new: &Index) -> Option<usize> {
    let of = before.pieces.len();
    let lost = before.pieces.iter();
    let lost = lost.filter(|old| new.find(&old.id).is_none()).count();
    let emptied = of > 0 && new.pieces.is_empty();
    (emptied || (lost > MOST && lost * SHARE > of)).then_some(lost)
}

/// The events of `new` that stand in `before` under another UID, which is gone.
pub(super) fn minted(before: &Index, new: &Index) -> HashSet<Box<str>> {
    let gone = before.pieces.iter();
    let gone = gone.filter(|old| new.find(&old.id).is_none());
    let mut contents: HashMap<u64, usize> = HashMap::new();
    for old in gone {
        *contents.entry(old.bare).or_default() += 1;
    }
    if contents.is_empty() {
        return HashSet::new();
    }
    let come = new.pieces.iter();
    come.filter(|piece| before.find(&piece.id).is_none())
        .filter(|piece| contents.contains_key(&piece.bare))
        .map(|piece| piece.id.clone())
        .collect()
}
