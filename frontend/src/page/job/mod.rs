//! One job: its steps as they happen, what it rests on, how to end it.

use gloo_net::http::Method;
use leptos::prelude::*;
use rackhand_wire::api::{
    job::{Job, JobKind, JobState, Proof},
    live::Object,
    power::Via,
};

use crate::{
    draw::live,
    form::Submit,
    held::Held,
    load::{Load, faces, load},
    page::activity::{outcome, outcome_of},
    part::{
        Tone,
        button::{Button, Kind},
        callout::{Callout, ProblemNote},
        card::Card,
        code::copy,
        crumbs,
        dialog::{Dialog, Side},
        empty::Empty,
        facts::fact,
        icon::Icon,
        icon_button::IconButton,
        job_steps::JobSteps,
        lanes::Lanes,
        page_head::PageHead,
        skeleton::Skeleton,
        toast,
    },
    time,
};

/// The page of one job.
#[component]
pub fn JobPage(id: String) -> impl IntoView {
    let path = format!("jobs/{id}");
    let job = load::<Job>(
        move || Some(path.clone()),
        move |change| change.object == Object::Job && change.id == id,
    );
    let shape = || view! { <Skeleton lines=3/> <Skeleton/> }.into_any();
    faces(job, shape, move |value| view! { <Filled job=value load=job/> }.into_any())
}

#[component]
fn Filled(job: Held<Job>, load: Load<Job>) -> impl IntoView {
    let title = Memo::new(move |_| job.with(|job| job.title.clone()));
    crumbs::stand(move || {
        let mut way = vec![("Servers".to_owned(), "/servers".to_owned())];
        if let Some(server) = job.with(|job| job.server.clone()) {
            way.push((server.name, format!("/servers/{}", server.id)));
        }
        let here =
            job.with(|job| job.action.map_or(title.get_untracked(), |action| action.title().to_owned()));
        (way, here)
    });
    let start =
        Signal::derive(move || job.with(|job| job.started_at.unwrap_or(job.created_at).timestamp_millis()));
    let steps = Signal::derive(move || job.with(|job| job.steps.clone()));
    view! {
        <PageHead title state=move || state(job)>
            <Cancel job load/>
        </PageHead>
        <Outcome job/>
        <div class="columns">
            <div class="stack">
                <Timeline job steps start/>
            </div>
            <div class="stack"><Request job/></div>
        </div>
    }
}

/// How it stands, with its time.
fn state(job: Held<Job>) -> impl IntoView {
    live(move || {
        let job = job.get();
        let (tone, icon, word) = outcome_of(&job);
        let end = job.finished_at.map_or_else(time::now, |end| end.timestamp_millis());
        let age = time::took(end - job.started_at.unwrap_or(job.created_at).timestamp_millis());
        view! {
            <span class="power-state" data-size="lg" data-tone=tone.word()>
                <Icon name=icon/>
                {word}
                " "
                <span class="age">{age}</span>
            </span>
        }
    })
}

#[component]
fn Timeline(
    job: Held<Job>,
    steps: Signal<Vec<rackhand_wire::api::job::Step>>,
    start: Signal<i64>,
) -> impl IntoView {
    let some = Memo::new(move |_| !steps.with(Vec::is_empty));
    let over = Memo::new(move |_| job.with(|job| job.state.is_over()));
    let note = move || {
        if over.get() {
            view! { <span class="meta push">"Every step was stored before it was sent"</span> }.into_any()
        } else {
            view! { <span class="row meta push"><Icon name="state-transition"/> "Live, stored before it is sent"</span> }.into_any()
        }
    };
    let none = move || {
        let (title, text) = match (some.get(), over.get()) {
            (true, _) => return ().into_any(),
            (false, true) => ("It ended before its first step", "Nothing was sent to any device."),
            (false, false) => ("Waiting for its turn", "The first step appears here as it begins."),
        };
        view! { <Empty icon="clock" title text/> }.into_any()
    };
    let lanes = move || {
        some.get().then(|| {
            view! {
                <Card title="What each path was"><div class="card-body"><Lanes steps start/></div></Card>
            }
        })
    };
    view! {
        {live(lanes)}
        <section class="card" aria-label="Steps">
            <header class="card-head"><h2>"Steps"</h2>{live(note)}</header>
            <JobSteps steps start/>
            {live(none)}
        </section>
    }
}

/// How it ended, in a sentence with its consequence.
#[component]
fn Outcome(job: Held<Job>) -> impl IntoView {
    let shown = Memo::new(move |_| {
        job.with(|job| (job.state, job.summary.clone().unwrap_or_default(), job.proof, job.cancel_requested))
    });
    // What it does now stands at the top: the steps may reach below the edge.
    let now = Memo::new(move |_| {
        let told = |step: &rackhand_wire::api::job::Step| {
            let reason = Some(step.reason.as_str()).filter(|reason| !reason.is_empty());
            reason.map_or_else(|| step.title.clone(), |reason| format!("{}: {reason}", step.title))
        };
        job.with(|job| job.steps.last().filter(|_| !job.state.is_over()).map(told))
    });
    let present = move || now.get().map(|now| view! { <p class="dim">"Now: " {now}</p> });
    let ended = live(move || {
        let (state, summary, proof, ending) = shown.get();
        let tone = outcome(state).0;
        let title = |text: &str| if summary.is_empty() { text.to_owned() } else { summary.clone() };
        match state {
            JobState::Queued | JobState::Running if ending => {
                view! { <Callout title="Ending" text="It is brought to a safe state first: what was cut is fed again." tone=Tone::Transition/> }.into_any()
            }
            JobState::Queued | JobState::Running => ().into_any(),
            JobState::Succeeded if proof == Some(Proof::Feeds) => view! {
                <Callout title=title("The outlets did it") text="Only the outlets were read back; the machine itself could not be asked." tone=Tone::Fed icon="state-fed"/>
            }
            .into_any(),
            JobState::Succeeded => view! { <Callout title=title("Done, and read back") tone/> }.into_any(),
            JobState::SucceededDegraded => view! {
                <Callout title=title("Done, but one feed is missing") text="The server may run without redundancy: look at its outlets before the next cut." tone icon="state-degraded"/>
            }
            .into_any(),
            JobState::Failed | JobState::Cancelled => view! { <Callout title=title(outcome(state).2) tone/> }.into_any(),
            JobState::Expired => {
                view! { <Callout title=title(outcome(state).2) text="Everything is as it was." tone/> }.into_any()
            }
            JobState::FailedPartial => view! {
                <Callout title=title("Only a part was done") text="The steps below show what was done and what needs a person." tone/>
            }
            .into_any(),
            JobState::Indeterminate => view! {
                <Callout title=title("Nobody can tell whether it happened") text="What is known stands below. Read all paths before trying again." tone/>
            }
            .into_any(),
        }
    });
    view! {
        {ended}
        {live(present)}
    }
}

