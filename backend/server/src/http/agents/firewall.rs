//! What firewalls on the way must let through.

use actix_web::{get, web};
use rackhand_agent::catalogue;
use rackhand_driver::Flow;
use rackhand_store::{agents, endpoints};
use rackhand_wire::{
    api::{
        agent::{Direction, Firewall, FirewallRule, Transport},
        page::ListQuery,
        problem::Problem,
    },
    id::AgentId,
};
use std::{collections::BTreeMap, net::IpAddr};

use crate::{
    app::App,
    http::{caller::Caller, problem::Refused},
};

/// Ports from which connections are begun.
const ANY: &str = "1024-65535";

/// Lists the rules that firewalls around an agent need, for the devices that it serves now.
#[utoipa::path(tag = "agents", params(("id" = AgentId, Path)), responses((status = 200, body = Firewall), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/agents/{id}/firewall")]
pub async fn firewall(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AgentId>,
) -> Result<web::Json<Firewall>, Refused> {
    let agent = agents::get(app.db.reader(), &caller.scope, id.into_inner()).await?;
    let mut devices = BTreeMap::<Flow, Vec<String>>::new();
    let mut query =
        ListQuery { limit: Some(500), q: Some(format!("agent:{}", agent.id)), ..ListQuery::default() };
    loop {
        let page = endpoints::list(app.db.reader(), &caller.scope, &query).await?;
        for endpoint in page.items {
            let flow = catalogue::find(&endpoint.kind).and_then(|kind| kind.flow(&endpoint.params));
            if let Some(flow) = flow {
                devices.entry(flow).or_default().push(endpoint.name);
            }
        }
        let Some(next) = page.next else { break };
        query.cursor = Some(next);
    }
    let server = (!agent.embedded).then(|| server(&app.config.public_url)).flatten();
    Ok(web::Json(rules(&agent.name, server.as_ref(), &devices)))
}

/// Host and port of a URL.
fn server(url: &str) -> Option<(String, u16)> {
    let url: actix_web::http::Uri = url.parse().ok()?;
    let usual = if url.scheme_str() == Some("http") { 80 } else { 443 };
    let host = url.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some((host, url.port_u16().unwrap_or(usual)))
}

fn rules(agent: &str, server: Option<&(String, u16)>, devices: &BTreeMap<Flow, Vec<String>>) -> Firewall {
    let out = |to: &str, port: u16, protocol: Transport, purpose: String| FirewallRule {
        direction: Direction::Out,
        from: agent.to_owned(),
        from_port: ANY.into(),
        to: to.to_owned(),
        port: port.to_string(),
        protocol,
        purpose,
    };
    let hosts = server.map(|(host, _)| host).into_iter().chain(devices.keys().map(|flow| &flow.host));
    let has_names = hosts.into_iter().any(|host| host.parse::<IpAddr>().is_err());
    let mut stateful = Vec::new();
    if let Some((host, port)) = server {
        stateful.push(out(host, *port, Transport::Tcp, "The agent dials the server".into()));
    }
    if has_names {
        for protocol in [Transport::Udp, Transport::Tcp] {
            stateful.push(out("the site's resolver", 53, protocol, "Names are looked up".into()));
        }
    }
    let mut flows: Vec<_> = devices.iter().map(|(flow, names)| (names.join(", "), flow)).collect();
    flows.sort_unstable();
    for (name, flow) in flows {
        stateful.push(out(&flow.host, flow.port, flow.transport, name));
    }
    let stateless = stateful.iter().flat_map(|rule| [rule.clone(), back(rule)]).collect();
    Firewall { mode: "reverse_tls".into(), stateful, stateless }
}

/// The way of the answers.
fn back(rule: &FirewallRule) -> FirewallRule {
    FirewallRule {
        direction: Direction::In,
        from: rule.to.clone(),
        from_port: rule.port.clone(),
        to: rule.from.clone(),
        port: rule.from_port.clone(),
        protocol: rule.protocol,
        purpose: format!("Answers: {}", rule.purpose),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_where_its_url_says() {
        for (url, host, port) in [
            ("https://rack.example", "rack.example", 443),
            ("https://rack.example:8443/", "rack.example", 8443),
            ("http://127.0.0.1:7000", "127.0.0.1", 7000),
            ("http://[2001:db8::1]", "2001:db8::1", 80),
        ] {
            assert_eq!(server(url), Some((host.to_owned(), port)), "{url}");
        }
    }

    #[test]
    fn rules_stand_in_the_order_of_names_and_devices_behind_one_port_share_one() {
        let flow = |host: &str| Flow { host: host.into(), transport: Transport::Udp, port: 161 };
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let devices = BTreeMap::from([
            (flow("10.0.0.10"), named(&["pdu-b"])),
            (flow("10.0.0.9"), named(&["pdu-a", "pdu-a-again"])),
        ]);
        let told = rules("a", None, &devices).stateful;
        let purposes: Vec<_> = told.iter().map(|rule| rule.purpose.as_str()).collect();
        assert_eq!(purposes, ["pdu-a, pdu-a-again", "pdu-b"]);
    }

    #[test]
    fn names_need_a_resolver_and_every_rule_has_its_way_back() {
        let flow = Flow { host: "10.0.0.7".into(), transport: Transport::Udp, port: 623 };
        let devices = BTreeMap::from([(flow, vec!["bmc".to_owned()])]);
        let named = rules("a", Some(&("rack.example".into(), 443)), &devices);
        assert_eq!(named.stateful.len(), 4);
        let plain = rules("a", Some(&("192.0.2.1".into(), 443)), &devices);
        assert_eq!((plain.stateful.len(), plain.stateless.len()), (2, 4));
        let answer = plain.stateless.last().unwrap();
        assert_eq!((answer.from.as_str(), answer.from_port.as_str()), ("10.0.0.7", "623"));
        assert_eq!((answer.direction, answer.port.as_str()), (Direction::In, ANY));
    }
}
