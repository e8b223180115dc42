//! Whether the tests of the power machine can fail: each mistake below is planted in a copy of it, and
//! its tests must notice.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::shell;
use crate::{Problem, children::cargo};

/// A mistake: where, what stands there, and what is put in its place.
struct Mutant {
    name: &'static str,
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
}

const MUTANTS: [Mutant; 6] = [
    Mutant {
        name: "a reset is repeated after a lost answer",
        file: "controller.rs",
        right: "(Some(fault), true, false) => Some(Next::End(End::Unclear(fault.clone()))),",
        wrong: "(Some(_), true, false) => Some(self.send(now, \"again\")),",
    },
    Mutant {
        name: "wrong credentials fall back to the outlets",
        file: "controller.rs",
        right: "FaultCode::Unreach => Next::End(End::Unreachable(fault.clone())),",
        wrong: "FaultCode::Unreach | FaultCode::Auth => Next::End(End::Unreachable(fault.clone())),",
    },
    Mutant {
        name: "an acknowledgement counts as success",
        file: "controller.rs",
        right: "return Next::End(End::Acknowledged);\n            }\n            return self.begin_read_back(now, rhythm);",
        wrong: "return Next::End(End::Acknowledged);\n            }\n            return Next::End(End::Reached);",
    },
    Mutant {
        name: "a failed cut is not undone",
        file: "feeds.rs",
        right: "let list = std::mem::take(&mut self.cut);",
        wrong: "let list = Vec::new();",
    },
    Mutant {
        name: "all outlets off is not confirmed together",
        file: "feeds.rs",
        right: "return self.confirm(at + 1);",
        wrong: "return self.confirm(self.count - 1);",
    },
    Mutant {
        name: "a feed that stays dead is not told",
        file: "feeds.rs",
        right: "dead.push(outlet);",
        wrong: "",
    },
];

/// Plants each mutant; gives how many were caught.
pub(super) fn stage(root: &Path) -> Result<String, Problem> {
    let field = root.join("target/mutants");
    let copy = field.join("tree");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    plough(root, &copy)?;
    let power = copy.join("backend/domain/src/power");
    for mutant in &MUTANTS {
        let file = power.join(mutant.file);
        let text = fs::read_to_string(&file)?;
        if text.matches(mutant.right).count() != 1 {
            let why = format!("{} changed: plant “{}” anew in xtask", mutant.file, mutant.name);
            return Err(why.into());
        }
        fs::write(&file, text.replace(mutant.right, mutant.wrong))?;
        shell(tests(&copy, &field).arg("--no-run").stderr(Stdio::null()), &copy)?;
        let output = tests(&copy, &field).output()?;
        if output.status.success() {
            return Err(format!("no test notices that {}", mutant.name).into());
        }
        println!("caught: {}", mutant.name);
        fs::write(&file, text)?;
    }
    shell(tests(&copy, &field).stdout(Stdio::null()).stderr(Stdio::null()), &copy)?;
    Ok(format!("{} mutants caught", MUTANTS.len()))
}

fn tests(copy: &Path, field: &Path) -> Command {
    let mut test = cargo(copy);
    test.args(["test", "--quiet", "--package", "rackhand-domain", "--lib"]);
    test.env("CARGO_TARGET_DIR", field.join("target"));
    test
}

/// Copies the crates that the machine's tests need, as a workspace of their own.
fn plough(root: &Path, copy: &Path) -> Result<(), Problem> {
    const CRATES: [&str; 2] = ["wire", "backend/domain"];
    for part in CRATES {
        copy_folder(&root.join(part), &copy.join(part))?;
    }
    for file in ["Cargo.lock", "clippy.toml", "rust-toolchain.toml"] {
        fs::copy(root.join(file), copy.join(file))?;
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let (_, shared) =
        manifest.split_once("[workspace.package]").ok_or("Cargo.toml has no [workspace.package]")?;
    let members = CRATES.map(|part| format!("\"{part}\"")).join(", ");
    let text = format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n[workspace.package]{shared}");
    fs::write(copy.join("Cargo.toml"), text)?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path: PathBuf = entry?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
