//! The running backend: what every request and every job shares.

use rackhand_store::{Db, Scope, agents, endpoints};
use rackhand_wire::{
    Secrets, Timings,
    api::{live::Object, settings::InstallationSettings},
    id::{AgentId, EndpointId},
};
use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

use crate::{
    agents::{Roster, Told},
    config::Config,
    http::limit::Limits,
    live::Live,
    work::Engine,
};

/// Everything that is shared.
pub struct App {
    /// The database.
    pub db: Db,
    /// Connected agents.
    pub roster: Arc<Roster>,
    /// Open pages.
    pub live: Live,
    /// Performs jobs.
    pub engine: Engine,
    /// How it was started.
    pub config: Config,
    /// The agent that this process embeds; absent with `--embedded-agent off`.
    pub embedded: Option<AgentId>,
    /// One-time token of the set-up link while nobody exists.
    pub setup_token: Mutex<Option<String>>,
    /// Guards against guessing.
    pub limits: Limits,
    /// When it started.
    pub started: Instant,
    settings: RwLock<InstallationSettings>,
}

impl App {
    /// Puts it together and starts the embedded agent, the poller and interrupted jobs.
    ///
    /// # Errors
    /// When the database or the agent's journal fails.
    pub async fn start(config: Config, db: Db) -> Result<Arc<Self>, crate::Failure> {
        let settings = rackhand_store::settings::installation(db.reader()).await?;
        let roster = Arc::new(Roster::default());
        let (told, inbox) = mpsc::channel(256);
        let embedded =
            if config.embedded_agent { Some(embed(&config, &db, &roster, told).await?) } else { None };
        let setup_token = if rackhand_store::users::is_empty(db.reader()).await? {
            Some(crate::secret::fresh_token()?)
        } else {
            None
        };
        let app = Arc::new(Self {
            db,
            roster,
            live: Live::new(rackhand_store::millis(rackhand_store::now())),
            engine: Engine::default(),
            config,
            embedded,
            setup_token: Mutex::new(setup_token),
            limits: Limits::default(),
            started: Instant::now(),
            settings: RwLock::new(settings),
        });
        tokio::spawn(listen(Arc::clone(&app), inbox));
        crate::work::start(&app).await?;
        Ok(app)
    }

    /// The installation's settings.
    pub fn settings(&self) -> InstallationSettings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Uses changed settings from now on; they are stored already.
    pub fn use_settings(&self, settings: InstallationSettings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// All durations, with what the settings say of them.
    pub fn timings(&self) -> Timings {
        let settings = self.settings();
        let scaled = |seconds: u32| Duration::from_secs(seconds.into()).mul_f64(self.config.time_scale);
        Timings {
            poll: scaled(settings.poll_interval_s),
            soft_deadline: scaled(settings.soft_deadline_s),
            discharge: scaled(settings.discharge_s),
            ..self.config.timings()
        }
    }

    /// The link that makes the first user, while there is none.
    pub fn setup_link(&self) -> Option<String> {
        let token = self.setup_token.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(format!("{}/setup?token={token}", self.config.public_url.trim_end_matches('/')))
    }

    /// The agent that shall reach an endpoint: the named one, or this process's own.
    pub fn agent_for(&self, named: Option<AgentId>) -> Option<AgentId> {
        named.or(self.embedded)
    }
}

struct Sealed(Db);

#[async_trait::async_trait]
impl rackhand_agent::SecretSource for Sealed {
    async fn find(&self, endpoint: EndpointId) -> Option<Secrets> {
        match endpoints::reach(&self.0, &Scope::provider(), endpoint).await {
            Ok(reach) => Some(reach.secrets),
            Err(error) => {
                tracing::error!(%error, %endpoint, "no credentials to restore an outlet");
                None
            }
        }
    }
}

async fn embed(
    config: &Config,
    db: &Db,
    roster: &Arc<Roster>,
    told: mpsc::Sender<Told>,
) -> Result<AgentId, crate::Failure> {
    let agent = agents::embedded(db.writer(), &format!("local-{}", config.node)).await?;
    let link = rackhand_agent::Agent::start(rackhand_agent::Config {
        id: agent.id,
        journal: config.data_dir.join("agent-journal.jsonl"),
        timings: config.timings(),
        secrets: Arc::new(Sealed(db.clone())),
    })
    .map_err(|error| crate::Failure::new("open the agent's journal", error))?;
    roster.join(agent.id, link, told);
    Ok(agent.id)
}

async fn listen(app: Arc<App>, mut inbox: mpsc::Receiver<Told>) {
    while let Some(told) = inbox.recv().await {
        match told {
            Told::Hello(hello) => {
                if let Err(error) = agents::hello(app.db.writer(), &hello).await {
                    tracing::error!(%error, agent = %hello.agent, "could not note an agent's hello");
                }
                app.live.tell(Object::Agent, hello.agent);
            }
            Told::Restored { cut, result } => {
                if let Err(error) = crate::work::restored(&app, cut, result).await {
                    tracing::error!(%error, %cut, "could not note that an agent restored an outlet");
                }
            }
        }
    }
}
