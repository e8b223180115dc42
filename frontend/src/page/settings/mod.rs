//! Settings of the installation, of oneself, and the few things that exist once: sites, users, tokens.

mod appearance;
mod installation;
mod sites;
mod tokens;
mod users;

use leptos::{prelude::*, task::spawn_local};
use rackhand_wire::api::{
    live::Object,
    settings::{ChangeSettings, Settings, Theme, UserSettings},
};

use crate::{
    api,
    draw::live,
    held::Held,
    live,
    load::{faces, load},
    part::{
        crumbs,
        page_head::PageHead,
        skeleton::Skeleton,
        tabs::{Tab, Tabs},
        toast,
    },
    route,
};

/// The page with its tabs.
#[component]
pub fn SettingsPage() -> impl IntoView {
    crumbs::stand(|| (Vec::new(), "Settings".to_owned()));
    let tab = route::tab("/settings");
    let draw = move || match tab.get().as_str() {
        "sites" => view! { <sites::Sites/> }.into_any(),
        "users" => view! { <users::Users/> }.into_any(),
        "tokens" => view! { <tokens::Tokens/> }.into_any(),
        _ => view! { <General/> }.into_any(),
    };
    let link = |label, href: &str| Tab { label, href: href.to_owned(), count: None };
    let tabs = move || {
        vec![
            link("General", "/settings"),
            link("Sites", "/settings/sites"),
            link("Users", "/settings/users"),
            link("API tokens", "/settings/tokens"),
        ]
    };
    view! {
        <PageHead title="Settings".to_owned()/>
        <Tabs label="Settings" tabs=Signal::derive(tabs)/>
        {live(draw)}
    }
}

#[component]
fn General() -> impl IntoView {
    let settings =
        load::<Settings>(|| Some("settings".to_owned()), |change| change.object == Object::Settings);
    let draw = |settings: Held<Settings>| {
        view! {
            <div class="columns">
                <installation::Installation settings/>
                <appearance::Appearance settings/>
            </div>
        }
        .into_any()
    };
    faces(settings, || view! { <Skeleton lines=6/> }.into_any(), draw)
}

/// Keeps a theme for the next browser that this person uses.
pub fn remember_theme(settings: Option<Settings>, theme: Theme) {
    if let Some(settings) = settings {
        keep(UserSettings { theme, ..settings.user });
    }
}

fn keep(user: UserSettings) {
    spawn_local(async move {
        let change = ChangeSettings { installation: None, user: Some(user) };
        match api::patch::<_, Settings>("settings", &change).await {
            Ok(_) => live::announce(Object::Settings, ""),
            Err(problem) => toast::failed(&problem),
        }
    });
}
