//! The database as a whole.

use clap::Subcommand;
use rackhand_store::{
    Db,
    copy::{self, Table},
    nodes,
    sealed::Keyring,
};
use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use super::print::write;
use crate::{Failure, config::database_file, serve};

/// What can be done with a database.
#[derive(Subcommand)]
pub enum DbCommand {
    /// Copy an installation into another, empty database, and check that all of it arrived
    ///
    /// Stop `rackhand serve` first; then serve the copy with the same master key file. What is sealed stays sealed.
    Copy {
        /// Where it is: `sqlite://FILE` or `postgres://USER@HOST/NAME`
        from: String,
        /// Where it shall be; made when it is SQLite, and must hold nothing yet
        to: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs a command.
///
/// # Errors
/// When it cannot be done; nothing is changed then.
pub async fn database(command: DbCommand) -> Result<(), Failure> {
    let DbCommand::Copy { from, to, json } = command;
    if from == to {
        return Err(Failure::new("copy the database", "the two are the same"));
    }
    if let Some(file) = database_file(&from).filter(|file| !file.exists()) {
        return Err(Failure::new("open the database", format!("there is none at {}", file.display())));
    }
    let (source, target) = (open(&from).await?, open(&to).await?);
    let _free = free(&source, &from).await?;
    let pending = serve::pending(&source).await?;
    if !pending.is_empty() {
        let why = format!("{from} has the shape of an older version; run rackhand migrate on it first");
        return Err(Failure::new("copy the database", why));
    }
    let _also_free = free(&target, &to).await?;
    let _alone = target.lock_shape().await?;
    serve::migrate(&target).await?;
    let mut shown = |table: &Table| {
        if !json {
            writeln!(io::stderr(), "{:<14} {:>9} rows  {}", table.name, table.rows, table.sha256).ok();
        }
    };
    let tables = copy::copy(&source, &target, &mut shown).await?;
    source.close().await;
    target.close().await;
    if json {
        let text = serde_json::to_string_pretty(&serde_json::json!({ "tables": tables }));
        return write(&text.map_err(|error| Failure::new("print JSON", error))?);
    }
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    write(&format!("{} tables with {rows} rows are the same on both sides", tables.len()))
}

async fn open(url: &str) -> Result<Db, Failure> {
    Ok(Db::open(url, Keyring::none()?).await?)
}

/// Makes sure that nobody serves a database; what is given back keeps a server on a file from beginning.
async fn free(db: &Db, url: &str) -> Result<Option<fs::File>, Failure> {
    if let Some(file) = database_file(url) {
        let folder = file.parent().unwrap_or(Path::new("."));
        return if folder.join(serve::LOCK).exists() { serve::lock(folder).map(Some) } else { Ok(None) };
    }
    if !serve::pending(db).await?.is_empty() {
        return Ok(None);
    }
    let living = nodes::living_since(db.reader(), rackhand_wire::Timings::default().server_dead).await?;
    match living.first() {
        Some(node) => {
            let why = format!("rackhand serve runs on it as “{}”; stop that first", node.name);
            Err(Failure::new(&format!("use {url}"), why))
        }
        None => Ok(None),
    }
}
