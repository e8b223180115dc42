//! Which model a PDU is: a person may say so, and is asked where it cannot be told.

use rackhand_tests::{Lab, peers::replay};

use super::{fields::signed_in, walk::address};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_say_which_model_a_pdu_is() {
    let lab = Lab::bare(1).await;
    let pdu = lab.farm.inventory().pdus.first().unwrap();
    let kinds = lab.get("/kinds").await.ok();
    let kinds = kinds["items"].as_array().unwrap().iter().map(|kind| &kind["descriptor"]);
    let fields =
        kinds.into_iter().find(|kind| kind["kind"] == "snmp_pdu").unwrap()["endpoint_fields"].as_array();
    let model = fields.unwrap().iter().find(|field| field["name"] == "model").unwrap();
    let choices = model["input"]["options"].as_array().unwrap();
    let choice = choices.iter().find(|choice| choice["value"] == pdu.model.as_str()).unwrap();
    let page = signed_in(&lab, "model").await;
    page.open("/devices").await;
    page.press("Add device").await;
    page.fill("Name", &pdu.name).await;
    page.choose("Model", choice["label"].as_str().unwrap()).await;
    address(&page, "Host", pdu.addr).await;
    page.fill("Community", &pdu.community).await;
    page.fill("Write community", &pdu.write_community).await;
    page.press("Test").await;
    page.see("Writing was not tested.").await;
    page.show("chosen").await;
    page.press("Add device").await;
    page.see(&format!("{} added", pdu.name)).await;
    let added = lab.get("/endpoints").await.ok()["items"][0].clone();
    assert_eq!(added["params"]["model"], pdu.model.as_str(), "{added:#}");
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

/// A PDU of APC that answers in two trees of which neither stands for the other, two outlets in each.
const TWO_TREES: &str = "\
1.3.6.1.2.1.1.1.0|4|APC Web/SNMP Management Card
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.318.1.3.4.6
1.3.6.1.4.1.318.1.1.26.9.2.3.1.1.1|2|1
1.3.6.1.4.1.318.1.1.26.9.2.3.1.1.2|2|2
1.3.6.1.4.1.318.1.1.26.9.2.3.1.3.1|4|Outlet 1
1.3.6.1.4.1.318.1.1.26.9.2.3.1.3.2|4|Outlet 2
1.3.6.1.4.1.318.1.1.26.9.2.3.1.5.1|2|2
1.3.6.1.4.1.318.1.1.26.9.2.3.1.5.2|2|2
1.3.6.1.4.1.318.1.1.32.5.4.1.3.1|4|Outlet 1
1.3.6.1.4.1.318.1.1.32.5.4.1.3.2|4|Outlet 2
1.3.6.1.4.1.318.1.1.32.5.4.1.4.1|2|1
1.3.6.1.4.1.318.1.1.32.5.4.1.4.2|2|1
";

/// Something that speaks SNMP, of a make that nobody knows and without outlets.
const STRANGER: &str = "\
1.3.6.1.2.1.1.1.0|4|A thermometer
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.99999.1
";

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_be_told_is_asked_for_and_never_guessed() {
    let recordings = [("two-trees", TWO_TREES), ("stranger", STRANGER)];
    let recordings = recordings.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let replay = tokio::task::spawn_blocking(move || replay::serve(&recordings)).await.unwrap();
    let lab = Lab::bare(1).await;
    let page = signed_in(&lab, "tie").await;
    page.open("/devices").await;
    page.press("Add device").await;
    page.fill("Name", "pdu-x").await;
    address(&page, "Host", replay.at).await;
    page.fill("Community", "stranger").await;
    page.press("Test").await;
    page.see("The model could not be told: the device is of no known make").await;
    page.fill("Community", "two-trees").await;
    page.see_gone("The model could not be told").await;
    page.press("Test").await;
    page.see("The model could not be told: several models fit; choose one by hand").await;
    page.show("tie").await;
    page.press_beginning("APC NetShelter rack PDU (APDU9000").await;
    page.see("It answers").await;
    page.see_gone("The model could not be told").await;
    page.press("Add device").await;
    page.see("pdu-x added").await;
    let added = lab.get("/endpoints").await.ok()["items"][0].clone();
    assert_eq!(added["params"]["model"], "apc_cpdu", "{added:#}");
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}
