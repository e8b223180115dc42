//! Filters that a person keeps.

use leptos::{prelude::*, task::spawn_local};
use rackhand_wire::api::{
    live::Object,
    settings::{ChangeSettings, SavedFilter, Settings},
};

use super::Look;
use crate::{
    api,
    draw::live,
    live,
    load::load,
    part::{
        button::{Button, Kind},
        dialog::{Dialog, Side},
        field::TextField,
        menu::{Item, Menu},
        toast,
    },
};

/// The menu of saved filters with saving and forgetting.
#[component]
pub fn SavedFilters(look: Look) -> impl IntoView {
    let settings =
        load::<Settings>(|| Some("settings".to_owned()), |change| change.object == Object::Settings);
    let naming = RwSignal::new(false);
    let name = RwSignal::new(String::new());
    let mine = move || settings.value.get_untracked().map(|settings| settings.user);
    let items = move || {
        let Some(user) = mine() else { return Vec::new() };
        let q = look.q.get_untracked();
        let mut items: Vec<_> = user.saved_filters.iter().map(|saved| open_item(look, saved)).collect();
        match user.saved_filters.iter().find(|saved| saved.q == q) {
            Some(saved) => items.push(forget_item(saved)),
            None if !q.is_empty() => {
                items.push(Item::new("Save this filter", "plus", move || naming.set(true)));
            }
            None => {}
        }
        if items.is_empty() {
            items.push(
                Item::new("Nothing saved yet", "info", || ()).help("Filter the list, then save it here"),
            );
        }
        items
    };
    let save = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let typed = name.get_untracked().trim().to_owned();
        if typed.is_empty() {
            return;
        }
        let saved = SavedFilter { name: typed, q: look.q.get_untracked() };
        naming.set(false);
        name.set(String::new());
        keep(saved, true);
    };
    let nameless =
        Signal::derive(move || name.with(|name| name.trim().is_empty()).then(|| "Give it a name".to_owned()));
    view! {
        <Menu label="Saved filters".to_owned() text="Saved" icon="filter" items/>
        <Dialog open=naming title="Save this filter".to_owned() side=Side::Narrow>
            <form on:submit=save>
                <div class="dialog-body">
                    <TextField label="Name" name="name" value=name/>
                    <p class="meta mono">{live(move || look.q.get())}</p>
                </div>
                <footer class="dialog-foot">
                    <span class="push"></span>
                    <Button label="Cancel".to_owned() on_click=Callback::new(move |()| naming.set(false))/>
                    <Button label="Save".to_owned() kind=Kind::Primary refusal=nameless/>
                </footer>
            </form>
        </Dialog>
    }
}

fn open_item(look: Look, saved: &SavedFilter) -> Item {
    let q = saved.q.clone();
    Item::new(&saved.name, "filter", move || look.filter(q.clone())).help(&saved.q)
}

fn forget_item(saved: &SavedFilter) -> Item {
    let saved = saved.clone();
    Item::new("Forget this filter", "trash", move || {
        keep(saved.clone(), false);
        let before = saved.clone();
        toast::undoable("Filter forgotten", move || keep(before.clone(), true));
    })
}

/// Keeps a filter or forgets it. What else is kept for this person is read anew: another window may have changed it.
fn keep(filter: SavedFilter, wanted: bool) {
    spawn_local(async move {
        let kept = async {
            let mut user = api::get::<Settings>("settings").await?.user;
            user.saved_filters.retain(|other| *other != filter);
            if wanted {
                user.saved_filters.push(filter);
            }
            let change = ChangeSettings { installation: None, user: Some(user) };
            api::patch::<_, Settings>("settings", &change).await
        };
        match kept.await {
            Ok(_) => live::announce(Object::Settings, ""),
            Err(problem) => toast::failed(&problem),
        }
    });
}
