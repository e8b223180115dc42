//! Certificates by openssl, requests by curl.

use rackhand_tests::Backend;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Starts a program, or says how to install it.
pub fn program(name: &str) -> Command {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|at| at.join(name).exists());
    assert!(found, "{name} is missing: as root, run apt-get install --yes {name}");
    Command::new(name)
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_mins(1), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Makes a certificate that is its own authority, for names and addresses in openssl's words.
pub fn certificate(folder: &Path, name: &str, names: &str) -> (PathBuf, PathBuf) {
    let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let config = folder.join("openssl.cnf");
    let text = format!(
        "[req]\ndistinguished_name=dn\nx509_extensions=v3\nprompt=no\n[dn]\nCN={name}\n[v3]\n\
         subjectAltName={names}\nbasicConstraints=critical,CA:FALSE\n"
    );
    fs::write(&config, text).unwrap();
    let made = program("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
        ])
        .arg("-config")
        .arg(config)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (cert, key)
}

/// Asks the API with curl, which takes any certificate.
pub fn ask(backend: &Backend, method: &str, path: &str, body: Option<&Value>) -> Value {
    let mut curl = program("curl");
    curl.args(["-sSk", "--max-time", "20", "-X", method, "-H", "Content-Type: application/json"])
        .args(["-H", &format!("Authorization: Bearer {}", backend.token)])
        .arg(format!("https://127.0.0.1:{}/api/v1{path}", backend.port()));
    if let Some(body) = body {
        curl.args(["-d", &body.to_string()]);
    }
    let output = curl.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Messages of the events of a kind, with their severity.
pub fn events(backend: &Backend, kind: &str) -> Vec<(String, String)> {
    let found = ask(backend, "GET", &format!("/events?q=kind:{kind}"), None);
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let items = found["items"].as_array().unwrap();
    let exact = items.iter().filter(|event| event["kind"] == kind);
    exact.map(|event| (text(event, "severity"), text(event, "message"))).collect()
}

/// Shakes hands as openssl does; gives what it says.
pub fn shake(port: u16, options: &[&str]) -> Output {
    program("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}")])
        .args(options)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The certificate that a new connection gets, PEM; empty when there is none.
pub fn presented(port: u16, name: &str) -> String {
    let said = shake(port, &["-servername", name]);
    let text = String::from_utf8_lossy(&said.stdout);
    let from = text.find("-----BEGIN CERTIFICATE-----");
    let to = text.find("-----END CERTIFICATE-----");
    from.zip(to).map(|(from, to)| text[from..to].to_owned()).unwrap_or_default()
}

/// A connection that stands.
pub struct Standing {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Standing {
    /// Makes one.
    pub fn to(port: u16) -> Self {
        let mut child = program("openssl")
            .args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }

    /// Asks whether the server is well; gives the first line of the answer.
    pub fn is_well(&mut self) -> String {
        self.to.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).unwrap() > 0, "the connection ended: {lines:?}");
            lines.push(line.trim_end().to_owned());
            if line == "ok\n" {
                return lines[0].clone();
            }
        }
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
