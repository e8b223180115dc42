use rackhand_wire::{
    Feature, Role, Secrets,
    api::{job::JobKind, page::ListQuery},
    id::{EndpointId, ServerId, TenantId},
};
use sea_orm::{ActiveModelTrait, IntoActiveModel};
use serde_json::{Value, json};

use super::*;
use crate::{
    Db, agents,
    bench::{NODE, database},
    connections, endpoints,
    entity::tenant,
    fresh_id, jobs, servers, sites, users,
};

const PROVIDER: TenantId = TenantId::PROVIDER;

#[tokio::test]
async fn a_server_is_found_by_the_present_names_and_addresses_of_what_it_hangs_on() {
    let (db, _folder) = database().await;
    let own = add_server(&db, PROVIDER, "srv-03").await;
    add_server(&db, PROVIDER, "srv-04").await;
    let bmc = add_device(&db, "BMC of srv-03", "10.0.0.7:623").await;
    let pdu = add_device(&db, "Old-A", "Feed.Example:161").await;
    tie(&db, own, bmc, "").await;
    tie(&db, own, pdu, "outlet 7").await;
    for q in ["10.0.0.7", "feed.EXAMPLE:161", "old-A", "outlet 7", "srv-03 10.0.0.7:623"] {
        assert_eq!(listed(&db, q).await, ["srv-03"], "{q}");
        assert!(found(&db, q, 12).await.contains(&(HitKind::Server, "srv-03".to_owned())), "{q}");
    }

    let renamed = endpoints::Change { name: Some("New-B".to_owned()), ..Default::default() };
    endpoints::change(db.writer(), db.keys(), &Scope::provider(), pdu, renamed).await.unwrap();
    assert_eq!(listed(&db, "new-b").await, ["srv-03"]);
    assert!(listed(&db, "old-a").await.is_empty());
}

#[tokio::test]
async fn the_address_of_somebody_elses_device_finds_nothing() {
    let (db, _folder) = database().await;
    let customer = TenantId(fresh_id());
    let path = format!("/{}/", customer.0);
    let row = tenant::Model {
        id: customer.0,
        parent_id: Some(PROVIDER.0),
        path: path.clone(),
        name: "customer".to_owned(),
        created_at: 0,
        audit_seq: 0,
        audit_hash: String::new(),
    };
    row.into_active_model().insert(db.writer()).await.unwrap();
    let own = add_server(&db, customer, "srv-03").await;
    tie(&db, own, add_device(&db, "pdu-a", "10.0.0.9:161").await, "outlet 7").await;
    let scope = Scope::tenant(customer, path);
    for (text, hits) in [("pdu-a", 1), ("10.0.0.9", 0)] {
        assert_eq!(find(db.reader(), &scope, text, 12).await.unwrap().len(), hits, "{text}");
    }
}

#[tokio::test]
async fn everything_is_found_by_its_id() {
    let (db, _folder) = database().await;
    let all = [
        (HitKind::Server, add_server(&db, PROVIDER, "srv-03").await.0),
        (HitKind::Endpoint, add_device(&db, "pdu-a", "10.0.0.9:161").await.0),
        (HitKind::Agent, add_agent(&db, "agent-a").await),
        (HitKind::Site, sites::add(db.writer(), PROVIDER, "Berlin", "UTC").await.unwrap().id.0),
        (HitKind::User, users::add(db.writer(), PROVIDER, "anna", String::new()).await.unwrap().id.0),
        (HitKind::Job, add_job(&db, "Turn off srv-03").await),
    ];
    for (kind, id) in all {
        for text in [id.to_string(), format!(" {} ", id.to_string().to_uppercase())] {
            let hits = find(db.reader(), &Scope::provider(), &text, 12).await.unwrap();
            let hits: Vec<_> = hits.into_iter().map(|hit| (hit.kind, hit.id)).collect();
            assert_eq!(hits, [(kind, id.to_string())]);
        }
    }
}

#[tokio::test]
async fn the_servers_of_a_device_are_not_those_of_one_with_a_longer_name() {
    let (db, _folder) = database().await;
    for (server, device) in [("srv-a", "bmc-1"), ("srv-b", "bmc-10")] {
        let server = add_server(&db, PROVIDER, server).await;
        let device = add_device(&db, device, &format!("{device}.example:161")).await;
        tie(&db, server, device, "outlet 7").await;
        let only = servers::get(db.reader(), &Scope::provider(), server).await.unwrap().name;
        assert_eq!(listed(&db, &format!("device:{device}")).await, [only]);
    }
    assert_eq!(listed(&db, "\"bmc-1\"").await, ["srv-a", "srv-b"], "a word is found anywhere");
}

