//! Who did what: one hash chain per tenant, appended to and never changed.

use rackhand_wire::{
    api::{
        audit::AuditRecord,
        page::{ListQuery, Page},
    },
    id::TenantId,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, Set,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

use crate::{
    Error, Result, Scope, Tx,
    entity::{
        audit::{Column, Entity, Model},
        tenant,
    },
    filter::{Term, contains, scoped, terms},
    from_millis, millis, now,
    page::{self, Cursor},
};

/// What is to be recorded.
#[derive(Debug, Clone, Default)]
pub struct Deed {
    /// Who: user name, `token:prefix` or `system`.
    pub actor: String,
    /// From where.
    pub source_ip: Option<String>,
    /// Stable word.
    pub action: String,
    /// What it was done to: `server/0190…`.
    pub object: String,
    /// Its name.
    pub object_name: String,
    /// Details without secrets.
    pub detail: Value,
    /// Request that caused it.
    pub request_id: Option<String>,
}

/// Appends a record, in the transaction of what it records: a deed without its record does not happen.
///
/// # Errors
/// When the database fails.
pub async fn append(tx: &Tx, tenant: TenantId, deed: Deed) -> Result<()> {
    let head = tenant::Entity::find_by_id(tenant.0).one(tx).await?.ok_or(Error::NotFound)?;
    let (seq, previous_hash) = (head.audit_seq + 1, head.audit_hash.clone());
    let mut model = Model {
        tenant_id: tenant.0,
        seq,
        at: millis(now()),
        actor: deed.actor,
        source_ip: deed.source_ip,
        action: deed.action,
        object: deed.object,
        object_name: deed.object_name,
        detail: deed.detail.to_string(),
        request_id: deed.request_id,
        previous_hash,
        hash: String::new(),
    };
    model.hash = hash(&model);
    let mut head = head.into_active_model();
    head.audit_seq = Set(seq);
    head.audit_hash = Set(model.hash.clone());
    head.update(tx).await?;
    model.into_active_model().insert(tx).await?;
    Ok(())
}

/// Lists records, the newest of each chain first: numbers tell in which order things happened, clocks do not.
/// Tokens: `object:server/ID`, `actor:NAME`, `action:server.`.
///
/// # Errors
/// A field error for a bad query.
pub async fn list(db: &impl ConnectionTrait, scope: &Scope, query: &ListQuery) -> Result<Page<AuditRecord>> {
    let limit = page::limit(query)?;
    page::sort(query, &["at"], "-at")?;
    let mut which = scoped(scope, Column::TenantId);
    for term in terms(query.q.as_deref().unwrap_or_default()) {
        which = which.add(match &term {
            Term::Word(word) => {
                Condition::any().add(contains(Column::ObjectName, word)).add(contains(Column::Action, word))
            }
            Term::Token(key, value) => match key.as_str() {
                "object" => Condition::all().add(Column::Object.eq(value.as_str())),
                "actor" => Condition::all().add(Column::Actor.eq(value.as_str())),
                "action" => Condition::all().add(Column::Action.starts_with(value.as_str())),
                _ => return Err(crate::Error::Field(page::unknown_token(key))),
            },
        });
    }
    if let Some(cursor) = Cursor::decode(query)? {
        let seq = cursor.number()?;
        let same = Condition::all().add(Column::Seq.eq(seq)).add(Column::TenantId.lt(cursor.id));
        which = which.add(Condition::any().add(Column::Seq.lt(seq)).add(same));
    }
    let rows = Entity::find().filter(which).order_by_desc(Column::Seq).order_by_desc(Column::TenantId);
    let rows = rows.limit(limit + 1).all(db).await?;
    Ok(page::cut(rows, limit, |row| Cursor::encode(&row.seq.to_string(), row.tenant_id), record))
}

/// What verifying a chain found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Whose chain.
    pub tenant: TenantId,
    /// Records read.
    pub records: u64,
    /// First record that does not fit, and why.
    pub broken: Option<(i64, String)>,
}

/// Recomputes every chain.
///
/// # Errors
/// When the database fails.
pub async fn verify(db: &impl ConnectionTrait) -> Result<Vec<Verified>> {
    let recorded: Vec<uuid::Uuid> =
        Entity::find().select_only().column(Column::TenantId).distinct().into_tuple().all(db).await?;
    let heads = tenant::Entity::find().filter(tenant::Column::AuditSeq.gt(0)).all(db).await?;
    let tenants: BTreeSet<uuid::Uuid> = heads.iter().map(|head| head.id).chain(recorded).collect();
    let mut chains = Vec::new();
    for tenant in tenants {
        chains.push(verify_chain(db, TenantId(tenant)).await?);
    }
    Ok(chains)
}

