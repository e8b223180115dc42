//! What the server is and how sure that is.

use leptos::prelude::*;
use rackhand_wire::{
    PowerAction, Role,
    api::{
        connection::Connection,
        job::Job,
        live::Object,
        page::Page,
        power::{PowerPlan, Via},
        server::Server,
    },
    power::{Confidence, PathEvidence, ServerPower},
};

use super::{
    Scene,
    job_card::JobCard,
    power_dialog::{Ask, plan_path},
    verbs,
};
use crate::{
    draw::live,
    held::Held,
    load::{faces, load},
    page::activity::job_line,
    part::{
        Tone,
        badge::Badge,
        card::Card,
        connection_card::status_badge,
        empty::Empty,
        evidence::{EvidenceTable, metered},
        facts::fact,
        feature_list::usable,
        icon::Icon,
        icon_button::IconButton,
        skeleton::Skeleton,
        table::follow,
    },
    time,
};

/// Draws the tab.
#[component]
pub fn Overview(scene: Scene) -> impl IntoView {
    let server = scene.server;
    let on = Ask { action: PowerAction::On, via: Via::Auto };
    let plan = load::<PowerPlan>(
        move || Some(plan_path(&server.get_untracked(), on)),
        move |change| {
            let is_own = || server.with_untracked(|server| change.id == server.id.to_string());
            change.object == Object::Settings || change.object == Object::Server && is_own()
        },
    )
    .value;
    // Why actions never fall back to the outlets; empty when they may.
    let refusal = Signal::derive(move || {
        plan.with(|plan| {
            let plan = plan?;
            Some(plan.fallback.clone().filter(|_| !plan.fallback_possible).unwrap_or_default())
        })
    });
    view! {
        <div class="columns">
            <div class="stack">
                <JobCard active=Signal::derive(move || server.with(|server| server.active_job_id))/>
                <Power scene refusal/>
                <Recent scene/>
            </div>
            <div class="stack">
                <About server refusal/>
                <Connections scene/>
            </div>
        </div>
    }
}

#[component]
fn Power(scene: Scene, refusal: Signal<Option<String>>) -> impl IntoView {
    let server = scene.server;
    let paths = Signal::derive(move || server.with(|server| server.power.paths.clone()));
    let head = move || {
        let server = server.get();
        let since = server.power.since.map(|since| format!("Since {}", time::moment(since)));
        let read = server
            .power
            .checked_at
            .map_or_else(|| "Never read".to_owned(), |at| format!("Read {} ago", time::age(at)));
        view! {
            {agreement(&server.power)}
            <span class="meta push only-wide" title=since>{read}</span>
        }
    };
    let rest = move || {
        let server = server.get();
        let none = server.power.paths.is_empty().then(|| {
            view! { <Empty icon="power" title="No path to its power" text="What can read or switch it appears here once connected."/> }
        });
        let metered = metered(&server.power).map(|why| view! { <p class="card-foot">{why}</p> });
        let order = refusal.get().and_then(|refusal| order(&server, refusal)).map(|order| {
            view! { <footer class="card-foot"><Icon name="shield"/><span class="flow">{order}</span></footer> }
        });
        view! {
            {none}
            {metered}
            {order}
        }
    };
    view! {
        <section class="card" aria-label="Power state">
            <header class="card-head">
                <h2>"Power state"</h2>
                {live(head)}
                <IconButton label="Read all paths now".to_owned() icon="refresh" small="sm" on_click=move || verbs::refresh(scene)/>
            </header>
            <EvidenceTable paths/>
            {live(rest)}
        </section>
    }
}

/// How many paths say the same.
fn agreement(power: &ServerPower) -> impl IntoView + use<> {
    let all = power.paths.len();
    let answers = |path: &&PathEvidence| {
        path.fault.is_none() && path.state.is_some() && !path.agent_away && !path.outdated
    };
    let answering = power.paths.iter().filter(answers).count();
    (all > 0).then(|| match power.confidence {
        Confidence::High => view! { <Badge text=format!("Confirmed, {answering} of {all} paths answer") tone=Tone::On icon="check"/> },
        Confidence::Medium => view! { <Badge text=format!("Likely, {answering} of {all} paths answer") tone=Tone::Degraded icon="warning"/> },
        Confidence::Low => view! { <Badge text=format!("Not confirmed, {answering} of {all} paths answer") tone=Tone::Unknown icon="state-unknown"/> },
    })
}

