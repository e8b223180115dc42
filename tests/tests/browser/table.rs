//! The table of servers: filtered, sorted, turned page by page, switched many at a time, and filters that
//! are kept.

use rackhand_simulators::world::EffectKind;
use rackhand_tests::{Lab, state};
use serde_json::{Value, json};

use super::{
    fields::signed_in,
    keyboard::{BACKSPACE, ENTER, ESCAPE, SPACE},
    page::Page,
};

const ALL: [&str; 3] = ["srv-01", "srv-02", "srv-03"];

/// The names in the rows, in their order.
const ROWS: &str = "
    return [...document.querySelectorAll('tbody tr')].map(row => row.querySelector('a')?.innerText);";

/// The names in the rows whose box is ticked.
const TICKED: &str = "
    const rows = [...document.querySelectorAll('tbody tr')].filter(row => row.querySelector('input').checked);
    return rows.map(row => row.querySelector('a').innerText);";

/// The heads that say that the rows stand in their order, and in which direction.
const ORDER: &str = "
    const heads = [...document.querySelectorAll('th[aria-sort]')];
    return heads.map(head => [head.innerText.trim(), head.getAttribute('aria-sort')]);";

/// The arrows below the rows that lead to another page.
const ARROWS: &str = "
    const arrows = [...document.querySelectorAll('button[aria-label$=\" page\"]')];
    return arrows.filter(arrow => !arrow.disabled).map(arrow => arrow.getAttribute('aria-label'));";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_narrows_the_rows_and_stands_in_the_address() {
    let lab = fleet().await;
    let page = signed_in(&lab, "filter").await;
    see_rows(&page, &ALL).await;
    let narrowed: [(&str, &[&str]); 6] = [
        ("state:off", &["srv-02"]),
        ("rack:C9", &["srv-01"]),
        ("Rack:c9", &["srv-01"]),
        ("site:\"Frankfurt 2\"", &["srv-01", "srv-03"]),
        ("tag:db", &["srv-02", "srv-03"]),
        ("srv-03", &["srv-03"]),
    ];
    for (token, rows) in narrowed {
        filter(&page, token).await;
        see_rows(&page, rows).await;
        assert_eq!(page.query("q").await, token);
        page.keys(&[BACKSPACE]).await;
        see_rows(&page, &ALL).await;
        assert_eq!(page.query("q").await, "", "the last token is taken away");
    }

    filter(&page, "tag:db state:on").await;
    see_rows(&page, &["srv-03"]).await;
    page.show("filtered").await;
    page.chrome.reload().await;
    see_rows(&page, &["srv-03"]).await;
    page.press("Remove filter tag:db").await;
    see_rows(&page, &["srv-01", "srv-03"]).await;
    assert_eq!(page.query("q").await, "state:on");
    page.chrome.back().await;
    see_rows(&page, &["srv-03"]).await;
    assert_eq!(page.query("q").await, "tag:db state:on");
    page.chrome.back().await;
    see_rows(&page, &ALL).await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_finds_nothing_says_so_and_can_be_taken_away() {
    let lab = listed().await;
    let page = signed_in(&lab, "filter-none").await;
    see_rows(&page, &ALL).await;
    filter(&page, "rack:Z9").await;
    page.see("No server fits this filter").await;
    see_rows(&page, &[]).await;
    page.show("empty").await;
    page.press("Show all servers").await;
    see_rows(&page, &ALL).await;
    assert_eq!(page.query("q").await, "");

    let refusal = "There is no filter “power:” here.";
    filter(&page, "power:off").await;
    page.see(refusal).await;
    see_rows(&page, &[]).await;
    page.show("unknown").await;
    page.chrome.reload().await;
    page.see(refusal).await;
    page.press("Remove filter power:off").await;
    see_rows(&page, &ALL).await;
    page.see_gone(refusal).await;
    filter(&page, "power:on").await;
    page.press("Take the filter away").await;
    see_rows(&page, &ALL).await;
    page.see("1–3 of 3").await;
    filter(&page, "srv-02").await;
    page.see("1–1 of 1").await;
    page.assert_quiet(&[("/api/v1/session", 401), ("/api/v1/servers", 422)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_stand_in_the_order_that_one_left_them_in() {
    let lab = Lab::start(1).await;
    let page = signed_in(&lab, "device-order").await;
    page.open("/devices").await;
    see_order(&page, ("Device", "ascending"), &["pdu-a", "pdu-b"]).await;
    page.press("Device").await;
    see_order(&page, ("Device", "descending"), &["pdu-b", "pdu-a"]).await;
    assert_eq!(page.query("sort").await, "-name");
    page.press("pdu-a").await;
    page.see_heading("pdu-a").await;
    page.chrome.back().await;
    see_order(&page, ("Device", "descending"), &["pdu-b", "pdu-a"]).await;
    filter(&page, "pdu-a").await;
    see_order(&page, ("Device", "descending"), &["pdu-a"]).await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_sorts_the_rows_both_ways_by_mouse_and_by_keyboard() {
    let lab = fleet().await;
    let page = signed_in(&lab, "sort").await;
    see_order(&page, ("Server", "ascending"), &ALL).await;
    page.press("Rack").await;
    see_order(&page, ("Rack", "ascending"), &["srv-02", "srv-03", "srv-01"]).await;
    assert_eq!(page.query("sort").await, "rack");
    page.press("Rack").await;
    see_order(&page, ("Rack", "descending"), &["srv-01", "srv-03", "srv-02"]).await;
    assert_eq!(page.query("sort").await, "-rack");
    page.chrome.reload().await;
    see_order(&page, ("Rack", "descending"), &["srv-01", "srv-03", "srv-02"]).await;
    page.chrome.back().await;
    see_order(&page, ("Rack", "ascending"), &["srv-02", "srv-03", "srv-01"]).await;
    assert_eq!(page.query("sort").await, "rack");

    // Filter and order do not forget each other.
    filter(&page, "tag:db").await;
    see_order(&page, ("Rack", "ascending"), &["srv-02", "srv-03"]).await;
    assert_eq!(page.query("sort").await, "rack");
    page.tab_to("State").await;
    page.keys(&[ENTER]).await;
    see_order(&page, ("State", "ascending"), &["srv-02", "srv-03"]).await;
    page.see_focus("State").await;
    page.keys(&[SPACE]).await;
    see_order(&page, ("State", "descending"), &["srv-03", "srv-02"]).await;
    page.see_focus("State").await;
    assert_eq!((page.query("sort").await, page.query("q").await), ("-state".into(), "tag:db".into()));
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_are_turned_page_by_page_and_another_order_or_filter_begins_at_the_first() {
    let lab = Lab::bare(1).await;
    let names: Vec<String> = (1..=101).map(|number| format!("srv-{number:03}")).collect();
    for name in &names {
        lab.post("/servers", &json!({"name": name})).await.ok();
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let page = signed_in(&lab, "pager").await;
    see_part(&page, "1–50 of 101", &names[..50], &["Next page"]).await;
    page.press("Next page").await;
    see_part(&page, "51–100 of 101", &names[50..100], &["Previous page", "Next page"]).await;
    page.press("Next page").await;
    see_part(&page, "101–101 of 101", &names[100..], &["Previous page"]).await;
    page.show("last").await;
    page.press("Previous page").await;
    see_part(&page, "51–100 of 101", &names[50..100], &["Previous page", "Next page"]).await;
    page.press("Previous page").await;
    see_part(&page, "1–50 of 101", &names[..50], &["Next page"]).await;

    page.press("Next page").await;
    see_rows(&page, &names[50..100]).await;
    page.press("Server").await;
    let names: Vec<&str> = names.into_iter().rev().collect();
    see_order(&page, ("Server", "descending"), &names[..50]).await;
    see_part(&page, "1–50 of 101", &names[..50], &["Next page"]).await;
    page.press("Next page").await;
    see_rows(&page, &names[50..100]).await;
    // Who comes back stands where they left.
    let there = ["Previous page", "Next page"];
    page.press(names[60]).await;
    page.see_heading(names[60]).await;
    page.chrome.back().await;
    see_part(&page, "51–100 of 101", &names[50..100], &there).await;
    page.chrome.reload().await;
    see_part(&page, "51–100 of 101", &names[50..100], &there).await;
    filter(&page, "srv-10").await;
    see_part(&page, "1–2", &["srv-101", "srv-100"], &[]).await;
    page.chrome.back().await;
    see_part(&page, "51–100 of 101", &names[50..100], &there).await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ticked_servers_are_switched_once_it_is_said_what_happens_to_how_many() {
    let lab = Lab::start(4).await;
    let maintenance = json!({"maintenance": true});
    lab.patch(&format!("/servers/{}", lab.id("srv-03")), &maintenance).await.ok();
    let offs = |server: &str| lab.machine(server).count(&EffectKind::PoweredOff);
    let servers = ["srv-01", "srv-02", "srv-03", "srv-04"];
    let before = servers.map(offs);
    let page = signed_in(&lab, "bulk").await;
    tick_three(&page).await;

    see_plan(&lab, &page).await;
    page.show("plan").await;
    page.press("Cancel").await;
    page.see_gone("Force off 3 servers").await;
    assert_eq!(power_jobs(&lab).await, Vec::<Value>::new(), "nothing is done before it is confirmed");

    see_plan(&lab, &page).await;
    page.press("Force off 2 servers").await;
    page.see("2 started").await;
    page.show("started").await;
    page.press("Close").await;
    let mut switched = Vec::new();
    for job in power_jobs(&lab).await {
        let job = lab.finish(job["id"].as_str().unwrap()).await;
        assert_eq!(state(&job), ("succeeded", "done"), "{job:#}");
        switched.push(job["title"].as_str().unwrap().to_owned());
    }
    switched.sort();
    assert_eq!(switched, ["Force off srv-01", "Force off srv-02"]);
    let [one, two, three, four] = before;
    assert_eq!(servers.map(offs), [one + 1, two + 1, three, four]);
    assert_eq!(servers.map(|server| lab.feed_changes(server)), [0; 4]);

    filter(&page, "state:off").await;
    see_rows(&page, &["srv-01", "srv-02"]).await;
    see_ticked(&page, &["srv-01", "srv-02"]).await;
    page.see("3 selected").await;
    page.keys(&[ESCAPE]).await;
    page.see_gone("3 selected").await;
    see_ticked(&page, &[]).await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

/// One row by its own box, all by the box in the head, and one of them no more.
async fn tick_three(page: &Page) {
    see_rows(page, &["srv-01", "srv-02", "srv-03", "srv-04"]).await;
    page.tick("Select srv-02").await;
    page.see("1 selected").await;
    see_ticked(page, &["srv-02"]).await;
    page.tick("Select all on this page").await;
    page.see("4 selected").await;
    see_ticked(page, &["srv-01", "srv-02", "srv-03", "srv-04"]).await;
    page.tick("Select srv-04").await;
    page.see("3 selected").await;
    see_ticked(page, &["srv-01", "srv-02", "srv-03"]).await;
    page.show("ticked").await;
}

/// Opens the window of a forced off; it tells of each ticked server what the backend would do, and of no other.
async fn see_plan(lab: &Lab, page: &Page) {
    page.press("Power").await;
    page.press("Force off").await;
    page.see("Force off 3 servers").await;
    page.see("The server is in maintenance.").await;
    // The button counts those that can be switched.
    page.see("Force off 2 servers").await;
    let said = page.words_in_front().await;
    assert!(said.contains("unsaved data is lost"), "{said}");
    for server in ["srv-01", "srv-02"] {
        let path = format!("/servers/{}/power/plan?action=off&via=auto", lab.id(server));
        let plan = lab.get(&path).await.ok();
        let steps = plan["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap());
        let steps: Vec<&str> = steps.collect();
        assert!(!steps.is_empty(), "{plan:#}");
        let fallback = plan["fallback"].as_str().unwrap();
        for words in [server, &steps.join(" "), fallback] {
            assert!(said.contains(words), "“{words}” is not said: {said}");
        }
    }
    assert!(said.contains("srv-03") && !said.contains("srv-04"), "{said}");
}

async fn power_jobs(lab: &Lab) -> Vec<Value> {
    lab.get("/jobs?q=kind:power&limit=50").await.ok()["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_kept_under_a_name_until_it_is_forgotten() {
    let lab = listed().await;
    let page = signed_in(&lab, "saved").await;
    filter(&page, "srv-02").await;
    see_rows(&page, &["srv-02"]).await;
    press_saved(&page, "Save this filter").await;
    page.fill("Name", "Second one").await;
    page.show("save").await;
    page.press("Save").await;
    let kept = json!([{"name": "Second one", "q": "srv-02"}]);
    see_kept(&lab, &kept).await;

    page.open("/servers").await;
    see_rows(&page, &ALL).await;
    page.chrome.reload().await;
    see_rows(&page, &ALL).await;
    press_saved(&page, "Second one").await;
    see_rows(&page, &["srv-02"]).await;
    assert_eq!(page.query("q").await, "srv-02");

    press_saved(&page, "Forget this filter").await;
    see_kept(&lab, &json!([])).await;
    page.press("Undo").await;
    see_kept(&lab, &kept).await;
    press_saved(&page, "Forget this filter").await;
    see_kept(&lab, &json!([])).await;
    page.open("/servers").await;
    see_rows(&page, &ALL).await;
    press_saved(&page, "Nothing saved yet").await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

/// Presses a verb of the saved filters. The menu shows what had arrived when it was opened, so it is opened
/// until the verb is there.
async fn press_saved(page: &Page, verb: &str) {
    let item = format!(".//*[@role='menuitem'][starts-with(normalize-space(.), '{verb}')]");
    page.until(&format!("press “{verb}” of the saved filters"), async || {
        let (found, what) = match page.only(&item).await {
            Ok(item) => (item, Ok(())),
            Err(why) => (page.only(".//button[normalize-space(.)='Saved']").await?, Err(why)),
        };
        page.chrome.click(&found).await.map_err(|refusal| refusal.0)?;
        what
    })
    .await;
}

/// Waits until the server keeps these filters.
async fn see_kept(lab: &Lab, filters: &Value) {
    let what = format!("the kept filters are {filters}");
    let kept = async |lab: &Lab| lab.get("/settings").await.ok()["user"]["saved_filters"].clone();
    lab.wait_until(&what, async |lab: &Lab| kept(lab).await == *filters).await;
}

/// Types what narrows the rows further.
async fn filter(page: &Page, text: &str) {
    page.fill("Add a filter", text).await;
    page.keys(&[ENTER]).await;
}

/// Waits until these rows stand there in this order, and no other.
async fn see_rows(page: &Page, names: &[&str]) {
    see_list(page, "rows", ROWS, &json!(names)).await;
}

/// Waits until these rows stand there, are called this part of all, and these arrows lead away from them.
async fn see_part(page: &Page, part: &str, names: &[&str], arrows: &[&str]) {
    see_rows(page, names).await;
    page.see(part).await;
    see_list(page, "arrows", ARROWS, &json!(arrows)).await;
}

/// Waits until the boxes of these rows are ticked, and no other.
async fn see_ticked(page: &Page, names: &[&str]) {
    see_list(page, "ticked rows", TICKED, &json!(names)).await;
}

/// Waits until one head says that the rows stand in its order, and they do.
async fn see_order(page: &Page, (column, direction): (&str, &str), names: &[&str]) {
    see_list(page, "order", ORDER, &json!([[column, direction]])).await;
    see_rows(page, names).await;
}

async fn see_list(page: &Page, what: &str, script: &str, wanted: &Value) {
    page.until(&format!("see the {what} {wanted}"), async || {
        let shown = page.chrome.run(script, json!([])).await;
        if shown == *wanted { Ok(()) } else { Err(format!("there is {shown}")) }
    })
    .await;
}

/// Three servers in other racks, two of them on one site and two with one tag; the second is off.
async fn fleet() -> Lab {
    let lab = Lab::start(3).await;
    let site = json!({"name": "Frankfurt 2", "time_zone": "Europe/Berlin"});
    let site = lab.post("/sites", &site).await.ok()["id"].clone();
    for (server, place) in [
        ("srv-01", json!({"rack": "C9", "site_id": site})),
        ("srv-02", json!({"rack": "A1", "tags": ["db"]})),
        ("srv-03", json!({"rack": "B5", "site_id": site, "tags": ["db", "spare"]})),
    ] {
        lab.patch(&format!("/servers/{}", lab.id(server)), &place).await.ok();
    }
    let job = lab.power("srv-02", json!({"action": "off"})).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
    let tally = async |lab: &Lab| lab.get("/servers/tally").await.ok();
    lab.wait_until("one of three is off", async |lab: &Lab| {
        let tally = tally(lab).await;
        (tally["on"].as_u64(), tally["off"].as_u64()) == (Some(2), Some(1))
    })
    .await;
    lab
}

/// Three servers that nothing controls.
async fn listed() -> Lab {
    let lab = Lab::bare(1).await;
    for name in ALL {
        lab.post("/servers", &json!({"name": name})).await.ok();
    }
    lab
}
