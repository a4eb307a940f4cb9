//! Real calendar files, read and linked.
fn main() {}
