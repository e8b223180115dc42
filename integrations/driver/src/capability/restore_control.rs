use async_trait::async_trait;
use rackhand_wire::{Fault, power::RestorePolicy};

/// Chooses what happens when mains power returns.
#[async_trait]
pub trait RestoreControl: Send + Sync {
    /// Sets the policy.
    async fn set(&self, policy: RestorePolicy) -> Result<(), Fault>;
}
