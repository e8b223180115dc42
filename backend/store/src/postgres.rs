//! Whether PostgreSQL lets us in, and when it does not, what a person can do about it.

use sea_orm::sqlx::{
    self, ConnectOptions, Connection,
    postgres::{PgConnectOptions, PgConnection},
};
use std::{str::FromStr, time::Duration};

use crate::{Error, Result};

/// A server that says nothing for so long is not there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects once. A pool hides behind its time-out why it could not.
///
/// # Errors
/// [`Error::NoDatabase`] with host, database and remedy; the password is never part of it.
pub async fn knock(url: &str) -> Result<()> {
    let options = PgConnectOptions::from_str(url).map_err(|error| {
        Error::NoDatabase(format!("the address is not understood ({error}); write postgres://USER@HOST/NAME"))
    })?;
    let why = match tokio::time::timeout(PATIENCE, options.connect()).await {
        Ok(Ok(connection)) => {
            connection.close().await.ok();
            return Ok(());
        }
        Ok(Err(error)) => explain(&options, &error),
        Err(_) => silent(&options, "nothing came back in 10 s"),
    };
    Err(Error::NoDatabase(why))
}

/// Keeps every other server from changing the database's shape, until it is dropped.
pub struct ShapeLock {
    #[expect(dead_code, reason = "PostgreSQL gives the lock back when the connection ends")]
    held: PgConnection,
}

/// The lock's name; any number that nobody else uses in the same database.
const SHAPE: i64 = 0x7261_636b_7368_6170;

/// Waits until no other server changes the database's shape.
///
/// # Errors
/// When the database cannot be reached.
pub async fn lock_shape(url: &str) -> Result<ShapeLock> {
    let failed = |error: sqlx::Error| Error::NoDatabase(error.to_string());
    let mut held = PgConnection::connect(url).await.map_err(failed)?;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(SHAPE).execute(&mut held).await.map_err(failed)?;
    Ok(ShapeLock { held })
}

fn explain(options: &PgConnectOptions, error: &sqlx::Error) -> String {
    let (place, user, database) = (place(options), options.get_username(), database(options));
    if let sqlx::Error::Io(error) = error {
        return silent(options, &error.to_string());
    }
    let Some(refusal) = error.as_database_error() else {
        return format!("PostgreSQL at {place}, database “{database}”: {error}");
    };
    match refusal.code().as_deref() {
        Some("28P01") => format!(
            "PostgreSQL at {place} refuses the password of user “{user}” for database “{database}”; correct it in \
             the database URL or in ~/.pgpass"
        ),
        Some("3D000") => format!(
            "PostgreSQL at {place} has no database “{database}”; make it: createdb --host {} --port {} --username \
             {user} {database}",
            host(options),
            options.get_port()
        ),
        Some(_) | None => format!(
            "PostgreSQL at {place} does not let user “{user}” into database “{database}”: {}",
            refusal.message()
        ),
    }
}

fn silent(options: &PgConnectOptions, what: &str) -> String {
    format!(
        "PostgreSQL at {}, for database “{}”, does not answer ({what}); is it running, and is the database URL right?",
        place(options),
        database(options)
    )
}

fn host(options: &PgConnectOptions) -> String {
    options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string())
}

fn place(options: &PgConnectOptions) -> String {
    format!("{}:{}", host(options), options.get_port())
}

/// PostgreSQL takes the user's name when no database is named.
fn database(options: &PgConnectOptions) -> &str {
    options.get_database().unwrap_or_else(|| options.get_username())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// Answers as a PostgreSQL that turns the visitor away; gives its port.
    async fn turning_away(code: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut visitor, _) = listener.accept().await.unwrap();
            let length = visitor.read_u32().await.unwrap();
            let mut opening = vec![0; length as usize - 4];
            visitor.read_exact(&mut opening).await.unwrap();
            let fields = format!("SFATAL\0VFATAL\0C{code}\0Mnot today\0\0");
            visitor.write_u8(b'E').await.unwrap();
            visitor.write_u32(u32::try_from(fields.len()).unwrap() + 4).await.unwrap();
            visitor.write_all(fields.as_bytes()).await.unwrap();
        });
        port
    }

    #[tokio::test]
    async fn a_closed_door_is_explained_without_the_password() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        for (port, expected) in [
            (closed, "is it running"),
            (turning_away("28P01").await, "refuses the password of user “ada”"),
            (turning_away("3D000").await, "make it: createdb --host 127.0.0.1 --port"),
            (turning_away("42501").await, "does not let user “ada” into database “fleet”: not today"),
        ] {
            let url = format!("postgres://ada:sesame@127.0.0.1:{port}/fleet?sslmode=disable");
            let said = knock(&url).await.unwrap_err().to_string();
            assert!(said.contains(expected) && said.contains(&format!("127.0.0.1:{port}")), "{said}");
            assert!(said.contains("fleet") && !said.contains("sesame"), "{said}");
        }
    }
}