/// Which way an action goes, in a sentence.
fn order(server: &Server, refusal: String) -> Option<String> {
    let labels = |role| {
        let paths = server.power.paths.iter().filter(|path| path.role == role);
        paths.map(|path| path.label.as_str()).collect::<Vec<_>>().join(" + ")
    };
    let (controllers, feeds) = (labels(Role::Controller), labels(Role::Feed));
    match (controllers.is_empty(), feeds.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!(
            "Actions go through {controllers}. No outlet is connected, so there is no fallback."
        )),
        (true, false) => Some(format!("Actions go through {feeds}, switched together.")),
        (false, false) => {
            let fallback = match (refusal.is_empty(), server.feeds_complete) {
                (false, _) => refusal,
                (true, true) => {
                    format!("Only if that is unreachable they go through {feeds}, switched together.")
                }
                (true, false) => {
                    format!(
                        "If that is unreachable, {feeds} may be switched on, but not cut before someone confirms that they feed all supplies."
                    )
                }
            };
            Some(format!("Actions go through {controllers}. {fallback}"))
        }
    }
}

#[component]
fn Recent(scene: Scene) -> impl IntoView {
    let id = scene.server.with_untracked(|server| server.id);
    let jobs = load::<Page<Job>>(
        move || Some(format!("jobs?limit=5&q=server:{id}")),
        |change| change.object == Object::Job,
    );
    let all = move || view! { <a href=format!("/servers/{id}/activity")>"All activity"</a> };
    let draw = |jobs: Held<Page<Job>>| {
        let none = move || {
            jobs.with(|jobs| jobs.items.is_empty()).then(|| {
                view! { <Empty icon="activity" title="No job yet" text="Power actions appear here with their steps."/> }
            })
        };
        view! {
            <div class="card-list">
                {follow(move || jobs.get().items, |job: &Job| job.id, |_, job| live(move || job.with(job_line)))}
            </div>
            {live(none)}
        }
        .into_any()
    };
    view! { <Card title="Recent jobs" actions=all>{faces(jobs, || view! { <Skeleton lines=3/> }.into_any(), draw)}</Card> }
}

#[component]
fn About(server: Held<Server>, refusal: Signal<Option<String>>) -> impl IntoView {
    let id = server.with_untracked(|server| server.id);
    let edit = move || view! { <a href=format!("/servers/{id}/configuration")>"Change"</a> };
    let facts = move || {
        let server = server.get();
        let feeds =
            if server.feeds_complete { "All supplies are mapped" } else { "Not all supplies confirmed" };
        let fallback = match (refusal.get().as_deref(), server.fallback_enabled) {
            (None, _) => "—",
            (Some(""), true) => "Allowed",
            (Some(_), true) => "Not possible",
            (Some(_), false) => "Off",
        };
        view! {
            <dl class="facts">
                {fact("Site", or_dash(server.site_name.unwrap_or_default()))}
                {fact("Rack", or_dash(server.rack))}
                {fact("Tags", or_dash(server.tags.join(", ")))}
                {fact("Feeds", feeds.to_owned())}
                {fact("Fallback", fallback.to_owned())}
                {fact("Added", time::day(server.created_at))}
                {fact("Notes", or_dash(server.notes))}
            </dl>
        }
    };
    view! { <Card title="Facts" actions=edit><div class="card-body">{live(facts)}</div></Card> }
}

/// A dash where nothing is known.
pub fn or_dash(text: String) -> String {
    if text.is_empty() { "—".to_owned() } else { text }
}

#[component]
fn Connections(scene: Scene) -> impl IntoView {
    let id = scene.server.with_untracked(|server| server.id);
    let manage = move || view! { <a href=format!("/servers/{id}/configuration")>"Manage"</a> };
    let draw = |page: Held<Page<Connection>>| {
        let none = move || {
            page.with(|page| page.items.is_empty())
                .then(|| view! { <p class="meta card-body">"None yet."</p> })
        };
        view! {
            <div class="card-list">
                {follow(move || page.get().items, |connection: &Connection| connection.id, |_, connection| live(move || connection.with(line)))}
            </div>
            {live(none)}
        }
        .into_any()
    };
    view! {
        <Card title="Connections" actions=manage>
            {faces(scene.connections, || view! { <Skeleton lines=2/> }.into_any(), draw)}
        </Card>
    }
}

fn line(connection: &Connection) -> impl IntoView + use<> {
    let glyph = match connection.role {
        Role::Controller => "cpu",
        Role::Feed => "plug",
    };
    let features: Vec<_> = connection
        .features
        .iter()
        .filter(|feature| usable(**feature))
        .map(|feature| feature.title().to_ascii_lowercase())
        .collect();
    let label = connection.label.clone();
    let badge = status_badge(&connection.status);
    view! {
        <a href=format!("/servers/{}/configuration", connection.server_id)>
            <Icon name=glyph/>
            <span class="flow">
                <span class="strong">{label}</span>
                <br/>
                <span class="meta">{features.join(", ")}</span>
            </span>
            {badge}
        </a>
    }
}
