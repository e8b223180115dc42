use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
    sqlx::{
        Connection as _,
        sqlite::{SqliteJournalMode, SqliteSynchronous},
    },
};
use std::{sync::Arc, time::Duration};

use crate::{Error, Result, postgres, sealed::Keyring};

/// A handle on the database; clones share it.
///
/// SQLite has one writer: all transactions go through a pool of one connection, and wait at their begin for
/// those of other processes. Reads have connections of their own, and those of [`in_background`] have others.
#[derive(Clone)]
pub struct Db {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    background: DatabaseConnection,
    life: DatabaseConnection,
    keys: Arc<Keyring>,
    /// Where it is, when other servers may be on it too.
    shared: Option<Arc<str>>,
}

tokio::task_local! {
    static BACKGROUND: ();
}

/// Does work that nobody waits for: its many reads queue apart from those of people and jobs.
pub async fn in_background<F: Future>(work: F) -> F::Output {
    BACKGROUND.scope((), work).await
}

/// A transaction; nothing happens unless it is committed.
pub type Tx = DatabaseTransaction;

impl Db {
    /// Opens `sqlite://FILE` or `postgres://…`. Makes the file when it is missing; does not migrate.
    ///
    /// # Errors
    /// [`Error::NoDatabase`] when PostgreSQL does not let us in, and any other when the file cannot be opened.
    pub async fn open(url: &str, keys: Keyring) -> Result<Self> {
        let keys = Arc::new(keys);
        if let Some(file) = url.strip_prefix("sqlite://") {
            let url = format!("sqlite://{}?mode=rwc", file.split('?').next().unwrap_or(file));
            let writer = Database::connect(sqlite(&url, 1)).await?;
            let reader = Database::connect(sqlite(&url, 4)).await?;
            let background = Database::connect(sqlite(&url, 4)).await?;
            let life = writer.clone();
            return Ok(Self { writer, reader, background, life, keys, shared: None });
        }
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            let why = "the database URL must begin with sqlite:// or postgres://";
            return Err(Error::NoDatabase(why.into()));
        }
        postgres::knock(url).await?;
        // Writers wait for one another, and must not take the readers' connections while they do.
        let writer = Database::connect(server(url, 4)).await?;
        let reader = Database::connect(server(url, 8)).await?;
        let background = Database::connect(server(url, 4)).await?;
        // One each for the sign of life, a burial, the leases of the agents and that of the own one.
        let life = Database::connect(server(url, 4)).await?;
        Ok(Self { writer, reader, background, life, keys, shared: Some(url.into()) })
    }

    /// The connection for reads outside a transaction.
    #[must_use]
    pub fn reader(&self) -> &DatabaseConnection {
        if BACKGROUND.try_with(|()| ()).is_ok() { &self.background } else { &self.reader }
    }

    /// The connection for single writes and for migrations.
    #[must_use]
    pub fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// The connection for what says that this server and its agents live: writers that wait for one another never
    /// keep it.
    #[must_use]
    pub fn life(&self) -> &DatabaseConnection {
        &self.life
    }

    /// Seals and opens secrets.
    #[must_use]
    pub fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// The URL of a database that several servers may share; SQLite is for one.
    pub(crate) fn shared(&self) -> Option<&str> {
        self.shared.as_deref()
    }

    /// Says whether other servers may be on it too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Begins a transaction. It is the only one until its end, on both engines: what it has read is still so
    /// when it writes. Do nothing slow before the commit.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn begin(&self) -> Result<Tx> {
        begin_on(&self.writer).await
    }

    /// Begins a transaction on the connections of [`Db::life`]. It follows the others too, but waits for no
    /// connection.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn begin_for_life(&self) -> Result<Tx> {
        begin_on(&self.life).await
    }

    /// Keeps other servers from changing the database's shape while this value lives; SQLite has one server.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn lock_shape(&self) -> Result<Option<postgres::ShapeLock>> {
        match self.shared() {
            Some(url) => postgres::lock_shape(url).await.map(Some),
            None => Ok(None),
        }
    }

    /// Says whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.reader.ping().await?)
    }

    /// Names the engine, for people.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        if self.writer.get_database_backend() == DbBackend::Postgres { "PostgreSQL" } else { "SQLite" }
    }

    /// Closes every connection after what is under way.
    pub async fn close(self) {
        for connection in [self.writer, self.reader, self.background, self.life] {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "database connection did not close cleanly");
            }
        }
    }
}

/// Names the lock of PostgreSQL that makes transactions follow one another, as SQLite's do by themselves. Any
/// number that nobody else uses in the same database.
const ONE_WRITER: i64 = 0x7261_636b_6861_6e64;

/// What a server that froze or vanished in the middle of a transaction holds is given back after these; all other
/// servers on the database wait for it.
const FROZEN: [(&str, &str); 6] = [
    ("idle_in_transaction_session_timeout", "8s"),
    ("lock_timeout", "30s"),
    ("tcp_user_timeout", "10s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
];

async fn begin_on(connection: &DatabaseConnection) -> Result<Tx> {
    // What a deferred transaction has read may be old when it writes: SQLite then refuses without waiting.
    let mode = Some(SqliteTransactionMode::Immediate);
    let options = TransactionOptions { sqlite_transaction_mode: mode, ..Default::default() };
    let tx = connection.begin_with_options(options).await?;
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({ONE_WRITER})")).await?;
    }
    Ok(tx)
}

fn server(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).sqlx_logging(false).acquire_timeout(Duration::from_secs(10));
    options.map_sqlx_postgres_opts(|options| options.options(FROZEN));
    options
}

fn sqlite(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(10))
        .sqlx_logging(false)
        // SQLite itself undoes a transaction in which the disk is full or fails. The pool then thinks that it goes on:
        // what followed would be a part of it, and would never be committed though it says so.
        .map_sqlx_sqlite_pool_opts(|options| {
            options.before_acquire(|connection, _| {
                let is_clean = !connection.is_in_transaction();
                Box::pin(async move { Ok(is_clean) })
            })
        })
        .map_sqlx_sqlite_opts(|options| {
            // FULL: what was answered with 202 survives a power cut of the backend's own machine.
            options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(5))
                // A page's rows come over at once instead of switching threads for every few of them.
                .row_buffer_size(1024)
                .pragma("cache_size", "-8000")
        });
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audit, users};
    use rackhand_migrations::Migrator;
    use rackhand_wire::id::TenantId;
    use sea_orm_migration::MigratorTrait;

    #[tokio::test]
    async fn two_processes_read_and_write_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("db").display());
        let open = async || Db::open(&url, Keyring::new([7; 32])).await.unwrap();
        let (server, command_line) = (open().await, open().await);
        Migrator::up(server.writer(), None).await.unwrap();
        let write = async |tx: &Tx, action: &str| {
            let deed = audit::Deed { action: action.into(), ..Default::default() };
            audit::append(tx, TenantId::PROVIDER, deed).await
        };

        let tx = server.begin().await.unwrap();
        assert!(users::is_empty(&tx).await.unwrap());
        let mut other = std::pin::pin!(async {
            let tx = command_line.begin().await.unwrap();
            write(&tx, "second").await.unwrap();
            tx.commit().await.unwrap();
        });
        let early = tokio::time::timeout(Duration::from_millis(200), &mut other).await;
        assert!(early.is_err(), "it wrote while the first one was between reading and writing");
        write(&tx, "first").await.unwrap();
        tx.commit().await.unwrap();
        other.await;
        let chains = audit::verify(server.reader()).await.unwrap();
        assert_eq!((chains[0].records, &chains[0].broken), (2, &None));
    }
}
