//! The rules that firewalls around an agent need.

use leptos::prelude::*;
use rackhand_wire::api::agent::{Direction, Firewall, FirewallRule, Transport};

use crate::{
    draw::live,
    held::Held,
    part::{card::Card, segmented::Segmented},
};

/// The table, for firewalls of either kind.
pub fn rules(firewall: Held<Firewall>) -> AnyView {
    let stateless = RwSignal::new(false);
    let switch = move || {
        let options = vec![(false, "Stateful"), (true, "Stateless")];
        view! { <Segmented label="Kind of firewall" options chosen=stateless on_choose=move |to| stateless.set(to)/> }
    };
    let rows = move || {
        let all = firewall.get();
        let rules = if stateless.get() { all.stateless } else { all.stateful };
        rules.into_iter().map(row).collect::<Vec<_>>()
    };
    view! {
        <Card title="Firewall" actions=switch>
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"For"</th>
                        <th scope="col">"Protocol"</th>
                        <th class="break"></th>
                        <th scope="col">"From"</th>
                        <th scope="col">"To"</th>
                    </tr>
                </thead>
                <tbody>{live(rows)}</tbody>
            </table>
            <p class="card-foot meta">"The agent dials out; nothing at the site needs an open inbound port."</p>
        </Card>
    }
    .into_any()
}

fn row(rule: FirewallRule) -> AnyView {
    let protocol = match (rule.protocol, rule.direction) {
        (Transport::Tcp, Direction::Out) => "TCP out",
        (Transport::Tcp, Direction::In) => "TCP in",
        (Transport::Udp, Direction::Out) => "UDP out",
        (Transport::Udp, Direction::In) => "UDP in",
    };
    view! {
        <tr>
            <td data-m="title">{rule.purpose}</td>
            <td data-m="end">{protocol}</td>
            <td class="break"></td>
            <td data-m="line">{rule.from} " " <span class="mono meta">{rule.from_port}</span></td>
            <td data-m="line">{rule.to} " " <span class="mono meta">{rule.port}</span></td>
        </tr>
    }
    .into_any()
}
