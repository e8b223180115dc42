//! One power action on many servers: what would happen to each, then one after the other.

use leptos::{prelude::*, task::spawn_local};
use rackhand_wire::{
    PowerAction,
    api::{
        job::Job,
        live::Object,
        power::{PowerPlan, StartPower, Via},
        server::ServerRow,
    },
    id::{JobId, ServerId},
};
use std::collections::BTreeMap;

use super::Picked;
use crate::{
    api,
    draw::live,
    live,
    part::{
        Tone,
        bulk_bar::BulkBar,
        button::{Button, Kind},
        dialog::Dialog,
        icon::Icon,
        menu::{Item, Menu},
    },
};

/// How far one server is.
#[derive(Debug, Clone, PartialEq)]
enum Progress {
    /// Its plan is being asked for.
    Asking,
    /// What would happen.
    Planned(PowerPlan),
    /// It cannot be done, or was refused.
    Refused(String),
    /// Being sent.
    Sending,
    /// A job works on it.
    Started(JobId),
}

type Report = RwSignal<BTreeMap<ServerId, Progress>>;

/// The bar for the ticked servers, and its dialog.
#[component]
pub fn Bulk(picked: Picked) -> impl IntoView {
    let action = RwSignal::new(PowerAction::On);
    let open = RwSignal::new(false);
    let count = Signal::derive(move || picked.with(BTreeMap::len));
    let items = move || {
        PowerAction::ALL
            .into_iter()
            .filter(|action| *action != PowerAction::Nmi)
            .map(|verb| {
                let item = Item::new(verb.title(), icon(verb), move || {
                    action.set(verb);
                    open.set(true);
                });
                if loses_data(verb) { item.caution() } else { item }
            })
            .collect()
    };
    let title = Signal::derive(move || format!("{} {}", action.get().title(), servers(count.get())));
    view! {
        <BulkBar count label="Actions for the selected servers" on_clear=Callback::new(move |()| picked.set(BTreeMap::new()))>
            <Menu label="Power".to_owned() text="Power" icon="power" align="start" items/>
        </BulkBar>
        <Dialog open title>
            <Plan action=action.get_untracked() picked open/>
        </Dialog>
    }
}

/// Icon of an action's button.
fn icon(action: PowerAction) -> &'static str {
    match action {
        PowerAction::On => "play",
        PowerAction::Shutdown => "power",
        PowerAction::Off => "stop",
        PowerAction::Cycle => "refresh",
        PowerAction::Reset => "bolt",
        PowerAction::Nmi => "warning",
    }
}

fn loses_data(action: PowerAction) -> bool {
    match action {
        PowerAction::On | PowerAction::Shutdown => false,
        PowerAction::Off | PowerAction::Cycle | PowerAction::Reset | PowerAction::Nmi => true,
    }
}

fn servers(count: usize) -> String {
    if count == 1 { "1 server".to_owned() } else { format!("{count} servers") }
}

#[component]
fn Plan(action: PowerAction, picked: Picked, open: RwSignal<bool>) -> impl IntoView {
    let rows: Vec<ServerRow> = picked.get_untracked().into_values().collect();
    let report: Report = RwSignal::new(BTreeMap::new());
    for row in &rows {
        note(report, row.id, Progress::Asking);
    }
    let running = RwSignal::new(false);
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    ask_all(action, ids.clone(), report);
    let ready =
        move || report.with(|report| report.values().filter(|p| matches!(p, Progress::Planned(_))).count());
    let asking = move || report.with(|report| report.values().any(|p| *p == Progress::Asking));
    let started =
        move || report.with(|report| report.values().filter(|p| matches!(p, Progress::Started(_))).count());
    let refusal = Signal::derive(move || {
        live::refusal().or_else(|| {
            (!asking() && ready() == 0 && started() == 0)
                .then(|| "None of these servers can do this now".to_owned())
        })
    });
    let run = Callback::new(move |()| {
        running.set(true);
        run_all(action, ids.clone(), report, running);
    });
    let kind = if loses_data(action) { Kind::Danger } else { Kind::Primary };
    let label = Signal::derive(move || format!("{} {}", action.title(), servers(ready())));
    let over = move || started() > 0 && !running.get() && ready() == 0;
    let leave = move || {
        if running.get() {
            "Stop here"
        } else if over() {
            "Close"
        } else {
            "Cancel"
        }
    };
    let left = Callback::new(move |()| {
        if running.get_untracked() {
            // What was not sent yet stays planned.
            running.set(false);
        } else {
            open.set(false);
        }
    });
    view! {
        <div class="dialog-body">
            <p>{consequence(action)}</p>
            <ul class="evidence">{rows.into_iter().map(|row| line(row, report)).collect::<Vec<_>>()}</ul>
        </div>
        <footer class="dialog-foot">
            <span class="meta" role="status">
                {live(move || (started() > 0).then(|| format!("{} started", started())))}
            </span>
            <span class="push"></span>
            <Button
                label=Signal::derive(move || leave().to_owned())
                on_click=left
            />
            {live(move || {
                (!over())
                    .then(|| view! { <Button label kind icon=icon(action) refusal busy=Signal::derive(move || asking() || running.get()) on_click=run/> })
            })}
        </footer>
    }
}

