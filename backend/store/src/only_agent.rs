//! Servers that one agent alone reaches.

use rackhand_wire::{
    api::server::OnlyAgent,
    id::{AgentId, ServerId, TenantId},
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, RelationDef};

use crate::{
    Result, Scope,
    agents::{self, Agent},
    entity::{connection, endpoint},
    tenants,
};

/// An agent and a group, as a connection or its device names them.
type Named = (Option<uuid::Uuid>, Option<String>);

/// What a connection names, whose its device is, and what that names.
type Paths = (Option<uuid::Uuid>, Option<String>, uuid::Uuid, Option<uuid::Uuid>, Option<String>);

/// Finds the remote agent through which every path to a server goes, if there is just one.
///
/// # Errors
/// When the database fails.
pub async fn only_of(db: &impl ConnectionTrait, server: ServerId) -> Result<Option<OnlyAgent>> {
    let device: RelationDef = connection::Entity::belongs_to(endpoint::Entity)
        .from(connection::Column::EndpointId)
        .to(endpoint::Column::Id)
        .into();
    let paths: Vec<Paths> = connection::Entity::find()
        .select_only()
        .column(connection::Column::AgentId)
        .column(connection::Column::AgentGroup)
        .column(endpoint::Column::TenantId)
        .column(endpoint::Column::AgentId)
        .column(endpoint::Column::AgentGroup)
        .join(JoinType::InnerJoin, device)
        .filter(connection::Column::ServerId.eq(server.0))
        .into_tuple()
        .all(db)
        .await?;
    let mut first: Option<Agent> = None;
    for (own, own_group, tenant, of_device, group_of_device) in paths {
        let is_named = own.is_some() || own_group.is_some();
        let named = if is_named { (own, own_group) } else { (of_device, group_of_device) };
        let Some(through) = through(db, TenantId(tenant), named).await? else { return Ok(None) };
        if first.as_ref().is_some_and(|first| first.id != through.id) {
            return Ok(None);
        }
        first = Some(through);
    }
    Ok(first.map(|agent| OnlyAgent { id: agent.id, name: agent.name }))
}

/// The remote agent that is named, or the only one of the group that is, as the device's owner finds it; none when
/// there are several, or when it is a server's own.
async fn through(
    db: &impl ConnectionTrait,
    tenant: TenantId,
    (agent, group): Named,
) -> Result<Option<Agent>> {
    let mut found = match (agent, group) {
        (Some(agent), _) => vec![agents::get(db, &Scope::provider(), AgentId(agent)).await?],
        (None, Some(group)) => Box::pin(nearest(db, tenant, &group)).await?,
        (None, None) => return Ok(None),
    };
    let only = found.pop().filter(|_| found.is_empty());
    Ok(only.filter(|agent| !agent.embedded))
}

/// The agents of a tenant's own group, or of the nearest ancestor's: two that share a name are two groups.
async fn nearest(db: &impl ConnectionTrait, tenant: TenantId, group: &str) -> Result<Vec<Agent>> {
    for owner in tenants::lineage(db, tenant).await? {
        let found = agents::of_group(db, owner, group).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use rackhand_wire::{Feature, Role, Secrets};
    use sea_orm::{ActiveModelTrait, IntoActiveModel};
    use serde_json::json;

    use super::*;
    use crate::{Db, bench::database, connections, endpoints, entity::tenant, fresh_id, servers};

    async fn customer(db: &Db) -> TenantId {
        let id = fresh_id();
        let row = tenant::Model {
            id,
            parent_id: Some(TenantId::PROVIDER.0),
            path: format!("/{id}/"),
            name: "a customer".into(),
            created_at: 0,
            audit_seq: 0,
            audit_hash: String::new(),
        };
        row.into_active_model().insert(db.writer()).await.unwrap();
        TenantId(id)
    }

    /// A server behind one device of a tenant, which the group "pair" reaches.
    async fn behind_the_pair(db: &Db, tenant: TenantId) -> ServerId {
        let new = serde_json::from_value(json!({"name": "a"})).unwrap();
        let server = servers::add(db.writer(), tenant, new).await.unwrap().id;
        let device = endpoints::New {
            tenant,
            kind: "ipmi".into(),
            name: format!("the BMC of {tenant}"),
            agent_id: None,
            agent_group: Some("pair".into()),
            params: json!({}),
            secrets: Secrets::default(),
            address: None,
        };
        let endpoint = endpoints::add(db.writer(), db.keys(), device).await.unwrap().id;
        let new = connections::New {
            tenant,
            server,
            endpoint,
            role: Role::Controller,
            target: json!({}),
            target_label: String::new(),
            features: vec![Feature::Power],
            agent: None,
            group: None,
        };
        connections::add(db.writer(), new).await.unwrap();
        server
    }

    #[tokio::test]
    async fn a_group_of_the_same_name_elsewhere_is_no_way_in() {
        let (db, _folder) = database().await;
        let (one, two) = (customer(&db).await, customer(&db).await);
        let add = async |tenant, name| {
            let new = agents::New { tenant, name, group: "pair", site: None, embedded: false };
            agents::add(db.writer(), new).await.unwrap().id
        };
        add(TenantId::PROVIDER, "a").await;
        add(TenantId::PROVIDER, "b").await;
        let own = add(one, "c").await;
        let only = async |server| only_of(db.reader(), server).await.unwrap().map(|only| only.id);
        assert_eq!(only(behind_the_pair(&db, one).await).await, Some(own), "two others have that name");
        assert_eq!(only(behind_the_pair(&db, two).await).await, None, "it is the provider's group of two");
    }
}
