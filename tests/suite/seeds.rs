//! The seeds of the fuzz targets (tests/fuzz), each run through its check.

#[path = "../fuzz/checks.rs"]
mod checks;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

/// The fuzz targets hold each step to a budget; here nothing is measured.
fn measured<T>(_: &str, _: usize, work: impl FnOnce() -> T) -> T {
    work()
}

#[test]
fn every_seed_passes_its_check() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
    let mut failed = Vec::new();
    for (name, check) in checks::ALL {
        let mut count = 0;
        for entry in fs::read_dir(seeds.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            count += 1;
            if catch_unwind(|| check(&bytes)).is_err() {
                failed.push(path);
            }
        }
        assert!(count > 10, "{name} has seeds");
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
