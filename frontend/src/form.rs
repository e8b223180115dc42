//! Sending a form: busy while it is under way, each refusal at its field, the rest in one note.

use gloo_net::http::Method;
use leptos::{prelude::*, task::spawn_local};
use rackhand_wire::api::problem::Problem;
use serde::{Serialize, de::DeserializeOwned};
use std::pin::Pin;

use crate::{
    api::{self, Intent},
    focus,
};

/// The state of one form's sending. Copy; lives with the form.
#[derive(Clone, Copy)]
pub struct Submit {
    /// On its way.
    pub busy: RwSignal<bool>,
    /// What was refused last.
    pub problem: RwSignal<Option<Problem>>,
    /// What is meant by sending it.
    pub intent: Intent,
}

impl Submit {
    /// Makes a form's state, at rest.
    pub fn new() -> Self {
        Self { busy: RwSignal::new(false), problem: RwSignal::new(None), intent: Intent::new() }
    }

    /// The form is opened anew: whatever is sent from here on is meant anew.
    pub fn begin(self) {
        self.problem.set(None);
        self.intent.renew();
    }

    /// Follows what is wrong with one field: `name`, `params.host`.
    pub fn at(self, field: impl Into<String>) -> Signal<Option<String>> {
        let field = field.into();
        Signal::derive(move || {
            self.problem.with(|problem| {
                let errors = problem.as_ref().map(|problem| problem.errors.as_slice()).unwrap_or_default();
                errors.iter().find(|error| whole(&error.field) == field).map(|error| error.message.clone())
            })
        })
    }

    /// Follows what no field in sight can show; `shown` says which fields are in sight.
    pub fn rest(self, shown: impl Fn(&str) -> bool + Send + Sync + 'static) -> Signal<Option<Problem>> {
        Signal::derive(move || {
            self.problem.with(|problem| problem.as_ref().and_then(|problem| unseen(problem, &shown)))
        })
    }

    /// Sends, unless it is being sent already, and calls `done` with the answer.
    pub fn run<T: 'static>(
        self,
        work: impl Future<Output = Result<T, Problem>> + 'static,
        done: impl FnOnce(T) + 'static,
    ) {
        self.drive(Box::pin(async move { work.await.map(done).err() }));
    }

    /// Posts `body`, as the same deed as long as it is the same, and calls `done` with the answer.
    pub fn post<T>(self, path: impl Into<String>, body: &impl Serialize, done: impl FnOnce(T) + 'static)
    where
        T: DeserializeOwned + 'static,
    {
        self.exchange(Method::POST, path.into(), Some(api::encode_body(body)), read(done));
    }

    /// Changes what stands at `path` and calls `done` with it as it is now.
    pub fn patch<T>(self, path: impl Into<String>, body: &impl Serialize, done: impl FnOnce(T) + 'static)
    where
        T: DeserializeOwned + 'static,
    {
        self.exchange(Method::PATCH, path.into(), Some(api::encode_body(body)), read(done));
    }

    /// Puts `body` at `path` and calls `done` with it as it is now.
    pub fn put<T>(self, path: impl Into<String>, body: &impl Serialize, done: impl FnOnce(T) + 'static)
    where
        T: DeserializeOwned + 'static,
    {
        self.exchange(Method::PUT, path.into(), Some(api::encode_body(body)), read(done));
    }

    /// Asks for something that needs no more than its path: the answer does not matter.
    pub fn ask(self, method: Method, path: String, done: impl FnOnce() + 'static) {
        let done = move |_: &str| {
            done();
            Ok(())
        };
        self.exchange(method, path, None, Box::new(done));
    }

    /// Not generic: compiled once for every form that sends one request.
    fn exchange(self, method: Method, path: String, body: Option<String>, done: Done) {
        let intent = self.intent;
        self.drive(Box::pin(async move {
            match api::exchange(intent, method, path, body).await {
                Ok(text) => done(&text).err(),
                Err(problem) => Some(problem),
            }
        }));
    }

    /// Not generic: compiled once for every form.
    fn drive(self, work: Pin<Box<dyn Future<Output = Option<Problem>>>>) {
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        self.problem.set(None);
        let sent = focus::active();
        spawn_local(async move {
            let refused = work.await;
            // The form may be gone by now; what was sent still counts.
            self.busy.try_set(false);
            if refused.is_some() {
                self.problem.try_set(refused);
                focus::lead_to_refused(sent);
            }
        });
    }
}

/// Takes the text of an answer.
type Done = Box<dyn FnOnce(&str) -> Result<(), Problem>>;

fn read<T: DeserializeOwned + 'static>(done: impl FnOnce(T) + 'static) -> Done {
    Box::new(move |text| api::decode(text).map(done))
}

/// What is wrong with one part of a list is shown at the list: `tags[0]` at `tags`.
fn whole(field: &str) -> &str {
    field.split_once('[').map_or(field, |(whole, _)| whole)
}

fn unseen(problem: &Problem, shown: &impl Fn(&str) -> bool) -> Option<Problem> {
    let hidden: Vec<_> = problem.errors.iter().filter(|error| !shown(whole(&error.field))).collect();
    if hidden.is_empty() && !problem.errors.is_empty() {
        return None;
    }
    let mut problem = problem.clone();
    let more: Vec<_> = hidden.iter().map(|error| error.message.as_str()).collect();
    if !more.is_empty() {
        problem.detail = Some(more.join(" "));
    }
    Some(problem)
}
