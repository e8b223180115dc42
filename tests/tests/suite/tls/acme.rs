//! Certificates from an ACME authority: Debian's pebble, which asks us over HTTP as Let's Encrypt does.

use rackhand_tests::Backend;
use serde_json::json;
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Stdio},
};
use tempfile::TempDir;

use super::bench::{certificate, events, presented, program, until};

const NAME: &str = "panel.example.com";
/// Where nobody answers on any port.
const NOWHERE: &str = "127.0.0.9";

/// An authority with the only name server that it asks.
struct Pebble {
    children: Vec<Child>,
    folder: TempDir,
    root: PathBuf,
    directory: u16,
    management: u16,
    names: u16,
    questions: u16,
}

fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Pebble {
    /// Starts one that believes the name to be at `address` and gives certificates for so many seconds.
    fn start(address: &str, seconds: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let (root, key) = certificate(folder.path(), "pebble", "DNS:localhost,IP:127.0.0.1");
        let (directory, management, names, questions, dns) = (free(), free(), free(), free(), free());
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{directory}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": root, "privateKey": key, "httpPort": questions, "tlsPort": free(),
            "ocspResponderURL": "", "certificateValidityPeriod": seconds,
        }});
        let file = folder.path().join("pebble.json");
        fs::write(&file, config.to_string()).unwrap();
        let log = |name: &str| Stdio::from(fs::File::create(folder.path().join(name)).unwrap());
        let resolver = program("pebble-challtestsrv")
            .args([
                "-defaultIPv4",
                address,
                "-defaultIPv6",
                "",
                "-http01",
                "",
                "-https01",
                "",
                "-tlsalpn01",
                "",
            ])
            .args(["-dns01", &format!("127.0.0.1:{dns}"), "-management", &format!("127.0.0.1:{names}")])
            .stdout(log("names.log"))
            .stderr(log("names.err"))
            .spawn()
            .unwrap();
        let authority = program("pebble")
            .args(["-strict", "-dnsserver", &format!("127.0.0.1:{dns}"), "-config"])
            .arg(file)
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdout(log("pebble.log"))
            .stderr(log("pebble.err"))
            .spawn()
            .unwrap();
        let children = vec![resolver, authority];
        let pebble = Self { children, folder, root, directory, management, names, questions };
        for port in [directory, management, names] {
            until("pebble listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        }
        pebble
    }

    /// Makes it believe the name to be elsewhere.
    fn move_to(&self, address: &str) {
        let url = format!("http://127.0.0.1:{}/set-default-ipv4", self.names);
        let done =
            program("curl").args(["-sSf", "-d", &json!({"ip": address}).to_string(), &url]).status().unwrap();
        assert!(done.success());
    }

    /// The certificate that its own are traced to.
    fn anchor(&self) -> PathBuf {
        let file = self.folder.path().join("anchor.pem");
        let url = format!("https://127.0.0.1:{}/roots/0", self.management);
        let done = program("curl").args(["-sSfk", "-o"]).arg(&file).arg(url).status().unwrap();
        assert!(done.success());
        file
    }

    fn served(&self) -> Backend {
        Backend::configured(&format!(
            "tls = \"acme\"\npublic_url = \"https://{NAME}\"\nacme_contact = \"ops@example.com\"\n\
             acme_directory = \"https://localhost:{}/dir\"\nacme_root = \"{}\"\n\
             acme_http_listen = \"127.0.0.1:{}\"\n",
            self.directory,
            self.root.display(),
            self.questions
        ))
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            for file in ["pebble.log", "pebble.err"] {
                let text = fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(15).collect();
                eprintln!("{file}:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
        }
    }
}

#[test]
fn a_certificate_is_had_renewed_and_kept_when_the_authority_refuses() {
    let pebble = Pebble::start("127.0.0.1", 24);
    let mut backend = pebble.served();
    let port = backend.port();
    let shown = || presented(port, NAME);
    until("there is a certificate", || !shown().is_empty());
    let first = shown();
    let reach = format!("{NAME}:{}:127.0.0.1", backend.port());
    let url = format!("https://{NAME}:{}/healthz", backend.port());
    let curl = program("curl")
        .args(["-sS", "--resolve", &reach, "--cacert"])
        .arg(pebble.anchor())
        .arg(url)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&curl.stdout), "ok\n", "{}", String::from_utf8_lossy(&curl.stderr));
    until("it was renewed before its end", || shown() != first);
    until("it is told", || events(&backend, "tls.certificate").len() == 2);
    pebble.move_to(NOWHERE);
    until("a renewal failed", || !events(&backend, "tls.certificate_failed").is_empty());
    let (severity, message) = events(&backend, "tls.certificate_failed").remove(0);
    assert!(severity == "alarm" && message.contains("refused") && message.contains("present"), "{message}");
    let second = shown();
    assert!(!second.is_empty(), "the old certificate is used on");
    pebble.move_to("127.0.0.1");
    backend.hang_up();
    until("it is renewed once the authority can ask again", || shown() != second);
    let third = shown();
    pebble.move_to(NOWHERE);
    backend.kill_and_restart();
    until("what was given is kept and found again", || presented(backend.port(), NAME) == third);
}

#[test]
fn without_a_certificate_the_log_says_what_the_authority_said_and_the_next_try_helps() {
    let pebble = Pebble::start(NOWHERE, 3600);
    let backend = pebble.served();
    until("the authority refused", || backend.log().contains("There is none, so nobody can connect"));
    assert!(backend.log().contains("refused"), "{}", backend.log());
    assert!(presented(backend.port(), NAME).is_empty());
    pebble.move_to("127.0.0.1");
    backend.hang_up();
    until("there is a certificate", || !presented(backend.port(), NAME).is_empty());
    let (severity, _) = events(&backend, "tls.certificate_failed").remove(0);
    assert_eq!(severity, "alarm");
}

#[test]
fn where_the_authority_asks_everybody_else_is_sent_to_https() {
    let pebble = Pebble::start("127.0.0.1", 3600);
    let mut backend = pebble.served();
    let ask = |path: &str| {
        let url = format!("http://127.0.0.1:{}{path}", pebble.questions);
        let write = "%{http_code} %{redirect_url}";
        let options = ["-sS", "-o", "/dev/null", "-w", write, "-H", "Host: evil.example", &url];
        let output = program("curl").args(options).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(ask("/servers?q=a"), format!("308 https://{NAME}/servers?q=a"));
    assert_eq!(ask("/.well-known/acme-challenge/nonsense").trim_end(), "404");
    assert_eq!(ask("//evil.example/"), format!("308 https://{NAME}//evil.example/"));
    backend.stop();
    assert!(TcpStream::connect(("127.0.0.1", pebble.questions)).is_err(), "nothing listens after the end");
}
