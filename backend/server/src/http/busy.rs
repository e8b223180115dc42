//! What a power job is using stays as it is until the job is over: every command of it reads the device anew.

use rackhand_store::{Tx, agent_groups, agents, jobs};
use rackhand_wire::id::{AgentId, EndpointId, JobId, ServerId, TenantId};

use super::problem::Refused;

/// Refuses to change a server's connections during a job. Call it inside the transaction of the change, so that no
/// job begins in between.
///
/// # Errors
/// The job that is under way.
pub async fn server(tx: &Tx, id: ServerId) -> Result<(), Refused> {
    refuse(jobs::find_active(tx, id).await?.map(|job| job.id))
}

/// Refuses to change a device during a job of any server that is connected to it. Call it inside the transaction of
/// the change.
///
/// # Errors
/// The job that is under way.
pub async fn endpoint(tx: &Tx, id: EndpointId) -> Result<(), Refused> {
    refuse(jobs::find_using(tx, id).await?)
}

/// Refuses to change who is in a tenant's groups during a job that reaches a device through them or through the agent
/// itself: whoever has the device for himself writes without a lease, and may be writing still. A group that nobody
/// is in keeps no job. Call it inside the transaction of the change.
///
/// # Errors
/// The job that is under way.
pub async fn groups(
    tx: &Tx,
    owner: TenantId,
    agent: Option<AgentId>,
    groups: &[&str],
) -> Result<(), Refused> {
    let mut manned = Vec::new();
    for group in groups {
        if !agents::of_group(tx, owner, group).await?.is_empty() {
            manned.push(*group);
        }
    }
    refuse(agent_groups::find_job(tx, owner, agent, &manned).await?)
}

fn refuse(job: Option<JobId>) -> Result<(), Refused> {
    match job {
        Some(job) => Err(Refused::Busy(job)),
        None => Ok(()),
    }
}
