//! The dialog before a power action: it says what will happen, from the backend's own plan.

use leptos::prelude::*;
use rackhand_wire::{
    PowerAction, PowerValue,
    api::{
        job::Job,
        live::Object,
        power::{PowerPlan, StartPower, Via},
        server::Server,
    },
};

use super::verbs::loses_data;
use crate::{
    draw::live,
    form::Submit,
    held::Held,
    live,
    load::{faces, load},
    part::{
        Tone,
        button::{Button, Kind, Size},
        callout::{Callout, ProblemNote},
        dialog::{Dialog, Side},
        field::CheckField,
        skeleton::Skeleton,
        toast,
    },
};

/// Why nothing starts now.
const WAITS: &str = "A job is under way: start when it has ended, or wait.";

/// What the dialog is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The action.
    pub action: PowerAction,
    /// Which paths.
    pub via: Via,
}

/// The icon of an action.
pub fn icon(action: PowerAction) -> &'static str {
    match action {
        PowerAction::On => "play",
        PowerAction::Shutdown => "power",
        PowerAction::Off => "stop",
        PowerAction::Cycle => "refresh",
        PowerAction::Reset => "bolt",
        PowerAction::Nmi => "cpu",
    }
}

/// The address of a plan.
pub fn plan_path(server: &Server, ask: Ask) -> String {
    let via = match ask.via {
        Via::Auto => "auto",
        Via::Outlets => "outlets",
    };
    format!("servers/{}/power/plan?action={}&via={via}", server.id, ask.action.code())
}

/// A request without any of its options.
pub fn request(ask: Ask) -> StartPower {
    StartPower {
        action: ask.action,
        via: ask.via,
        on_if_off: false,
        escalate: false,
        deadline_s: None,
        expires_in_ms: None,
        queue: false,
        confirm_name: None,
        password: None,
        shared_with: Vec::new(),
    }
}

/// Asks before the action and starts it.
#[component]
pub fn PowerDialog(server: Held<Server>, ask: RwSignal<Ask>, open: RwSignal<bool>) -> impl IntoView {
    let submit = Submit::new();
    let title = Signal::derive(move || {
        format!("{} {}", ask.get().action.title(), server.with(|server| server.name.clone()))
    });
    view! {
        <Dialog open title side=Side::Middle busy=submit.busy>
            <Body server ask open submit/>
        </Dialog>
    }
}

/// The choices that only some actions have.
#[derive(Clone, Copy)]
struct Options {
    escalate: RwSignal<bool>,
    queue: RwSignal<bool>,
    agreed: RwSignal<bool>,
}

impl Options {
    fn new() -> Self {
        let no = || RwSignal::new(false);
        Self { escalate: no(), queue: no(), agreed: no() }
    }
}

