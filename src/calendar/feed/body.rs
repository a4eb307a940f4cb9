//! The bytes of a calendar, kept in a file without a name: a feed may be large, and is looked at piece
//! by piece, as is what is published of it. Disk.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{self, Stream};
use sha2::{Digest as _, Sha256};

use crate::ical::document::MAX_BYTES;
use crate::model::hex;

/// How much is read at once.
const BLOCK: usize = 256 << 10;

/// The bytes of a calendar.
#[derive(Debug)]
pub(super) struct Body {
    file: File,
    len: usize,
}

/// A body that is being written.
pub(super) struct Spool {
    file: File,
    len: usize,
}

/// A file without a name in this directory, or else where the system has its temporary files. Nothing of
/// it stays when the process ends.
pub(super) fn unnamed(directory: &Path) -> io::Result<File> {
    tempfile::tempfile_in(directory).or_else(|_| tempfile::tempfile())
}

impl Spool {
    /// One in this directory, as [`unnamed`] says.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            file: unnamed(directory)?,
            len: 0,
        })
    }

    pub(super) fn finish(self) -> Body {
        Body {
            file: self.file,
            len: self.len,
        }
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.len += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Body {
    /// What stands in an open file, which others may change meanwhile; nothing, where that is more than
    /// any calendar has.
    pub(super) fn of(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let len = usize::try_from(len).ok().filter(|len| *len <= MAX_BYTES);
        Ok(Self {
            file,
            len: len.unwrap_or_default(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The bytes of a range within it.
    pub(super) fn read(&self, range: Range<usize>) -> io::Result<Vec<u8>> {
        if range.start > range.end || range.end > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; range.len()];
        self.file.read_exact_at(&mut bytes, range.start as u64)?;
        Ok(bytes)
    }

    pub(super) fn all(&self) -> io::Result<Vec<u8>> {
        self.read(0..self.len)
    }

    /// Shows the bytes of a range block by block, until `sink` has seen enough. Whether it saw them all.
    pub(super) fn blocks(
        &self,
        range: Range<usize>,
        mut sink: impl FnMut(&[u8]) -> io::Result<bool>,
    ) -> io::Result<bool> {
        let mut buffer = vec![0; BLOCK.min(range.len())];
        let mut at = range.start;
        while at < range.end {
            let n = BLOCK.min(range.end - at);
            let Some(block) = buffer.get_mut(..n) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            self.file.read_exact_at(block, at as u64)?;
            if !sink(block)? {
                return Ok(false);
            }
            at += n;
        }
        Ok(true)
    }

    /// All of it from the beginning, block by block.
    pub(super) fn stream(
        self: &Arc<Self>,
    ) -> impl Stream<Item = io::Result<Vec<u8>>> + Send + use<> {
        stream::try_unfold((Arc::clone(self), 0), |(body, at)| async move {
            let end = body.len.min(at + BLOCK);
            if at == end {
                return Ok(None);
            }
            let from = Arc::clone(&body);
            let read = tokio::task::spawn_blocking(move || from.read(at..end)).await;
            let block = read.map_err(io::Error::other).flatten()?;
            Ok(Some((block, (body, end))))
        })
    }

    /// Stands for all of it.
    pub(super) fn token(&self) -> io::Result<String> {
        let mut all = Sha256::new();
        self.blocks(0..self.len, |block| {
            all.update(block);
            Ok(true)
        })?;
        Ok(hex(&all.finalize()[..16]))
    }
}
