//! The line between page and server is cut: no page claims to be live, and nothing is done twice.

use rackhand_tests::Lab;
use serde_json::json;

use super::fields::signed_in;

/// The next answer to a request that changes something is lost on its way back.
const LOSE_AN_ANSWER: &str = "
    const real = window.fetch;
    window.fetch = async (request) => {
        const answer = await real(request);
        if (request.method !== 'POST') return answer;
        window.fetch = real;
        throw new TypeError('the line was cut');
    };";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_because_no_answer_came_is_done_once() {
    let lab = Lab::bare(1).await;
    let page = signed_in(&lab, "lost-answer").await;
    page.press("Add server").await;
    page.fill("Name", "srv-01").await;
    page.chrome.run(LOSE_AN_ANSWER, json!([])).await;
    page.press("Add server").await;
    page.see("Rackhand does not answer.").await;
    assert_eq!(servers(&lab).await, 1, "the request had arrived");
    page.press("Add server").await;
    page.see_heading("srv-01").await;
    assert_eq!(servers(&lab).await, 1);

    // A dialog that is opened anew means something new.
    page.open("/servers").await;
    page.press("Add server").await;
    page.fill("Name", "srv-01").await;
    page.press("Add server").await;
    page.see_refused("Name", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tab_knows_that_the_stream_is_cut() {
    let mut lab = Lab::start(1).await;
    let page = signed_in(&lab, "tabs").await;
    page.see(", live").await;
    page.chrome.open_tab().await;
    page.open("/servers").await;
    page.see(", live").await;
    lab.backend.stop();
    page.see("not live").await;
    page.take("cut").await;
    lab.backend.kill_and_restart();
    page.see(", live").await;
}

async fn servers(lab: &Lab) -> usize {
    lab.get("/servers").await.ok()["items"].as_array().unwrap().len()
}
