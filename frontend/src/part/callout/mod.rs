//! A note inside the page that needs a person, with its remedy.

use leptos::prelude::*;
use rackhand_wire::api::problem::Problem;

use super::{Tone, icon::Icon};
use crate::draw::live;

/// Draws a callout; `children` are its actions.
#[component]
pub fn Callout(
    #[prop(into)] title: String,
    #[prop(optional, into)] text: String,
    #[prop(optional, into)] tone: Option<Tone>,
    #[prop(optional, into)] icon: Option<&'static str>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let icon = icon.unwrap_or(match tone {
        Some(Tone::Danger | Tone::Degraded) => "warning",
        Some(Tone::On) => "check",
        Some(Tone::Off | Tone::Fed | Tone::Unknown | Tone::Transition) | None => "info",
    });
    view! {
        <div class="callout" data-tone=tone.map(Tone::word) role="note">
            <Icon name=icon/>
            <div>
                <h3>{title}</h3>
                {(!text.is_empty()).then(|| view! { <p>{text.clone()}</p> })}
            </div>
            {children.map(|children| children())}
        </div>
    }
}

/// Draws what the backend refused, when it is about no single field.
#[component]
pub fn ProblemNote(#[prop(into)] problem: Signal<Option<Problem>>) -> impl IntoView {
    live(move || {
        problem.get().map(|problem| {
            let mut text = problem.detail.clone().unwrap_or_default();
            if !problem.request_id.is_empty() {
                format!("{text} Request {}.", problem.request_id).trim().clone_into(&mut text);
            }
            view! {
                <div role="alert">
                    <Callout title=problem.title text=text tone=Tone::Danger/>
                </div>
            }
        })
    })
}
