//! Holds the line until told to stop.

use rackhand_driver::Guard;
use rackhand_wire::Timings;
use std::{fs::File, path::Path, process::ExitCode, sync::Arc};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Relog, folder, log, warn_unknown_variables};
use crate::{
    Agent, Config,
    config::{Filter, Options, Settings},
    files,
    line::{self, Asked},
};

/// Exit code of an agent whose place another process took: starting it again would only throw that one out.
const REPLACED: u8 = 3;

/// Runs the agent.
pub async fn run(options: Options) -> ExitCode {
    let settings = match Settings::load(&options) {
        Ok(settings) => settings,
        Err(why) => {
            drop(log(&Filter::default()));
            tracing::error!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let relog = log(&settings.log);
    warn_unknown_variables();
    match serve(&options, settings, &relog).await {
        Ok(code) => code,
        Err(why) => {
            tracing::error!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: &Options, settings: Settings, relog: &Relog) -> Result<ExitCode, String> {
    let path = settings.data_dir.clone();
    let folder = folder(&path)?;
    let _lock = lock(&path)?;
    folder.mend().map_err(|error| format!("cannot use {}: {error}", path.display()))?;
    let identity = folder.read().map_err(|error| {
        format!("no identity in {}: {error}. Enrol first: rackhand-agent enroll --help", path.display())
    })?;
    let timings = Timings::default().scaled(settings.time_scale);
    let guard = Arc::new(Guard::new(settings.rules.clone(), &settings.place()));
    let (asked, requests) = Asked::new();
    let config = Config {
        id: identity.home.agent,
        journal: path.join("journal.jsonl"),
        spool: path.join("spool"),
        keep: settings.keep,
        timings,
        guard: Arc::clone(&guard),
        secrets: Arc::new(asked),
    };
    let agent = Agent::start(config).map_err(|error| format!("cannot use {}: {error}", path.display()))?;
    let files = files::allow_many();
    tracing::info!(name = identity.home.name, server = identity.home.server, files, "rackhand-agent runs");
    drop(identity);
    let hangups = signal(SignalKind::hangup()).map_err(|error| format!("cannot hear SIGHUP: {error}"))?;
    let reloads = Reloads { options, settings, agent: &agent, guard, relog };
    tokio::select! {
        () = line::hold(&agent, &folder, &timings, requests) => {
            tracing::error!(
                "another process with this identity took its place: this one ends. Stop one of the two, or \
                 enrol this machine as an agent of its own"
            );
            Ok(ExitCode::from(REPLACED))
        }
        () = told_to_stop() => {
            tracing::info!("rackhand-agent stops, as it was told");
            Ok(ExitCode::SUCCESS)
        }
        () = reloads.serve(hangups) => Ok(ExitCode::SUCCESS),
    }
}

/// Reads the configuration again at each SIGHUP and changes what it changes; sessions and devices stay.
struct Reloads<'a> {
    options: &'a Options,
    settings: Settings,
    agent: &'a Agent,
    guard: Arc<Guard>,
    relog: &'a Relog,
}

impl Reloads<'_> {
    async fn serve(mut self, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            match Settings::load(self.options) {
                Ok(fresh) => self.change(fresh),
                Err(why) => {
                    tracing::error!("the configuration stays as it was: {why}");
                }
            }
        }
        std::future::pending::<()>().await;
    }

    fn change(&mut self, fresh: Settings) {
        let mut changed = Vec::new();
        if fresh.log != self.settings.log {
            (self.relog)(&fresh.log);
            changed.push("log");
        }
        if fresh.rules.allow != self.settings.rules.allow {
            changed.push("allow");
        }
        if fresh.rules.deny != self.settings.rules.deny {
            changed.push("deny");
        }
        if fresh.keep != self.settings.keep {
            self.agent.keep(fresh.keep);
            changed.push("spool");
        }
        if fresh.rules != self.settings.rules {
            self.guard.change(fresh.rules.clone());
        }
        if fresh.data_dir != self.settings.data_dir {
            tracing::warn!(
                data_dir = %fresh.data_dir.display(),
                "another data_dir counts from the next start of the agent on"
            );
        }
        tracing::info!(changed = changed.join(", "), "the configuration was read again");
        // What did not change yet is compared with the same as before, and so is warned about again.
        self.settings = Settings { data_dir: self.settings.data_dir.clone(), ..fresh };
    }
}

/// Keeps a second agent away from the same journal.
fn lock(path: &Path) -> Result<File, String> {
    let file = File::create(path.join("run.lock")).map_err(|error| error.to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(format!("another rackhand-agent runs on {}", path.display())),
    }
}

async fn told_to_stop() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            tokio::signal::ctrl_c().await.ok();
        }
    }
}
