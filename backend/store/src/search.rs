//! Search over everything.

use rackhand_wire::api::search::{Hit, HitKind};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::{
    Result, Scope,
    entity::{agent, endpoint, job, server, site, user},
    filter::{contains, scoped},
    steps::parsed,
};

/// Finds what matches every word, servers first, then by name.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &impl ConnectionTrait, scope: &Scope, text: &str, limit: u64) -> Result<Vec<Hit>> {
    let words: Vec<String> = text.to_lowercase().split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let mut hits = servers(db, scope, &words, limit).await?;
    hits.extend(endpoints(db, scope, &words, limit).await?);
    hits.extend(others(db, scope, &words, limit).await?);
    hits.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(hits)
}

fn all(words: &[String], which: Condition, one: impl Fn(&str) -> Condition) -> Condition {
    words.iter().fold(which, |which, word| which.add(one(word)))
}

async fn servers(db: &impl ConnectionTrait, scope: &Scope, words: &[String], limit: u64) -> Result<Vec<Hit>> {
    use server::{Column, Entity};
    let which = all(words, scoped(scope, Column::TenantId), |word| {
        Condition::all().add(contains(Column::Search, word))
    });
    let rows = Entity::find().filter(which).order_by_asc(Column::NameKey).limit(limit).all(db).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Hit {
                kind: HitKind::Server,
                id: row.id.to_string(),
                title: row.name,
                subtitle: row.rack,
                power: Some(parsed(row.power_value)?),
            })
        })
        .collect()
}

async fn endpoints(
    db: &impl ConnectionTrait,
    scope: &Scope,
    words: &[String],
    limit: u64,
) -> Result<Vec<Hit>> {
    use endpoint::{Column, Entity};
    let which = all(words, scoped(scope, Column::TenantId), |word| {
        Condition::any().add(contains(Column::NameKey, word)).add(contains(Column::Address, word))
    });
    let rows = Entity::find().filter(which).order_by_asc(Column::NameKey).limit(limit).all(db).await?;
    let hit = |row: endpoint::Model| Hit {
        kind: HitKind::Endpoint,
        id: row.id.to_string(),
        title: row.name,
        subtitle: row.address.unwrap_or_default(),
        power: None,
    };
    Ok(rows.into_iter().map(hit).collect())
}

async fn others(db: &impl ConnectionTrait, scope: &Scope, words: &[String], limit: u64) -> Result<Vec<Hit>> {
    let hit = |kind, id: uuid::Uuid, title: String, subtitle: String| Hit {
        kind,
        id: id.to_string(),
        title,
        subtitle,
        power: None,
    };
    let mut hits = Vec::new();
    let which = all(words, scoped(scope, agent::Column::TenantId), |word| {
        Condition::all().add(contains(agent::Column::Name, word))
    });
    for row in agent::Entity::find().filter(which).limit(limit).all(db).await? {
        hits.push(hit(HitKind::Agent, row.id, row.name, row.version));
    }
    let which = all(words, scoped(scope, site::Column::TenantId), |word| {
        Condition::all().add(contains(site::Column::NameKey, word))
    });
    for row in site::Entity::find().filter(which).limit(limit).all(db).await? {
        hits.push(hit(HitKind::Site, row.id, row.name, row.time_zone));
    }
    let which = all(words, scoped(scope, user::Column::TenantId), |word| {
        Condition::all().add(contains(user::Column::NameKey, word))
    });
    for row in user::Entity::find().filter(which).limit(limit).all(db).await? {
        hits.push(hit(HitKind::User, row.id, row.name, row.role));
    }
    let id = words.first().and_then(|word| uuid::Uuid::parse_str(word).ok());
    if let Some(id) = id {
        let which = scoped(scope, job::Column::TenantId).add(job::Column::Id.eq(id));
        if let Some(row) = job::Entity::find().filter(which).one(db).await? {
            hits.push(hit(HitKind::Job, row.id, row.title, row.state));
        }
    }
    Ok(hits)
}
