//! Moves a whole installation from one database to another.

use futures::TryStreamExt as _;
use rackhand_wire::id::TenantId;
use sea_orm::{
    AccessMode, ConnectionTrait, EntityTrait, IntoActiveModel, IsolationLevel, Iterable, ModelTrait,
    PaginatorTrait, StreamTrait, TransactionOptions, TransactionTrait,
};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

use crate::{Db, Error, Result, Tx, entity};

/// What became of a table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 over its rows, in no order: equal on both sides.
    pub sha256: String,
}

/// Tables of what runs at this moment: they begin anew wherever a server begins.
pub const TRANSIENT: [&str; 3] = ["agent_session", "letter", "node"];

/// So many values go over at once; PostgreSQL takes 65,535 and SQLite 32,766.
const VALUES: usize = 16_000;

macro_rules! tables {
    ($($name:ident),+ $(,)?) => {
        /// Tables that are moved.
        pub const MOVED: &[&str] = &[$(stringify!($name)),+];

        async fn each(from: &Tx, to: &Tx, progress: &mut impl FnMut(&Table)) -> Result<Vec<Table>> {
            let mut tables = Vec::new();
            $({
                let table = one::<entity::$name::Entity>(from, to, stringify!($name)).await?;
                progress(&table);
                tables.push(table);
            })+
            Ok(tables)
        }

        async fn first_with_rows(db: &impl ConnectionTrait) -> Result<Option<&'static str>> {
            $(if stringify!($name) != "tenant" && entity::$name::Entity::find().count(db).await? > 0 {
                return Ok(Some(stringify!($name)));
            })+
            Ok(None)
        }
    };
}

tables![
    agent,
    agent_group,
    agent_token,
    audit,
    connection,
    device_lease,
    endpoint,
    event,
    idempotency,
    job,
    outlet_lock,
    server,
    session,
    setting,
    site,
    step,
    tenant,
    token,
    user,
];

/// Copies every row into a database that holds nothing yet, and reads it back there. It is all there at the end, or
/// nothing. Tells each table as it is done.
///
/// # Errors
/// [`Error::InUse`] when the other one holds something, [`Error::Damaged`] when a table did not arrive as it was.
pub async fn copy(from: &Db, to: &Db, mut progress: impl FnMut(&Table)) -> Result<Vec<Table>> {
    // One moment of the source, whatever else is written meanwhile.
    let moment = TransactionOptions {
        isolation_level: from.is_shared().then_some(IsolationLevel::RepeatableRead),
        access_mode: from.is_shared().then_some(AccessMode::ReadOnly),
        ..Default::default()
    };
    let source = from.reader().begin_with_options(moment).await?;
    let target = to.begin().await?;
    if let Some(table) = first_with_rows(&target).await? {
        return Err(Error::InUse(format!(
            "there are rows in “{table}” already; copy into a database of its own"
        )));
    }
    let known = entity::tenant::Entity::find().all(&target).await?;
    if known.iter().any(|tenant| tenant.id != TenantId::PROVIDER.0 || tenant.audit_seq > 0) {
        return Err(Error::InUse("it has tenants already; copy into a database of its own".into()));
    }
    entity::tenant::Entity::delete_many().exec(&target).await?;
    let tables = each(&source, &target, &mut progress).await?;
    target.commit().await?;
    Ok(tables)
}

async fn one<E>(from: &Tx, to: &Tx, name: &str) -> Result<Table>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Send + Sync,
    E::ActiveModel: Send,
{
    let some = (VALUES / E::Column::iter().count()).max(1);
    let mut rows = E::find().stream(from).await?;
    let (mut hashes, mut waiting) = (Vec::new(), Vec::new());
    while let Some(row) = rows.try_next().await? {
        hashes.push(hash(&row));
        waiting.push(row.into_active_model());
        if waiting.len() == some {
            E::insert_many(std::mem::take(&mut waiting)).exec_without_returning(to).await?;
        }
    }
    if !waiting.is_empty() {
        E::insert_many(waiting).exec_without_returning(to).await?;
    }
    let sent = summed(name, hashes);
    let arrived = read_back::<E, _>(to, name).await?;
    if arrived != sent {
        let why =
            format!("“{name}”: {} rows were sent, {} arrived, not all as they were", sent.rows, arrived.rows);
        return Err(Error::Damaged(why));
    }
    Ok(sent)
}