#[component]
fn Body(server: Held<Server>, ask: RwSignal<Ask>, open: RwSignal<bool>, submit: Submit) -> impl IntoView {
    let options = Options::new();
    submit.begin();
    let busy = Memo::new(move |_| server.with(|server| server.active_job_id.is_some()));
    let plan = load::<PowerPlan>(
        move || Some(plan_path(&server.get_untracked(), ask.get())),
        move |change| {
            change.object == Object::Server
                && server.with_untracked(|server| change.id == server.id.to_string())
        },
    );
    let blocked = Signal::derive(move || {
        let waits = || (busy.get() && !options.queue.get()).then(|| WAITS.to_owned());
        live::refusal().or_else(waits).or_else(|| {
            plan.value.with(|plan| match plan {
                Some(plan) if plan.shared_with.is_empty() && options.queue.get() => None,
                plan => refusal(plan, ask.get().action, options.agreed.get()),
            })
        })
    });
    let start = Callback::new(move |()| {
        let ask = ask.get_untracked();
        let shared = plan.value.get_untracked().filter(|_| options.agreed.get_untracked());
        let shared = shared.map(|plan| plan.shared_with).unwrap_or_default();
        let body = StartPower {
            escalate: options.escalate.get_untracked(),
            queue: options.queue.get_untracked(),
            shared_with: shared.iter().map(|server| server.id).collect(),
            ..request(ask)
        };
        start(server, body, open, submit);
    });
    let kind = move || {
        let cuts = loses_data(ask.get().action) || options.escalate.get();
        if cuts { Kind::Danger } else { Kind::Primary }
    };
    let shape = || view! { <Skeleton lines=3/> }.into_any();
    view! {
        <div class="dialog-body">
            <p>{live(move || consequence(ask.get().action, &server.get(), options.escalate.get()))}</p>
            {faces(plan, shape, move |plan| view! { <Plan plan/> <Choices plan ask options busy/> }.into_any())}
            <Softer server ask/>
            <ProblemNote problem=submit.problem/>
        </div>
        <footer class="dialog-foot">
            <span class="push"></span>
            <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
            {live(move || view! {
                <Button
                    label=format!("{} {}", ask.get().action.title(), if options.queue.get() { "afterwards" } else { "now" })
                    kind=kind()
                    icon=icon(ask.get().action)
                    refusal=blocked
                    busy=submit.busy
                    on_click=start
                />
            })}
        </footer>
    }
}

/// Why a plan cannot be started. One that needs others to be named is refused as long as they are not: once a
/// person has agreed, the backend says what else there is. One that is allowed leaves their outlets alone.
pub fn refusal(plan: Option<&PowerPlan>, action: PowerAction, agreed: bool) -> Option<String> {
    // What stands there while another one is fetched tells of another action.
    let Some(plan) = plan.filter(|plan| plan.action == action) else {
        return Some("The plan is not there yet.".to_owned());
    };
    if plan.shared_with.is_empty() || plan.allowed {
        return plan.refusal.clone().filter(|_| !plan.allowed);
    }
    (!agreed).then(|| "Other servers hang on the same outlets: agree to that first.".to_owned())
}

/// Sends the request; the page shows the job from there on.
pub fn start(server: Held<Server>, body: StartPower, open: RwSignal<bool>, submit: Submit) {
    let (id, name) = server.with_untracked(|server| (server.id, server.name.clone()));
    let title = body.action.title();
    let what = if body.queue { "accepted" } else { "started" };
    submit.post(format!("servers/{id}/power"), &body, move |job: Job| {
        open.try_set(false);
        toast::done(format!("{title} {name}: {what}"));
        live::announce(Object::Server, id);
        live::announce(Object::Job, job.id);
    });
}

/// What a person should know before any detail.
fn consequence(action: PowerAction, server: &Server, escalates: bool) -> &'static str {
    match (action, server.power.value) {
        (PowerAction::On, PowerValue::On) => "The machine runs on; feeds that are off are switched on.",
        (PowerAction::On, _) => "The machine starts.",
        (PowerAction::Shutdown, _) if escalates => {
            "The operating system is asked to stop. If it has not stopped in time, the machine is switched off at once and unsaved data is lost."
        }
        (PowerAction::Shutdown, _) => {
            "The operating system is asked to stop. The machine is never switched off by this."
        }
        (PowerAction::Cycle, PowerValue::Off) => "The machine is off, so it is only switched on.",
        (PowerAction::Off, _) => "The machine stops at once and unsaved data is lost.",
        (PowerAction::Cycle, _) => {
            "The machine stops at once and unsaved data is lost; then it starts again."
        }
        (PowerAction::Reset, PowerValue::Off) => "Nothing happens to a machine that is off.",
        (PowerAction::Reset, _) => {
            "The machine restarts at once and unsaved data is lost. It is sent once, and never done by outlets."
        }
        (PowerAction::Nmi, _) => {
            "The operating system gets a diagnostic interrupt; most stop, write a dump and restart."
        }
    }
}

