//! Giving a new file what the old one has beside its content: owner, mode, ACL and other extended
//! attributes. Blocks.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt as _, fchown};

use rustix::fs::{Statx, XattrFlags};
use rustix::io::Errno;

use super::file;

/// The largest value of an extended attribute, and the longest list of names, on Linux.
const XATTR: usize = 64 << 10;

/// What could not be kept, for the hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// User or group.
    Owner,
    /// The mode bits.
    Mode,
    /// An access control list or another extended attribute.
    Attributes,
}

/// Makes `new` like `old`, which is described by `of`.
///
/// # Errors
/// What could not be made the same, and why. The new file must not take the old one's place then.
pub(super) fn keep(old: impl AsFd, of: &Statx, new: &File) -> Result<(), (Part, io::Error)> {
    let part = |part| move |error| (part, error);
    let made = file::stat(new).map_err(part(Part::Owner))?;
    if (made.stx_uid, made.stx_gid) != (of.stx_uid, of.stx_gid) {
        fchown(new, Some(of.stx_uid), Some(of.stx_gid)).map_err(part(Part::Owner))?;
    }
    attributes(old, new).map_err(part(Part::Attributes))?;
    let mode = u32::from(of.stx_mode) & 0o7777;
    // Last, because an owner that changes takes set-id bits and an ACL writes the group bits.
    new.set_permissions(Permissions::from_mode(mode))
        .map_err(part(Part::Mode))?;
    let made = file::stat(new).map_err(part(Part::Mode))?;
    if u32::from(made.stx_mode) & 0o7777 != mode {
        // As when a group that is not the service's own takes the set-group-id bit.
        return Err((Part::Mode, Errno::PERM.into()));
    }
    Ok(())
}

fn attributes(old: impl AsFd, new: &File) -> io::Result<()> {
    let wanted = all(old)?;
    let mut made = all(new)?;
    for (name, value) in &wanted {
        if made.remove(name).as_ref() != Some(value) {
            rustix::fs::fsetxattr(new, name, value, XattrFlags::empty())?;
        }
    }
    for name in made.into_keys() {
        // Given by the directory (a default ACL), or by the system, whose labels are its own affair.
        if !name.as_bytes().starts_with(b"security.") {
            rustix::fs::fremovexattr(new, &name)?;
        }
    }
    Ok(())
}

/// Every extended attribute that is visible; none where the file system has none.
fn all(file: impl AsFd) -> io::Result<BTreeMap<CString, Vec<u8>>> {
    let mut buffer = vec![0; XATTR];
    let length = match rustix::fs::flistxattr(&file, buffer.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let names = buffer.get(..length).unwrap_or_default().to_vec();
    let mut attributes = BTreeMap::new();
    for name in names.split(|&b| b == 0).filter(|name| !name.is_empty()) {
        let name = CString::new(name)?;
        match rustix::fs::fgetxattr(&file, &name, buffer.as_mut_slice()) {
            Ok(length) => {
                let value = buffer.get(..length).unwrap_or_default().to_vec();
                attributes.insert(name, value);
            }
            // Listed, yet gone or not for us to see: the new file has, or gets, none either.
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(attributes)
}
