//! The steps after the type.

use leptos::prelude::*;
use rackhand_wire::api::endpoint::TestEndpoint;

use super::{Making, details::Details, feeds::FeedsQuestion, send::send};
use crate::{
    draw::live,
    focus,
    page::endpoint::{AgentField, OWN, TestPanel},
    part::{
        button::{Button, Kind, Size},
        callout::ProblemNote,
        feature_list::FeatureList,
        steps::{FormStep, Progress, Steps},
    },
};

/// Draws the steps and the foot of the dialog.
#[component]
pub fn StepsOf(making: Making, back: Callback<()>) -> impl IntoView {
    let descriptor = making.kind.with_value(|kind| kind.descriptor.clone());
    let title = descriptor.title.clone();
    let change =
        move || view! { <Button label="Change".to_owned() kind=Kind::Quiet size=Size::Small on_click=back/> };
    let tested = Signal::derive(move || {
        let good =
            making.found.with(|found| found.as_ref().is_some_and(|found| found.result.fault.is_none()));
        if good { Progress::Done } else { Progress::Now }
    });
    let (offered, role) = (descriptor.features.clone(), descriptor.role);
    let caveats: Vec<_> =
        descriptor.caveats.iter().map(|text| view! { <p class="meta">{text.clone()}</p> }).collect();
    view! {
        <div class="dialog-body">
            <Steps>
                <FormStep number=1 title="Type" progress=Progress::Done chosen=title side=change>
                    <span></span>
                </FormStep>
                <AgentStep making/>
                <FormStep number=3 title="Details" progress=Progress::Now><Details making/></FormStep>
                <FormStep number=4 title="Test" progress=tested><TestStep making/></FormStep>
                <FormStep number=5 title="Features" progress=Progress::Now chosen="what this connection may be used for".to_owned()>
                    <FeatureList offered=offered.clone() role ticked=making.ticked/>
                    {live(move || making.asks_feeds().then(|| view! { <FeedsQuestion making/> }))}
                </FormStep>
            </Steps>
            {caveats}
            <ProblemNote problem=making.submit.rest(in_sight)/>
        </div>
        <Foot making/>
    }
}

fn in_sight(field: &str) -> bool {
    let groups = ["endpoint.params.", "endpoint.secrets.", "target."];
    groups.iter().any(|group| field.starts_with(group))
}

#[component]
fn AgentStep(making: Making) -> impl IntoView {
    let open = RwSignal::new(false);
    let kind = making.kind;
    let own =
        Signal::derive(
            move || {
                if making.saved.with(String::is_empty) { OWN } else { "The agent of the device" }
            },
        );
    let chosen = Signal::derive(move || if open.get() { String::new() } else { own.get().to_owned() });
    let side = move || {
        (!open.get()).then(|| {
            let show = Callback::new(move |()| open.set(true));
            view! { <Button label="Change".to_owned() kind=Kind::Quiet size=Size::Small on_click=show/> }
        })
    };
    view! {
        <FormStep number=2 title="Agent" progress=Progress::Done chosen side>
            {live(move || open.get().then(|| view! {
                <AgentField agent=making.draft.agent kind=kind.get_value() default=own/>
            }))}
        </FormStep>
    }
}

#[component]
fn TestStep(making: Making) -> impl IntoView {
    let request = Callback::new(move |()| {
        let saved = making.saved_id();
        let target = send_target(making);
        match saved {
            Some(id) => TestEndpoint {
                endpoint_id: Some(id),
                kind: None,
                agent_id: making.draft.agent_id(),
                agent_group: making.draft.agent_group(),
                params: None,
                secrets: std::collections::BTreeMap::new(),
                target,
            },
            None => making.draft.test(None, target),
        }
    });
    view! { <TestPanel request found=making.found submit=making.submit prefix="endpoint." draft=making.draft/> }
}

/// The place to read in a test: the first picked outlet, when there is one.
fn send_target(making: Making) -> Option<serde_json::Value> {
    let saved = making.saved_id();
    let pick = making.picks.with(|picks| picks.iter().find(|pick| pick.endpoint == saved).cloned())?;
    let field = making.outlet_field()?;
    Some(serde_json::json!({ field: pick.outlet }))
}

#[component]
fn Foot(making: Making) -> impl IntoView {
    let open = making.scene.adding;
    let refusal = Signal::derive(move || {
        if making.outlet_field().is_some() && making.picks.with(Vec::is_empty) {
            return Some("Choose at least one outlet first.".to_owned());
        }
        (making.asks_feeds() && making.complete.get().is_none())
            .then(|| "Answer the question about the power supplies first.".to_owned())
    });
    let label = Signal::derive(move || match making.picks.with(Vec::len) {
        0 | 1 => "Add connection".to_owned(),
        several => format!("Add {several} connections"),
    });
    let words = move || match refusal.get() {
        Some(why) => view! { <span class="refusal" role="status">{why}</span> }.into_any(),
        None => view! { <span class="meta only-wide">"The state is read right after."</span> }.into_any(),
    };
    let lead = Callback::new(move |()| {
        let first = untrack(|| making.picks.with(Vec::is_empty));
        focus::lead_to(if first {
            ".outlet-picker input, [name=\"target.outlet\"]"
        } else {
            ".dialog [name=feeds_complete]"
        });
    });
    view! {
        <footer class="dialog-foot">
            {live(words)}
            <span class="push"></span>
            <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
            <Button label kind=Kind::Primary refusal on_refused=lead busy=making.submit.busy on_click=Callback::new(move |()| send(making))/>
        </footer>
    }
}
