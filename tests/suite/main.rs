//! The tests that need more than one module, or the binary itself; one binary, so that it links once.

mod config;
