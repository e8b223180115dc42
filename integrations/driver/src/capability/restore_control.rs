use async_trait::async_trait;
use rackhand_wire::{Fault, power::RestorePolicy};

use crate::Gate;

/// Chooses what happens when mains power returns.
#[async_trait]
pub trait RestoreControl: Send + Sync {
    /// Sets the policy, through the gate.
    async fn set(&self, policy: RestorePolicy, gate: &dyn Gate) -> Result<(), Fault>;
}
