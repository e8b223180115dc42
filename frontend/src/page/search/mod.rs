//! Search over everything: loads what the palette shows.

use gloo_timers::future::TimeoutFuture;
use leptos::{ev, prelude::*, task::spawn_local};
use rackhand_wire::api::search::{Hit, HitKind, SearchResult};
use wasm_bindgen::JsCast;

use crate::{
    api,
    part::palette::{Entry, Palette},
    route,
};

/// Waits for a pause in typing.
const PAUSE_MS: u32 = 120;

const PAGES: [(&str, &str, &str); 8] = [
    ("Servers", "server", "/servers"),
    ("Servers that need attention", "warning", "/servers?q=flag:attention"),
    ("Network devices", "network", "/devices"),
    ("Agents", "agent", "/agents"),
    ("Activity", "clock", "/activity"),
    ("Audit", "shield", "/activity/audit"),
    ("Settings", "settings", "/settings"),
    ("API tokens", "key", "/settings/tokens"),
];

/// The palette with its keys: Ctrl-K anywhere, `/` outside of fields.
#[component]
pub fn SearchPalette(open: RwSignal<bool>) -> impl IntoView {
    let text = RwSignal::new(String::new());
    let hits = RwSignal::new(Vec::<Hit>::new());
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
            hits.set(Vec::new());
        }
    });
    Effect::new(move |_| {
        let asked = text.get();
        if asked.trim().is_empty() {
            hits.set(Vec::new());
            return;
        }
        spawn_local(async move {
            TimeoutFuture::new(PAUSE_MS).await;
            let current = || text.try_get_untracked().as_deref() == Some(&asked);
            if !current() {
                return;
            }
            let path = format!("search?limit=12&q={}", api::encode(asked.trim()));
            if let Ok(found) = api::get::<SearchResult>(&path).await
                && current()
            {
                hits.set(found.hits);
            }
        });
    });
    let entries = Signal::derive(move || entries(&text.get(), &hits.get()));
    let go = Callback::new(|href: String| route::go(&href));
    view! { <Palette open text entries on_go=go/> }
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
            href: href.to_owned(),
        },
    );
    // Same kinds stand together under one heading; the best kind stays first.
    let mut found: Vec<Entry> = Vec::new();
    for entry in hits.iter().map(entry) {
        let last = found.iter().rposition(|other| other.group == entry.group);
        found.insert(last.map_or(found.len(), |last| last + 1), entry);
    }
    found.into_iter().chain(pages).collect()
}

fn entry(hit: &Hit) -> Entry {
    let id = &hit.id;
    let (group, icon, href) = match hit.kind {
        HitKind::Server => ("Servers", "server", format!("/servers/{id}")),
        HitKind::Endpoint => ("Devices", "network", format!("/devices/{id}")),
        HitKind::Agent => ("Agents", "agent", "/agents".to_owned()),
        HitKind::Site => {
            ("Sites", "pin", format!("/servers?q={}", api::encode(&format!("site:\"{}\"", hit.title))))
        }
        HitKind::User => ("Users", "users", "/settings/users".to_owned()),
        HitKind::Job => ("Jobs", "activity", format!("/jobs/{id}")),
    };
    Entry { group, icon, title: hit.title.clone(), subtitle: hit.subtitle.clone(), power: hit.power, href }
}
