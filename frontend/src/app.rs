//! Routes, and what stands around every page.

use leptos::prelude::*;
use rackhand_wire::api::{
    job::Job,
    live::Object,
    page::Page,
    server::Tally,
    settings::{Settings, Theme},
};

use crate::{
    draw, focus, live,
    load::load,
    page::{activity, agents, devices, gate, job, search, server, servers, settings},
    part::{
        button::Button,
        crumbs,
        empty::{Empty, Failed},
        page_head::PageHead,
        shell::{Around, Shell},
        toast::Toasts,
    },
    route,
    session::{self, State},
    theme, time,
};

/// The whole page.
#[component]
pub fn App() -> impl IntoView {
    time::start();
    route::start();
    focus::keep();
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
        {draw::live(draw)}
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

/// A page and what it is about. Another server is another page: nothing of the one before may be acted on.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    Start,
    Servers,
    Server(String),
    Job(String),
    Devices,
    Device(String),
    Agents,
    Agent(String),
    Activity,
    Settings,
    Nowhere,
}

impl Place {
    fn of(path: &str) -> Self {
        let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
        match *words.as_slice() {
            [] | ["setup"] => Self::Start,
            ["servers"] => Self::Servers,
            ["servers", id] | ["servers", id, _] => Self::Server(id.to_owned()),
            ["jobs", id] => Self::Job(id.to_owned()),
            ["devices"] => Self::Devices,
            ["devices", id] => Self::Device(id.to_owned()),
            ["agents"] => Self::Agents,
            ["agents", id] => Self::Agent(id.to_owned()),
            ["activity"] | ["activity", _] => Self::Activity,
            ["settings"] | ["settings", _] => Self::Settings,
            _ => Self::Nowhere,
        }
    }
}

#[component]
fn Pages() -> impl IntoView {
    let place = Memo::new(|_| Place::of(&route::path()));
    draw::live(move || match place.get() {
        Place::Start => {
            route::replace("/servers");
            ().into_any()
        }
        Place::Servers => view! { <servers::ServersPage/> }.into_any(),
        Place::Server(id) => view! { <server::ServerPage id/> }.into_any(),
        Place::Job(id) => view! { <job::JobPage id/> }.into_any(),
        Place::Devices => view! { <devices::DevicesPage/> }.into_any(),
        Place::Device(id) => view! { <devices::DevicePage id/> }.into_any(),
        Place::Agents => view! { <agents::AgentsPage/> }.into_any(),
        Place::Agent(id) => view! { <agents::AgentPage id/> }.into_any(),
        Place::Activity => view! { <activity::ActivityPage/> }.into_any(),
        Place::Settings => view! { <settings::SettingsPage/> }.into_any(),
        Place::Nowhere => view! { <NotFound/> }.into_any(),
    })
}

#[component]
fn NotFound() -> impl IntoView {
    crumbs::stand(|| (Vec::new(), "Not found".to_owned()));
    let home = Callback::new(|()| route::go("/servers"));
    view! {
        <PageHead title="There is no such page".to_owned()/>
        <div class="card">
            <Empty icon="search" title="Nothing stands at this address" text="It may be old or mistyped.">
                <Button label="Go to the servers".to_owned() on_click=home/>
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
