//! What a connection may be used for; a tick is one capability.

use leptos::prelude::*;
use rackhand_wire::{Feature, Role};

/// Draws a tick per feature that is `offered` and that a page can use; a tick without effect would mislead.
#[component]
pub fn FeatureList(offered: Vec<Feature>, role: Role, ticked: RwSignal<Vec<Feature>>) -> impl IntoView {
    let draw = move |feature: Feature| {
        let toggle = move |_| {
            ticked.update(|ticked| {
                if ticked.contains(&feature) {
                    ticked.retain(|other| *other != feature);
                } else {
                    let at = ticked.iter().position(|other| *other > feature).unwrap_or(ticked.len());
                    ticked.insert(at, feature);
                }
            });
        };
        view! {
            <label>
                <input
                    class="check"
                    type="checkbox"
                    name=format!("features.{}", feature.code())
                    prop:checked=move || ticked.with(|ticked| ticked.contains(&feature))
                    on:change=toggle
                />
                <span>{feature.title()}</span>
                <span class="meta">{meaning(feature, role)}</span>
            </label>
        }
    };
    view! {
        <div class="feature-list" role="group" aria-label="Features">
            {offered.into_iter().filter(|feature| usable(*feature)).map(draw).collect::<Vec<_>>()}
        </div>
    }
}

/// Says whether a page can use it.
pub fn usable(feature: Feature) -> bool {
    feature == Feature::Power
}

fn meaning(feature: Feature, role: Role) -> &'static str {
    match (feature, role) {
        (Feature::Power, Role::Controller) => "First path; outlets become the fallback",
        (Feature::Power, Role::Feed) => "Switched together with the server's other feeds",
        (Feature::BootDevice | Feature::IdentifyLight, Role::Controller | Role::Feed) => "",
    }
}
