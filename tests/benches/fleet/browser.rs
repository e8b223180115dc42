//! The browser's first page: what it loads, and how soon a person sees the first server.

use reqwest::Client;
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};
use tempfile::TempDir;

use crate::{
    Extent,
    figure::{Figure, spread},
    seed::Racks,
    served::{Installation, PERSON, Server},
    tools::{need, program},
};

const SERVERS: u32 = 10_000;

/// Runs in the page before anything else: notes when the first row was painted, counted from the start of the
/// navigation.
const WATCH: &str = r#"
new MutationObserver((_, observer) => {
  if (!document.querySelector("table tbody tr a[href^='/servers/']")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.shownAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"#;

/// Measures.
pub async fn measure(extent: Extent) -> Vec<Figure> {
    need(&[("chromium", "chromium"), ("chromedriver", "chromium-driver")]);
    let mut figures = vec![size()];
    let servers = extent.of(SERVERS);
    let racks = Racks::start(servers);
    let installation = Installation::knowing(&racks).await;
    let server = installation.serve(&[]);
    let client = Client::new();
    let cookie = sign_in(&client, &server).await;
    let mut shown = Vec::new();
    for run in 0..=extent.runs {
        let took = first_row(&client, &server, &cookie).await;
        if run > 0 {
            shown.push(took);
        }
    }
    let name = format!("Opening /servers of {servers}, first row shown");
    let note = format!("{} s, headless Chromium with a new profile each time", spread(&shown, 2));
    figures.push(Figure::at_most(name, "s", &shown, 1.0).noting(note));
    figures
}

/// Adds up what a first visit loads.
fn size() -> Figure {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("frontend/dist");
    let files = fs::read_dir(&dist).expect("build the web interface first: cargo xtask ui");
    let packed =
        files.map(Result::unwrap).filter(|file| file.path().extension().is_some_and(|it| it == "br"));
    let bytes: u64 = packed.map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes > 0, "{} is empty: cargo xtask ui", dist.display());
    Figure::at_most("Web interface, brotli, all of it", "kB", &[bytes as f64 / 1e3], 400.0)
        .noting(format!("{bytes} bytes"))
}

async fn sign_in(client: &Client, server: &Server) -> Value {
    let (name, password) = PERSON;
    let url = format!("http://{}/api/v1/session", server.at);
    let answer = client.post(&url).json(&json!({"name": name, "password": password})).send().await.unwrap();
    assert!(answer.status().is_success());
    let header = answer.headers()["set-cookie"].to_str().unwrap();
    let (name, rest) = header.split_once('=').unwrap();
    let value = rest.split(';').next().unwrap();
    json!({"name": name, "value": value, "url": format!("http://{}", server.at), "path": "/", "httpOnly": true})
}

/// Opens the page in a browser that has never seen it; gives seconds.
async fn first_row(client: &Client, server: &Server, cookie: &Value) -> f64 {
    let browser = Browser::start(client).await;
    browser.devtools("Network.setCookie", cookie).await;
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({"source": WATCH})).await;
    browser.send("url", &json!({"url": format!("http://{}/servers", server.at)})).await;
    let end = tokio::time::Instant::now() + Duration::from_secs(30);
    let asked = json!({"script": "return window.shownAt || 0", "args": []});
    loop {
        let shown = browser.send("execute/sync", &asked).await.as_f64().unwrap();
        if shown > 0.0 {
            browser.end().await;
            return shown / 1e3;
        }
        assert!(tokio::time::Instant::now() < end, "no row was shown in half a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A Chromium of its own, driven over `WebDriver`.
struct Browser<'a> {
    client: &'a Client,
    driver: Child,
    session: String,
    _profile: TempDir,
}

impl<'a> Browser<'a> {
    async fn start(client: &'a Client) -> Self {
        let mut driver = program("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let port = port(&mut driver);
        let profile = TempDir::new().unwrap();
        let mut flags: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1440,900",
        ]
        .map(str::to_owned)
        .to_vec();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let options = json!({"binary": crate::tools::which("chromium").unwrap(), "args": flags});
        let asked = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let base = format!("http://127.0.0.1:{port}/session");
        let made = post(client, &base, &asked).await;
        let session = format!("{base}/{}", made["sessionId"].as_str().unwrap());
        Self { client, driver, session, _profile: profile }
    }

    async fn send(&self, command: &str, body: &Value) -> Value {
        post(self.client, &format!("{}/{command}", self.session), body).await
    }

    async fn devtools(&self, command: &str, params: &Value) {
        self.send("goog/cdp/execute", &json!({"cmd": command, "params": params})).await;
    }

    async fn end(self) {
        self.client.delete(&self.session).send().await.unwrap();
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

/// Reads from the driver's output where it listens.
fn port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let found = lines.find_map(|line| {
        let line = line.unwrap();
        let (_, rest) = line.split_once("started successfully on port ")?;
        rest.trim_end_matches('.').parse().ok()
    });
    // Whatever else it says goes nowhere, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    found.expect("chromedriver did not say where it listens")
}

async fn post(client: &Client, url: &str, body: &Value) -> Value {
    let answer = client.post(url).json(body).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{url}: {text}");
    serde_json::from_str::<Value>(&text).unwrap()["value"].take()
}
