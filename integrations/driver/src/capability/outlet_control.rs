use async_trait::async_trait;
use rackhand_wire::{
    Fault,
    power::{OutletReading, Switch},
};

use crate::Gate;

/// Switches one outlet and reads it.
#[async_trait]
pub trait OutletControl: Send + Sync {
    /// Reads the present state from the device.
    async fn read(&self) -> Result<OutletReading, Fault>;
    /// Switches at once (never a delayed command), through the gate. `Ok` means acknowledged.
    async fn switch(&self, to: Switch, gate: &dyn Gate) -> Result<(), Fault>;
}
