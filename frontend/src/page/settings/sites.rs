//! Places where servers stand.

use leptos::prelude::*;
use rackhand_wire::api::{
    live::Object,
    page::Page,
    site::{AddSite, ChangeSite, Site},
};

use crate::{
    api,
    draw::live,
    form::Submit,
    held::Held,
    live,
    load::{faces, load},
    page::confirm::{Confirm, Deed},
    part::{
        button::{Button, Kind},
        callout::ProblemNote,
        card::Card,
        dialog::{Dialog, Side},
        empty::Empty,
        field::TextField,
        icon::Icon,
        menu::{Item, Menu},
        skeleton::Skeleton,
        table::follow,
        toast,
    },
};

/// The tab.
#[component]
pub fn Sites() -> impl IntoView {
    let list =
        load::<Page<Site>>(|| Some("sites?limit=500".to_owned()), |change| change.object == Object::Site);
    let edited = RwSignal::new(None::<Site>);
    let open = RwSignal::new(false);
    let removal = RwSignal::new(None::<Deed>);
    let add = Callback::new(move |()| {
        edited.set(None);
        open.set(true);
    });
    let edit = move |site: Site| {
        edited.set(Some(site));
        open.set(true);
    };
    let draw = move |list: Held<Page<Site>>| {
        let none = move || {
            list.with(|list| list.items.is_empty())
                .then(|| view! { <Empty icon="pin" title="No sites yet" text="A site is a place with racks; servers and agents may name theirs."/> })
        };
        view! {
            <div class="card-list">
                {follow(move || list.get().items, |site: &Site| site.id, move |_, site| line(site, edit, removal))}
            </div>
            {live(none)}
        }
        .into_any()
    };
    let title = Signal::derive(move || {
        edited.get().map_or("Add site".to_owned(), |site| format!("Change {}", site.name))
    });
    view! {
        <Card title="Sites" actions=move || view! { <Button label="Add site".to_owned() icon="plus" on_click=add/> }>
            {faces(list, || view! { <Skeleton lines=3/> }.into_any(), draw)}
        </Card>
        <Dialog open title side=Side::Narrow>
            <Form open site=edited.get_untracked()/>
        </Dialog>
        <Confirm asked=removal on_done=Callback::new(move |()| {
            live::announce(Object::Site, "");
            toast::done("Site removed");
        })/>
    }
}

fn line(
    site: Held<Site>,
    edit: impl Fn(Site) + Copy + Send + Sync + 'static,
    removal: RwSignal<Option<Deed>>,
) -> impl IntoView {
    let told = move || {
        let site = site.get();
        let href = format!("/servers?q={}", api::encode(&format!("site:\"{}\"", site.name)));
        let count =
            if site.servers == 1 { "1 server".to_owned() } else { format!("{} servers", site.servers) };
        view! {
            <span class="cut flow"><span class="strong">{site.name}</span> " " <span class="meta">{site.time_zone}</span></span>
            <a href=href>{count}</a>
        }
    };
    let items = move || {
        vec![
            Item::new("Change", "pencil", move || edit(site.get_untracked())),
            Item::new("Remove", "trash", move || removal.set(Some(site.with_untracked(question)))).caution(),
        ]
    };
    view! {
        <div>
            <Icon name="pin"/>
            {live(told)}
            <Menu label=Signal::derive(move || site.with(|site| format!("Actions for {}", site.name))) small="sm" items/>
        </div>
    }
}

fn question(site: &Site) -> Deed {
    let lost = "It can be removed once no server and no agent stands there.";
    Deed::remove(&site.name, lost, format!("sites/{}", site.id))
}

#[component]
fn Form(open: RwSignal<bool>, site: Option<Site>) -> impl IntoView {
    let id = site.as_ref().map(|site| site.id);
    let name = RwSignal::new(site.as_ref().map(|site| site.name.clone()).unwrap_or_default());
    let zone = RwSignal::new(site.map(|site| site.time_zone).unwrap_or_default());
    let submit = Submit::new();
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let typed = name.get_untracked().trim().to_owned();
        let time_zone = Some(zone.get_untracked().trim().to_owned()).filter(|zone| !zone.is_empty());
        let done = move |site: Site| {
            live::announce(Object::Site, site.id);
            toast::done(format!("{} saved", site.name));
            open.set(false);
        };
        match id {
            Some(id) => {
                submit.patch(format!("sites/{id}"), &ChangeSite { name: Some(typed), time_zone }, done);
            }
            None => submit.post("sites", &AddSite { name: typed, time_zone }, done),
        }
    };
    view! {
        <form on:submit=send>
            <div class="dialog-body">
                <ProblemNote problem=submit.rest(|field| matches!(field, "name" | "time_zone"))/>
                <TextField label="Name" name="name" value=name error=submit.at("name") placeholder="FRA2"/>
                <TextField
                    label="Time zone"
                    name="time_zone"
                    value=zone
                    error=submit.at("time_zone")
                    note="optional"
                    placeholder="Europe/Berlin"
                    help="UTC when empty"
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
