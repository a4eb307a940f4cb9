//! The virtual environment with what `tests/servers/requirements.txt` names, under Cargo's target directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// Says which Python it is, and refuses one for which there are no hashes.
const WHICH: &str =
    "import sys; print(sys.version, sys.prefix); sys.exit(sys.version_info < (3, 11))";

/// The environment's Python; made once, then used by every process and thread.
///
/// # Panics
/// When it cannot be made; the message says what to do.
pub(crate) fn shared() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let under = Path::new(env!("CARGO_TARGET_TMPDIR")).join("servers");
        environment(&["python3"], &super::beside("requirements.txt"), &under).unwrap_or_else(
            |what| panic!("the tests against real CalDAV servers cannot run: {what}"),
        )
    })
}

/// The Python of an environment in `under` that holds exactly what `requirements` names; made where it
/// is not there. Another list, or another Python, has another environment.
///
/// # Errors
/// What is missing and what to do about it.
pub(crate) fn environment(
    python: &[&str],
    requirements: &Path,
    under: &Path,
) -> Result<PathBuf, String> {
    let which = output(program(python).arg("-c").arg(WHICH)).map_err(|cause| {
        format!(
            "there is no usable `python3` ({cause}); install Python 3.11 or later with its `venv` \
             (Debian and Ubuntu: apt-get install python3 python3-venv)"
        )
    })?;
    let list = fs::read(requirements).map_err(|e| format!("{}: {e}", requirements.display()))?;
    let digest = Sha256::new()
        .chain_update(which)
        .chain_update(list)
        .finalize();
    let home = under.join(format!("venv-{}", &HEXLOWER.encode(&digest)[..12]));
    let (made, complete) = (home.join("bin/python"), home.join("complete"));

    let io = |e| format!("{}: {e}", home.display());
    fs::create_dir_all(under).map_err(io)?;
    // Whoever else wants it waits here, in this process or in another one.
    let lock = File::create(home.with_extension("lock")).map_err(io)?;
    lock.lock().map_err(io)?;
    if complete.exists() {
        return Ok(made);
    }
    match fs::remove_dir_all(&home) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io(e)),
        _ => {}
    }
    output(program(python).args(["-m", "venv"]).arg(&home)).map_err(|cause| {
        format!(
            "`python3 -m venv` fails ({cause}); install Python's `venv` with `pip` (Debian and \
             Ubuntu: apt-get install python3-venv)"
        )
    })?;
    let mut pip = Command::new(&made);
    pip.args([
        "-I",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
    ])
    .args(["install", "--quiet", "--require-hashes", "-r"])
    .arg(requirements);
    output(&mut pip).map_err(|cause| {
        format!(
            "`pip install --require-hashes -r {}` fails ({cause}); it needs the network once: \
             check that `pip` reaches its package index (a proxy: HTTPS_PROXY)",
            requirements.display()
        )
    })?;
    fs::write(&complete, "").map_err(io)?;
    Ok(made)
}

fn program(words: &[&str]) -> Command {
    let (first, rest) = words.split_first().expect("a program");
    let mut command = Command::new(first);
    command.args(rest);
    command
}

/// What a command prints; else why it failed: the last lines of what it says.
fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command.output().map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<_> = said.lines().rev().take(8).collect();
    let last = lines.into_iter().rev().collect::<Vec<_>>().join(" / ");
    Err(format!("{}: {last}", output.status))
}
