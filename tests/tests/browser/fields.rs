//! A wrong value is told at its field, in the window where it was typed, and nothing is changed.

use rackhand_tests::{Lab, PASSWORD, USER, pdu_body};
use serde_json::json;

use super::page::Page;

/// Signs in to a lab with one connected server.
pub async fn signed_in(lab: &Lab, test: &'static str) -> Page {
    let page = Page::start(lab.backend.url(), test).await;
    page.open("/servers").await;
    sign_in(&page).await;
    page
}

/// Signs in where the page asks for it.
pub async fn sign_in(page: &Page) {
    page.see_heading("Sign in").await;
    page.fill("User name", USER).await;
    page.fill("Password", PASSWORD).await;
    page.press("Sign in").await;
    page.see_heading("Servers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_value_is_told_at_its_field() {
    let lab = Lab::start(1).await;
    let page = signed_in(&lab, "fields").await;
    let before = names(&lab).await;
    wrong_servers(&page).await;
    wrong_devices(&page).await;
    wrong_settings(&page).await;
    assert_eq!(names(&lab).await, before, "nothing was added");
    let refused = ["servers", "endpoints", "sites", "users"].map(|path| (path, 422));
    page.assert_quiet(&[&[("/api/v1/session", 401)][..], &refused[..]].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_connection_is_told_at_its_field() {
    let lab = Lab::start(1).await;
    let page = signed_in(&lab, "connection").await;
    let taken = lab.farm.inventory().servers.first().unwrap().bmc.addr;
    let added = lab.post("/servers", &json!({"name": "srv-02"})).await.ok();
    let id = added["id"].as_str().unwrap();
    page.open(&format!("/servers/{id}/configuration")).await;
    page.press("Add connection").await;
    page.press("IPMI").await;
    page.fill("BMC address", "http://10.0.0.7/").await;
    page.press("Add connection").await;
    page.see_refused("BMC address", "address").await;
    page.see_refused("User", "").await;
    page.see_refused("Password", "").await;
    page.fill("User", "seventeen-letters").await;
    page.fill("Password", "twenty-one-characters").await;
    page.press("Test").await;
    page.see_refused("User", "16").await;
    page.see_refused("Password", "20").await;
    page.show("wrong-connection").await;
    page.fill("BMC address", &taken.ip().to_string()).await;
    page.fill("User", "admin").await;
    page.fill("Password", "rackhand-bmc").await;
    page.press("More settings").await;
    page.fill("Port", "99999").await;
    page.press("Add connection").await;
    page.see_refused("Port", "65535").await;
    page.fill("Port", &taken.port().to_string()).await;
    page.press("Add connection").await;
    page.see_refused("BMC address", "BMC of srv-01").await;
    let connections = lab.get(&format!("/servers/{id}/connections")).await.ok();
    assert_eq!(connections["items"], json!([]));
    page.assert_quiet(&[("/api/v1/session", 401), ("connections", 422), ("endpoints/test", 422)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outlet_that_the_device_does_not_have_is_refused_where_outlets_are_chosen() {
    let lab = Lab::bare(1).await;
    // Nobody reads it yet, so the number is typed.
    let far = lab.post("/agents", &json!({"name": "far"})).await.ok();
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let mut body = pdu_body(&inventory["pdus"][0]);
    body["agent_id"] = far["agent"]["id"].clone();
    let pdu = lab.post("/endpoints", &body).await.ok();
    let (name, device) =
        (pdu["name"].as_str().unwrap(), format!("/endpoints/{}", pdu["id"].as_str().unwrap()));
    let server = lab.post("/servers", &json!({"name": "srv-01"})).await.ok();
    let server = format!("/servers/{}", server["id"].as_str().unwrap());
    let page = signed_in(&lab, "outlet").await;
    page.open(&format!("{server}/configuration")).await;
    page.press("Add connection").await;
    page.press("PDU (SNMP)").await;
    page.choose("Device", name).await;
    page.fill("Outlet number", "99").await;
    page.press("Take this outlet").await;
    page.see(&format!("Outlet 99 on {name}")).await;
    lab.patch(&device, &json!({"agent_id": null})).await.ok();
    lab.wait_until("its outlets are known", async |lab: &Lab| {
        let outlets = lab.get(&format!("{device}/outlets")).await.ok();
        outlets["outlets"].as_array().is_some_and(|outlets| !outlets.is_empty())
    })
    .await;
    page.tick("No, or not sure").await;
    page.press("Add connection").await;
    page.see("there is no outlet 99").await;
    page.show("no-such-outlet").await;
    assert_eq!(lab.get(&format!("{server}/connections")).await.ok()["items"], json!([]));
    page.assert_quiet(&[("/api/v1/session", 401), ("connections", 422)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_beside_it_leaves_a_site_and_an_agent_as_they_are() {
    let lab = Lab::start(1).await;
    let site = lab.post("/sites", &json!({"name": "Oslo"})).await.ok()["id"].clone();
    let agent = lab.post("/agents", &json!({"name": "site-a"})).await.ok()["agent"]["id"].clone();
    let server = format!("/servers/{}", lab.id("srv-01"));
    let ties = lab.get(&format!("{server}/connections")).await.ok();
    let bmc = format!("/endpoints/{}", ties["items"][0]["endpoint_id"].as_str().unwrap());
    lab.patch(&server, &json!({"site_id": site})).await.ok();
    lab.patch(&bmc, &json!({"agent_id": agent})).await.ok();
    let page = signed_in(&lab, "beside").await;
    page.open(&format!("{server}/configuration")).await;
    page.tick("Under maintenance").await;
    lab.wait_until("it is in maintenance", async |lab: &Lab| {
        lab.get(&server).await.ok()["maintenance"] == true
    })
    .await;
    assert_eq!(lab.get(&server).await.ok()["site_id"], site);
    page.press("Actions for BMC of srv-01").await;
    page.press_verb("Accept the identity").await;
    page.see("The device that answers at the next look is trusted").await;
    assert_eq!(lab.get(&bmc).await.ok()["agent_id"], agent);
    page.press("Actions for BMC of srv-01").await;
    page.press_verb("Change").await;
    page.fill("Password", "rackhand-bmc").await;
    page.press("Save").await;
    page.see("BMC of srv-01 saved").await;
    assert_eq!(lab.get(&bmc).await.ok()["agent_id"], agent);
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn markup_in_a_name_is_shown_as_text() {
    let lab = Lab::bare(1).await;
    let page = signed_in(&lab, "markup").await;
    let name = "<img src=x onerror=alert(1)> & \"srv\"";
    page.press("Add server").await;
    page.fill("Name", name).await;
    page.press("Add server").await;
    page.see_heading(name).await;
    page.open("/servers").await;
    page.see(name).await;
    page.show("markup").await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

async fn wrong_servers(page: &Page) {
    page.press("Add server").await;
    page.press("Add server").await;
    page.see_refused("Name", "name").await;
    page.fill("Name", "SRV-01").await;
    page.press("Add server").await;
    page.see_refused("Name", "Another server has this name").await;
    page.fill("Name", &"x".repeat(10_000)).await;
    page.press("Add server").await;
    page.see_refused("Name", "10000").await;
    page.show("wrong-server").await;
    page.press("Cancel").await;
}

async fn wrong_devices(page: &Page) {
    page.press("Network devices").await;
    page.press("Add device").await;
    page.press("Add device").await;
    page.see_refused("Host", "").await;
    page.see_refused("Community", "").await;
    page.fill("Host", "two words").await;
    page.press("Add device").await;
    page.see_refused("Host", "without scheme, port or path").await;
    page.fill("Host", "pdu.invalid").await;
    page.fill("Community", "public").await;
    page.press("Add device").await;
    page.see_refused("Host", "no host named").await;
    page.fill("Host", "127.0.0.1").await;
    page.fill("Name", &"x".repeat(101)).await;
    page.press("Add device").await;
    page.see_refused("Name", "100").await;
    page.show("wrong-device").await;
    page.press("Cancel").await;
}

async fn wrong_settings(page: &Page) {
    page.open("/settings/sites").await;
    page.press("Add site").await;
    page.fill("Name", "Mars").await;
    page.fill("Time zone", "one hour ahead").await;
    page.press("Save").await;
    page.see_refused("Time zone", "Europe/Berlin").await;
    page.show("wrong-site").await;
    page.open("/settings/users").await;
    page.press("Add user").await;
    page.fill("User name", USER).await;
    page.fill("Password", "short").await;
    page.press("Save").await;
    page.see_refused("Password", "12").await;
    page.show("wrong-user").await;
}

/// Names of everything that the forms could have added.
async fn names(lab: &Lab) -> Vec<String> {
    let mut names = Vec::new();
    for path in ["/servers", "/endpoints", "/sites", "/users"] {
        let list = lab.get(path).await.ok();
        let items = list["items"].as_array().unwrap();
        names.extend(items.iter().map(|item| format!("{path} {}", item["name"])));
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_entered_again_is_told_at_its_field() {
    let lab = Lab::start(1).await;
    let page = signed_in(&lab, "again").await;
    page.open("/settings/users").await;
    page.press(&format!("Actions for {USER}")).await;
    page.press_beginning("New password").await;
    page.fill("New password", "another horse battery").await;
    page.press("Save").await;
    page.see_refused("Present password", "present").await;
    page.fill("Present password", "a guess").await;
    page.press("Save").await;
    page.see_refused("Present password", "not your password").await;
    page.show("own-password").await;
    page.fill("Present password", PASSWORD).await;
    page.press("Save").await;
    page.see(&format!("{USER} saved")).await;

    let pdu = lab.get("/endpoints?q=kind:snmp_pdu").await.ok()["items"][0]["name"].clone();
    page.open("/devices").await;
    page.press(&format!("Actions for {}", pdu.as_str().unwrap())).await;
    page.press("Change").await;
    page.fill("Host", "127.0.0.2").await;
    page.press("Save").await;
    page.see_refused("Community", "The address changed").await;
    page.see_refused("Write community", "The address changed").await;
    page.show("moved-device").await;
    page.assert_quiet(&[("/api/v1/session", 401), ("users", 422), ("endpoints", 422)]).await;
}
