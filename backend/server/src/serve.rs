//! `rackhand serve`: from a configuration to a listening server, and back down.

use actix_web::{App as Actix, HttpServer, middleware, web};
use rackhand_migrations::Migrator;
use rackhand_store::{Db, settings};
use sea_orm_migration::MigratorTrait;
use std::{fs, os::unix::fs::DirBuilderExt, path::Path, sync::Arc, time::Duration};

use crate::{Failure, app::App, config::Config, http, secret};

/// Makes the data folder, readable by its owner alone.
///
/// # Errors
/// When it cannot be made.
pub fn data_dir(path: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Failure::new(&format!("make the data folder {}", path.display()), error))
}

/// Opens the database with the master key, without migrating.
///
/// # Errors
/// When key or database cannot be opened.
pub async fn open(config: &Config) -> Result<Db, Failure> {
    data_dir(&config.data_dir)?;
    let keys = secret::master_key(&config.master_key_file)?;
    Ok(Db::open(&config.database_url, keys).await?)
}

/// Opens and migrates the database, and compares the master key with the one that seals it.
///
/// # Errors
/// When it cannot be opened, or was sealed with another key.
pub async fn open_current(config: &Config) -> Result<Db, Failure> {
    let db = open(config).await?;
    migrate(&db).await?;
    let checked = settings::check_master_key(db.writer(), db.keys()).await;
    if matches!(checked, Err(rackhand_store::Error::Sealed)) {
        let file = config.master_key_file.display();
        let why = format!("it was sealed with another master key than {file}; bring the right key");
        return Err(Failure::new("use this database", why));
    }
    checked?;
    Ok(db)
}

/// Brings the database to this version's shape; gives the names of the steps taken.
///
/// # Errors
/// When a step fails.
pub async fn migrate(db: &Db) -> Result<Vec<String>, Failure> {
    let failed = |error| Failure::new("migrate the database", error);
    let pending = Migrator::get_pending_migrations(db.writer()).await.map_err(failed)?;
    let names = pending.iter().map(|step| step.name().to_owned()).collect();
    Migrator::up(db.writer(), None).await.map_err(failed)?;
    Ok(names)
}

/// Serves until it is told to stop.
///
/// # Errors
/// When it cannot begin.
pub async fn run(config: Config) -> Result<(), Failure> {
    let db = open_current(&config).await?;
    let listen = config.listen;
    let app = App::start(config, db.clone()).await?;
    let data = web::Data::from(Arc::clone(&app));
    let server = HttpServer::new(move || {
        // Called once on the thread of each worker.
        rackhand_store::serve_people_here();
        Actix::new().app_data(data.clone()).wrap(middleware::from_fn(http::observed)).configure(http::routes)
    })
    .workers(2)
    .shutdown_timeout(5)
    .bind(listen)
    .map_err(|error| Failure::new(&format!("listen on {listen}"), error))?;
    let address = server.addrs().first().copied().unwrap_or(listen);
    tracing::info!(%address, url = app.config.public_url, database = db.engine(), "rackhand is ready");
    if let Some(link) = app.setup_link() {
        tracing::info!(link, "nobody exists yet: open this link to make the first user");
        announce(&link);
    }
    server.run().await.map_err(|error| Failure::new("serve", error))?;
    // Commands under way end and are journaled; jobs are taken up at the next start.
    app.roster.dismiss();
    tokio::time::sleep(Duration::from_millis(100)).await;
    db.close().await;
    tracing::info!("rackhand stopped");
    Ok(())
}

/// Shows the link to a person, whatever the log looks like.
fn announce(link: &str) {
    use std::io::{IsTerminal, Write};
    let mut out = std::io::stderr();
    if out.is_terminal() {
        writeln!(out, "\n  Set up Rackhand: {link}\n").ok();
    }
}
