//! The browser's first page: what it loads, and how soon a person sees the first server.

use rackhand_tests::chrome::Chrome;
use reqwest::Client;
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};

use crate::{
    Extent,
    figure::{Figure, spread},
    seed::Racks,
    served::{Installation, PERSON, Server},
    tools::need,
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
    let client = rackhand_tests::client();
    let cookie = sign_in(&client, &server).await;
    let mut shown = Vec::new();
    for run in 0..=extent.runs {
        let took = first_row(&server, &cookie).await;
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
async fn first_row(server: &Server, cookie: &Value) -> f64 {
    let browser = Chrome::start().await;
    browser.command("Network.setCookie", cookie.clone()).await;
    browser.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": WATCH})).await;
    browser.open(&format!("http://{}/servers", server.at)).await;
    let end = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let shown = browser.run("return window.shownAt || 0", json!([])).await.as_f64().unwrap();
        if shown > 0.0 {
            return shown / 1e3;
        }
        assert!(tokio::time::Instant::now() < end, "no row was shown in half a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
