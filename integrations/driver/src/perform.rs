use rackhand_wire::{Answer, Fault, Operation};
use serde_json::Value;

use crate::{Endpoint, Gate};

/// Performs one operation for whoever need not ask before it writes: the device is nobody else's, or what is done
/// leads to a safe state.
///
/// # Errors
/// `Unsupported` when the device lacks the capability, or what the driver reports.
pub async fn perform(
    endpoint: &dyn Endpoint,
    target: &Value,
    operation: &Operation,
) -> Result<Answer, Fault> {
    perform_through(&|| Ok::<(), Fault>(()), endpoint, target, operation).await
}

/// Performs one operation, of which each datagram that may change the device passes the gate right before it
/// leaves: the only place where an operation meets a capability.
///
/// # Errors
/// `Unsupported` when the device lacks the capability, or what the gate or the driver reports.
pub async fn perform_through(
    gate: &dyn Gate,
    endpoint: &dyn Endpoint,
    target: &Value,
    operation: &Operation,
) -> Result<Answer, Fault> {
    match operation {
        Operation::Identify => return endpoint.identify().await.map(Answer::Identity),
        Operation::ReadOutlets => {
            let list = endpoint.outlets().ok_or_else(|| none("outlets"))?;
            return Ok(Answer::Outlets { outlets: list.read_all().await? });
        }
        Operation::ReadPower
        | Operation::SetPower { .. }
        | Operation::ReadOutlet
        | Operation::SetOutlet { .. }
        | Operation::SetRestorePolicy { .. }
        | Operation::SetIdentifyLight { .. }
        | Operation::ReadBootDevice
        | Operation::SetBootDevice { .. } => {}
    }
    let device = endpoint.attach(target)?;
    let power = || device.power().ok_or_else(|| none("power control"));
    let outlet = || device.outlet().ok_or_else(|| none("outlets"));
    let boot = || device.boot().ok_or_else(|| none("boot device control"));
    match operation {
        Operation::Identify | Operation::ReadOutlets => Err(none("this")),
        Operation::ReadPower => power()?.read().await.map(Answer::Power),
        Operation::SetPower { command } => power()?.command(*command, gate).await.map(|()| Answer::Done),
        Operation::ReadOutlet => outlet()?.read().await.map(Answer::Outlet),
        Operation::SetOutlet { to } => outlet()?.switch(*to, gate).await.map(|()| Answer::Done),
        Operation::SetRestorePolicy { policy } => {
            let restore = device.restore().ok_or_else(|| none("a restore policy"))?;
            restore.set(*policy, gate).await.map(|()| Answer::Done)
        }
        Operation::SetIdentifyLight { seconds } => {
            let light = device.light().ok_or_else(|| none("an identify light"))?;
            light.set(*seconds, gate).await.map(|()| Answer::Done)
        }
        Operation::ReadBootDevice => Ok(Answer::BootDevice { boot: boot()?.read().await? }),
        Operation::SetBootDevice { boot: choice } => boot()?.set(*choice, gate).await.map(|()| Answer::Done),
    }
}

fn none(what: &str) -> Fault {
    Fault::unsupported(format!("this connection does not offer {what}"))
}
