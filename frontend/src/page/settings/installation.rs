//! How power is read and switched, for every server.

use leptos::prelude::*;
use rackhand_wire::api::{
    live::Object,
    settings::{ChangeSettings, InstallationSettings, Settings},
};

use crate::{
    form::Submit,
    held::Held,
    live,
    part::{
        button::{Button, Kind},
        callout::ProblemNote,
        card::Card,
        field::{self, CheckField, TextField},
        toast,
    },
};

#[derive(Clone, Copy)]
struct Draft {
    poll: RwSignal<String>,
    soft: RwSignal<String>,
    discharge: RwSignal<String>,
    fallback: RwSignal<bool>,
    renewal: RwSignal<String>,
}

impl Draft {
    fn of(settings: &InstallationSettings) -> Self {
        Self {
            poll: RwSignal::new(settings.poll_interval_s.to_string()),
            soft: RwSignal::new(settings.soft_deadline_s.to_string()),
            discharge: RwSignal::new(settings.discharge_s.to_string()),
            fallback: RwSignal::new(settings.fallback_enabled),
            renewal: RwSignal::new(settings.agent_renewal_days.to_string()),
        }
    }

    /// A number that cannot be read becomes 0, which the API refuses at its field.
    fn body(self) -> InstallationSettings {
        let number = |text: RwSignal<String>| text.get_untracked().trim().parse().unwrap_or(0);
        InstallationSettings {
            poll_interval_s: number(self.poll),
            soft_deadline_s: number(self.soft),
            discharge_s: number(self.discharge),
            fallback_enabled: self.fallback.get_untracked(),
            agent_renewal_days: number(self.renewal),
        }
    }
}

/// The card.
#[component]
pub fn Installation(settings: Held<Settings>) -> impl IntoView {
    let draft = Draft::of(&settings.get_untracked().installation);
    let submit = Submit::new();
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let change = ChangeSettings { installation: Some(draft.body()), user: None };
        submit.patch("settings", &change, |_: Settings| {
            live::announce(Object::Settings, "");
            toast::done("Settings saved");
        });
    };
    let at = move |field: &str| submit.at(format!("installation.{field}"));
    let rest = submit.rest(|field| field.starts_with("installation."));
    view! {
        <Card title="Power and agents">
            <form on:submit=send>
                <div class="card-body stack">
                    <ProblemNote problem=rest/>
                    <div class="fields">
                        <TextField
                            label="Read each server every"
                            name="poll_interval_s"
                            value=draft.poll
                            error=at("poll_interval_s")
                            note="seconds"
                            kind=field::Kind::Number
                            help="30 to 3600"
                        />
                        <TextField
                            label="A shutdown may take"
                            name="soft_deadline_s"
                            value=draft.soft
                            error=at("soft_deadline_s")
                            note="seconds"
                            kind=field::Kind::Number
                            help="30 to 600; then the job says that the system did not obey"
                        />
                        <TextField
                            label="Outlets stay off in a cycle for"
                            name="discharge_s"
                            value=draft.discharge
                            error=at("discharge_s")
                            note="seconds"
                            kind=field::Kind::Number
                            help="5 to 60; lets the power supplies discharge"
                        />
                        <TextField
                            label="An expired agent may come back for"
                            name="agent_renewal_days"
                            value=draft.renewal
                            error=at("agent_renewal_days")
                            note="days"
                            kind=field::Kind::Number
                            help="1 to 365; for nothing but renewing its certificate"
                        />
                        <CheckField
                            label="Fall back to the outlets when a BMC is unreachable"
                            name="fallback_enabled"
                            value=draft.fallback
                            wide=true
                            help="Only where the outlets are known to feed all power supplies. Each server may refuse it too."
                        />
                    </div>
                </div>
                <footer class="card-foot">
                    <span class="push"></span>
                    <Button label="Save".to_owned() kind=Kind::Primary busy=submit.busy/>
                </footer>
            </form>
        </Card>
    }
}
