//! Real calendar files from `../shared/corpus`: each is read without a panic and in bounded time, and
//! what is read agrees with what two other programs read (`expected.jsonl`), and each of its events is
//! linked or skipped with a reason; each link can be taken out without a trace, and every client finds it.
//!
//! Where the folder is absent the tests are listed as ignored, and the reason is printed.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "simulator")]
mod additive;
#[path = "../support/clients/mod.rs"]
mod clients;
#[cfg(feature = "simulator")]
mod link;
mod oracle;
mod read;
mod unlink;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// One file of the corpus.
#[derive(Clone)]
struct Sample {
    /// Its path within the corpus.
    name: String,
    path: PathBuf,
}

impl Sample {
    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.path).map_err(|error| format!("{}: {error}", self.name))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let expected = std::fs::read_to_string(corpus.join("expected.jsonl"));
    let samples = samples(&corpus).unwrap_or_default();
    let absent = samples.is_empty() || expected.is_err();
    if absent {
        eprintln!("ignored: the corpus is not there (../shared/corpus beside this crate)");
    }
    let expected = expected.unwrap_or_default();
    #[cfg(feature = "simulator")]
    let linking = {
        let (samples, expected) = (samples.clone(), expected.clone());
        Trial::test("every file is linked, and only added to", move || {
            link::link_all(&samples, &expected).map_err(Into::into)
        })
    };
    let mut trials: Vec<Trial> = samples.iter().cloned().map(read::trial).collect();
    trials.push(Trial::test(
        "every link can be taken out again, without a trace",
        move || unlink::unlink_all(&samples).map_err(Into::into),
    ));
    trials.push(Trial::test(
        "what is read agrees with the oracle",
        move || oracle::compare(&corpus, &expected).map_err(Into::into),
    ));
    #[cfg(feature = "simulator")]
    trials.push(linking);
    #[cfg(feature = "simulator")]
    let notices = Trial::test("the comparison notices every other change", || {
        additive::notices().map_err(Into::into)
    });
    for trial in &mut trials {
        let taken = std::mem::replace(trial, Trial::test("", || Ok(())));
        *trial = taken.with_ignored_flag(absent);
    }
    #[cfg(feature = "simulator")]
    trials.push(notices);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Every file the manifest names, in its order.
fn samples(corpus: &Path) -> std::io::Result<Vec<Sample>> {
    let manifest = std::fs::read_to_string(corpus.join("MANIFEST.tsv"))?;
    Ok(manifest
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
        .map(|name| Sample {
            name: name.to_owned(),
            path: corpus.join(name),
        })
        .collect())
}
