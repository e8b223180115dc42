//! What was filled in, field by field, and how it becomes JSON.

use leptos::prelude::*;
use rackhand_wire::{Field, Input, field::Condition};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The values of a form that is drawn from fields. Copy; lives with the form.
#[derive(Clone, Copy)]
pub struct Values(StoredValue<BTreeMap<String, Entry>>);

#[derive(Clone)]
struct Entry {
    value: RwSignal<String>,
    /// The saved secret is to be removed.
    forget: RwSignal<bool>,
    shown_when: Option<Condition>,
}

impl Values {
    /// Starts with what is saved, else with the defaults.
    pub fn new(fields: &[Field], saved: &Value) -> Self {
        let start = |field: &Field| {
            let known = saved.get(&field.name).filter(|value| !value.is_null());
            // A default is shown where it can be seen; where it cannot, an empty field stands for it.
            let value = known.or(field.default.as_ref().filter(|_| shows_default(&field.input)));
            let value = RwSignal::new(value.map(text).unwrap_or_default());
            let forget = RwSignal::new(false);
            (field.name.clone(), Entry { value, forget, shown_when: field.shown_when.clone() })
        };
        // Inserted one by one: collecting would sort, which costs as much wasm as this whole file.
        let mut values = BTreeMap::new();
        for (name, value) in fields.iter().map(start) {
            values.insert(name, value);
        }
        Self(StoredValue::new(values))
    }

    /// The signal of one field; a field that the form does not have is empty.
    pub fn signal(self, name: &str) -> RwSignal<String> {
        self.entry(name).map_or_else(|| RwSignal::new(String::new()), |entry| entry.value)
    }

    /// Whether the saved secret of that name is to be removed.
    pub fn forget(self, name: &str) -> RwSignal<bool> {
        self.entry(name).map_or_else(|| RwSignal::new(false), |entry| entry.forget)
    }

    fn entry(self, name: &str) -> Option<Entry> {
        self.0.with_value(|values| values.get(name).cloned())
    }

    /// Says whether a field is in sight, given the others. Tracks what it reads.
    pub fn shows(self, field: &Field) -> bool {
        self.holds(field.shown_when.as_ref())
    }

    /// A field that is out of sight itself brings no other one into sight.
    fn holds(self, condition: Option<&Condition>) -> bool {
        let Some(condition) = condition else { return true };
        self.entry(&condition.field).is_some_and(|other| {
            condition.values.contains(&other.value.get()) && self.holds(other.shown_when.as_ref())
        })
    }

    /// The parameters that are in sight and filled in; secrets are not among them.
    pub fn params(self, fields: &[Field]) -> Value {
        let mut params = Map::new();
        for (field, text) in self.filled(fields).filter(|(field, _)| !field.is_secret()) {
            params.insert(field.name.clone(), json(&field.input, text));
        }
        Value::Object(params)
    }

    /// The secrets that are in sight and filled in.
    pub fn secrets(self, fields: &[Field]) -> BTreeMap<String, String> {
        let mut secrets = BTreeMap::new();
        for (field, text) in self.filled(fields).filter(|(field, _)| field.is_secret()) {
            secrets.insert(field.name.clone(), text);
        }
        secrets
    }

    fn filled(self, fields: &[Field]) -> impl Iterator<Item = (&Field, String)> {
        let seen = fields.iter().filter(move |field| self.shows(field));
        seen.map(move |field| (field, self.signal(&field.name).get())).filter(|(_, text)| !text.is_empty())
    }
}

fn shows_default(input: &Input) -> bool {
    match input {
        Input::Choice { .. } | Input::Check => true,
        Input::Text { .. } | Input::Host | Input::Number { .. } | Input::Secret { .. } | Input::Outlet => {
            false
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What is not the number it should be goes as it was typed: the backend says so at the field.
fn json(input: &Input, text: String) -> Value {
    match input {
        Input::Number { .. } => text.trim().parse::<i64>().map_or(Value::String(text), Value::from),
        Input::Check => Value::Bool(text == "true"),
        Input::Host => Value::String(text.trim().to_owned()),
        Input::Text { .. } | Input::Secret { .. } | Input::Choice { .. } | Input::Outlet => {
            Value::String(text)
        }
    }
}
