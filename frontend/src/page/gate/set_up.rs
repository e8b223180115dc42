//! First set-up: makes the first user with the one-time link that the server printed.

use leptos::prelude::*;
use rackhand_wire::api::session::{Session, Setup};

use crate::{
    draw::live,
    form::Submit,
    part::{
        button::{Button, Kind, Size},
        callout::{Callout, ProblemNote},
        field::{self, SecretField, TextField},
        gate::Gate,
    },
    route, session,
};

/// What helps against a token that is refused.
const OLD_LINK: &str = "This is not the token of the link that was printed last. Restart `rackhand serve` to get a new link, and open that one.";

/// The page.
#[component]
pub fn SetUpPage() -> impl IntoView {
    let token = RwSignal::new(route::query("/setup", "token").get_untracked());
    let came_by_link = token.with_untracked(|token| !token.is_empty());
    let name = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let submit = Submit::new();
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let body = Setup {
            token: token.get_untracked().trim().to_owned(),
            name: name.get_untracked().trim().to_owned(),
            password: password.get_untracked(),
        };
        submit.post("setup", &body, move |session: Session| {
            // The used token must not stay in the history.
            route::replace("/servers");
            session::welcome(session);
        });
    };
    let refused =
        move || submit.problem.with(|problem| problem.as_ref().is_some_and(|problem| problem.status == 403));
    // Once it is asked for, it stays while it is sent again.
    let asked = Memo::new(move |was| was == Some(&true) || !came_by_link || refused());
    let error =
        Signal::derive(move || submit.at("token").get().or_else(|| refused().then(|| OLD_LINK.to_owned())));
    let rest = submit.rest(|field| matches!(field, "token" | "name" | "password"));
    let rest = Signal::derive(move || rest.get().filter(|problem| problem.status != 403));
    let ask_token = move || {
        asked.get().then(|| {
            view! {
                <TextField
                    label="Set-up token"
                    name="token"
                    value=token
                    error
                    kind=field::Kind::Exact
                    help="The end of the link that `rackhand serve` printed when it started"
                />
            }
        })
    };
    view! {
        <Gate title="Set up Rackhand">
            <form class="stack" on:submit=send>
                <Callout title="This is a fresh installation" text="You make its first user, who may do everything."/>
                <ProblemNote problem=rest/>
                {live(ask_token)}
                <TextField label="User name" name="name" value=name error=submit.at("name") autocomplete="username"/>
                <SecretField
                    label="Password"
                    name="password"
                    value=password
                    error=submit.at("password")
                    help="At least 12 characters"
                />
                <Button label="Make the first user".to_owned() kind=Kind::Primary size=Size::Large busy=submit.busy/>
            </form>
        </Gate>
    }
}
