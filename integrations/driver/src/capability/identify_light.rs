use async_trait::async_trait;
use rackhand_wire::Fault;

use crate::Gate;

/// Lights the lamp that finds a chassis in a row.
#[async_trait]
pub trait IdentifyLight: Send + Sync {
    /// Lights it for so many seconds, through the gate; `None` switches it off.
    async fn set(&self, seconds: Option<u8>, gate: &dyn Gate) -> Result<(), Fault>;
}
