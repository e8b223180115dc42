//! First set-up: makes the first user with the one-time link that the server printed.

use leptos::prelude::*;
use rackhand_wire::api::session::{Session, Setup};

use super::Gate;
use crate::{
    api,
    draw::live,
    form::Submit,
    part::{
        button::{Button, Kind, Size},
        callout::{Callout, ProblemNote},
        field::{self, SecretField, TextField},
    },
    route, session,
};

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
        submit.run(async move { api::post::<_, Session>("setup", &body).await }, move |session| {
            // The used token must not stay in the history.
            route::replace("/servers");
            session::welcome(session);
        });
    };
    let ask_token = move || {
        let refused =
            submit.problem.with(|problem| problem.as_ref().is_some_and(|problem| problem.status == 403));
        (!came_by_link || refused).then(|| {
            view! {
                <TextField
                    label="Set-up token"
                    name="token"
                    value=token
                    error=submit.at("token")
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
                <ProblemNote problem=submit.rest(|field| matches!(field, "token" | "name" | "password"))/>
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
