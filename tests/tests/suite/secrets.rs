//! Secrets are sealed in the database and known to whoever needs them in that moment, and stand nowhere else.
//!
//! Each kind of secret is used in each way that a person and a job have for it. Then everything is searched that
//! others may get to see: answers, logs, files, and what the system tells of a process.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use rackhand_simulators::farm::{Farm, FarmConfig};
use rackhand_tests::{Lab, PASSWORD, agent::Agent, bmc_body, farm, joined, pdu_body, state};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tokio::task::JoinHandle;

// Each is like nothing else, so that finding it means something.
const BMC: &str = "qX7vTw2LzR9kD4mP";
const KG: &str = "hB3nYc8ZuF6pJ1sQ";
const READ: &str = "mW5gKt0EaV2xQ7dR";
const WRITE: &str = "rN9jSb4HeU6yC1fS";
const AUTH: &str = "pL3zGw8MoT5iX0kT";
const PRIVACY: &str = "vD1cRq6AnH7uB4yU";
const BOB: &str = "jZ8fEs2PkY4wM9tV";
const WRONG: &str = "tG6hLx1CbW3eO8nW";
const MISPLACED: &str = "yK2aVi5DsM0rF7gX";

/// A place that is searched: its name, and what stands there.
type Place = (String, String);

/// What must not be found, in every form that it may have.
struct Secret {
    name: &'static str,
    forms: Vec<String>,
}

impl Secret {
    /// As it is, as hexadecimal digits, and in base64 wherever it begins there.
    fn new(name: &'static str, value: &[u8]) -> Self {
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = vec![hex.to_uppercase(), hex];
        forms.extend(String::from_utf8(value.to_vec()));
        for before in 0..3 {
            let all = [vec![0; before], value.to_vec()].concat();
            // The letters at both ends tell of what stands around it, too.
            let whole = (before * 8).div_ceil(6)..all.len() * 8 / 6;
            forms.extend(
                [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD].map(|base| base.encode(&all)[whole.clone()].to_owned()),
            );
        }
        Self { name, forms }
    }
}

/// Says which secrets stand in which places.
fn found(secrets: &[Secret], places: &[Place]) -> Vec<String> {
    let mut found = Vec::new();
    for (place, text) in places {
        let held = secrets.iter().filter(|secret| secret.forms.iter().any(|form| text.contains(form)));
        found.extend(held.map(|secret| format!("{place} holds {}", secret.name)));
    }
    found
}

/// Asserts that a place is there and was read: it holds what it must.
fn holds(places: &[Place], place: &str, word: &str) {
    let text = places.iter().find(|(name, _)| name == place).map(|(_, text)| text.as_str());
    let text = text.unwrap_or_default();
    assert!(text.contains(word), "{place} of {} bytes does not hold {word}", text.len());
}

/// Two racks of one server, whose devices have secrets of their own.
fn racks() -> FarmConfig {
    let mut racks = FarmConfig { servers: 2, per_rack: 1, outlets: 8, ..FarmConfig::default() };
    racks.bmc_account.password = BMC.into();
    racks.bmc_account.kg = Some(KG.into());
    racks.pdu_access.read_community = READ.into();
    racks.pdu_access.write_community = WRITE.into();
    let user = &mut racks.pdu_access.v3[0];
    (user.auth_password, user.privacy_password) = (AUTH.to_owned(), PRIVACY.to_owned());
    racks
}

/// Adds with a key, so that what is kept of the request is searched as well.
async fn add(lab: &Lab, path: &str, body: &Value) -> Value {
    let key = uuid::Uuid::now_v7().to_string();
    lab.send("POST", path, Some(body), &[("idempotency-key", &key)]).await.ok()
}

/// Body that adds a PDU by its user of version 3.
fn v3_body(pdu: &Value) -> Value {
    let mut body = pdu_body(pdu);
    let user = &pdu["v3"];
    body["params"]["version"] = "v3".into();
    for field in ["user", "auth_protocol", "priv_protocol"] {
        body["params"][field] = user[field].clone();
    }
    body["secrets"] = json!({"auth_password": user["auth_password"], "priv_password": user["priv_password"]});
    body
}

