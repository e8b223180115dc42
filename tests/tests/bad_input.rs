//! Bad input gets a clear error with code, field and sentence, and changes nothing.

use rackhand_tests::{Lab, bmc_body, pdu_body, rack_of};
use serde_json::{Value, json};

/// Asserts status, field and code of a refusal, and that it has a sentence and a request id.
async fn refused(lab: &Lab, path: &str, body: &Value, expected: (u16, &str, &str)) {
    let reply = lab.post(path, body).await;
    let (field, code) = reply.field();
    assert_eq!((reply.status, field, code), expected, "{path} {}", reply.body);
    for sentence in ["/errors/0/message", "/request_id"] {
        let text = reply.body.pointer(sentence).and_then(Value::as_str);
        assert!(text.is_some_and(|text| !text.is_empty()), "{sentence} is missing");
    }
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
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let mut again = bmc_body(&inventory["servers"][0]);
    again["name"] = "another name".into();
    refused(&lab, "/endpoints", &again, (422, "params.host", "duplicate")).await;
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
async fn without_a_sign_in_nothing_is_told() {
    let lab = Lab::bare(1).await;
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
async fn no_secret_is_ever_answered_or_logged() {
    let lab = Lab::start(1).await;
    let wrong = json!({"action": "off"});
    lab.power("srv-01", wrong).await;
    for path in ["/endpoints", "/audit", "/events", "/jobs", "/kinds", "/settings"] {
        let text = lab.get(path).await.ok().to_string();
        assert!(!text.contains("rackhand-bmc"), "{path} shows the BMC's password");
    }
    for file in ["log", "agent-journal.jsonl", "rackhand.db", "rackhand.db-wal"] {
        let bytes = std::fs::read(lab.backend.folder().join(file)).unwrap_or_default();
        assert!(
            !bytes.windows(12).any(|window| window == b"rackhand-bmc"),
            "{file} holds the BMC's password"
        );
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
async fn what_is_no_json_or_comes_from_the_past_is_refused() {
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
    let negative = json!({"name": "late", "expires_in_days": -1});
    refused(&lab, "/tokens", &negative, (422, "expires_in_days", "wrong_type")).await;
    refused(
        &lab,
        "/tokens",
        &json!({"name": "late", "expires_in_days": 0}),
        (422, "expires_in_days", "out_of_range"),
    )
    .await;
    assert_eq!(lab.get("/servers").await.ok()["items"], json!([]));
}
