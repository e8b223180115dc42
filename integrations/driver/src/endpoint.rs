use async_trait::async_trait;
use rackhand_wire::{Fault, Feature, operation::Identity};
use serde_json::Value;

use crate::capability::{
    BootControl, ControllerPower, IdentifyLight, OutletControl, OutletList, RestoreControl,
};

/// An open device, platform or account, shared by all servers attached to it.
#[async_trait]
pub trait Endpoint: Send + Sync {
    /// Asks the device what it is: proves route, port, protocol and credentials at once.
    ///
    /// # Errors
    /// Any [`Fault`].
    async fn identify(&self) -> Result<Identity, Fault>;

    /// Binds one server to it.
    ///
    /// # Errors
    /// A `Config` fault when the target does not parse or does not exist.
    fn attach(&self, target: &Value) -> Result<Box<dyn Device + '_>, Fault>;

    /// Outlets of the whole device, where it has any.
    fn outlets(&self) -> Option<&dyn OutletList> {
        None
    }

    /// Ends sessions politely; called before an idle endpoint is dropped.
    async fn close(&self) {}
}

/// One server as seen through one connection. Every accessor defaults to "not offered".
pub trait Device: Send + Sync {
    /// Power of the machine itself.
    fn power(&self) -> Option<&dyn ControllerPower> {
        None
    }
    /// The outlet that feeds it.
    fn outlet(&self) -> Option<&dyn OutletControl> {
        None
    }
    /// What happens when mains power returns.
    fn restore(&self) -> Option<&dyn RestoreControl> {
        None
    }
    /// Next boot device.
    fn boot(&self) -> Option<&dyn BootControl> {
        None
    }
    /// Identify lamp.
    fn light(&self) -> Option<&dyn IdentifyLight> {
        None
    }
}

impl dyn Device + '_ {
    /// Lists the features that this device offers; conformance compares them with the descriptor.
    #[must_use]
    pub fn features(&self) -> Vec<Feature> {
        let power = self.power().is_some() || self.outlet().is_some();
        [
            power.then_some(Feature::Power),
            self.boot().map(|_| Feature::BootDevice),
            self.light().map(|_| Feature::IdentifyLight),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
