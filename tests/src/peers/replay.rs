//! snmpsim, the third-party agent that replays recordings: installed into the build folder and started.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::net_snmp::{As, get};
use super::process::{Running, free_address, run};

const REMEDY: &str = "install snmpsim's needs: apt-get install python3-venv, and let pip reach a package index \
                      for snmpsim==1.2.2 and pysmi";

/// A running snmpsim; each recording answers to the community of its file's name.
pub struct Replay {
    /// Where it answers.
    pub at: SocketAddr,
    _running: Running,
    _folder: TempDir,
}

/// Serves recordings: name and text of each.
///
/// # Panics
/// When snmpsim cannot be installed or started.
#[must_use]
pub fn serve(recordings: &[(String, String)]) -> Replay {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for (name, text) in recordings {
        std::fs::write(data.join(format!("{name}.snmprec")), text).unwrap();
    }
    let at = free_address();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(venv().join("bin/snmpsim-command-responder"));
    command
        .arg(format!("--data-dir={}", data.display()))
        .arg(format!("--cache-dir={}", folder.path().join("cache").display()))
        .arg(format!("--variation-module-options=writecache:file:{}", folder.path().join("writes").display()))
        .arg(format!("--agent-udpv4-endpoint={at}"))
        .args(as_myself())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .stdin(Stdio::null());
    let community = recordings.first().map_or("public", |(name, _)| name.as_str());
    let running = Running::start(&mut command, REMEDY, || {
        get(As(&["-v2c", "-c", community]), at, "1.3.6.1.2.1.1.2.0").is_ok()
    });
    Replay { at, _running: running, _folder: folder }
}

/// snmpsim refuses to run as root unless told to.
fn as_myself() -> Vec<String> {
    let name = |flag| {
        let output = run("id", &[flag, "-n"], "id is part of coreutils");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let user = name("-u");
    if user != "root" {
        return Vec::new();
    }
    vec![format!("--process-user={user}"), format!("--process-group={}", name("-g"))]
}

/// Returns the virtual environment with snmpsim, installed on first use.
fn venv() -> &'static Path {
    static VENV: OnceLock<PathBuf> = OnceLock::new();
    VENV.get_or_init(|| {
        // A test lies in target/PROFILE/deps.
        let own = std::env::current_exe().unwrap();
        let folder = own.ancestors().nth(3).unwrap().join("tmp/snmpsim-1.2.2");
        let finished = folder.join("finished");
        if finished.exists() {
            return folder;
        }
        let path = folder.to_string_lossy().into_owned();
        let succeed = |program: &str, arguments: &[&str]| {
            let output = run(program, arguments, REMEDY);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {arguments:?}: {said}\n{REMEDY}");
        };
        succeed("python3", &["-m", "venv", "--clear", &path]);
        let pip = folder.join("bin/pip").to_string_lossy().into_owned();
        succeed(&pip, &["install", "--quiet", "snmpsim==1.2.2", "pysmi"]);
        std::fs::write(&finished, "").unwrap();
        folder
    })
}
