//! Ages and times, in the words of the page.

use chrono::{DateTime, Utc};
use leptos::prelude::*;
use std::{cell::Cell, time::Duration};
use wasm_bindgen::JsValue;

thread_local! {
    static NOW: Cell<Option<RwSignal<i64>>> = const { Cell::new(None) };
}

/// Starts the clock that every age follows, once.
pub fn start() {
    let now = RwSignal::new(millis());
    NOW.set(Some(now));
    let ticking = set_interval_with_handle(move || now.set(millis()), Duration::from_secs(1));
    if let Ok(handle) = ticking {
        on_cleanup(move || handle.clear());
    }
}

/// Milliseconds since 1970, followed second by second.
pub fn now() -> i64 {
    NOW.get().map_or_else(millis, |now| now.get())
}

#[expect(clippy::cast_possible_truncation, reason = "whole milliseconds fit an i64 for ages")]
fn millis() -> i64 {
    js_sys::Date::now() as i64
}

/// How long ago `at` was: `6 s`, `14 min`, `2 h`, `6 d`.
pub fn age(at: DateTime<Utc>) -> String {
    span((now() - at.timestamp_millis()).max(0))
}

/// A length of time in one unit.
pub fn span(millis: i64) -> String {
    let seconds = millis / 1000;
    match seconds {
        ..=89 => format!("{seconds} s"),
        90..=5399 => format!("{} min", (seconds + 30) / 60),
        5400..=172_799 => format!("{} h", (seconds + 1800) / 3600),
        172_800.. => format!("{} d", (seconds + 43_200) / 86_400),
    }
}

/// A length of time as one reads it off a stop watch: `0.4 s`, `20.4 s`, `1 min 12 s`.
pub fn took(millis: i64) -> String {
    let millis = millis.max(0);
    if millis < 60_000 {
        return format!("{}.{} s", millis / 1000, millis % 1000 / 100);
    }
    let seconds = millis / 1000;
    if seconds < 3600 {
        return format!("{} min {:02} s", seconds / 60, seconds % 60);
    }
    format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60)
}

/// Minutes and seconds since a beginning: `1:34`.
pub fn offset(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// A moment in the reader's own zone and language.
pub fn moment(at: DateTime<Utc>) -> String {
    let date = js(at);
    let options = js_sys::Object::new();
    let fields = [
        ("month", "short"),
        ("day", "numeric"),
        ("hour", "2-digit"),
        ("minute", "2-digit"),
        ("second", "2-digit"),
    ];
    for (key, value) in fields {
        // A plain object takes every key.
        drop(js_sys::Reflect::set(&options, &key.into(), &value.into()));
    }
    String::from(date.to_locale_string("en-GB", &options))
}

/// A moment to the day, for what is long ago.
pub fn day(at: DateTime<Utc>) -> String {
    let options = js_sys::Object::new();
    for (key, value) in [("year", "numeric"), ("month", "short"), ("day", "numeric")] {
        // A plain object takes every key.
        drop(js_sys::Reflect::set(&options, &key.into(), &value.into()));
    }
    String::from(js(at).to_locale_string("en-GB", &options))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay below 2^53")]
fn js(at: DateTime<Utc>) -> js_sys::Date {
    js_sys::Date::new(&JsValue::from_f64(at.timestamp_millis() as f64))
}
