use async_trait::async_trait;
use rackhand_wire::{Fault, power::OutletReading};

/// Reads every outlet of a device.
#[async_trait]
pub trait OutletList: Send + Sync {
    /// In the device's order.
    async fn read_all(&self) -> Result<Vec<OutletReading>, Fault>;
}
