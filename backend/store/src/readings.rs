//! What the paths of servers say: readings as they are stored, and as they are shown.

use chrono::{DateTime, Utc};
use rackhand_wire::{
    Fault, Feature, Role,
    api::server::PathBrief,
    id::{AgentId, ConnectionId, EndpointId, ServerId},
    power::{PathEvidence, PathState, RestorePolicy},
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DerivePartialModel, EntityTrait, JoinType, QueryFilter,
    QueryOrder, QuerySelect, RelationDef, Set, sea_query::Expr,
};
use serde_json::Value;
use std::collections::HashMap;

use crate::{
    Result,
    connections::label,
    entity::{
        connection::{ActiveModel, Column, Entity},
        endpoint,
    },
    from_millis, millis, now,
    steps::parsed,
};

/// What a read of a path found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// What it said.
    pub state: Option<PathState>,
    /// Why it did not.
    pub fault: Option<Fault>,
    /// Power drawn.
    pub watts: Option<f64>,
    /// Restore policy.
    pub restore_policy: Option<RestorePolicy>,
    /// When it was read.
    pub at: DateTime<Utc>,
}

/// Stores what paths said alike, save those that have said something later. Gives those of which it was stored.
///
/// # Errors
/// When the database fails.
pub async fn store(
    db: &impl ConnectionTrait,
    ids: &[ConnectionId],
    reading: &Reading,
) -> Result<Vec<ConnectionId>> {
    if put(db, ids, reading).await? == ids.len() {
        return Ok(ids.to_vec());
    }
    // Some have gone, or have said something later: that storing it again is refused tells which.
    let mut stored = Vec::new();
    for id in ids {
        if put(db, std::slice::from_ref(id), reading).await? > 0 {
            stored.push(*id);
        }
    }
    Ok(stored)
}

async fn put(db: &impl ConnectionTrait, ids: &[ConnectionId], reading: &Reading) -> Result<usize> {
    let mut model = ActiveModel {
        state: Set(reading.state.map(|state| state_word(state).into())),
        fault: Set(reading.fault.as_ref().map(serde_json::to_value).transpose()?),
        watts: Set(reading.watts),
        checked_at: Set(Some(millis(reading.at))),
        ..Default::default()
    };
    // A silent BMC does not forget its policy.
    if let Some(policy) = reading.restore_policy {
        model.restore_policy = Set(serde_json::to_value(policy)?.as_str().map(str::to_owned));
    }
    // What was asked earlier and answered later says nothing of the present.
    // What comes from the future was dated by a clock that has been set back since.
    let newer = Condition::any()
        .add(Column::CheckedAt.is_null())
        .add(Column::CheckedAt.lte(millis(reading.at)))
        .add(Column::CheckedAt.gt(millis(now())));
    let these = Column::Id.is_in(ids.iter().map(|id| id.0));
    let done = Entity::update_many().set(model).filter(these).filter(newer).exec(db).await?;
    Ok(usize::try_from(done.rows_affected).unwrap_or(usize::MAX))
}

/// Forgets what the controllers of a server said until then.
///
/// # Errors
/// When the database fails.
pub async fn forget_controllers(
    db: &impl ConnectionTrait,
    server: ServerId,
    until: DateTime<Utc>,
) -> Result<()> {
    let unsaid = ActiveModel { state: Set(None), ..Default::default() };
    let which = Condition::all()
        .add(Column::ServerId.eq(server.0))
        .add(Column::Role.eq("controller"))
        .add(Column::CheckedAt.lte(millis(until)));
    Entity::update_many().set(unsaid).filter(which).exec(db).await?;
    Ok(())
}

/// Forgets what the paths of a server said, so that only fresh readings count.
///
/// # Errors
/// When the database fails.
pub async fn forget(db: &impl ConnectionTrait, server: ServerId) -> Result<()> {
    let model = ActiveModel {
        state: Set(None),
        fault: Set(None),
        watts: Set(None),
        checked_at: Set(None),
        ..Default::default()
    };
    Entity::update_many().set(model).filter(Column::ServerId.eq(server.0)).exec(db).await?;
    Ok(())
}