fn consequence(action: PowerAction) -> &'static str {
    match action {
        PowerAction::On => "Servers that run already stay on.",
        PowerAction::Shutdown => "Each operating system is asked to shut down; power is never cut.",
        PowerAction::Off => "The machines stop at once and unsaved data is lost.",
        PowerAction::Cycle => "The machines stop at once, unsaved data is lost, then they start again.",
        PowerAction::Reset => "The machines restart at once and unsaved data is lost; power is not cut.",
        PowerAction::Nmi => "Each machine gets a diagnostic interrupt and may write a dump and stop.",
    }
}

fn line(row: ServerRow, report: Report) -> impl IntoView {
    let id = row.id;
    let state =
        Memo::new(move |_| report.with(|report| report.get(&id).cloned().unwrap_or(Progress::Asking)));
    let tone = move || match state.get() {
        Progress::Asking | Progress::Planned(_) => None,
        Progress::Refused(_) => Some(Tone::Danger.word()),
        Progress::Sending => Some(Tone::Transition.word()),
        Progress::Started(_) => Some(Tone::On.word()),
    };
    let glyph = Signal::derive(move || match state.get() {
        Progress::Asking | Progress::Planned(_) => "server",
        Progress::Refused(_) => "x",
        Progress::Sending => "state-transition",
        Progress::Started(_) => "check",
    });
    let says = move || match state.get() {
        Progress::Asking => view! { <span class="meta">"asking…"</span> }.into_any(),
        Progress::Planned(plan) => {
            let steps = plan.steps.join(" ");
            // What may be cut is said for each server: it is not the same everywhere.
            let fallback = plan.fallback.map(|fallback| view! { <span class="ink">{fallback}</span> });
            view! { <span class="meta">{steps}</span> {fallback} }.into_any()
        }
        Progress::Refused(why) => view! { <span class="ink">{why}</span> }.into_any(),
        Progress::Sending => view! { <span class="meta">"starting…"</span> }.into_any(),
        Progress::Started(job) => view! { <a href=format!("/jobs/{job}")>"See the job"</a> }.into_any(),
    };
    view! {
        <li data-tone=tone class="bulk-line">
            <Icon name=glyph/>
            <span class="stack" data-gap="0">
                <span class="strong">{row.name}</span>
                {live(says)}
            </span>
        </li>
    }
}

/// Asks each server's plan, one after the other.
fn ask_all(action: PowerAction, ids: Vec<ServerId>, report: Report) {
    spawn_local(async move {
        for id in ids {
            let found = match api::get::<PowerPlan>(&format!(
                "servers/{id}/power/plan?action={}&via=auto",
                action.code()
            ))
            .await
            {
                Ok(plan) if plan.allowed => Progress::Planned(plan),
                Ok(plan) => {
                    Progress::Refused(plan.refusal.unwrap_or_else(|| "It cannot be done now".to_owned()))
                }
                Err(problem) => Progress::Refused(problem.title),
            };
            if !note(report, id, found) {
                return;
            }
        }
    });
}

/// Starts the action where the plan allows it, one after the other, until that is stopped; it goes on when the dialog
/// closes.
fn run_all(action: PowerAction, ids: Vec<ServerId>, report: Report, running: RwSignal<bool>) {
    let due: Vec<_> = report.with_untracked(|report| {
        ids.into_iter().filter(|id| matches!(report.get(id), Some(Progress::Planned(_)))).collect()
    });
    spawn_local(async move {
        for id in due {
            if running.try_get_untracked() == Some(false) {
                return;
            }
            note(report, id, Progress::Sending);
            let body = StartPower {
                action,
                via: Via::Auto,
                on_if_off: false,
                escalate: false,
                deadline_s: None,
                expires_in_ms: None,
                queue: false,
                confirm_name: None,
                password: None,
                shared_with: Vec::new(),
            };
            let found = match api::post::<_, Job>(&format!("servers/{id}/power"), &body).await {
                Ok(job) => {
                    live::announce(Object::Job, job.id);
                    Progress::Started(job.id)
                }
                Err(problem) => Progress::Refused(problem.detail.unwrap_or(problem.title)),
            };
            live::announce(Object::Server, id);
            note(report, id, found);
        }
        running.try_set(false);
    });
}

/// Notes one server's progress; says whether anyone still looks.
fn note(report: Report, id: ServerId, progress: Progress) -> bool {
    report.try_update(|report| report.insert(id, progress)).is_some()
}
