//! Everything by keys alone: what has the focus is in sight and ringed, a window in front keeps the focus
//! inside, and whatever closes gives it back to what opened it.

use rackhand_tests::{Lab, PASSWORD, USER};
use serde_json::{Value, json};
use std::collections::BTreeSet;

use super::{fields::signed_in, page::Page, view::Width};

/// Takes the last letter, or the last token before an empty box, away.
pub const BACKSPACE: &str = "\u{e003}";
/// Presses what has the focus, or sends its form.
pub const ENTER: &str = "\u{e007}";
/// Closes what is in front.
pub const ESCAPE: &str = "\u{e00c}";
/// Presses what has the focus.
pub const SPACE: &str = " ";

const TAB: &str = "\u{e004}";
const SHIFT: &str = "\u{e008}";
const CONTROL: &str = "\u{e009}";
const END: &str = "\u{e010}";
const HOME: &str = "\u{e011}";
const UP: &str = "\u{e013}";
const DOWN: &str = "\u{e015}";

/// More than any page here has to stop at.
const STOPS: usize = 80;

/// What has the focus; nothing has it while it is with the browser itself, on the way round.
/// The box of a filter wears the ring of the input in it.
const FOCUS: &str = r"
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const front = [...document.querySelectorAll('dialog[open]')].at(-1);
    const words = one.getAttribute('aria-label') ?? one.labels?.[0]?.innerText ?? one.innerText;
    const box = one.getBoundingClientRect();
    const ringed = element => {
        const style = getComputedStyle(element);
        return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
    };
    return {
        name: words.trim().split('\n')[0].trim(),
        tag: one.localName,
        'in the window in front': !front || front.contains(one),
        'in sight': one.checkVisibility({visibilityProperty: true}) && box.width > 0 && box.height > 0
            && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth,
        'ringed': ringed(one) || ringed(one.parentElement),
    };";

/// The line of the palette that Enter would open.
const MARKED: &str = "
    const marked = document.activeElement?.getAttribute('aria-activedescendant');
    const line = marked && document.getElementById(marked);
    return line?.getAttribute('aria-selected') === 'true' ? line.innerText.trim() : '';";

impl Page {
    /// Presses Tab until what is called so has the focus; all that is passed must show that it has it.
    pub async fn tab_to(&self, name: &str) {
        let mut passed = Vec::new();
        for _ in 0..STOPS {
            self.keys(&[TAB]).await;
            let stop = self.stop().await;
            if stop.as_deref() == Some(name) {
                return;
            }
            passed.extend(stop);
        }
        self.take("failed").await;
        panic!("Tab does not reach “{name}”, only {passed:?}");
    }

    /// Waits until what is called so has the focus, and shows it.
    pub async fn see_focus(&self, name: &str) {
        self.until(&format!("see the focus on “{name}”"), async || {
            let focus = self.focus().await;
            let is_there = focus["name"] == name && focus["in the window in front"] == true;
            if is_there { Ok(()) } else { Err(format!("it is on {focus}")) }
        })
        .await;
        self.stop().await;
    }

    /// Waits until the keyboard goes on at the page itself.
    async fn see_focus_on_the_page(&self) {
        self.until("see the keyboard go on at the page", async || {
            let focus = self.focus().await;
            if focus["tag"] == "main" { Ok(()) } else { Err(format!("the focus is on {focus}")) }
        })
        .await;
    }

    /// Presses one key after the other.
    async fn write(&self, text: &str) {
        for key in text.chars() {
            self.keys(&[&key.to_string()]).await;
        }
    }

    /// The name of what has the focus, which must be within reach, in sight and ringed.
    async fn stop(&self) -> Option<String> {
        let focus = self.focus().await;
        let name = focus["name"].as_str()?.to_owned();
        for rule in ["in the window in front", "in sight", "ringed"] {
            if focus[rule] != true {
                self.take("failed").await;
                panic!("“{name}” has the focus but is not {rule}: {focus}");
            }
        }
        Some(name)
    }

    async fn focus(&self) -> Value {
        self.chrome.run(FOCUS, json!([])).await
    }