/// A server that was made known.
struct Server {
    name: String,
    path: String,
    bmc: Value,
}

/// Makes a rack known: its BMC has a key, one PDU a community for each of reading and writing, the other a user.
async fn wire(lab: &Lab, farm: &Farm, rack: usize, via: &Value) -> Server {
    let inventory = serde_json::to_value(farm.inventory()).unwrap();
    let server = &inventory["servers"][rack];
    let added = add(lab, "/servers", &json!({"name": server["name"], "rack": server["rack"]})).await;
    let path = format!("/servers/{}", added["id"].as_str().unwrap());
    let mut bmc = joined(bmc_body(server), via);
    bmc["secrets"]["kg"] = KG.into();
    let bmc =
        add(lab, &format!("{path}/connections"), &json!({"endpoint": bmc})).await["endpoint_id"].clone();
    let pdus = inventory["pdus"].as_array().unwrap().iter().filter(|pdu| pdu["rack"] == server["rack"]);
    for (pdu, body) in pdus.zip([pdu_body, v3_body]) {
        let endpoint = add(lab, "/endpoints", &joined(body(pdu), via)).await;
        let outlets = server["outlets"].as_array().unwrap();
        let outlet = outlets.iter().find(|outlet| outlet["pdu"] == pdu["name"]).unwrap();
        let target = json!({"outlet": outlet["outlet"].to_string()});
        let feed = json!({"endpoint_id": endpoint["id"], "target": target, "feeds_complete": true});
        add(lab, &format!("{path}/connections"), &feed).await;
    }
    Server { name: server["name"].as_str().unwrap().to_owned(), path, bmc }
}

/// A person at a browser.
struct Person {
    cookie: String,
    csrf: String,
}

impl Person {
    async fn sign_in(lab: &Lab, name: &str, password: &str) -> Self {
        let body = json!({"name": name, "password": password});
        let reply = rackhand_tests::client().post(url(lab, "/session")).json(&body).send().await.unwrap();
        assert_eq!(reply.status().as_u16(), 200);
        let cookie = reply.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let session: Value = reply.json().await.unwrap();
        Self { cookie, csrf: session["csrf_token"].as_str().unwrap().to_owned() }
    }

    /// Has a server cycled by its outlets, for which the password is typed again.
    async fn force(&self, lab: &Lab, server: &Server, password: &str) -> Value {
        let body =
            json!({"action": "cycle", "via": "outlets", "confirm_name": server.name, "password": password});
        let request = rackhand_tests::client().post(url(lab, &format!("{}/power", server.path))).json(&body);
        let request = request.header("cookie", &self.cookie).header("x-csrf-token", &self.csrf);
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status().as_u16(), 202);
        let job: Value = reply.json().await.unwrap();
        lab.finish(job["id"].as_str().unwrap()).await
    }
}

fn url(lab: &Lab, path: &str) -> String {
    format!("http://127.0.0.1:{}/api/v1{path}", lab.backend.port())
}

/// Switches a server by its BMC, and then by its outlets.
async fn switch(lab: &Lab, person: &Person, server: &Server) {
    let path = format!("{}/power", server.path);
    for action in ["off", "on"] {
        let job = lab.post(&path, &json!({"action": action})).await.ok();
        let job = lab.finish(job["id"].as_str().unwrap()).await;
        assert_eq!(state(&job), ("succeeded", "done"), "{job:#}");
    }
    let job = person.force(lab, server, BOB).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
}

/// Enters a wrong password for a device and for a person, and one where none belongs.
async fn mistype(lab: &Lab, server: &Server) {
    let attempt = json!({"endpoint_id": server.bmc, "secrets": {"password": WRONG}});
    let job = add(lab, "/endpoints/test", &attempt).await;
    let job = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(job["result"]["fault"]["code"], "auth", "{job:#}");
    let body = json!({"name": "bob", "password": WRONG});
    assert_eq!(lab.post("/session", &body).await.status, 401);
    let body =
        json!({"kind": "ipmi", "params": {"host": "127.0.0.1", "user": "admin"}, "secrets": MISPLACED});
    assert_eq!(lab.post("/endpoints", &body).await.status, 422);
}

