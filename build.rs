//! Says whether the schemas of Microsoft Graph lie beside the project (`cfg(graph_schema)`): the tests
//! that need them are listed as ignored, with the reason, where they do not.

use std::path::Path;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(graph_schema)");
    println!("cargo::rerun-if-changed=build.rs");
    if Path::new("../shared/reference/graph-schema").is_dir() {
        println!("cargo::rustc-cfg=graph_schema");
    }
}
