//! Whether every crate may be here: `deny.toml` says under which licences, from where, and which may not at all.
//!
//! What it says of advisories is not looked at: their list is on the network, and changes without us.

use serde_json::Value;
use spdx::{Expression, ParseMode};
use std::{collections::BTreeSet, fs, path::Path};

use crate::{Problem, children::cargo};

/// Told with every success, so that nobody takes it for more.
const UNSEEN: &str = "advisories not checked: run cargo deny check advisories where there is a network";

/// What `deny.toml` says.
struct Rules {
    licences: BTreeSet<String>,
    banned: Vec<String>,
    registries: BTreeSet<String>,
}

pub(super) fn stage(root: &Path) -> Result<String, Problem> {
    let rules = Rules::read(&root.join("deny.toml"))?;
    // For every machine that somebody may build for, not only for this one.
    let tree = ["tree", "--workspace", "--target", "all", "--prefix", "none", "--format", "{p}\t{l}"];
    let text = output(root, &tree)?;
    let lines = text.lines().filter(|line| !line.is_empty());
    let crates: BTreeSet<&str> = lines.map(|line| line.trim_end_matches(" (*)")).collect();
    let mut wrong: Vec<String> = crates.iter().filter_map(|line| rules.refuse(line)).collect();
    let lock: toml::Table = fs::read_to_string(root.join("Cargo.lock"))?.parse()?;
    let packages = lock.get("package").and_then(toml::Value::as_array).ok_or("Cargo.lock has no packages")?;
    let own = members(root)?;
    wrong.extend(packages.iter().filter_map(|package| rules.refuse_source(package, &own)));
    if !wrong.is_empty() {
        return Err(wrong.join("\n").into());
    }
    Ok(format!("{} crates, {} sources; {UNSEEN}", crates.len(), packages.len()))
}

fn output(root: &Path, words: &[&str]) -> Result<String, Problem> {
    let output = cargo(root).args(words).output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo {} failed: {}", words.join(" "), why.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Names of the crates that are ours.
fn members(root: &Path) -> Result<BTreeSet<String>, Problem> {
    let told: Value =
        serde_json::from_str(&output(root, &["metadata", "--no-deps", "--format-version", "1"])?)?;
    let packages =
        told.get("packages").and_then(Value::as_array).ok_or("cargo metadata names no packages")?;
    Ok(packages.iter().filter_map(|package| package.get("name")?.as_str().map(str::to_owned)).collect())
}

impl Rules {
    fn read(file: &Path) -> Result<Self, Problem> {
        let rules: toml::Table = fs::read_to_string(file)?.parse()?;
        let find =
            |section: &str, key: &str| rules.get(section).and_then(|section| section.get(key)).cloned();
        let list = |section: &str, key: &str| {
            let found = find(section, key).and_then(|found| found.as_array().cloned());
            found.ok_or(format!("deny.toml has no {section}.{key}"))
        };
        let texts = |section: &str, key: &str| {
            let found = list(section, key)?;
            Ok::<_, String>(found.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect())
        };
        for key in ["unknown-registry", "unknown-git"] {
            if find("sources", key).is_none_or(|word| word.as_str() != Some("deny")) {
                return Err(
                    format!("deny.toml must say sources.{key} = \"deny\": nothing else is checked").into()
                );
            }
        }
        let banned = list("bans", "deny")?;
        let banned = banned.iter().filter_map(|ban| ban.get("crate")?.as_str().map(str::to_owned)).collect();
        let registries = texts("sources", "allow-registry")?;
        Ok(Self { licences: texts("licenses", "allow")?, banned, registries })
    }

    /// Says why a package of `Cargo.lock` comes from where it must not. One without a source is a folder, which must
    /// be one of ours.
    fn refuse_source(&self, package: &toml::Value, own: &BTreeSet<String>) -> Option<String> {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
        let name = text("name").unwrap_or_default();
        match text("source") {
            None if own.contains(name) => None,
            None => Some(format!("{name} is a folder outside the workspace")),
            Some(source) => {
                let registry = source.strip_prefix("registry+");
                let known = registry.is_some_and(|registry| self.registries.contains(registry));
                (!known).then(|| format!("{name} comes from {source}, which deny.toml does not allow"))
            }
        }
    }

    /// Says why a crate, as `name version (where)`, a tab and its licence, may not be here.
    fn refuse(&self, line: &str) -> Option<String> {
        let (package, licence) = line.split_once('\t').unwrap_or((line, ""));
        let name = package.split(' ').next().unwrap_or_default();
        if self.banned.iter().any(|banned| banned == name) {
            return Some(format!("{package} must not be in the tree: deny.toml says why"));
        }
        match Expression::parse_mode(licence, ParseMode::LAX) {
            Ok(terms) if terms.evaluate(|term| self.licences.contains(&term.to_string())) => None,
            Ok(_) => Some(format!("{package} is under {licence}, which deny.toml does not allow")),
            Err(problem) => Some(format!("{package}: its licence “{licence}” is none: {}", problem.reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_must_be_allowed_and_a_banned_crate_is_refused() {
        let licences = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
        let rules =
            Rules { licences, banned: vec!["openssl-sys".to_owned()], registries: BTreeSet::default() };
        for fine in [
            "a v1.0.0\tMIT",
            "a v1.0.0\tMIT/Zlib",
            "a v1.0.0\tGPL-3.0-only OR (MIT AND Apache-2.0)",
            "a v1.0.0\tApache-2.0 WITH LLVM-exception",
        ] {
            assert_eq!(rules.refuse(fine), None, "{fine}");
        }
        for wrong in [
            "a v1.0.0\tGPL-3.0-only",
            "a v1.0.0\tMIT AND ISC",
            "a v1.0.0\t",
            "a v1.0.0",
            "openssl-sys v1.0.0\tMIT",
        ] {
            assert!(rules.refuse(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn a_crate_comes_from_an_allowed_registry_or_from_us() {
        let registries = ["https://registry.example/index".to_owned()].into();
        let rules = Rules { licences: BTreeSet::default(), banned: Vec::new(), registries };
        let own = ["ours".to_owned()].into();
        let refuse = |package: &str| {
            let package: toml::Table = package.parse().unwrap();
            rules.refuse_source(&package.into(), &own)
        };
        for fine in ["name = 'ours'", "name = 'a'\nsource = 'registry+https://registry.example/index'"] {
            assert_eq!(refuse(fine), None, "{fine}");
        }
        for wrong in [
            "name = 'a'",
            "name = 'a'\nsource = 'registry+https://registry.example/other'",
            "name = 'a'\nsource = 'git+https://registry.example/index'",
            "name = 'ours'\nsource = 'git+https://forge.example/ours#0123'",
        ] {
            assert!(refuse(wrong).is_some(), "{wrong}");
        }
    }
}
