//! What happened, for people.

use chrono::{DateTime, Utc};
use rackhand_wire::{
    api::{
        event::{Event, Severity},
        page::{ListQuery, Page},
    },
    id::{AgentId, EndpointId, EventId, JobId, ServerId, TenantId},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
};

use crate::{
    Error, Result, Scope,
    entity::event::{Column, Entity, Model},
    filter::{Term, contains, scoped, terms},
    fresh_id, from_millis, millis, now,
    page::{self, Cursor},
};

/// What is needed to add an event.
#[derive(Default)]
pub struct New {
    /// Stable word.
    pub kind: String,
    /// How much it matters.
    pub severity: Option<Severity>,
    /// One sentence.
    pub message: String,
    /// Who did it.
    pub actor: Option<String>,
    /// The server, with its name.
    pub server: Option<(ServerId, String)>,
    /// The endpoint.
    pub endpoint_id: Option<EndpointId>,
    /// The job.
    pub job_id: Option<JobId>,
    /// The agent.
    pub agent_id: Option<AgentId>,
    /// When it happened, if it is told later.
    pub at: Option<DateTime<Utc>>,
}

/// Adds an event.
///
/// # Errors
/// When the database fails.
pub async fn add(db: &impl ConnectionTrait, tenant: TenantId, new: New) -> Result<Event> {
    let (server_id, server_name) = new.server.map_or((None, None), |(id, name)| (Some(id.0), Some(name)));
    let model = Model {
        id: fresh_id(),
        tenant_id: tenant.0,
        at: millis(new.at.unwrap_or_else(now)),
        kind: new.kind,
        severity: match new.severity.unwrap_or(Severity::Info) {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Alarm => "alarm",
        }
        .into(),
        message: new.message,
        actor: new.actor,
        server_id,
        server_name,
        endpoint_id: new.endpoint_id.map(|id| id.0),
        job_id: new.job_id.map(|id| id.0),
        agent_id: new.agent_id.map(|id| id.0),
    };
    Ok(event(model.into_active_model().insert(db).await?))
}

/// Lists events, newest first. Tokens: `server:ID`, `endpoint:ID`, `agent:ID`, `job:ID`, `severity:alarm`, `kind:power`.
///
/// # Errors
/// A field error for a bad query.
pub async fn list(db: &impl ConnectionTrait, scope: &Scope, query: &ListQuery) -> Result<Page<Event>> {
    let limit = page::limit(query)?;
    page::sort(query, &["at"], "-at")?;
    let mut which = scoped(scope, Column::TenantId);
    for term in terms(query.q.as_deref().unwrap_or_default()) {
        which = which.add(condition(&term)?);
    }
    if let Some(cursor) = Cursor::decode(query)? {
        which = which.add(Column::Id.lt(cursor.id));
    }
    let rows = Entity::find().filter(which).order_by_desc(Column::Id).limit(limit + 1).all(db).await?;
    Ok(page::cut(rows, limit, |row| Cursor::encode("", row.id), event))
}

/// Counts the events of a kind about an agent since then.
///
/// # Errors
/// When the database fails.
pub async fn count(
    db: &impl ConnectionTrait,
    kind: &str,
    agent: AgentId,
    since: DateTime<Utc>,
) -> Result<u64> {
    let which = Condition::all()
        .add(Column::AgentId.eq(agent.0))
        .add(Column::Kind.eq(kind))
        .add(Column::At.gte(millis(since)));
    Ok(Entity::find().filter(which).count(db).await?)
}

fn condition(term: &Term) -> Result<Condition> {
    Ok(match term {
        Term::Word(word) => {
            Condition::any().add(contains(Column::Message, word)).add(contains(Column::Kind, word))
        }
        Term::Token(key, value) => match key.as_str() {
            "server" => Condition::all().add(Column::ServerId.eq(page::id(value)?)),
            "endpoint" => Condition::all().add(Column::EndpointId.eq(page::id(value)?)),
            "agent" => Condition::all().add(Column::AgentId.eq(page::id(value)?)),
            "job" => Condition::all().add(Column::JobId.eq(page::id(value)?)),
            "severity" => {
                let known = page::choice(key, value, &["info", "warning", "alarm"])?;
                Condition::all().add(Column::Severity.eq(known))
            }
            "kind" => Condition::all().add(Column::Kind.starts_with(value.as_str())),
            _ => return Err(Error::Field(page::unknown_token(key))),
        },
    })
}

pub(crate) fn event(row: Model) -> Event {
    Event {
        id: EventId(row.id),
        at: from_millis(row.at),
        kind: row.kind,
        severity: match row.severity.as_str() {
            "alarm" => Severity::Alarm,
            "warning" => Severity::Warning,
            _ => Severity::Info,
        },
        message: row.message,
        actor: row.actor,
        server_id: row.server_id.map(ServerId),
        server_name: row.server_name,
        endpoint_id: row.endpoint_id.map(EndpointId),
        agent_id: row.agent_id.map(AgentId),
        job_id: row.job_id.map(JobId),
    }
}
