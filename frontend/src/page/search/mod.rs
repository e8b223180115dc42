//! Search over everything: loads what the palette shows.

use gloo_timers::future::TimeoutFuture;
use leptos::{ev, prelude::*, task::spawn_local};
use rackhand_wire::api::{
    problem::Problem,
    search::{Hit, HitKind, SearchResult},
};
use wasm_bindgen::JsCast;

use crate::{
    api, json,
    page::activity::outcome,
    part::palette::{Entry, Palette},
    route,
};

/// Waits for a pause in typing.
const PAUSE_MS: u32 = 120;
/// How many hits are shown.
const LIMIT: usize = 12;

const PAGES: [(&str, &str, &str); 11] = [
    ("Servers", "server", "/servers"),
    ("Servers that need attention", "warning", "/servers?q=flag:attention"),
    ("Network devices", "network", "/devices"),
    ("Agents", "agent", "/agents"),
    ("Activity", "clock", "/activity"),
    ("Jobs", "clock", "/activity/jobs"),
    ("Audit", "shield", "/activity/audit"),
    ("Settings", "settings", "/settings"),
    ("Sites", "settings", "/settings/sites"),
    ("Users", "settings", "/settings/users"),
    ("API tokens", "key", "/settings/tokens"),
];

/// The palette with its keys: Ctrl-K anywhere, `/` outside of fields.
#[component]
pub fn SearchPalette(open: RwSignal<bool>) -> impl IntoView {
    let text = RwSignal::new(String::new());
    let hits = RwSignal::new(Vec::<Hit>::new());
    let waiting = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    let keys = window_event_listener(ev::keydown, move |event| {
        let palette = event.key() == "k" && (event.ctrl_key() || event.meta_key());
        let slash = event.key() == "/" && !event.ctrl_key() && !event.alt_key() && !is_typing(&event);
        if palette || slash {
            event.prevent_default();
            open.set(true);
        }
    });
    on_cleanup(move || keys.remove());
    Effect::new(move |_| {
        if !open.get() {
            text.set(String::new());
        }
    });
    Effect::new(move |_| {
        let asked = text.get();
        let is_asked = !asked.trim().is_empty();
        waiting.set(is_asked);
        problem.set(None);
        if !is_asked {
            hits.set(Vec::new());
            return;
        }
        spawn_local(async move {
            TimeoutFuture::new(PAUSE_MS).await;
            let current = || text.try_get_untracked().as_deref() == Some(&asked);
            if !current() {
                return;
            }
            let path = format!("search?limit={LIMIT}&q={}", api::encode(asked.trim()));
            let found = api::get::<SearchResult>(&path).await;
            if !current() {
                return;
            }
            waiting.set(false);
            match found {
                Ok(found) => hits.set(found.hits),
                Err(failure) => {
                    hits.set(Vec::new());
                    problem.set(Some(failure));
                }
            }
        });
    });
    let entries = Signal::derive(move || entries(&text.get(), &hits.get()));
    // What was found for the letters before stands until the answer comes.
    let waiting = Signal::derive(move || waiting.get() && hits.with(Vec::is_empty));
    let again = Callback::new(move |()| text.update(|_| {}));
    let go = Callback::new(|href: String| route::go(&href));
    view! { <Palette open text entries waiting problem again on_go=go/> }
}

fn is_typing(event: &ev::KeyboardEvent) -> bool {
    event
        .target()
        .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
        .is_some_and(|element| element.matches("input, textarea, select, dialog *").unwrap_or(false))
}

/// Hits first, then the pages whose name fits.
fn entries(text: &str, hits: &[Hit]) -> Vec<Entry> {
    let wanted = text.trim().to_ascii_lowercase();
    let pages = PAGES.into_iter().filter(|(title, _, _)| title.to_ascii_lowercase().contains(&wanted)).map(
        |(title, icon, href)| Entry {
            group: "Pages",
            icon,
            title: title.to_owned(),
            subtitle: String::new(),
            power: None,
            flags: Vec::new(),
            href: href.to_owned(),
        },
    );
    // Same kinds stand together under one heading; the best kind stays first.
    let mut found: Vec<Entry> = Vec::new();
    // What is called exactly so comes first, whatever it is.
    let is_exact = |hit: &&Hit| hit.title.to_ascii_lowercase() == wanted;
    let (exact, others): (Vec<&Hit>, Vec<&Hit>) = hits.iter().partition(is_exact);
    for entry in exact.into_iter().chain(others).map(entry) {
        let last = found.iter().rposition(|other| other.group == entry.group);
        found.insert(last.map_or(found.len(), |last| last + 1), entry);
    }
    // Kinds share the room; of servers there may be more than a few.
    let servers = hits.iter().filter(|hit| matches!(hit.kind, HitKind::Server)).count();
    let more = (hits.len() >= LIMIT && servers > 1).then(|| Entry {
        group: "More",
        icon: "search",
        title: format!("All servers that fit “{}”", text.trim()),
        subtitle: String::new(),
        power: None,
        flags: Vec::new(),
        href: format!("/servers?q={}", api::encode(text.trim())),
    });
    found.into_iter().chain(more).chain(pages).collect()
}

fn entry(hit: &Hit) -> Entry {
    let id = &hit.id;
    let (group, icon, href) = match hit.kind {
        HitKind::Server => ("Servers", "server", format!("/servers/{id}")),
        HitKind::Endpoint => ("Devices", "network", format!("/devices/{id}")),
        HitKind::Agent => ("Agents", "agent", format!("/agents/{id}")),
        HitKind::Site => {
            ("Sites", "pin", format!("/servers?q={}", api::encode(&format!("site:\"{}\"", hit.title))))
        }
        HitKind::User => ("Users", "users", "/settings/users".to_owned()),
        HitKind::Job => ("Jobs", "activity", format!("/jobs/{id}")),
    };
    // Jobs tell their state as the API names it.
    let state = json::read(&format!("\"{}\"", hit.subtitle)).ok().filter(|_| hit.kind == HitKind::Job);
    let subtitle = state.map_or_else(|| hit.subtitle.clone(), |state| outcome(state).2.to_owned());
    Entry {
        group,
        icon,
        title: hit.title.clone(),
        subtitle,
        power: hit.power,
        flags: hit.flags.clone(),
        href,
    }
}
