//! Who is signed in. Losing the session keeps the address, so signing in leads back to it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use rackhand_wire::api::{
    problem::Problem,
    session::{Session, SetupState},
    settings::Theme,
};
use std::cell::Cell;

use crate::{api, theme};

/// What is known of the person at the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Being asked.
    Asking,
    /// The backend does not answer.
    Failed(Problem),
    /// The first user must be made.
    SetUp,
    /// Nobody is signed in.
    Out,
    /// Signed in.
    In(Session),
}

thread_local! {
    static STATE: Cell<Option<RwSignal<State>>> = const { Cell::new(None) };
}

/// Makes the signal once, at start, and asks who is signed in.
pub fn start() -> RwSignal<State> {
    let state = RwSignal::new(State::Asking);
    STATE.set(Some(state));
    ask(state);
    state
}

/// Asks again after the backend did not answer.
pub fn ask(state: RwSignal<State>) {
    spawn_local(async move {
        let found = match api::get::<Session>("session").await {
            Ok(session) => {
                welcome(session);
                return;
            }
            Err(problem) if problem.status == 401 => match api::get::<SetupState>("setup").await {
                Ok(setup) if setup.needed => State::SetUp,
                Ok(_) => State::Out,
                Err(problem) => State::Failed(problem),
            },
            Err(problem) => State::Failed(problem),
        };
        state.set(found);
    });
}

/// Takes over a session that was just begun or found.
pub fn welcome(session: Session) {
    api::set_csrf(&session.csrf_token);
    set(State::In(session));
}

/// Looks whether the session still holds, after some session ended somewhere.
pub fn check() {
    spawn_local(async {
        if let Err(problem) = api::get::<Session>("session").await
            && problem.status == 401
        {
            lost();
        }
    });
}

/// Notes that the session has ended.
pub fn lost() {
    api::set_csrf("");
    set(State::Out);
}

/// Ends the session.
pub fn sign_out() {
    spawn_local(async {
        // Whether or not the backend heard it, this browser forgets.
        drop(api::delete("session").await);
        theme::apply(Theme::System);
        lost();
    });
}

/// The signed-in person's id and name.
pub fn user_name() -> String {
    match STATE.get().map(|state| state.get_untracked()) {
        Some(State::In(session)) => session.user.name,
        Some(State::Asking | State::Failed(_) | State::SetUp | State::Out) | None => String::new(),
    }
}

fn set(state: State) {
    if let Some(signal) = STATE.get() {
        signal.set(state);
    }
}
