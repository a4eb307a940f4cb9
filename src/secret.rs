//! Where secrets come from: files, commands, systemd credentials. Redaction is by type.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use tokio::io::AsyncReadExt as _;

/// The largest secret, in bytes.
pub const LARGEST: usize = 64 * 1024;

/// How long a command may take to print a secret.
const COMMAND_TIME: Duration = Duration::from_secs(10);

/// Where credentials lie that systemd has not passed to this process.
const CREDENTIAL_STORE: &str = "/etc/credstore";

/// Where a secret is to be read, each time it is needed; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that holds nothing else.
    File(PathBuf),
    /// A program and its arguments, run without a shell, which prints it.
    Command(Vec<String>),
    /// A systemd credential's name: a file in `$CREDENTIALS_DIRECTORY`, else in `/etc/credstore`.
    Credential(String),
}

/// Why a secret cannot be had. Names the place and what to do; never holds the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{path}: cannot be read ({cause}); put the secret there, readable by meetbridge alone")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: std::io::Error,
    },
    /// The path names something that is no file.
    #[error("{path}: is not a regular file; name a file that holds the secret")]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// The credential's name cannot be one.
    #[error(
        "credential `{name}`: not a name; use the one that LoadCredential= gives it, without `/`"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The command failed.
    #[error("command `{program}` gave no secret: {why}")]
    Command {
        /// The program, without its arguments.
        program: String,
        /// What went wrong, and what to do.
        why: String,
    },
    /// What was read cannot be a secret.
    #[error("{place}: {why}; it must hold the secret and nothing else, as UTF-8 text")]
    Unusable {
        /// The file or command.
        place: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl SecretSource {
    /// Reads the secret anew. One newline at its end (LF or CRLF) does not belong to it.
    ///
    /// # Errors
    /// When it cannot be read, is empty, larger than 64 KiB, or not UTF-8; when a command fails or
    /// takes longer than ten seconds.
    pub async fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::File(path) => from_file(path.clone()).await,
            Self::Credential(name) => from_file(credential_path(name)?).await,
            Self::Command(arguments) => from_command(arguments).await,
        }
    }
}

/// Names the place, for messages that say where to put another secret.
impl std::fmt::Display for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Command(arguments) => {
                write!(
                    f,
                    "the output of `{}`",
                    arguments.first().map_or("", String::as_str)
                )
            }
            Self::Credential(name) => write!(f, "the systemd credential `{name}`"),
        }
    }
}

fn credential_path(name: &str) -> Result<PathBuf, SecretError> {
    if name.is_empty() || name.contains(['/', '\0']) || matches!(name, "." | "..") {
        return Err(SecretError::Name {
            name: name.escape_default().to_string(),
        });
    }
    let passed = std::env::var_os("CREDENTIALS_DIRECTORY")
        .map(|directory| Path::new(&directory).join(name))
        .filter(|path| path.exists());
    Ok(passed.unwrap_or_else(|| Path::new(CREDENTIAL_STORE).join(name)))
}

async fn from_file(path: PathBuf) -> Result<SecretString, SecretError> {
    let place = path.display().to_string();
    let shown = path.clone();
    tokio::task::spawn_blocking(move || {
        let unreadable = |cause| SecretError::Unreadable {
            path: path.clone(),
            cause,
        };
        // A pipe or a device could keep the reader waiting for ever.
        if !std::fs::metadata(&path).map_err(unreadable)?.is_file() {
            return Err(SecretError::NoFile { path: path.clone() });
        }
        let file = std::fs::File::open(&path).map_err(unreadable)?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(LARGEST as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        secret(&bytes, place)
    })
    .await
    .unwrap_or_else(|_| {
        Err(SecretError::Unreadable {
            path: shown,
            cause: std::io::Error::other("the reading was broken off"),
        })
    })
}

async fn from_command(arguments: &[String]) -> Result<SecretString, SecretError> {
    let (program, arguments) = arguments
        .split_first()
        .ok_or_else(|| SecretError::Unusable {
            place: "the command".to_owned(),
            why: "is empty",
        })?;
    let failed = |why: String| SecretError::Command {
        program: program.clone(),
        why,
    };
    // What it prints beside the secret might hold it, so it goes nowhere.
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("it cannot be started ({error}); check its path")))?;
    let read = async {
        let mut bytes = Zeroizing::new(Vec::new());
        if let Some(output) = child.stdout.take() {
            output
                .take(LARGEST as u64 + 1)
                .read_to_end(&mut bytes)
                .await?;
        }
        // Nobody reads on: a command that prints more ends by its broken pipe.
        let status = child.wait().await?;
        Ok::<_, std::io::Error>((bytes, status))
    };
    let (bytes, status) = tokio::time::timeout(COMMAND_TIME, read)
        .await
        .map_err(|_| failed("it took longer than 10 s; run it by hand to see why".to_owned()))?
        .map_err(|error| failed(format!("its output cannot be read ({error})")))?;
    if bytes.len() <= LARGEST && !status.success() {
        return Err(failed(format!(
            "it ended with {status}; run it by hand to see why"
        )));
    }
    secret(&bytes, format!("command `{program}`"))
}

