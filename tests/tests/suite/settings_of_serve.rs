//! What `rackhand serve` makes of flags, environment and file, and what it refuses to start with.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_tests::{Backend, PASSWORD, USER, binary};
use serde_json::{Value, json};
use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A server that was started with these settings and no others.
struct Serve {
    child: Child,
    folder: TempDir,
}

/// How it is told.
#[derive(Default)]
struct Told<'a> {
    file: &'a str,
    variables: &'a [(&'a str, &'a str)],
    flags: &'a [&'a str],
    /// The limit of open files; that of the test when absent.
    files: Option<u32>,
}

impl Serve {
    fn start(told: &Told<'_>) -> Self {
        let folder = TempDir::new().unwrap();
        if !told.file.is_empty() {
            fs::write(folder.path().join("rackhand.toml"), told.file).unwrap();
        }
        Self::start_in(folder, told)
    }

    fn start_in(folder: TempDir, told: &Told<'_>) -> Self {
        let mut command = Command::new("sh");
        let limit = told.files.map(|files| format!("ulimit -n {files} && ")).unwrap_or_default();
        command.args(["-c", &format!("{limit}exec \"$0\" \"$@\"")]).arg(binary("rackhand"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RACKHAND_")) {
            command.env_remove(name);
        }
        let log = fs::File::create(folder.path().join("log")).unwrap();
        command.args(["serve", "--embedded-agent", "off", "--data-dir"]).arg(folder.path());
        command.args(told.flags).envs(told.variables.iter().copied()).stdout(Stdio::null()).stderr(log);
        Self { child: command.spawn().unwrap(), folder }
    }

    /// Its log, whose lines must all be JSON, as standard error is no terminal.
    fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap();
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        whole.lines().map(line).collect()
    }

