//! Routes, and what stands around every page.

use leptos::prelude::*;
use leptos_router::{
    components::{FlatRoutes, Redirect, Route, Router},
    hooks::use_navigate,
    path,
};
use rackhand_wire::api::{
    job::Job,
    live::Object,
    page::Page,
    server::Tally,
    settings::{Settings, Theme},
};

use crate::{
    live,
    load::load,
    page::{activity, agents, devices, gate, job, search, server, servers, settings},
    part::{
        empty::{Empty, Failed},
        shell::{Around, Shell},
        toast::Toasts,
    },
    session::{self, State},
    theme, time,
};

/// The whole page.
#[component]
pub fn App() -> impl IntoView {
    time::start();
    let state = session::start();
    // Another name or token alone must not build the page anew.
    let kind = Memo::new(move |_| std::mem::discriminant(&state.get()));
    let draw = move || {
        kind.with(|_| ());
        match state.get_untracked() {
            State::Asking => ().into_any(),
            State::Failed(problem) => {
                let again = Callback::new(move |()| session::ask(state));
                view! { <main class="page"><Failed problem again/></main> }.into_any()
            }
            State::SetUp => view! { <gate::set_up::SetUpPage/> }.into_any(),
            State::Out => view! { <gate::sign_in::SignInPage/> }.into_any(),
            State::In(session) => view! { <Inside user=session.user.name/> }.into_any(),
        }
    };
    view! {
        <Router>{draw}</Router>
        <Toasts/>
    }
}

/// Everything that a signed-in person sees.
#[component]
fn Inside(user: String) -> impl IntoView {
    let connected = live::start();
    on_cleanup(live::stop);
    let dark = RwSignal::new(theme::is_dark());
    let settings =
        load::<Settings>(|| Some("settings".to_owned()), |change| change.object == Object::Settings);
    Effect::new(move |_| {
        if let Some(settings) = settings.value.get() {
            theme::apply(settings.user.theme);
            dark.set(theme::is_dark());
        }
    });
    let around = Around {
        user: Signal::derive(move || user.clone()),
        servers: server_count(),
        jobs: running_jobs(),
        connected: connected.into(),
        dark: dark.into(),
    };
    let switch = Callback::new(move |()| {
        let next = if theme::is_dark() { Theme::Light } else { Theme::Dark };
        theme::apply(next);
        dark.set(theme::is_dark());
        settings::remember_theme(settings.value.get_untracked(), next);
    });
    let found = RwSignal::new(false);
    view! {
        <Shell around search=found on_theme=switch on_sign_out=Callback::new(|()| session::sign_out())>
            <Pages/>
        </Shell>
        <search::SearchPalette open=found/>
    }
}

#[component]
fn Pages() -> impl IntoView {
    view! {
        <FlatRoutes fallback=NotFound>
            <Route path=path!("/") view=|| view! { <Redirect path="/servers"/> }/>
            <Route path=path!("/setup") view=|| view! { <Redirect path="/servers"/> }/>
            <Route path=path!("/servers") view=servers::ServersPage/>
            <Route path=path!("/servers/:id/:tab?") view=server::ServerPage/>
            <Route path=path!("/jobs/:id") view=job::JobPage/>
            <Route path=path!("/devices") view=devices::DevicesPage/>
            <Route path=path!("/devices/:id") view=devices::DevicePage/>
            <Route path=path!("/agents") view=agents::AgentsPage/>
            <Route path=path!("/activity/:tab?") view=activity::ActivityPage/>
            <Route path=path!("/settings/:tab?") view=settings::SettingsPage/>
        </FlatRoutes>
    }
}

#[component]
fn NotFound() -> impl IntoView {
    let go = use_navigate();
    let home = Callback::new(move |()| go("/servers", leptos_router::NavigateOptions::default()));
    view! {
        <div class="card">
            <Empty icon="search" title="There is no such page" text="The address may be old or mistyped.">
                <crate::part::button::Button label="Go to the servers".to_owned() on_click=home/>
            </Empty>
        </div>
    }
}

fn server_count() -> Signal<Option<u64>> {
    let tally = load::<Tally>(|| Some("servers/tally".to_owned()), |change| change.object == Object::Server);
    Signal::derive(move || tally.value.get().map(|tally| tally.total))
}

/// Counts the jobs under way; one alone is led to directly.
fn running_jobs() -> Signal<(usize, String)> {
    let running = load::<Page<Job>>(
        || Some("jobs?limit=50&q=state:running".to_owned()),
        |change| change.object == Object::Job,
    );
    Signal::derive(move || {
        let jobs = running.value.get().map(|page| page.items).unwrap_or_default();
        let href = match jobs.as_slice() {
            [only] => format!("/jobs/{}", only.id),
            _ => "/activity/jobs".to_owned(),
        };
        (jobs.len(), href)
    })
}
