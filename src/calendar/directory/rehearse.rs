//! Whether files could be replaced with everything kept but their content: tried, without replacing any.

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FileType, accessat};

use super::{Directory, Place, file, name, write};
use crate::calendar::WriteRefusal;

/// How many files are looked at.
const FILES: usize = 10_000;

/// How many kinds of files are tried.
const KINDS: usize = 16;

/// What a replacement has to keep: user, group and mode.
type Kind = (u32, u32, u16);

impl Directory {
    /// Tries one file of each owner, group and mode: makes an empty temporary file beside it, gives it all
    /// that a replacement would have to keep, and removes it. Returns why a write would be refused. Blocks.
    pub fn rehearse(&self) -> Vec<WriteRefusal> {
        let place = &*self.place;
        // That the directory cannot be written is a fault of its own.
        let open = Access::WRITE_OK | Access::EXEC_OK;
        if accessat(CWD, &place.root, open, AtFlags::EACCESS).is_err() {
            return Vec::new();
        }
        let tried = kinds(place);
        let refused = tried.into_iter().map(|path| write::rehearse(place, &path));
        refused.filter_map(Result::err).collect()
    }
}

/// A file of each kind, of the first that are found.
fn kinds(place: &Place) -> Vec<PathBuf> {
    let (mut seen, mut found) = (BTreeSet::<Kind>::new(), Vec::new());
    let Ok(root) = file::open_root(&place.root) else {
        return found;
    };
    let depth = if place.only.is_some() { 0 } else { file::DEPTH };
    let mut left = FILES;
    file::directories(root.as_fd(), Path::new(""), depth, |path, directory| {
        // One that breaks off is reported by a reading.
        let _ = file::entries(directory, |entry, kind| {
            let path = path.join(entry);
            if kind == FileType::RegularFile && !name::is_hidden(entry) && place.holds(&path) {
                left = left.saturating_sub(1);
                if let Ok(stat) = file::stat_at(directory, entry)
                    && seen.insert((stat.stx_uid, stat.stx_gid, stat.stx_mode))
                {
                    found.push(path);
                }
            }
            left > 0 && found.len() < KINDS
        });
    });
    found
}