fn secret(bytes: &[u8], place: String) -> Result<SecretString, SecretError> {
    if bytes.len() > LARGEST {
        return Err(SecretError::Unusable {
            place,
            why: "holds more than 64 KiB",
        });
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => {
            return Err(SecretError::Unusable {
                place,
                why: "is not UTF-8",
            });
        }
    };
    let text = text
        .strip_suffix('\n')
        .map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err(SecretError::Unusable {
            place,
            why: "is empty",
        });
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[tokio::test]
    async fn a_file_gives_its_text_without_the_last_newline() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let largest = "x".repeat(LARGEST);
        let too_large = "x".repeat(LARGEST + 1);
        let cases: [(&[u8], Result<&str, &str>); 9] = [
            (b"s3cret\n", Ok("s3cret")),
            (b"s3cret", Ok("s3cret")),
            (b"s3cret\r\n", Ok("s3cret")),
            (b"s3cret\n\n", Ok("s3cret\n")),
            (b" s3cret ", Ok(" s3cret ")),
            (largest.as_bytes(), Ok(&largest)),
            (b"\n", Err("is empty")),
            (b"s3\xff", Err("is not UTF-8")),
            (too_large.as_bytes(), Err("holds more than 64 KiB")),
        ];
        for (bytes, expected) in cases {
            std::fs::write(&path, bytes).unwrap();
            let found = SecretSource::File(path.clone()).read().await;
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert!(found.expose_secret() == expected),
                (Err(error), Err(why)) => {
                    let text = error.to_string();
                    assert!(text.contains(why) && text.contains("/secret"), "{text}");
                    assert!(!text.contains("s3"), "{text}");
                }
                (found, expected) => panic!("{found:?} instead of {}", expected.is_ok()),
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_file_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let cases = [
            (SecretSource::File(missing), "missing: cannot be read"),
            (
                SecretSource::File(directory.path().into()),
                "is not a regular file",
            ),
            (
                SecretSource::File("/dev/zero".into()),
                "is not a regular file",
            ),
            (SecretSource::Credential("../shadow".into()), "not a name"),
            (SecretSource::Credential("..".into()), "not a name"),
            (SecretSource::Credential(String::new()), "not a name"),
            (
                SecretSource::Credential("meetbridge-absent".into()),
                "cannot be read",
            ),
        ];
        for (source, expected) in cases {
            let text = source.read().await.unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
    }

    #[tokio::test]
    async fn a_command_prints_the_secret() {
        let command = |arguments: &[&str]| {
            SecretSource::Command(arguments.iter().map(|&part| part.to_owned()).collect())
        };
        let found = command(&["echo", "$HOME; s3cret"]).read().await.unwrap();
        assert_eq!(
            found.expose_secret(),
            "$HOME; s3cret",
            "no shell takes part"
        );
        for (arguments, expected) in [
            (vec!["false"], "`false` gave no secret: it ended with"),
            (vec!["meetbridge-no-such-program"], "cannot be started"),
            (vec!["true"], "is empty"),
            (vec!["head", "-c", "70000", "/dev/zero"], "more than 64 KiB"),
            (vec![], "is empty"),
        ] {
            let text = command(&arguments).read().await.unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_secret_does_not_show() {
        let secret = secret(b"s3cret", String::new()).unwrap();
        assert!(!format!("{secret:?}").contains("s3cret"));
    }
}
