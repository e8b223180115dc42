//! Every page, with a rack behind it or nothing at all: it shows what it is for, fits both screens, and the
//! browser has nothing to complain of.

use rackhand_tests::{Backend, Lab, PASSWORD, USER, pdu_body};
use rackhand_wire::Fault;
use serde_json::json;
use std::time::Instant;

use super::{fields::signed_in, outage::LOADING, page::Page, walk::set_up};

const CONTROL: &str = "\u{e009}";

/// The text is lighter than what it stands on.
const IS_DARK: &str = "
    const light = colour => colour.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
    const [text, paper] = [document.body, document.documentElement].map(part => getComputedStyle(part));
    return light(text.color) > light(paper.backgroundColor);";

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
    let pages = [
        ("servers", "/servers".to_owned(), "Servers", "srv-02"),
        ("servers-filtered", "/servers?q=name-of-none".into(), "Servers", "No server fits this filter"),
        ("server-overview", server.clone(), "srv-01", "3 of 3 paths answer"),
        ("server-configuration", format!("{server}/configuration"), "srv-01", "BMC of srv-01"),
        ("server-activity", format!("{server}/activity"), "srv-01", "Newest first"),
        ("job", format!("/jobs/{}", job["id"].as_str().unwrap()), "Reset srv-01", "Succeeded"),
        ("devices", "/devices".into(), "Network devices", "on this page"),
        ("controllers", "/devices?of=controllers".into(), "Network devices", "BMC of srv-02"),
        ("device", format!("/devices/{pdu}"), "", "srv-02"),
        ("agents", "/agents".into(), "Agents", "local-node1"),
        ("activity-events", "/activity".into(), "Activity", "srv-01"),
        ("activity-jobs", "/activity/jobs".into(), "Activity", "Reset srv-01"),
        ("activity-audit", "/activity/audit".into(), "Activity", "server.add"),
        ("settings", "/settings".into(), "Settings", "Read each server every"),
        ("settings-sites", "/settings/sites".into(), "Settings", "Europe/Berlin"),
        ("settings-users", "/settings/users".into(), "Settings", "(you)"),
        ("settings-tokens", "/settings/tokens".into(), "Settings", "used"),
        (
            "devices-filtered",
            "/devices?q=name-of-none".into(),
            "Network devices",
            "No device fits this filter",
        ),
        ("nowhere", "/nowhere".into(), "", "There is no such page"),
    ];
    for (look, is_dark) in [("", false), ("-dark", true)] {
        if is_dark {
            page.open("/servers").await;
            page.press("Switch light or dark").await;
        }
        for (name, path, heading, words) in &pages {
            page.open(path).await;
            if !heading.is_empty() {
                page.see_heading(heading).await;
            }
            page.see(words).await;
            assert_eq!(page.chrome.run(IS_DARK, json!([])).await, json!(is_dark), "{path}");
            page.show(&format!("{name}{look}")).await;
        }
    }
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_says_that_nothing_is_there_yet() {
    // A lab has a token already.
    let backend = Backend::without_users();
    let page = Page::start(backend.url(), "empty").await;
    set_up(&page, &backend).await;
    page.press("Add server").await;
    page.fill("Name", "srv-01").await;
    page.press("Add server").await;
    page.see_heading("srv-01").await;
    let server = page.path().await.replace("/configuration", "");
    // Agents and users are never empty: one of each keeps the installation going.
    let faces: [(&str, String, &[&str]); 10] = [
        ("devices", "/devices".into(), &["No devices yet"]),
        ("controllers", "/devices?of=controllers".into(), &["No controllers yet"]),
        ("activity-events", "/activity".into(), &["Nothing happened yet"]),
        ("activity-jobs", "/activity/jobs".into(), &["No job has run yet"]),
        // The audit begins with whoever made the first user.
        ("activity-audit", "/activity/audit".into(), &["installation.set_up"]),
        ("settings-sites", "/settings/sites".into(), &["No sites yet"]),
        ("settings-tokens", "/settings/tokens".into(), &["No tokens yet"]),
        (
            "server-overview",
            server.clone(),
            &["Nothing controls this server yet", "No path to its power", "No job yet", "None yet."],
        ),
        ("server-configuration", format!("{server}/configuration"), &["No connection yet"]),
        ("server-activity", format!("{server}/activity"), &["Nothing happened to this server yet"]),
    ];
    for (name, path, said) in faces {
        page.open(&path).await;
        for words in said {
            page.see(words).await;
        }
        see_settled(&page).await;
        page.show(name).await;
    }
    // Its audit is never empty either: somebody has added it.
    page.press("Jobs").await;
    page.see("No job has run on this server yet").await;
    see_settled(&page).await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

/// Waits until nothing more is to come; nothing has failed then.
async fn see_settled(page: &Page) {
    page.until("see that nothing more is to come", async || match page.only(LOADING).await {
        Ok(_) => Err("something is".to_owned()),
        Err(_) => Ok(()),
    })
    .await;
    let words = page.words().await;
    assert!(page.only(".//*[@role='alert']").await.is_err(), "something has failed: {words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_of_a_server_tells_who_changed_it_and_nothing_of_others() {
    let lab = Lab::bare(1).await;
    let added = lab.post("/servers", &json!({"name": "srv-01"})).await.ok();
    lab.post("/servers", &json!({"name": "srv-02"})).await.ok();
    let page = signed_in(&lab, "server-audit").await;
    page.open(&format!("/servers/{}/activity", added["id"].as_str().unwrap())).await;
    page.press("Audit").await;
    page.see("server.add").await;
    let words = page.words().await;
    assert_eq!(words.matches("server.add").count(), 1, "{words}");
    assert!(words.contains(&format!("{USER} (token")), "{words}");
    page.show("audit").await;
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
    page.until("see it found", async || {
        let words = page.words_in_front().await;
        if words.contains("Servers srv-02") { Ok(()) } else { Err(words) }
    })
    .await;
    page.show("search").await;
    page.keys(&["\u{e007}"]).await;
    page.see_heading("srv-02").await;
    let id = lab.id("srv-02").to_owned();
    lab.patch(&format!("/servers/{id}"), &json!({"name": "renamed-elsewhere"})).await.ok();
    page.see_heading("renamed-elsewhere").await;
    let paper = "return getComputedStyle(document.body).color";
    let light = page.chrome.run(paper, json!([])).await;
    page.press("Switch light or dark").await;
    page.until("see it dark", async || {
        let now = page.chrome.run(paper, json!([])).await;
        if now == light { Err(format!("it is {now}")) } else { Ok(()) }
    })
    .await;
    page.show("server-dark").await;
    let dark = page.chrome.run(paper, json!([])).await;
    page.chrome.reload().await;
    page.see_heading("renamed-elsewhere").await;
    assert_eq!(page.chrome.run(paper, json!([])).await, dark, "it stays");
    page.press("Sign out").await;
    page.see_heading("Sign in").await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_do_arrives_in_the_record_and_among_people_and_tokens() {
    let lab = Lab::bare(1).await;
    let page = signed_in(&lab, "others").await;
    for (place, path, body, words) in [
        ("/activity/audit", "/sites", json!({"name": "FRA2"}), "site.add"),
        ("/settings/users", "/users", json!({"name": "bob", "password": "a password of bob"}), "bob"),
        ("/settings/tokens", "/tokens", json!({"name": "nightly"}), "nightly"),
    ] {
        page.open(place).await;
        see_settled(&page).await;
        page.see_gone(words).await;
        lab.post(path, &body).await.ok();
        page.see(words).await;
    }
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_menu_stays_open_while_what_it_belongs_to_changes() {
    let lab = Lab::start(1).await;
    let server = lab.id("srv-01").to_owned();
    let ties = lab.get(&format!("/servers/{server}/connections")).await.ok();
    let bmc = ties["items"][0]["endpoint_id"].as_str().unwrap().to_owned();
    let add = async |path: &str, body| {
        let made = lab.post(path, &body).await.ok();
        format!("{path}/{}", made["id"].as_str().unwrap())
    };
    let bob = add("/users", json!({"name": "bob", "password": "a password of bob"})).await;
    let site = add("/sites", json!({"name": "FRA2"})).await;
    let page = signed_in(&lab, "open-menu").await;
    let configuration = format!("/servers/{server}/configuration");
    for (place, name, path, renamed, verb, then) in [
        (configuration.as_str(), "BMC of srv-01", format!("/endpoints/{bmc}"), "Turned", "Change", "Turned"),
        ("/settings/users", "bob", bob, "robert", "New password", "New password for robert"),
        ("/settings/sites", "FRA2", site, "FRA3", "Change", "Change FRA3"),
    ] {
        page.open(place).await;
        page.press(&format!("Actions for {name}")).await;
        page.see("Remove").await;
        lab.patch(&path, &json!({"name": renamed})).await.ok();
        page.see(renamed).await;
        page.take(renamed).await;
        page.press_verb(verb).await;
        page.see(then).await;
    }
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_follows_readings_that_say_the_same_as_before() {
    let lab = Lab::start(1).await;
    let page = signed_in(&lab, "ages").await;
    page.open(&format!("/servers/{}", lab.id("srv-01"))).await;
    // Nothing turns any more; the age on the page grows until it is read anew.
    page.see("read 12 s ago").await;
    page.see("read 2 s ago").await;
    page.press("More actions").await;
    page.press_verb("Read all paths now").await;
    page.see("Reading all paths").await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_fails_tells_its_exact_error_to_the_pointer_and_to_the_keyboard() {
    let lab = Lab::start(1).await;
    let pdu = lab.farm.world().pdus().pop().unwrap();
    pdu.change_faults(|faults| faults.link.mute = true);
    let muted = lab.farm.inventory().pdus.last().unwrap().name.clone();
    // By its name: on a busy machine another one may be late for a moment.
    let status = async |lab: &Lab| {
        let pdus = lab.get("/endpoints?q=kind:snmp_pdu").await.ok();
        let mut all = pdus["items"].as_array().unwrap().iter();
        let status = all.find(|device| device["name"] == muted.as_str()).unwrap()["status"].clone();
        (status["state"] == "failing").then_some(status)
    };
    lab.wait_until("its silence was noticed", async |lab| status(lab).await.is_some()).await;
    let fault: Fault = serde_json::from_value(status(&lab).await.unwrap()["fault"].clone()).unwrap();
    let error = fault.to_string();
    let page = signed_in(&lab, "device-error").await;
    page.open(&format!("/devices?q={muted}")).await;
    page.see("Unreachable").await;
    assert!(!page.words().await.contains(&error), "one word until somebody asks");
    page.hover("Unreachable").await;
    page.see(&error).await;
    page.take("hover").await;
    for _ in 0..2 {
        let before = status(&lab).await.unwrap()["checked_at"].clone();
        lab.wait_until("it was asked again", async |lab| {
            status(lab).await.is_some_and(|status| status["checked_at"] != before)
        })
        .await;
    }
    let words = page.words().await;
    assert!(words.contains(&error), "the next reading shut what was being read, {error}: {words}");
    page.hover("Add device").await;
    page.see_gone(&error).await;
    page.tab_to("Unreachable").await;
    page.see(&error).await;
    page.take("focus").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_feeds_nobody_shows_its_outlets_or_why_there_are_none() {
    let lab = Lab::bare(1).await;
    let silent = lab.farm.world().pdus().pop().unwrap();
    silent.change_faults(|faults| faults.link.mute = true);
    let mut homes = Vec::new();
    for pdu in &lab.farm.inventory().pdus {
        let added = lab.post("/endpoints", &pdu_body(&serde_json::to_value(pdu).unwrap())).await.ok();
        homes.push((pdu.name.clone(), format!("/devices/{}", added["id"].as_str().unwrap())));
    }
    let (name, home) = homes.first().unwrap();
    let page = signed_in(&lab, "unused-device").await;
    page.open(home).await;
    page.see_heading(name).await;
    page.see("Outlets Read").await;
    page.see("Connections 0").await;
    page.see_gone("No outlet is known").await;
    assert!(!page.words().await.contains("Show servers"), "there are none");
    page.show("read").await;
    page.open(&homes.last().unwrap().1).await;
    page.see("No outlet is known").await;
    page.see("Unreachable").await;
    page.show("silent").await;
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
