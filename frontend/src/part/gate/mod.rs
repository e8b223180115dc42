//! The frame of pages before sign-in.

use leptos::prelude::*;

use super::shell::Logo;
use crate::focus;

/// Draws the frame around what is asked.
#[component]
pub fn Gate(#[prop(into)] title: String, children: Children) -> impl IntoView {
    if let Some(page) = web_sys::window().and_then(|window| window.document()) {
        page.set_title(&format!("{title} · Rackhand"));
    }
    // One came to fill this in.
    request_animation_frame(|| focus::lead_to("#main input"));
    view! {
        <div class="gate">
            <main id="main">
                <div class="brand"><Logo/> "Rackhand"</div>
                <h1>{title}</h1>
                {children()}
            </main>
            <footer class="row meta">"Servers through their own controllers, with the outlets behind them"</footer>
        </div>
    }
}
