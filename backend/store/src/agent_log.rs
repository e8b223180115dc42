//! What happened to one agent: its events and the audit records about it, as one list.

use rackhand_wire::{
    api::{
        audit::AuditRecord,
        event::Event,
        page::{ListQuery, Page},
    },
    id::{AgentId, EventId},
};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::{
    Result, Scope,
    entity::{audit, event},
    filter::scoped,
    page::{self, Cursor},
};

/// One line of the list.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// What happened.
    Event(Event),
    /// What somebody did; its number stands for an id.
    Deed(EventId, AuditRecord),
}

/// Where a line stands: its time, and its id or number among those of the same moment.
type Position = (i64, Uuid);

/// Lists what happened, newest first.
///
/// # Errors
/// A field error for a bad query.
pub async fn list(
    db: &impl ConnectionTrait,
    scope: &Scope,
    agent: AgentId,
    query: &ListQuery,
) -> Result<Page<Entry>> {
    let limit = page::limit(query)?;
    page::sort(query, &["at"], "-at")?;
    let before = match Cursor::decode(query)? {
        Some(cursor) => Some((cursor.number()?, cursor.id)),
        None => None,
    };
    let mut rows = deeds(db, scope, agent, before, limit).await?;
    rows.extend(events(db, scope, agent, before, limit).await?);
    rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    Ok(page::cut(rows, limit, |((at, id), _)| Cursor::encode(&at.to_string(), *id), |(_, entry)| entry))
}

async fn events(
    db: &impl ConnectionTrait,
    scope: &Scope,
    agent: AgentId,
    before: Option<Position>,
    limit: u64,
) -> Result<Vec<(Position, Entry)>> {
    use event::{Column, Entity};
    let mut which = scoped(scope, Column::TenantId).add(Column::AgentId.eq(agent.0));
    if let Some((at, id)) = before {
        let same = Condition::all().add(Column::At.eq(at)).add(Column::Id.lt(id));
        which = which.add(Condition::any().add(Column::At.lt(at)).add(same));
    }
    let rows = Entity::find().filter(which).order_by_desc(Column::At).order_by_desc(Column::Id);
    let rows = rows.limit(limit + 1).all(db).await?;
    Ok(rows.into_iter().map(|row| ((row.at, row.id), Entry::Event(crate::events::event(row)))).collect())
}

/// Records have numbers, not ids: as ids they come before those of all events of the same moment.
async fn deeds(
    db: &impl ConnectionTrait,
    scope: &Scope,
    agent: AgentId,
    before: Option<Position>,
    limit: u64,
) -> Result<Vec<(Position, Entry)>> {
    use audit::{Column, Entity};
    let object = format!("agent/{agent}");
    let mut which = scoped(scope, Column::TenantId).add(Column::Object.eq(object));
    if let Some((at, id)) = before {
        // The id of an event is greater than every number.
        let number = i64::try_from(id.as_u128()).unwrap_or(i64::MAX);
        let same = Condition::all().add(Column::At.eq(at)).add(Column::Seq.lt(number));
        which = which.add(Condition::any().add(Column::At.lt(at)).add(same));
    }
    let rows = Entity::find().filter(which).order_by_desc(Column::At).order_by_desc(Column::Seq);
    let rows = rows.limit(limit + 1).all(db).await?;
    let place = |seq: i64| Uuid::from_u128(u128::try_from(seq).unwrap_or_default());
    Ok(rows
        .into_iter()
        .map(|row| {
            let id = place(row.seq);
            ((row.at, id), Entry::Deed(EventId(id), crate::audit::record(row)))
        })
        .collect())
}
