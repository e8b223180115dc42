//! What happened to an agent.

use actix_web::{get, web};
use rackhand_store::{agent_log, agents};
use rackhand_wire::{
    api::{
        audit::AuditRecord,
        event::{Event, Severity},
        page::{ListQuery, Page},
        problem::Problem,
    },
    id::{AgentId, EventId},
};
use serde_json::Value;

use crate::{
    app::App,
    http::{caller::Caller, problem::Refused, query::Query},
};

/// Lists what happened to an agent, newest first: events, and what the audit records tell as events.
#[utoipa::path(tag = "agents", params(("id" = AgentId, Path), ListQuery), responses((status = 200, body = Page<Event>),
    (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[get("/agents/{id}/log")]
pub async fn log(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<AgentId>,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<Event>>, Refused> {
    let agent = agents::get(app.db.reader(), &caller.scope, id.into_inner()).await?;
    if query.0.q.as_deref().is_some_and(|q| !q.trim().is_empty()) {
        return Err(Refused::field("q", "not_supported", "This list has no filter."));
    }
    let page = agent_log::list(app.db.reader(), &caller.scope, agent.id, &query.0).await?;
    Ok(web::Json(Page {
        items: page.items.into_iter().map(|entry| line(agent.id, entry)).collect(),
        next: page.next,
    }))
}

fn line(agent: AgentId, entry: agent_log::Entry) -> Event {
    match entry {
        agent_log::Entry::Event(event) => event,
        agent_log::Entry::Deed(id, record) => of_deed(agent, id, record),
    }
}

fn of_deed(agent: AgentId, id: EventId, record: AuditRecord) -> Event {
    let message = words(&record.action, &record.detail);
    Event {
        id,
        at: record.at,
        severity: if record.action == "agent.revoke" { Severity::Warning } else { Severity::Info },
        kind: record.action,
        message,
        actor: Some(record.actor).filter(|actor| actor != "system"),
        server_id: None,
        server_name: None,
        endpoint_id: None,
        agent_id: Some(agent),
        job_id: None,
    }
}

/// The deed as a sentence.
fn words(action: &str, detail: &Value) -> String {
    let text = |name: &str| detail.get(name).and_then(Value::as_str);
    match action {
        "agent.add" => "Added.".to_owned(),
        "agent.enrol" => {
            let from = text("source_ip").map(|ip| format!(" from {ip}")).unwrap_or_default();
            format!("Enrolled on {}{from}.", text("host").unwrap_or("an unnamed host"))
        }
        "agent.change" => match detail.get("draining").and_then(Value::as_bool) {
            Some(true) => "Draining: it gets no new work.".to_owned(),
            Some(false) => "It gets work again.".to_owned(),
            None => "Name, group or site changed.".to_owned(),
        },
        "agent.replace" if detail.get("force").and_then(Value::as_bool) == Some(true) => {
            "New token made; the identity of before was refused at once.".to_owned()
        }
        "agent.replace" => "New token made.".to_owned(),
        "agent.revoke" => "Revoked: it is refused until it is enrolled again.".to_owned(),
        other => other.to_owned(),
    }
}
