//! A form drawn from the fields that an integration describes.

use leptos::prelude::*;
use rackhand_wire::{Field, Input, OutletState, power::OutletReading};
use std::sync::Arc;

use super::{CheckField, Kind, SecretField, SelectField, TextField, Values};
use crate::draw::live;
use crate::form::Submit;

/// Says how a field's name becomes the path that the API gives it: `host` to `params.host`.
pub type PathOf = Arc<dyn Fn(&Field) -> String + Send + Sync>;

/// Draws `fields`; those that are seldom needed fold away. `kept` names the secrets that are saved and
/// stay when left empty; `outlets` are those that the device listed.
#[component]
pub fn FieldForm(
    fields: Vec<Field>,
    values: Values,
    submit: Submit,
    path: PathOf,
    #[prop(optional)] kept: Vec<String>,
    #[prop(optional, into)] outlets: Signal<Vec<OutletReading>>,
) -> impl IntoView {
    let path_of = path.clone();
    let draw = move |field: Field| {
        let error = submit.at(path_of(&field));
        let name = path_of(&field);
        let is_kept = kept.contains(&field.name);
        move || values.shows(&field).then(|| input(&field, &name, values, error, is_kept, outlets))
    };
    let (seldom, usual): (Vec<_>, Vec<_>) = fields.into_iter().partition(|field| field.advanced);
    let usual: Vec<_> = usual.into_iter().map(&draw).collect();
    let wrong: Vec<_> = seldom.iter().map(|field| submit.at(path(field))).collect();
    // What is wrong must be seen; it stays open afterwards.
    let open = Memo::new(move |was| was == Some(&true) || wrong.iter().any(|error| error.get().is_some()));
    let more = (!seldom.is_empty()).then(|| {
        view! {
            <details class="more" open=move || open.get()>
                <summary>"More settings"</summary>
                <div class="fields">{seldom.into_iter().map(&draw).collect::<Vec<_>>()}</div>
            </details>
        }
    });
    view! {
        <div class="fields">{usual}</div>
        {more}
    }
}

fn input(
    field: &Field,
    name: &str,
    values: Values,
    error: Signal<Option<String>>,
    is_kept: bool,
    outlets: Signal<Vec<OutletReading>>,
) -> AnyView {
    let value = values.signal(&field.name);
    let (label, help) = (field.label.clone(), field.help.clone());
    // A choice that has a default is always made.
    let settled = matches!(field.input, Input::Choice { .. }) && field.default.is_some();
    let note = if field.required || settled { "" } else { "optional" };
    let hint = hint(field);
    let name = name.to_owned();
    match &field.input {
        Input::Text { .. } => {
            view! { <TextField label name value error help note placeholder=hint/> }.into_any()
        }
        Input::Host => {
            view! { <TextField label name value error help note placeholder=hint kind=Kind::Exact/> }
                .into_any()
        }
        Input::Number { .. } => {
            view! { <TextField label name value error help note placeholder=hint kind=Kind::Number/> }
                .into_any()
        }
        Input::Secret { .. } => {
            // What an empty field means for a new device would speak against what it means here.
            let (hint, help) = if is_kept {
                ("Saved; leave empty to keep it".to_owned(), String::new())
            } else {
                (hint, help)
            };
            let forget = (is_kept && !field.required).then(|| {
                view! { <CheckField label=format!("Forget “{}”", field.label) name=format!("{name}.forget") value=values.forget(&field.name)/> }
            });
            view! {
                <SecretField label name value error help note placeholder=hint/>
                {forget}
            }
            .into_any()
        }
        Input::Choice { options } => {
            let options: Vec<_> =
                options.iter().map(|choice| (choice.value.clone(), choice.label.clone())).collect();
            view! { <SelectField label name value error help note options=options/> }.into_any()
        }
        Input::Check => view! { <Flag label name value help/> }.into_any(),
        Input::Outlet => {
            view! { <OutletField label name value error help placeholder=hint outlets/> }.into_any()
        }
    }
}

/// A default that an empty field stands for is told as its example.
fn hint(field: &Field) -> String {
    match &field.default {
        Some(value) if field.placeholder.is_empty() => {
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        }
        Some(_) | None => field.placeholder.clone(),
    }
}

/// A yes or no that is kept as the text `true` or `false`.
#[component]
fn Flag(label: String, name: String, value: RwSignal<String>, help: String) -> impl IntoView {
    let flag = RwSignal::new(value.get_untracked() == "true");
    Effect::new(move |_| value.set(flag.get().to_string()));
    view! { <CheckField label name value=flag help/> }
}

/// Picks from the outlets that the device listed; typed while none is known.
#[component]
fn OutletField(
    label: String,
    name: String,
    value: RwSignal<String>,
    error: Signal<Option<String>>,
    help: String,
    placeholder: String,
    outlets: Signal<Vec<OutletReading>>,
) -> impl IntoView {
    let listed = Memo::new(move |_| outlets.with(|outlets| !outlets.is_empty()));
    let options = Signal::derive(move || {
        let none = (String::new(), "Choose an outlet".to_owned());
        let listed = outlets.get().into_iter().map(|outlet| (outlet.outlet.clone(), outlet_words(&outlet)));
        std::iter::once(none).chain(listed).collect::<Vec<_>>()
    });
    live(move || {
        let (label, name, help, placeholder) =
            (label.clone(), name.clone(), help.clone(), placeholder.clone());
        if listed.get() {
            view! { <SelectField label name value error help options/> }.into_any()
        } else {
            view! { <TextField label name value error help placeholder/> }.into_any()
        }
    })
}

/// An outlet in one line: `7, srv-07, on, 71 W`.
pub fn outlet_words(outlet: &OutletReading) -> String {
    let mut words = vec![outlet.outlet.clone()];
    if !outlet.name.is_empty() {
        words.push(outlet.name.clone());
    }
    words.push(outlet_state(outlet).to_owned());
    words.extend(outlet.watts.map(|watts| format!("{} W", crate::draw::whole(watts))));
    words.extend(outlet.locked.clone());
    words.join(", ")
}

/// An outlet's state in a word.
pub fn outlet_state(outlet: &OutletReading) -> &'static str {
    match outlet.state {
        OutletState::On => "on",
        OutletState::Off => "off",
        OutletState::PendingOn => "switching on",
        OutletState::PendingOff => "switching off",
        OutletState::Unknown => "unknown",
    }
}