/// Hears the live stream until the server ends.
async fn listen(lab: &Lab) -> JoinHandle<String> {
    let request = rackhand_tests::client().get(url(lab, "/live")).bearer_auth(&lab.backend.token);
    let mut reply = request.send().await.unwrap();
    tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Ok(Some(chunk)) = reply.chunk().await {
            heard.extend_from_slice(&chunk);
        }
        String::from_utf8_lossy(&heard).into_owned()
    })
}

/// Asks every route that is read, for each object there is.
async fn answers(lab: &Lab) -> Vec<Place> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let description: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut answers = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let route = &methods["get"];
        // The live stream never ends, and a token has no session.
        if route.is_null() || ["/live", "/session"].contains(&path.as_str()) {
            continue;
        }
        let mut asks =
            route["parameters"].as_array().into_iter().flatten().map(|parameter| &parameter["name"]);
        let query = match path.as_str() {
            "/search" => "?q=pdu&limit=50",
            "/servers/{id}/power/plan" => "?action=cycle",
            _ if asks.any(|name| name == "limit") => "?limit=500",
            _ => "",
        };
        for place in every(lab, path).await {
            let place = format!("{place}{query}");
            let answer = lab.get(&place).await.ok().to_string();
            answers.push((place, answer));
        }
    }
    answers
}