    /// What it says once it listens.
    fn ready(&mut self) -> Value {
        let begun = Instant::now();
        loop {
            let ended = self.child.try_wait().unwrap();
            let log = self.log();
            if let Some(line) = log.iter().find(|line| line["message"] == "rackhand is ready") {
                return line.clone();
            }
            assert!(ended.is_none() && begun.elapsed() < Duration::from_secs(30), "{log:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it says when it cannot begin.
    fn refusal(&mut self) -> String {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "it runs: {:#?}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        };
        let last = self.log().pop().unwrap();
        assert_eq!((status.code(), &last["level"]), (Some(1), &json!("ERROR")), "{last}");
        last["message"].as_str().unwrap().to_owned()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

const ANY: [&str; 2] = ["--listen", "127.0.0.1:0"];

#[test]
fn a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default() {
    let [file, variable, flag] = [free(), free(), free()];
    let file_says = format!("listen = \"{file}\"\npublic_url = \"http://file.example\"\n");
    let variables =
        [("RACKHAND_LISTEN", variable.as_str()), ("RACKHAND_PUBLIC_URL", "http://environment.example")];
    let flags = ["--listen", flag.as_str(), "--public-url", "http://flag.example"];
    for (told, address, url) in [
        (
            Told { file: &file_says, variables: &variables, flags: &flags, files: None },
            &flag,
            "http://flag.example",
        ),
        (Told { variables: &variables, flags: &flags, ..Told::default() }, &flag, "http://flag.example"),
        (Told { file: &file_says, flags: &flags, ..Told::default() }, &flag, "http://flag.example"),
        (
            Told { file: &file_says, variables: &variables, ..Told::default() },
            &variable,
            "http://environment.example",
        ),
        (Told { variables: &variables, ..Told::default() }, &variable, "http://environment.example"),
        (Told { file: &file_says, ..Told::default() }, &file, "http://file.example"),
    ] {
        let ready = Serve::start(&told).ready();
        assert_eq!((&ready["address"], &ready["url"]), (&json!(address), &json!(url)));
    }
    let only_place = format!("listen = \"{file}\"\n");
    let ready = Serve::start(&Told { file: &only_place, ..Told::default() }).ready();
    let port = file.rsplit(':').next().unwrap();
    assert_eq!(ready["url"], format!("http://localhost:{port}"), "the default");
}

#[test]
fn a_file_that_is_named_is_read_in_place_of_the_one_in_the_data_folder() {
    let elsewhere = TempDir::new().unwrap();
    let named = elsewhere.path().join("named.toml");
    fs::write(&named, "public_url = \"http://named.example\"\n").unwrap();
    let named = named.to_str().unwrap();
    let file = "public_url = \"http://folder.example\"\n";
    let variable = [("RACKHAND_CONFIG", named)];
    let url = |told: &Told<'_>| Serve::start(told).ready()["url"].clone();
    assert_eq!(url(&Told { file, flags: &ANY, ..Told::default() }), "http://folder.example");
    assert_eq!(url(&Told { file, variables: &variable, flags: &ANY, files: None }), "http://named.example");
    let flags = [ANY[0], ANY[1], "--config", named];
    assert_eq!(url(&Told { file, flags: &flags, ..Told::default() }), "http://named.example");

    let flags = [ANY[0], ANY[1], "--config", "/nowhere/rackhand.toml"];
    let said = Serve::start(&Told { file, flags: &flags, ..Told::default() }).refusal();
    assert!(said.starts_with("could not read /nowhere/rackhand.toml: "), "{said}");
}

#[test]
fn what_the_file_cannot_mean_is_refused_with_its_place() {
    for (file, place, word) in [
        ("node = \"a\"\nlissten = \"127.0.0.1:1\"\n", "line 2, column 1", "lissten"),
        ("node = \"a\"\n\n  trusted_proxies = 7\n", "line 3, column 21", "trusted_proxies"),
        ("listen = \"nowhere\"\n", "line 1, column 10", "expected ADDRESS:PORT"),
        ("node = a\n", "line 1, column 8", "node = a"),
    ] {
        let mut serve = Serve::start(&Told { file, flags: &ANY, ..Told::default() });
        let said = serve.refusal();
        let path = serve.folder.path().join("rackhand.toml");
        assert!(said.contains(path.to_str().unwrap()), "{said}");
        assert!(said.contains(place) && said.contains(word), "{file}: {said}");
    }
}

#[test]
fn a_variable_that_means_nothing_is_named_and_no_obstacle() {
    let variables =
        [("RACKHAND_LISTNE", "127.0.0.1:1"), ("RACKHAND_NODE", "one"), ("RACKHAND_FIXTURES", "x")];
    let mut serve = Serve::start(&Told { variables: &variables, flags: &ANY, ..Told::default() });
    serve.ready();
    let log = serve.log();
    let warned: Vec<_> =
        log.iter().filter(|line| line["level"] == "WARN").map(|line| &line["variable"]).collect();
    assert_eq!(warned, ["RACKHAND_LISTNE"], "{log:#?}");
}

#[test]
fn a_proxy_that_nobody_named_is_asked_for() {
    let secure = ("RACKHAND_PUBLIC_URL", "https://panel.example.com");
    let named = ("RACKHAND_TRUSTED_PROXIES", "127.0.0.1");
    for (variables, warned) in [(&[secure][..], true), (&[secure, named][..], false), (&[][..], false)] {
        let mut serve = Serve::start(&Told { variables, flags: &ANY, ..Told::default() });
        serve.ready();
        let warns = |line: &Value| {
            line["level"] == "WARN" && line["message"].as_str().unwrap().contains("trusted_proxies")
        };
        assert_eq!(serve.log().iter().any(warns), warned, "{variables:?}: {:#?}", serve.log());
    }
}

#[test]
fn a_log_that_no_terminal_shows_has_moment_level_and_sentence_in_every_line() {
    let mut serve = Serve::start(&Told { flags: &ANY, ..Told::default() });
    serve.ready();
    let log = serve.log();
    assert!(log.len() > 1, "{log:#?}");
    for line in log {
        let is_text = |name: &str| line[name].as_str().is_some_and(|text| !text.is_empty());
        assert!(["timestamp", "level", "message"].into_iter().all(is_text), "{line}");
    }
}

#[test]
fn a_log_on_a_terminal_is_for_a_person() {
    let folder = tempfile::tempdir().unwrap();
    let server = rackhand_tests::binary("rackhand");
    let line =
        format!("{} serve --listen 127.0.0.1:0 --data-dir {}", server.display(), folder.path().display());
    // It gives the command a terminal, and ends with it.
    let mut shown = std::process::Command::new("script");
    shown.args(["--quiet", "--return", "--flush", "--command", &format!("timeout 15 {line}"), "/dev/null"]);
    let shown = String::from_utf8(shown.output().unwrap().stdout).unwrap();
    let ready = shown.lines().find(|line| line.contains("rackhand is ready")).expect("it is ready");
    assert!(!ready.contains('{') && ready.contains("INFO"), "{shown}");
    assert!(shown.contains("Set up Rackhand: http://localhost:"), "{shown}");
}

#[test]
fn clear_text_beyond_loopback_is_refused_with_every_remedy() {
    let open = ["--listen", "0.0.0.0:0"];
    let said = Serve::start(&Told { flags: &open, ..Told::default() }).refusal();
    assert!(
        said.starts_with("could not listen on 0.0.0.0:0: passwords would cross the network in clear"),
        "{said}"
    );
    for remedy in ["--tls self-signed", "trusted_proxies", "127.0.0.1", "--insecure-http"] {
        assert!(said.contains(remedy), "{remedy}: {said}");
    }
    assert!(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tls.md").exists() && said.contains("docs/tls.md")
    );
    for more in
        [["--tls", "self-signed"], ["--trusted-proxies", "192.0.2.1"], ["--insecure-http=on", "--node=a"]]
    {
        let flags = [&open[..], &more[..]].concat();
        let ready = Serve::start(&Told { flags: &flags, ..Told::default() }).ready();
        assert!(ready["address"].as_str().unwrap().starts_with("0.0.0.0:"), "{ready}");
    }
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_made() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut serve = Serve::start(&Told { flags: &["--listen", &address], ..Told::default() });
    let said = serve.refusal();
    assert!(said.starts_with(&format!("could not listen on {address}: ")), "{said}");
    assert!(!serve.folder.path().join("rackhand.db").exists(), "the database is as it was");
}

#[test]
fn a_public_url_that_no_browser_could_come_from_stops_the_start() {
    for url in ["https://panel.example.com/rackhand", "https://ada@panel.example.com", "panel.example.com"] {
        let variables = [("RACKHAND_PUBLIC_URL", url)];
        let said = Serve::start(&Told { variables: &variables, flags: &ANY, ..Told::default() }).refusal();
        assert!(said.starts_with("could not use public_url: "), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_begin_with_the_public_url_whatever_a_request_calls_the_host() {
    const URL: &str = "https://panel.example.com:8443";
    let variables = [("RACKHAND_PUBLIC_URL", URL)];
    let mut fresh = Serve::start(&Told { variables: &variables, flags: &ANY, ..Told::default() });
    fresh.ready();
    let link = fresh.log().iter().find_map(|line| line["link"].as_str().map(str::to_owned)).unwrap();
    assert!(link.starts_with(&format!("{URL}/")), "{link}");

    let backend = Backend::configured(&format!("public_url = \"{URL}\"\n"));
    let request = rackhand_tests::client().post(format!("http://127.0.0.1:{}/api/v1/agents", backend.port()));
    let request = request.bearer_auth(&backend.token).header("host", "evil.example.net");
    let reply = request.json(&json!({"name": "site-a"})).send().await.unwrap();
    assert_eq!(reply.status().as_u16(), 201);
    let told = reply.text().await.unwrap();
    assert!(told.contains(&format!("--server {URL} ")) && !told.contains("evil"), "{told}");
}

async fn signs_in_from(backend: &Backend, origin: &str) -> u16 {
    let url = format!("http://127.0.0.1:{}/api/v1/session", backend.port());
    let request = rackhand_tests::client().post(url).json(&json!({"name": USER, "password": PASSWORD}));
    request.header("origin", origin).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_url_with_the_usual_port_lets_browsers_in() {
    for url in ["https://panel.example.com:443", "https://Panel.example.com/"] {
        let backend = Backend::configured(&format!("public_url = \"{url}\"\n"));
        assert_eq!(signs_in_from(&backend, "https://panel.example.com").await, 200, "{url}");
        assert_eq!(signs_in_from(&backend, "https://panel.example.com:444").await, 403, "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_this_machine_or_a_token() {
    let ask = async |backend: &Backend, headers: &[(&str, &str)]| {
        let mut request =
            rackhand_tests::client().get(format!("http://127.0.0.1:{}/metrics", backend.port()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    let near = Backend::start();
    let (status, text) = ask(&near, &[]).await;
    assert_eq!(status, 200);
    assert!(text.lines().any(|line| line.starts_with("rackhand_uptime_seconds ")), "{text}");

    // Behind a proxy everybody comes from the proxy's address, which may be loopback.
    let proxied = Backend::configured("trusted_proxies = [\"127.0.0.1\"]\n");
    let token = format!("Bearer {}", proxied.token);
    for (headers, expected) in [
        (vec![], 401),
        (vec![("x-forwarded-for", "198.51.100.9")], 401),
        (vec![("x-forwarded-for", "127.0.0.1")], 401),
        (vec![("authorization", "Bearer rh_wrong")], 401),
        (vec![("x-forwarded-for", "198.51.100.9"), ("authorization", token.as_str())], 200),
    ] {
        let (status, text) = ask(&proxied, &headers).await;
        assert_eq!(status, expected, "{headers:?}");
        assert_eq!(text.contains("rackhand_servers"), expected == 200, "{headers:?}");
    }
}

#[tokio::test]
async fn connections_that_leave_too_few_files_are_refused_with_the_limit() {
    let listen = free();
    let mut serve =
        Serve::start(&Told { flags: &["--listen", &listen], files: Some(400), ..Told::default() });
    serve.ready();
    let ask = async |path: &str| reqwest::get(format!("http://{listen}{path}")).await.unwrap();
    assert_eq!(ask("/api/v1/openapi.json").await.status(), 200);
    let begun = Instant::now();
    let (refused, health) = loop {
        // Held until the answer is here; one that asks for nothing is left after some seconds.
        let crowd: Vec<_> = (0..330).map(|_| std::net::TcpStream::connect(&listen).unwrap()).collect();
        let answer = ask("/api/v1/openapi.json").await;
        let health = ask("/healthz").await.status();
        if answer.status() == 503 || begun.elapsed() > Duration::from_secs(30) {
            drop(crowd);
            break (answer, health);
        }
    };
    assert_eq!((refused.status().as_u16(), health.as_u16()), (503, 200));
    assert_eq!(refused.headers()["connection"], "close");
    let problem: Value = refused.json().await.unwrap();
    let words = "Too many connections: this server may open 400 files. Try again in a moment.";
    assert_eq!(
        (problem["code"].as_str(), problem["title"].as_str()),
        (Some("too_many_connections"), Some(words))
    );
    assert!(!problem["request_id"].as_str().unwrap().is_empty());
    let told: Vec<_> = serve.log().into_iter().filter(|line| line["limit"] == 400).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    while ask("/api/v1/openapi.json").await.status() != 200 {
        assert!(begun.elapsed() < Duration::from_mins(1), "they are gone");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
