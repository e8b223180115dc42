//! Trying an endpoint: asks, follows the job, shows what was found or the exact fault.

use gloo_timers::future::TimeoutFuture;
use leptos::{html, prelude::*};
use rackhand_wire::{
    Fault, Setting,
    api::{
        endpoint::{Stage, StageName, StageState, TestEndpoint, TestResult},
        job::Job,
        problem::Problem,
    },
    operation::Identity,
};

use super::Draft;
use crate::{
    api,
    draw::live,
    focus,
    form::Submit,
    part::{
        Tone,
        button::{Button, Size},
        callout::Callout,
        connection_card::identity_words,
        icon::Icon,
        kind_list::{choice, choices},
    },
    time,
};

/// Between two looks at the job.
const LOOK_MS: u32 = 400;

/// What a test found, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The result.
    pub result: TestResult,
    /// Milliseconds since 1970.
    pub at: i64,
}

impl Found {
    /// What is left of it when it was found at another place of the device.
    fn of_the_device(mut self) -> Option<Self> {
        self.result.reading = None;
        self.result.fault.is_none().then_some(self)
    }
}

/// Draws the button and the result. `request` says what to try and is followed; `submit` shows refusals at the fields,
/// whose paths begin with `prefix`. What would settle a fault is offered in `draft`. `at_once` asks without a press.
#[component]
pub fn TestPanel(
    request: Callback<(), TestEndpoint>,
    found: RwSignal<Option<Found>>,
    submit: Submit,
    prefix: &'static str,
    #[prop(optional, into)] refusal: Signal<Option<String>>,
    #[prop(optional)] draft: Option<Draft>,
    #[prop(optional)] at_once: bool,
) -> impl IntoView {
    let busy = RwSignal::new(false);
    // What was found is true of what was asked. With other settings it is gone; of another place only the device
    // is known, whose places are often chosen from what was found.
    let asked = Memo::new(move |_| api::encode_body(&request.run(())));
    let settings = Memo::new(move |_| api::encode_body(&TestEndpoint { target: None, ..request.run(()) }));
    Effect::new(move |before: Option<()>| {
        settings.track();
        if before.is_some() {
            found.set(None);
        }
    });
    Effect::new(move |before: Option<()>| {
        asked.track();
        if before.is_some() {
            let known = found.get_untracked();
            if known
                .as_ref()
                .is_some_and(|known| known.result.fault.is_some() || known.result.reading.is_some())
            {
                found.set(known.and_then(Found::of_the_device));
            }
        }
    });
    let go = Callback::new(move |()| {
        let body = untrack(|| request.run(()));
        let tested = (asked.get_untracked(), settings.get_untracked());
        busy.set(true);
        found.set(None);
        let work = async move {
            let answer = run(body).await.map_err(|problem| under(problem, prefix));
            busy.try_set(false);
            answer
        };
        submit.run(work, move |result| {
            let (Some(asked), Some(settings)) = (asked.try_get_untracked(), settings.try_get_untracked())
            else {
                return;
            };
            let new = Some(Found { result, at: time::now() }).filter(|_| settings == tested.1);
            found.try_set(if asked == tested.0 { new } else { new.and_then(Found::of_the_device) });
        });
    });
    Effect::new(move |_| {
        if at_once {
            go.run(());
        }
    });
    // The result stands below the fields, often below the edge of the dialog.
    let place = NodeRef::<html::Div>::new();
    Effect::new(move |_| {
        if found.with(Option::is_some) {
            request_animation_frame(move || {
                if let Some(Some(place)) = place.try_get_untracked() {
                    focus::bring_into_sight(&place);
                }
            });
        }
    });
    let offered = move |result: &TestResult| {
        // A saved device is tested as it is: what is filled in here would not count.
        let draft = draft.filter(|_| untrack(|| request.run(()).params.is_some()))?;
        settled_by(result.fault.as_ref()?, draft, go)
    };
    let label =
        Signal::derive(move || if found.with(Option::is_some) { "Test again" } else { "Test" }.to_owned());
    view! {
        <div class="row">
            <Button label size=Size::Small icon="refresh" busy refusal on_click=go/>
            <span class="meta">
                {live(move || found.get().map(|found| format!("{} ms", found.result.took_ms)))}
                {live(move || busy.get().then_some("The agent asks the device. This can take 20 s when it is silent."))}
            </span>
        </div>
        <div role="status" node_ref=place>{live(move || found.get().map(|found| verdict(offered(&found.result), found.result)))}</div>
    }
}

