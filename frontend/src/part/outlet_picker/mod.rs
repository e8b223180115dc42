//! The outlets of a device: what each is, whom it feeds, and a tick to take it.

use crate::draw::{live, whole};
use leptos::prelude::*;
use rackhand_wire::api::endpoint::FedOutlet;

use super::{Tone, badge::Badge, field::outlet_state, icon::Icon};

/// Draws a tick per outlet; `picked` holds the outlets as the device counts them. One that the device
/// names like `server` is marked.
#[component]
pub fn OutletPicker(
    #[prop(into)] outlets: Signal<Vec<FedOutlet>>,
    #[prop(into)] picked: Signal<Vec<String>>,
    on_toggle: Callback<String>,
    #[prop(into)] server: Signal<String>,
) -> impl IntoView {
    let draw = move |outlet: FedOutlet| {
        let (number, same) = (outlet.reading.outlet.clone(), outlet.reading.outlet.clone());
        let feeds: Vec<_> = outlet.servers.iter().map(|server| server.name.clone()).collect();
        let feeds = (!feeds.is_empty()).then(|| {
            view! { <Badge text=format!("feeds {}", feeds.join(", ")) tone=Tone::Degraded icon="plug"/> }
        });
        let fits = server
            .with(|server| named_like(&outlet.reading.name, server))
            .then(|| view! { <Badge text="named like this server" tone=Tone::On icon="check"/> });
        let watts = outlet.reading.watts.map(|watts| format!(", {} W", whole(watts)));
        let locked = outlet
            .reading
            .locked
            .clone()
            .map(|why| view! { <Icon name="lock"/> <span class="meta">{why}</span> });
        view! {
            <label>
                <input
                    class="check"
                    type="checkbox"
                    name=format!("outlet.{number}")
                    prop:checked=move || picked.with(|picked| picked.contains(&number))
                    on:change=move |_| on_toggle.run(same.clone())
                />
                <span class="strong">{outlet.reading.outlet.clone()}</span>
                <span class="row" data-wrap=""><span class="cut">{outlet.reading.name.clone()}</span> {fits} {feeds}</span>
                <span class="row meta">{locked} {outlet_state(&outlet.reading)} {watts}</span>
            </label>
        }
    };
    view! {
        <div class="outlet-picker" role="group" aria-label="Outlets">
            {live(move || outlets.get().into_iter().map(draw).collect::<Vec<_>>())}
        </div>
    }
}

/// Says whether a device's name for an outlet holds the server's name as a whole word: `srv-1` is not `srv-10`.
fn named_like(outlet: &str, server: &str) -> bool {
    let parted = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '/' | '(' | ')' | '_');
    !server.is_empty() && outlet.split(parted).any(|word| word.eq_ignore_ascii_case(server))
}
