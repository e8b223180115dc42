//! The frame around every page: navigation at the side, the bar at the top.

use crate::draw::live;
use leptos::{ev::FocusEvent, prelude::*};
use std::time::Duration;
use wasm_bindgen::JsCast;
use web_sys::{EventTarget, Node};

use crate::{focus, route};

use super::{
    Tone, avatar::Avatar, callout::Callout, crumbs::Crumbs, icon::Icon, icon_button::IconButton,
    search::Search,
};

/// A place that the navigation leads to.
#[derive(Debug, Clone, Copy)]
struct Place {
    label: &'static str,
    icon: &'static str,
    href: &'static str,
}

const FLEET: [Place; 2] = [
    Place { label: "Servers", icon: "server", href: "/servers" },
    Place { label: "Network devices", icon: "network", href: "/devices" },
];
const SITES: [Place; 1] = [Place { label: "Agents", icon: "agent", href: "/agents" }];
const WORK: [Place; 1] = [Place { label: "Activity", icon: "clock", href: "/activity" }];
const HOUSE: [Place; 1] = [Place { label: "Settings", icon: "settings", href: "/settings" }];

/// After this the sheet of the navigation stands.
const DRAWN: Duration = Duration::from_millis(50);

/// What the frame shows beside the page.
#[derive(Clone, Copy)]
pub struct Around {
    /// Name of the signed-in person.
    pub user: Signal<String>,
    /// How many servers there are.
    pub servers: Signal<Option<u64>>,
    /// How many jobs are under way, and where to look at them.
    pub jobs: Signal<(usize, String)>,
    /// Whether changes arrive live.
    pub connected: Signal<bool>,
    /// Whether the page is dark now.
    pub dark: Signal<bool>,
}

/// Draws the frame.
#[component]
pub fn Shell(
    around: Around,
    search: RwSignal<bool>,
    on_theme: Callback<()>,
    on_sign_out: Callback<()>,
    children: Children,
) -> impl IntoView {
    let open = RwSignal::new(false);
    let here = Memo::new(|_| route::path());
    Effect::new(move |_| {
        // Read, not only tracked: what nobody reads is never worked out and never changes.
        here.with(|_| ());
        open.set(false);
    });
    view! {
        <a class="skip" href="#main">"Skip to content"</a>
        <div class="shell">
            <SideBar around open on_sign_out/>
            <div>
                <TopBar around open search on_theme/>
                <main class="page" id="main" tabindex="-1">
                    {live(move || {
                        (!around.connected.get())
                            .then(|| {
                                view! {
                                    <Callout
                                        title="Not live"
                                        text="The connection to Rackhand is lost; what you see may be old. Trying again."
                                        tone=Tone::Degraded
                                    />
                                }
                            })
                    })}
                    {children()}
                </main>
            </div>
        </div>
    }
}

#[component]
fn SideBar(around: Around, open: RwSignal<bool>, on_sign_out: Callback<()>) -> impl IntoView {
    let servers = move || around.servers.get().map(|count| view! { <span class="count">{count}</span> });
    let none = || ();
    // On a narrow screen it is a sheet: the keyboard goes into it, and back to what opened it.
    Effect::new(move |_| {
        if open.get() {
            set_timeout(|| focus::lead_to("#nav .nav a"), DRAWN);
        }
    });
    let close = move || {
        if open.get_untracked() {
            open.set(false);
            focus::lead_to(".top > .only-narrow");
        }
    };
    view! {
        <aside
            class="side"
            id="nav"
            data-open=move || open.get().then_some("")
            on:keydown=move |event| if event.key() == "Escape" { close() }
            on:focusout=move |event| if leaves(&event) { open.set(false) }
        >
            <div class="brand">
                <a href="/servers" class="brand">
                    <Logo/>
                    "Rackhand"
                </a>
                <IconButton label="Close navigation".to_owned() icon="x" class="only-narrow push" on_click=close/>
            </div>
            <nav class="nav" aria-label="Fleet">
                <p class="nav-title">"Fleet"</p>
                {FLEET.map(|place| if place.href == "/servers" { link(place, servers).into_any() } else { link(place, none).into_any() })}
            </nav>
            <nav class="nav" aria-label="Sites">
                <p class="nav-title">"Sites"</p>
                {SITES.map(|place| link(place, none))}
            </nav>
            <nav class="nav" aria-label="Work">
                <p class="nav-title">"Work"</p>
                {WORK.map(|place| link(place, none))}
            </nav>
            <nav class="nav" aria-label="Installation">
                <p class="nav-title">"Installation"</p>
                {HOUSE.map(|place| link(place, none))}
            </nav>
            <div class="side-foot row">
                {live(move || view! { <Avatar name=around.user.get()/> })}
                <span class="cut flow">{live(move || around.user.get())}</span>
                <IconButton label="Sign out".to_owned() icon="logout" small="sm" on_click=move || on_sign_out.run(())/>
            </div>
        </aside>
        {live(move || open.get().then(|| view! { <div class="side-scrim" on:click=move |_| close()></div> }))}
    }
}

fn link<V: IntoView + 'static>(place: Place, count: impl Fn() -> V + Send + 'static) -> impl IntoView {
    let here = move || is_below(&route::path(), place.href).then_some("page");
    view! {
        <a href=place.href aria-current=here>
            <Icon name=place.icon/>
            <span>{place.label}</span>
            {live(count)}
        </a>
    }
}

/// Says whether the keyboard goes on outside.
fn leaves(event: &FocusEvent) -> bool {
    let node = |target: Option<EventTarget>| target.and_then(|target| target.dyn_into::<Node>().ok());
    let side = node(event.current_target());
    node(event.related_target()).is_some_and(|to| side.is_some_and(|side| !side.contains(Some(&to))))
}

fn is_below(path: &str, href: &str) -> bool {
    path.strip_prefix(href).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[component]
fn TopBar(
    around: Around,
    open: RwSignal<bool>,
    search: RwSignal<bool>,
    on_theme: Callback<()>,
) -> impl IntoView {
    let jobs = move || {
        let (count, href) = around.jobs.get();
        (count > 0).then(|| {
            let text = if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") };
            view! {
                <a href=href class="button only-wide" data-kind="quiet">
                    <Icon name="state-transition"/>
                    {text}
                </a>
            }
        })
    };
    view! {
        <header class="top">
            <IconButton label="Open navigation".to_owned() icon="menu" class="only-narrow" on_click=move || open.set(true)/>
            <Crumbs/>
            <Search open=search/>
            {live(jobs)}
            <IconButton
                label="Switch light or dark".to_owned()
                icon=Signal::derive(move || if around.dark.get() { "sun" } else { "moon" })
                on_click=move || on_theme.run(())
            />
        </header>
    }
}

/// The mark beside the name.
#[component]
pub fn Logo() -> impl IntoView {
    view! {
        <svg width="22" height="22" viewBox="0 0 22 22" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true">
            <path d="M3 5h11M3 11h16M3 17h7M18 5h1M14 17h5"></path>
        </svg>
    }
}
