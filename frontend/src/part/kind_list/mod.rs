//! The kinds of integration to choose from.

use leptos::prelude::*;
use rackhand_wire::{Descriptor, Group};

use super::icon::{Icon, Size};

/// Draws one button per kind, with when to choose it.
#[component]
pub fn KindList(kinds: Vec<Descriptor>, on_choose: Callback<String>) -> impl IntoView {
    let draw = move |descriptor: Descriptor| {
        let kind = descriptor.kind.clone();
        view! {
            <button type="button" data-kind=descriptor.kind.clone() on:click=move |_| on_choose.run(kind.clone())>
                <Icon name=group_icon(descriptor.group) size=Size::Large/>
                <span class="strong">{descriptor.title}</span>
                <span class="meta">{descriptor.summary}</span>
            </button>
        }
    };
    view! {
        <div class="kind-list" role="group" aria-label="Types">
            {kinds.into_iter().map(draw).collect::<Vec<_>>()}
        </div>
    }
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
