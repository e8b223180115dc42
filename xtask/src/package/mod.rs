//! `cargo xtask package`: Debian packages of the server and the agent, in target/packages.

mod deb;

use clap::Args;
use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Problem, children::cargo, demo::binaries, ui};
use deb::{Deb, File};

pub use deb::Pack;

/// Options of packaging.
#[derive(Args)]
pub struct Options {
    /// Package the debug build instead of an optimised one, to try the packages themselves
    #[arg(long)]
    debug: bool,
}

/// Makes the packages and says where they are.
pub fn run(root: &Path, options: &Options) -> Result<(), Problem> {
    ui::build(root)?;
    let profile = if options.debug { "dev" } else { "dist" };
    eprintln!("Building the server and the agent ({profile}) …");
    let mut build = cargo(root);
    build.args(["build", "--quiet", "--profile", profile]);
    build.args(["--package", "rackhand-server", "--package", "rackhand-agent"]);
    if !build.status()?.success() {
        return Err("the build failed".into());
    }
    let usual = binaries(root)?;
    let folder = if options.debug { usual } else { usual.with_file_name("dist") };
    for package in make(root, &folder, if options.debug { Pack::Quick } else { Pack::Small })? {
        println!("{}", package.display());
    }
    Ok(())
}

/// Makes both packages of built binaries; gives their files.
pub fn make(root: &Path, built: &Path, pack: Pack) -> Result<Vec<PathBuf>, Problem> {
    let target = root.join("target/packages");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(&target)?;
    let server = Deb {
        name: "rackhand",
        binary: built.join("rackhand"),
        config: "rackhand.toml",
        documents: &["README.md"],
        completions: &["completions", "bash"],
    };
    let agent = Deb {
        name: "rackhand-agent",
        binary: built.join("rackhand-agent"),
        config: "agent.toml",
        documents: &["docs/agents.md"],
        completions: &["completions", "bash"],
    };
    [server, agent].iter().map(|deb| deb.build(root, &target, pack)).collect()
}

/// A file of a package as it stands in the tree.
impl File {
    /// Reads it from packaging/.
    fn of(root: &Path, from: &str, to: &str, mode: u32) -> Result<Self, Problem> {
        let path = root.join("packaging").join(from);
        let content = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { to: to.to_owned(), mode, content })
    }
}
