//! Search over everything.

use rackhand_wire::api::search::{Hit, HitKind};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Result, Scope,
    entity::{agent, endpoint, job, server, site, user},
    filter::{contains, key_contains, scoped},
    servers::found_by,
    steps::parsed,
};

/// Titles are searched in so many of the newest jobs: none is ever removed, and people wait while they type.
/// Older ones are found by their id.
const NEWEST_JOBS: u64 = 20_000;

/// Finds what fits every word, by name, address or id: servers first, and a fair share of every kind. Jobs are
/// found by title, the newest first, all others are in the order of their names.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &impl ConnectionTrait, scope: &Scope, text: &str, limit: u64) -> Result<Vec<Hit>> {
    let words: Vec<String> = text.to_lowercase().split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let asked = Asked { scope, words, limit };
    let kinds = [
        servers(db, &asked).await?,
        endpoints(db, &asked).await?,
        agents(db, &asked).await?,
        sites(db, &asked).await?,
        users(db, &asked).await?,
        jobs(db, &asked).await?,
    ];
    Ok(shared(kinds, limit))
}

/// What is searched for.
struct Asked<'a> {
    scope: &'a Scope,
    words: Vec<String>,
    limit: u64,
}

impl Asked<'_> {
    /// Rows that every word finds: as their id, or as `finds` says.
    fn rows<E: EntityTrait>(
        &self,
        tenant: E::Column,
        id: E::Column,
        finds: impl Fn(&str) -> Condition,
    ) -> Select<E> {
        let which = self.words.iter().fold(scoped(self.scope, tenant), |which, word| {
            let own = Uuid::parse_str(word).ok().map(|own| id.eq(own));
            which.add(Condition::any().add(finds(word)).add_option(own))
        });
        E::find().filter(which).limit(self.limit)
    }
}

/// Gives every kind the same share of the limit; what one leaves, the others take.
fn shared(kinds: impl IntoIterator<Item = Vec<Hit>>, limit: u64) -> Vec<Hit> {
    let mut ranked: Vec<(usize, Hit)> =
        kinds.into_iter().flat_map(|hits| hits.into_iter().enumerate()).collect();
    // The first of every kind, then the second of every kind, and so on; both sorts keep equals in order.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    ranked.sort_by_key(|(_, hit)| hit.kind);
    ranked.into_iter().map(|(_, hit)| hit).collect()
}

async fn servers(db: &impl ConnectionTrait, asked: &Asked<'_>) -> Result<Vec<Hit>> {
    use server::{Column, Entity};
    let rows = asked.rows::<Entity>(Column::TenantId, Column::Id, |word| found_by(asked.scope, word));
    let rows: Vec<(Uuid, String, String, String, Value)> = rows
        .order_by_asc(Column::NameKey)
        .select_only()
        .columns([Column::Id, Column::Name, Column::Rack, Column::PowerValue])
        .column(Column::Flags)
        .into_tuple()
        .all(db)
        .await?;
    rows.into_iter()
        .map(|(id, title, subtitle, power, flags)| {
            let (power, flags) = (Some(parsed(power)?), serde_json::from_value(flags)?);
            Ok(Hit { kind: HitKind::Server, id: id.to_string(), title, subtitle, power, flags })
        })
        .collect()
}

async fn endpoints(db: &impl ConnectionTrait, asked: &Asked<'_>) -> Result<Vec<Hit>> {
    use endpoint::{Column, Entity};
    let rows = asked.rows::<Entity>(Column::TenantId, Column::Id, |word| {
        Condition::any().add(key_contains(Column::NameKey, word)).add(contains(Column::Address, word))
    });
    let shown = [Column::Id, Column::Name, Column::Address];
    hits(db, HitKind::Endpoint, rows.order_by_asc(Column::NameKey), shown).await
}

async fn agents(db: &impl ConnectionTrait, asked: &Asked<'_>) -> Result<Vec<Hit>> {
    use agent::{Column, Entity};
    let rows = asked.rows::<Entity>(Column::TenantId, Column::Id, |word| {
        let named = Condition::any().add(contains(Column::Name, word));
        named.add(contains(Column::Host, word)).add(contains(Column::SourceIp, word))
    });
    let shown = [Column::Id, Column::Name, Column::Version];
    hits(db, HitKind::Agent, rows.order_by_asc(Column::Name), shown).await
}

async fn sites(db: &impl ConnectionTrait, asked: &Asked<'_>) -> Result<Vec<Hit>> {
    use site::{Column, Entity};
    let rows = asked.rows::<Entity>(Column::TenantId, Column::Id, |word| {
        Condition::all().add(key_contains(Column::NameKey, word))
    });
    let shown = [Column::Id, Column::Name, Column::TimeZone];
    hits(db, HitKind::Site, rows.order_by_asc(Column::NameKey), shown).await
}

async fn users(db: &impl ConnectionTrait, asked: &Asked<'_>) -> Result<Vec<Hit>> {
    use user::{Column, Entity};
    let rows = asked.rows::<Entity>(Column::TenantId, Column::Id, |word| {
        Condition::all().add(key_contains(Column::NameKey, word))
    });
    let shown = [Column::Id, Column::Name, Column::Role];
    hits(db, HitKind::User, rows.order_by_asc(Column::NameKey), shown).await
}

async fn jobs(db: &impl ConnectionTrait, asked: &Asked<'_>) -> Result<Vec<Hit>> {
    use job::{Column, Entity};
    // Ids of jobs sort by time.
    let ids = Entity::find().select_only().column(Column::Id).order_by_desc(Column::Id);
    let old: Option<Uuid> = ids.offset(NEWEST_JOBS).into_tuple().one(db).await?;
    let rows = asked.rows::<Entity>(Column::TenantId, Column::Id, |word| {
        let is_new = old.map(|old| Column::Id.gt(old));
        Condition::all().add_option(is_new).add(contains(Column::Title, word))
    });
    let shown = [Column::Id, Column::Title, Column::State];
    hits(db, HitKind::Job, rows.order_by_desc(Column::Id), shown).await
}

/// Reads the id, title and subtitle of rows.
async fn hits<E: EntityTrait>(
    db: &impl ConnectionTrait,
    kind: HitKind,
    rows: Select<E>,
    shown: [E::Column; 3],
) -> Result<Vec<Hit>> {
    let rows: Vec<(Uuid, String, Option<String>)> =
        rows.select_only().columns(shown).into_tuple().all(db).await?;
    let hit = |(id, title, subtitle): (Uuid, String, Option<String>)| Hit {
        kind,
        id: id.to_string(),
        title,
        subtitle: subtitle.unwrap_or_default(),
        power: None,
        flags: Vec::new(),
    };
    Ok(rows.into_iter().map(hit).collect())
}

#[cfg(test)]
mod tests;
