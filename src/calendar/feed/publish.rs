//! Where the enriched calendar goes: a file, or a place that takes PUT. Disk, network.
//!
//! What stands there is ours alone: it is replaced whatever became of it. Nothing is written when it
//! is there already, byte for byte.

use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};

use super::body::Body;
use super::enrich::Composition;
use super::fetch::{FetchError, Fetched, Place, Request, Validators};
use crate::calendar::{Again, ReadError, WriteRefusal};
use crate::model::Escaped;

/// The mode of a published file that was not there before.
const MODE: u32 = 0o644;
/// What the names of temporary files end with.
const TEMPORARY: &str = ".meetbridge-tmp";

/// What is said when there is no room for what is to be put.
pub(super) const UNKEPT: &str =
    "it cannot be put together in the state's directory; make room there, it is tried again";
/// How much is read and written at once.
const BUFFER: usize = 64 << 10;

/// What a file looked like: its inode, size and times.
type Appearance = (u64, u64, Option<SystemTime>);

/// Where the calendar is published.
pub(super) enum Target {
    File {
        path: PathBuf,
        /// How it looked when it was last read or written.
        seen: Option<Appearance>,
    },
    Web {
        place: Arc<Place>,
        /// What was last read or put there.
        etag: Option<HeaderValue>,
        last: Option<String>,
    },
}

impl Target {
    pub(super) fn file(path: PathBuf) -> Self {
        Self::File { path, seen: None }
    }

    pub(super) fn web(place: Arc<Place>) -> Self {
        Self::Web {
            place,
            etag: None,
            last: None,
        }
    }

    /// What is published there; `None` for nothing.
    ///
    /// # Errors
    /// When nobody knows.
    pub(super) async fn read(&mut self, name: &str) -> Result<Option<Body>, ReadError> {
        match self {
            Self::File { path, seen } => {
                let from = path.clone();
                let read = tokio::task::spawn_blocking(move || read(&from)).await;
                let read = read.map_err(io::Error::other).flatten();
                let (body, appearance) = read.map_err(|source| ReadError::Io {
                    what: shown(path),
                    hint: "what was published before cannot be read; let the user who runs \
                           meetbridge read it, or name another `publish-file`"
                        .to_owned(),
                    source,
                })?;
                *seen = appearance;
                Ok(body)
            }
            Self::Web { place, etag, last } => {
                let fetched = place.fetch(&Validators::default(), true).await;
                match fetched {
                    Ok(Fetched::Body {
                        body, validators, ..
                    }) => {
                        *etag = validators.etag;
                        *last = body.token().ok();
                        Ok(Some(body))
                    }
                    Ok(Fetched::NotModified) => Ok(None),
                    // What is there is no calendar, or nothing is: it is to become one.
                    Err(FetchError::Refused {
                        again: Again::Slowly,
                        ..
                    }) => Ok(None),
                    Err(error) => Err(error.into_read_error(&format!("{name}: `publish-url`"))),
                }
            }
        }
    }

    /// Whether somebody has been at it since it was last read or written, as far as looking tells.
    pub(super) fn is_disturbed(&self) -> bool {
        match self {
            Self::File { path, seen } => appearance(path).ok().flatten() != *seen,
            Self::Web { .. } => false,
        }
    }

    /// Makes it this calendar; whether it was something else before.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(super) async fn write(
        &mut self,
        name: &str,
        calendar: Composition,
    ) -> Result<bool, WriteRefusal> {
        match self {
            Self::File { path, seen } => {
                let to = path.clone();
                let work = tokio::task::spawn_blocking(move || replace(&to, &calendar)).await;
                let written = work.map_err(io::Error::other).flatten();
                let (changed, appearance) = written.map_err(|source| WriteRefusal {
                    what: format!("{name}: {}", shown(path)),
                    hint: hint(&source).to_owned(),
                    source: Some(source),
                })?;
                *seen = appearance;
                Ok(changed)
            }
            Self::Web { place, etag, last } => {
                let refusal = |hint: String, source| WriteRefusal {
                    what: format!("{name}: `publish-url`"),
                    hint,
                    source,
                };
                let to = Arc::clone(place);
                let work = tokio::task::spawn_blocking(move || joined(&to, &calendar)).await;
                let joined = work.map_err(io::Error::other).flatten();
                let (body, token) =
                    joined.map_err(|source| refusal(UNKEPT.to_owned(), Some(source)))?;
                if last.as_ref() == Some(&token) {
                    return Ok(false);
                }
                put(place, etag, body)
                    .await
                    .map_err(|error| refusal(error.to_string(), None))?;
                *last = Some(token);
                Ok(true)
            }
        }
    }
}

