//! One Debian package.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::Problem;

/// Who answers for the packages.
const MAINTAINER: &str = "Rackhand maintainers <rackhand@users.noreply.github.com>";

/// Shared libraries and the packages that have them; the linker's own name begins with a slash.
const LIBRARIES: [(&str, &str); 6] = [
    ("linux-vdso", ""),
    ("/lib", "libc6"),
    ("libc.so.6", "libc6"),
    ("libm.so.6", "libc6"),
    ("libgcc_s.so.1", "libgcc-s1"),
    ("ld-linux", "libc6"),
];

/// What makes up a package; unit, configuration and scripts are in packaging/NAME.
pub struct Deb {
    /// Its name, which is also that of the binary's user and of the unit.
    pub name: &'static str,
    /// The built binary.
    pub binary: PathBuf,
    /// Its configuration in /etc/rackhand.
    pub config: &'static str,
    /// What people read, from the root of the tree.
    pub documents: &'static [&'static str],
    /// How the binary prints completions for bash.
    pub completions: &'static [&'static str],
}

/// How a package is packed.
#[derive(Clone, Copy)]
pub enum Pack {
    /// To be shipped.
    Small,
    /// To be tried here.
    Quick,
}

/// A file of a package.
pub struct File {
    /// Where it goes, without the first slash.
    pub to: String,
    /// Its rights.
    pub mode: u32,
    /// What is in it.
    pub content: Vec<u8>,
}

impl Deb {
    /// Builds it in a folder; gives the file.
    pub fn build(&self, root: &Path, target: &Path, pack: Pack) -> Result<PathBuf, Problem> {
        let stage = target.join(self.name);
        let files = self.files(root)?;
        for file in &files {
            put(&stage, file)?;
        }
        let size: usize = files.iter().map(|file| file.content.len().div_ceil(1024)).sum();
        let architecture = told(Command::new("dpkg").arg("--print-architecture"))?;
        for file in self.about(root, &files, &architecture, size)? {
            put(&stage, &file)?;
        }
        let version = env!("CARGO_PKG_VERSION");
        let package = target.join(format!("{}_{version}_{architecture}.deb", self.name));
        let mut build = Command::new("dpkg-deb");
        let compression = match pack {
            Pack::Small => "-Zxz",
            Pack::Quick => "-Zgzip",
        };
        build.args(["--root-owner-group", compression, "--build"]).arg(&stage).arg(&package);
        // The same tree makes the same package.
        build.env("SOURCE_DATE_EPOCH", committed(root, "%ct")?).stdout(Stdio::null());
        if !build.status()?.success() {
            return Err(format!("dpkg-deb could not build {}", self.name).into());
        }
        fs::remove_dir_all(&stage)?;
        Ok(package)
    }

    /// What is installed.
    fn files(&self, root: &Path) -> Result<Vec<File>, Problem> {
        let name = self.name;
        let made = |to: String, mode, content| File { to, mode, content };
        let unit = format!("{name}.service");
        let completions = Command::new(&self.binary).args(self.completions).output()?;
        if !completions.status.success() {
            return Err(format!("{name} prints no completions").into());
        }
        let documents = format!("usr/share/doc/{name}");
        let mut files = vec![
            made(format!("usr/bin/{name}"), 0o755, fs::read(&self.binary)?),
            File::of(root, &format!("{name}/{unit}"), &format!("lib/systemd/system/{unit}"), 0o644)?,
            File::of(
                root,
                &format!("{name}/{}", self.config),
                &format!("etc/rackhand/{}", self.config),
                0o644,
            )?,
            File::of(root, "copyright", &format!("{documents}/copyright"), 0o644)?,
            made(format!("{documents}/changelog.gz"), 0o644, self.changelog(root)?),
            made(format!("usr/share/bash-completion/completions/{name}"), 0o644, completions.stdout),
        ];
        for document in self.documents {
            let file = document.rsplit('/').next().unwrap_or(document);
            files.push(made(format!("{documents}/{file}"), 0o644, fs::read(root.join(document))?));
        }
        Ok(files)
    }

