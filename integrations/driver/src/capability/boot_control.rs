use async_trait::async_trait;
use rackhand_wire::{Fault, operation::BootChoice};

/// Chooses the next boot device.
#[async_trait]
pub trait BootControl: Send + Sync {
    /// Reads the override; `None` when there is none.
    async fn read(&self) -> Result<Option<BootChoice>, Fault>;
    /// Sets the override.
    async fn set(&self, choice: BootChoice) -> Result<(), Fault>;
}