/// Puts the calendar there, in place of what was last seen there, or of whatever came meanwhile.
async fn put(
    place: &Place,
    etag: &mut Option<HeaderValue>,
    body: Arc<Body>,
) -> Result<(), FetchError> {
    let mut request = Request {
        method: Method::PUT,
        headers: HeaderMap::new(),
        body: Some(body),
        identity: true,
    };
    for is_last in [false, true] {
        request.headers.clear();
        let kind = HeaderValue::from_static("text/calendar; charset=utf-8");
        request.headers.insert(CONTENT_TYPE, kind);
        match etag.as_ref() {
            Some(known) if !is_weak(known) => {
                request.headers.insert(IF_MATCH, known.clone());
            }
            Some(_) => {}
            None => {
                let nothing = HeaderValue::from_static("*");
                request.headers.insert(IF_NONE_MATCH, nothing);
            }
        }
        let answer = place.send(&request).await?;
        match answer.status {
            status if status.is_success() => {
                // Without one, the next write finds it out.
                *etag = answer.headers.get(ETAG).cloned();
                return Ok(());
            }
            StatusCode::PRECONDITION_FAILED if !is_last => {
                // Somebody was there: what stands there is ours to replace.
                *etag = place.etag().await?;
            }
            _ => return Err(refusal(place, answer.status)),
        }
    }
    Err(refusal(place, StatusCode::PRECONDITION_FAILED))
}

pub(super) fn is_weak(etag: &HeaderValue) -> bool {
    etag.as_bytes().starts_with(b"W/")
}

/// What a status that stores nothing means.
pub(super) fn refusal(place: &Place, status: StatusCode) -> FetchError {
    let (why, again) = match status.as_u16() {
        401 | 403 => (
            "does not let the calendar be stored; give the user who signs in the right to write there",
            Again::Slowly,
        ),
        404 | 409 => (
            "has no folder for the calendar; make it, or correct the address",
            Again::Slowly,
        ),
        405 | 501 => (
            "takes no PUT there; publish to a WebDAV address, or by `publish-file`",
            Again::Slowly,
        ),
        412 => ("is changed by somebody else all the time", Again::Soon),
        413 => ("takes no calendar of this size", Again::Slowly),
        423 => ("has the calendar locked; it is tried again", Again::Soon),
        507 => ("has no space left; it is tried again", Again::Soon),
        500.. => ("fails; it is tried again", Again::Soon),
        _ => ("did not store the calendar", Again::Slowly),
    };
    place.refused(format!("{why} (HTTP {})", status.as_u16()), again)
}

fn shown(path: &Path) -> String {
    Escaped(&path.to_string_lossy()).to_string()
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "cannot be replaced; let the user who runs meetbridge write its directory, and list that \
             in ReadWritePaths= of the systemd unit"
        }
        io::ErrorKind::NotFound => "its directory is not there; make it",
        io::ErrorKind::IsADirectory => "is no regular file; name a file as `publish-file`",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "no space left on its file system; free some, it is tried again"
        }
        _ => "could not be written; it is tried again",
    }
}

fn appearance(path: &Path) -> io::Result<Option<Appearance>> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some((found.ino(), found.len(), found.modified().ok()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What stands in the file, nothing where it is absent.
fn read(path: &Path) -> io::Result<(Option<Body>, Option<Appearance>)> {
    let appearance = appearance(path)?;
    if appearance.is_none() {
        return Ok((None, None));
    }
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let body = Body::of(std::fs::File::open(path)?)?;
    Ok((Some(body), appearance))
}

/// A calendar in a file of its own, and what stands for it.
fn joined(place: &Place, calendar: &Composition) -> io::Result<(Arc<Body>, String)> {
    let body = place.keep(|spool| {
        let mut out = BufWriter::with_capacity(BUFFER, spool);
        calendar.blocks(|block| out.write_all(block).map(|()| true))?;
        out.flush()
    })?;
    let token = body.token()?;
    Ok((body, token))
}

/// Replaces the file by one with this calendar, at once and for good, unless it holds that.
fn replace(path: &Path, calendar: &Composition) -> io::Result<(bool, Option<Appearance>)> {
    // A link stays one: what it leads to is replaced.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) => {
            if found.len() == calendar.len() && holds(path, calendar)? {
                return Ok((false, appearance(path)?));
            }
            found.mode() & 0o777
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => MODE,
        Err(error) => return Err(error),
    };
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::IsADirectory.into());
    };
    let name = name.to_string_lossy();
    sweep(directory, &name);
    let mut new = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(TEMPORARY)
        .tempfile_in(directory)?;
    let mut out = BufWriter::with_capacity(BUFFER, new.as_file_mut());
    calendar.blocks(|block| out.write_all(block).map(|()| true))?;
    out.flush()?;
    drop(out);
    new.as_file()
        .set_permissions(std::fs::Permissions::from_mode(mode))?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(directory)?.sync_all()?;
    Ok((true, appearance(path)?))
}

/// Whether the file holds exactly this calendar, which has as many bytes.
fn holds(path: &Path, calendar: &Composition) -> io::Result<bool> {
    let mut file = BufReader::with_capacity(BUFFER, std::fs::File::open(path)?);
    let mut buffer = Vec::new();
    calendar.blocks(|block| {
        buffer.resize(block.len(), 0);
        match file.read_exact(&mut buffer) {
            Ok(()) => Ok(buffer == block),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    })
}

/// Removes what a process left behind that was killed while it published.
fn sweep(directory: &Path, name: &str) {
    let prefix = format!(".{name}.");
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let found = entry.file_name();
        let found = found.to_string_lossy();
        if found.starts_with(&prefix) && found.ends_with(TEMPORARY) {
            // One that stays is removed by a later sweep.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
