//! Every page, with a rack behind it: it shows what it is for, fits both screens, and the browser has
//! nothing to complain of.

use rackhand_tests::{Lab, PASSWORD, USER};
use serde_json::json;
use std::time::Instant;

use super::{fields::signed_in, page::Page};

const CONTROL: &str = "\u{e009}";

#[tokio::test(flavor = "multi_thread")]
async fn every_page_shows_what_it_is_for_and_fits_both_screens() {
    let lab = Lab::start(2).await;
    let job = lab.power("srv-01", json!({"action": "reset"})).await;
    lab.post("/sites", &json!({"name": "FRA2", "time_zone": "Europe/Berlin"})).await.ok();
    let pdus = lab.get("/endpoints?q=kind:snmp_pdu").await.ok();
    let pdu = pdus["items"][0]["id"].as_str().unwrap();
    let page = Page::start(lab.backend.url(), "pages").await;
    page.open("/activity/jobs").await;
    page.see_heading("Sign in").await;
    page.show("sign-in").await;
    page.fill("User name", USER).await;
    page.fill("Password", PASSWORD).await;
    page.press("Sign in").await;
    page.see_heading("Activity").await;
    assert_eq!(page.path().await, "/activity/jobs", "signing in leads back to where one was");
    let server = format!("/servers/{}", lab.id("srv-01"));
    for (name, path, heading, words) in [
        ("servers", "/servers".to_owned(), "Servers", "srv-02"),
        ("servers-filtered", "/servers?q=name-of-none".into(), "Servers", "No server fits this filter"),
        ("server-overview", server.clone(), "srv-01", "3 of 3 paths answer"),
        ("server-configuration", format!("{server}/configuration"), "srv-01", "BMC of srv-01"),
        ("server-activity", format!("{server}/activity"), "srv-01", "Newest first"),
        ("job", format!("/jobs/{}", job["id"].as_str().unwrap()), "Reset srv-01", "Succeeded"),
        ("devices", "/devices".into(), "Network devices", "on this page"),
        ("device", format!("/devices/{pdu}"), "", "srv-02"),
        ("agents", "/agents".into(), "Agents", "local-node1"),
        ("activity-events", "/activity".into(), "Activity", "srv-01"),
        ("activity-jobs", "/activity/jobs".into(), "Activity", "Reset srv-01"),
        ("activity-audit", "/activity/audit".into(), "Activity", "server.add"),
        ("settings", "/settings".into(), "Settings", "Read each server every"),
        ("settings-sites", "/settings/sites".into(), "Settings", "Europe/Berlin"),
        ("settings-users", "/settings/users".into(), "Settings", "(you)"),
        ("settings-tokens", "/settings/tokens".into(), "Settings", "used"),
        ("nowhere", "/nowhere".into(), "", "There is no such page"),
    ] {
        page.open(&path).await;
        if !heading.is_empty() {
            page.see_heading(heading).await;
        }
        page.see(words).await;
        page.show(name).await;
    }
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anything_is_found_and_opened_by_keyboard_and_changes_arrive_by_themselves() {
    let lab = Lab::start(2).await;
    let page = Page::start(lab.backend.url(), "keys").await;
    page.open("/servers").await;
    page.fill("User name", USER).await;
    page.fill("Password", PASSWORD).await;
    page.keys(&["\u{e007}"]).await;
    page.see_heading("Servers").await;
    let begun = Instant::now();
    page.open("/servers").await;
    page.see("srv-02").await;
    println!(
        "the list of servers is usable {} ms after its address was entered",
        begun.elapsed().as_millis()
    );
    page.keys(&[CONTROL, "k"]).await;
    page.fill("Search", "srv-02").await;
    page.see("Servers").await;
    page.show("search").await;
    page.keys(&["\u{e007}"]).await;
    page.see_heading("srv-02").await;
    let id = lab.id("srv-02").to_owned();
    lab.patch(&format!("/servers/{id}"), &json!({"name": "renamed-elsewhere"})).await.ok();
    page.see_heading("renamed-elsewhere").await;
    page.press("Switch light or dark").await;
    page.show("server-dark").await;
    page.press("Sign out").await;
    page.see_heading("Sign in").await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_of_the_api_can_be_read_and_tried() {
    let lab = Lab::bare(1).await;
    let page = Page::start(lab.backend.url(), "api").await;
    page.open("/api/docs/").await;
    page.see("Rackhand").await;
    page.see("/servers/{id}/power").await;
    page.take("docs").await;
    page.assert_quiet(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watts_that_prove_a_running_machine_are_named() {
    let lab = Lab::start(1).await;
    let power = async |lab: &Lab| lab.get(&format!("/servers/{}/power", lab.id("srv-01"))).await.ok();
    lab.wait_until("what it draws is learnt", async |lab| power(lab).await["idle_watts"].is_f64()).await;
    lab.machine("srv-01").change_bmc_faults(|faults| faults.link.mute = true);
    lab.wait_until("the BMC is missed", async |lab| !power(lab).await["paths"][0]["fault"].is_null()).await;
    let page = signed_in(&lab, "watts").await;
    page.press("On, show evidence").await;
    page.see("so it is on").await;
    page.show("evidence").await;
    page.keys(&["\u{e00c}"]).await;
    page.press("srv-01").await;
    page.see("so it is on").await;
    page.show("overview").await;
}
