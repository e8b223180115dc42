//! The line between page and server is cut: no page claims to be live, and nothing is done twice.

use rackhand_tests::{Lab, PASSWORD};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    fields::{sign_in, signed_in},
    page::Page,
};

/// Goes to another page as a link does: nothing of the page itself is loaded again.
const GO: &str = "
    history.pushState(null, '', arguments[0]);
    dispatchEvent(new PopStateEvent('popstate'));";

/// The shape of what comes.
pub const LOADING: &str = ".//*[@role='status' and @aria-label='Loading']";

/// What is said to be absent.
const ABSENT: &str = "
    return document.body.innerText.split('\\n').filter(line => /^(No|None|Nothing) /.test(line));";

const CONTROL: &str = "\u{e009}";

/// The next answer to a request that changes something is lost on its way back.
const LOSE_AN_ANSWER: &str = "
    const real = window.fetch;
    window.fetch = async (request) => {
        const answer = await real(request);
        if (request.method !== 'POST') return answer;
        window.fetch = real;
        throw new TypeError('the line was cut');
    };";

/// Answers from this path are held back.
const HOLD: &str = "
    const [path] = arguments;
    const real = window.fetch;
    window.fetch = request => !request.url.includes(path) ? real(request) : new Promise((give, lose) => {
        (window.held ??= []).push({lose, pass: () => real(request).then(give, lose)});
    });";

/// Those that are held back are lost.
const LOSE: &str = "window.held.splice(0).forEach(one => one.lose(new TypeError('the line was cut')));";

/// Those that are held back arrive.
const PASS: &str = "window.held.splice(0).forEach(one => one.pass());";

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

