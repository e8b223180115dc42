//! What a page shows: fetched, kept while it is fetched again, and fetched again when it changed.

use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use rackhand_wire::api::{live::Change, problem::Problem};
use serde::de::DeserializeOwned;
use std::rc::Rc;

use crate::{
    api,
    live::{self, Notice},
    part::empty::Failed,
};

/// Changes that come within this are fetched together.
const GATHER_MS: u32 = 120;

/// Something fetched.
pub struct Load<T: Send + Sync + 'static> {
    /// The last good answer.
    pub value: RwSignal<Option<T>>,
    /// Why the last fetch failed, when it did.
    pub problem: RwSignal<Option<Problem>>,
    /// Fetches again.
    pub again: Callback<()>,
}

impl<T: Send + Sync + 'static> Clone for Load<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for Load<T> {}

/// One fetch at a time. Not generic: what an answer means is behind `settle`.
struct Flight {
    path: Option<String>,
    up: bool,
    dirty: bool,
    settle: Rc<dyn Fn(Result<String, Problem>)>,
}

type Pilot = StoredValue<Flight, LocalStorage>;

/// Fetches `path()` now, whenever it is another one, and whenever `concerns` a change.
pub fn load<T>(
    path: impl Fn() -> Option<String> + Send + Sync + 'static,
    concerns: impl Fn(&Change) -> bool + 'static,
) -> Load<T>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    let value = RwSignal::new(None);
    let problem = RwSignal::new(None);
    // The same text means the same value: nothing is read or drawn anew then.
    let last = StoredValue::new(String::new());
    let settle = move |answer: Result<String, Problem>| {
        let failure = match answer {
            Ok(text) if last.try_with_value(|last| *last == text).unwrap_or(true) => None,
            Ok(text) => api::decode::<T>(&text)
                .map(|new| _ = value.try_set(Some(new)))
                .map(|()| last.set_value(text))
                .err(),
            Err(failure) => Some(failure),
        };
        tell(failure, problem);
    };
    let again = watch(Box::new(path), Box::new(concerns), Rc::new(settle));
    Load { value, problem, again }
}

/// Keeps fetching for as long as the calling component lives.
fn watch(
    path: Box<dyn Fn() -> Option<String> + Send + Sync>,
    concerns: Box<dyn Fn(&Change) -> bool>,
    settle: Rc<dyn Fn(Result<String, Problem>)>,
) -> Callback<()> {
    let pilot = StoredValue::new_local(Flight { path: None, up: false, dirty: false, settle });
    let path = Memo::new(move |_| path());
    Effect::new(move |_| {
        let path = path.get();
        pilot.update_value(|flight| flight.path = path);
        fly(pilot);
    });
    live::listen(move |notice| {
        let due = match notice {
            Notice::Changed(change) => concerns(change),
            Notice::Resync => true,
        };
        if due {
            fly(pilot);
        }
    });
    Callback::new(move |()| fly(pilot))
}

/// Starts a fetch, or notes that one more is due after the present one.
fn fly(pilot: Pilot) {
    let started = pilot.try_update_value(|flight| {
        flight.dirty = true;
        !std::mem::replace(&mut flight.up, true)
    });
    if started != Some(true) {
        return;
    }
    spawn_local(async move {
        loop {
            let next = pilot.try_update_value(|flight| {
                let due = std::mem::replace(&mut flight.dirty, false);
                flight.up = due && flight.path.is_some();
                flight.path.clone().filter(|_| due)
            });
            let Some(Some(path)) = next else { return };
            let answer = api::get_text(path.clone()).await;
            let Some((now, settle)) =
                pilot.try_with_value(|flight| (flight.path.clone(), Rc::clone(&flight.settle)))
            else {
                return;
            };
            if now == Some(path) {
                settle(answer);
                TimeoutFuture::new(GATHER_MS).await;
            } else {
                pilot.try_update_value(|flight| flight.dirty = true);
            }
        }
    });
}

/// Sets a failure, or that there is none, only when that is news.
fn tell(failure: Option<Problem>, problem: RwSignal<Option<Problem>>) {
    if problem.try_with_untracked(|old| *old != failure) == Some(true) {
        problem.set(failure);
    }
}

#[derive(Clone, PartialEq)]
enum Face {
    Loading,
    Failed(Problem),
    Filled,
}

/// Draws the loading, failed or filled face. `filled` is built once and follows its signal.
pub fn faces<T>(
    load: Load<T>,
    shape: impl Fn() -> AnyView + Send + 'static,
    filled: impl Fn(Signal<T>) -> AnyView + Send + 'static,
) -> AnyView
where
    T: Clone + Send + Sync + 'static,
{
    let there = Signal::derive(move || load.value.with(Option::is_some));
    let filled = move || {
        let first = load.value.get_untracked()?;
        Some(filled(Signal::derive(move || load.value.get().unwrap_or_else(|| first.clone()))))
    };
    choose(there, load.problem, load.again, Box::new(shape), Box::new(filled))
}

/// Not generic: compiled once for every page.
fn choose(
    there: Signal<bool>,
    problem: RwSignal<Option<Problem>>,
    again: Callback<()>,
    shape: Box<dyn Fn() -> AnyView + Send>,
    filled: Box<dyn Fn() -> Option<AnyView> + Send>,
) -> AnyView {
    let face =
        Memo::new(
            move |_| {
                if there.get() { Face::Filled } else { problem.get().map_or(Face::Loading, Face::Failed) }
            },
        );
    let draw = move || match face.get() {
        Face::Loading => shape(),
        Face::Failed(problem) => view! { <Failed problem again/> }.into_any(),
        Face::Filled => filled().unwrap_or_else(&shape),
    };
    crate::draw::live(draw)
}
