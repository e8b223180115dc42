//! Our driver, as the agent uses it.

use std::net::SocketAddr;
use std::sync::Arc;

use rackhand_driver::{Endpoint, Integration, Opening, check, conformance, perform};
use rackhand_drivers::ipmi::Ipmi;
use rackhand_wire::operation::Identity;
use rackhand_wire::power::{Native, PowerReading};
use rackhand_wire::{Answer, Fault, Operation, Secrets, Timings};
use serde_json::{Value, json};

use super::console::ADMIN;

/// How an endpoint differs from the usual one.
pub struct Entry {
    /// Parameters beside address and port.
    pub params: Value,
    pub user: &'static str,
    pub password: &'static str,
    pub pinned: Option<&'static str>,
}

impl Default for Entry {
    fn default() -> Self {
        Entry { params: json!({}), user: ADMIN.user, password: ADMIN.password, pinned: None }
    }
}

/// IPMI 1.5, which is spoken once the only suite that is allowed has been refused.
pub fn old_version() -> Value {
    json!({ "cipher": "17", "allow_1_5": true })
}

/// Durations at a tenth of the usual ones.
pub fn timings() -> Timings {
    Timings::default().scaled(0.1)
}

/// Opens a BMC.
pub async fn open(at: SocketAddr, entry: Entry) -> Arc<dyn Endpoint> {
    let mut params = json!({ "host": at.ip().to_string(), "port": at.port(), "user": entry.user });
    for (name, value) in entry.params.as_object().unwrap() {
        params[name] = value.clone();
    }
    let secrets: Secrets = [("password", entry.password)].into_iter().collect();
    let params = check::endpoint(Ipmi.descriptor(), &params, &secrets).unwrap();
    assert_eq!(Ipmi.check(&params, &secrets), []);
    let timings = timings();
    let (timings, guard) = (&timings, &conformance::guard());
    let opening = Opening { params: &params, secrets: &secrets, pinned: entry.pinned, timings, guard };
    Ipmi.open(opening).await.unwrap()
}

/// Asks what the BMC is.
pub async fn identify(endpoint: &dyn Endpoint) -> Result<Identity, Fault> {
    endpoint.identify().await
}

/// Reads the power.
pub async fn read(endpoint: &dyn Endpoint) -> Result<PowerReading, Fault> {
    match perform(endpoint, &Value::Null, &Operation::ReadPower).await? {
        Answer::Power(reading) => Ok(reading),
        other @ (Answer::Done
        | Answer::Identity(_)
        | Answer::Outlets { .. }
        | Answer::Outlet(_)
        | Answer::BootDevice { .. }) => panic!("{other:?}"),
    }
}

/// Commands the power.
pub async fn command(endpoint: &dyn Endpoint, command: Native) -> Result<(), Fault> {
    perform(endpoint, &Value::Null, &Operation::SetPower { command }).await.map(|_| ())
}