/// Answers every request as a proxy does whose server is away; counts those for the stream.
async fn refuse(gate: tokio::net::TcpListener, streams: Arc<AtomicUsize>) {
    const REFUSAL: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    loop {
        let (mut line, _) = gate.accept().await.unwrap();
        let mut asked = [0; 4096];
        let read = line.read(&mut asked).await.unwrap_or(0);
        let is_stream = asked[..read].starts_with(b"GET /api/v1/live ");
        streams.fetch_add(usize::from(is_stream), Ordering::SeqCst);
        line.write_all(REFUSAL).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_a_proxy_refuses_is_asked_for_again() {
    let mut lab = Lab::start(1).await;
    let page = signed_in(&lab, "refused-stream").await;
    page.see(", live").await;
    lab.backend.stop();
    let gate = tokio::net::TcpListener::bind(("127.0.0.1", lab.backend.port())).await.unwrap();
    let streams = Arc::new(AtomicUsize::new(0));
    let proxy = tokio::spawn(refuse(gate, Arc::clone(&streams)));
    page.see("not live").await;
    page.until("be refused twice", async || match streams.load(Ordering::SeqCst) {
        0 | 1 => Err("it is not".to_owned()),
        _ => Ok(()),
    })
    .await;
    proxy.abort();
    proxy.await.ok();
    lab.backend.start_again();
    page.see(", live").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_not_said_to_be_live() {
    let lab = Lab::start(1).await;
    let page = signed_in(&lab, "hangs").await;
    page.see(", live").await;
    lab.backend.freeze();
    page.see("not live").await;
    page.show("hangs").await;
    lab.backend.thaw();
    page.see(", live").await;
}

/// Pages fetch everything anew after twenty seconds, whatever they hear.
const BEAT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_again_hears_what_changes() {
    let mut lab = Lab::start(1).await;
    let page = signed_in(&lab, "again").await;
    page.see(", live").await;
    page.press("Sign out").await;
    sign_in(&page).await;
    page.see("srv-01").await;
    // What was asked for while the page came has been answered.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let id = lab.id("srv-01").to_owned();
    lab.patch(&format!("/servers/{id}"), &json!({"name": "renamed-elsewhere"})).await.ok();
    page.see("renamed-elsewhere").await;
    assert!(begun.elapsed() < BEAT / 3, "it was heard, not asked for: {:?}", begun.elapsed());
    lab.backend.kill();
    page.see("not live").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_says_that_it_waits_and_that_no_answer_came_and_claims_nothing_meanwhile() {
    let mut lab = Lab::start(1).await;
    let job = lab.power("srv-01", json!({"action": "reset"})).await;
    let id = |value: &serde_json::Value| value["id"].as_str().unwrap().to_owned();
    let pdu = id(&lab.get("/endpoints?q=kind:snmp_pdu").await.ok()["items"][0]);
    let agent = id(&lab.get("/agents").await.ok()["items"][0]);
    let server = format!("/servers/{}", lab.id("srv-01"));
    let places = [
        "/servers".to_owned(),
        server.clone(),
        format!("{server}/configuration"),
        format!("{server}/activity"),
        "/devices".to_owned(),
        format!("/devices/{pdu}"),
        "/agents".to_owned(),
        format!("/agents/{agent}"),
        "/activity".to_owned(),
        "/activity/jobs".to_owned(),
        "/activity/audit".to_owned(),
        format!("/jobs/{}", id(&job)),
        "/settings".to_owned(),
        "/settings/sites".to_owned(),
        "/settings/users".to_owned(),
        "/settings/tokens".to_owned(),
    ];
    let page = signed_in(&lab, "faces").await;
    page.see("srv-01").await;
    page.press("Settings").await;
    page.see("Read each server every").await;
    lab.backend.freeze();
    for place in &places {
        page.chrome.run(GO, json!([place])).await;
        see_waiting(&page, place).await;
    }
    page.show("waiting").await;
    lab.backend.kill();
    for place in &places {
        page.chrome.run(GO, json!([place])).await;
        page.see("Rackhand does not answer.").await;
        assert_eq!(page.chrome.run(ABSENT, json!([])).await, json!([]), "at {place}");
    }
    page.show("failed").await;
    page.chrome.run(GO, json!(["/servers"])).await;
    page.see("Try again").await;
    lab.backend.start_again();
    page.see("srv-01").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_of_a_server_that_is_there_says_that_it_waits_and_that_no_answer_came() {
    let lab = Lab::start(1).await;
    let page = signed_in(&lab, "tab-faces").await;
    for (tab, list) in [("configuration", "/connections?"), ("activity", "/events?")] {
        page.open("/servers").await;
        page.see("srv-01").await;
        page.chrome.run(HOLD, json!([list])).await;
        let place = format!("/servers/{}/{tab}", lab.id("srv-01"));
        page.chrome.run(GO, json!([place])).await;
        page.see_heading("srv-01").await;
        see_waiting(&page, &place).await;
        page.show(&format!("{tab}-waiting")).await;
        page.chrome.run(LOSE, json!([])).await;
        page.see("Rackhand does not answer.").await;
        page.see("Try again").await;
        assert_eq!(page.chrome.run(ABSENT, json!([])).await, json!([]), "at {place}");
        page.show(&format!("{tab}-failed")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_of_another_action_is_no_plan_of_this_one() {
    let lab = Lab::start(1).await;
    let page = signed_in(&lab, "late-plan").await;
    page.open(&format!("/servers/{}", lab.id("srv-01"))).await;
    page.press("More actions").await;
    page.press("Force via PDU").await;
    page.fill("Name of the server", "srv-01").await;
    page.fill("Your password", PASSWORD).await;
    page.see_ready("Cycle outlet").await;
    page.chrome.run(HOLD, json!(["/power/plan?action=off"])).await;
    page.press("Cut power").await;
    page.see_barred("Cut outlet", "The plan is not there yet.").await;
    page.take("late").await;
    page.chrome.run(LOSE, json!([])).await;
    page.see("Rackhand does not answer.").await;
    page.see_barred("Force off", "The plan is not there yet.").await;
    page.show("lost").await;
    page.press("Try again").await;
    page.see_barred("Force off", "The plan is not there yet.").await;
    assert_eq!(lab.feed_changes("srv-01"), 0, "nothing was started");
    page.chrome.run(PASS, json!([])).await;
    page.press_beginning("Cut outlet").await;
    page.press("Open job").await;
    page.see("Succeeded").await;
    assert!(!lab.machine("srv-01").is_on());
}

/// Waits until the page shows the shape of what comes, and nothing that it does not know yet.
async fn see_waiting(page: &Page, place: &str) {
    page.until(&format!("see {place} wait"), async || page.only(LOADING).await.map(|_| ())).await;
    assert_eq!(page.chrome.run(ABSENT, json!([])).await, json!([]), "at {place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_palette_says_that_it_searches_and_that_no_answer_came() {
    let mut lab = Lab::start(1).await;
    let page = signed_in(&lab, "palette-faces").await;
    page.see("srv-01").await;
    lab.backend.freeze();
    page.keys(&[CONTROL, "k"]).await;
    page.fill("Search", "srv-01").await;
    page.see("Searching …").await;
    assert!(!page.words_in_front().await.contains("Nothing found"));
    page.show("waiting").await;
    lab.backend.kill();
    page.see("Rackhand does not answer.").await;
    let words = page.words_in_front().await;
    assert!(words.contains("Try again") && !words.contains("Nothing found"), "{words}");
    page.show("failed").await;
    lab.backend.start_again();
    page.press("Try again").await;
    page.until("see the server found", async || {
        let words = page.words_in_front().await;
        if words.contains("Servers srv-01") { Ok(()) } else { Err(words) }
    })
    .await;
    page.fill("Search", "name-of-none").await;
    page.see("Nothing found").await;
}

async fn servers(lab: &Lab) -> usize {
    lab.get("/servers").await.ok()["items"].as_array().unwrap().len()
}
