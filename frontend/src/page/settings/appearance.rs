//! How it looks, and what runs.

use leptos::prelude::*;
use rackhand_wire::api::settings::{Settings, Theme};

use crate::{
    held::Held,
    part::{
        card::Card,
        facts::{Facts, fact},
        segmented::Segmented,
    },
    theme,
};

/// The two cards at the side.
#[component]
pub fn Appearance(settings: Held<Settings>) -> impl IntoView {
    let chosen = Signal::derive(move || settings.get().user.theme);
    let choose = move |theme: Theme| {
        theme::apply(theme);
        super::remember_theme(Some(settings.get_untracked()), theme);
    };
    let options = vec![(Theme::System, "System"), (Theme::Light, "Light"), (Theme::Dark, "Dark")];
    view! {
        <div class="stack">
            <Card title="Appearance">
                <div class="card-body">
                    <Segmented label="Theme" options chosen on_choose=choose/>
                </div>
            </Card>
            <Card title="This Rackhand">
                <div class="card-body">
                    <Facts>
                        {fact("Version", move || settings.get().version)}
                        {fact("Address", move || settings.get().public_url)}
                        {fact("API", view! { <a href="/api/docs" rel="external">"Documentation"</a> })}
                    </Facts>
                </div>
            </Card>
        </div>
    }
}
