//! Byte strings in a file without a name, each found again by where it stands. Disk.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::body::unnamed;

/// Where a byte string stands.
pub(super) type Slot = Range<u64>;

/// A file of byte strings, which only grows. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    file: Arc<File>,
    len: u64,
}

impl Shelf {
    /// An empty one, in this directory as a [`super::body::Spool`] is.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            file: Arc::new(unnamed(directory)?),
            len: 0,
        })
    }

    /// How many bytes it has.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<Slot> {
        self.file.write_all_at(bytes, self.len)?;
        let start = self.len;
        self.len += bytes.len() as u64;
        Ok(start..self.len)
    }

    pub(super) fn get(&self, slot: &Slot) -> io::Result<Vec<u8>> {
        let len = slot.end.saturating_sub(slot.start);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, slot.start)?;
        Ok(bytes)
    }
}
