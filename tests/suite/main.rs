//! The tests that need more than one module, or the binary itself; one binary, so that it links once.

#[cfg(feature = "simulator")]
mod cli;
mod config;
mod directory;
#[cfg(feature = "simulator")]
mod graph;
mod purity;
mod simulation;
#[cfg(feature = "simulator")]
mod simulator;