/// What would settle a fault, to be taken and tried at once.
fn settled_by(fault: &Fault, draft: Draft, again: Callback<()>) -> Option<AnyView> {
    let draw = |setting: Setting| {
        let label = draft.label(&setting)?;
        let (title, summary) = label.split_once(": ").unwrap_or((&label, ""));
        let take = Callback::new(move |()| {
            draft.values.signal(&setting.field).set(setting.value.clone());
            again.run(());
        });
        Some(choice("plug", title, summary, take))
    };
    let all: Vec<_> = fault.choices.iter().cloned().filter_map(draw).collect();
    (!all.is_empty()).then(|| choices("Choices", all))
}

async fn run(body: TestEndpoint) -> Result<TestResult, Problem> {
    let mut job: Job = api::post("endpoints/test", &body).await?;
    while !job.state.is_over() {
        TimeoutFuture::new(LOOK_MS).await;
        job = api::get(&format!("jobs/{}", job.id)).await?;
    }
    let result = job.result.and_then(|result| crate::json::read(&result.to_string()).ok());
    result.ok_or_else(|| {
        let why = job.summary.unwrap_or_else(|| "The test ended without a result.".to_owned());
        api::local(0, "no_result", &why, None)
    })
}

/// A test names the fields of the endpoint; inside a connection they are one level deeper.
fn under(mut problem: Problem, prefix: &str) -> Problem {
    for error in &mut problem.errors {
        if error.field.starts_with("params.") || error.field.starts_with("secrets.") {
            error.field = format!("{prefix}{}", error.field);
        }
    }
    problem
}

fn verdict(offered: Option<AnyView>, result: TestResult) -> AnyView {
    let stages: Vec<_> = result.stages.clone().into_iter().map(stage).collect();
    view! {
        {outcome(result)}
        {offered}
        <ul class="evidence">{stages}</ul>
    }
    .into_any()
}

fn stage(stage: Stage) -> AnyView {
    let name = match stage.of {
        StageName::Route => "Route",
        StageName::Port => "Port",
        StageName::Protocol => "Protocol",
        StageName::Credentials => "Credentials",
    };
    let (word, icon, tone) = match stage.state {
        StageState::Ok => ("ok", "check", Some(Tone::On)),
        StageState::Failed => ("failed", "x", Some(Tone::Danger)),
        StageState::NotReached => ("not reached", "minus", None),
        StageState::NotKnown => ("not known", "state-unknown", None),
    };
    view! {
        <li data-tone=tone.map(Tone::word)>
            <Icon name=icon/>
            <span>{name} " " <span class="meta">{stage.detail}</span></span>
            <span class="says">{word}</span>
        </li>
    }
    .into_any()
}

fn outcome(result: TestResult) -> AnyView {
    if let Some(fault) = result.fault {
        let text = format!("Fault: {}. Nothing was changed on the device.", fault.code.code());
        return view! { <Callout title=fault.to_string() text tone=Tone::Danger icon="x"/> }.into_any();
    }
    let identity = result.identity;
    let title = match result.reading {
        Some(reading) => format!("It answers: {reading}"),
        None => "It answers".to_owned(),
    };
    let mut words: Vec<String> = identity.iter().flat_map(told).collect();
    if !result.outlets.is_empty() {
        words.push(format!("{} outlets.", result.outlets.len()));
    }
    words.extend(result.unproven);
    view! { <Callout title text=words.join(" ") tone=Tone::On icon="check"/> }.into_any()
}

fn told(identity: &Identity) -> Vec<String> {
    let sentence = |text: String| format!("{}.", text.trim_end_matches('.'));
    let name = Some(identity_words(identity)).filter(|name| !name.is_empty());
    let unique = identity.unique.as_ref().map(|unique| format!("Identity {unique}"));
    let parts = [name, identity.protocol.clone(), unique].into_iter().flatten();
    parts.chain(identity.notes.iter().cloned()).map(sentence).collect()
}
