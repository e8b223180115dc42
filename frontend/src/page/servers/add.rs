//! Adding a server, with the shortcut to its BMC.

use leptos::prelude::*;
use rackhand_wire::api::{
    live::Object,
    server::{AddServer, Server},
};

use crate::{
    api,
    form::Submit,
    live,
    page::sites::site_options,
    part::{
        button::{Button, Kind as Weight},
        callout::ProblemNote,
        dialog::Dialog,
        field::{Kind, SelectField, TextField},
        toast,
    },
    route,
};

/// Takes tags apart at commas and blanks.
pub fn tags(text: &str) -> Vec<String> {
    text.split([',', ' ']).map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

/// The dialog.
#[component]
pub fn AddServerDialog(open: RwSignal<bool>) -> impl IntoView {
    view! {
        <Dialog open title="Add server".to_owned()>
            <Form open/>
        </Dialog>
    }
}

#[derive(Clone, Copy)]
struct Draft {
    name: RwSignal<String>,
    rack: RwSignal<String>,
    site: RwSignal<String>,
    tags: RwSignal<String>,
    bmc: RwSignal<String>,
}

impl Draft {
    fn new() -> Self {
        let empty = || RwSignal::new(String::new());
        Self { name: empty(), rack: empty(), site: empty(), tags: empty(), bmc: empty() }
    }

    fn body(self) -> AddServer {
        AddServer {
            name: self.name.get_untracked().trim().to_owned(),
            rack: self.rack.get_untracked().trim().to_owned(),
            site_id: self.site.get_untracked().parse().ok(),
            tags: tags(&self.tags.get_untracked()),
            notes: String::new(),
        }
    }
}

#[component]
fn Form(open: RwSignal<bool>) -> impl IntoView {
    let draft = Draft::new();
    let submit = Submit::new();
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let body = draft.body();
        submit.post("servers", &body, move |server: Server| {
            live::announce(Object::Server, server.id);
            toast::done(format!("{} added", server.name));
            let bmc = draft.bmc.get_untracked();
            open.set(false);
            let href = if bmc.trim().is_empty() {
                format!("/servers/{}/configuration", server.id)
            } else {
                format!("/servers/{}/configuration?paste={}", server.id, api::encode(bmc.trim()))
            };
            route::go(&href);
        });
    };
    let rest = submit.rest(|field| matches!(field, "name" | "rack" | "site_id" | "tags"));
    view! {
        <form on:submit=send>
            <div class="dialog-body">
                <ProblemNote problem=rest/>
                <div class="fields">
                    <TextField label="Name" name="name" value=draft.name error=submit.at("name") wide=true placeholder="srv-01"/>
                    <TextField label="Rack" name="rack" value=draft.rack error=submit.at("rack") note="optional" placeholder="R1"/>
                    <SelectField label="Site" name="site_id" value=draft.site options=site_options() error=submit.at("site_id") note="optional"/>
                    <TextField
                        label="Tags"
                        name="tags"
                        value=draft.tags
                        error=submit.at("tags")
                        note="optional"
                        wide=true
                        help="Words to find it by, apart by commas"
                    />
                    <TextField
                        label="BMC address"
                        name="bmc"
                        value=draft.bmc
                        note="optional"
                        kind=Kind::Exact
                        wide=true
                        placeholder="10.0.0.7"
                        help="Paste it, and the connection is begun for you"
                    />
                </div>
            </div>
            <footer class="dialog-foot">
                <span class="push"></span>
                <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
                <Button label="Add server".to_owned() kind=Weight::Primary busy=submit.busy/>
            </footer>
        </form>
    }
}
