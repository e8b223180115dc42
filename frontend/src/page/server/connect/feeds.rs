//! The question on which falling back to the outlets rests.

use crate::draw::live;
use leptos::prelude::*;
use rackhand_wire::Role;

use super::Making;

/// Asks whether these outlets feed all power supplies, and says what follows.
#[component]
pub fn FeedsQuestion(making: Making) -> impl IntoView {
    let outlets = move || {
        let connected = making.scene.connections.value.get().map(|page| page.items).unwrap_or_default();
        let old = connected
            .into_iter()
            .filter(|connection| connection.role == Role::Feed)
            .map(|connection| connection.label);
        let new = making.picks.get().into_iter().map(|pick| pick.words());
        let all: Vec<_> = old.chain(new).collect();
        if all.is_empty() { "No outlet is chosen yet.".to_owned() } else { format!("{}.", all.join(", ")) }
    };
    let choice = move |answer: bool, label: &'static str, consequence: &'static str| {
        view! {
            <label>
                <input
                    class="check"
                    type="radio"
                    name="feeds_complete"
                    value=answer.to_string()
                    prop:checked=move || making.complete.get() == Some(answer)
                    on:change=move |_| making.complete.set(Some(answer))
                />
                <span>{label}</span>
                <span class="meta">{consequence}</span>
            </label>
        }
    };
    view! {
        <fieldset class="stack" data-gap="2">
            <legend class="field-label">"Do these outlets feed all power supplies?"</legend>
            <p class="meta">{live(outlets)}</p>
            <div class="feature-list" role="radiogroup">
                {choice(true, "Yes, all of them", "When the BMC cannot be reached, Force off and Power cycle may cut all of them together.")}
                {choice(false, "No, or not sure", "Force off and Power cycle cannot fall back to the outlets: a supply that is not listed would keep the machine running.")}
            </div>
        </fieldset>
    }
}