async fn read_back<E, C>(db: &C, name: &str) -> Result<Table>
where
    E: EntityTrait,
    C: ConnectionTrait + StreamTrait,
{
    let mut rows = E::find().stream(db).await?;
    let mut hashes = Vec::new();
    while let Some(row) = rows.try_next().await? {
        hashes.push(hash(&row));
    }
    Ok(summed(name, hashes))
}

/// Both sides are read into the same types, so that a row that is the same has the same words.
fn hash<M: ModelTrait>(row: &M) -> [u8; 32] {
    let mut words = String::new();
    for column in <M::Entity as EntityTrait>::Column::iter() {
        // A string takes everything.
        writeln!(words, "{:?}", row.get(column)).ok();
    }
    Sha256::digest(words.as_bytes()).into()
}

/// The engines sort text differently, so the rows are sorted here.
fn summed(name: &str, mut hashes: Vec<[u8; 32]>) -> Table {
    hashes.sort_unstable();
    let mut sum = Sha256::new();
    for hash in &hashes {
        sum.update(hash);
    }
    let sha256 = sum.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    });
    Table { name: name.to_owned(), rows: hashes.len() as u64, sha256 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bench::database,
        servers,
        settings::{self},
    };
    use sea_orm::{FromQueryResult, Statement};

    #[derive(FromQueryResult)]
    struct Named {
        name: String,
    }

    #[tokio::test]
    async fn every_table_is_moved_or_transient() {
        let (db, _folder) = database().await;
        let ask = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
                   AND name NOT LIKE 'seaql_%' ORDER BY name";
        let ask = Statement::from_string(sea_orm::DbBackend::Sqlite, ask);
        let tables = Named::find_by_statement(ask).all(db.reader()).await.unwrap();
        let tables: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let mut known: Vec<&str> = MOVED.iter().chain(&TRANSIENT).copied().collect();
        known.sort_unstable();
        assert_eq!(tables, known);
    }

    /// What hangs on a row that names its tenant, and what belongs to the installation.
    const WITHOUT_TENANT: [&str; 8] =
        ["agent_session", "agent_token", "device_lease", "letter", "node", "outlet_lock", "step", "tenant"];

    #[tokio::test]
    async fn every_other_row_names_its_tenant() {
        let (db, _folder) = database().await;
        let ask = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
                   AND name NOT LIKE 'seaql_%' AND NOT EXISTS (SELECT 1 FROM pragma_table_info(sqlite_master.name) AS c \
                   WHERE c.name = 'tenant_id' AND c.\"notnull\" = 1) ORDER BY name";
        let ask = Statement::from_string(sea_orm::DbBackend::Sqlite, ask);
        let tables = Named::find_by_statement(ask).all(db.reader()).await.unwrap();
        let tables: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(tables, WITHOUT_TENANT);
    }

    #[tokio::test]
    async fn what_arrives_is_what_was_sent_and_only_into_an_empty_database() {
        let ((from, _one), (to, _two)) = (database().await, database().await);
        for number in 0..700 {
            let name = format!("srv-{number} \u{1f5a5} '\"\\");
            let server =
                serde_json::from_value(serde_json::json!({"name": name, "tags": ["a", "ä"]})).unwrap();
            servers::add(from.writer(), TenantId::PROVIDER, server).await.unwrap();
        }
        settings::check_master_key(from.writer(), from.keys()).await.unwrap();
        let mut told = Vec::new();
        let tables = copy(&from, &to, |table| told.push(table.clone())).await.unwrap();
        assert_eq!(tables, told);
        assert_eq!(tables.len(), MOVED.len());
        let servers = tables.iter().find(|table| table.name == "server").unwrap();
        assert_eq!(servers.rows, 700);
        let back = read_back::<entity::server::Entity, _>(from.reader(), "server").await.unwrap();
        assert_eq!(back, *servers, "it is the same however often it is read");
        assert!(matches!(copy(&from, &to, |_| {}).await, Err(Error::InUse(_))));
    }
}
