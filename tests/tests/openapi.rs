//! The API's description that is checked in is the one that the server gives.

use std::{fs, path::Path, process::Command};

#[test]
fn the_description_in_docs_is_current() {
    let output = Command::new(rackhand_tests::binary("rackhand"))
        .arg("openapi")
        .env("RACKHAND_LOG", "error")
        .output()
        .unwrap();
    let ours = String::from_utf8(output.stdout).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let kept = fs::read_to_string(file).unwrap();
    assert!(ours == kept, "docs/openapi.json is stale; run: cargo xtask openapi");
}
