//! Which devices may go to another agent of their group while the one that has them is there.

use chrono::{DateTime, TimeDelta, Utc};
use rackhand_wire::id::EndpointId;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

use crate::{
    Result,
    entity::{connection, job, step},
    millis, now,
    steps::is_well,
};

/// Agents keep in their journals for so long what they mean to undo.
const KEPT: TimeDelta = TimeDelta::days(7);

/// Lists the devices that stay with the agent that has them: a connection names another way to them, or a power
/// job of a server that hangs on them is under way, has ended after `since`, so that what it sent may be on its
/// way yet, or was the last and left outlets cut that its agent may mean to switch on again.
///
/// # Errors
/// When the database fails.
pub async fn bound(db: &impl ConnectionTrait, since: DateTime<Utc>) -> Result<HashSet<EndpointId>> {
    let restless = restless(db, since).await?;
    let mut bound = HashSet::new();
    for row in connection::Entity::find().all(db).await? {
        if row.agent_id.is_some() || row.agent_group.is_some() || restless.contains(&row.server_id) {
            bound.insert(EndpointId(row.endpoint_id));
        }
    }
    Ok(bound)
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
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(db)
        .await?;
    let (mut restless, mut ill) = (HashSet::new(), HashMap::new());
    for (job, server, active, state, reason, finished) in rows {
        let Some(server) = server else { continue };
        if active.is_some() || finished.is_some_and(|at| at >= millis(since)) {
            restless.insert(server);
        }
        // What the last one left is what stands.
        if is_well(&state, reason.as_deref()) {
            ill.remove(&server);
        } else {
            ill.insert(server, job);
        }
    }
    let cut: Vec<Uuid> = step::Entity::find()
        .select_only()
        .column(step::Column::JobId)
        .distinct()
        .filter(step::Column::JobId.is_in(ill.values().copied()))
        .filter(step::Column::Phase.eq("Cut feeds"))
        .filter(step::Column::CommandId.is_not_null())
        .into_tuple()
        .all(db)
        .await?;
    restless.extend(ill.iter().filter(|(_, job)| cut.contains(job)).map(|(server, _)| *server));
    Ok(restless)
}

#[cfg(test)]
mod tests {
    use rackhand_wire::{
        Feature, PowerAction, Role, Secrets,
        api::{
            job::{JobKind, JobState},
            power::Via,
        },
        id::{CommandId, JobId, ServerId, TenantId},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        Db,
        bench::{NODE, database},
        connections, endpoints, fresh_id, jobs,
        sealed::Keyring,
        servers, steps,
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
            let (device, idle) = (pdu(&db, "one").await, pdu(&db, "two").await);
            let bench = Self { db, _folder: folder, server, device, idle };
            bench.connect("1", None).await;
            bench
        }

        async fn connect(&self, outlet: &str, group: Option<&str>) {
            let new = connections::New {
                tenant: TenantId::PROVIDER,
                server: self.server,
                endpoint: self.device,
                role: Role::Feed,
                target: json!({"outlet": outlet}),
                target_label: format!("outlet {outlet}"),
                features: vec![Feature::Power],
                agent: None,
                group: group.map(str::to_owned),
            };
            connections::add(self.db.writer(), new).await.unwrap();
        }

        /// Whether the device stays where it is, given what has ended after `since`; the idle one never does.
        async fn stays(&self, since: DateTime<Utc>) -> bool {
            let bound = bound(self.db.reader(), since).await.unwrap();
            assert!(!bound.contains(&self.idle));
            bound.contains(&self.device)
        }

        async fn begin(&self) -> JobId {
            let new = jobs::New {
                tenant: TenantId::PROVIDER,
                kind: JobKind::Power,
                server: Some(self.server),
                waits: false,
                endpoint: None,
                power: Some((PowerAction::Off, Via::Auto)),
                title: String::new(),
                requested_by: String::new(),
                source_ip: None,
                request: Value::Null,
                node: NODE,
            };
            let job = jobs::add(self.db.writer(), new).await.unwrap().id;
            let tx = self.db.begin().await.unwrap();
            jobs::claim(&tx, job, NODE).await.unwrap();
            tx.commit().await.unwrap();
            job
        }

        async fn cut(&self, job: JobId) {
            let intent = steps::Intent {
                job,
                seq: 1,
                phase: "Cut feeds".into(),
                title: String::new(),
                reason: String::new(),
                path: None,
                command: Some(CommandId(fresh_id())),
                wait_ms: None,
            };
            steps::begin(self.db.writer(), intent).await.unwrap();
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

    async fn pdu(db: &Db, name: &str) -> EndpointId {
        let new = endpoints::New {
            tenant: TenantId::PROVIDER,
            kind: "snmp_pdu".into(),
            name: name.into(),
            agent_id: None,
            agent_group: None,
            params: json!({}),
            secrets: Secrets::default(),
            address: None,
        };
        endpoints::add(db.writer(), &Keyring::new([7; 32]), new).await.unwrap().id
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
    async fn a_device_stays_where_something_is_left_cut_until_another_job_succeeds() {
        let bench = Bench::new().await;
        let job = bench.begin().await;
        let after = bench.end(job, JobState::Failed, "no_answer").await;
        assert!(!bench.stays(after).await, "it had cut nothing");
        let job = bench.begin().await;
        bench.cut(job).await;
        let after = bench.end(job, JobState::Failed, "feeds_restored").await;
        assert!(!bench.stays(after).await, "its feeds are on again");
        let job = bench.begin().await;
        bench.cut(job).await;
        let after = bench.end(job, JobState::FailedPartial, "outlet_stuck").await;
        assert!(bench.stays(after).await);
        let job = bench.begin().await;
        let after = bench.end(job, JobState::Succeeded, "").await;
        assert!(!bench.stays(after).await);
    }

    #[tokio::test]
    async fn a_device_stays_when_a_connection_names_another_way_to_it() {
        let bench = Bench::new().await;
        bench.connect("2", Some("others")).await;
        assert!(bench.stays(now()).await);
    }
}
