//! Changing what people say of a server: name, rack, site, tags, notes.

use leptos::prelude::*;
use rackhand_wire::api::server::{ChangeServer, Server};

use super::Scene;
use crate::{
    form::Submit,
    page::sites::site_options,
    part::{
        button::{Button, Kind},
        callout::ProblemNote,
        dialog::{Dialog, Side},
        field::{Kind as Typed, SelectField, TextField},
        toast,
    },
};

/// A change that changes nothing.
pub fn nothing() -> ChangeServer {
    ChangeServer {
        name: None,
        rack: None,
        site_id: None,
        tags: None,
        notes: None,
        feeds_complete: None,
        fallback_enabled: None,
        maintenance: None,
        confirm_wiring: false,
        version: None,
    }
}

/// The dialog.
#[component]
pub fn EditServer(scene: Scene, open: RwSignal<bool>) -> impl IntoView {
    let submit = Submit::new();
    view! {
        <Dialog open title="Change server".to_owned() side=Side::Middle busy=submit.busy>
            <Body scene open submit/>
        </Dialog>
    }
}

#[component]
fn Body(scene: Scene, open: RwSignal<bool>, submit: Submit) -> impl IntoView {
    submit.problem.set(None);
    let server = scene.server.get_untracked();
    let name = RwSignal::new(server.name);
    let rack = RwSignal::new(server.rack);
    let site = RwSignal::new(server.site_id.map(|id| id.to_string()).unwrap_or_default());
    let tags = RwSignal::new(server.tags.join(" "));
    let notes = RwSignal::new(server.notes);
    let version = server.version;
    let save = Callback::new(move |()| {
        let body = ChangeServer {
            name: Some(name.get_untracked()),
            rack: Some(rack.get_untracked()),
            site_id: Some(site.get_untracked().parse().ok()),
            tags: Some(words(&tags.get_untracked())),
            notes: Some(notes.get_untracked()),
            version: Some(version),
            ..nothing()
        };
        let path = scene.path("");
        submit.patch(path, &body, move |_: Server| {
            open.try_set(false);
            toast::done("Saved");
            scene.again.try_run(());
        });
    });
    let shown = |field: &str| matches!(field, "name" | "rack" | "site_id" | "tags" | "notes");
    view! {
        <div class="dialog-body">
            <div class="fields">
                <TextField label="Name" name="name" value=name error=submit.at("name")/>
                <TextField label="Rack" name="rack" value=rack error=submit.at("rack") note="optional"/>
                <SelectField label="Site" name="site_id" value=site options=site_options() error=submit.at("site_id")/>
                <TextField label="Tags" name="tags" value=tags error=submit.at("tags") note="optional" help="Words, with spaces between them."/>
                <TextField label="Notes" name="notes" value=notes error=submit.at("notes") note="optional" kind=Typed::Lines wide=true/>
            </div>
            <ProblemNote problem=submit.rest(shown)/>
        </div>
        <footer class="dialog-foot">
            <span class="push"></span>
            <Button label="Cancel".to_owned() on_click=Callback::new(move |()| open.set(false))/>
            <Button label="Save".to_owned() kind=Kind::Primary busy=submit.busy on_click=save/>
        </footer>
    }
}

fn words(text: &str) -> Vec<String> {
    text.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
