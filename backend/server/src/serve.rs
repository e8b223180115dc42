//! `rackhand serve`: from a configuration to a listening server, and back down.

use actix_web::{App as Actix, HttpServer, middleware, web};
use rackhand_migrations::Migrator;
use rackhand_store::{Db, settings};
use sea_orm_migration::MigratorTrait;
use std::{fs, os::unix::fs::DirBuilderExt, path::Path, sync::Arc, time::Duration};

use crate::{
    Failure,
    app::App,
    config::Config,
    http, peers,
    secret::{self, MissingKey},
    tls,
};

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
    // What is made from here on is its owner's alone: database, journal, key.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    data_dir(&config.data_dir)?;
    let has_data = config.database_file().is_some_and(Path::exists);
    let missing = if has_data || config.master_key_named { MissingKey::Refuse } else { MissingKey::Make };
    let keys = secret::master_key(&config.master_key_file, missing)?;
    Ok(Db::open(&config.database_url, keys).await?)
}

/// Opens and migrates the database, and compares the master key with the one that seals it.
///
/// # Errors
/// When it cannot be opened, or was sealed with another key.
pub async fn open_current(config: &Config) -> Result<Db, Failure> {
    let db = open(config).await?;
    let _alone = db.lock_shape().await?;
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

/// The same for commands that are of no use without an installation: a mistyped folder is not made.
///
/// # Errors
/// When there is none, and as [`open_current`].
pub async fn open_existing(config: &Config) -> Result<Db, Failure> {
    if let Some(file) = config.database_file().filter(|file| !file.exists()) {
        let why = format!("there is none at {}; is --data-dir right?", file.display());
        return Err(Failure::new("open the database", why));
    }
    open_current(config).await
}

/// The file in a data folder that a running server holds.
pub const LOCK: &str = "serve.lock";

/// Keeps a second server away from the same data: their agents would both switch the same outlets.
///
/// # Errors
/// When one runs.
pub fn lock(folder: &Path) -> Result<fs::File, Failure> {
    data_dir(folder)?;
    let path = folder.join(LOCK);
    let what = format!("use the data folder {}", folder.display());
    let file = fs::File::create(path).map_err(|error| Failure::new(&what, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Failure::new(&what, "another rackhand serve runs on it; stop that one first"))
        }
        Err(fs::TryLockError::Error(error)) => Err(Failure::new(&what, error)),
    }
}

/// Lists the steps that a database lacks.
///
/// # Errors
/// When the database fails.
pub async fn pending(db: &Db) -> Result<Vec<String>, Failure> {
    let failed = |error| Failure::new("look at the database's shape", error);
    let pending = Migrator::get_pending_migrations(db.writer()).await.map_err(failed)?;
    Ok(pending.iter().map(|step| step.name().to_owned()).collect())
}

/// Brings the database to this version's shape; gives the names of the steps taken.
///
/// # Errors
/// When a step fails.
pub async fn migrate(db: &Db) -> Result<Vec<String>, Failure> {
    let names = pending(db).await?;
    let failed = |error| Failure::new("migrate the database", error);
    Migrator::up(db.writer(), None).await.map_err(failed)?;
    Ok(names)
}

/// Requests under way have so long to end.
const GRACE: Duration = Duration::from_secs(5);

/// A TLS handshake may take so long: an agent on a line that loses every fifth packet needs some.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// Serves until it is told to stop.
///
/// # Errors
/// When it cannot begin.
pub async fn run(config: Config) -> Result<(), Failure> {
    let lock = lock(&config.data_dir)?;
    if config.misses_its_proxy() {
        tracing::warn!(
            "public_url is https, and nothing here speaks TLS: name the proxy in trusted_proxies, as in [\"127.0.0.1\"]. \
             Until then everybody counts as one address: wrong passwords of one lock out all, and /metrics is open to all"
        );
    }
    let files = rackhand_agent::files::allow_many();
    let listen = config.listen;
    let cannot_listen = |error| Failure::new(&format!("listen on {listen}"), error);
    // A port that is taken is told before the database gets this version's shape.
    may_listen(listen).map_err(cannot_listen)?;
    let db = open_current(&config).await?;
    let in_use = tls::open(&config, &db).await?;
    let acceptor = in_use.as_ref().map(tls::server_config).transpose()?;
    // The others know of this server from here on: it takes its leave however early it is stopped.
    let told = told_to_stop().map_err(|error| Failure::new("hear when to stop", error))?;
    let app = App::start(config, db.clone(), in_use).await?;
    let data = web::Data::from(Arc::clone(&app));
    let (dead_after, trusted) = (app.timings().dead_after, app.config.trusted_proxies.clone());
    let crowd = http::crowd::Crowd::new(files);
    let server = HttpServer::new(move || {
        Actix::new()
            .app_data(data.clone())
            .wrap(middleware::from_fn(http::crowd::held_back))
            .wrap(middleware::from_fn(http::observed))
            .configure(http::routes)
    })
    .workers(2)
    // The number of files is the limit: whoever comes beyond it is told so, instead of waiting unheard.
    .max_connections(1_000_000)
    .shutdown_timeout(GRACE.as_secs())
    .tls_handshake_timeout(HANDSHAKE)
    .on_connect(move |connection, data| {
        if let Some(too_many) = crowd.enter() {
            data.insert(too_many);
        }
        tls::met(connection, data, dead_after, &trusted);
    })
    .disable_signals();
    let server = match acceptor {
        Some(acceptor) => server.bind_rustls_0_23(listen, acceptor),
        None => server.bind(listen),
    };
    let server = server.map_err(cannot_listen)?;
    tls::keep(&app)?;
    let address = server.addrs().first().copied().unwrap_or(listen);
    tracing::info!(%address, url = app.config.public_url, database = db.engine(), files, "rackhand is ready");
    if let Some(link) = app.setup_link() {
        tracing::info!(link, "nobody exists yet: open this link to make the first user");
        announce(&link);
    }
    let server = server.run();
    let handle = server.handle();
    let live = Arc::clone(&app);
    tokio::spawn(async move {
        told.await;
        tracing::info!("stopping");
        live.live.close();
        crate::agents::send_away(&live, GRACE).await;
        handle.stop(true).await;
    });
    server.await.map_err(|error| Failure::new("serve", error))?;
    // Commands under way end and are journaled; jobs are taken up at the next start, or by another server now.
    app.engine.halt();
    app.roster.dismiss();
    tokio::time::sleep(Duration::from_millis(100)).await;
    peers::leave(&app).await;
    db.close().await;
    drop(lock);
    tracing::info!("rackhand stopped");
    Ok(())
}

/// Takes an address without listening there, so that nobody takes it for a server that is ready.
fn may_listen(address: std::net::SocketAddr) -> std::io::Result<()> {
    use tokio::net::TcpSocket;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // What is left of earlier connections is no obstacle.
    socket.set_reuseaddr(true)?;
    socket.bind(address)
}

/// Hears SIGTERM and Ctrl-C from now on; what it gives ends with the first.
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Shows the link to a person, whatever the log looks like.
fn announce(link: &str) {
    use std::io::{IsTerminal, Write};
    let mut out = std::io::stderr();
    if out.is_terminal() {
        writeln!(out, "\n  Set up Rackhand: {link}\n").ok();
    }
}