/// Says what the paths of servers last said; only those with power ticked.
///
/// # Errors
/// When the database fails.
pub async fn evidence(
    db: &impl ConnectionTrait,
    servers: &[ServerId],
) -> Result<HashMap<ServerId, Vec<PathEvidence>>> {
    let of = Entity::find().filter(Column::ServerId.is_in(servers.iter().map(|id| id.0)));
    let ordered = of.order_by_asc(Column::Role).order_by_asc(Column::Id);
    let rows = ordered.join(JoinType::InnerJoin, to_endpoint()).into_partial_model::<Told>().all(db).await?;
    let mut evidence: HashMap<ServerId, Vec<PathEvidence>> = HashMap::new();
    for row in rows {
        if has_power(&row.features) {
            evidence.entry(ServerId(row.server_id)).or_default().push(path(row)?);
        }
    }
    Ok(evidence)
}

/// What a path said, with the name of its endpoint: that one's outlets, which are long, are left where they are.
#[derive(DerivePartialModel)]
#[sea_orm(entity = "Entity")]
struct Told {
    id: uuid::Uuid,
    server_id: uuid::Uuid,
    role: String,
    target_label: String,
    features: Value,
    state: Option<String>,
    fault: Option<Value>,
    checked_at: Option<i64>,
    watts: Option<f64>,
    restore_policy: Option<String>,
    #[sea_orm(from_expr = "Expr::col((endpoint::Entity, endpoint::Column::Name))")]
    endpoint: String,
}

fn to_endpoint() -> RelationDef {
    Entity::belongs_to(endpoint::Entity).from(Column::EndpointId).to(endpoint::Column::Id).into()
}

/// Server, name of the device, place on it, features, whether it was asked, whether it answered, what it said.
type Short = (uuid::Uuid, String, String, Value, bool, bool, Option<String>);

/// Says in brief what the paths of many servers last said, for lists: a row costs what it carries, so this
/// carries little.
///
/// # Errors
/// When the database fails.
pub async fn briefs(
    db: &impl ConnectionTrait,
    servers: &[ServerId],
) -> Result<HashMap<ServerId, Vec<PathBrief>>> {
    let rows: Vec<Short> = Entity::find()
        .select_only()
        .columns([Column::ServerId])
        .column(endpoint::Column::Name)
        .columns([Column::TargetLabel, Column::Features])
        .column_as(Column::CheckedAt.is_not_null(), "asked")
        .column_as(Column::Fault.is_null(), "well")
        .column(Column::State)
        .join(JoinType::InnerJoin, to_endpoint())
        .filter(Column::ServerId.is_in(servers.iter().map(|id| id.0)))
        .order_by_asc(Column::Role)
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(db)
        .await?;
    let mut briefs: HashMap<ServerId, Vec<PathBrief>> = HashMap::new();
    for (server, endpoint, target, features, asked, well, state) in rows {
        if has_power(&features) {
            let is_off = well && state.as_deref() == Some("feed_off");
            let (label, ok) = (label(&endpoint, &target), asked.then_some(well));
            let brief = PathBrief { label, ok, is_off, agent_away: false };
            briefs.entry(ServerId(server)).or_default().push(brief);
        }
    }
    Ok(briefs)
}

/// A path, and whom it names to be asked through.
pub struct Through {
    /// The device.
    pub endpoint: EndpointId,
    /// What it does for the server.
    pub role: Role,
    /// One agent.
    pub agent: Option<AgentId>,
    /// A group of agents.
    pub group: Option<String>,
}

/// Says of the paths of many servers, in the order of their [`briefs`], whom they are asked through.
///
/// # Errors
/// When the database fails.
pub async fn through(
    db: &impl ConnectionTrait,
    servers: &[ServerId],
) -> Result<HashMap<ServerId, Vec<Through>>> {
    type Row = (uuid::Uuid, uuid::Uuid, String, Value, Option<uuid::Uuid>, Option<String>);
    let rows: Vec<Row> = Entity::find()
        .select_only()
        .columns([Column::ServerId, Column::EndpointId, Column::Role, Column::Features])
        .columns([Column::AgentId, Column::AgentGroup])
        .filter(Column::ServerId.is_in(servers.iter().map(|id| id.0)))
        .order_by_asc(Column::Role)
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(db)
        .await?;
    let mut all: HashMap<ServerId, Vec<Through>> = HashMap::new();
    for (server, endpoint, role, features, agent, group) in rows {
        if has_power(&features) {
            let endpoint = EndpointId(endpoint);
            let one = Through { endpoint, role: parsed(role)?, agent: agent.map(AgentId), group };
            all.entry(ServerId(server)).or_default().push(one);
        }
    }
    Ok(all)
}

