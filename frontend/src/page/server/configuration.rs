//! The connections of the server, its settings, its removal.

use gloo_net::http::Method;
use leptos::{prelude::*, task::spawn_local};
use rackhand_wire::{
    Role,
    api::{
        connection::Connection,
        endpoint::{ChangeEndpoint, Endpoint},
        page::Page,
        server::ChangeServer,
    },
};

use super::{
    Scene,
    callouts::patch,
    edit::{EditServer, nothing},
    edit_connection::EditConnection,
    overview::or_dash,
};
use crate::{
    api,
    draw::live,
    held::Held,
    load::faces,
    page::confirm::{Confirm, Deed},
    part::{
        button::{Button, Kind, Size},
        callout::ProblemNote,
        card::Card,
        connection_card::ConnectionCard,
        dialog::{Dialog, Side},
        empty::Empty,
        facts::fact,
        field::CheckField,
        menu::{Item, Menu},
        skeleton::Skeleton,
        table::follow,
        toast,
    },
    route,
};

/// Draws the tab.
#[component]
pub fn Configuration(scene: Scene) -> impl IntoView {
    let editing = RwSignal::new(None::<Connection>);
    let removing = RwSignal::new(None::<Deed>);
    let add = Callback::new(move |()| scene.adding.set(true));
    let shape = || view! { <Skeleton lines=4/> }.into_any();
    let draw = move |page: Held<Page<Connection>>| {
        let none = move || {
            page.with(|page| page.items.is_empty()).then(|| view! {
                <div class="card">
                    <Empty icon="link" title="No connection yet" text="Connect the BMC first, then the outlets that feed the server.">
                        <Button label="Add connection".to_owned() kind=Kind::Primary icon="plus" refusal=Signal::derive(crate::live::refusal) on_click=add/>
                    </Empty>
                </div>
            })
        };
        view! {
            <div class="cards">
                {follow(
                    move || in_order(page.get().items),
                    |connection: &Connection| connection.id,
                    move |_, connection| one(connection, scene, editing, removing),
                )}
            </div>
            {live(none)}
        }
        .into_any()
    };
    view! {
        <div class="row">
            <h2>"Connections"</h2>
            {live(move || scene.server.with(|server| server.only_agent.clone()).map(|only| view! {
                <span class="meta">"Only agent " <a href=format!("/agents/{}", only.id)>{only.name}</a> " reaches this server."</span>
            }))}
            <span class="meta only-wide">"Controllers are tried first, in this order; all outlets are one group behind them"</span>
            <span class="push"></span>
            <Button label="Add connection".to_owned() kind=Kind::Primary icon="plus" refusal=Signal::derive(crate::live::refusal) on_click=add/>
        </div>
        {faces(scene.connections, shape, draw)}
        <Settings scene/>
        <EditConnection scene editing/>
        <Confirm asked=removing on_done=Callback::new(move |()| {
            toast::done("Connection removed");
            scene.again.try_run(());
        })/>
    }
}

/// As they are tried: controllers before feeds.
fn in_order(connections: Vec<Connection>) -> Vec<Connection> {
    let (mut all, feeds): (Vec<_>, Vec<_>) =
        connections.into_iter().partition(|connection| connection.role == Role::Controller);
    all.extend(feeds);
    all
}

fn one(
    connection: Held<Connection>,
    scene: Scene,
    editing: RwSignal<Option<Connection>>,
    removing: RwSignal<Option<Deed>>,
) -> AnyView {
    let label =
        Signal::derive(move || connection.with(|connection| format!("Actions for {}", connection.label)));
    let items = move || {
        let accept = move || connection.with_untracked(|connection| accept_identity(connection, scene));
        let remove = move || removing.set(Some(connection.with_untracked(|gone| removal(gone, scene))));
        vec![
            Item::new("Change", "pencil", move || editing.set(Some(connection.get_untracked()))),
            Item::new("Accept the identity", "shield", accept)
                .help("After the device was replaced: the one that answers now is trusted"),
            Item::new("Remove", "trash", remove).caution(),
        ]
    };
    view! {
        <ConnectionCard connection>
            <Menu label small="sm" items/>
        </ConnectionCard>
    }
    .into_any()
}

fn accept_identity(connection: &Connection, scene: Scene) {
    let path = format!("endpoints/{}", connection.endpoint_id);
    let body = ChangeEndpoint {
        name: None,
        agent_id: None,
        agent_group: None,
        params: None,
        secrets: std::collections::BTreeMap::new(),
        accept_identity: true,
        version: None,
    };
    spawn_local(async move {
        match api::patch::<_, Endpoint>(&path, &body).await {
            Ok(_) => {
                toast::done("The device that answers at the next look is trusted");
                scene.again.try_run(());
            }
            Err(problem) => toast::failed(&problem),
        }
    });
}

