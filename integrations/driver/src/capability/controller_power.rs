use async_trait::async_trait;
use rackhand_wire::{
    Fault,
    power::{Native, PowerReading},
};

use crate::Gate;

/// Commands the machine's power and reads it.
#[async_trait]
pub trait ControllerPower: Send + Sync {
    /// Reads the present state from the device, never from a cache.
    async fn read(&self) -> Result<PowerReading, Fault>;
    /// Sends one command, through the gate. `Ok` means acknowledged, not done. What is not idempotent leaves
    /// the socket once; a lost answer is `Lost`, never `Unreach`.
    async fn command(&self, command: Native, gate: &dyn Gate) -> Result<(), Fault>;
}
