//! "Force via PDU": the outlets at once, for when fallback is refused or the BMC lies. It asks for the
//! typed name and the password, because nothing checks first whether the machine needs it.

use leptos::prelude::*;
use rackhand_wire::{
    PowerAction,
    api::{
        power::{PowerPlan, StartPower, Via},
        server::Server,
    },
};

use super::power_dialog::{Ask, Plan, Shared, plan_path, refusal, request, start};
use crate::{
    draw::live,
    form::Submit,
    held::Held,
    live,
    load::{faces, load},
    part::{
        button::{Button, Kind},
        callout::ProblemNote,
        confirm_field::ConfirmField,
        dialog::{Dialog, Side},
        field::SecretField,
        segmented::Segmented,
        skeleton::Skeleton,
    },
};

/// Asks, and starts it.
#[component]
pub fn ForceDialog(server: Held<Server>, open: RwSignal<bool>) -> impl IntoView {
    let submit = Submit::new();
    let title =
        Signal::derive(move || format!("Force {} via PDU", server.with(|server| server.name.clone())));
    view! {
        <Dialog open title side=Side::Middle busy=submit.busy>
            <Body server open submit/>
        </Dialog>
    }
}

#[component]
fn Body(server: Held<Server>, open: RwSignal<bool>, submit: Submit) -> impl IntoView {
    submit.begin();
    let action = RwSignal::new(PowerAction::Cycle);
    let typed = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let agreed = RwSignal::new(false);
    let plan = load::<PowerPlan>(
        move || Some(plan_path(&server.get_untracked(), Ask { action: action.get(), via: Via::Outlets })),
        |_| false,
    );
    let name = server.with_untracked(|server| server.name.clone());
    let blocked = {
        let name = name.clone();
        Signal::derive(move || {
            let refused = || plan.value.with(|plan| refusal(plan, action.get(), agreed.get()));
            live::refusal()
                .or_else(refused)
                .or_else(|| (typed.get() != name).then(|| "Type the name of the server first.".to_owned()))
                .or_else(|| password.with(String::is_empty).then(|| "Type your password first.".to_owned()))
        })
    };
    // Who agreed to one action has not agreed to another.
    let choose = move |chosen| {
        agreed.set(false);
        action.set(chosen);
    };
    let go = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let shared = plan.value.get_untracked().map(|plan| plan.shared_with).unwrap_or_default();
        let body = StartPower {
            confirm_name: Some(typed.get_untracked()),
            password: Some(password.get_untracked()),
            shared_with: shared.iter().map(|server| server.id).collect(),
            ..request(Ask { action: action.get_untracked(), via: Via::Outlets })
        };
        start(server, body, open, submit);
    };
    let verb = Signal::derive(move || plan.value.with(|plan| button(action.get(), plan)));
    let shown = |field: &str| matches!(field, "confirm_name" | "password");
    let choices =
        vec![(PowerAction::Cycle, "Power cycle"), (PowerAction::Off, "Cut power"), (PowerAction::On, "Feed")];
    let shape = || view! { <Skeleton lines=3/> }.into_any();
    let loss = move || {
        (action.get() != PowerAction::On).then_some(" The machine stops hard and unsaved data is lost.")
    };
    view! {
        <form on:submit=go>
            <div class="dialog-body">
                <p>"The outlets are switched at once, whatever the BMC says."{live(loss)}</p>
                <Segmented label="Action" options=choices chosen=action on_choose=choose/>
                {faces(plan, shape, move |plan| view! { <Plan plan/> <Shared plan agreed/> }.into_any())}
                <ConfirmField expected=name typed error=submit.at("confirm_name")/>
                <SecretField
                    label="Your password"
                    name="password"
                    value=password
                    error=submit.at("password")
                    autocomplete="current-password"
                />
                <ProblemNote problem=submit.rest(shown)/>
            </div>
            <footer class="dialog-foot">
                <span class="push"></span>
                <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
                <Button label=verb kind=Kind::Danger icon="plug" refusal=blocked busy=submit.busy/>
            </footer>
        </form>
    }
}

/// Says on the button what is cut.
fn button(action: PowerAction, plan: Option<&PowerPlan>) -> String {
    let cuts = plan.map(|plan| plan.cuts.join(" and ")).unwrap_or_default();
    match action {
        PowerAction::On => "Switch the outlets on".to_owned(),
        PowerAction::Off if !cuts.is_empty() => format!("Cut {cuts}"),
        PowerAction::Cycle if !cuts.is_empty() => format!("Cycle {cuts}"),
        PowerAction::Off
        | PowerAction::Cycle
        | PowerAction::Shutdown
        | PowerAction::Reset
        | PowerAction::Nmi => action.title().to_owned(),
    }
}
