use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbBackend, TransactionTrait,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use std::{cell::Cell, sync::Arc, time::Duration};

use crate::{Result, sealed::Keyring};

/// A handle on the database; clones share it.
///
/// SQLite has one writer: all transactions go through a pool of one connection, so none ever meets
/// "database is locked". Reads have connections of their own, and those that a person waits for have some
/// that the poller's many reads do not queue at.
#[derive(Clone)]
pub struct Db {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    front: DatabaseConnection,
    keys: Arc<Keyring>,
}

thread_local! {
    static SERVES_PEOPLE: Cell<bool> = const { Cell::new(false) };
}

/// Says that the requests of people are served on this thread: its reads do not wait for those of others.
pub fn serve_people_here() {
    SERVES_PEOPLE.set(true);
}

/// A transaction; nothing happens unless it is committed.
pub type Tx = DatabaseTransaction;

impl Db {
    /// Opens `sqlite://FILE` or `postgres://…`. Makes the file when it is missing; does not migrate.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn open(url: &str, keys: Keyring) -> Result<Self> {
        let keys = Arc::new(keys);
        if let Some(file) = url.strip_prefix("sqlite://") {
            let url = format!("sqlite://{}?mode=rwc", file.split('?').next().unwrap_or(file));
            let writer = Database::connect(sqlite(&url, 1)).await?;
            let reader = Database::connect(sqlite(&url, 4)).await?;
            let front = Database::connect(sqlite(&url, 4)).await?;
            return Ok(Self { writer, reader, front, keys });
        }
        let mut options = ConnectOptions::new(url);
        options.max_connections(16).sqlx_logging(false).acquire_timeout(Duration::from_secs(10));
        let writer = Database::connect(options).await?;
        Ok(Self { reader: writer.clone(), front: writer.clone(), writer, keys })
    }

    /// The connection for reads outside a transaction.
    #[must_use]
    pub fn reader(&self) -> &DatabaseConnection {
        if SERVES_PEOPLE.get() { &self.front } else { &self.reader }
    }

    /// The connection for single writes and for migrations.
    #[must_use]
    pub fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// Seals and opens secrets.
    #[must_use]
    pub fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// Begins a transaction. On SQLite it holds the only writer: do nothing slow before the commit.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(self.writer.begin().await?)
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
        for connection in [self.writer, self.reader, self.front] {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "database connection did not close cleanly");
            }
        }
    }
}

fn sqlite(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(10))
        .sqlx_logging(false)
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
