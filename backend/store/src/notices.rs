//! Short notices between the servers on one PostgreSQL: `LISTEN` and `NOTIFY`. They carry ids alone and may be
//! missed; whoever listens must look by itself from time to time.

use sea_orm::{ConnectionTrait, DbBackend, Statement, sqlx::postgres::PgListener};

use crate::{Db, Error, Result};

const CHANNEL: &str = "rackhand";

/// PostgreSQL takes less than 8,000 bytes.
pub const LARGEST: usize = 7_900;

/// Hears what other servers say.
pub struct Listener(PgListener);

impl Listener {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the database cannot be reached, or is not one that servers share.
    pub async fn open(db: &Db) -> Result<Self> {
        let url = db.shared().ok_or_else(|| Error::NoDatabase("only PostgreSQL is shared".into()))?;
        let mut listener =
            PgListener::connect(url).await.map_err(|error| Error::NoDatabase(error.to_string()))?;
        listener.listen(CHANNEL).await.map_err(|error| Error::NoDatabase(error.to_string()))?;
        Ok(Self(listener))
    }

    /// Waits for the next notice; none when some may have been missed, because the line was down.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn next(&mut self) -> Result<Option<String>> {
        match self.0.try_recv().await {
            Ok(notice) => Ok(notice.map(|notice| notice.payload().to_owned())),
            Err(error) => Err(Error::NoDatabase(error.to_string())),
        }
    }
}

/// Tells every server that listens, this one too.
///
/// # Errors
/// When the database cannot be reached.
pub async fn tell(db: &Db, notice: &str) -> Result<()> {
    let values = [CHANNEL.into(), notice.into()];
    let tell = Statement::from_sql_and_values(DbBackend::Postgres, "SELECT pg_notify($1, $2)", values);
    db.writer().execute_raw(tell).await?;
    Ok(())
}
