//! One server: what it is, how sure that is, what can be done; its connections; what happened to it.

mod activity;
mod callouts;
mod configuration;
mod connect;
mod edit;
mod edit_connection;
mod force;
mod job_card;
mod overview;
pub mod power_dialog;
mod verbs;

use leptos::prelude::*;
use rackhand_wire::{
    api::{connection::Connection, live::Object, page::Page, server::Server},
    power::Confidence,
};

use crate::{
    draw::live,
    held::Held,
    load::{Load, faces, load},
    part::{
        badge::Badge,
        crumbs,
        page_head::PageHead,
        power_state::{PowerState, Shown},
        skeleton::Skeleton,
        tabs::{Tab, Tabs},
    },
    route,
};

/// The page of one server.
#[component]
pub fn ServerPage(id: String) -> impl IntoView {
    let base = format!("/servers/{id}");
    let tab = route::tab(&base);
    // "Add server" hands over the address of its BMC.
    let pasted = RwSignal::new(route::query(&base, "paste").get_untracked());
    let adding = RwSignal::new(pasted.with_untracked(|pasted| !pasted.is_empty()));
    let plain = format!("{base}/configuration");
    Effect::new(move |_| {
        // A page that is loaded again does not add it again.
        if adding.get_untracked() {
            route::replace(&plain);
        }
    });
    let concerns = |id: &str| {
        let id = id.to_owned();
        move |change: &rackhand_wire::api::live::Change| {
            change.object == Object::Agent || change.object == Object::Server && change.id == id
        }
    };
    let path = format!("servers/{id}");
    let server = {
        let path = path.clone();
        load::<Server>(move || Some(path.clone()), concerns(&id))
    };
    let connections =
        load::<Page<Connection>>(move || Some(format!("{path}/connections?limit=500")), concerns(&id));
    let again = Callback::new(move |()| {
        server.again.run(());
        connections.again.run(());
    });
    let shape = || view! { <Skeleton lines=3/> <Skeleton/> }.into_any();
    faces(server, shape, move |server| {
        let scene = Scene { server, connections, again, adding, pasted };
        view! { <Filled scene tab/> }.into_any()
    })
}

/// What the tabs work with.
#[derive(Clone, Copy)]
pub struct Scene {
    /// The server.
    pub server: Held<Server>,
    /// Its connections.
    pub connections: Load<Page<Connection>>,
    /// Fetches both again.
    pub again: Callback<()>,
    /// The drawer that adds a connection.
    pub adding: RwSignal<bool>,
    /// An address that shall be recognised when that drawer opens next; empty for none.
    pub pasted: RwSignal<String>,
}

impl Scene {
    /// The path of the server below the API, with `rest` behind it.
    pub fn path(self, rest: &str) -> String {
        format!("servers/{}{rest}", self.server.with_untracked(|server| server.id))
    }
}

#[component]
fn Filled(scene: Scene, tab: Memo<String>) -> impl IntoView {
    let server = scene.server;
    let name = Memo::new(move |_| server.with(|server| server.name.clone()));
    let base = move || server.with(|server| format!("/servers/{}", server.id));
    crumbs::stand(move || {
        let servers = ("Servers".to_owned(), "/servers".to_owned());
        match tab.get().as_str() {
            "configuration" => (vec![servers, (name.get(), base())], "Configuration".to_owned()),
            "activity" => (vec![servers, (name.get(), base())], "Activity".to_owned()),
            _ => (vec![servers], name.get()),
        }
    });
    let tabs = Signal::derive(move || {
        let count = scene.connections.value.with(|page| page.as_ref().map(|page| page.items.len() as u64));
        let tab = |label, rest: &str, count| Tab { label, href: format!("{}{rest}", base()), count };
        vec![
            tab("Overview", "", None),
            tab("Configuration", "/configuration", count),
            tab("Activity", "/activity", None),
        ]
    });
    let content = move || match tab.get().as_str() {
        "configuration" => view! { <configuration::Configuration scene/> }.into_any(),
        "activity" => {
            view! { <activity::Activity server=server.with_untracked(|server| server.id)/> }.into_any()
        }
        _ => view! { <overview::Overview scene/> }.into_any(),
    };
    view! {
        <PageHead title=name state=move || beside_title(server)>
            <verbs::Verbs scene/>
        </PageHead>
        <Tabs label=name.get_untracked() tabs/>
        <callouts::Callouts scene/>
        {live(content)}
        <connect::AddConnection scene/>
    }
}

/// What the chip draws of a server.
pub fn shown(server: &Server) -> Shown {
    Shown {
        value: server.power.value,
        confidence: server.power.confidence,
        unsure: server.power.confidence == Confidence::Low
            || server.power.paths.iter().any(|path| path.agent_away),
        flags: server.power.flags.clone(),
        checked_at: server.power.checked_at,
        in_job: server.active_job_id.is_some(),
    }
}

fn beside_title(server: Held<Server>) -> impl IntoView {
    let tags = move || {
        server
            .with(|server| server.tags.clone())
            .into_iter()
            .map(|tag| view! { <Badge text=tag/> })
            .collect::<Vec<_>>()
    };
    view! {
        <PowerState shown=Signal::derive(move || server.with(shown)) large=true/>
        {live(tags)}
    }
}
