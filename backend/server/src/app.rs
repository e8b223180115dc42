//! The running backend: what every request and every job shares.

use rackhand_agent::{Guard, Rules, poller};
use rackhand_store::{Db, Scope, agents, endpoints};
use rackhand_wire::{
    Secrets, Timings,
    api::settings::InstallationSettings,
    id::{AgentId, EndpointId, TenantId},
};
use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

use crate::{
    agents::{Authority, Roster, Route, Told, Via, listen, members, presence},
    config::Config,
    http::limit::Limits,
    live::Live,
    peers::{self, Peers},
    tls::InUse,
    work::Engine,
};

/// Everything that is shared.
pub struct App {
    /// The database.
    pub db: Db,
    /// This server among those on its database.
    pub peers: Arc<Peers>,
    /// Connected agents.
    pub roster: Arc<Roster>,
    /// What agents tell on their own account.
    pub told: mpsc::Sender<Told>,
    /// Says which key is which agent's.
    pub authority: Authority,
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
    /// What agents were refused for lately.
    pub refusals: presence::Refusals,
    /// The certificate in use, when TLS ends here.
    pub tls: Option<Arc<InUse>>,
    /// When it started.
    pub started: Instant,
    settings: RwLock<InstallationSettings>,
}

impl App {
    /// Puts it together and starts the embedded agent, its looks and interrupted jobs.
    ///
    /// # Errors
    /// When the database or the agent's journal fails.
    pub async fn start(config: Config, db: Db, tls: Option<Arc<InUse>>) -> Result<Arc<Self>, crate::Failure> {
        let settings = rackhand_store::settings::installation(db.reader()).await?;
        let peers = peers::enter(&config, &db).await?;
        let roster = Arc::new(Roster::new(&config.timings(), Arc::clone(&peers)));
        roster.follow_all().await?;
        let (told, inbox) = mpsc::channel(256);
        let embedded = if config.embedded_agent {
            Some(embed(&config, &db, &roster, told.clone()).await?)
        } else {
            None
        };
        let authority = Authority::open(&db, config.timings().certificate_life).await?;
        let setup_token = if rackhand_store::users::is_empty(db.reader()).await? {
            Some(crate::secret::fresh_token()?)
        } else {
            None
        };
        let app = Arc::new(Self {
            db,
            roster,
            told,
            authority,
            live: Live::new(rackhand_store::millis(rackhand_store::now()), Arc::clone(&peers.bus)),
            engine: Engine::new(Arc::clone(&peers.bus)),
            peers,
            config,
            embedded,
            setup_token: Mutex::new(setup_token),
            limits: Limits::default(),
            refusals: presence::Refusals::default(),
            tls,
            started: Instant::now(),
            settings: RwLock::new(settings),
        });
        tokio::spawn(listen(Arc::clone(&app), inbox));
        tokio::spawn(crate::agents::keep_seen(Arc::clone(&app)));
        tokio::spawn(presence::miss(Arc::clone(&app)));
        tokio::spawn(presence::tell_late(Arc::clone(&app)));
        crate::work::start(&app).await?;
        peers::keep(&app);
        Ok(app)
    }

    /// The installation's settings.
    pub fn settings(&self) -> InstallationSettings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Uses changed settings from now on; they are stored already.
    pub fn use_settings(&self, settings: InstallationSettings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
        self.engine.watch.replan();
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

    /// Who shall reach an endpoint: the named agent, a member of the named group, or an agent that is part of a server.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn route(
        &self,
        tenant: TenantId,
        (endpoint, kind): (EndpointId, &str),
        via: &Via,
    ) -> rackhand_store::Result<Option<Route>> {
        Ok(match (via.agent, via.group.as_deref()) {
            // As a group of one: whoever reached the device before it must have stopped.
            (Some(agent), _) => Some(Route::Group { endpoint, members: vec![agent] }),
            (None, Some(group)) if group != agents::LOCAL => Some(Route::Group {
                endpoint,
                members: members(&self.db, tenant, (endpoint, kind), group).await?,
            }),
            (None, _) if self.peers.may_be_many() => {
                // What another server's own agent does not hold already, this one's takes.
                let mut members = members(&self.db, tenant, (endpoint, kind), agents::LOCAL).await?;
                members.sort_by_key(|member| self.embedded != Some(*member));
                Some(Route::Group { endpoint, members })
            }
            (None, _) => self.embedded.map(|own| Route::Group { endpoint, members: vec![own] }),
        })
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
    let rules = Rules { allow: config.allow.clone(), deny: Vec::new() };
    let guard = Arc::new(Guard::new(rules, "rackhand.toml"));
    if !config.listen.ip().is_unspecified() {
        guard.learn_plane(&[config.listen.ip()]);
    }
    let embedded = rackhand_agent::Agent::start(rackhand_agent::Config {
        id: agent.id,
        journal: config.data_dir.join("agent-journal.jsonl"),
        spool: config.data_dir.join("agent-spool"),
        keep: poller::Limits::default(),
        timings: config.timings(),
        guard,
        secrets: Arc::new(Sealed(db.clone())),
    })
    .map_err(|error| crate::Failure::new("open the agent's journal", error))?;
    let hello = embedded.hello();
    agents::hello(db.writer(), &hello, None).await?;
    roster.join(hello, embedded.attach(), told).await?;
    roster.leases().keep(agent.id, embedded);
    Ok(agent.id)
}
