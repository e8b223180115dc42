//! The agent and writes whose time is over while their device is still being opened.

use rackhand_simulators::{
    bmc::{Account, serve},
    pdu::{PduAccess, PduAgent, PduModel},
    world::{OutletId, World, WorldTimings},
};
use rackhand_wire::{
    Command, Fault, FaultCode, Operation, Reason, Secrets, Timings,
    agent::{ToAgent, ToBackend},
    command::{EndpointSpec, Urgency},
    id::{AgentId, CommandId, EndpointId},
    power::{Native, Switch},
};
use serde_json::{Value, json};
use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Nobody, SOON, id};
use crate::{Agent, Config, Delivery, Link, poller::Limits};

/// Each answer of a device takes so long; to open one takes several.
const DELAY: Duration = Duration::from_millis(100);

/// A write may begin for so long.
const SHORT: Duration = Duration::from_millis(300);

/// A device that is on, and how it is switched off.
struct Device {
    spec: EndpointSpec,
    secrets: Secrets,
    target: Value,
    off: Operation,
    is_on: Box<dyn Fn() -> bool>,
    /// What stands behind it.
    _rest: Box<dyn Any>,
}

async fn bmc() -> Device {
    let world = World::new(WorldTimings::quick());
    let machine = world.add_machine("srv-01", &[]);
    let account = Account::administrator("admin", "secret");
    let bmc = serve(machine.clone(), "127.0.0.1:0".parse().unwrap(), account).await.unwrap();
    machine.change_bmc_faults(|faults| faults.link.delay = DELAY);
    Device {
        spec: spec("ipmi", json!({"host": "127.0.0.1", "port": bmc.addr().port(), "user": "admin"})),
        secrets: [("password", "secret")].into_iter().collect(),
        target: json!({}),
        off: Operation::SetPower { command: Native::Off },
        is_on: Box::new(move || machine.is_on()),
        _rest: Box::new((world, bmc)),
    }
}

async fn pdu() -> Device {
    let world = World::new(WorldTimings::quick());
    let pdu = world.add_pdu("pdu-a", 8);
    let machine = world.add_machine("srv-01", &[OutletId::new("pdu-a", 7)]);
    let addr = "127.0.0.1:0".parse().unwrap();
    let snmp = PduAgent::start(pdu.clone(), PduModel::ApcRpdu2, addr, &PduAccess::default()).await.unwrap();
    pdu.change_faults(|faults| faults.link.delay = DELAY);
    let params = json!({"host": "127.0.0.1", "port": snmp.addr().port(), "version": "v2c"});
    Device {
        spec: spec("snmp_pdu", params),
        secrets: [("community", "public"), ("write_community", "private")].into_iter().collect(),
        target: json!({"outlet": "7"}),
        off: Operation::SetOutlet { to: Switch::Off },
        is_on: Box::new(move || pdu.outlet(7).unwrap().is_on),
        _rest: Box::new((world, machine, snmp)),
    }
}

fn spec(kind: &str, params: Value) -> EndpointSpec {
    EndpointSpec { id: Some(EndpointId(id(7))), kind: kind.into(), params, pinned: None }
}

impl Device {
    fn off(&self, n: u128) -> Command {
        Command {
            id: CommandId(id(n)),
            endpoint: self.spec.clone(),
            target: self.target.clone(),
            operation: self.off.clone(),
            expires_in_ms: None,
            restore_after_ms: None,
            fence: 1,
            leased: false,
            urgency: Urgency::Awaited,
        }
    }

    /// Has a command executed; gives the cause when it was not.
    async fn execute(&self, link: &mut Link, command: Command) -> Result<(), (FaultCode, Reason)> {
        let n = command.id;
        let delivery = Delivery { frame: ToAgent::Execute(command), secrets: self.secrets.clone() };
        link.to_agent.send(delivery).await.ok().unwrap();
        loop {
            let frame = tokio::time::timeout(SOON, link.from_agent.recv()).await.expect("nothing ends");
            if let Some(ToBackend::Finished { command, result, .. }) = frame
                && command == n
            {
                return result.map(|_| ()).map_err(|Fault { code, reason, .. }| (code, reason));
            }
        }
    }
}

fn agent(folder: &tempfile::TempDir) -> Agent {
    Agent::start(Config {
        id: AgentId(id(1)),
        journal: folder.path().join("journal"),
        spool: folder.path().join("spool"),
        keep: Limits::default(),
        timings: Timings::default(),
        guard: rackhand_driver::conformance::guard(),
        secrets: Arc::new(Nobody),
    })
    .unwrap()
}

#[tokio::test]
async fn a_write_whose_lease_ends_while_its_device_is_opened_is_not_begun() {
    for device in [bmc().await, pdu().await] {
        let folder = tempfile::tempdir().unwrap();
        let agent = agent(&folder);
        let mut link = agent.attach();
        let command = Command { leased: true, ..device.off(1) };
        agent.hold_until(Instant::now() + SHORT);
        let refused = device.execute(&mut link, command.clone()).await;
        assert_eq!(refused, Err((FaultCode::Exec, Reason::LeaseLost)));
        assert!((device.is_on)());
        // Nothing was begun, so that the next holder may begin it, be it this one.
        agent.hold_until(Instant::now() + SOON);
        assert_eq!(device.execute(&mut link, command).await, Ok(()));
        assert!(!(device.is_on)());
    }
}

#[tokio::test]
async fn a_write_that_expires_while_its_device_is_opened_is_never_begun() {
    for device in [bmc().await, pdu().await] {
        let folder = tempfile::tempdir().unwrap();
        let agent = agent(&folder);
        let mut link = agent.attach();
        let command = Command { expires_in_ms: u64::try_from(SHORT.as_millis()).ok(), ..device.off(1) };
        for _ in 0..2 {
            let refused = device.execute(&mut link, command.clone()).await;
            assert_eq!(refused, Err((FaultCode::Exec, Reason::Expired)));
            assert!((device.is_on)(), "it was answered, and another copy of it must not be done");
        }
        assert_eq!(device.execute(&mut link, device.off(2)).await, Ok(()));
        assert!(!(device.is_on)());
    }
}
