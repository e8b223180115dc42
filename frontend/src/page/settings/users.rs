//! People who may sign in.

use leptos::{prelude::*, task::spawn_local};
use rackhand_wire::{
    api::{
        live::Object,
        page::Page,
        user::{AddUser, ChangeUser, User},
    },
    id::UserId,
};

use crate::{
    api,
    draw::live,
    form::Submit,
    held::Held,
    load::{faces, load},
    page::confirm::{Confirm, Deed},
    part::{
        Tone,
        avatar::Avatar,
        badge::Badge,
        button::{Button, Kind},
        callout::ProblemNote,
        card::Card,
        dialog::{Dialog, Side},
        field::{SecretField, TextField},
        menu::{Item, Menu},
        skeleton::Skeleton,
        table::follow,
        toast,
    },
    session, time,
};

/// What the dialog is for.
#[derive(Clone, PartialEq)]
enum Edited {
    New,
    Password(UserId, String),
    OwnPassword(UserId),
}

/// The tab.
#[component]
pub fn Users() -> impl IntoView {
    let list =
        load::<Page<User>>(|| Some("users?limit=500".to_owned()), |change| change.object == Object::Record);
    let again = list.again;
    let edited = RwSignal::new(Edited::New);
    let open = RwSignal::new(false);
    let removal = RwSignal::new(None::<Deed>);
    let edit = move |what: Edited| {
        edited.set(what);
        open.set(true);
    };
    let draw = move |list: Held<Page<User>>| {
        view! {
            <div class="card-list">
                {follow(
                    move || list.get().items,
                    |user: &User| user.id,
                    move |_, user| line(user, edit, removal, again),
                )}
            </div>
        }
        .into_any()
    };
    let title = Signal::derive(move || match edited.get() {
        Edited::New => "Add user".to_owned(),
        Edited::Password(_, name) => format!("New password for {name}"),
        Edited::OwnPassword(_) => "Your new password".to_owned(),
    });
    let add = Callback::new(move |()| edit(Edited::New));
    view! {
        <Card title="Users" actions=move || view! { <Button label="Add user".to_owned() icon="plus" on_click=add/> }>
            {faces(list, || view! { <Skeleton lines=3/> }.into_any(), draw)}
        </Card>
        <Dialog open title side=Side::Narrow>
            <Form open edited=edited.get_untracked() again/>
        </Dialog>
        <Confirm asked=removal on_done=Callback::new(move |()| {
            again.run(());
            toast::done("User removed");
        })/>
    }
}

fn line(
    user: Held<User>,
    edit: impl Fn(Edited) + Copy + Send + Sync + 'static,
    removal: RwSignal<Option<Deed>>,
    again: Callback<()>,
) -> impl IntoView {
    // When they were last seen is no reason to draw an open menu anew.
    let who = Memo::new(move |_| user.with(|user| (user.id, user.name.clone(), user.disabled)));
    let items = move || {
        let (id, name, disabled) = who.get();
        let mine = name == session::user_name();
        let (named, removed) = (name.clone(), name);
        let asked = move || if mine { Edited::OwnPassword(id) } else { Edited::Password(id, named.clone()) };
        let mut items = vec![Item::new("New password", "key", move || edit(asked()))];
        if !mine {
            let word = if disabled { "Enable" } else { "Disable" };
            let help =
                if disabled { "May sign in again" } else { "Ends every session and disables every token" };
            items.push(Item::new(word, "lock", move || set_disabled(id, !disabled, again)).help(help));
            items.push(
                Item::new("Remove", "trash", move || removal.set(Some(question(id, &removed)))).caution(),
            );
        }
        items
    };
    let told = move || {
        let User { name, disabled, last_seen_at, .. } = user.get();
        let mine = name == session::user_name();
        let seen = last_seen_at
            .map_or("never signed in".to_owned(), |at| format!("signed in {} ago", time::age(at)));
        view! {
            <Avatar name=name.clone()/>
            <span class="cut flow"><span class="strong">{name}</span> " " {mine.then_some("(you)")}</span>
            {disabled.then(|| view! { <Badge text="Disabled" tone=Tone::Off icon="lock"/> })}
            <span class="meta">{seen}</span>
        }
    };
    view! {
        <div>
            {live(told)}
            <Menu label=Signal::derive(move || user.with(|user| format!("Actions for {}", user.name))) small="sm" items/>
        </div>
    }
}

fn question(id: UserId, name: &str) -> Deed {
    let lost = "Sessions and tokens of this user end at once. What they did stays in the audit chain.";
    Deed::remove(name, lost, format!("users/{id}"))
}

fn set_disabled(id: UserId, disabled: bool, again: Callback<()>) {
    spawn_local(async move {
        let change =
            ChangeUser { name: None, password: None, current_password: None, disabled: Some(disabled) };
        match api::patch::<_, User>(&format!("users/{id}"), &change).await {
            Ok(user) => {
                again.run(());
                let word = if disabled { "disabled" } else { "enabled" };
                toast::undoable(format!("{} {word}", user.name), move || set_disabled(id, !disabled, again));
            }
            Err(problem) => toast::failed(&problem),
        }
    });
}

#[component]
fn Form(open: RwSignal<bool>, edited: Edited, again: Callback<()>) -> impl IntoView {
    let name = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let current = RwSignal::new(String::new());
    let submit = Submit::new();
    let is_new = edited == Edited::New;
    let is_own = matches!(edited, Edited::OwnPassword(_));
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let typed = password.get_untracked();
        let edited = edited.clone();
        let done = move |user: User| {
            again.run(());
            toast::done(format!("{} saved", user.name));
            open.set(false);
        };
        match edited {
            Edited::New => {
                let body = AddUser { name: name.get_untracked().trim().to_owned(), password: typed };
                submit.post("users", &body, done);
            }
            Edited::Password(id, _) | Edited::OwnPassword(id) => {
                let current_password = is_own.then(|| current.get_untracked());
                let body = ChangeUser { name: None, password: Some(typed), current_password, disabled: None };
                submit.patch(format!("users/{id}"), &body, done);
            }
        }
    };
    view! {
        <form on:submit=send>
            <div class="dialog-body">
                <ProblemNote problem=submit.rest(|field| matches!(field, "name" | "current_password" | "password"))/>
                {is_new.then(|| view! { <TextField label="User name" name="name" value=name error=submit.at("name")/> })}
                {is_own.then(|| view! {
                    <SecretField
                        label="Present password"
                        name="current_password"
                        autocomplete="current-password"
                        value=current
                        error=submit.at("current_password")
                    />
                })}
                <SecretField
                    label=if is_own { "New password" } else { "Password" }
                    name="password"
                    value=password
                    error=submit.at("password")
                    help=if is_new { "At least 12 characters" } else { "At least 12 characters; ends the user's other sessions" }
                />
            </div>
            <footer class="dialog-foot">
                <span class="push"></span>
                <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
                <Button label="Save".to_owned() kind=Kind::Primary busy=submit.busy/>
            </footer>
        </form>
    }
}
