//! Bad input gets a clear error with code, field and sentence, and changes nothing.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_tests::{Lab, Reply, bmc_body, joined, pdu_body, rack_of};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Asserts status, field and code of a refusal, and that it has a sentence and a request id.
async fn refused(lab: &Lab, path: &str, body: &Value, expected: (u16, &str, &str)) {
    is_refusal(&lab.post(path, body).await, &format!("{path} {body}"), expected);
}

fn is_refusal(reply: &Reply, asked: &str, expected: (u16, &str, &str)) {
    let (field, code) = reply.field();
    assert_eq!((reply.status, field, code), expected, "{asked}: {}", reply.body);
    assert!(explains(reply), "{asked}: {}", reply.body);
}

/// Says whether an answer has a code, a sentence for what is wrong and for each wrong field, and a request id.
fn explains(reply: &Reply) -> bool {
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let mut fields = reply.body["errors"].as_array().into_iter().flatten();
    ["code", "title", "request_id"].iter().all(|name| is_text(&reply.body[*name]))
        && fields.all(|error| is_text(&error["code"]) && is_text(&error["message"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_value_is_named_and_nothing_changes() {
    let lab = Lab::bare(1).await;
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let long = "x".repeat(10_000);
    for (body, field, code) in [
        (json!({"name": ""}), "name", "required"),
        (json!({"name": long}), "name", "too_long"),
        (json!({"name": "a\u{0}b"}), "name", "not_printable"),
        (json!({"name": 7}), "name", "wrong_type"),
        (json!({"name": "a", "colour": "red"}), "colour", "unknown_field"),
        (json!({"name": "a", "site_id": uuid::Uuid::nil()}), "site_id", "unknown"),
    ] {
        refused(&lab, "/servers", &body, (422, field, code)).await;
    }
    for zone in ["", "Mars/Olympus", "Europe"] {
        let site = json!({"name": "a site", "time_zone": zone});
        refused(&lab, "/sites", &site, (422, "time_zone", "not_a_time_zone")).await;
    }
    let bmc = bmc_body(&inventory["servers"][0]);
    let with = |pointer: &str, value: Value| {
        let mut body = bmc.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    for (body, field, code) in [
        (with("/kind", "toaster".into()), "kind", "unknown_choice"),
        (with("/params/host", "http://x/".into()), "params.host", "not_a_host"),
        (with("/params/host", "".into()), "params.host", "required"),
        (with("/params/port", 99999.into()), "params.port", "out_of_range"),
        (with("/params/user", "seventeen-letters".into()), "params.user", "too_long"),
        (with("/params/host", "no-such-bmc.invalid".into()), "params.host", "host_not_found"),
        (with("/params/user", "".into()), "params.user", "required"),
        (with("/secrets/password", "".into()), "secrets.password", "required"),
        (with("/secrets/password", "twenty-one-characters".into()), "secrets.password", "too_long"),
        (with("/secrets", json!({"password": "x", "oops": "x"})), "secrets.oops", "unknown_field"),
    ] {
        refused(&lab, "/endpoints", &body, (422, field, code)).await;
    }
    let mut pdu = pdu_body(&inventory["pdus"][0]);
    pdu["secrets"] = json!({"community": ""});
    refused(&lab, "/endpoints", &pdu, (422, "secrets.community", "required")).await;
    assert_eq!(lab.get("/servers").await.ok()["items"], json!([]));
    assert_eq!(lab.get("/endpoints").await.ok()["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_already_is_refused_at_its_field() {
    let lab = Lab::start(2).await;
    refused(&lab, "/servers", &json!({"name": "SRV-01"}), (422, "name", "duplicate")).await;
    for (path, body) in [
        ("/sites", json!({"name": "FRA2"})),
        ("/agents", json!({"name": "site-a"})),
        ("/users", json!({"name": "bob", "password": "a password of bob"})),
    ] {
        lab.post(path, &body).await.ok();
        refused(&lab, path, &body, (422, "name", "duplicate")).await;
    }
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let mut again = bmc_body(&inventory["servers"][0]);
    again["name"] = "another name".into();
    refused(&lab, "/endpoints", &again, (422, "params.host", "duplicate")).await;
    let mut named = pdu_body(&inventory["pdus"][0]);
    named["params"]["port"] = 1.into();
    refused(&lab, "/endpoints", &named, (422, "name", "duplicate")).await;
    let pdus = lab.get("/endpoints?q=kind:snmp_pdu").await.ok();
    let body = json!({"endpoint_id": pdus["items"][0]["id"], "target": {"outlet": "99"}});
    let path = format!("/servers/{}/connections", lab.id("srv-01"));
    refused(&lab, &path, &body, (422, "target.outlet", "no_such_outlet")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_narrowed_by_one_of_several_kinds() {
    let lab = Lab::start(2).await;
    let count = async |query: &str| {
        lab.get(&format!("/endpoints?q={query}")).await.ok()["items"].as_array().unwrap().len()
    };
    assert_eq!(count("kind:snmp_pdu").await, 2);
    assert_eq!(count("kind:ipmi").await, 2);
    assert_eq!(count("kind:snmp_pdu,ipmi").await, 4);
    assert_eq!(count("kind:nothing").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_stays_while_something_stands_there() {
    let lab = Lab::bare(1).await;
    for (path, name) in [("/servers", "a server"), ("/agents", "an agent")] {
        let site = lab.post("/sites", &json!({"name": name, "time_zone": "Europe/Berlin"})).await.ok();
        let id = site["id"].as_str().unwrap();
        lab.post(path, &json!({"name": name, "site_id": id})).await.ok();
        let reply = lab.send("DELETE", &format!("/sites/{id}"), None, &[]).await;
        assert_eq!((reply.status, reply.code()), (409, "in_use"), "{name}");
        assert!(reply.body["title"].as_str().unwrap().contains("stand at this site"), "{}", reply.body);
    }
    assert_eq!(lab.get("/agents").await.ok()["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn markup_in_a_name_is_text() {
    let lab = Lab::bare(1).await;
    let name = "<script>alert(1)</script> & \"srv\"";
    let added = lab.post("/servers", &json!({"name": name})).await.ok();
    assert_eq!(added["name"], name);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_nothing_and_foreign_methods_are_not_found() {
    let lab = Lab::bare(1).await;
    let nil = uuid::Uuid::nil();
    for path in [
        format!("/servers/{nil}"),
        format!("/servers/{nil}/connections"),
        format!("/servers/{nil}/power"),
        format!("/endpoints/{nil}"),
        format!("/jobs/{nil}"),
        "/servers/not-an-id".into(),
        "/nothing".into(),
    ] {
        let reply = lab.get(&path).await;
        assert_eq!((reply.status, reply.code()), (404, "not_found"), "{path}");
    }
    let reply = lab.post(&format!("/servers/{nil}/power"), &json!({"action": "off"})).await;
    assert_eq!(reply.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_named_as_sharing_an_outlet_and_is_nobody_is_refused_before_there_is_a_job() {
    let lab = Lab::start(2).await;
    let (path, other) = (format!("/servers/{}/power", lab.id("srv-01")), lab.id("srv-02"));
    for (named, field) in [
        (json!([uuid::Uuid::nil()]), "shared_with[0]"),
        (json!([other, uuid::Uuid::nil()]), "shared_with[1]"),
    ] {
        for via in ["auto", "outlets"] {
            let body = json!({"action": "off", "via": via, "confirm_name": "srv-01", "shared_with": named});
            refused(&lab, &path, &body, (422, field, "unknown")).await;
        }
    }
    assert_eq!(lab.get("/jobs").await.ok()["items"], json!([]));
    assert!(lab.machine("srv-01").is_on());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sign_in_nothing_is_told() {
    /// What must be open: to sign in, and to make the first user, which its own token guards.
    const OPEN: [&str; 3] = ["POST /session", "GET /setup", "POST /setup"];
    let lab = Lab::bare(1).await;
    let nil = uuid::Uuid::nil().to_string();
    let mut open = Vec::new();
    for (path, methods) in description()["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let place = ["{id}", "{connection}", "{name}"]
                .iter()
                .fold(path.clone(), |path, name| path.replace(name, &nil));
            let url = format!("http://127.0.0.1:{}/api/v1{place}", lab.backend.port());
            let request = rackhand_tests::client().request(method.to_uppercase().parse().unwrap(), url);
            let status = request.json(&json!({})).send().await.unwrap().status().as_u16();
            if status != 401 {
                open.push(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    assert_eq!(open, OPEN);
    for header in [("authorization", "Bearer rh_wrong"), ("authorization", "Basic YTpi")] {
        let reply = rackhand_tests::client()
            .get(format!("{}/api/v1/servers", lab.backend.url().replace("localhost", "127.0.0.1")))
            .header(header.0, header.1)
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status().as_u16(), 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_audit_record_is_found() {
    let mut lab = Lab::start(1).await;
    let verify = |lab: &Lab| {
        std::process::Command::new(rackhand_tests::binary("rackhand"))
            .args(["audit", "verify", "--json", "--data-dir"])
            .arg(lab.backend.folder())
            .output()
            .unwrap()
    };
    let good = verify(&lab);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    let chains: Value = serde_json::from_slice(&good.stdout).unwrap();
    assert!(chains[0]["records"].as_u64().unwrap() > 3);

    // A clean stop moves everything into the database file; there one record is changed behind its back.
    lab.backend.stop();
    let file = lab.backend.folder().join("rackhand.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let (word, forged) = (b"endpoint.add", b"endpoint.axx");
    let at = bytes.windows(word.len()).position(|window| window == word).unwrap();
    bytes[at..at + word.len()].copy_from_slice(forged);
    std::fs::write(&file, bytes).unwrap();
    let bad = verify(&lab);
    assert_eq!(bad.status.code(), Some(1));
    let chains: Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert!(!chains[0]["broken"].is_null(), "{chains}");
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_as_long_as_ipmi_allows_work() {
    for password in ["sixteen-bytes-16", "exactly-twenty-bytes"] {
        let mut farm = rack_of(1);
        farm.bmc_account.password = password.into();
        let lab = Lab::wired(farm).await;
        let power = lab.get(&format!("/servers/{}/power", lab.id("srv-01"))).await.ok();
        assert_eq!(power["value"], "on", "{} bytes: {power:#}", password.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_refused() {
    let lab = Lab::bare(1).await;
    let url = format!("{}/api/v1/servers", lab.backend.url().replace("localhost", "127.0.0.1"));
    for (text, media) in [
        ("{\"name\":", "application/json"),
        ("", "application/json"),
        ("[1,2", "application/json"),
        ("{\"name\": \"a\"}", "text/plain"),
    ] {
        let request = rackhand_tests::client().post(&url).body(text).header("content-type", media);
        let reply = request.bearer_auth(&lab.backend.token).send().await.unwrap();
        assert!(reply.status().is_client_error(), "{text}: {}", reply.status());
        let problem: Value = reply.json().await.unwrap();
        assert!(problem["code"].is_string() && problem["title"].is_string(), "{problem}");
    }
    assert_eq!(lab.get("/servers").await.ok()["items"], json!([]));
}

/// The description of the API that is checked in.
pub(super) fn description() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Method, path and body of every route that takes one.
fn writes(description: &Value) -> Vec<(String, &str, &Value)> {
    let mut writes = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, route) in methods.as_object().unwrap() {
            let body = &route["requestBody"];
            if !body.is_null() {
                writes.push((method.to_uppercase(), path.as_str(), body));
            }
        }
    }
    assert!(!writes.is_empty(), "no route takes a body; this looks in the wrong place");
    writes
}

/// One object of each kind, by how a path names it. Nothing changes them but who asks: the agent that serves the
/// device was never installed.
pub(super) async fn objects(lab: &Lab) -> Vec<(&'static str, String)> {
    let add = async |path: &str, body: Value| {
        let added = lab.post(path, &body).await.ok();
        let id = added["agent"]["id"].as_str().or(added["id"].as_str());
        id.unwrap().to_owned()
    };
    let site = add("/sites", json!({"name": "a site", "time_zone": "Europe/Berlin"})).await;
    let agent = add("/agents", json!({"name": "site-a"})).await;
    let user = add("/users", json!({"name": "bob", "password": "a password of bob"})).await;
    let server = add("/servers", json!({"name": "srv-01", "site_id": site})).await;
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let pdu = joined(pdu_body(&inventory["pdus"][0]), &json!({"agent_id": agent}));
    let endpoint = add("/endpoints", pdu).await;
    let outlet = json!({"endpoint_id": endpoint, "target": {"outlet": "1"}});
    let connection = add(&format!("/servers/{server}/connections"), outlet).await;
    vec![
        ("/sites/{id}", format!("/sites/{site}")),
        ("/agents/{id}", format!("/agents/{agent}")),
        ("/agent-groups/{name}", "/agent-groups/site-a".to_owned()),
        ("/users/{id}", format!("/users/{user}")),
        ("/servers/{id}", format!("/servers/{server}")),
        ("/endpoints/{id}", format!("/endpoints/{endpoint}")),
        ("/{connection}", format!("/{connection}")),
    ]
}

/// A path with the names of objects that exist.
pub(super) fn filled(path: &str, objects: &[(&str, String)]) -> String {
    let path = objects.iter().fold(path.to_owned(), |path, (name, object)| path.replace(name, object));
    assert!(!path.contains('{'), "{path} names an object that is not there: add it in objects()");
    path
}

/// All that a person may change, and what is kept of every change.
pub(super) async fn everything(lab: &Lab, objects: &[(&str, String)]) -> Vec<Value> {
    let lists = "/servers /servers/{id}/connections /endpoints /agents /agent-groups /sites /users /tokens \
                 /settings /jobs /audit";
    let mut all = Vec::new();
    for list in lists.split_whitespace() {
        let mut shown = lab.get(&filled(list, objects)).await.ok();
        for item in shown["items"].as_array_mut().into_iter().flatten() {
            // Asking is not changing.
            for moment in ["last_seen_at", "last_used_at"] {
                item[moment] = Value::Null;
            }
        }
        all.push(shown);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_names_a_field_that_it_does_not_know_and_takes_nothing_but_an_object() {
    let lab = Lab::bare(1).await;
    let objects = objects(&lab).await;
    let before = everything(&lab, &objects).await;
    let unknown = json!({"colour_of_nothing": 1});
    // A list could pass for the values of the fields in their order, an empty one for no change at all.
    let others =
        [json!([]), json!([unknown]), json!(["off"]), json!("colour_of_nothing"), json!(7), Value::Null];
    let description = description();
    let mut wrong = Vec::new();
    for (method, path, _) in writes(&description) {
        let place = filled(path, &objects);
        let named = lab.send(&method, &place, Some(&unknown), &[]).await;
        let is_named = (named.status, named.field()) == (422, ("colour_of_nothing", "unknown_field"));
        if !is_named || !explains(&named) {
            wrong.push(format!("{method} {path} {unknown}: {} {}", named.status, named.body));
        }
        for body in &others {
            let reply = lab.send(&method, &place, Some(body), &[]).await;
            if !(400..500).contains(&reply.status) || !explains(&reply) {
                wrong.push(format!("{method} {path} {body}: {} {}", reply.status, reply.body));
            }
        }
    }
    assert!(wrong.is_empty(), "not refused, or without code, field and sentence: {wrong:#?}");
    assert_eq!(everything(&lab, &objects).await, before);
}

/// Says whether a part of the description is a moment, or holds one.
fn has_moment(description: &Value, part: &Value) -> bool {
    if let Some(name) = part["$ref"].as_str() {
        let place = name.trim_start_matches('#');
        return has_moment(description, description.pointer(place).unwrap());
    }
    let inner = part.as_object().into_iter().flat_map(|object| object.values());
    part["format"] == "date-time"
        || inner.chain(part.as_array().into_iter().flatten()).any(|inner| has_moment(description, inner))
}

#[test]
fn no_write_takes_a_moment_that_could_lie_in_the_past() {
    let description = description();
    let answer = &description["components"]["schemas"]["Token"];
    assert!(has_moment(&description, answer), "an answer has some, so they are found");
    for (method, path, body) in writes(&description) {
        assert!(
            !has_moment(&description, body),
            "{method} {path} takes a moment: refuse one in the past, and add it to the test below"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duration_that_is_over_or_none_is_refused_at_its_field() {
    let lab = Lab::bare(1).await;
    let server = lab.post("/servers", &json!({"name": "srv-01"})).await.ok();
    let power = format!("/servers/{}/power", server["id"].as_str().unwrap());
    let shutdown = json!({"action": "shutdown"});
    let token = json!({"name": "late"});
    let moment = json!("2020-01-01T00:00:00Z");
    for (path, body, field, wrong) in [
        (power.as_str(), &shutdown, "deadline_s", [json!(0), json!(601), json!(-1), moment.clone()]),
        (&power, &shutdown, "expires_in_ms", [json!(0), json!(86_400_001), json!(-1), moment.clone()]),
        (&power, &shutdown, "expires_in_ms", [json!(999), json!(u64::MAX), json!(1.5), json!("")]),
        ("/tokens", &token, "expires_in_days", [json!(0), json!(3651), json!(-1), moment]),
    ] {
        for (at, value) in wrong.into_iter().enumerate() {
            let code = if at < 2 { "out_of_range" } else { "wrong_type" };
            let body = joined(body.clone(), &json!({field: value}));
            refused(&lab, path, &body, (422, field, code)).await;
        }
    }
    assert_eq!(lab.get("/jobs").await.ok()["items"], json!([]));
    let tokens = lab.get("/tokens").await.ok();
    assert_eq!(tokens["items"].as_array().unwrap().len(), 1, "the one of this test: {tokens}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_list_passes_over_what_it_does_not_know_of_a_page() {
    let lab = Lab::bare(1).await;
    let objects = objects(&lab).await;
    let mut lists = 0;
    for (path, methods) in description()["paths"].as_object().unwrap() {
        let answer = &methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
        if !answer.as_str().is_some_and(|name| name.contains("/Page_")) {
            continue;
        }
        lists += 1;
        for (query, field) in [
            ("limit=0", "limit"),
            ("cursor=yesterday", "cursor"),
            ("sort=colour", "sort"),
            ("q=colour:red", "q"),
        ] {
            let path = format!("{}?{query}", filled(path, &objects));
            let reply = lab.get(&path).await;
            assert_eq!((reply.status, reply.field().0), (422, field), "{path}: {}", reply.body);
            assert!(explains(&reply), "{path}: {}", reply.body);
        }
    }
    assert!(lists > 10, "this looks in the wrong place: {lists}");
    // And it keeps to the page that was asked for.
    for name in ["site-b", "site-c"] {
        for group in ["pair-1", "pair-2"] {
            lab.post("/agents", &json!({"name": format!("{name}-{group}"), "group": group})).await.ok();
        }
    }
    let first = lab.get("/agent-groups?limit=1&sort=-name&q=pair").await.ok();
    assert_eq!(first["items"][0]["name"], "pair-2");
    let next = first["next"].as_str().unwrap();
    let last = lab.get(&format!("/agent-groups?limit=1&sort=-name&q=pair&cursor={next}")).await.ok();
    assert_eq!((&last["items"][0]["name"], &last["next"]), (&json!("pair-1"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_of_time_that_no_list_knows_is_not_passed_over() {
    let lab = Lab::bare(1).await;
    for list in ["/events", "/jobs", "/audit"] {
        for (query, field, code) in [
            ("q=since:2030-01-01", "q", "unknown_token"),
            ("q=until:yesterday", "q", "unknown_token"),
            ("from=2030-01-01&until=2020-01-01", "from", "unknown_field"),
            ("cursor=yesterday", "cursor", "unknown_cursor"),
        ] {
            let path = format!("{list}?{query}");
            is_refusal(&lab.get(&path).await, &path, (422, field, code));
        }
    }
}