    /// Waits until the window in front holds the focus; then Tab and Shift-Tab reach all of these in it, and
    /// nothing behind it.
    async fn see_trapped(&self, names: &[&str]) {
        self.until("see the focus in the window", async || {
            let focus = self.focus().await;
            let is_open = !self.words_in_front().await.is_empty();
            let is_within = is_open && focus["in the window in front"] == true;
            if is_within { Ok(()) } else { Err(format!("it is on {focus}")) }
        })
        .await;
        for (way, keys) in [("Tab", &[TAB][..]), ("Shift-Tab", &[SHIFT, TAB])] {
            let mut reached = BTreeSet::new();
            // Once round at least, whatever else the window holds.
            for _ in 0..4 * names.len() {
                self.keys(keys).await;
                reached.extend(self.stop().await);
            }
            let missed: Vec<&&str> = names.iter().filter(|name| !reached.contains(**name)).collect();
            assert!(missed.is_empty(), "{way} does not reach {missed:?}, only {reached:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_reached_and_asked_for_power_by_keys_alone() {
    let lab = Lab::start(2).await;
    let page = Page::start(lab.backend.url(), "by-keys").await;
    page.open("/servers").await;
    page.see_heading("Sign in").await;
    page.see_focus("User name").await;
    page.write(USER).await;
    page.tab_to("Password").await;
    page.write(PASSWORD).await;
    page.keys(&[ENTER]).await;
    page.see_heading("Servers").await;
    page.see("srv-02").await;
    page.see_focus_on_the_page().await;

    page.tab_to("srv-01").await;
    for (key, name) in [(DOWN, "srv-02"), (UP, "srv-01"), (END, "srv-02"), (HOME, "srv-01")] {
        page.keys(&[key]).await;
        page.see_focus(name).await;
    }
    page.keys(&[ENTER]).await;
    page.see_heading("srv-01").await;
    page.see_focus_on_the_page().await;

    page.tab_to("Power cycle").await;
    page.keys(&[ENTER]).await;
    page.see("A softer way").await;
    page.see_trapped(&["Close", "Shut down instead", "Cancel", "Power cycle now"]).await;
    page.keys(&[ESCAPE]).await;
    page.see_focus("Power cycle").await;
    page.keys(&[SPACE]).await;
    page.see("A softer way").await;
    page.tab_to("Cancel").await;
    page.keys(&[SPACE]).await;
    page.see_focus("Power cycle").await;

    in_the_menu(&page).await;
    let jobs = lab.get("/jobs?q=kind:power").await.ok();
    assert_eq!(jobs["items"], json!([]), "a window that was closed has done nothing");
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_is_connected_by_keys_alone_past_what_is_refused_and_what_goes() {
    let lab = Lab::bare(1).await;
    let bmc = lab.farm.inventory().servers[0].bmc.clone();
    let server = lab.post("/servers", &json!({"name": "srv-01"})).await.ok();
    let page = signed_in(&lab, "connect-by-keys").await;
    page.open(&format!("/servers/{}/configuration", server["id"].as_str().unwrap())).await;
    page.tab_to("Add connection").await;
    page.keys(&[ENTER]).await;
    page.see_focus("Paste the BMC address").await;
    // What was typed goes, and so does the list below it: there is one thing that it can be.
    page.write("10.0.0.9").await;
    page.keys(&[ENTER]).await;
    page.see_focus("BMC address").await;
    page.see_filled("BMC address", "10.0.0.9").await;

    page.tab_to("Test").await;
    page.keys(&[ENTER]).await;
    page.see_refused("User", "is needed").await;
    page.see_focus("User").await;
    page.write(&bmc.user).await;
    page.fill("BMC address", &bmc.addr.ip().to_string()).await;
    page.tab_to("More settings").await;
    page.keys(&[ENTER]).await;
    page.fill("Port", &bmc.addr.port().to_string()).await;
    page.fill("Password", "not this one").await;
    page.tab_to("Test").await;
    page.keys(&[ENTER]).await;
    page.see("The password is wrong").await;
    page.show("refused").await;
    // What was found with another password is not true of this one.
    page.fill("Password", &bmc.password).await;
    page.see_gone("The password is wrong").await;
    page.tab_to("Test").await;
    page.keys(&[ENTER]).await;
    page.see("It answers: on").await;
    page.tab_to("Add connection").await;
    page.keys(&[ENTER]).await;
    page.see("Added:").await;
    // What opened the window said that nothing is connected, and is gone.
    page.see_focus_on_the_page().await;
    page.assert_quiet(&[("/api/v1/session", 401), ("endpoints/test", 422)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_servers_are_switched_by_keys_alone() {
    let lab = Lab::start(2).await;
    let page = signed_in(&lab, "bulk-by-keys").await;
    page.see("srv-02").await;
    page.tab_to("Select all on this page").await;
    page.keys(&[SPACE]).await;
    page.see("2 selected").await;
    page.tab_to("Power").await;
    page.keys(&[ENTER]).await;
    page.see_focus("On").await;
    page.keys(&[DOWN, DOWN, DOWN]).await;
    page.see_focus("Power cycle").await;
    page.keys(&[ENTER]).await;
    page.tab_to("Power cycle 2 servers").await;
    page.keys(&[ENTER]).await;
    page.see("2 started").await;
    // The button that started them is gone.
    page.see_focus("Close").await;
    page.keys(&[ENTER]).await;
    page.see_gone("2 started").await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

/// Arrows move through the verbs and round the ends; Escape gives the focus back, from the menu and from the
/// window that a verb opens.
async fn in_the_menu(page: &Page) {
    page.tab_to("More actions").await;
    page.keys(&[ENTER]).await;
    page.see_focus("Read all paths now").await;
    for (key, name) in [
        (DOWN, "Send NMI"),
        (DOWN, "Force via PDU"),
        (DOWN, "Read all paths now"),
        (UP, "Force via PDU"),
        (HOME, "Read all paths now"),
    ] {
        page.keys(&[key]).await;
        page.see_focus(name).await;
    }
    page.keys(&[ESCAPE]).await;
    page.see_focus("More actions").await;
    page.see_gone("Send NMI").await;

    page.keys(&[DOWN]).await;
    page.see_focus("Read all paths now").await;
    page.keys(&[END]).await;
    page.see_focus("Force via PDU").await;
    page.keys(&[ENTER]).await;
    page.see_focus("Name of the server").await;
    page.see_trapped(&["Close", "Name of the server", "Your password", "Cancel"]).await;
    page.keys(&[ESCAPE]).await;
    page.see_focus("More actions").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_palette_finds_a_server_opens_it_and_gives_the_focus_back() {
    let lab = Lab::bare(1).await;
    for name in ["srv-01", "srv-02", "spare-03"] {
        lab.post("/servers", &json!({"name": name})).await.ok();
    }
    let page = signed_in(&lab, "palette").await;
    page.see("spare-03").await;
    page.tab_to("srv-01").await;
    page.keys(&[CONTROL, "k"]).await;
    page.see_focus("Search").await;
    page.write("spare").await;
    see_marked(&page, "spare-03").await;
    page.keys(&[ESCAPE]).await;
    page.see_focus("srv-01").await;

    page.keys(&["/"]).await;
    page.see_focus("Search").await;
    // One letter is asked for once: no later answer moves the mark.
    page.write("0").await;
    see_marked(&page, "s").await;
    let first = page.chrome.run(MARKED, json!([])).await;
    page.keys(&[DOWN]).await;
    page.until("see the next line marked", async || {
        let marked = page.chrome.run(MARKED, json!([])).await;
        if marked != first && marked != "" { Ok(()) } else { Err(format!("{marked} is")) }
    })
    .await;
    page.keys(&[UP]).await;
    see_marked(&page, first.as_str().unwrap()).await;
    page.show("found").await;
    page.keys(&[ESCAPE]).await;

    page.see_focus("srv-01").await;
    page.keys(&[CONTROL, "k"]).await;
    page.see_focus("Search").await;
    page.write("sites").await;
    see_marked(&page, "Sites").await;
    page.keys(&[BACKSPACE; 5]).await;
    page.write("srv-02").await;
    see_marked(&page, "srv-02").await;
    page.keys(&[ENTER]).await;
    page.see_heading("srv-02").await;
    assert_eq!(page.words_in_front().await, "", "the palette has closed");
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phone_the_navigation_opens_and_closes_by_keys() {
    let lab = Lab::bare(1).await;
    let page = signed_in(&lab, "sheet").await;
    page.size(Width::Phone).await;
    page.tab_to("Open navigation").await;
    page.keys(&[ENTER]).await;
    page.see_focus("Servers").await;
    page.take("navigation-390").await;
    page.keys(&[ESCAPE]).await;
    page.see_focus("Open navigation").await;
    let is_open = "return document.querySelector('#nav').hasAttribute('data-open')";
    page.keys(&[ENTER]).await;
    page.see_focus("Servers").await;
    page.tab_to("Open navigation").await;
    assert_eq!(page.chrome.run(is_open, json!([])).await, false, "whoever goes on has left it");
    page.keys(&[ENTER]).await;
    page.see_focus("Servers").await;
    page.tab_to("Settings").await;
    page.keys(&[ENTER]).await;
    page.see_heading("Settings").await;
    assert_eq!(page.chrome.run(is_open, json!([])).await, false);
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_palette_opens_a_bmc_and_an_agent_at_pages_that_fit_them() {
    let lab = Lab::start(2).await;
    let page = signed_in(&lab, "palette-opens").await;
    page.keys(&[CONTROL, "k"]).await;
    page.see_focus("Search").await;
    page.write("BMC of srv-02").await;
    // Servers come first, so the device is the line below.
    page.press("BMC of srv-02").await;
    page.see_heading("BMC of srv-02").await;
    page.see("Show servers").await;
    let words = page.words().await;
    assert!(!words.contains("Outlet"), "a controller has none: {words}");
    page.show("bmc").await;
    page.press("Show servers").await;
    page.see_heading("Servers").await;
    page.see("srv-02").await;
    page.see_gone("srv-01").await;

    page.keys(&[CONTROL, "k"]).await;
    page.see_focus("Search").await;
    page.write("local-node1").await;
    see_marked(&page, "local-node1").await;
    page.keys(&[ENTER]).await;
    page.see_heading("local-node1").await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

/// Waits until the marked line of the palette begins so.
async fn see_marked(page: &Page, start: &str) {
    page.until(&format!("see “{start}” marked"), async || {
        let marked = page.chrome.run(MARKED, json!([])).await;
        let is_right = marked.as_str().is_some_and(|words| words.starts_with(start));
        if is_right { Ok(()) } else { Err(format!("{marked} is")) }
    })
    .await;
}
