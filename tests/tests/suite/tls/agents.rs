//! Agents that are told the server's key, and whoever stands between them and it.

use rackhand_tests::{Backend, agent, binary};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
};
use tempfile::TempDir;

use super::bench::{ask, program, until};

fn enroll(folder: &Path, port: u16, token: &str) -> Output {
    Command::new(binary("rackhand-agent"))
        .args(["enroll", "--server", &format!("https://localhost:{port}"), "--token", token, "--data-dir"])
        .arg(folder)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An agent's process, ended with the test.
struct Runs(Child);

impl Drop for Runs {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

struct Enrolled {
    folder: TempDir,
    id: String,
}

impl Enrolled {
    fn on(backend: &Backend) -> Self {
        let added = ask(backend, "POST", "/agents", Some(&json!({"name": "site-a"})));
        let token = added["token"].as_str().unwrap();
        assert!(added["command"].as_str().unwrap().ends_with(token));
        let folder = TempDir::new().unwrap();
        let done = enroll(folder.path(), backend.port(), token);
        assert!(done.status.success(), "{}", said(&done));
        Self { folder, id: added["agent"]["id"].as_str().unwrap().to_owned() }
    }

    fn run(&self) -> Runs {
        Runs(agent::spawn(self.folder.path()))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn is(&self, backend: &Backend, state: &str) -> bool {
        ask(backend, "GET", &format!("/agents/{}", self.id), None)["state"] == state
    }

    /// Changes where it believes the server to be.
    fn lead_to(&self, change: impl Fn(&mut Value)) {
        let file = self.folder.path().join("agent.json");
        let mut home = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        change(&mut home);
        fs::write(&file, home.to_string()).unwrap();
    }
}

#[test]
fn an_agent_that_was_told_the_key_comes_online_and_stays_after_a_restart() {
    let mut backend = Backend::configured("tls = \"self-signed\"\n");
    let agent = Enrolled::on(&backend);
    let _process = agent.run();
    until("it is online", || agent.is(&backend, "online"));
    backend.kill_and_restart();
    until("it is online again", || agent.is(&backend, "online"));
}

#[test]
fn a_key_that_was_registered_is_enrolled_with_the_pin_of_the_command() {
    let backend = Backend::configured("tls = \"self-signed\"\n");
    let folder = TempDir::new().unwrap();
    let key = folder.path().join("own.key");
    let made =
        program("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&key).output().unwrap();
    assert!(made.status.success());
    let public = program("openssl").args(["pkey", "-pubout", "-in"]).arg(&key).output().unwrap();
    let public = String::from_utf8(public.stdout).unwrap();
    let added = ask(&backend, "POST", "/agents", Some(&json!({"name": "site-a", "public_key": public})));
    let command = added["command"].as_str().unwrap().replace("FILE", key.to_str().unwrap());
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("rackhand-agent"));
    let mut enroll = Command::new(binary("rackhand-agent"));
    let done = enroll.args(words).arg("--data-dir").arg(folder.path()).output().unwrap();
    assert!(done.status.success(), "{command}: {}", said(&done));
}

#[test]
fn another_key_than_the_pinned_one_is_refused_in_clear_words() {
    let (backend, impostor) =
        (Backend::configured("tls = \"self-signed\"\n"), Backend::configured("tls = \"self-signed\"\n"));
    let added = ask(&backend, "POST", "/agents", Some(&json!({"name": "site-a"})));
    let token = added["token"].as_str().unwrap();
    let folder = TempDir::new().unwrap();
    let refused = enroll(folder.path(), impostor.port(), token);
    assert!(said(&refused).contains("the server's key is not the one that was pinned"), "{}", said(&refused));
    let bare = token.split_once('.').unwrap().0;
    let unpinned = enroll(folder.path(), backend.port(), bare);
    assert!(!unpinned.status.success() && said(&unpinned).contains("certificate"), "{}", said(&unpinned));
    let done = enroll(folder.path(), backend.port(), token);
    assert!(done.status.success(), "neither wrong try used the token up: {}", said(&done));
    let agent = Enrolled { folder, id: added["agent"]["id"].as_str().unwrap().to_owned() };
    let port = impostor.port();
    agent.lead_to(|home| home["server"] = json!(format!("https://localhost:{port}")));
    let _process = agent.run();
    until("it says why it does not connect", || agent.log().contains("is not the one that was pinned"));
}

#[test]
fn who_relays_between_two_connections_cannot_use_what_the_agent_signs() {
    let backend = Backend::configured("tls = \"self-signed\"\n");
    let agent = Enrolled::on(&backend);
    // The worst case: the agent was made to forget key and TLS, and the relay is trusted by everybody.
    let relay = relay(backend.port());
    agent.lead_to(|home| {
        home["server"] = json!(format!("http://127.0.0.1:{relay}"));
        home.as_object_mut().unwrap().remove("pin");
    });
    let process = agent.run();
    until("it is refused", || agent.log().contains("was not signed by the key of its certificate"));
    assert!(backend.log().contains("WrongSignature"), "{}", backend.log());
    assert!(!agent.is(&backend, "online"));
    drop(process);
    let port = backend.port();
    agent.lead_to(|home| home["server"] = json!(format!("https://localhost:{port}")));
    let _process = agent.run();
    until("without a pin it does not take an unknown certificate either", || {
        agent.log().contains("UnknownIssuer")
    });
}

#[test]
fn a_trusted_proxy_that_speaks_tls_both_ways_may_relay() {
    let backend = Backend::configured("tls = \"self-signed\"\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let agent = Enrolled::on(&backend);
    let relay = relay(backend.port());
    agent.lead_to(|home| home["server"] = json!(format!("http://127.0.0.1:{relay}")));
    let _process = agent.run();
    until("it is online", || agent.is(&backend, "online"));
}

/// Asks for the agents' channel over at most this version of TLS; gives the status and what was said.
fn link(port: u16, newest: &str) -> String {
    let asked = program("curl")
        .args(["--silent", "--insecure", "--http1.1", "--max-time", "2", "--tls-max", newest])
        .args(["--header", "Connection: Upgrade", "--header", "Upgrade: websocket"])
        .args([
            "--header",
            "Sec-WebSocket-Version: 13",
            "--header",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ])
        .args(["--write-out", "%{http_code}", &format!("https://localhost:{port}/agent/v1/link")])
        .output()
        .unwrap();
    String::from_utf8_lossy(&asked.stdout).into_owned()
}

#[test]
fn the_channel_is_served_over_tls_1_3_alone() {
    let backend = Backend::configured("tls = \"self-signed\"\n");
    let old = link(backend.port(), "1.2");
    assert!(old.contains("old_tls") && old.ends_with("403"), "{old}");
    let new = link(backend.port(), "1.3");
    assert!(new.contains("nonce") && new.ends_with("101"), "{new}");
    // A proxy's own TLS is the proxy's affair.
    let trusting = Backend::configured("tls = \"self-signed\"\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let old = link(trusting.port(), "1.2");
    assert!(old.contains("nonce") && old.ends_with("101"), "{old}");
}

#[test]
fn an_agent_takes_no_server_that_speaks_only_an_older_tls() {
    let backend = Backend::configured("tls = \"self-signed\"\n");
    let agent = Enrolled::on(&backend);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // It has the very key that the agent was told.
    let data = backend.folder();
    let _old = Runs(
        program("openssl")
            .args(["s_server", "-quiet", "-tls1_2", "-accept", &port.to_string()])
            .arg("-cert")
            .arg(data.join("tls-self-signed.pem"))
            .arg("-key")
            .arg(data.join("tls-self-signed.key"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    agent.lead_to(|home| home["server"] = json!(format!("https://localhost:{port}")));
    let _process = agent.run();
    until("it says why it does not connect", || agent.log().contains("ProtocolVersion"));
}

/// Takes plain connections and carries what they say into TLS connections of its own, by openssl.
fn relay(to: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let mut server = program("openssl")
                .args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{to}")])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let (stdin, stdout) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
            let (from, into) = (client.try_clone().unwrap(), client);
            std::thread::spawn(move || carry(from, stdin));
            std::thread::spawn(move || {
                let ended: TcpStream = into.try_clone().unwrap();
                carry(stdout, into);
                ended.shutdown(Shutdown::Both).ok();
                server.kill().ok();
                server.wait().ok();
            });
        }
    });
    port
}

fn carry(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 4096];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || to.write_all(&buffer[..read]).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}
