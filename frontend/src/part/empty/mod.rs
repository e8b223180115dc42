//! The empty and the failed face of a page.

use leptos::prelude::*;
use rackhand_wire::{FieldError, api::problem::Problem};

use super::{Tone, button::Button, icon::Icon};
use crate::route;

/// The status of what is not there.
const GONE: u16 = 404;
/// The status of a filter that cannot be read.
const REFUSED: u16 = 422;

/// Says that there is nothing yet and what to do about it.
#[component]
pub fn Empty(
    icon: &'static str,
    #[prop(into)] title: String,
    #[prop(into)] text: String,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="empty">
            <Icon name=icon/>
            <h3>{title}</h3>
            <p>{text}</p>
            {children.map(|children| view! { <div class="row">{children()}</div> })}
        </div>
    }
}

/// Says why nothing can be shown and offers to try again.
#[component]
pub fn Failed(problem: Problem, again: Callback<()>) -> impl IntoView {
    let request = (!problem.request_id.is_empty()).then(
        || view! { <p class="meta">"Request " <span class="mono">{problem.request_id.clone()}</span></p> },
    );
    // What is not there may have been removed: its list has the others.
    let list = (problem.status == GONE).then(|| {
        let path = route::path();
        let list = match path.split('/').nth(1).unwrap_or_default() {
            "jobs" => "activity/jobs",
            word => word,
        };
        view! { <a href=format!("/{list}") class="button">"Go to the list"</a> }
    });
    let all = (problem.status == REFUSED)
        .then(|| view! { <a href=route::unfiltered() class="button">"Take the filter away"</a> });
    let title = problem.title.clone();
    view! {
        <div class="empty" data-tone=Tone::Danger.word() role="alert">
            <Icon name="warning"/>
            <h3>{title}</h3>
            <p>{sentences(problem.detail.as_deref(), &problem.errors)}</p>
            {request}
            <div class="row">
                <Button label="Try again".to_owned() icon="refresh" on_click=again/>
                {list}
                {all}
            </div>
        </div>
    }
}

/// What is known of the failure beside its title: the detail, and what each field was refused for.
fn sentences(detail: Option<&str>, errors: &[FieldError]) -> String {
    let fields = errors.iter().map(|error| error.message.as_str());
    detail.into_iter().chain(fields).collect::<Vec<_>>().join(" ")
}
