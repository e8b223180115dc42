//! Tokens that are good for nothing: what the API says, what the command says, and that nothing came of it.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use chrono::{DateTime, TimeDelta, Utc};
use rackhand_agent::{identity, sealing::SealingKey};
use rackhand_tests::{Lab, Reply, agent};
use rcgen::{KeyPair, PKCS_ED25519};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use std::{fs, net::IpAddr};

/// Enrols with fresh keys as an agent does, from an address of this machine.
async fn enrol(lab: &Lab, token: &str, from: &str) -> Reply {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let ask = json!({
        "token": token, "request": identity::request(&key).unwrap(),
        "sealing_key": SealingKey::generate().public(), "host": "peer",
    });
    let from: IpAddr = from.parse().unwrap();
    let client = rackhand_tests::client_builder().local_address(from).build().unwrap();
    let url = format!("http://127.0.0.1:{}/agent/v1/enrol", lab.backend.port());
    let response = client.post(url).json(&ask).send().await.unwrap();
    Reply { status: response.status().as_u16(), body: response.json().await.unwrap() }
}

/// Has the API and the command refuse a token; both say why.
async fn is_refused(lab: &Lab, token: &str, code: &str, why: &str) {
    let reply = enrol(lab, token, "127.0.0.1").await;
    assert_eq!((reply.status, reply.code(), &reply.body["title"]), (403, code, &json!(why)), "{code}");
    let folder = tempfile::tempdir().unwrap();
    let done = agent::enroll(folder.path(), lab.backend.port(), &["--token", token]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{code}: {said}");
    assert_eq!(said.trim_end(), format!("rackhand-agent: the server refuses with 403: {why}"), "{code}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["agent.toml"], "{code}: keys were left behind");
}

/// The agents, but for the one that is part of the server, and whom the record tells of as enrolled.
async fn known(lab: &Lab) -> (Vec<Value>, usize) {
    let agents = lab.get("/agents").await.ok();
    let remote = agents["items"].as_array().unwrap().iter().filter(|agent| agent["embedded"] == false);
    let audit = lab.get("/audit?limit=100").await.ok();
    let records = audit["items"].as_array().unwrap().iter();
    (remote.cloned().collect(), records.filter(|record| record["action"] == "agent.enrol").count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_does_not_count_is_refused_with_its_reason_and_makes_nothing() {
    let lab = Lab::bare(1).await;
    let token = |added: &Value| added["token"].as_str().unwrap().to_owned();
    let used = lab.post("/agents", &json!({"name": "used"})).await.ok();
    assert_eq!(enrol(&lab, &token(&used), "127.0.0.1").await.status, 201);
    let late = lab.post("/agents", &json!({"name": "late"})).await.ok();
    let until: DateTime<Utc> = late["expires_at"].as_str().unwrap().parse().unwrap();
    let left = until - Utc::now();
    assert!(left > TimeDelta::minutes(55) && left <= TimeDelta::hours(1), "an hour, but {left}");
    // Nobody waits for that hour.
    let database = sea_orm::Database::connect(lab.backend.database()).await.unwrap();
    let passed = "UPDATE agent_token SET expires_at = expires_at - 3600000";
    assert_eq!(database.execute_unprepared(passed).await.unwrap().rows_affected(), 1);
    database.close().await.unwrap();
    let elsewhere = json!({"name": "elsewhere", "source": "127.0.0.64/26"});
    let elsewhere = lab.post("/agents", &elsewhere).await.ok();
    let before = known(&lab).await;
    assert_eq!((before.0.len(), before.1), (3, 1));

    let unknown = "This token was used already, was replaced, or never existed.";
    let expired = "This token has expired. Make a new one on the Agents page.";
    let foreign = "This token may be used from 127.0.0.64/26 alone.";
    for (token, code, why) in [
        (token(&used), "unknown_token", unknown),
        ("rha_nonsense".to_owned(), "unknown_token", unknown),
        (token(&late), "token_expired", expired),
        (token(&elsewhere), "foreign_source", foreign),
    ] {
        is_refused(&lab, &token, code, why).await;
    }
    assert_eq!(known(&lab).await, before, "something came of it");
    let shown = |name: &str| before.0.iter().find(|agent| agent["name"] == name).unwrap();
    for name in ["late", "elsewhere"] {
        assert_eq!(
            (&shown(name)["state"], &shown(name)["certificate_at"]),
            (&json!("waiting"), &Value::Null)
        );
    }
    assert!(shown("late")["token_until"].is_null() && !shown("elsewhere")["token_until"].is_null());

    // Refusals used nothing up: from its own place it is good, and in place of the late one there is a new one.
    assert_eq!(enrol(&lab, &token(&elsewhere), "127.0.0.65").await.status, 201);
    let path = format!("/agents/{}/replace", late["agent"]["id"].as_str().unwrap());
    let renewed = lab.post(&path, &json!({"force": false})).await.ok();
    assert_eq!(enrol(&lab, &token(&renewed), "127.0.0.1").await.status, 201);
    assert_eq!(known(&lab).await.1, 3);
}
