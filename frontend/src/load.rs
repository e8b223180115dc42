//! What a page shows: fetched, kept while it is fetched again, and fetched again when it changed.

use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use rackhand_wire::api::{live::Change, problem::Problem};
use serde::de::DeserializeOwned;
use std::rc::Rc;

use crate::{
    api, focus,
    held::{Held, Slot, Thing},
    live::{self, Notice},
    part::empty::Failed,
};

/// Changes that come within this are fetched together.
const GATHER_MS: u32 = 120;

/// The status of a question that cannot be answered as it is asked, such as an unknown word in a filter.
const REFUSED: u16 = 422;

/// Something fetched. Copy; lives with its page.
pub struct Load<T> {
    /// The last good answer.
    pub value: Slot<T>,
    /// Why the last fetch failed, when it did.
    pub problem: RwSignal<Option<Problem>>,
    /// Fetches again.
    pub again: Callback<()>,
}

impl<T> Clone for Load<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Load<T> {}

/// Takes the answer to a path.
type Settle = Rc<dyn Fn(&str, Result<String, Problem>)>;

/// One fetch at a time. Not generic: what an answer means is behind `settle`.
struct Flight {
    path: Option<String>,
    up: bool,
    dirty: bool,
    settle: Settle,
}

type Pilot = StoredValue<Flight, LocalStorage>;

/// Fetches `path()` now, whenever it is another one, and whenever `concerns` a change.
pub fn load<T>(
    path: impl Fn() -> Option<String> + Send + Sync + 'static,
    concerns: impl Fn(&Change) -> bool + 'static,
) -> Load<T>
where
    T: DeserializeOwned + Clone + PartialEq + Send + Sync + 'static,
{
    let value = Slot::new();
    let (problem, again) = watch(Box::new(path), Box::new(concerns), value.thing(), decode::<T>);
    Load { value, problem, again }
}

fn decode<T>(text: &str) -> Result<Thing, Problem>
where
    T: DeserializeOwned + PartialEq + Send + Sync + 'static,
{
    api::decode::<T>(text).map(Thing::new)
}

/// Keeps fetching for as long as the calling component lives. Not generic: compiled once.
fn watch(
    path: Box<dyn Fn() -> Option<String> + Send + Sync>,
    concerns: Box<dyn Fn(&Change) -> bool>,
    value: RwSignal<Option<Thing>>,
    decode: fn(&str) -> Result<Thing, Problem>,
) -> (RwSignal<Option<Problem>>, Callback<()>) {
    let problem = RwSignal::new(None);
    // The same text means the same value: nothing is read or drawn anew then.
    let last = StoredValue::new((String::new(), String::new()));
    let settle = move |path: &str, answer: Result<String, Problem>| {
        let failure = match answer {
            Ok(text) if last.try_with_value(|(_, last)| *last == text).unwrap_or(true) => {
                last.try_update_value(|(of, _)| path.clone_into(of));
                None
            }
            Ok(text) => decode(&text)
                .map(|new| _ = value.try_set(Some(new)))
                .map(|()| last.set_value((path.to_owned(), text)))
                .err(),
            Err(failure) => Some(failure),
        };
        // The answer to another question is none to this one, and a refused question has none at all.
        let stale = failure.as_ref().is_some_and(|failure| {
            failure.status == REFUSED || last.try_with_value(|(of, _)| of != path).unwrap_or(false)
        });
        tell(failure, problem);
        if stale && value.try_with_untracked(Option::is_some) == Some(true) {
            last.set_value(Default::default());
            value.set(None);
        }
    };
    let settle = Rc::new(settle);
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
    (problem, Callback::new(move |()| fly(pilot)))
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
            if now.as_ref() == Some(&path) {
                settle(&path, answer);
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

/// Draws the loading, failed or filled face. `filled` is built once and follows what it is given.
pub fn faces<T>(
    load: Load<T>,
    shape: impl Fn() -> AnyView + Send + 'static,
    filled: impl Fn(Held<T>) -> AnyView + Send + 'static,
) -> AnyView
where
    T: Clone + PartialEq + Send + Sync + 'static,
{
    choose(
        load.value.thing(),
        load.problem,
        load.again,
        Box::new(shape),
        Box::new(move |thing| filled(Held::new(thing))),
    )
}

/// Not generic: compiled once for every page.
fn choose(
    value: RwSignal<Option<Thing>>,
    problem: RwSignal<Option<Problem>>,
    again: Callback<()>,
    shape: Box<dyn Fn() -> AnyView + Send>,
    filled: Box<dyn Fn(Signal<Thing>) -> AnyView + Send>,
) -> AnyView {
    let there = Signal::derive(move || value.with(Option::is_some));
    let face =
        Memo::new(
            move |_| {
                if there.get() { Face::Filled } else { problem.get().map_or(Face::Loading, Face::Failed) }
            },
        );
    let draw = move || match (face.get(), value.get_untracked()) {
        (Face::Failed(problem), _) => view! { <Failed problem again/> }.into_any(),
        (Face::Loading, _) | (Face::Filled, None) => shape(),
        (Face::Filled, Some(first)) => {
            request_animation_frame(focus::enter_window);
            filled(Signal::derive(move || value.get().unwrap_or_else(|| first.clone())))
        }
    };
    crate::draw::live(draw)
}
