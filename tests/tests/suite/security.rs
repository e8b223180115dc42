//! What somebody with a copy of the database, an open page, a lost token or a guess must not get.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken bench stops the test")]

use rackhand_store::{Db, idempotency, sealed::Keyring};
use rackhand_tests::{Backend, Lab, PASSWORD, USER, bmc_body, joined, state};
use rackhand_wire::id::TenantId;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

use super::bad_input::{description, everything, filled, objects};

/// A browser that is signed in.
struct Browser {
    url: String,
    cookie: String,
    csrf: String,
}

impl Browser {
    async fn sign_in(backend: &Backend, name: &str, password: &str) -> Self {
        let reply = try_sign_in(backend, name, password).await;
        assert_eq!(reply.status().as_u16(), 200);
        let cookie = reply.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let session: Value = reply.json().await.unwrap();
        Self { url: api(backend), cookie, csrf: session["csrf_token"].as_str().unwrap().to_owned() }
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request =
            rackhand_tests::client().request(method.parse().unwrap(), format!("{}{path}", self.url));
        let request = request.header("cookie", &self.cookie).header("x-csrf-token", &self.csrf);
        let reply = request.json(body).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap_or(Value::Null))
    }

    async fn stream(&self) -> Stream {
        let request =
            rackhand_tests::client().get(format!("{}/live", self.url)).header("cookie", &self.cookie);
        Stream::open(request).await
    }
}

fn api(backend: &Backend) -> String {
    format!("{}/api/v1", backend.url().replace("localhost", "127.0.0.1"))
}

async fn try_sign_in(backend: &Backend, name: &str, password: &str) -> reqwest::Response {
    let body = json!({"name": name, "password": password});
    rackhand_tests::client().post(format!("{}/session", api(backend))).json(&body).send().await.unwrap()
}

/// Changes the database behind the server's back, as another process may.
async fn sql(backend: &Backend, text: &str, values: Vec<sea_orm::Value>) {
    let db = Db::open(&backend.database(), Keyring::new([0; 32])).await.unwrap();
    let statement = Statement::from_sql_and_values(db.writer().get_database_backend(), text, values);
    db.writer().execute_raw(statement).await.unwrap();
    db.close().await;
}

/// An open live stream.
struct Stream(reqwest::Response);

impl Stream {
    async fn open(request: reqwest::RequestBuilder) -> Self {
        let mut reply = request.send().await.unwrap();
        assert_eq!(reply.status().as_u16(), 200);
        reply.chunk().await.unwrap();
        Self(reply)
    }

    async fn of_token(backend: &Backend, token: &Value) -> Self {
        let request = rackhand_tests::client().get(format!("{}/live", api(backend)));
        Self::open(request.bearer_auth(token["value"].as_str().unwrap())).await
    }

