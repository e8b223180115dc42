//! The packages: made of the debug build, read back, installed into a copy of this machine, run and removed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{shell, which};
use crate::{Problem, children::build_programs, demo::binaries, package};

/// What happens inside the copy; `$1` is the folder of the packages.
const TRIAL: &str = include_str!("package.sh");

/// Builds and tries them.
pub(super) fn stage(root: &Path) -> Result<String, Problem> {
    build_programs(root)?;
    let packages = package::make(root, &binaries(root)?, package::Pack::Quick)?;
    for package in &packages {
        shell(Command::new("dpkg-deb").arg("--info").arg(package).stdout(Stdio::null()), root)?;
        shell(Command::new("dpkg-deb").arg("--contents").arg(package).stdout(Stdio::null()), root)?;
    }
    let sizes: Vec<String> = packages.iter().map(|package| size(package)).collect::<Result<_, _>>()?;
    let sizes = sizes.join(", ");
    if !rustix::process::geteuid().is_root() {
        return Ok(format!("{sizes}; not installed, which needs root"));
    }
    install(root, &packages)?;
    let judged = if which("lintian").is_some() { lint(root, &packages)? } else { "" };
    Ok(format!("{sizes}; installed, run, removed{judged}"))
}

fn size(package: &PathBuf) -> Result<String, Problem> {
    let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(format!("{name} {} kB", fs::metadata(package)?.len() / 1000))
}

/// Installs into an overlay of this machine, in namespaces of its own: nothing of it is left.
fn install(root: &Path, packages: &[PathBuf]) -> Result<(), Problem> {
    let folder = packages.first().and_then(|package| package.parent()).ok_or("there are no packages")?;
    let overlay = "set -e; mount -t tmpfs tmpfs /mnt; mkdir /mnt/up /mnt/work /mnt/all; \
                   mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work /mnt/all; \
                   mkdir -p /mnt/all/tmp/packages; mount --bind \"$1\" /mnt/all/tmp/packages; \
                   mount -t proc proc /mnt/all/proc; mount --rbind /dev /mnt/all/dev; \
                   mount -t tmpfs tmpfs /mnt/all/run; ip link set lo up; \
                   exec chroot /mnt/all sh -ec \"$2\"";
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--pid", "--fork", "--net", "--kill-child", "sh", "-c", overlay, "sh"]);
    // Its words alone: the whole trial would be printed with them.
    let status = inside.arg(folder).arg(TRIAL).current_dir(root).status()?;
    if status.success() { Ok(()) } else { Err(format!("the trial of the packages failed: {status}").into()) }
}

/// Debug builds are not stripped, and there are no manual pages.
fn lint(root: &Path, packages: &[PathBuf]) -> Result<&'static str, Problem> {
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error", "--allow-root", "--suppress-tags", "unstripped-binary-or-object"]);
    shell(lintian.args(packages), root)?;
    Ok(", no error for lintian")
}
