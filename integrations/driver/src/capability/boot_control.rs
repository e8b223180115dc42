use async_trait::async_trait;
use rackhand_wire::{Fault, operation::BootChoice};

use crate::Gate;

/// Chooses the next boot device.
#[async_trait]
pub trait BootControl: Send + Sync {
    /// Reads the override; `None` when there is none.
    async fn read(&self) -> Result<Option<BootChoice>, Fault>;
    /// Sets the override, through the gate.
    async fn set(&self, choice: BootChoice, gate: &dyn Gate) -> Result<(), Fault>;
}