    /// Reads to the end, which must come within a second, and three times that on a busy machine.
    async fn rest(mut self) -> String {
        let begun = Instant::now();
        let mut heard = Vec::new();
        let patience = Duration::from_secs(10);
        while let Some(chunk) = tokio::time::timeout(patience, self.0.chunk()).await.unwrap().unwrap() {
            heard.extend_from_slice(&chunk);
        }
        assert!(begun.elapsed() < Duration::from_secs(3), "it ended after {:?}", begun.elapsed());
        String::from_utf8(heard).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_kept_request_is_worth_nothing_without_the_master_key() {
    let body = json!({"name": "bob", "password": "a password to be guessed"});
    let mut kept = Vec::new();
    for _ in 0..2 {
        let lab = Lab::bare(1).await;
        let headers = [("idempotency-key", "once")];
        let first = lab.send("POST", "/users", Some(&body), &headers).await.ok();
        assert_eq!(lab.send("POST", "/users", Some(&body), &headers).await.ok(), first);
        let other = json!({"name": "bob", "password": "a password to be learnt"});
        let reply = lab.send("POST", "/users", Some(&other), &headers).await;
        assert_eq!(reply.code(), "idempotency_key_reused");
        let users = lab.get("/users").await.ok();
        let own = users["items"].as_array().unwrap().iter().find(|user| user["name"] == USER).unwrap();
        let db = Db::open(&lab.backend.database(), Keyring::new([0; 32])).await.unwrap();
        let key = format!("{}/once", own["id"].as_str().unwrap());
        let row = idempotency::find(db.reader(), TenantId::PROVIDER, &key).await.unwrap().unwrap();
        kept.push(row.body_hash);
    }
    assert_ne!(kept[0], kept[1], "two installations name the same request alike");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_device_is_not_added_twice_by_another_spelling() {
    let lab = Lab::start(1).await;
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let agents = lab.get("/agents").await.ok();
    for (field, value) in [
        ("/agent_id", agents["items"][0]["id"].clone()),
        ("/params/host", "localhost".into()),
        ("/params/host", "LOCALHOST".into()),
    ] {
        let mut again = bmc_body(&inventory["servers"][0]);
        again["name"] = "twice".into();
        again["agent_id"] = Value::Null;
        *again.pointer_mut(field).unwrap() = value;
        let reply = lab.post("/endpoints", &again).await;
        assert_eq!((reply.status, reply.field()), (422, ("params.host", "duplicate")), "{again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_secrets_are_not_sent_to_another_address() {
    let lab = Lab::start(1).await;
    let pdu = lab.get("/endpoints?q=kind:snmp_pdu").await.ok()["items"][0].clone();
    let path = format!("/endpoints/{}", pdu["id"].as_str().unwrap());
    let thief = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut params = pdu["params"].clone();
    params["port"] = thief.local_addr().unwrap().port().into();

    let attempt = json!({"endpoint_id": pdu["id"], "params": params});
    let part = json!({"endpoint_id": pdu["id"], "params": params, "secrets": {"community": "bait"}});
    for (reply, field) in [
        (lab.post("/endpoints/test", &attempt).await, "secrets.community"),
        (lab.post("/endpoints/test", &part).await, "secrets.write_community"),
        (lab.patch(&path, &json!({"params": params})).await, "secrets.community"),
    ] {
        assert_eq!((reply.status, reply.field()), (422, (field, "required")), "{}", reply.body);
        let sentence = reply.body["errors"][0]["message"].as_str().unwrap();
        assert!(sentence.starts_with("The address changed, so enter the "), "{sentence}");
    }
    assert_eq!(lab.get(&path).await.ok()["params"], pdu["params"]);

    let secrets = json!({"community": "bait", "write_community": "bait"});
    let whole = json!({"endpoint_id": pdu["id"], "params": params, "secrets": secrets});
    lab.post("/endpoints/test", &whole).await.ok();
    let mut datagram = [0; 2000];
    let size = tokio::time::timeout(Duration::from_secs(10), thief.recv(&mut datagram)).await.unwrap();
    let told = String::from_utf8_lossy(&datagram[..size.unwrap()]).into_owned();
    assert!(told.contains("bait"), "what was entered is tried, and it is the first thing that arrived");

    let kept = json!({"name": "renamed", "params": pdu["params"]});
    lab.patch(&path, &kept).await.ok();
    let job = lab.post("/endpoints/test", &json!({"endpoint_id": pdu["id"]})).await.ok();
    assert_eq!(job["title"], "Test renamed", "it is named as lists name it");
    assert_eq!(lab.finish(job["id"].as_str().unwrap()).await["state"], "succeeded", "at its own address");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_an_address_does_not_ask_for_do_not_follow_it() {
    let lab = Lab::start(1).await;
    let pdu = lab.get("/endpoints?q=kind:snmp_pdu").await.ok()["items"][0].clone();
    let path = format!("/endpoints/{}", pdu["id"].as_str().unwrap());
    let thief = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = thief.local_addr().unwrap().port();
    let moved = json!({
        "params": {"host": "127.0.0.1", "port": port, "version": "v3", "user": "thief"},
        "secrets": {"auth_password": "long enough", "priv_password": "long enough"},
    });
    let saved = lab.patch(&path, &moved).await.ok();
    let names: Vec<&str> =
        saved["secrets_set"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(names, ["auth_password", "priv_password"], "the communities stayed behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_ends_within_a_second_of_its_token() {
    let lab = Lab::bare(1).await;
    let token = async || lab.post("/tokens", &json!({"name": "a script"})).await.ok();

    let removed = token().await;
    let stream = Stream::of_token(&lab.backend, &removed).await;
    let path = format!("/tokens/{}", removed["token"]["id"].as_str().unwrap());
    assert_eq!(lab.send("DELETE", &path, None, &[]).await.status, 204);
    assert_eq!(stream.rest().await, "");

    let expired = token().await;
    let stream = Stream::of_token(&lab.backend, &expired).await;
    let name = expired["token"]["prefix"].as_str().unwrap();
    sql(&lab.backend, "UPDATE token SET expires_at = 1 WHERE prefix = $1", vec![name.into()]).await;
    assert_eq!(stream.rest().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_ends_within_a_second_of_its_session() {
    let lab = Lab::bare(1).await;
    let body = json!({"name": "bob", "password": "a password of bob"});
    let bob = lab.post("/users", &body).await.ok();
    let path = format!("/users/{}", bob["id"].as_str().unwrap());
    for how in ["expired", "idle", "signed out", "disabled"] {
        let browser = Browser::sign_in(&lab.backend, "bob", "a password of bob").await;
        let stream = browser.stream().await;
        match how {
            "expired" => sql(&lab.backend, "UPDATE session SET expires_at = 1", vec![]).await,
            "idle" => sql(&lab.backend, "UPDATE session SET last_used_at = 1", vec![]).await,
            "signed out" => assert_eq!(browser.send("DELETE", "/session", &Value::Null).await.0, 204),
            _ => drop(lab.patch(&path, &json!({"disabled": true})).await.ok()),
        }
        let rest = stream.rest().await;
        assert!(rest.contains(r#""object":"session""#), "{how}: the page is not told: {rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_with_its_user() {
    let lab = Lab::bare(1).await;
    let bob = lab.post("/users", &json!({"name": "bob", "password": "a password of bob"})).await.ok();
    let browser = Browser::sign_in(&lab.backend, "bob", "a password of bob").await;
    let (status, made) = browser.send("POST", "/tokens", &json!({"name": "nightly"})).await;
    assert_eq!(status, 201, "{made}");
    let asks = async || {
        let request = rackhand_tests::client().get(format!("{}/servers", api(&lab.backend)));
        request.bearer_auth(made["value"].as_str().unwrap()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(asks().await, 200);
    lab.patch(&format!("/users/{}", bob["id"].as_str().unwrap()), &json!({"disabled": true})).await.ok();
    assert_eq!(asks().await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_password_is_changed_by_who_knows_it() {
    let lab = Lab::bare(1).await;
    let users = lab.get("/users").await.ok();
    let own = format!("/users/{}", users["items"][0]["id"].as_str().unwrap());
    let fresh = "another horse battery";
    let browser = Browser::sign_in(&lab.backend, USER, PASSWORD).await;
    for (current, code) in [(Value::Null, "required"), ("".into(), "required"), ("a guess".into(), "wrong")] {
        let body = json!({"password": fresh, "current_password": current});
        let (status, problem) = browser.send("PATCH", &own, &body).await;
        let error = &problem["errors"][0];
        assert_eq!(
            (status, &error["field"], &error["code"]),
            (422, &json!("current_password"), &json!(code))
        );
    }
    let right = json!({"password": fresh, "current_password": PASSWORD});
    let reply = lab.patch(&own, &right).await;
    assert_eq!((reply.status, reply.code()), (403, "needs_session"), "a token is nobody's memory");
    assert_eq!(browser.send("PATCH", &own, &right).await.0, 200);
    assert_eq!(try_sign_in(&lab.backend, USER, PASSWORD).await.status().as_u16(), 401);
    Browser::sign_in(&lab.backend, USER, fresh).await;

    let bob = lab.post("/users", &json!({"name": "bob", "password": "a password of bob"})).await.ok();
    let path = format!("/users/{}", bob["id"].as_str().unwrap());
    lab.patch(&path, &json!({"password": "a new one for bob"})).await.ok();
    Browser::sign_in(&lab.backend, "bob", "a new one for bob").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn force_by_the_outlets_asks_for_name_and_password() {
    let lab = Lab::start(1).await;
    let browser = Browser::sign_in(&lab.backend, USER, PASSWORD).await;
    let server = format!("/servers/{}", lab.id("srv-01"));
    let power = format!("{server}/power");
    let before = lab.machine("srv-01").effects();
    let nothing_was_begun = async || {
        assert_eq!(lab.get("/jobs?q=kind:power").await.ok()["items"], json!([]));
        assert_eq!(lab.pdu_writes(), 0);
        assert_eq!(lab.machine("srv-01").effects(), before);
    };
    let forced = json!({"action": "off", "via": "outlets"});
    for (typed, wrong) in [
        (json!({"password": PASSWORD}), ("confirm_name", "not_confirmed")),
        (json!({"confirm_name": "", "password": PASSWORD}), ("confirm_name", "not_confirmed")),
        (json!({"confirm_name": "srv-02", "password": PASSWORD}), ("confirm_name", "not_confirmed")),
        (json!({"confirm_name": "srv-01"}), ("password", "required")),
        (json!({"confirm_name": "srv-01", "password": ""}), ("password", "required")),
        (json!({"confirm_name": "srv-01", "password": "a guess"}), ("password", "wrong")),
    ] {
        let (status, problem) = browser.send("POST", &power, &joined(forced.clone(), &typed)).await;
        let error = ["field", "code"].map(|key| problem["errors"][0][key].as_str().unwrap_or_default());
        assert_eq!((status, error), (422, [wrong.0, wrong.1]), "{typed}: {problem}");
    }
    nothing_was_begun().await;

    // Someone works on it: then name and password open nothing either.
    let right = joined(forced, &json!({"confirm_name": "srv-01", "password": PASSWORD}));
    lab.patch(&server, &json!({"maintenance": true})).await.ok();
    let by_itself = ["on", "off", "cycle", "reset"].map(|action| json!({"action": action}));
    for body in by_itself.iter().chain([&right]) {
        let (status, problem) = browser.send("POST", &power, body).await;
        assert_eq!((status, problem["code"].as_str()), (409, Some("maintenance")), "{body}: {problem}");
    }
    nothing_was_begun().await;

    lab.patch(&server, &json!({"maintenance": false})).await.ok();
    let (status, job) = browser.send("POST", &power, &right).await;
    assert_eq!(status, 202, "{job}");
    let job = lab.finish(job["id"].as_str().unwrap()).await;
    assert_eq!(state(&job), ("succeeded", "done_by_outlets"), "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_to_sign_in_are_counted_and_successes_are_not() {
    let lab = Lab::bare(1).await;
    for _ in 0..12 {
        Browser::sign_in(&lab.backend, USER, PASSWORD).await;
    }
    for _ in 0..10 {
        assert_eq!(try_sign_in(&lab.backend, USER, "a guess").await.status().as_u16(), 401);
    }
    for password in ["a guess", PASSWORD] {
        let reply = try_sign_in(&lab.backend, USER, password).await;
        assert_eq!(reply.status().as_u16(), 429);
        assert!(reply.headers().contains_key("retry-after"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_side_by_side_are_counted_too() {
    let lab = Lab::bare(1).await;
    let guesses = (0..40).map(|_| try_sign_in(&lab.backend, USER, "a guess"));
    let replies = futures::future::join_all(guesses).await;
    let told = replies.iter().filter(|reply| reply.status().as_u16() == 401).count();
    assert_eq!(told, 10, "of 40 guesses");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_tenant_see_its_rows_alone() {
    let lab = Lab::bare(1).await;
    // bob is among them.
    let mut objects = objects(&lab).await;
    objects.retain(|(name, _)| *name != "/users/{id}");
    for list in ["/users", "/tokens"] {
        let own = lab.get(list).await.ok()["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["name"] != "bob")
            .cloned();
        objects.push((
            if list == "/users" { "/users/{id}" } else { "/tokens/{id}" },
            format!("{list}/{}", own.unwrap()["id"].as_str().unwrap()),
        ));
    }
    let device =
        objects.iter().find(|(name, _)| *name == "/endpoints/{id}").unwrap().1.replace("/endpoints/", "");
    let device = device.as_str();
    let job = lab.post("/endpoints/test", &json!({"endpoint_id": device})).await.ok();
    let job = lab.finish(job["id"].as_str().unwrap()).await;
    objects.push(("/jobs/{id}", format!("/jobs/{}", job["id"].as_str().unwrap())));
    let tenant = a_customer(&lab).await;
    let moved = r#"UPDATE "user" SET tenant_id = $1 WHERE name = 'bob'"#;
    sql(&lab.backend, moved, vec![tenant.into()]).await;

    let bob = Browser::sign_in(&lab.backend, "bob", "a password of bob").await;
    let lists = [
        "/servers",
        "/endpoints",
        "/jobs",
        "/agents",
        "/agent-groups",
        "/sites",
        "/users",
        "/tokens",
        "/events",
        "/audit",
    ];
    for list in lists {
        let shown = bob.send("GET", list, &Value::Null).await.1;
        let told = shown["items"].to_string();
        // What he did himself is his to see.
        assert!(
            !told.contains("srv-01") && !told.contains("site-a") && !told.contains("a site"),
            "{list}: {told}"
        );
    }
    for word in ["srv", "pdu", "site", "root"] {
        let found = bob.send("GET", &format!("/search?q={word}"), &Value::Null).await;
        assert_eq!((found.0, found.1["hits"].clone()), (200, json!([])), "{word}: {}", found.1);
    }
    assert_eq!(bob.send("GET", "/servers/tally", &Value::Null).await.1["total"], 0);
    let before = everything(&lab, &objects).await;
    for (path, methods) in
        description()["paths"].as_object().unwrap().iter().filter(|(path, _)| path.contains('{'))
    {
        for method in methods.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            let place = filled(path, &objects).replace("/plan", "/plan?action=on");
            // A body that is none is refused before anybody looks whose it is.
            let body = match (method.as_str(), path.as_str()) {
                ("POST", "/servers/{id}/power") => json!({"action": "off"}),
                ("POST", "/servers/{id}/connections") => {
                    json!({"endpoint_id": device, "target": {"outlet": "2"}})
                }
                _ => json!({}),
            };
            let (status, answer) = bob.send(&method, &place, &body).await;
            assert!(body == json!({}) || status == 404, "{method} {place}: {status} {answer}");
            let is_hidden = status == 404 || (method != "GET" && [403, 422].contains(&status));
            assert!(is_hidden, "{method} {place}: {status} {answer}");
        }
    }
    assert_eq!(everything(&lab, &objects).await, before);
    let own = bob.send("POST", "/servers", &json!({"name": "bob's"})).await;
    assert_eq!(own.0, 201, "{}", own.1);
    let mine = bob.send("GET", "/servers", &Value::Null).await.1;
    assert_eq!(mine["items"].as_array().unwrap().len(), 1);
    let all = lab.get("/servers").await.ok();
    assert_eq!(all["items"].as_array().unwrap().len(), 2, "the provider sees both");
    let bobs = own.1["id"].as_str().unwrap();
    what_is_connected_belongs_to_the_server(&lab, &bob, bobs, device).await;
}

async fn a_customer(lab: &Lab) -> uuid::Uuid {
    let tenant = uuid::Uuid::now_v7();
    let insert = "INSERT INTO tenant (id, parent_id, path, name, created_at, audit_seq, audit_hash) \
                  VALUES ($1, $2, $3, 'A customer', 1, 0, '')";
    let path = format!("/{tenant}/");
    sql(&lab.backend, insert, vec![tenant.into(), uuid::Uuid::nil().into(), path.into()]).await;
    tenant
}

/// What the provider connects to a customer's server is the customer's to see; a device of another customer is no
/// part of it.
async fn what_is_connected_belongs_to_the_server(lab: &Lab, bob: &Browser, server: &str, device: &str) {
    let connections = format!("/servers/{server}/connections");
    let outlet = |number: &str| json!({"endpoint_id": device, "target": {"outlet": number}});
    lab.post(&connections, &outlet("2")).await.ok();
    let shown = bob.send("GET", &connections, &Value::Null).await.1;
    assert_eq!(shown["items"].as_array().unwrap().len(), 1, "{shown}");
    let sibling = a_customer(lab).await;
    let given = "UPDATE endpoint SET tenant_id = $1";
    sql(&lab.backend, given, vec![sibling.into()]).await;
    let refused = lab.post(&connections, &outlet("3")).await;
    assert_eq!((refused.status, refused.body["errors"][0]["code"].as_str()), (422, Some("foreign")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_user_is_made_with_its_record_or_not_at_all() {
    let backend = Backend::without_users();
    let link = backend.setup_link();
    let token = link.split_once("token=").unwrap().1;
    let url = format!("{}/setup", api(&backend));
    let set_up = async |name: &str| {
        let body = json!({"token": token, "name": name, "password": PASSWORD});
        let reply = rackhand_tests::client().post(&url).json(&body).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap_or(Value::Null))
    };

    sql(&backend, "ALTER TABLE audit RENAME TO audit_away", vec![]).await;
    assert!(set_up(USER).await.0 >= 500, "a deed without its record");
    let state: Value = rackhand_tests::client().get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(state, json!({"needed": true}));

    sql(&backend, "ALTER TABLE audit_away RENAME TO audit", vec![]).await;
    assert_eq!(set_up(USER).await.0, 200);
    for name in [USER, "eve"] {
        let (status, problem) = set_up(name).await;
        assert_eq!((status, problem["code"].as_str()), (409, Some("set_up")), "{name}: {problem}");
    }
    let browser = Browser::sign_in(&backend, USER, PASSWORD).await;
    let users = browser.send("GET", "/users", &Value::Null).await.1;
    let names: Vec<Value> =
        users["items"].as_array().unwrap().iter().map(|user| user["name"].clone()).collect();
    assert_eq!(names, [USER], "the link works once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_is_asked_for_again_with_its_key_is_the_same_job() {
    let lab = Lab::start(1).await;
    let pdu = lab.get("/endpoints?q=kind:snmp_pdu").await.ok()["items"][0].clone();
    let body = json!({"endpoint_id": pdu["id"]});
    let ask = async |key: &str| {
        let headers = [("idempotency-key", key)];
        lab.send("POST", "/endpoints/test", Some(&body), &headers).await.ok()["id"].clone()
    };
    let first = ask("one").await;
    assert_eq!(ask("one").await, first);
    assert_ne!(ask("two").await, first);
}

/// What a page sends with a request that changes something: its token and its origin. Refused with a code, or done.
struct Sent<'a> {
    csrf: Option<&'a str>,
    origin: Option<&'a str>,
    refused: Option<&'static str>,
}

impl Browser {
    /// Sends a change as a page of some origin would, with the cookie that a browser adds by itself.
    async fn change(&self, (method, path, body): (&str, &str, &Value), sent: &Sent<'_>) -> reqwest::Response {
        let url = format!("{}{path}", self.url);
        let mut request = rackhand_tests::client().request(method.parse().unwrap(), url).json(body);
        request = request.header("cookie", &self.cookie);
        for (name, value) in [("x-csrf-token", sent.csrf), ("origin", sent.origin)] {
            request = value.into_iter().fold(request, |request, value| request.header(name, value));
        }
        request.send().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_changes_nothing() {
    let lab = Lab::bare(1).await;
    let server = lab.post("/servers", &json!({"name": "srv-01"})).await.ok();
    let server = format!("/servers/{}", server["id"].as_str().unwrap());
    let browser = Browser::sign_in(&lab.backend, USER, PASSWORD).await;
    let other = Browser::sign_in(&lab.backend, USER, PASSWORD).await;
    let port = lab.backend.port();
    let [ours, by_number] = ["localhost", "127.0.0.1"].map(|host| format!("http://{host}:{port}"));
    let [secure, longer, neighbour] =
        [format!("https://localhost:{port}"), format!("{ours}0"), format!("{ours}.example")];
    let own = Some(browser.csrf.as_str());
    let row = |csrf, origin, refused| Sent { csrf, origin, refused };
    for sent in [
        row(None, Some(ours.as_str()), Some("csrf")),
        row(None, None, Some("csrf")),
        row(Some(""), Some(&ours), Some("csrf")),
        row(Some("a guess"), Some(&ours), Some("csrf")),
        row(Some(&other.csrf), Some(&ours), Some("csrf")),
        row(own, Some("https://evil.example"), Some("foreign_origin")),
        row(own, Some("null"), Some("foreign_origin")),
        row(own, Some(&secure), Some("foreign_origin")),
        row(own, Some(&longer), Some("foreign_origin")),
        row(own, Some(&neighbour), Some("foreign_origin")),
        row(own, Some(&ours), None),
        row(own, Some(&by_number), None),
        row(own, None, None),
    ] {
        let before = lab.get(&server).await.ok();
        let said = (sent.csrf, sent.origin);
        let notes = json!({"notes": format!("{said:?}")});
        let reply = browser.change(("PATCH", &server, &notes), &sent).await;
        assert!(!reply.headers().contains_key("access-control-allow-origin"), "{said:?}");
        let (status, body) = (reply.status().as_u16(), reply.json::<Value>().await.unwrap());
        let Some(code) = sent.refused else {
            assert_eq!((status, &body["notes"]), (200, &notes["notes"]), "{said:?}: {body}");
            continue;
        };
        assert_eq!((status, body["code"].as_str()), (403, Some(code)), "{said:?}: {body}");
        for (method, path) in [("POST", "/servers"), ("DELETE", server.as_str()), ("DELETE", "/session")] {
            let reply = browser.change((method, path, &json!({"name": "srv-02"})), &sent).await;
            assert_eq!(reply.status().as_u16(), 403, "{method} {path} {said:?}");
        }
        assert_eq!(lab.get(&server).await.ok(), before, "{said:?}");
        assert_eq!(lab.get("/servers").await.ok()["items"].as_array().unwrap().len(), 1, "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_signs_nobody_in() {
    let backend = Backend::start();
    let body = json!({"name": USER, "password": PASSWORD});
    for (origin, expected) in [("https://evil.example".to_owned(), 403), (backend.url(), 200)] {
        let request = rackhand_tests::client().post(format!("{}/session", api(&backend))).json(&body);
        let reply = request.header("origin", &origin).send().await.unwrap();
        assert_eq!(reply.status().as_u16(), expected, "{origin}");
        assert_eq!(reply.headers().contains_key("set-cookie"), expected == 200, "{origin}");
    }
}

/// Name, value and attributes of the cookie that an answer sets.
fn set_cookie(reply: &reqwest::Response) -> (String, String, Vec<String>) {
    let text = reply.headers()["set-cookie"].to_str().unwrap();
    let mut parts = text.split("; ").map(str::to_owned);
    let (name, value) =
        parts.next().and_then(|pair| pair.split_once('=').map(|(n, v)| (n.into(), v.into()))).unwrap();
    let mut attributes: Vec<String> = parts.filter(|part| !part.starts_with("Max-Age=")).collect();
    attributes.sort();
    (name, value, attributes)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_for_this_host_alone_and_hidden_from_scripts() {
    let strict = ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"];
    for (file, name, expected) in [
        // Browsers take localhost for secure, so it is as strict there.
        ("", "__Host-rackhand", &strict[..]),
        ("public_url = \"https://panel.example.com\"\n", "__Host-rackhand", &strict),
        // Over plain HTTP a browser would drop what is marked secure: it is as strict as it can be.
        ("public_url = \"http://panel.example.com\"\n", "rackhand", &strict[..3]),
    ] {
        let backend = Backend::configured(file);
        let reply = try_sign_in(&backend, USER, PASSWORD).await;
        let (kept, value, attributes) = set_cookie(&reply);
        assert_eq!(
            (kept.as_str(), attributes),
            (name, expected.iter().map(|it| (*it).to_owned()).collect()),
            "{file}"
        );
        let session: Value = reply.json().await.unwrap();
        let csrf = session["csrf_token"].as_str().unwrap();
        let ask = async |method: &str, name: &str| {
            let url = format!("{}/session", api(&backend));
            let request = rackhand_tests::client().request(method.parse().unwrap(), url);
            request
                .header("cookie", format!("{name}={value}"))
                .header("x-csrf-token", csrf)
                .send()
                .await
                .unwrap()
        };
        let other = if name == "rackhand" { "__Host-rackhand" } else { "rackhand" };
        assert_eq!(ask("GET", other).await.status().as_u16(), 401, "{other} is not its name");
        assert_eq!(ask("GET", name).await.status().as_u16(), 200);
        let out = ask("DELETE", name).await;
        let (gone, empty, attributes) = set_cookie(&out);
        assert_eq!((gone.as_str(), empty.as_str(), attributes.len()), (name, "", expected.len()));
        assert!(out.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
        assert_eq!(ask("GET", name).await.status().as_u16(), 401, "the value is worth nothing any more");
    }
}
