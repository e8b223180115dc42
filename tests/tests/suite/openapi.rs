//! The API's description is the one that is checked in, and what it says of every route holds.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_tests::{Lab, bmc_body};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// What is checked in.
fn kept() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json")).unwrap()
}

/// Method, path and description of every route.
fn routes() -> Vec<(String, String, Value)> {
    let description: Value = serde_json::from_str(&kept()).unwrap();
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, route) in methods.as_object().unwrap() {
            routes.push((method.to_uppercase(), path.clone(), route.clone()));
        }
    }
    assert!(routes.len() > 50, "this looks in the wrong place");
    routes
}

/// A path that leads to nothing.
fn nowhere(path: &str) -> String {
    let nil = uuid::Uuid::nil().to_string();
    ["{id}", "{connection}", "{name}"].iter().fold(path.to_owned(), |path, name| path.replace(name, &nil))
}

async fn send(lab: &Lab, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Response {
    let url = format!("http://127.0.0.1:{}/api/v1{path}", lab.backend.port());
    let mut request = rackhand_tests::client().request(method.parse().unwrap(), url).body(body);
    request = request.bearer_auth(&lab.backend.token).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[test]
fn the_description_in_docs_is_current() {
    let output = Command::new(rackhand_tests::binary("rackhand"))
        .arg("openapi")
        .env("RACKHAND_LOG", "error")
        .output()
        .unwrap();
    let ours = String::from_utf8(output.stdout).unwrap();
    assert!(ours == kept(), "docs/openapi.json is stale; run: cargo xtask openapi");
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for (method, path, route) in routes() {
        let name = route["operationId"].as_str().unwrap().to_owned();
        assert!(names.insert(name.clone()), "{method} {path}: another one is named {name}");
    }
}

/// Names of all properties of a part of the description.
fn properties(part: &Value, found: &mut BTreeSet<String>) {
    if let Some(own) = part["properties"].as_object() {
        found.extend(own.keys().cloned());
    }
    let inner = part.as_object().into_iter().flat_map(|object| object.values());
    for inner in inner.chain(part.as_array().into_iter().flatten()) {
        properties(inner, found);
    }
}

#[test]
fn every_field_is_named_in_snake_case() {
    let description: Value = serde_json::from_str(&kept()).unwrap();
    let mut names = BTreeSet::new();
    properties(&description["components"]["schemas"], &mut names);
    assert!(names.len() > 100, "this looks in the wrong place: {names:?}");
    let is_snake = |name: &String| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    names.retain(|name| !is_snake(name));
    assert_eq!(names, BTreeSet::new());
}

/// Moments of an answer that are not told in UTC as RFC 3339 writes it.
fn odd_moments(name: &str, part: &Value) -> Vec<String> {
    match part {
        Value::Object(fields) => fields.iter().flat_map(|(name, value)| odd_moments(name, value)).collect(),
        Value::Array(items) => items.iter().flat_map(|item| odd_moments(name, item)).collect(),
        Value::String(text) if name.ends_with("_at") || name.ends_with("_until") => {
            let is_moment = chrono::DateTime::parse_from_rfc3339(text).is_ok();
            if is_moment && text.ends_with('Z') { Vec::new() } else { vec![format!("{name}: {text}")] }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_are_told_in_utc() {
    let lab = Lab::start(1).await;
    lab.power("srv-01", json!({"action": "reset"})).await;
    let mut moments = 0;
    for list in ["servers", "endpoints", "agents", "jobs", "events", "audit", "users", "tokens"] {
        let answer = lab.get(&format!("/{list}")).await.ok();
        assert_eq!(odd_moments("", &answer), Vec::<String>::new(), "{list}");
        moments += answer.to_string().matches("_at\":\"").count();
    }
    assert!(moments > 10, "{moments}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_taken_where_the_description_says_so() {
    let lab = Lab::bare(1).await;
    let long = "x".repeat(201);
    let mut taken = 0;
    for (method, path, route) in routes().into_iter().filter(|(method, _, _)| method == "POST") {
        let mut parameters = route["parameters"].as_array().into_iter().flatten();
        let is_described =
            parameters.any(|it| (&it["name"], &it["in"]) == (&json!("Idempotency-Key"), &json!("header")));
        let reply = send(&lab, &method, &nowhere(&path), &[("idempotency-key", &long)], "{}".into()).await;
        let problem: Value = reply.json().await.unwrap_or_default();
        let is_taken = problem["errors"][0]["field"] == "Idempotency-Key";
        assert_eq!(is_taken, is_described, "{path}: mend KEYLESS in http/openapi.rs, or take Once there");
        assert!(!is_taken || route["responses"]["422"].is_object(), "{path}: name 422");
        taken += usize::from(is_taken);
    }
    assert!(taken > 10, "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_as_described_and_the_database_may_fail_anywhere() {
    let lab = Lab::bare(1).await;
    let large = json!({"name": "x".repeat(300_000)}).to_string();
    for (method, path, route) in routes() {
        let describes = |status: &str| {
            route["responses"][status]["content"]["application/problem+json"]["schema"]["$ref"].is_string()
        };
        assert!(describes("503"), "{method} {path}");
        let takes_body = !route["requestBody"].is_null();
        assert_eq!(describes("413"), takes_body, "{method} {path}");
        if takes_body {
            let reply = send(&lab, &method, &nowhere(&path), &[], large.clone()).await;
            assert_eq!(reply.status(), StatusCode::PAYLOAD_TOO_LARGE, "{method} {path}");
            assert_eq!(reply.headers()["content-type"], "application/problem+json", "{method} {path}");
            assert_eq!(reply.json::<Value>().await.unwrap()["code"], "too_large", "{method} {path}");
        }
    }
}

/// What makes something: route, its path and its body. The last job is under way until it is stopped.
async fn makers(lab: &Lab) -> Vec<(&'static str, String, Value)> {
    lab.machine("srv-01").change_bmc_faults(|faults| faults.ignore_soft = true);
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let mut bmc = bmc_body(&inventory["servers"][0]);
    bmc["name"] = "another BMC".into();
    bmc["params"]["port"] = 9.into();
    let pdu = lab.get("/endpoints?q=kind:snmp_pdu").await.ok()["items"][0]["id"].clone();
    let server = lab.post("/servers", &json!({"name": "srv-02"})).await.ok();
    let server = format!("/servers/{}", server["id"].as_str().unwrap());
    let agents = lab.get("/agents").await.ok();
    let own = format!("/agents/{}", agents["items"][0]["id"].as_str().unwrap());
    let remote = lab.post("/agents", &json!({"name": "site-b"})).await.ok();
    let remote = format!("/agents/{}", remote["agent"]["id"].as_str().unwrap());
    let outlet = json!({"endpoint_id": pdu, "target": {"outlet": "8"}});
    let held = json!({"action": "shutdown", "deadline_s": 600});
    vec![
        ("/sites", "/sites".into(), json!({"name": "a site"})),
        ("/users", "/users".into(), json!({"name": "bob", "password": "a password of bob"})),
        ("/tokens", "/tokens".into(), json!({"name": "nightly"})),
        ("/servers", "/servers".into(), json!({"name": "srv-03"})),
        ("/servers/{id}/connections", format!("{server}/connections"), outlet),
        ("/endpoints", "/endpoints".into(), bmc),
        ("/endpoints/test", "/endpoints/test".into(), json!({"endpoint_id": pdu})),
        ("/agents", "/agents".into(), json!({"name": "site-a"})),
        ("/agents/{id}/replace", format!("{remote}/replace"), json!({})),
        ("/agents/{id}/probe", format!("{own}/probe"), json!({"endpoint_id": pdu})),
        ("/servers/{id}/power", format!("/servers/{}/power", lab.id("srv-01")), held),
        ("/jobs/{id}/cancel", "/jobs/{last}/cancel".into(), json!({})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_is_where_its_location_says() {
    let lab = Lab::start(1).await;
    let described: BTreeSet<String> = routes()
        .into_iter()
        .filter(|(_, _, route)| ["201", "202"].iter().any(|status| route["responses"][status].is_object()))
        .inspect(|(method, path, route)| {
            let responses = route["responses"].as_object().unwrap().iter();
            for (status, response) in responses {
                let is_told = response["headers"]["Location"].is_object();
                assert_eq!(is_told, ["201", "202"].contains(&status.as_str()), "{method} {path} {status}");
            }
        })
        .map(|(_, path, _)| path)
        .collect();
    let mut made = BTreeSet::new();
    let mut last = String::new();
    for (route, path, body) in makers(&lab).await {
        let path = path.replace("{last}", &last);
        let reply = send(&lab, "POST", &path, &[], body.to_string()).await;
        let status = reply.status();
        let location = reply.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
        let answer: Value = reply.json().await.unwrap();
        assert!(["201", "202"].contains(&status.as_str()), "{path}: {status} {answer}");
        let ids = [&answer["id"], &answer["agent"]["id"], &answer["token"]["id"]];
        last = ids.into_iter().find_map(Value::as_str).unwrap().to_owned();
        assert_eq!(last.parse::<uuid::Uuid>().unwrap().get_version_num(), 7, "{path}: {last}");
        let location = location.unwrap_or_default();
        assert!(location.starts_with("/api/v1/") && location.ends_with(&last), "{path}: “{location}”");
        let there = send(&lab, "GET", location.trim_start_matches("/api/v1"), &[], String::new()).await;
        assert_eq!(there.status(), 200, "{path}: nothing is at {location}");
        made.insert(route.to_owned());
    }
    assert_eq!(made, described, "add the route to makers()");
}
