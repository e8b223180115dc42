//! Builds the user interface: wasm, its glue, styles and icons under content-hashed names, each
//! beside its brotli form, in `frontend/dist`. Nothing is inline but the icons, so that the page
//! runs under a content security policy without `unsafe-inline`.

use std::{
    collections::BTreeSet,
    env,
    error::Error,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};
use walrus::{Export, Module, passes::gc};
use wasm_bindgen_cli_support::{Bindgen, Output};

use crate::alike;

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "wasm-release";
const STAMP: &str = ".inputs";
/// What a first visit may load at most, in bytes after brotli.
const LIMIT: usize = 400_000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What a build did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The inputs are those of the last build.
    Fresh,
    /// Built; the brotli bytes that a first visit loads.
    Built {
        /// Bytes.
        brotli: usize,
    },
}

/// Builds `frontend/dist` of the workspace at `root` unless it is up to date.
///
/// # Errors
/// When the wasm target is missing and cannot be added, when the code does not compile, when a first
/// visit would load too much, or when files cannot be read or written.
pub fn build(root: &Path) -> Result<Outcome> {
    let dist = root.join("frontend/dist");
    let stamp = inputs(root)?;
    if fs::read_to_string(dist.join(STAMP)).is_ok_and(|last| last == stamp) {
        return Ok(Outcome::Fresh);
    }
    ensure_target()?;
    let wasm = compile(root)?;
    eprintln!("Packing the web interface …");
    let brotli = assemble(root, &dist, &wasm)?;
    if brotli > LIMIT {
        return Err(format!(
            "A first visit would load {brotli} bytes; the UI must stay within {LIMIT}. See what grew: each type behind a signal and each closure in a view brings its own copy of the machinery."
        )
        .into());
    }
    fs::write(dist.join(STAMP), stamp)?;
    Ok(Outcome::Built { brotli })
}

/// Folders and files that the output depends on.
const PARTS: [&str; 3] = ["frontend/src", "frontend/style", "wire/src"];
const INPUTS: [&str; 8] = [
    "frontend/Cargo.toml",
    "frontend/index.html",
    "wire/Cargo.toml",
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "xtask/src/ui.rs",
    "xtask/src/alike.rs",
];

/// Hashes everything that the output depends on.
fn inputs(root: &Path) -> Result<String> {
    let mut files = Vec::new();
    for part in PARTS {
        walk(&root.join(part), &mut files)?;
    }
    files.extend(INPUTS.iter().map(|file| root.join(file)));
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.strip_prefix(root)?.to_string_lossy().as_bytes());
        hash.update(fs::read(&file)?);
    }
    Ok(hex(&hash.finalize()))
}

fn walk(folder: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, into)?;
        } else {
            into.push(path);
        }
    }
    Ok(())
}

/// Adds the wasm target where rustup can.
fn ensure_target() -> Result<()> {
    let listed = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output()?;
    let folder = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    if listed.status.success() && Path::new(&folder).is_dir() {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    if added.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(format!("The UI needs Rust's {TARGET} target: run `rustup target add {TARGET}`.").into())
}

/// Compiles the frontend and says where its wasm lies.
fn compile(root: &Path) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(root)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(root)?.join("\u{1f}"))
        .args(["build", "--package", "rackhand-frontend", "--target", TARGET, "--profile", PROFILE])
        .status()?;
    if !status.success() {
        return Err("The UI does not compile.".into());
    }
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
    Ok(target.join(TARGET).join(PROFILE).join("rackhand-frontend.wasm"))
}

/// Leptos hides each view behind one type instead of nesting them, which halves the code; and the
/// messages of panics name files without the folders of the machine that built them.
fn flags(root: &Path) -> Result<Vec<String>> {
    let mut flags = vec!["--cfg=erase_components".to_owned()];
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let mut folders = vec![root.to_owned()];
    if let Some(home) = home {
        let sources = home.join("registry/src");
        folders.push(home);
        // Later ones win, so the folders inside come behind the one that holds them.
        for registry in fs::read_dir(sources).into_iter().flatten() {
            folders.push(registry?.path());
        }
    }
    flags.extend(folders.iter().map(|folder| format!("--remap-path-prefix={}=", folder.display())));
    Ok(flags)
}

/// Writes the whole of `dist` anew and counts the brotli bytes.
fn assemble(root: &Path, dist: &Path, wasm: &Path) -> Result<usize> {
    let style = root.join("frontend/style");
    let mut output = Bindgen::new()
        .input_path(wasm)
        .out_name("app")
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .omit_default_module_path(true)
        .generate_output()?;
    if dist.exists() {
        fs::remove_dir_all(dist)?;
    }
    fs::create_dir_all(dist)?;

    let mut total = 0;
    let mut put = |stem: &str, extension: &str, bytes: &[u8]| -> Result<String> {
        let name =
            format!("{stem}-{}.{extension}", hex(&Sha256::digest(bytes)).get(..12).unwrap_or_default());
        total += write(&dist.join(&name), bytes)?;
        Ok(name)
    };
    let glue = plain(output.js(), "/**");
    let glue = without_streams(&mut output, glue);
    let glue = shortened(&mut output, glue);
    let wasm = put("app", "wasm", &alike::side_by_side(&output.wasm_mut().emit_wasm())?)?;
    let start = format!("\n__wbg_init({{ module_or_path: new URL(\"{wasm}\", import.meta.url) }});\n");
    let app = put("app", "js", (glue + &start).as_bytes())?;
    let sheet = put("style", "css", styles(root)?.as_bytes())?;
    let theme = put("theme", "js", &fs::read(style.join("theme.js"))?)?;
    let favicon = put("favicon", "svg", &fs::read(style.join("favicon.svg"))?)?;

    let page = fs::read_to_string(root.join("frontend/index.html"))?
        .replace("{{wasm}}", &wasm)
        .replace("{{app}}", &app)
        .replace("{{style}}", &sheet)
        .replace("{{theme}}", &theme)
        .replace("{{favicon}}", &favicon)
        .replace("{{icons}}", &icons(&style)?);
    total += write(&dist.join("index.html"), page.as_bytes())?;
    Ok(total)
}

