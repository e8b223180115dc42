//! An agent as a person meets it: added in the page, enrolled with the command that the page shows, looked
//! at, tried, shut out.

use rackhand_tests::{Lab, agent, rack_of};

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
