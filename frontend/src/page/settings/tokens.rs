//! Bearer tokens for scripts; a token's value is shown once.

use leptos::prelude::*;
use rackhand_wire::api::{
    live::Object,
    page::Page,
    token::{AddToken, NewToken, Token},
};

use crate::{
    draw::live,
    form::Submit,
    held::Held,
    load::{faces, load},
    page::confirm::{Confirm, Deed},
    part::{
        Tone,
        button::{Button, Kind},
        callout::{Callout, ProblemNote},
        card::Card,
        code::Code,
        dialog::{Dialog, Side},
        empty::Empty,
        field::{SelectField, TextField},
        icon::Icon,
        icon_button::IconButton,
        skeleton::Skeleton,
        table::follow,
        toast,
    },
    time,
};

/// The tab.
#[component]
pub fn Tokens() -> impl IntoView {
    let list =
        load::<Page<Token>>(|| Some("tokens?limit=500".to_owned()), |change| change.object == Object::Record);
    let again = list.again;
    let open = RwSignal::new(false);
    let removal = RwSignal::new(None::<Deed>);
    let draw = move |list: Held<Page<Token>>| {
        let none = move || {
            list.with(|list| list.items.is_empty())
                .then(|| view! { <Empty icon="key" title="No tokens yet" text="A token lets a script call the API with your rights."/> })
        };
        view! {
            <div class="card-list">
                {follow(move || list.get().items, |token: &Token| token.id, move |_, token| move || line(token.get(), removal))}
            </div>
            {live(none)}
        }
        .into_any()
    };
    let add = Callback::new(move |()| open.set(true));
    view! {
        <Card title="API tokens" actions=move || view! { <Button label="Make token".to_owned() icon="plus" on_click=add/> }>
            {faces(list, || view! { <Skeleton lines=3/> }.into_any(), draw)}
        </Card>
        <Dialog open title="Make token".to_owned() side=Side::Narrow>
            <Form open again/>
        </Dialog>
        <Confirm asked=removal on_done=Callback::new(move |()| {
            again.run(());
            toast::done("Token removed");
        })/>
    }
}

fn line(token: Token, removal: RwSignal<Option<Deed>>) -> impl IntoView {
    let used = token.last_used_at;
    let ends = token.expires_at.map_or("never ends".to_owned(), |at| format!("ends {}", time::day(at)));
    let lost = "Scripts that use it are refused from now on.";
    let question = Deed::remove(&token.name, lost, format!("tokens/{}", token.id));
    view! {
        <div>
            <Icon name="key"/>
            <span class="cut flow"><span class="strong">{token.name.clone()}</span> " " <span class="mono meta">{format!("{}…", token.prefix)}</span></span>
            <span class="meta only-wide">{ends}</span>
            <span class="meta">{live(move || used.map_or("never used".to_owned(), |at| format!("used {} ago", time::age(at))))}</span>
            <IconButton
                label=format!("Remove {}", token.name)
                icon="trash"
                small="sm"
                on_click=move || removal.set(Some(question.clone()))
            />
        </div>
    }
}

#[component]
fn Form(open: RwSignal<bool>, again: Callback<()>) -> impl IntoView {
    let made = RwSignal::new(None::<NewToken>);
    live(move || match made.get() {
        Some(token) => shown(token, open).into_any(),
        None => view! { <Ask open again made/> }.into_any(),
    })
}

#[component]
fn Ask(open: RwSignal<bool>, again: Callback<()>, made: RwSignal<Option<NewToken>>) -> impl IntoView {
    let name = RwSignal::new(String::new());
    let days = RwSignal::new("90".to_owned());
    let options: Vec<_> = [("30", "30 days"), ("90", "90 days"), ("365", "A year"), ("", "Never")]
        .map(|(value, shown)| (value.to_owned(), shown.to_owned()))
        .into();
    let submit = Submit::new();
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let body = AddToken {
            name: name.get_untracked().trim().to_owned(),
            expires_in_days: days.get_untracked().parse().ok(),
        };
        submit.post("tokens", &body, move |token: NewToken| {
            again.run(());
            made.set(Some(token));
        });
    };
    view! {
        <form on:submit=send>
            <div class="dialog-body">
                <ProblemNote problem=submit.rest(|field| matches!(field, "name" | "expires_in_days"))/>
                <TextField label="What is it for?" name="name" value=name error=submit.at("name") placeholder="inventory script"/>
                <SelectField
                    label="Ends after"
                    name="expires_in_days"
                    value=days
                    options=Signal::stored(options)
                    error=submit.at("expires_in_days")
                />
            </div>
            <footer class="dialog-foot">
                <span class="push"></span>
                <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
                <Button label="Make token".to_owned() kind=Kind::Primary busy=submit.busy/>
            </footer>
        </form>
    }
}

fn shown(token: NewToken, open: RwSignal<bool>) -> impl IntoView {
    view! {
        <div class="dialog-body">
            <Callout title="Copy it now" text="It is shown this once; Rackhand keeps only its hash." tone=Tone::Degraded/>
            <Code text=token.value/>
            <p class="meta">"Send it as " <span class="mono">"Authorization: Bearer …"</span></p>
        </div>
        <footer class="dialog-foot">
            <span class="push"></span>
            <Button label="Done".to_owned() kind=Kind::Primary on_click=Callback::new(move |()| open.set(false))/>
        </footer>
    }
}
