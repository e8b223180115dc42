//! An action that is asked for again with its `Idempotency-Key` has one effect and one answer.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_tests::{Lab, Reply, bmc_body, state};
use serde_json::{Value, json};

const KEY: [(&str, &str); 1] = [("idempotency-key", "one")];

async fn again(lab: &Lab, path: &str) -> Reply {
    lab.send("POST", path, None, &KEY).await
}

async fn records(lab: &Lab, action: &str) -> usize {
    lab.get(&format!("/audit?q=action:{action}")).await.ok()["items"].as_array().unwrap().len()
}

fn is_reused(reply: &Reply) -> bool {
    (reply.status, reply.code()) == (422, "idempotency_key_reused")
}

/// A job that is under way until somebody stops it.
async fn held(lab: &Lab, server: &str) -> Value {
    lab.machine(server).change_bmc_faults(|faults| faults.ignore_soft = true);
    lab.start_power(server, json!({"action": "shutdown", "deadline_s": 600})).await["id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_stopped_once_although_it_is_over_by_then() {
    let lab = Lab::start(2).await;
    let job = held(&lab, "srv-01").await;
    let cancel = format!("/jobs/{}/cancel", job.as_str().unwrap());
    let first = again(&lab, &cancel).await;
    assert_eq!(first.status, 202, "{}", first.body);
    assert_eq!(state(&lab.finish(job.as_str().unwrap()).await).0, "cancelled");
    let second = again(&lab, &cancel).await;
    assert_eq!((second.status, &second.body), (202, &first.body));
    let anew = lab.post(&cancel, &json!({})).await;
    assert_eq!((anew.status, anew.code()), (409, "job_is_over"), "without the key it is another request");
    assert_eq!(records(&lab, "job.cancel").await, 1);

    let other = held(&lab, "srv-02").await;
    let other = format!("/jobs/{}", other.as_str().unwrap());
    let reply = again(&lab, &format!("{other}/cancel")).await;
    assert!(is_reused(&reply), "{}", reply.body);
    assert_eq!(lab.get(&other).await.ok()["cancel_requested"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_revoked_once() {
    let lab = Lab::bare(1).await;
    let add = async |name: &str| {
        let added = lab.post("/agents", &json!({"name": name})).await.ok();
        format!("/agents/{}", added["agent"]["id"].as_str().unwrap())
    };
    let (agent, other) = (add("site-a").await, add("site-b").await);
    assert!(lab.get(&agent).await.ok()["token_until"].is_string(), "a token waits for it");
    let first = again(&lab, &format!("{agent}/revoke")).await.ok();
    assert_eq!((&first["state"], &first["token_until"]), (&json!("revoked"), &Value::Null));
    assert_eq!(lab.get(&agent).await.ok(), first, "the answer is how it stands");

    // A second revocation would end the token of the agent that comes back.
    lab.post(&format!("{agent}/replace"), &json!({})).await.ok();
    assert_eq!(again(&lab, &format!("{agent}/revoke")).await.ok(), first);
    assert!(lab.get(&agent).await.ok()["token_until"].is_string());
    assert_eq!(records(&lab, "agent.revoke").await, 1);

    let reply = again(&lab, &format!("{other}/revoke")).await;
    assert!(is_reused(&reply), "{}", reply.body);
    assert_eq!(lab.get(&other).await.ok()["state"], "waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_answered_alike_though_it_would_be_refused_by_now() {
    let lab = Lab::bare(1).await;
    let site = lab.post("/sites", &json!({"name": "Oslo"})).await.ok()["id"].clone();
    let agent = lab.post("/agents", &json!({"name": "site-a"})).await.ok()["agent"]["id"].clone();
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let mut bmc = bmc_body(&inventory["servers"][0]);
    bmc["agent_id"] = agent.clone();
    let server = json!({"name": "srv-01", "site_id": site});
    let asked = [("/servers", server), ("/endpoints", bmc)];
    let mut first = Vec::new();
    for (path, body) in &asked {
        let key = [("idempotency-key", *path)];
        first.push(lab.send("POST", path, Some(body), &key).await.ok());
    }
    lab.patch(&format!("/servers/{}", first[0]["id"].as_str().unwrap()), &json!({"site_id": null}))
        .await
        .ok();
    lab.patch(&format!("/endpoints/{}", first[1]["id"].as_str().unwrap()), &json!({"agent_id": null}))
        .await
        .ok();
    for path in [format!("/sites/{}", site.as_str().unwrap()), format!("/agents/{}", agent.as_str().unwrap())]
    {
        assert_eq!(lab.send("DELETE", &path, None, &[]).await.status, 204, "{path}");
    }
    for ((path, body), first) in asked.iter().zip(&first) {
        let key = [("idempotency-key", *path)];
        let again = lab.send("POST", path, Some(body), &key).await;
        assert_eq!((again.status, &again.body), (201, first));
        assert_eq!(lab.post(path, body).await.status, 422, "without the key it is another request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_action_that_was_accepted_is_answered_alike_after_its_server_was_renamed() {
    let lab = Lab::start(1).await;
    let server = format!("/servers/{}", lab.id("srv-01"));
    let power = format!("{server}/power");
    let forced = json!({"action": "off", "via": "outlets", "confirm_name": "srv-01"});
    let first = lab.send("POST", &power, Some(&forced), &KEY).await;
    assert_eq!(first.status, 202, "{}", first.body);
    lab.finish(first.body["id"].as_str().unwrap()).await;
    lab.patch(&server, &json!({"name": "srv-one"})).await.ok();
    let again = lab.send("POST", &power, Some(&forced), &KEY).await;
    assert_eq!((again.status, &again.body["id"]), (202, &first.body["id"]), "{}", again.body);
    let anew = lab.post(&power, &forced).await;
    assert_eq!((anew.status, anew.field().0), (422, "confirm_name"), "without the key it is another request");
}