/// Takes away the classes that a dependency of Leptos exports for streams. Nothing here makes one, but what is
/// exported stays, with all that it calls. Gives the glue of what is left.
fn without_streams(output: &mut Output, mut glue: String) -> String {
    const CLASS: &str = "IntoUnderlying";
    let module = output.wasm_mut();
    let is_theirs = |name: &str| name.contains(&CLASS.to_lowercase());
    let theirs: Vec<_> =
        module.exports.iter().filter(|export| is_theirs(&export.name)).map(Export::id).collect();
    for export in theirs {
        module.exports.delete(export);
    }
    let imported = |module: &Module| -> BTreeSet<String> {
        module.imports.iter().map(|import| import.name.clone()).collect()
    };
    let before = imported(module);
    gc::run(module);
    for name in before.difference(&imported(module)) {
        cut(&mut glue, &format!("\n{name}: "), "\n},");
    }
    for (from, to) in [("export class ", ".prototype.free;"), ("\nconst ", ";")] {
        while cut(&mut glue, &format!("{from}{CLASS}"), to) {}
    }
    glue
}

/// Takes away what begins and ends so; says whether there was any.
fn cut(text: &mut String, from: &str, to: &str) -> bool {
    let Some(begin) = text.find(from) else { return false };
    let Some(length) = text.get(begin..).and_then(|rest| rest.find(to)) else { return false };
    text.replace_range(begin..begin + length + to.len(), "");
    true
}

/// Gives what wasm and glue call each other short names: the hashes in the names alone are a
/// kilobyte that nothing compresses.
fn shortened(output: &mut Output, mut glue: String) -> String {
    let module = output.wasm_mut();
    let imports = module.imports.iter_mut().map(|import| &mut import.name);
    let exports = module.exports.iter_mut().map(|export| &mut export.name);
    let mut names: Vec<&mut String> = imports.chain(exports).filter(|name| is_made_up(name)).collect();
    // A name that begins with another one goes first.
    names.sort_by(|one, other| other.cmp(one));
    for (at, name) in names.into_iter().enumerate() {
        let short = format!("${at}");
        glue = glue.replace(name.as_str(), &short);
        *name = short;
    }
    glue
}

fn is_made_up(name: &str) -> bool {
    ["__wbg_", "__wbindgen_", "wasm_bindgen__"].iter().any(|start| name.starts_with(start))
}

/// Code without the comments that begin so, and without indentation.
fn plain(code: &str, comment: &str) -> String {
    let mut parts = code.split(comment);
    let mut code = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        code.push_str(part.split_once("*/").map_or(part, |(_, rest)| rest));
    }
    code.lines().map(str::trim_start).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Joins tokens, base, every part by name, and last the widths, which overrule the parts.
fn styles(root: &Path) -> Result<String> {
    let style = root.join("frontend/style");
    let mut parts = Vec::new();
    walk(&root.join("frontend/src/part"), &mut parts)?;
    parts.retain(|file| file.ends_with("style.css"));
    parts.sort();
    let mut files = vec![style.join("tokens.css"), style.join("base.css")];
    files.append(&mut parts);
    files.push(style.join("widths.css"));
    let mut sheet = String::new();
    for file in files {
        sheet.push_str(&fs::read_to_string(file)?);
        sheet.push('\n');
    }
    // What is written in columns is for readers.
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(plain(&sheet, "/*").lines().map(words).collect::<Vec<_>>().join("\n"))
}

/// Takes the symbols out of the icon sheet.
fn icons(style: &Path) -> Result<String> {
    let sheet = fs::read_to_string(style.join("icons.svg"))?;
    let mut symbols = String::new();
    for line in sheet.lines().filter(|line| line.trim_start().starts_with("<symbol")) {
        symbols.push_str(line.trim());
        symbols.push('\n');
    }
    Ok(symbols)
}

/// Writes a file and its brotli form, and counts the latter's bytes.
fn write(path: &Path, bytes: &[u8]) -> Result<usize> {
    fs::write(path, bytes)?;
    let mut packed = Vec::new();
    let settings = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut io::Cursor::new(bytes), &mut packed, &settings)?;
    let mut name = path.as_os_str().to_owned();
    name.push(".br");
    fs::write(name, &packed)?;
    Ok(packed.len())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_changes_makes_the_interface_stale() {
        let root = env::temp_dir().join(format!("rackhand-inputs-{}", std::process::id()));
        let inner = PARTS.map(|part| format!("{part}/deep/file"));
        let all: Vec<&str> = inner.iter().map(String::as_str).chain(INPUTS).collect();
        for file in &all {
            let place = root.join(file);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, "before").unwrap();
        }
        let mut seen = vec![inputs(&root).unwrap()];
        assert_eq!(inputs(&root).unwrap(), seen[0], "nothing changed");
        for file in &all {
            fs::write(root.join(file), "after").unwrap();
            let now = inputs(&root).unwrap();
            assert!(!seen.contains(&now), "{file}");
            seen.push(now);
        }
        fs::write(root.join("wire/src/another"), "").unwrap();
        assert!(!seen.contains(&inputs(&root).unwrap()), "a new file");
        fs::remove_dir_all(&root).unwrap();
    }
}
