//! Which devices may go to another agent of their group while the one that has them is there.

use chrono::{DateTime, TimeDelta, Utc};
use rackhand_wire::id::EndpointId;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

use crate::{
    Result,
    entity::{connection, endpoint, job, step},
    millis, now,
    steps::{CUT, FED, RESTORED, SETTLED, is_well},
};

/// Agents keep in their journals for so long what they mean to undo.
const KEPT: TimeDelta = TimeDelta::days(7);

/// Lists the devices that stay with the agent that has them: a connection names another way to them than they do, or
/// a power job of a server that hangs on them is under way, has ended after `since`, so that what it sent may be on its
/// way yet, or left an outlet cut that its agent may mean to switch on again.
///
/// # Errors
/// When the database fails.
pub async fn bound(db: &impl ConnectionTrait, since: DateTime<Utc>) -> Result<HashSet<EndpointId>> {
    use connection::Column;
    type Row = (Uuid, Uuid, Option<Uuid>, Option<String>);
    let restless = restless(db, since).await?;
    let groups = endpoint::Entity::find().select_only();
    let groups = groups.columns([endpoint::Column::Id, endpoint::Column::AgentGroup]);
    let groups: Vec<(Uuid, Option<String>)> = groups.into_tuple().all(db).await?;
    let groups: HashMap<_, _> = groups.into_iter().collect();
    let rows: Vec<Row> = connection::Entity::find()
        .select_only()
        .columns([Column::EndpointId, Column::ServerId, Column::AgentId, Column::AgentGroup])
        .into_tuple()
        .all(db)
        .await?;
    let stays = |(device, server, agent, group): &Row| {
        let is_other = group.is_some() && groups.get(device) != Some(group);
        agent.is_some() || is_other || restless.contains(server)
    };
    Ok(rows.iter().filter(|row| stays(row)).map(|(device, ..)| EndpointId(*device)).collect())
}

/// Lists the servers whose power jobs may not be over for the agents that carried them out.
async fn restless(db: &impl ConnectionTrait, since: DateTime<Utc>) -> Result<HashSet<Uuid>> {
    use job::Column;
    type Row = (Uuid, Option<Uuid>, Option<Uuid>, String, Option<String>, Option<i64>);
    let recent = Condition::any()
        .add(Column::ActiveServerId.is_not_null())
        .add(Column::FinishedAt.gte(millis(since.min(now() - KEPT))));
    let rows: Vec<Row> = job::Entity::find()
        .select_only()
        .columns([Column::Id, Column::ServerId, Column::ActiveServerId, Column::State])
        .columns([Column::Reason, Column::FinishedAt])
        .filter(Column::ServerId.is_not_null())
        .filter(recent)
        .into_tuple()
        .all(db)
        .await?;
    let (mut restless, mut ill) = (HashSet::new(), HashMap::new());
    for (job, server, active, state, reason, finished) in rows {
        let Some(server) = server else { continue };
        if active.is_some() || finished.is_some_and(|at| at >= millis(since)) {
            restless.insert(server);
        }
        if !is_well(&state, reason.as_deref()) {
            ill.insert(job, server);
        }
    }
    restless.extend(left_cut(db).await?.iter().filter_map(|job| ill.get(job)));
    Ok(restless)
}

/// Lists the jobs that left an outlet cut which nobody has switched on again or proven off since.
async fn left_cut(db: &impl ConnectionTrait) -> Result<HashSet<Uuid>> {
    use step::Column;
    type Row = (Uuid, Option<String>, i64);
    let of_week = || step::Entity::find().filter(Column::StartedAt.gte(millis(now() - KEPT)));
    let columns = [Column::JobId, Column::Path, Column::StartedAt];
    let open =
        Condition::any().add(Column::Restored.is_null()).add(Column::Restored.is_not_in([SETTLED, RESTORED]));
    let cuts = of_week().filter(Column::Title.starts_with(CUT)).filter(open).select_only().columns(columns);
    let cuts: Vec<Row> = cuts.into_tuple().all(db).await?;
    if cuts.is_empty() {
        return Ok(HashSet::new());
    }
    let fed = of_week().filter(Column::Title.starts_with(FED)).filter(Column::Outcome.eq("ok"));
    let fed: Vec<Row> = fed.select_only().columns(columns).into_tuple().all(db).await?;
    let mut on: HashMap<Option<String>, i64> = HashMap::new();
    for (_, path, at) in fed {
        let last = on.entry(path).or_insert(at);
        *last = at.max(*last);
    }
    let is_left = |(_, path, at): &Row| on.get(path).is_none_or(|on| on < at);
    Ok(cuts.iter().filter(|cut| is_left(cut)).map(|(job, ..)| *job).collect())
}

#[cfg(test)]
mod tests {
    use rackhand_wire::{
        Role,
        api::job::JobState,
        id::{CommandId, JobId, ServerId, TenantId},
    };
    use sea_orm::Set;
    use serde_json::json;

    use super::*;
    use crate::{
        Db,
        bench::{NODE, database, device, off, place},
        connections, fresh_id, jobs, servers, steps,
    };

