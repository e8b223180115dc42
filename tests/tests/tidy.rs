//! The shape of the house, checked by reading its files: who may import whom, how long things may
//! be, and that what lies in a folder is also listed. Every failure says what to do about it.
//!
//! Needs nothing but the files, so it answers in a second.

#![expect(clippy::unwrap_used, reason = "a file that can't be read stops the check")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folder of a crate, and the crates of ours that its `[dependencies]` may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("backend/domain", &["wire"]),
    ("backend/store", &["wire", "domain"]),
    ("backend/server", &["wire", "domain", "store", "migrations", "agent", "driver"]),
    ("migrations", &[]),
    ("integrations/driver", &["wire"]),
    ("integrations/protocols", &[]),
    ("integrations/drivers", &["wire", "driver", "protocols"]),
    ("integrations/simulators", &["protocols"]),
    ("remote-agent", &["wire", "driver", "drivers"]),
    ("frontend", &["wire"]),
    ("tests", &["wire", "simulators", "store"]),
    ("xtask", &[]),
    ("fuzz", &["wire", "agent"]),
];

/// How a foreign crate's name begins, the only folders that may depend on it, and why.
const HOMES: &[(&str, &[&str], &str)] = &[
    ("sea-orm-migration", &["migrations", "backend/server"], "the shape of the database is in migrations/"),
    ("sea-orm", &["backend/store"], "SQL is in backend/store"),
    ("sqlx", &["backend/store"], "SQL is in backend/store"),
    ("actix", &["backend/server"], "HTTP is served in backend/server"),
    ("leptos", &["frontend"], "pages are in frontend/"),
    ("async-snmp", &["integrations/drivers", "integrations/simulators"], "drivers speak to devices"),
    ("ipmi-rs", &["integrations/protocols"], "IPMI is in integrations/protocols"),
];

/// Folder, and foreign crates that would bring I/O, async, clock or chance into it.
const PURE: &[(&str, &[&str])] = &[
    ("wire", &["tokio", "futures", "async-trait", "reqwest", "getrandom", "rand"]),
    ("backend/domain", &["tokio", "futures", "async-trait", "reqwest", "getrandom", "rand", "tracing"]),
    ("integrations/protocols", &["tokio", "futures", "async-trait", "reqwest", "getrandom", "rand"]),
];

/// Lines that a file may have; a file of tests may have more.
const FILE: usize = 500;
const TEST_FILE: usize = 800;
/// Lines of code that the body of a function may have.
const FUNCTION: usize = 80;