#[tokio::test]
async fn jobs_are_found_by_their_title_the_newest_first() {
    let (db, _folder) = database().await;
    for title in ["Turn off srv-Ü", "Turn off b", "Reset srv-ü"] {
        add_job(&db, title).await;
    }
    let titles = async |text: &str, limit| {
        let hits = found(&db, text, limit).await.into_iter();
        hits.map(|(_, title)| title).collect::<Vec<_>>()
    };
    assert_eq!(titles("OFF turn", 12).await, ["Turn off b", "Turn off srv-Ü"]);
    assert_eq!(titles("srv-ü", 12).await, ["Reset srv-ü", "Turn off srv-Ü"]);
    assert_eq!(titles("srv", 1).await, ["Reset srv-ü"]);
    assert!(titles("turn on", 12).await.is_empty());
}

#[tokio::test]
async fn an_agent_is_found_in_any_case() {
    let (db, _folder) = database().await;
    add_agent(&db, "Rack-ÄÖ").await;
    for text in ["rack-äö", "RACK-ÄÖ", "k-Äö"] {
        assert_eq!(found(&db, text, 12).await, [(HitKind::Agent, "Rack-ÄÖ".to_owned())], "{text}");
    }
    assert!(found(&db, "rack-äo", 12).await.is_empty());
}

#[tokio::test]
async fn no_kind_pushes_the_others_out() {
    let (db, _folder) = database().await;
    for at in 1..=13 {
        add_server(&db, PROVIDER, &format!("node-{at:02}")).await;
    }
    for at in 1..=3 {
        add_device(&db, &format!("node-pdu-{at}"), &format!("10.0.0.{at}:161")).await;
    }
    add_agent(&db, "node-agent").await;
    let kinds = async |limit| {
        let hits = found(&db, "node", limit).await.into_iter();
        hits.map(|(kind, _)| kind).collect::<Vec<_>>()
    };
    let (server, device, agent) = (HitKind::Server, HitKind::Endpoint, HitKind::Agent);
    assert_eq!(kinds(12).await, [[server; 8].as_slice(), &[device; 3], &[agent]].concat());
    assert_eq!(kinds(3).await, [server, device, agent]);
    assert_eq!(kinds(50).await.len(), 17);
    assert_eq!(found(&db, "node", 12).await[1].1, "node-02", "in order");
}

async fn found(db: &Db, text: &str, limit: u64) -> Vec<(HitKind, String)> {
    let hits = find(db.reader(), &Scope::provider(), text, limit).await.unwrap();
    hits.into_iter().map(|hit| (hit.kind, hit.title)).collect()
}

async fn listed(db: &Db, q: &str) -> Vec<String> {
    let query = ListQuery { q: Some(q.to_owned()), ..ListQuery::default() };
    let page = servers::list(db.reader(), &Scope::provider(), &query).await.unwrap();
    page.items.into_iter().map(|row| row.name).collect()
}

async fn add_server(db: &Db, tenant: TenantId, name: &str) -> ServerId {
    let new = serde_json::from_value(json!({ "name": name })).unwrap();
    servers::add(db.writer(), tenant, new).await.unwrap().id
}

async fn add_device(db: &Db, name: &str, address: &str) -> EndpointId {
    let new = endpoints::New {
        tenant: PROVIDER,
        kind: "snmp_pdu".to_owned(),
        name: name.to_owned(),
        agent_id: None,
        agent_group: None,
        params: json!({}),
        secrets: Secrets::default(),
        address: Some(address.to_owned()),
    };
    endpoints::add(db.writer(), db.keys(), new).await.unwrap().id
}

/// Ties as the API does: the server notes what it is on.
async fn tie(db: &Db, server: ServerId, endpoint: EndpointId, label: &str) {
    let new = connections::New {
        tenant: PROVIDER,
        server,
        endpoint,
        role: Role::Feed,
        target: json!({ "outlet": label }),
        target_label: label.to_owned(),
        features: vec![Feature::Power],
        agent: None,
        group: None,
    };
    connections::add(db.writer(), new).await.unwrap();
    servers::change(db.writer(), &Scope::provider(), server, servers::Change::default()).await.unwrap();
}

async fn add_agent(db: &Db, name: &str) -> Uuid {
    let new = agents::New { tenant: PROVIDER, name, group: "rack", site: None, embedded: false };
    agents::add(db.writer(), new).await.unwrap().id.0
}

async fn add_job(db: &Db, title: &str) -> Uuid {
    let new = jobs::New {
        tenant: PROVIDER,
        kind: JobKind::EndpointTest,
        server: None,
        waits: false,
        endpoint: None,
        power: None,
        title: title.to_owned(),
        requested_by: String::new(),
        source_ip: None,
        request: Value::Null,
        node: NODE,
    };
    jobs::add(db.writer(), new).await.unwrap().id.0
}
