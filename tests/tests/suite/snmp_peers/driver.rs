//! Our driver, as the agent uses it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rackhand_driver::{Endpoint, Integration, Opening, check, conformance, perform};
use rackhand_drivers::snmp_pdu::SnmpPdu;
use rackhand_wire::power::{OutletReading, Switch};
use rackhand_wire::{Answer, Fault, Operation, Secrets, Timings};
use serde_json::{Value, json};

/// Opens a PDU with more parameters and secrets than its address.
pub async fn open(at: SocketAddr, more: &[(&str, &str)], secrets: &[(&str, &str)]) -> Arc<dyn Endpoint> {
    let mut params = json!({ "host": at.ip().to_string(), "port": at.port() });
    for (name, value) in more {
        params[*name] = json!(value);
    }
    let secrets: Secrets = secrets.iter().copied().collect();
    let params = check::endpoint(SnmpPdu.descriptor(), &params, &secrets).unwrap();
    let timings = Timings {
        snmp_request: Duration::from_secs(1),
        outlet_poll: Duration::from_millis(100),
        ..Timings::default()
    };
    let (timings, guard) = (&timings, &conformance::guard());
    let opening = Opening { params: &params, secrets: &secrets, pinned: None, timings, guard };
    SnmpPdu.open(opening).await.unwrap()
}

/// Opens a PDU with a community of version 2c, its model found out or chosen.
pub async fn open_community(at: SocketAddr, community: &str, model: &str) -> Arc<dyn Endpoint> {
    open(at, &[("model", model)], &[("community", community)]).await
}

/// Reads every outlet.
pub async fn outlets(endpoint: &dyn Endpoint) -> Result<Vec<OutletReading>, Fault> {
    match perform(endpoint, &Value::Null, &Operation::ReadOutlets).await? {
        Answer::Outlets { outlets } => Ok(outlets),
        other @ (Answer::Done
        | Answer::Identity(_)
        | Answer::Power(_)
        | Answer::Outlet(_)
        | Answer::BootDevice { .. }) => panic!("{other:?}"),
    }
}

/// Reads one outlet.
pub async fn outlet(endpoint: &dyn Endpoint, outlet: &str) -> Result<OutletReading, Fault> {
    match perform(endpoint, &json!({ "outlet": outlet }), &Operation::ReadOutlet).await? {
        Answer::Outlet(reading) => Ok(reading),
        other @ (Answer::Done
        | Answer::Identity(_)
        | Answer::Power(_)
        | Answer::Outlets { .. }
        | Answer::BootDevice { .. }) => panic!("{other:?}"),
    }
}

/// Switches one outlet.
pub async fn switch(endpoint: &dyn Endpoint, outlet: &str, to: Switch) -> Result<(), Fault> {
    perform(endpoint, &json!({ "outlet": outlet }), &Operation::SetOutlet { to }).await.map(|_| ())
}
