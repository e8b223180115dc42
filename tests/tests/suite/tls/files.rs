//! A certificate from files, and configurations that cannot be.

use rackhand_tests::{Backend, binary};
use serde_json::Value;
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

use super::bench::{Standing, certificate, events, presented, until};

fn of(path: &Path) -> String {
    path.display().to_string()
}

fn replace(from: &Path, to: &Path) {
    let fresh = to.with_extension("fresh");
    fs::copy(from, &fresh).unwrap();
    fs::rename(fresh, to).unwrap();
}

#[test]
fn replaced_files_count_for_new_connections_and_end_none() {
    let folder = TempDir::new().unwrap();
    let (cert, key) = certificate(folder.path(), "first", "DNS:localhost");
    let (next_cert, next_key) = certificate(folder.path(), "second", "DNS:localhost");
    let (last_cert, last_key) = certificate(folder.path(), "third", "DNS:localhost");
    let config = format!("tls_cert = \"{}\"\ntls_key = \"{}\"\n", of(&cert), of(&key));
    let backend = Backend::configured(&config);
    let shown = || presented(backend.port(), "localhost");
    let holds = |file: &Path| fs::read_to_string(file).unwrap().starts_with(&shown());
    assert!(holds(&cert), "{}", shown());
    let mut standing = Standing::to(backend.port());
    assert_eq!(standing.is_well(), "HTTP/1.1 200 OK");
    replace(&next_key, &key);
    backend.hang_up();
    until("half a change is noticed", || !events(&backend, "tls.unusable").is_empty());
    let (severity, message) = events(&backend, "tls.unusable").remove(0);
    assert!(severity == "alarm" && message.contains("does not fit the certificate"), "{message}");
    assert!(!shown().is_empty(), "the old pair is used on");
    assert_eq!(standing.is_well(), "HTTP/1.1 200 OK");
    replace(&next_cert, &cert);
    backend.hang_up();
    until("the second is in use", || holds(&next_cert));
    assert_eq!(standing.is_well(), "HTTP/1.1 200 OK", "whoever is connected stays so");
    replace(&last_cert, &cert);
    replace(&last_key, &key);
    until("a change is noticed without being told of it", || holds(&last_cert));
    until("each is told", || events(&backend, "tls.changed").len() == 2);
}

#[test]
fn what_cannot_be_is_refused_in_one_sentence() {
    let folder = TempDir::new().unwrap();
    let (cert, key) = certificate(folder.path(), "one", "DNS:localhost");
    let (_, other) = certificate(folder.path(), "other", "DNS:localhost");
    let files = |cert: &Path, key: &Path| format!("tls_cert = \"{}\"\ntls_key = \"{}\"\n", of(cert), of(key));
    let none = folder.path().join("none.pem");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let acme = "tls = \"acme\"\npublic_url = \"https://panel.example.com\"\n";
    for (config, remedy) in [
        (files(&none, &key), "none.pem: No such file"),
        (files(&cert, &none), "none.pem: No such file"),
        (files(&key, &key), "it holds no certificate in PEM"),
        (files(&cert, &cert), "it holds no private key in PEM"),
        (files(&cert, &other), "it does not fit the certificate"),
        (format!("tls_cert = \"{}\"\n", of(&cert)), "name the key's file too"),
        (
            "tls = \"self-signed\"\npublic_url = \"http://panel.example.com\"\n".into(),
            "https://panel.example.com",
        ),
        ("tls = \"acme\"\n".into(), "set public_url to the name"),
        (format!("{acme}acme_directory = \"http://a\"\n"), "must begin with https://"),
        (format!("{acme}acme_http_listen = \"{taken}\"\n"), "have port 80 forwarded there"),
        ("tls = \"on\"\n".into(), "unknown variant `on`"),
    ] {
        let said = refusal(&config);
        assert!(said.starts_with("could not ") && said.contains(remedy), "{config}: {said}");
    }
}

#[test]
fn with_tls_the_world_may_be_listened_to() {
    let said = refusal("listen = \"0.0.0.0:0\"\n");
    assert!(said.contains("--tls self-signed"), "{said}");
    let backend = Backend::configured("tls = \"self-signed\"\ninsecure_http = false\n");
    assert!(!presented(backend.port(), "localhost").is_empty());
    let said = refusal("listen = \"0.0.0.0:0\"\ntls = \"files\"\n");
    assert!(said.contains("needs tls_cert and tls_key"), "{said}");
}

/// What a server that cannot begin says.
fn refusal(config: &str) -> String {
    let folder = TempDir::new().unwrap();
    let mut file = config.to_owned();
    if !config.contains("listen = \"0") {
        file.insert_str(0, "listen = \"127.0.0.1:0\"\n");
    }
    fs::write(folder.path().join("rackhand.toml"), file).unwrap();
    let output =
        Command::new(binary("rackhand")).args(["serve", "--data-dir"]).arg(folder.path()).output().unwrap();
    assert!(!output.status.success());
    let lines = String::from_utf8(output.stderr).unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "ERROR", "{lines}");
    last["message"].as_str().unwrap().to_owned()
}