#[test]
fn every_arrow_points_the_right_way() {
    let mut wrong = Vec::new();
    for (folder, allowed) in ARROWS {
        let sections =
            ["[dependencies]", "[build-dependencies]"].map(|section| dependencies(folder, section));
        for name in sections.into_iter().flatten() {
            if let Some(own) = name.strip_prefix("rackhand-")
                && !allowed.contains(&own)
            {
                wrong.push(format!(
                    "{folder} imports {name}. Move the code to where the arrow may go (ARCHITECTURE.md shows them)"
                ));
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_crate_has_its_row_of_arrows() {
    let mut wrong = Vec::new();
    for manifest in files("toml").iter().filter(|path| path.ends_with("Cargo.toml")) {
        let folder = shown(manifest.parent().unwrap());
        if !folder.is_empty() && !ARROWS.iter().any(|(known, _)| *known == folder) {
            wrong.push(format!("{folder} is a new crate: add its row to ARROWS in tests/tests/tidy.rs"));
        }
    }
    for (folder, _) in ARROWS {
        if !root().join(folder).join("Cargo.toml").is_file() {
            wrong.push(format!("{folder} is gone: remove its row from ARROWS in tests/tests/tidy.rs"));
        }
    }
    none(&wrong);
}

#[test]
fn drivers_are_reached_through_the_agent_alone() {
    let may = ["remote-agent", "tests", "integrations/simulators"];
    let mut wrong = Vec::new();
    for (folder, _) in ARROWS.iter().filter(|(folder, _)| !may.contains(folder)) {
        let development = dependencies(folder, "[dev-dependencies]");
        if dependencies(folder, "[dependencies]")
            .iter()
            .chain(&development)
            .any(|it| it == "rackhand-drivers")
        {
            wrong.push(format!(
                "{folder} uses a driver. Ask the agent: rackhand_agent's catalogue and commands"
            ));
        }
    }
    none(&wrong);
}

#[test]
fn every_foreign_crate_stays_in_its_home() {
    let mut wrong = Vec::new();
    for (folder, _) in ARROWS {
        for name in dependencies(folder, "[dependencies]") {
            let home = HOMES.iter().find(|(start, ..)| name.starts_with(start));
            if let Some((_, homes, why)) = home
                && !homes.contains(folder)
            {
                wrong.push(format!("{folder} uses {name}, but {why}. Call what is there, or add it there"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn decisions_and_codecs_do_no_input_or_output() {
    let mut wrong = Vec::new();
    for (folder, forbidden) in PURE {
        for name in dependencies(folder, "[dependencies]") {
            if forbidden.contains(&name.as_str()) {
                wrong.push(format!("{folder} uses {name}. Take what it brings as an argument"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn no_file_is_too_long_to_read() {
    let mut wrong = Vec::new();
    for path in ["rs", "css", "js", "toml", "md"].iter().flat_map(|ending| files(ending)) {
        let name = shown(&path);
        let is_test = name.contains("tests/") || name.ends_with("/tests.rs");
        let limit = if is_test { TEST_FILE } else { FILE };
        let lines = read(&path).lines().count();
        if lines > limit {
            wrong.push(format!(
                "{name} has {lines} lines, {limit} may be. Give its second idea a file of its own"
            ));
        }
    }
    none(&wrong);
}

#[test]
fn no_function_is_too_long_to_read() {
    let mut wrong = Vec::new();
    for path in files("rs") {
        for (line, name, lines) in functions(&code(&read(&path))) {
            if lines > FUNCTION {
                let file = shown(&path);
                wrong.push(format!(
                    "{file}:{line} {name} has {lines} lines, {FUNCTION} may be. Name its steps and move each out"
                ));
            }
        }
    }
    none(&wrong);
}

/// What asks a server from a page, and the files that may: they ask the documented API.
const ASKING: &[&str] = &["RequestBuilder", "EventSource", "WebSocket", "XmlHttpRequest", "fetch_with_str"];
const ASKERS: &[(&str, &str)] =
    &[("frontend/src/api.rs", "\"/api/v1/\""), ("frontend/src/live.rs", "\"/api/v1/live\"")];

#[test]
fn pages_ask_the_documented_api_alone() {
    let mut wrong = Vec::new();
    for path in files("rs") {
        let (name, text) = (shown(&path), read(&path));
        let is_asker = ASKERS.iter().any(|(asker, _)| *asker == name);
        if name.starts_with("frontend/") && !is_asker {
            let bare = code(&text);
            for asking in ASKING.iter().filter(|asking| has_word(&bare, asking)) {
                wrong.push(format!("{name} uses {asking}. Ask through api.rs or live.rs"));
            }
        }
    }
    for (asker, api) in ASKERS {
        if !read(&root().join(asker)).contains(api) {
            wrong.push(format!("{asker} asks something else than {api}"));
        }
    }
    none(&wrong);
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() {
    let unkept: Vec<String> = ARROWS
        .iter()
        .filter(|(folder, _)| {
            !read(&root().join(folder).join("Cargo.toml")).contains("[lints]\nworkspace = true")
        })
        .map(|(folder, _)| format!("{folder}/Cargo.toml lacks `[lints]` with `workspace = true`"))
        .collect();
    none(&unkept);
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let mut wrong = Vec::new();
    for path in files("rs") {
        let (name, text) = (shown(&path), read(&path));
        let bare = code(&text);
        for macro_name in ["todo!", "unimplemented!"].iter().filter(|it| has_word(&bare, it)) {
            wrong.push(format!("{name} has {macro_name}. Write it, or return a typed fault that says so"));
        }
        if bare.contains("#[ignore") {
            wrong.push(format!("{name} ignores a test. Make it hold, or remove it"));
        }
        for mark in marks.iter().filter(|mark| has_word(&text, mark)) {
            wrong.push(format!("{name} says {mark}. Do it, or open an issue and remove the note"));
        }
    }
    none(&wrong);
}

#[test]
fn every_integration_is_a_folder_a_mod_line_and_a_place_in_the_list() {
    let source = root().join("integrations/drivers/src");
    let text = read(&source.join("lib.rs"));
    let listed = after(&text, "ALL:").split_once('=').map(|(_, list)| list).unwrap_or_default();
    let listed = listed.split(';').next().unwrap_or_default();
    let mut modules: Vec<String> = text.lines().filter_map(module).collect();
    let mut folders = names(&source, Path::is_dir);
    let mut offered: Vec<String> = listed
        .split('&')
        .filter_map(|entry| entry.split_once("::"))
        .map(|(module, _)| module.trim().to_owned())
        .collect();
    for list in [&mut modules, &mut folders, &mut offered] {
        list.sort();
    }
    let lib = "integrations/drivers/src/lib.rs";
    assert!(!folders.is_empty(), "no integration was found; this check looks in the wrong place");
    assert_eq!(folders, modules, "each folder needs its `mod` line in {lib}, and each line its folder");
    assert_eq!(folders, offered, "each folder needs its place in ALL in {lib}, once");
    let mut wrong = Vec::new();
    for folder in folders {
        for file in ["mod.rs", "tests.rs", "README.md"] {
            if !source.join(&folder).join(file).is_file() {
                wrong.push(format!("integrations/drivers/src/{folder} lacks {file}. See CONTRIBUTING.md"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_pdu_model_is_listed() {
    let source = root().join("integrations/drivers/src/snmp_pdu");
    let list = read(&source.join("model/catalogue.rs"));
    let models = names(&source.join("models"), |path| ends_with(path, "toml"));
    assert!(!models.is_empty(), "no model was found; this check looks in the wrong place");
    let unlisted: Vec<String> = models
        .iter()
        .map(|file| file.trim_end_matches(".toml"))
        .filter(|key| !list.contains(&format!("\"{key}\"")))
        .map(|key| format!("models/{key}.toml does not ship. Add its line to snmp_pdu/model/catalogue.rs"))
        .collect();
    none(&unlisted);
}

#[test]
fn every_migration_has_a_dated_name_and_is_listed_in_order() {
    let source = root().join("migrations/src");
    let lib = read(&source.join("lib.rs"));
    let steps: Vec<String> = names(&source, |path| ends_with(path, "rs"))
        .into_iter()
        .filter(|file| file != "lib.rs" && read(&source.join(file)).contains("MigrationTrait for"))
        .map(|file| file.trim_end_matches(".rs").to_owned())
        .collect();
    assert!(!steps.is_empty(), "no migration was found; this check looks in the wrong place");
    let undated: Vec<String> = steps
        .iter()
        .filter(|step| !is_dated(step))
        .map(|step| format!("migrations/src/{step}.rs: name it mYYYYMMDD_HHMMSS_what.rs"))
        .collect();
    none(&undated);
    let modules: Vec<String> = lib.lines().filter_map(module).filter(|name| is_dated(name)).collect();
    let called: Vec<String> = lib
        .split("Box::new(")
        .skip(1)
        .filter_map(|rest| rest.split_once("::Migration)"))
        .map(|(step, _)| step.to_owned())
        .collect();
    assert_eq!(steps, modules, "each migration needs its `mod` line in migrations/src/lib.rs, oldest first");
    assert_eq!(steps, called, "each migration needs its place in Migrator::migrations, oldest first");
}

#[test]
fn every_crate_of_the_workspace_is_named_by_a_member() {
    let sections = ["[dependencies]", "[dev-dependencies]", "[build-dependencies]"];
    let named: Vec<String> = ARROWS
        .iter()
        .flat_map(|(folder, _)| sections.map(|section| dependencies(folder, section)))
        .flatten()
        .collect();
    let offered = dependencies("", "[workspace.dependencies]");
    assert!(!offered.is_empty(), "no dependency was found; this check looks in the wrong place");
    let unused: Vec<String> = offered
        .iter()
        .filter(|name| !named.contains(name))
        .map(|name| format!("Cargo.toml offers {name}, which no member names. Remove its line"))
        .collect();
    none(&unused);
}

#[test]
fn every_part_is_a_folder_and_a_mod_line() {
    let source = root().join("frontend/src/part");
    let mut modules: Vec<String> = read(&source.join("mod.rs")).lines().filter_map(module).collect();
    modules.sort();
    let folders = names(&source, Path::is_dir);
    let list = "frontend/src/part/mod.rs";
    assert!(!folders.is_empty(), "no part was found; this check looks in the wrong place");
    assert_eq!(folders, modules, "each folder needs its `pub mod` line in {list}, and each line its folder");
}

#[test]
fn every_icon_is_drawn() {
    let sheet = read(&root().join("frontend/style/icons.svg"));
    let icons: Vec<&str> = sheet.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(!icons.is_empty(), "no icon was found; this check looks in the wrong place");
    let homes = ["frontend/src/", "integrations/", "wire/src/"];
    let sources: Vec<String> = files("rs")
        .iter()
        .filter(|path| homes.iter().any(|home| shown(path).starts_with(home)))
        .map(|path| read(path))
        .collect();
    let unused: Vec<String> = icons
        .iter()
        .filter(|icon| !sources.iter().any(|text| text.contains(&format!("\"{icon}\""))))
        .map(|icon| format!("nothing draws the icon {icon}. Remove its line from frontend/style/icons.svg"))
        .collect();
    none(&unused);
}

/// Stops with all that is wrong, one per line.
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A path as people write it: from the root, with slashes.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn ends_with(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

/// Files of the project with an ending; built things and hidden folders are not its own.
fn files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_built = name.starts_with("target") || name == "dist" || name == "node_modules";
            if path.is_dir() && !is_built && !name.starts_with('.') {
                folders.push(path);
            } else if path.is_file() && ends_with(&path, ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no file ends with .{ending}; this check looks in the wrong place");
    found
}

/// Names in one folder, sorted.
fn names(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<String> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = paths
        .filter(|path| wanted(path))
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Crates that one section of a crate's manifest names, for every target or for one.
fn dependencies(folder: &str, section: &str) -> Vec<String> {
    let text = read(&root().join(folder).join("Cargo.toml"));
    let of_target = format!(".{}", section.trim_start_matches('['));
    let mut is_inside = false;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            is_inside = line == section || (line.starts_with("[target.") && line.ends_with(&of_target));
        } else if let Some((key, _)) = line.split_once('=').filter(|_| is_inside && !line.starts_with('#')) {
            names.push(key.trim().trim_end_matches(".workspace").to_owned());
        }
    }
    names
}

/// The module that a line like `pub mod ipmi;` declares.
fn module(line: &str) -> Option<String> {
    let (before, name) = line.trim().strip_suffix(';')?.rsplit_once("mod ")?;
    (before.is_empty() || before.starts_with("pub")).then(|| name.to_owned())
}

fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).map(|(_, rest)| rest).unwrap_or_default()
}

/// Says whether a migration is named like `m20261124_090000_people`.
fn is_dated(name: &str) -> bool {
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = name.splitn(3, '_');
    let day = parts.next().and_then(|part| part.strip_prefix('m')).is_some_and(|day| digits(day, 8));
    day && parts.next().is_some_and(|time| digits(time, 6))
        && parts.next().is_some_and(|what| !what.is_empty())
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|rest| rest.chars().next_back());
        let behind = text.get(at + word.len()..).and_then(|rest| rest.chars().next());
        ![before, behind].into_iter().flatten().any(|it| it.is_alphanumeric() || it == '_')
    })
}

/// Rust text with comments, strings and characters blanked; lines stay where they are.
fn code(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let quiet = quiet_length(rest, kept.chars().next_back());
        let length = quiet.unwrap_or_else(|| first.len_utf8());
        let (piece, tail) = rest.split_at(length);
        match quiet {
            Some(_) => kept.extend(piece.chars().filter(|it| *it == '\n')),
            None => kept.push(first),
        }
        rest = tail;
    }
    kept
}

/// Length of the comment, string or character that `rest` begins with.
fn quiet_length(rest: &str, before: Option<char>) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |at| at + 2));
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    let in_word = before.is_some_and(|it| it.is_alphanumeric() || it == '_');
    if let Some(raw) = rest.strip_prefix('r').filter(|_| !in_word || before == Some('b')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw.get(hashes..).is_some_and(|it| it.starts_with('"')) {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = hashes + 2;
            return Some(rest.get(body..)?.find(&end).map_or(rest.len(), |at| body + at + end.len()));
        }
    }
    // 'a' is a character, 'a alone a lifetime.
    let mut inside = rest.strip_prefix('\'')?.chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => Some(quoted(rest, '\'')),
        (Some(one), Some('\'')) => Some(one.len_utf8() + 2),
        _ => None,
    }
}

fn quoted(text: &str, end: char) -> usize {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        if letter == end && !is_escaped {
            return at + 1;
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    text.len()
}

/// Line, name and count of lines of every function with a body. `code` has no strings or comments.
fn functions(code: &str) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let (before, rest) = code.split_at(at);
        let name: String = rest.chars().skip(3).take_while(|it| it.is_alphanumeric() || *it == '_').collect();
        let starts_word = !before.ends_with(|it: char| it.is_alphanumeric() || it == '_');
        if starts_word && !name.is_empty() {
            let lines = body(rest).lines().skip(1).filter(|line| !line.trim().is_empty()).count();
            found.push((before.matches('\n').count() + 1, name, lines.saturating_sub(1)));
        }
    }
    found
}

/// The braces of a function with what they hold; nothing for a function without a body.
fn body(function: &str) -> &str {
    let (mut braces, mut others, mut start) = (0_usize, 0_usize, None);
    for (at, letter) in function.char_indices() {
        match letter {
            '(' | '[' => others += 1,
            ')' | ']' => others = others.saturating_sub(1),
            ';' if others == 0 && start.is_none() => return "",
            '{' => {
                start = start.or(Some(at));
                braces += 1;
            }
            '}' => {
                braces = braces.saturating_sub(1);
                if let (0, Some(start)) = (braces, start) {
                    return function.get(start..=at).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    ""
}

#[test]
fn the_counter_of_lines_is_not_fooled_by_strings_and_comments() {
    let text = "fn short() {\n    let brace = \"{\"; // {\n    let raw = r#\"}\"{\"#;\n    let one = '{';\n\n}\nfn next<'a>(x: [u8; 3]) -> &'a str { \"\" }\n";
    let counted = functions(&code(text));
    assert_eq!(counted, [(1, "short".to_owned(), 3), (7, "next".to_owned(), 0)]);
}