/// A path for each object that it may name.
async fn every(lab: &Lab, path: &str) -> Vec<String> {
    let Some((list, _)) = path.split_once("/{id}") else {
        assert!(!path.contains('{'), "{path} names an object in a way that is not known here: say which");
        return vec![path.to_owned()];
    };
    let all = lab.get(&format!("{list}?limit=500")).await.ok();
    let ids = all["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap());
    let mut every: Vec<String> = ids.map(|id| path.replace("{id}", id)).collect();
    if let Some((place, _)) = path.split_once("/{connection}") {
        every.clear();
        for item in all["items"].as_array().unwrap() {
            let place = place.replace("{id}", item["id"].as_str().unwrap());
            let inner = lab.get(&format!("{place}?limit=500")).await.ok();
            let ids = inner["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
            every.extend(ids.map(|id| format!("{place}/{id}")));
        }
    }
    assert!(!every.is_empty(), "{list} is empty, so nothing of {path} is searched: add one");
    every
}

/// What anybody on the machine may read of a process, and what its owner may.
fn process(who: &str, pid: u32) -> Vec<Place> {
    let read = |what: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{what}")).unwrap();
        (format!("{who}: {what}"), String::from_utf8_lossy(&bytes).into_owned())
    };
    ["cmdline", "environ"].map(read).into()
}

/// Every file below a folder. What comes and goes while it is read is not there.
fn files(who: &str, folder: &Path) -> Vec<Place> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(inner).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                let name = path.strip_prefix(folder).unwrap().display();
                files.push((format!("{who}: {name}"), String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    files
}

/// The secrets of devices and people that are known beforehand.
fn known() -> Vec<Secret> {
    let known = [
        ("a BMC's password", BMC),
        ("a BMC's key", KG),
        ("a community that may read", READ),
        ("a community that may write", WRITE),
        ("an authentication password", AUTH),
        ("a privacy password", PRIVACY),
        ("a person's password", BOB),
        ("an administrator's password", PASSWORD),
        ("a wrong password", WRONG),
        ("a misplaced password", MISPLACED),
    ];
    known.map(|(name, value)| Secret::new(name, value.as_bytes())).into()
}

/// Makes what is shown once, or never; gives it with a person at a browser.
async fn made(lab: &Lab) -> (Vec<Secret>, Person) {
    add(lab, "/users", &json!({"name": "bob", "password": BOB})).await;
    let person = Person::sign_in(lab, "bob", BOB).await;
    let token = add(lab, "/tokens", &json!({"name": "a script"})).await;
    let token = token["value"].as_str().unwrap();
    let request = rackhand_tests::client().get(url(lab, "/servers")).bearer_auth(token);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
    let agent = add(lab, "/agents", &json!({"name": "site-b"})).await;
    let (_, cookie) = person.cookie.split_once('=').unwrap();
    let secrets = [
        ("a token", token),
        ("an administrator's token", &lab.backend.token),
        ("a token of an agent", agent["token"].as_str().unwrap()),
        ("a cookie", cookie),
    ];
    let mut secrets: Vec<Secret> = secrets.map(|(name, value)| Secret::new(name, value.as_bytes())).into();
    let key = fs::read(lab.backend.folder().join("master.key")).unwrap();
    secrets.push(Secret::new("the master key", &key));
    (secrets, person)
}

#[test]
fn a_secret_is_found_however_it_is_written() {
    let secrets = [Secret::new("a password", BOB.as_bytes())];
    let hex: String = BOB.bytes().map(|byte| format!("{byte:02x}")).collect();
    let in_base64 =
        ["", "a", "ab", "bob:"].map(|user| STANDARD_NO_PAD.encode(format!("{user}{BOB} and more")));
    let written = [BOB.to_owned(), format!("{{\"password\":\"{BOB}\"}}"), hex.to_uppercase(), hex];
    for text in written.into_iter().chain(in_base64) {
        let place = [("a place".to_owned(), text)];
        assert_eq!(found(&secrets, &place), ["a place holds a password"], "{place:?}");
    }
    let part = [("a place".to_owned(), BOB[1..].to_owned())];
    assert!(found(&secrets, &part).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_answered_logged_stored_in_clear_or_told_to_the_system() {
    let mut lab = Lab::bare(1).await;
    let farm = farm(racks()).await;
    let agent = Agent::start(&lab, "site-a", lab.backend.port()).await;
    let live = listen(&lab).await;
    add(&lab, "/sites", &json!({"name": "a site", "time_zone": "Europe/Berlin"})).await;
    let (mut secrets, person) = made(&lab).await;
    secrets.extend(known());
    let near = wire(&lab, &farm, 0, &json!({})).await;
    let far = wire(&lab, &farm, 1, &json!({"agent_id": agent.id})).await;
    lab.wait_until("every device has let us in", async |lab: &Lab| {
        let all = lab.get("/endpoints").await.ok();
        let all = all["items"].as_array().unwrap();
        all.len() == 6 && all.iter().all(|endpoint| endpoint["status"]["state"] == "ok")
    })
    .await;
    for server in [&near, &far] {
        mistype(&lab, server).await;
        switch(&lab, &person, server).await;
    }

    let mut places = answers(&lab).await;
    for (who, pid) in [("server", lab.backend.pid()), ("agent", agent.pid())] {
        places.extend(process(who, pid));
    }
    for (who, folder) in [("server", lab.backend.folder()), ("agent", agent.folder())] {
        places.extend(files(who, folder));
    }
    // Each is read where it would tell: the journals hold how to reach the outlets that were cut.
    for (place, word) in [
        ("/endpoints?limit=500", r#""user":"admin""#),
        ("/jobs?limit=500", "srv-02"),
        ("server: cmdline", "--data-dir"),
        ("server: environ", "RACKHAND_TIME_SCALE"),
        ("server: log", "/api/v1/endpoints"),
        ("server: rackhand.db", "SQLite format 3"),
        ("server: agent-journal.jsonl", r#""kind":"snmp_pdu""#),
        ("agent: cmdline", "--data-dir"),
        ("agent: environ", "RACKHAND_TIME_SCALE"),
        ("agent: log", "rackhand-agent runs"),
        ("agent: journal.jsonl", r#""kind":"snmp_pdu""#),
    ] {
        holds(&places, place, word);
    }
    let leaks = found(&secrets, &places);
    assert!(leaks.is_empty(), "{leaks:#?}");

    // A clean stop moves everything into the database file.
    lab.backend.stop();
    let mut places = files("server", lab.backend.folder());
    places.push(("/live".to_owned(), live.await.unwrap()));
    for (place, word) in [("server: rackhand.db", "srv-01"), ("/live", "data:")] {
        holds(&places, place, word);
    }
    let leaks = found(&secrets, &places);
    assert!(leaks.is_empty(), "{leaks:#?}");
}
