//! What is to choose from, one below the other: kinds of integration, and what else there are few of.

use leptos::prelude::*;
use rackhand_wire::{Descriptor, Group};

use super::icon::{Icon, Size};

/// Draws one button per kind, with when to choose it.
#[component]
pub fn KindList(kinds: Vec<Descriptor>, on_choose: Callback<String>) -> impl IntoView {
    let draw = move |descriptor: Descriptor| {
        let take = Callback::new(move |()| on_choose.run(descriptor.kind.clone()));
        choice(group_icon(descriptor.group), &descriptor.title, &descriptor.summary, take)
    };
    choices("Types", kinds.into_iter().map(draw).collect())
}

/// Puts choices together under a name.
pub fn choices(label: &'static str, all: Vec<AnyView>) -> AnyView {
    view! { <div class="kind-list" role="group" aria-label=label>{all}</div> }.into_any()
}

/// Draws one choice and what there is to know of it.
pub fn choice(icon: &'static str, title: &str, summary: &str, take: Callback<()>) -> AnyView {
    view! {
        <button type="button" on:click=move |_| take.run(())>
            <Icon name=icon size=Size::Large/>
            <span class="strong">{title.to_owned()}</span>
            <span class="meta">{summary.to_owned()}</span>
        </button>
    }
    .into_any()
}

/// The icon of a group of kinds.
pub fn group_icon(group: Group) -> &'static str {
    match group {
        Group::ManagementController => "cpu",
        Group::NetworkDevice => "plug",
        Group::Virtualization => "server",
        Group::Provider => "cloud",
    }
}
