//! Debian's Chromium behind its `WebDriver` server: one of each per test, both ended with the test.

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// Key under which `WebDriver` hands over an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Runs without a screen, without a profile of before, and without calling home.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--lang=en-US",
    "--window-size=1440,900",
];

/// An element of the page.
pub struct Element(String);

/// Why a command did not work, in `WebDriver`'s words.
#[derive(Debug)]
pub struct Refusal(pub String);

/// A browser with an empty profile.
pub struct Chrome {
    driver: Child,
    browser: Option<Pid>,
    port: u16,
    session: String,
    client: reqwest::Client,
    _profile: TempDir,
}

impl Chrome {
    /// Starts the driver on a free port and the browser through it.
    pub async fn start() -> Self {
        let (driver, port) = driver();
        let profile = TempDir::new().unwrap();
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).into();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let client = crate::client();
        let mut chrome =
            Self { driver, browser: None, port, session: String::new(), client, _profile: profile };
        let made = chrome.send(Method::POST, "", &wanted).await.expect("the browser starts");
        chrome.session = format!("/{}", made["sessionId"].as_str().unwrap());
        let process = made["capabilities"]["goog:processID"].as_i64().expect("the driver names the browser");
        chrome.browser = Pid::from_raw(i32::try_from(process).unwrap());
        chrome
    }

    /// Opens an address and waits for the browser's load event.
    pub async fn open(&self, url: &str) {
        self.send(Method::POST, "/url", &json!({"url": url})).await.unwrap();
    }

    /// Loads the page anew and waits for the browser's load event.
    pub async fn reload(&self) {
        self.send(Method::POST, "/refresh", &json!({})).await.unwrap();
    }

    /// Goes back, as by the browser's own button.
    pub async fn back(&self) {
        self.send(Method::POST, "/back", &json!({})).await.unwrap();
    }

    /// Opens another tab and goes there.
    pub async fn open_tab(&self) {
        let tab = self.send(Method::POST, "/window/new", &json!({"type": "tab"})).await.unwrap();
        self.send(Method::POST, "/window", &json!({"handle": tab["handle"]})).await.unwrap();
    }

    /// Runs a script in the page and gives what it returns.
    pub async fn run(&self, script: &str, arguments: Value) -> Value {
        let body = json!({"script": script, "args": arguments});
        self.send(Method::POST, "/execute/sync", &body).await.unwrap()
    }

    /// Runs a script that returns elements.
    pub async fn elements(&self, script: &str, arguments: Value) -> Vec<Element> {
        let found = self.run(script, arguments).await;
        let found = found.as_array().cloned().unwrap_or_default();
        found.iter().filter_map(|one| one[ELEMENT].as_str().map(|id| Element(id.to_owned()))).collect()
    }

    /// Clicks, as a hand would: not what is covered, not what is out of reach.
    ///
    /// # Errors
    /// When the element is gone or cannot be reached; it may be soon.
    pub async fn click(&self, element: &Element) -> Result<(), Refusal> {
        self.on(element, "click", &json!({})).await
    }

    /// Rests the pointer on an element.
    ///
    /// # Errors
    /// When the element is gone or cannot be reached; it may be soon.
    pub async fn hover(&self, Element(id): &Element) -> Result<(), Refusal> {
        let there = json!({"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": {ELEMENT: id}});
        let mouse = json!({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": [there]});
        self.send(Method::POST, "/actions", &json!({"actions": [mouse]})).await.map(|_| ())
    }

    /// Empties a field.
    ///
    /// # Errors
    /// When the element is gone or cannot be reached; it may be soon.
    pub async fn clear(&self, element: &Element) -> Result<(), Refusal> {
        self.on(element, "clear", &json!({})).await
    }

    /// Types into a field.
    ///
    /// # Errors
    /// When the element is gone or cannot be reached; it may be soon.
    pub async fn keys(&self, element: &Element, text: &str) -> Result<(), Refusal> {
        self.on(element, "value", &json!({"text": text})).await
    }

    async fn on(&self, Element(id): &Element, verb: &str, body: &Value) -> Result<(), Refusal> {
        self.send(Method::POST, &format!("/element/{id}/{verb}"), body).await.map(|_| ())
    }

    /// Presses keys on whatever has the focus.
    pub async fn press_keys(&self, keys: &[&str]) {
        let key = |what: &'static str| move |key: &&str| json!({"type": what, "value": key});
        let down = keys.iter().map(key("keyDown"));
        let actions: Vec<Value> = down.chain(keys.iter().rev().map(key("keyUp"))).collect();
        let body = json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]});
        self.send(Method::POST, "/actions", &body).await.unwrap();
    }

    /// A picture of what is in sight, as base64 of a PNG.
    pub async fn picture(&self) -> String {
        let answer = self.send(Method::GET, "/screenshot", &Value::Null).await.unwrap();
        answer.as_str().unwrap().to_owned()
    }

    /// Console entries since the last call.
    pub async fn console(&self) -> Vec<Value> {
        let answer = self.send(Method::POST, "/se/log", &json!({"type": "browser"})).await.unwrap();
        answer.as_array().cloned().unwrap_or_default()
    }

    /// Gives a command of the browser's own protocol.
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        let body = json!({"cmd": name, "params": parameters});
        self.send(Method::POST, "/goog/cdp/execute", &body).await.unwrap()
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, Refusal> {
        let url = format!("http://127.0.0.1:{}/session{}{path}", self.port, self.session);
        let mut request = self.client.request(method, url).timeout(Duration::from_secs(30));
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = match request.send().await {
            Ok(answer) => answer.json::<Value>().await,
            Err(error) => Err(error),
        };
        let mut answer = answer.map_err(|error| Refusal(format!("the page does not react: {error:?}")))?;
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(Refusal(format!("{error}: {}", value["message"]))),
            None => Ok(value),
        }
    }
}

impl Drop for Chrome {
    /// Asks the driver to end the browser, then ends the driver: also when the test has failed.
    fn drop(&mut self) {
        if let Ok(mut line) = TcpStream::connect(("127.0.0.1", self.port)) {
            let request = format!(
                "DELETE /session{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
                self.session
            );
            line.set_read_timeout(Some(Duration::from_secs(5))).ok();
            line.write_all(request.as_bytes()).ok();
            // The answer comes once the browser has ended.
            line.read_to_end(&mut Vec::new()).ok();
        }
        self.driver.kill().ok();
        self.driver.wait().ok();
        // A page that loops for ever does not let the driver end its browser.
        if let Some(browser) = self.browser {
            kill_process(browser, Signal::KILL).ok();
        }
    }
}

/// Starts the driver on a free port. It takes one for IPv4 and the same for IPv6, where somebody else may have it:
/// then it ends, and another one is tried.
fn driver() -> (Child, u16) {
    for _ in 0..5 {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is missing; run: apt-get install chromium chromium-driver");
        if let Some(port) = told_port(&mut driver) {
            return (driver, port);
        }
        driver.kill().ok();
        driver.wait().ok();
    }
    panic!("chromedriver tells its port");
}

/// The port that the driver says it took.
fn told_port(driver: &mut Child) -> Option<u16> {
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    })
}