    /// What is told of it, and what is done around it.
    fn about(
        &self,
        root: &Path,
        files: &[File],
        architecture: &str,
        size: usize,
    ) -> Result<Vec<File>, Problem> {
        let name = self.name;
        let description = fs::read_to_string(root.join("packaging").join(name).join("description"))?;
        let control = format!(
            "Package: {name}\nVersion: {}\nArchitecture: {architecture}\nMaintainer: {MAINTAINER}\n\
             Installed-Size: {size}\nDepends: adduser, {}\nSection: admin\nPriority: optional\n\
             Homepage: https://github.com/rackhand/rackhand\nDescription: {description}",
            env!("CARGO_PKG_VERSION"),
            self.depends()?,
        );
        let mut sums = String::new();
        for file in files.iter().filter(|file| !file.to.starts_with("etc/")) {
            let sum = |text: &str| text.get(..32).map(str::to_owned);
            let sum = filtered(&mut Command::new("md5sum"), &file.content, sum)?;
            sums.extend([&sum, "  ", &file.to, "\n"]);
        }
        let made = |to: &str, content: String| File {
            to: format!("DEBIAN/{to}"),
            mode: 0o644,
            content: content.into_bytes(),
        };
        let mut about = vec![
            made("control", control),
            made("md5sums", sums),
            made("conffiles", format!("/etc/rackhand/{}\n", self.config)),
        ];
        for script in ["postinst", "prerm", "postrm"] {
            about.push(File::of(root, &format!("{name}/{script}"), &format!("DEBIAN/{script}"), 0o755)?);
        }
        Ok(about)
    }

    /// The libraries that the binary loads, as packages, with the C library's version that it was linked for.
    fn depends(&self) -> Result<String, Problem> {
        let linked = told(Command::new("ldd").arg(&self.binary))?;
        let mut packages = BTreeSet::new();
        for line in linked.lines().map(str::trim) {
            let known = LIBRARIES.iter().find(|(library, _)| line.starts_with(library));
            let (_, package) = known.ok_or_else(|| {
                format!("{} loads {line}: name its package in LIBRARIES", self.binary.display())
            })?;
            packages.insert(*package);
        }
        packages.remove("");
        let version = c_library(&fs::read(&self.binary)?).ok_or("it needs no version of the C library")?;
        let of = |package: &str| match package {
            "libc6" => format!("libc6 (>= {}.{})", version.0, version.1),
            other => other.to_owned(),
        };
        Ok(packages.into_iter().map(of).collect::<Vec<_>>().join(", "))
    }

    fn changelog(&self, root: &Path) -> Result<Vec<u8>, Problem> {
        let version = env!("CARGO_PKG_VERSION");
        let text = format!(
            "{} ({version}) unstable; urgency=medium\n\n  * Version {version}.\n\n -- {MAINTAINER}  {}\n",
            self.name,
            committed(root, "%aD")?
        );
        piped(Command::new("gzip").args(["-9", "--no-name", "--stdout"]), text.as_bytes())
    }
}

/// The newest version of the C library whose symbols a binary names: `GLIBC_2.34`.
fn c_library(binary: &[u8]) -> Option<(u32, u32)> {
    let text = String::from_utf8_lossy(binary);
    let minor = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    text.split("GLIBC_2.").skip(1).filter_map(minor).max().map(|minor: u32| (2, minor))
}

/// When the tree was committed.
fn committed(root: &Path, format: &str) -> Result<String, Problem> {
    told(Command::new("git").args(["log", "-1", &format!("--format={format}")]).current_dir(root))
}

/// What a program prints.
fn told(command: &mut Command) -> Result<String, Problem> {
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// What a program makes of its input.
fn piped(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or("no input")?;
    stdin.write_all(input)?;
    drop(stdin);
    let output = child.wait_with_output()?;
    if output.status.success() { Ok(output.stdout) } else { Err(format!("{command:?} failed").into()) }
}

fn filtered(
    command: &mut Command,
    input: &[u8],
    pick: impl Fn(&str) -> Option<String>,
) -> Result<String, Problem> {
    let printed = String::from_utf8(piped(command, input)?)?;
    pick(&printed).ok_or_else(|| format!("{command:?} printed “{printed}”").into())
}

fn put(stage: &Path, file: &File) -> Result<(), Problem> {
    let path = stage.join(&file.to);
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    fs::write(&path, &file.content)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::c_library;

    #[test]
    fn the_newest_version_that_is_named_counts() {
        assert_eq!(c_library(b"..GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0"), Some((2, 34)));
        assert_eq!(c_library(b"GLIBC_PRIVATE"), None);
    }
}
