//! The units of the packages: what the service manager takes from the processes that hold credentials.

use std::{fs, path::PathBuf, process::Command};

/// Each with the exposure that systemd itself counts, in tenths; what is left is the network and its names, and for
/// the server the port below 1024.
const UNITS: [(&str, u32); 2] = [("rackhand", 15), ("rackhand-agent", 11)];

fn unit(name: &str) -> PathBuf {
    let packaging = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging");
    PathBuf::from(format!("{packaging}/{name}/{name}.service"))
}

#[test]
fn no_unit_is_more_exposed_than_it_was() {
    for (name, most) in UNITS {
        let mut judge = Command::new("systemd-analyze");
        judge.args(["security", "--no-pager", "--offline=true", &format!("--threshold={most}")]);
        let judged = judge.arg(unit(name)).output().unwrap();
        let said = [judged.stdout, judged.stderr].concat();
        assert!(judged.status.success(), "{name}: above {most}:\n{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn what_a_process_remembers_never_ends_in_a_core_file() {
    for (name, _) in UNITS {
        let text = fs::read_to_string(unit(name)).unwrap();
        assert!(text.lines().any(|line| line == "LimitCORE=0"), "{name}: add LimitCORE=0 to its unit");
    }
}
