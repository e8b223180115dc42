//! A BMC that was reached, or whose name is gone: the job fails at once, after a single try, and no feed is cut.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken bench stops the test")]

use chrono::{DateTime, TimeDelta};
use rackhand_protocols::ipmi::{Level, Suite};
use rackhand_simulators::{bmc::Tally, farm::FarmConfig};
use rackhand_store::{Db, Scope, endpoints, sealed::Keyring};
use rackhand_tests::{Lab, SCALE, SLOW, mute, rack_of, state};
use serde_json::{Value, json};

/// A lab at the slow scale, so that what is late is not sent twice and counted, whose server asks no device of its own accord for an hour: what reaches a BMC is a job's doing.
async fn quiet(farm: FarmConfig) -> Lab {
    let lab = Lab::slow(farm).await;
    let mut installation = lab.get("/settings").await.ok()["installation"].clone();
    installation["poll_interval_s"] = 3600.into();
    lab.patch("/settings", &json!({"installation": installation})).await.ok();
    lab
}

fn tally(lab: &Lab) -> Tally {
    lab.farm.bmc("srv-01").unwrap().tally()
}

/// Changes what the server knows of its BMC, or what it signs in with, and waits for the one look that follows.
async fn change_bmc(lab: &Lab, params: &[(&str, Value)], secrets: Value) {
    let path = format!("/endpoints/{}", lab.bmc("srv-01").await);
    let before = lab.get(&path).await.ok();
    let mut changed = before["params"].clone();
    for (name, value) in params {
        changed[*name] = value.clone();
    }
    lab.patch(&path, &json!({"params": changed, "secrets": secrets})).await.ok();
    lab.wait_until("the change was looked at", async |lab: &Lab| {
        let status = lab.get(&path).await.ok()["status"].clone();
        status["state"] == "failing" && status["checked_at"] != before["status"]["checked_at"]
    })
    .await;
}

/// Every cutting action fails at once for this reason, and no feed is touched.
pub async fn nothing_is_cut(lab: &Lab, code: &str) {
    for action in ["on", "off", "cycle"] {
        let job = lab.power("srv-01", json!({"action": action})).await;
        assert_eq!(state(&job), ("failed", code), "{job:#}");
        assert_eq!(job["steps"].as_array().unwrap().len(), 1, "it is asked once: {job:#}");
        let [begun, over] = ["started_at", "finished_at"]
            .map(|at| DateTime::parse_from_rfc3339(job[at].as_str().unwrap()).unwrap());
        // Within 3 s, and three times that on a busy machine.
        let limit = TimeDelta::from_std(std::time::Duration::from_secs(3).mul_f64(SLOW)).unwrap() * 3;
        assert!(over - begun < limit, "{job:#}");
    }
    assert_eq!(lab.pdu_writes(), 0);
    assert!(lab.machine("srv-01").is_on());
}

async fn pdus_looked_at(lab: &Lab) -> Vec<Value> {
    let all = lab.get("/endpoints").await.ok();
    let pdus = all["items"].as_array().unwrap().iter().filter(|endpoint| endpoint["kind"] == "snmp_pdu");
    pdus.map(|pdu| pdu["status"]["checked_at"].clone()).collect()
}

/// The same, and the BMC saw so many sign-ins for each of the three jobs, all of them refused.
async fn nothing_is_cut_after(sign_ins: u64, lab: &Lab, code: &str) {
    let before = tally(lab);
    let looked_at = pdus_looked_at(lab).await;
    nothing_is_cut(lab, code).await;
    // The looks that follow a job have begun, too: at the outlets, but not at the BMC that let nobody in.
    lab.wait_until("the outlets were looked at", async |lab: &Lab| {
        pdus_looked_at(lab).await.iter().zip(&looked_at).all(|(now, before)| now != before)
    })
    .await;
    let after = tally(lab);
    assert_eq!(after.begun - before.begun, 3 * sign_ins, "{before:?} {after:?}");
    assert_eq!(after.opened, before.opened, "nobody was let in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_once() {
    let lab = quiet(rack_of(1)).await;
    change_bmc(&lab, &[], json!({"password": "wrong"})).await;
    nothing_is_cut_after(1, &lab, "auth").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_user_is_tried_once() {
    let lab = quiet(rack_of(1)).await;
    change_bmc(&lab, &[("user", "nobody".into())], json!({"password": "rackhand-bmc"})).await;
    let before = tally(&lab).refused;
    nothing_is_cut_after(1, &lab, "auth").await;
    assert_eq!(tally(&lab).refused - before, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_the_account_lacks_is_asked_for_once() {
    let mut farm = rack_of(1);
    farm.bmc_account.privilege = Level::User;
    let lab = quiet(farm).await;
    change_bmc(&lab, &[("privilege", "administrator".into())], json!({})).await;
    let before = tally(&lab).refused_level;
    nothing_is_cut_after(1, &lab, "config").await;
    assert_eq!(tally(&lab).refused_level - before, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cipher_that_the_bmc_lacks_is_asked_for_once() {
    let mut farm = rack_of(1);
    farm.bmc_account.suites = vec![Suite::Three];
    let lab = quiet(farm).await;
    change_bmc(&lab, &[("cipher", "17".into())], json!({})).await;
    nothing_is_cut_after(1, &lab, "config").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_gone_from_the_dns_cuts_nothing() {
    let lab = Lab::slow(rack_of(2)).await;
    mute(&lab.machine("srv-01"));
    name_the_bmc(&lab, "gone.invalid").await;
    nothing_is_cut(&lab, "config").await;
}

/// Gives the BMC a name, past the form, which would refuse one that is not there: it has gone since.
pub async fn name_the_bmc(lab: &Lab, name: &str) {
    let key = std::fs::read(lab.backend.folder().join("master.key")).unwrap();
    let keys = Keyring::new(key.try_into().unwrap());
    let db = Db::open(&lab.backend.database(), keys).await.unwrap();
    let id = lab.bmc("srv-01").await.parse().unwrap();
    let mut params = endpoints::get(db.reader(), &Scope::provider(), id).await.unwrap().params;
    params["host"] = name.into();
    let change = endpoints::Change { params: Some((params, None)), ..endpoints::Change::default() };
    endpoints::change(db.writer(), db.keys(), &Scope::provider(), id, change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_not_offered_again_until_there_are_others() {
    let lab = Lab::wired(rack_of(1)).await;
    change_bmc(&lab, &[], json!({"password": "not this one"})).await;
    // Whoever asked while it was looked at got another look.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let offered = tally(&lab).begun;
    // Several times the interval at which it would be read, and the first pauses after failures.
    tokio::time::sleep(std::time::Duration::from_mins(4).mul_f64(SCALE)).await;
    assert_eq!(tally(&lab).begun, offered, "it was offered again");
    let path = format!("/endpoints/{}", lab.bmc("srv-01").await);
    let right = lab.farm.inventory().servers[0].bmc.password.clone();
    lab.patch(&path, &json!({"secrets": {"password": right}})).await.ok();
    lab.wait_until("the right one is offered", async |lab: &Lab| {
        lab.get(&path).await.ok()["status"]["state"] == "ok"
    })
    .await;
}
