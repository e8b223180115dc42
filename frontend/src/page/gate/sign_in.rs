//! Sign-in. It is drawn in place of any page, so that one comes back to where one was.

use leptos::prelude::*;
use rackhand_wire::api::session::{Session, SignIn};

use crate::{
    form::Submit,
    part::{
        button::{Button, Kind, Size},
        callout::ProblemNote,
        field::{SecretField, TextField},
        gate::Gate,
    },
    session,
};

/// The page.
#[component]
pub fn SignInPage() -> impl IntoView {
    let name = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let submit = Submit::new();
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let body =
            SignIn { name: name.get_untracked().trim().to_owned(), password: password.get_untracked() };
        submit.post::<Session>("session", &body, session::welcome);
    };
    view! {
        <Gate title="Sign in">
            <form class="stack" on:submit=send>
                <ProblemNote problem=submit.rest(|field| matches!(field, "name" | "password"))/>
                <TextField label="User name" name="name" value=name error=submit.at("name") autocomplete="username"/>
                <SecretField
                    label="Password"
                    name="password"
                    value=password
                    error=submit.at("password")
                    autocomplete="current-password"
                />
                <Button label="Sign in".to_owned() kind=Kind::Primary size=Size::Large busy=submit.busy/>
            </form>
        </Gate>
    }
}
