//! An agent as a person meets it: added in the page, enrolled with the command that the page shows, looked
//! at, tried, shut out.

use rackhand_tests::{
    Lab,
    agent::{self, Agent},
    rack_of,
};
use serde_json::json;

use super::fields::signed_in;

#[tokio::test(flavor = "multi_thread")]
async fn an_added_agent_turns_green_once_the_command_was_run() {
    let lab = Lab::bare(1).await;
    let page = signed_in(&lab, "agent-add").await;
    page.open("/agents").await;
    page.see("local-node1").await;
    page.press("Add agent").await;
    page.fill("Name", "local-node1").await;
    page.press("Add agent").await;
    page.see_refused("Name", "already").await;
    page.fill("Name", "fra-1").await;
    page.fill("Source network", "nowhere").await;
    page.press("Add agent").await;
    page.see_refused("Source network", "no network").await;
    page.fill("Source network", "127.0.0.0/8").await;
    page.show("form").await;
    page.press("Add agent").await;
    page.see("It works once, for one hour").await;
    page.see("Waiting for fra-1 to connect").await;
    page.show("waiting").await;
    let words = page.words().await;
    let token = words.split_whitespace().find(|word| word.starts_with("rha_")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let done = agent::enroll(folder.path(), lab.backend.port(), &["--token", token]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut process = agent::spawn(folder.path());
    page.see("fra-1 is online").await;
    page.show("online").await;
    page.press("Open agent").await;
    page.see_heading("fra-1").await;
    page.see("It serves no device yet").await;
    page.see("Enrolled on").await;
    page.show("page").await;
    page.press("More actions").await;
    page.press_beginning("Revoke").await;
    page.see("It serves no device.").await;
    page.press("Revoke fra-1").await;
    page.see("Revoked").await;
    process.kill().unwrap();
    process.wait().unwrap();
    page.press("More actions").await;
    page.press_beginning("Remove").await;
    page.press("Remove fra-1").await;
    page.see_heading("Agents").await;
    page.assert_quiet(&[("/api/v1/session", 401), ("/api/v1/agents", 422), ("/api/v1/agents", 404)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_an_agent_tells_what_it_serves_and_whether_it_reaches_it() {
    let (lab, agent, _relay) = Lab::behind_an_agent(rack_of(2)).await;
    let page = signed_in(&lab, "agent").await;
    page.open("/agents").await;
    page.see("site-a").await;
    page.show("list").await;
    page.press("site-a").await;
    page.see_heading("site-a").await;
    page.see("srv-02").await;
    page.see("UDP out").await;
    page.choose("Device", "BMC of srv-01").await;
    page.press("Test").await;
    page.see("It answers").await;
    page.see("Credentials").await;
    page.show("reached").await;
    page.press("Stateless").await;
    page.see("UDP in").await;
    lab.machine("srv-01").change_bmc_faults(|faults| faults.link.mute = true);
    page.press("Test again").await;
    page.see("not known").await;
    page.show("silent").await;
    // Back at the top.
    page.open(&format!("/agents/{}", agent.id)).await;
    page.see("srv-02").await;
    page.press("More actions").await;
    page.press_beginning("Revoke").await;
    page.see("srv-01, srv-02 and 4 devices lose their path").await;
    page.show("revoke").await;
    page.press("Cancel").await;
    page.press("More actions").await;
    page.press_beginning("Drain").await;
    page.see("Draining").await;
    page.press("Change").await;
    page.fill("Group", "fra").await;
    page.press("Save").await;
    page.see("fra").await;
    page.open(&format!("/servers/{}/configuration", lab.id("srv-01"))).await;
    page.see("reaches this server").await;
    page.show("only-agent").await;
    page.press("site-a").await;
    page.see_heading("site-a").await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_offered_where_an_agent_is_chosen_and_says_how_it_shares() {
    let lab = Lab::start(1).await;
    let mut members = Vec::new();
    for name in ["one", "two", "three"] {
        let group = if name == "three" { "alone" } else { "pair" };
        let body = json!({"name": name, "group": group});
        let mut agent = Agent::of(&lab, &body, lab.backend.port()).await;
        agent.run();
        agent.online(&lab).await;
        members.push(agent);
    }
    let page = signed_in(&lab, "group").await;
    page.open("/devices").await;
    page.press("Actions for pdu-a").await;
    page.press_verb("Change").await;
    page.choose("Agent", "Group pair: one, two").await;
    page.show("choose").await;
    page.press("Save").await;
    page.see("any of pair").await;
    let pdu = lab.get("/endpoints?q=pdu-a").await.ok()["items"][0].clone();
    assert_eq!((&pdu["agent_group"], &pdu["agent_id"]), (&json!("pair"), &json!(null)));

    let server = lab.id("srv-01");
    page.open(&format!("/servers/{server}/configuration")).await;
    page.press("Actions for BMC of srv-01").await;
    page.press_verb("Change").await;
    page.choose("Agent", "three").await;
    page.press("Save").await;
    lab.wait_until("the connection names its agent", async |lab: &Lab| {
        let ties = lab.get(&format!("/servers/{server}/connections")).await.ok();
        ties["items"][0]["agent_id"] == members[2].id.as_str()
    })
    .await;

    let kept = async |lab: &Lab| {
        let groups = lab.get("/agent-groups").await.ok();
        groups["items"].as_array().unwrap().iter().find(|group| group["name"] == "pair").unwrap().clone()
    };
    page.open("/agents").await;
    page.see("stand in for one another").await;
    page.show("groups").await;
    page.press("Each takes a share").await;
    lab.wait_until("it is spread", async |lab: &Lab| kept(lab).await["policy"] == "spread").await;
    page.press("Put two earlier").await;
    let turned = json!([members[1].id, members[0].id]);
    lab.wait_until("two comes first", async |lab: &Lab| kept(lab).await["members"] == turned).await;
    page.press("Put one earlier").await;
    let as_before = json!([members[0].id, members[1].id]);
    lab.wait_until("one comes first again", async |lab: &Lab| kept(lab).await["members"] == as_before).await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_not_called_confirmed_while_nobody_asks() {
    let (lab, mut agent, _relay) = Lab::behind_an_agent(rack_of(1)).await;
    let power = async |lab: &Lab| lab.get(&format!("/servers/{}/power", lab.id("srv-01"))).await.ok();
    lab.wait_until("it is sure", async |lab: &Lab| power(lab).await["confidence"] == "high").await;
    let page = signed_in(&lab, "nobody-asks").await;
    page.see("srv-01").await;
    agent.kill();
    lab.wait_until("its agent is away", async |lab: &Lab| power(lab).await["paths"][0]["agent_away"] == true)
        .await;
    // The list shows by itself that nobody asks.
    page.see_titled("BMC of srv-01: agent away").await;
    page.press("On, show evidence").await;
    page.see("agent away").await;
    let words = page.words().await;
    assert!(words.contains("On: ") && !words.contains("On: confirmed"), "{words}");
    page.show("evidence").await;
}