async fn verify_chain(db: &impl ConnectionTrait, tenant: TenantId) -> Result<Verified> {
    const BATCH: u64 = 1000;
    let mut chain = Verified { tenant, records: 0, broken: None };
    let (mut seq, mut previous) = (0, String::new());
    loop {
        let which = Condition::all().add(Column::TenantId.eq(tenant.0)).add(Column::Seq.gt(seq));
        let rows = Entity::find().filter(which).order_by_asc(Column::Seq).limit(BATCH).all(db).await?;
        if rows.is_empty() {
            let head = tenant::Entity::find_by_id(tenant.0).one(db).await?;
            chain.broken = match head {
                Some(head) if (head.audit_seq, &head.audit_hash) == (seq, &previous) => None,
                Some(head) if head.audit_seq > seq => {
                    Some((seq + 1, "it is missing from the end".to_owned()))
                }
                Some(_) | None => Some((seq, "it is not the last one that was written".to_owned())),
            };
            return Ok(chain);
        }
        for row in rows {
            let why = if row.seq != seq + 1 {
                Some(format!("record {} is missing", seq + 1))
            } else if row.previous_hash != previous {
                Some("it does not follow the record before".to_owned())
            } else if row.hash != hash(&row) {
                Some("its content was changed".to_owned())
            } else {
                None
            };
            if let Some(why) = why {
                chain.broken = Some((row.seq, why));
                return Ok(chain);
            }
            chain.records += 1;
            seq = row.seq;
            previous = row.hash;
        }
    }
}

/// Hashes a record's content. Every part is preceded by its length, so that no two records look alike.
fn hash(row: &Model) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    };
    add(&row.tenant_id.to_string());
    add(&row.seq.to_string());
    add(&row.at.to_string());
    add(&row.actor);
    add(row.source_ip.as_deref().unwrap_or_default());
    add(&row.action);
    add(&row.object);
    add(&row.object_name);
    add(&row.detail);
    add(row.request_id.as_deref().unwrap_or_default());
    add(&row.previous_hash);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn record(row: Model) -> AuditRecord {
    AuditRecord {
        seq: u64::try_from(row.seq).unwrap_or_default(),
        at: from_millis(row.at),
        actor: row.actor,
        source_ip: row.source_ip,
        action: row.action,
        object: row.object,
        object_name: row.object_name,
        detail: serde_json::from_str(&row.detail).unwrap_or_default(),
        request_id: row.request_id,
        previous_hash: row.previous_hash,
        hash: row.hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Db, sealed::Keyring};
    use rackhand_migrations::Migrator;
    use sea_orm_migration::MigratorTrait;

    async fn with_three_records(folder: &tempfile::TempDir) -> Db {
        let url = format!("sqlite://{}", folder.path().join("db").display());
        let db = Db::open(&url, Keyring::new([7; 32])).await.unwrap();
        Migrator::up(db.writer(), None).await.unwrap();
        record_three(&db, TenantId::PROVIDER, ["a", "b", "c"]).await;
        db
    }

    async fn record_three(db: &Db, tenant: TenantId, actions: [&str; 3]) {
        for action in actions {
            let tx = db.begin().await.unwrap();
            append(&tx, tenant, Deed { action: action.into(), ..Deed::default() }).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    async fn broken(db: &Db) -> Option<i64> {
        let chains = verify(db.reader()).await.unwrap();
        assert_eq!(chains.len(), 1);
        chains[0].broken.as_ref().map(|(seq, _)| *seq)
    }

    #[tokio::test]
    async fn a_record_that_is_taken_away_is_missed_wherever_it_stood() {
        for seq in 1..=3 {
            let folder = tempfile::tempdir().unwrap();
            let db = with_three_records(&folder).await;
            assert_eq!(broken(&db).await, None);
            Entity::delete_by_id((TenantId::PROVIDER.0, seq)).exec(db.writer()).await.unwrap();
            let found = broken(&db).await.expect("nobody noticed");
            assert!((seq..=seq + 1).contains(&found), "record {seq} is gone, {found} is named");
        }
        let folder = tempfile::tempdir().unwrap();
        let db = with_three_records(&folder).await;
        Entity::delete_many().exec(db.writer()).await.unwrap();
        assert_eq!(broken(&db).await, Some(1), "all of them");
    }

    #[tokio::test]
    async fn of_several_chains_every_record_is_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        let db = with_three_records(&folder).await;
        let other = TenantId(uuid::Uuid::now_v7());
        let row = tenant::Model {
            id: other.0,
            parent_id: Some(TenantId::PROVIDER.0),
            path: format!("/{}/", other.0),
            name: "customer".into(),
            created_at: 0,
            audit_seq: 0,
            audit_hash: String::new(),
        };
        tenant::Entity::insert(row.into_active_model()).exec(db.writer()).await.unwrap();
        record_three(&db, other, ["d", "e", "f"]).await;
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let query = ListQuery { limit: Some(1), cursor, ..ListQuery::default() };
            let page = list(db.reader(), &Scope::provider(), &query).await.unwrap();
            seen.extend(page.items.into_iter().map(|record| record.action));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["f", "c", "e", "b", "d", "a"]);
    }
}