/// Says what is lost with a connection.
fn removal(connection: &Connection, scene: Scene) -> Deed {
    let consequence = match connection.role {
        Role::Controller => {
            "Its address and credentials are forgotten, and the state of the machine can no longer be read through it."
        }
        Role::Feed => {
            "The device itself stays. Falling back to the outlets is off until someone confirms again that the rest feed all supplies."
        }
    };
    let path = scene.path(&format!("/connections/{}", connection.id));
    Deed::remove(&connection.label, consequence, path)
}

#[component]
fn Settings(scene: Scene) -> impl IntoView {
    let server = scene.server;
    let editing = RwSignal::new(false);
    let removing = RwSignal::new(false);
    let flag = move |read: fn(&rackhand_wire::api::server::Server) -> bool,
                     change: fn(bool) -> ChangeServer| {
        let value = RwSignal::new(server.with_untracked(read));
        Effect::new(move |_| value.set(server.with(read)));
        Effect::new(move |before: Option<bool>| {
            let now = value.get();
            if before.is_some() && server.with_untracked(read) != now {
                patch(scene, change(now), move || {
                    if let Some(kept) = server.try_with_untracked(read) {
                        value.try_set(kept);
                    }
                });
            }
            now
        });
        value
    };
    let maintenance =
        flag(|server| server.maintenance, |on| ChangeServer { maintenance: Some(on), ..nothing() });
    let fallback =
        flag(|server| server.fallback_enabled, |on| ChangeServer { fallback_enabled: Some(on), ..nothing() });
    let complete =
        flag(|server| server.feeds_complete, |on| ChangeServer { feeds_complete: Some(on), ..nothing() });
    let edit = move || {
        let show = Callback::new(move |()| editing.set(true));
        view! { <Button label="Change".to_owned() size=Size::Small icon="pencil" on_click=show/> }
    };
    let facts = move || {
        let server = server.get();
        view! {
            <dl class="facts">
                {fact("Name", server.name)}
                {fact("Rack", or_dash(server.rack))}
                {fact("Site", or_dash(server.site_name.unwrap_or_default()))}
                {fact("Tags", or_dash(server.tags.join(", ")))}
                {fact("Notes", or_dash(server.notes))}
            </dl>
        }
    };
    view! {
        <Card title="Settings" actions=edit>
            <div class="card-body stack">
                {live(facts)}
                <CheckField label="The connected outlets feed all power supplies" name="feeds_complete" value=complete help="Without it Force off and Power cycle cannot fall back: a supply that is not listed would keep the machine running."/>
                <CheckField label="Fall back to the outlets when the BMC cannot be reached" name="fallback_enabled" value=fallback help="Only when nothing was delivered, and never for Shut down or Reset."/>
                <CheckField label="Under maintenance" name="maintenance" value=maintenance help="Power actions are refused while someone works on the machine."/>
            </div>
            <footer class="card-foot">
                <span>"Removing the server forgets its connections; its audit records stay."</span>
                <span class="push"></span>
                <Button label="Remove server".to_owned() kind=Kind::Caution icon="trash" on_click=Callback::new(move |()| removing.set(true))/>
            </footer>
        </Card>
        <EditServer scene open=editing/>
        <RemoveServer scene open=removing/>
    }
}

#[component]
fn RemoveServer(scene: Scene, open: RwSignal<bool>) -> impl IntoView {
    let submit = crate::form::Submit::new();
    let typed = RwSignal::new(String::new());
    let name = Memo::new(move |_| scene.server.with(|server| server.name.clone()));
    let refusal = Signal::derive(move || {
        (typed.get() != name.get()).then(|| "Type the name of the server first.".to_owned())
    });
    let go = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let path = scene.path("");
        submit.ask(Method::DELETE, path, move || {
            open.try_set(false);
            toast::done("Server removed");
            route::go("/servers");
        });
    };
    let title = Signal::derive(move || format!("Remove {}", name.get()));
    view! {
        <Dialog open title side=Side::Narrow busy=submit.busy>
            <form on:submit=go>
                <div class="dialog-body">
                    <p>"The machine keeps running. Rackhand forgets it, its connections and the credentials of its BMC."</p>
                    <crate::part::confirm_field::ConfirmField expected=name.get_untracked() typed/>
                    <ProblemNote problem=submit.problem/>
                </div>
                <footer class="dialog-foot">
                    <span class="push"></span>
                    <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
                    <Button label=title kind=Kind::Danger icon="trash" refusal busy=submit.busy/>
                </footer>
            </form>
        </Dialog>
    }
}
