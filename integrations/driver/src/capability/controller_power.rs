use async_trait::async_trait;
use rackhand_wire::{
    Fault,
    power::{Native, PowerReading},
};

/// Commands the machine's power and reads it.
#[async_trait]
pub trait ControllerPower: Send + Sync {
    /// Reads the present state from the device, never from a cache.
    async fn read(&self) -> Result<PowerReading, Fault>;
    /// Sends one command. `Ok` means acknowledged, not done. What is not idempotent leaves the socket
    /// once; a lost answer is `Lost`, never `Unreach`.
    async fn command(&self, command: Native) -> Result<(), Fault>;
}
