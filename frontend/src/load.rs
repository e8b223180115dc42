//! What a page shows: fetched, kept while it is fetched again, and fetched again when it changed.

use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use rackhand_wire::api::{live::Change, problem::Problem};
use serde::de::DeserializeOwned;

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

#[derive(Default)]
struct Flight {
    path: Option<String>,
    up: bool,
    dirty: bool,
}

/// Fetches `path()` now, whenever it is another one, and whenever `concerns` a change.
pub fn load<T>(
    path: impl Fn() -> Option<String> + Send + Sync + 'static,
    concerns: impl Fn(&Change) -> bool + 'static,
) -> Load<T>
where
    T: DeserializeOwned + Clone + PartialEq + Send + Sync + 'static,
{
    let value = RwSignal::new(None);
    let problem = RwSignal::new(None);
    let flight = StoredValue::new(Flight::default());
    let again = Callback::new(move |()| fly(flight, value, problem));
    let path = Memo::new(move |_| path());
    Effect::new(move |_| {
        let path = path.get();
        flight.update_value(|flight| flight.path = path);
        fly(flight, value, problem);
    });
    live::listen(move |notice| {
        let due = match notice {
            Notice::Changed(change) => concerns(change),
            Notice::Resync => value.try_with_untracked(Option::is_some).unwrap_or(false),
        };
        if due {
            fly(flight, value, problem);
        }
    });
    Load { value, problem, again }
}

/// Starts a fetch, or notes that one more is due after the present one.
fn fly<T>(flight: StoredValue<Flight>, value: RwSignal<Option<T>>, problem: RwSignal<Option<Problem>>)
where
    T: DeserializeOwned + Clone + PartialEq + Send + Sync + 'static,
{
    let started = flight.try_update_value(|flight| {
        flight.dirty = true;
        !std::mem::replace(&mut flight.up, true)
    });
    if started != Some(true) {
        return;
    }
    spawn_local(async move {
        loop {
            let next = flight.try_update_value(|flight| {
                let due = std::mem::replace(&mut flight.dirty, false);
                flight.up = due && flight.path.is_some();
                flight.path.clone().filter(|_| due)
            });
            let Some(Some(path)) = next else { return };
            let answer = api::get::<T>(&path).await;
            let Some(now) = flight.try_with_value(|flight| flight.path.clone()) else { return };
            if now.as_deref() != Some(&path) {
                continue;
            }
            settle(answer, value, problem);
            TimeoutFuture::new(GATHER_MS).await;
        }
    });
}

/// Sets only what differs, so that nothing is drawn anew without need.
fn settle<T>(answer: Result<T, Problem>, value: RwSignal<Option<T>>, problem: RwSignal<Option<Problem>>)
where
    T: Clone + PartialEq + Send + Sync + 'static,
{
    let failure = match answer {
        Ok(new) => {
            if value.try_with_untracked(|old| old.as_ref() != Some(&new)) == Some(true) {
                value.set(Some(new));
            }
            None
        }
        Err(failure) => Some(failure),
    };
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
    T: Clone + PartialEq + Send + Sync + 'static,
{
    let face = Memo::new(move |_| {
        if load.value.with(Option::is_some) {
            return Face::Filled;
        }
        load.problem.get().map_or(Face::Loading, Face::Failed)
    });
    (move || match face.get() {
        Face::Loading => shape(),
        Face::Failed(problem) => view! { <Failed problem again=load.again/> }.into_any(),
        Face::Filled => match load.value.get_untracked() {
            Some(first) => filled(Signal::derive(move || load.value.get().unwrap_or_else(|| first.clone()))),
            None => shape(),
        },
    })
    .into_any()
}