    /// A server with an outlet on a PDU, and a PDU that no server hangs on.
    struct Bench {
        db: Db,
        _folder: tempfile::TempDir,
        server: ServerId,
        device: EndpointId,
        idle: EndpointId,
    }

    impl Bench {
        async fn new() -> Self {
            let (db, folder) = database().await;
            let server = serde_json::from_value(json!({"name": "a"})).unwrap();
            let server = servers::add(db.writer(), TenantId::PROVIDER, server).await.unwrap().id;
            let (wired, idle) = (device(&db, "snmp_pdu", "one").await, device(&db, "snmp_pdu", "two").await);
            let bench = Self { db, _folder: folder, server, device: wired, idle };
            bench.connect("1", None).await;
            bench
        }

        async fn connect(&self, outlet: &str, group: Option<&str>) {
            let group = group.map(str::to_owned);
            let new = connections::New { group, ..place(self.server, self.device, Role::Feed, outlet) };
            connections::add(self.db.writer(), new).await.unwrap();
        }

        /// Whether the device stays where it is, given what has ended after `since`; the idle one never does.
        async fn stays(&self, since: DateTime<Utc>) -> bool {
            let bound = bound(self.db.reader(), since).await.unwrap();
            assert!(!bound.contains(&self.idle));
            bound.contains(&self.device)
        }

        async fn begin(&self) -> JobId {
            let job = jobs::add(self.db.writer(), off(self.server, false)).await.unwrap().id;
            let tx = self.db.begin().await.unwrap();
            jobs::claim(&tx, job, NODE).await.unwrap();
            tx.commit().await.unwrap();
            job
        }

        async fn cut(&self, job: JobId) -> CommandId {
            let command = CommandId(fresh_id());
            let intent = steps::Intent {
                job,
                seq: 1,
                phase: "Cut feeds".into(),
                title: "Switch off outlet 1 on one".into(),
                reason: String::new(),
                path: Some("outlet 1 on one".into()),
                command: Some(command),
                wait_ms: None,
            };
            steps::begin(self.db.writer(), intent).await.unwrap();
            command
        }

        /// Ends a job; gives a moment after it.
        async fn end(&self, job: JobId, state: JobState, reason: &str) -> DateTime<Utc> {
            let tx = self.db.begin().await.unwrap();
            let (reason, summary) = (reason.to_owned(), String::new());
            let ending = jobs::Ending { state, reason, summary, proof: None, result: None, alarm: false };
            jobs::end(&tx, job, NODE, ending).await.unwrap();
            tx.commit().await.unwrap();
            now() + TimeDelta::milliseconds(1)
        }
    }

    #[tokio::test]
    async fn a_device_stays_while_a_job_needs_it_and_for_a_while_after() {
        let bench = Bench::new().await;
        let begun = now();
        assert!(!bench.stays(begun).await);
        let job = bench.begin().await;
        assert!(bench.stays(begun).await);
        let after = bench.end(job, JobState::Succeeded, "").await;
        assert!(bench.stays(begun).await, "what it sent last may be under way");
        assert!(!bench.stays(after).await);
    }

    #[tokio::test]
    async fn a_device_stays_where_something_is_left_cut_until_its_agent_means_to_undo_it_no_more() {
        let bench = Bench::new().await;
        let job = bench.begin().await;
        let after = bench.end(job, JobState::Failed, "no_answer").await;
        assert!(!bench.stays(after).await, "it had cut nothing");
        let job = bench.begin().await;
        bench.cut(job).await;
        let after = bench.end(job, JobState::Failed, "feeds_restored").await;
        assert!(!bench.stays(after).await, "its feeds are on again");
        for undone in [true, false] {
            let job = bench.begin().await;
            let cut = bench.cut(job).await;
            bench.end(job, JobState::FailedPartial, "outlet_stuck").await;
            let job = bench.begin().await;
            let after = bench.end(job, JobState::Succeeded, "").await;
            assert!(bench.stays(after).await, "a job that touched no outlet settles nothing");
            steps::restored(bench.db.writer(), cut, "it does not answer").await.unwrap();
            assert!(bench.stays(after).await);
            if undone {
                steps::restored(bench.db.writer(), cut, "restored").await.unwrap();
            } else {
                let again = bench.cut(job).await;
                assert_ne!(again, cut);
                steps::settle_earlier(bench.db.writer(), &[bench.server], &["outlet 1 on one"])
                    .await
                    .unwrap();
            }
            assert!(!bench.stays(after).await);
        }
    }

    #[tokio::test]
    async fn a_device_stays_when_a_connection_names_another_way_to_it() {
        let bench = Bench::new().await;
        bench.connect("2", Some("own")).await;
        let own = endpoint::ActiveModel { agent_group: Set(Some("own".into())), ..Default::default() };
        endpoint::Entity::update_many().set(own).exec(bench.db.writer()).await.unwrap();
        assert!(!bench.stays(now()).await, "it names the way that the device has");
        bench.connect("3", Some("others")).await;
        assert!(bench.stays(now()).await);
    }
}
