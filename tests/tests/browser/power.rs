//! What the dialogs before a power action say, and what they ask for: no more than what will happen.

use rackhand_simulators::{
    farm::{FarmConfig, ServerEntry},
    world::EffectKind,
};
use rackhand_tests::{Lab, PASSWORD, bmc_body, pdu_body, rack_of};
use serde_json::json;

use super::{
    fields::signed_in,
    page::Page,
    walk::{address, pick_outlets},
};

#[tokio::test(flavor = "multi_thread")]
async fn only_what_switches_outlets_itself_asks_about_the_servers_that_share_them() {
    let lab = Lab::wired(FarmConfig { per_chassis: 2, ..rack_of(2) }).await;
    let page = signed_in(&lab, "shared").await;
    let home = format!("/servers/{}", lab.id("srv-01"));
    page.open(&home).await;
    page.see("Fallback Not possible").await;
    page.press("Power cycle").await;
    page.see("No fallback to the outlets. An outlet also feeds srv-02").await;
    let words = page.words_in_front().await;
    assert!(!words.contains("Other servers hang on these outlets"), "the BMC is asked: {words}");
    page.show("by-the-bmc").await;
    page.press("Power cycle now").await;
    page.press("Open job").await;
    page.see("Succeeded").await;

    let before = lab.feed_changes("srv-02");
    page.open(&home).await;
    page.press("More actions").await;
    page.press("Force via PDU").await;
    page.see("Other servers hang on these outlets").await;
    page.fill("Name of the server", "srv-01").await;
    page.fill("Your password", PASSWORD).await;
    page.see_barred("Cycle ", "agree to that first").await;
    page.tick("Cut the power of srv-02 too").await;
    page.show("by-the-outlets").await;
    page.press("Feed").await;
    page.see("Feed srv-02 too").await;
    page.see_barred("Switch the outlets on", "agree to that first").await;
    page.press("Power cycle").await;
    page.tick("Cut the power of srv-02 too").await;
    assert_eq!(lab.feed_changes("srv-02"), before, "nothing is done before it is agreed");
    page.press_beginning("Cycle ").await;
    page.press("Open job").await;
    page.see("Succeeded").await;
    assert!(lab.feed_changes("srv-02") > before);
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_that_the_settings_forbid_to_fall_back() {
    let lab = Lab::start(1).await;
    let page = signed_in(&lab, "forbidden").await;
    page.press("srv-01").await;
    page.see("Only if that is unreachable they go through").await;
    page.see("Fallback Allowed").await;
    page.open("/settings").await;
    page.tick("Fall back to the outlets when a BMC is unreachable").await;
    page.press("Save").await;
    page.see("Settings saved").await;
    page.open(&format!("/servers/{}", lab.id("srv-01"))).await;
    page.see("is switched off in the settings.").await;
    page.see("Fallback Not possible").await;
    page.press("Power cycle").await;
    page.see("No fallback to the outlets. Fallback is switched off in the settings.").await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_supplies_are_not_all_mapped_says_why_it_is_not_cut() {
    let lab = Lab::bare(1).await;
    let server = lab.farm.inventory().servers.first().unwrap();
    let home = with_bmc(&lab, server).await;
    let page = signed_in(&lab, "unmapped").await;
    page.open(&format!("{home}/configuration")).await;
    map_unsurely(&page, server).await;

    page.open(&home).await;
    page.see("Nobody has said that the connected outlets feed all power supplies.").await;
    page.see("Feeds Not all supplies confirmed").await;
    page.see("may be switched on, but not cut before someone confirms that they feed all supplies.").await;
    page.show("overview").await;
    let why = "Nobody has confirmed that the connected outlets feed all power supplies";
    for (verb, picture) in [("Power cycle", "power-cycle"), ("Force off", "force-off")] {
        page.press(verb).await;
        page.see(&format!("Fallback No fallback to the outlets. {why}")).await;
        page.show(picture).await;
        page.press("Cancel").await;
        page.see_gone(why).await;
    }
    page.press("More actions").await;
    page.press("Force via PDU").await;
    page.see(&format!("Not possible now {why}")).await;
    page.see_barred("Cycle ", why).await;
    page.show("by-the-outlets").await;
    page.press("Cancel").await;
    page.see_gone(why).await;

    page.press("They feed all supplies").await;
    page.see("Feeds All supplies are mapped").await;
    page.see_gone("Nobody has said that the connected outlets feed all power supplies.").await;
    page.press("Power cycle").await;
    page.see("If the BMC cannot be reached: cuts outlet").await;
    assert_eq!(lab.feed_changes(&server.name), 0, "nothing was started");
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_a_server_is_started_from_its_page() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    let page = signed_in(&lab, "stops").await;
    let home = format!("/servers/{}", lab.id("srv-01"));
    let run = async |verb: &str, told: &str| {
        page.press(&format!("{verb} now")).await;
        page.press("Open job").await;
        page.see(told).await;
    };
    for (verb, deaf, told) in [
        ("Shut down", false, "Succeeded"),
        ("Shut down", true, "The system did not shut down in time and was switched off."),
        ("Force off", true, "Succeeded"),
    ] {
        machine.change_bmc_faults(|faults| faults.ignore_soft = deaf);
        page.open(&home).await;
        page.press(verb).await;
        if deaf && verb == "Shut down" {
            page.tick("Force off if it has not stopped by the deadline").await;
        }
        run(verb, told).await;
        lab.wait_until("it is off", async |_: &Lab| !machine.is_on()).await;
        assert_eq!(lab.power("srv-01", json!({"action": "on"})).await["state"], "succeeded");
    }
    let resets = machine.count(&EffectKind::Reset);
    page.open(&home).await;
    page.press("Reset").await;
    run("Reset", "Succeeded").await;
    assert_eq!((machine.count(&EffectKind::Reset), machine.is_on()), (resets + 1, true));
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unticked_is_not_connected() {
    let lab = Lab::bare(1).await;
    let server = lab.farm.inventory().servers.first().unwrap();
    let added = lab.post("/servers", &json!({"name": server.name})).await.ok();
    let home = format!("/servers/{}", added["id"].as_str().unwrap());
    let page = signed_in(&lab, "unticked").await;
    page.open(&format!("{home}/configuration")).await;
    page.press("Add connection").await;
    page.press("IPMI").await;
    address(&page, "BMC address", server.bmc.addr).await;
    page.fill("User", &server.bmc.user).await;
    page.fill("Password", &server.bmc.password).await;
    page.press("Test").await;
    page.see("It answers: on").await;
    page.tick("Power").await;
    page.show("features").await;
    page.press("Add connection").await;
    page.see("Added:").await;
    let connections = lab.get(&format!("{home}/connections")).await.ok();
    assert!(!connections["items"][0]["features"].to_string().contains("power"), "{connections:#}");
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

/// Makes the PDUs known, and the server with its BMC alone; gives the address of its page.
async fn with_bmc(lab: &Lab, server: &ServerEntry) -> String {
    for pdu in &lab.farm.inventory().pdus {
        let body = pdu_body(&serde_json::to_value(pdu).unwrap());
        let added = lab.post("/endpoints", &body).await.ok();
        let outlets = format!("/endpoints/{}/outlets", added["id"].as_str().unwrap());
        lab.wait_until("its outlets can be picked", async |lab: &Lab| {
            let read = lab.get(&outlets).await.ok();
            !read["outlets"].as_array().unwrap().is_empty()
        })
        .await;
    }
    let added = lab.post("/servers", &json!({"name": server.name})).await.ok();
    let home = format!("/servers/{}", added["id"].as_str().unwrap());
    let bmc = bmc_body(&serde_json::to_value(server).unwrap());
    lab.post(&format!("{home}/connections"), &json!({"endpoint": bmc})).await.ok();
    home
}

/// Connects both outlets by somebody who cannot say that there are no more.
async fn map_unsurely(page: &Page, server: &ServerEntry) {
    pick_outlets(page, server).await;
    let add = format!("Add {} connections", server.outlets.len());
    page.see("Do these outlets feed all power supplies?").await;
    page.see_barred(&add, "Answer the question about the power supplies first.").await;
    page.tick("No, or not sure").await;
    page.see("Force off and Power cycle cannot fall back to the outlets: a supply").await;
    page.show("question").await;
    page.press(&add).await;
    page.see("Added:").await;
    page.see("Nobody has said that the connected outlets feed all power supplies.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_ended_says_what_had_happened_by_then() {
    let lab = Lab::start(1).await;
    let machine = lab.machine("srv-01");
    machine.change_bmc_faults(|faults| faults.ignore_soft = true);
    // Before the deadline begins to run.
    let page = signed_in(&lab, "ended").await;
    let job = lab.start_power("srv-01", json!({"action": "shutdown", "deadline_s": 600})).await;
    page.open(&format!("/jobs/{}", job["id"].as_str().unwrap())).await;
    page.see("Wait").await;
    page.press("Cancel job").await;
    page.press("End the job").await;
    page.see("Stopped after “shut down” was sent").await;
    page.see("Cancelled").await;
    page.show("job").await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}
