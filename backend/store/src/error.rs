use rackhand_wire::{FieldError, id::JobId};
use sea_orm::{DbErr, SqlErr};

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such row, or not in the caller's scope: the two look the same.
    #[error("not found")]
    NotFound,
    /// A value stands against another row.
    #[error("{}", .0.message)]
    Field(FieldError),
    /// The row has changed since it was read.
    #[error("changed by someone else in the meantime")]
    Stale,
    /// It is still used.
    #[error("{0}")]
    InUse(String),
    /// A power job is under way on the server.
    #[error("another power job is under way")]
    ActiveJob(JobId),
    /// Another server performs the job.
    #[error("another server has taken the job")]
    Taken,
    /// A secret could not be sealed or opened.
    #[error("sealed data cannot be opened with this master key")]
    Sealed,
    /// A row cannot be understood.
    #[error("row is damaged: {0}")]
    Damaged(String),
    /// The database cannot be opened; says why, and what to do.
    #[error("{0}")]
    NoDatabase(String),
    /// The database failed.
    #[error("database")]
    Database(#[from] DbErr),
}

impl Error {
    /// Turns a unique violation into a wrong field, leaves everything else.
    #[must_use]
    pub fn unique(error: DbErr, field: &str, message: &str) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => {
                Self::Field(FieldError::new(field, "duplicate", message))
            }
            _ => Self::Database(error),
        }
    }

    /// Says whether trying again later may help: the request was not accepted.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Database(error) => matches!(
                error,
                DbErr::ConnectionAcquire(_) | DbErr::Conn(_) | DbErr::Exec(_) | DbErr::Query(_)
            ),
            Self::NotFound
            | Self::Field(_)
            | Self::Stale
            | Self::InUse(_)
            | Self::ActiveJob(_)
            | Self::Taken
            | Self::Sealed
            | Self::NoDatabase(_)
            | Self::Damaged(_) => false,
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}