#[component]
fn Request(job: Held<Job>) -> impl IntoView {
    let id = job.with_untracked(|job| job.id.to_string());
    let copied = id.clone();
    view! {
        <Card title="Request">
            <div class="card-body">
                {live(move || request_facts(job.get()))}
                <div class="row">
                    <span class="meta">"Job"</span>
                    <span class="mono cut">{id}</span>
                    <IconButton label="Copy job id".to_owned() icon="copy" small="sm" on_click=move || copy(&copied)/>
                </div>
            </div>
        </Card>
    }
}

fn request_facts(job: Job) -> impl IntoView {
    let server = job.server.map(|server| {
        fact("Server", view! { <a href=format!("/servers/{}", server.id)>{server.name}</a> }.into_any())
    });
    let device = job
        .endpoint_id
        .map(|id| fact("Device", view! { <a href=format!("/devices/{id}")>"Open device"</a> }.into_any()));
    let kind = match job.kind {
        JobKind::Power => "Power",
        JobKind::EndpointTest => "Test of a device",
    };
    let via = job.via.map(|via| match via {
        Via::Auto => "Controllers first, outlets if unreachable",
        Via::Outlets => "Outlets at once, forced",
    });
    let proof = job.proof.map(|proof| match proof {
        Proof::Controller => "The controller, read after the last write",
        Proof::Feeds => "The outlets, read after the last write",
        Proof::Acknowledged => "The acknowledgement: there is no state to read",
    });
    let at = |at: Option<chrono::DateTime<chrono::Utc>>| at.map_or_else(|| "—".to_owned(), time::moment);
    let some =
        |name: &'static str, value: Option<&'static str>| value.map(|value| fact(name, value.to_owned()));
    view! {
        <dl class="facts">
            {server}
            {device}
            {fact("Kind", kind.to_owned())}
            {some("Paths", via)}
            {fact("Asked by", job.requested_by)}
            {fact("Accepted", at(Some(job.created_at)))}
            {fact("Began", at(job.started_at))}
            {fact("Ended", at(job.finished_at))}
            {some("Rests on", proof)}
            {job.reason.map(|reason| fact("Reason code", view! { <span class="mono">{reason}</span> }.into_any()))}
        </dl>
    }
}

/// Ends the job, after saying what that does.
#[component]
fn Cancel(job: Held<Job>, load: Load<Job>) -> impl IntoView {
    let open = RwSignal::new(false);
    let submit = Submit::new();
    let over = Memo::new(move |_| job.with(|job| job.state.is_over()));
    let refusal = Signal::derive(move || {
        job.with(|job| {
            if job.cancel_requested {
                return Some("It is ending already.".to_owned());
            }
            (!job.cancellable).then(|| "It can only finish to a safe state now.".to_owned())
        })
    });
    let go = Callback::new(move |()| {
        let path = format!("jobs/{}/cancel", job.with_untracked(|job| job.id));
        submit.ask(Method::POST, path, move || {
            open.try_set(false);
            toast::done("The job is ending");
            load.again.try_run(());
        });
    });
    let effect = move || match job.with(|job| job.state) {
        JobState::Queued => "It has not begun: nothing will be sent to any device.",
        JobState::Running
        | JobState::Succeeded
        | JobState::SucceededDegraded
        | JobState::Failed
        | JobState::FailedPartial
        | JobState::Indeterminate
        | JobState::Cancelled
        | JobState::Expired => {
            "It ends at the next step where nothing is left in between. What was cut is fed again first, so this may take a while; a server that was switched off by its BMC stays off."
        }
    };
    view! {
        {live(move || over.get().then(|| open.set(false)))}
        {live(move || (!over.get()).then(|| view! {
            <span class="meta only-wide">{live(move || refusal.get())}</span>
            <Button label="Cancel job".to_owned() refusal on_click=Callback::new(move |()| open.set(true))/>
        }))}
        <Dialog open title="Cancel the job?".to_owned() side=Side::Narrow busy=submit.busy>
            <div class="dialog-body"><p>{live(effect)}</p><ProblemNote problem=submit.problem/></div>
            <footer class="dialog-foot">
                <span class="push"></span>
                <Button label="Keep it running".to_owned() on_click=Callback::new(move |()| open.set(false))/>
                <Button label="End the job".to_owned() kind=Kind::Danger busy=submit.busy on_click=go/>
            </footer>
        </Dialog>
    }
}
