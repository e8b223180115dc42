//! What a server does among others all the time: it says that it lives, hears what they tell, and looks for what it
//! was not told.

use rackhand_store::{Db, agent_sessions, jobs, nodes, settings};
use rackhand_wire::{
    Timings,
    api::live::Object,
    id::{AgentId, NodeId},
};
use std::{
    collections::{HashMap, HashSet},
    fs, mem,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::MissedTickBehavior;

use super::{Life, Peers, letters};
use crate::{
    Failure,
    agents::{self, presence},
    app::App,
    bus::{Alone, Bus, Heard, Notice, Postgres},
    config::Config,
    work,
};

/// Enters this server among those on its database.
///
/// # Errors
/// When another one has its name, or the database fails.
pub async fn enter(config: &Config, db: &Db) -> Result<Arc<Peers>, Failure> {
    let home = home(&config.data_dir)?;
    let begun = Instant::now();
    let tx = db.begin().await?;
    let dead = config.timings().server_dead;
    let own = nodes::enter(&tx, home, &config.node, dead, !db.is_shared()).await?;
    tx.commit().await.map_err(rackhand_store::Error::from)?;
    let bus: Arc<dyn Bus> =
        if db.is_shared() { Arc::new(Postgres::open(db, own.id).await?) } else { Arc::new(Alone) };
    Ok(Arc::new(Peers::new(db.clone(), own, bus, Life::new(begun, dead))))
}

/// Takes leave of the others: what this server had is theirs now.
pub async fn leave(app: &App) {
    if !app.peers.may_be_many() {
        return;
    }
    app.peers.set_out();
    let left = async {
        let tx = app.db.begin().await?;
        nodes::leave(&tx, app.peers.id()).await?;
        tx.commit().await.map_err(rackhand_store::Error::from)
    };
    match left.await {
        Ok(()) => {
            app.peers.bus.tell(Notice::Due);
            app.peers.bus.flush().await;
        }
        Err(error) => tracing::warn!(%error, "could not take leave of the other servers; they will notice"),
    }
}

/// The data folder's own id: one server at a time runs on a folder, so that it names one after a restart.
fn home(data_dir: &Path) -> Result<NodeId, Failure> {
    let file = data_dir.join("server-id");
    let failed = |error: &dyn std::fmt::Display| Failure::new(&format!("read {}", file.display()), error);
    match fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map_err(|error: <NodeId as std::str::FromStr>::Err| failed(&error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let fresh = NodeId(rackhand_store::fresh_id());
            fs::write(&file, format!("{fresh}\n")).map_err(|error| failed(&error))?;
            Ok(fresh)
        }
        Err(error) => Err(failed(&error)),
    }
}

/// Begins all that, where there may be others.
pub fn keep(app: &Arc<App>) {
    if app.peers.may_be_many() {
        tokio::spawn(beat(Arc::clone(app)));
        tokio::spawn(hear(Arc::clone(app)));
        tokio::spawn(sweep(Arc::clone(app)));
        tokio::spawn(watch(Arc::clone(app)));
    }
}

/// Says that this server lives, and buries those that do not say so any more.
async fn beat(app: Arc<App>) {
    let Timings { server_beat, server_dead, .. } = app.timings();
    let mut signs = Signs::new();
    let mut burial = tokio::spawn(async {});
    let mut ticks = tokio::time::interval(server_beat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let begun = Instant::now();
        match nodes::beat(app.db.life(), app.peers.id()).await {
            Ok(true) => app.peers.life.say(begun),
            Ok(false) if app.peers.is_leaving() => return,
            Ok(false) => give_up(),
            Err(error) => {
                tracing::warn!(%error, "could not tell the other servers that this one lives");
                // While the database is away nobody can say that he lives: all have time to.
                signs.clear();
                continue;
            }
        }
        let silent = match nodes::beats(app.db.life()).await {
            Ok(beats) => silent(&mut signs, &beats, Instant::now(), server_dead),
            Err(error) => {
                tracing::warn!(%error, "could not look which servers have died");
                signs.clear();
                continue;
            }
        };
        // It may have to wait for a server that froze, and this one must say meanwhile that it lives.
        if !silent.is_empty() && burial.is_finished() {
            burial = tokio::spawn(bury(Arc::clone(&app), silent));
        }
    }
}

/// Ends this process: the others have its jobs and agents already, and a fresh start is the one way back that is
/// proven. The service manager brings it up.
fn give_up() -> ! {
    tracing::error!(
        "this server hung for so long that the others on its database gave it up; it ends and must be started anew"
    );
    std::process::exit(1)
}

/// The newest sign of life of each server, and since when it is the newest.
type Signs = HashMap<NodeId, (i64, Instant)>;

/// Takes in how often each server has said that it lives; lists those that have not said so again for too long.
fn silent(
    signs: &mut Signs,
    beats: &[(NodeId, i64)],
    now: Instant,
    dead_after: Duration,
) -> Vec<(NodeId, i64)> {
    let before = mem::take(signs);
    for (node, count) in beats {
        let sign = before.get(node).copied().filter(|(known, _)| known == count);
        signs.insert(*node, sign.unwrap_or((*count, now)));
    }
    let dead = signs.iter().filter(|(_, (_, since))| now.duration_since(*since) >= dead_after);
    dead.map(|(node, (count, _))| (*node, *count)).collect()
}

async fn bury(app: Arc<App>, silent: Vec<(NodeId, i64)>) {
    let buried = async {
        let tx = app.db.begin_for_life().await?;
        let dead = nodes::bury(&tx, &silent).await?;
        tx.commit().await.map_err(rackhand_store::Error::from)?;
        for node in &dead {
            tracing::warn!(node = node.name, "another server has died; its jobs are taken up");
        }
        if !dead.is_empty() {
            app.peers.bus.tell(Notice::Due);
            look(&app).await?;
            tokio::spawn(presence::miss(Arc::clone(&app)));
        }
        Ok::<(), rackhand_store::Error>(())
    };
    if let Err(error) = buried.await {
        tracing::warn!(%error, "could not bury the servers that have died");
    }
}

async fn hear(app: Arc<App>) {
    loop {
        match app.peers.bus.hear().await {
            Heard::Gap => {
                app.live.forget();
                if let Err(error) = look(&app).await {
                    tracing::warn!(%error, "could not look for what was missed");
                }
            }
            Heard::Notice(notice) => {
                if let Err(error) = one(&app, notice).await {
                    // The sweep comes back to it.
                    tracing::warn!(%error, "could not follow what another server told");
                }
            }
        }
    }
}

async fn one(app: &Arc<App>, notice: Notice) -> rackhand_store::Result<()> {
    match notice {
        Notice::Live(change) => app.live.relay(change),
        Notice::Cancel(job) => app.engine.cancel(job),
        Notice::Due => work::take_up(app).await?,
        Notice::Session(agent) => app.roster.follow(agent).await?,
        Notice::Denied(_) => agents::recheck(app).await?,
        Notice::Letter(node) if node == app.peers.id() => letters::deal(&app.peers, &app.roster).await?,
        Notice::Letter(_) => {}
        Notice::Settings => app.use_settings(settings::installation(app.db.reader()).await?),
        Notice::Look(endpoint) => app.engine.watch.look_now([endpoint]),
    }
    Ok(())
}

async fn sweep(app: Arc<App>) {
    let mut ticks = tokio::time::interval(app.timings().server_sweep);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut late = HashSet::new();
    loop {
        ticks.tick().await;
        if let Err(error) = look(&app).await {
            tracing::warn!(%error, "could not look for what other servers did");
        }
        if let Err(error) = rackhand_store::letters::sweep(app.db.writer()).await {
            tracing::warn!(%error, "could not remove letters to servers that have gone");
        }
        if let Err(error) = note_late(&app, &mut late).await {
            tracing::warn!(%error, "could not note which agents are late");
        }
    }
}

/// Watches what no notice tells in time: how the leases of agents stand that renew them with other servers, and who
/// was revoked by a command.
async fn watch(app: Arc<App>) {
    let mut ticks = tokio::time::interval(app.timings().lease / 6);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut revoked = None;
    loop {
        ticks.tick().await;
        if let Err(error) = agents::recheck_since(&app, &mut revoked).await {
            tracing::warn!(%error, "could not look which agents were revoked");
        }
        if let Err(error) = app.roster.leases().watch().await {
            tracing::warn!(%error, "could not look which agents renew their leases");
        }
    }
}

/// Looks for whatever a notice may have spoken of.
async fn look(app: &Arc<App>) -> rackhand_store::Result<()> {
    letters::deal(&app.peers, &app.roster).await?;
    app.roster.follow_all().await?;
    agents::recheck(app).await?;
    work::take_up(app).await?;
    for job in jobs::cancelled_of(app.db.reader(), app.peers.id()).await? {
        app.engine.cancel(job);
    }
    let kept = settings::installation(app.db.reader()).await?;
    if kept != app.settings() {
        app.use_settings(kept);
        app.live.relay(rackhand_wire::api::live::Change {
            object: Object::Settings,
            id: String::new(),
            version: None,
        });
    }
    Ok(())
}

async fn note_late(app: &App, known: &mut HashSet<AgentId>) -> rackhand_store::Result<()> {
    let limit = app.timings().heartbeat.mul_f64(1.5);
    let late: HashSet<AgentId> =
        app.roster.present().into_iter().filter(|agent| app.roster.silence(*agent) > Some(limit)).collect();
    for (changed, is_late) in [(&late - known, true), (&*known - &late, false)] {
        let agents: Vec<AgentId> = changed.into_iter().filter(|agent| app.embedded != Some(*agent)).collect();
        if !agents.is_empty() {
            agent_sessions::note_late(app.db.writer(), app.peers.id(), &agents, is_late).await?;
        }
    }
    *known = late;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackhand_store::fresh_id;

    #[test]
    fn a_server_is_silent_once_its_count_has_stood_for_long_enough() {
        let (mut signs, dead) = (Signs::new(), Duration::from_secs(12));
        let (own, other) = (NodeId(fresh_id()), NodeId(fresh_id()));
        let begun = Instant::now();
        let mut at = |seconds: u64, beats: i64| {
            let now = begun + Duration::from_secs(seconds);
            silent(&mut signs, &[(own, i64::try_from(seconds).unwrap()), (other, beats)], now, dead)
        };
        assert_eq!(at(0, 7), []);
        assert_eq!(at(11, 7), []);
        // One sign gives it the whole time again, however late it came.
        assert_eq!(at(20, 8), []);
        assert_eq!(at(31, 8), []);
        assert_eq!(at(32, 8), [(other, 8)]);
    }
}
