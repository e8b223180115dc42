//! The box in the top bar that opens the palette.

use leptos::prelude::*;

use super::{icon::Icon, icon_button::IconButton, kbd::Kbd};

/// Draws the box, or only its icon on a phone.
#[component]
pub fn Search(open: RwSignal<bool>) -> impl IntoView {
    view! {
        <button
            class="search push only-wide"
            type="button"
            aria-keyshortcuts="Control+K /"
            aria-haspopup="dialog"
            on:click=move |_| open.set(true)
        >
            <Icon name="search"/>
            <span class="cut">"Search servers, devices, agents, jobs"</span>
            <Kbd key="Ctrl K"/>
        </button>
        <IconButton label="Search".to_owned() icon="search" class="only-phone" on_click=move || open.set(true)/>
    }
}