fn path(row: Told) -> Result<PathEvidence> {
    Ok(PathEvidence {
        connection_id: ConnectionId(row.id),
        label: label(&row.endpoint, &row.target_label),
        role: parsed(row.role)?,
        state: row.state.map(parsed).transpose()?,
        fault: row.fault.and_then(|value| serde_json::from_value(value).ok()),
        checked_at: row.checked_at.map(from_millis),
        watts: row.watts,
        restore_policy: row.restore_policy.map(parsed).transpose()?,
        agent_away: false,
        outdated: false,
    })
}

/// Says whether power is ticked among the features of a connection.
pub(crate) fn has_power(features: &Value) -> bool {
    let features: Vec<Feature> = serde_json::from_value(features.clone()).unwrap_or_default();
    features.contains(&Feature::Power)
}

fn state_word(state: PathState) -> &'static str {
    match state {
        PathState::On => "on",
        PathState::Off => "off",
        PathState::FeedOn => "feed_on",
        PathState::FeedOff => "feed_off",
        PathState::Unclear => "unclear",
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;
    use crate::{bench::database, connections, endpoints, servers};
    use rackhand_wire::{Role, id::TenantId};

    #[tokio::test]
    async fn a_reading_that_was_asked_earlier_does_not_overwrite_a_later_one() {
        let (db, _folder) = database().await;
        let tenant = TenantId::PROVIDER;
        let server = serde_json::from_value(json!({"name": "a"})).unwrap();
        let server = servers::add(db.writer(), tenant, server).await.unwrap().id;
        let device = endpoints::New {
            tenant,
            kind: "snmp_pdu".into(),
            name: "pdu-a".into(),
            agent_id: None,
            agent_group: None,
            params: json!({}),
            secrets: rackhand_wire::Secrets::default(),
            address: None,
        };
        let endpoint = endpoints::add(db.writer(), db.keys(), device).await.unwrap().id;
        let add = async |outlet: u32| {
            let new = connections::New {
                tenant,
                server,
                endpoint,
                role: Role::Feed,
                target: json!({"outlet": outlet}),
                target_label: format!("outlet {outlet}"),
                features: vec![Feature::Power],
                agent: None,
                group: None,
            };
            connections::add(db.writer(), new).await.unwrap().id
        };
        let (id, other) = (add(7).await, add(8).await);
        let ago = |seconds| now() - TimeDelta::seconds(seconds);
        let mut seen = Vec::new();
        for (state, at) in [
            (PathState::FeedOn, ago(10)),
            (PathState::FeedOff, ago(20)),
            // A clock that was an hour ahead, and has been set.
            (PathState::FeedOff, ago(-3600)),
            (PathState::FeedOn, ago(5)),
        ] {
            let reading = Reading { state: Some(state), at, ..Reading::default() };
            store(db.writer(), &[id], &reading).await.unwrap();
            let row = Entity::find_by_id(id.0).one(db.reader()).await.unwrap().unwrap();
            seen.push(row.state.unwrap());
        }
        assert_eq!(seen, ["feed_on", "feed_on", "feed_off", "feed_on"]);
        let reading = Reading { state: Some(PathState::FeedOff), at: ago(7), ..Reading::default() };
        assert_eq!(
            store(db.writer(), &[id, other], &reading).await.unwrap(),
            [other],
            "one has said more since"
        );
        let said = &evidence(db.reader(), &[server]).await.unwrap()[&server];
        let said: Vec<_> = said.iter().map(|path| (path.label.as_str(), path.state.unwrap())).collect();
        assert_eq!(
            said,
            [("outlet 7 on pdu-a", PathState::FeedOn), ("outlet 8 on pdu-a", PathState::FeedOff)]
        );
    }
}