/// Draws a plan: its steps in order, then what fallback would do.
#[component]
pub fn Plan(#[prop(into)] plan: Held<PowerPlan>) -> impl IntoView {
    let step = |(at, text): (usize, String)| {
        view! {
            <li><span class="step-mark">{at + 1}</span><div class="step-title">{text}</div></li>
        }
    };
    let steps =
        move || plan.with(|plan| plan.steps.clone()).into_iter().enumerate().map(step).collect::<Vec<_>>();
    let fallback = move || {
        plan.with(|plan| plan.fallback.clone().map(|text| (text, plan.fallback_possible))).map(
            |(text, possible)| {
                if possible {
                    view! { <Callout title="Fallback" text tone=Tone::Degraded icon="plug"/> }
                } else {
                    view! { <Callout title="Fallback" text icon="info"/> }
                }
            },
        )
    };
    // Whom it needs to be agreed for is asked below it.
    let refusal = move || {
        plan.with(|plan| refusal(Some(plan), plan.action, true))
            .map(|text| view! { <Callout title="Not possible now" text tone=Tone::Degraded/> })
    };
    view! {
        {live(refusal)}
        <ol class="steps plan">{live(steps)}</ol>
        {live(fallback)}
    }
}

#[component]
fn Choices(plan: Held<PowerPlan>, ask: RwSignal<Ask>, options: Options, busy: Memo<bool>) -> impl IntoView {
    let special = move || match ask.get().action {
        PowerAction::Shutdown => view! {
            <CheckField
                label="Force off if it has not stopped by the deadline"
                name="escalate"
                value=options.escalate
                help="Unsaved data is lost then."
            />
        }
        .into_any(),
        PowerAction::On | PowerAction::Off | PowerAction::Cycle | PowerAction::Reset | PowerAction::Nmi => {
            ().into_any()
        }
    };
    let queue = move || {
        busy.get().then(|| {
            view! { <CheckField label="Start when the present job has ended" name="queue" value=options.queue help="It follows what is under way."/> }
        })
    };
    view! {
        {live(special)}
        {live(queue)}
        <Shared plan agreed=options.agreed/>
    }
}

/// Asks to agree to what happens to the servers that hang on the outlets which are switched.
#[component]
pub fn Shared(plan: Held<PowerPlan>, agreed: RwSignal<bool>) -> impl IntoView {
    let question = Memo::new(move |_| {
        plan.with(|plan| {
            let names =
                plan.shared_with.iter().map(|server| server.name.as_str()).collect::<Vec<_>>().join(", ");
            match (names.is_empty(), plan.action) {
                (true, _) => String::new(),
                (false, PowerAction::On) => format!("Feed {names} too"),
                (false, _) => format!("Cut the power of {names} too"),
            }
        })
    });
    Effect::new(move |_| {
        // Who agreed to one thing has not agreed to another.
        question.with(|_| agreed.set(false));
    });
    live(move || {
        let question = question.get();
        (!question.is_empty()).then(|| {
            view! {
                <Callout title="Other servers hang on these outlets" text="What happens to the outlets happens to them." tone=Tone::Danger/>
                <CheckField label=question name="shared_with" value=agreed/>
            }
        })
    })
}

/// Offers the softer way before one that loses data.
#[component]
fn Softer(server: Held<Server>, ask: RwSignal<Ask>) -> impl IntoView {
    let offered = Memo::new(move |_| {
        let hard = match ask.get().action {
            PowerAction::Off | PowerAction::Cycle | PowerAction::Reset => true,
            PowerAction::On | PowerAction::Shutdown | PowerAction::Nmi => false,
        };
        hard && server.with(|server| server.power.value == PowerValue::On)
    });
    let soften = Callback::new(move |()| ask.update(|ask| ask.action = PowerAction::Shutdown));
    live(move || {
        offered.get().then(|| {
            view! {
                <Callout title="A softer way" text="Shut down asks the system to stop and waits until it has.">
                    <Button label="Shut down instead".to_owned() size=Size::Small icon="power" on_click=soften/>
                </Callout>
            }
        })
    })
}
