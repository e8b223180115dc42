//! The agent and the outlets of a simulated PDU that it cut with a time limit.

use async_trait::async_trait;
use rackhand_simulators::{
    pdu::{PduAccess, PduAgent, PduModel},
    world::{OutletCommand, OutletFault, OutletId, Pdu, PduEffectKind, World, WorldTimings},
};
use rackhand_wire::{
    Command, Fault, FaultCode, Operation, Reason, Secrets, Timings,
    agent::{ToAgent, ToBackend},
    command::{EndpointSpec, Outlet, Urgency},
    id::{AgentId, CommandId, EndpointId},
    power::Switch,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

use super::{Nobody, SOON, id};
use crate::{Agent, Config, Delivery, Link, SecretSource, poller::Limits};

fn secrets() -> Secrets {
    [("community", "public"), ("write_community", "private")].into_iter().collect()
}

struct Bench {
    link: Link,
    pdu: Pdu,
    snmp: PduAgent,
    _world: World,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let world = World::new(WorldTimings::quick());
        let pdu = world.add_pdu("pdu-a", 8);
        world.add_machine("srv-01", &[OutletId::new("pdu-a", 7)]);
        let addr = "127.0.0.1:0".parse().unwrap();
        let snmp =
            PduAgent::start(pdu.clone(), PduModel::ApcRpdu2, addr, &PduAccess::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let link = start(&folder, 0.02, Arc::new(Nobody));
        Self { link, pdu, snmp, _world: world, folder }
    }

    /// Cuts an outlet for a while; gives the command.
    async fn cut(&mut self, n: u128, outlet: u16, limit: Duration) -> Command {
        let command = Command {
            id: CommandId(id(n)),
            endpoint: EndpointSpec {
                id: Some(EndpointId(id(7))),
                kind: "snmp_pdu".into(),
                params: serde_json::json!({
                    "host": "127.0.0.1", "port": self.snmp.addr().port(), "version": "v2c",
                }),
                pinned: None,
            },
            target: target(outlet),
            operation: Operation::SetOutlet { to: Switch::Off },
            expires_in_ms: None,
            restore_after_ms: u64::try_from(limit.as_millis()).ok(),
            fence: 1,
            leased: false,
            urgency: Urgency::Awaited,
        };
        self.tell(ToAgent::Execute(command.clone())).await;
        let answer = self.hear(|frame| finished(frame, n)).await;
        assert_eq!(answer, Ok(()));
        assert!(!self.is_on(outlet));
        command
    }

    async fn tell(&self, frame: ToAgent) {
        self.link.to_agent.send(Delivery { frame, secrets: secrets() }).await.ok().unwrap();
    }

    async fn keep_off(&self, n: u128, cuts: &[u128], outlets: &[u16]) {
        let cuts = cuts.iter().map(|n| CommandId(id(*n))).collect();
        let outlet = |outlet: &u16| Outlet { endpoint: EndpointId(id(7)), target: target(*outlet) };
        let outlets = outlets.iter().map(outlet).collect();
        self.tell(ToAgent::KeepOff { id: CommandId(id(n)), cuts, outlets }).await;
    }

    /// Waits for what the agent says.
    async fn hear<T>(&mut self, wanted: impl Fn(&ToBackend) -> Option<T>) -> T {
        loop {
            let frame = tokio::time::timeout(SOON, self.link.from_agent.recv()).await;
            if let Some(found) = wanted(&frame.expect("the agent says nothing").unwrap()) {
                return found;
            }
        }
    }

    fn is_on(&self, outlet: u16) -> bool {
        self.pdu.outlet(outlet).unwrap().is_on
    }
}

fn start(folder: &tempfile::TempDir, scale: f64, secrets: Arc<dyn SecretSource>) -> Link {
    Agent::start(Config {
        id: AgentId(id(1)),
        journal: folder.path().join("journal"),
        spool: folder.path().join("spool"),
        keep: Limits::default(),
        timings: Timings::default().scaled(scale),
        guard: rackhand_driver::conformance::guard(),
        secrets,
    })
    .unwrap()
    .attach()
}

/// Lends credentials to whoever asks, and says that somebody did.
#[derive(Default)]
struct Lender(Notify);

#[async_trait]
impl SecretSource for Lender {
    async fn find(&self, _: EndpointId) -> Option<Secrets> {
        self.0.notify_one();
        Some(secrets())
    }
}

fn target(outlet: u16) -> serde_json::Value {
    serde_json::json!({ "outlet": outlet.to_string() })
}

fn finished(frame: &ToBackend, n: u128) -> Option<Result<(), Fault>> {
    let ToBackend::Finished { command, result, .. } = frame else { return None };
    (*command == CommandId(id(n))).then(|| result.clone().map(|_| ()))
}

fn restored(frame: &ToBackend, n: u128) -> Option<Result<(), Fault>> {
    let ToBackend::Restored { cut, result } = frame else { return None };
    (*cut == CommandId(id(n))).then(|| result.clone())
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(SOON, met).await.expect("it never comes to pass");
}

#[tokio::test]
async fn what_is_on_when_its_time_is_up_is_neither_switched_nor_told_of() {
    let mut bench = Bench::new().await;
    bench.cut(1, 7, Duration::from_millis(700)).await;
    bench.pdu.switch(7, OutletCommand::On(Duration::ZERO)).unwrap();
    until(|| bench.is_on(7)).await;
    let commanded =
        |pdu: &Pdu| pdu.effects().iter().filter(|effect| effect.what == PduEffectKind::Commanded).count();
    let before = commanded(&bench.pdu);
    let told = async { bench.hear(|frame| restored(frame, 1)).await };
    let told = tokio::time::timeout(Duration::from_secs(2), told).await;
    assert!(told.is_err(), "nobody was in the dark: {told:?}");
    assert_eq!(commanded(&bench.pdu), before);
    // It is over: switched off once more by somebody, it stays so.
    bench.pdu.switch(7, OutletCommand::Off(Duration::ZERO)).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!bench.is_on(7));
}

#[tokio::test]
async fn a_restore_that_goes_on_failing_is_told_once_and_so_is_its_success() {
    let mut bench = Bench::new().await;
    bench.pdu.set_outlet_fault(7, Some(OutletFault::IgnoresOn)).unwrap();
    bench.cut(1, 7, Duration::ZERO).await;
    // One command cut it; each further one tried to restore it.
    let pdu = bench.pdu.clone();
    let commanded = || pdu.effects().iter().filter(|effect| effect.what == PduEffectKind::Commanded).count();
    until(|| commanded() > 4).await;
    bench.pdu.set_outlet_fault(7, None).unwrap();
    let first = bench.hear(|frame| restored(frame, 1)).await;
    assert_eq!(first.unwrap_err().reason, Reason::NoEffect);
    let second = bench.hear(|frame| restored(frame, 1)).await;
    assert_eq!(second, Ok(()), "three failures or more came between");
    assert!(bench.is_on(7));
}

#[tokio::test]
async fn outlets_that_stay_off_are_not_restored_although_another_job_cut_them() {
    let mut bench = Bench::new().await;
    let limit = Duration::from_millis(300);
    bench.cut(1, 7, limit).await;
    bench.keep_off(2, &[], &[7]).await;
    assert_eq!(bench.hear(|frame| finished(frame, 2)).await, Ok(()));
    bench.cut(3, 8, limit).await;
    assert_eq!(bench.hear(|frame| restored(frame, 3)).await, Ok(()), "cut later, with the same limit");
    assert!(bench.is_on(8) && !bench.is_on(7));
}

#[tokio::test]
async fn what_was_tried_for_an_older_job_is_not_tried_again_once_off_is_proven() {
    let mut bench = Bench::new().await;
    bench.cut(1, 7, Duration::from_millis(200)).await;
    bench.pdu.change_faults(|faults| faults.link.mute = true);
    let failed = bench.hear(|frame| restored(frame, 1)).await;
    assert!(failed.is_err(), "it tried, and nobody answered");
    // Another agent cut it and read it off since.
    bench.keep_off(2, &[], &[7]).await;
    assert_eq!(bench.hear(|frame| finished(frame, 2)).await, Ok(()));
    bench.pdu.change_faults(|faults| faults.link.mute = false);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!bench.is_on(7));
}

#[tokio::test]
async fn lent_credentials_are_not_used_before_it_is_said_which_cuts_stay() {
    let mut bench = Bench::new().await;
    bench.cut(1, 7, Duration::from_millis(500)).await;
    // It starts anew, and the time of the cut is up before anybody is reached.
    let lender = Arc::new(Lender::default());
    bench.link = start(&bench.folder, 0.1, Arc::clone(&lender) as Arc<dyn SecretSource>);
    tokio::time::timeout(SOON, lender.0.notified()).await.expect("it asks nobody");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!bench.is_on(7), "that word comes a moment after them");
    bench.keep_off(2, &[1], &[7]).await;
    bench.tell(ToAgent::Noted { cuts: vec![CommandId(id(1))] }).await;
    assert_eq!(bench.hear(|frame| finished(frame, 2)).await, Ok(()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!bench.is_on(7));
}

#[tokio::test]
async fn dark_is_not_promised_of_an_outlet_that_was_restored() {
    let mut bench = Bench::new().await;
    bench.cut(1, 7, Duration::ZERO).await;
    assert_eq!(bench.hear(|frame| restored(frame, 1)).await, Ok(()));
    bench.keep_off(2, &[1], &[7]).await;
    let fault = bench.hear(|frame| finished(frame, 2)).await.unwrap_err();
    assert_eq!((fault.code, fault.reason), (FaultCode::Exec, Reason::Expired));
}

#[tokio::test]
async fn dark_is_not_promised_before_a_restore_under_way_has_ended() {
    let mut bench = Bench::new().await;
    bench.cut(1, 7, Duration::from_millis(50)).await;
    // The PDU answers late: the relay has closed while the agent still waits for the answer.
    bench.pdu.change_faults(|faults| faults.link.delay = Duration::from_millis(20));
    let pdu = bench.pdu.clone();
    until(|| pdu.outlet(7).unwrap().is_on).await;
    bench.keep_off(2, &[1], &[7]).await;
    let fault = bench.hear(|frame| finished(frame, 2)).await.unwrap_err();
    assert_eq!((fault.code, fault.reason), (FaultCode::Exec, Reason::Expired));
    assert!(bench.is_on(7));
}

#[tokio::test]
async fn what_was_acknowledged_is_not_begun_again_by_a_late_message_of_it() {
    let mut bench = Bench::new().await;
    let command = bench.cut(1, 7, Duration::from_hours(1)).await;
    bench.pdu.switch(7, rackhand_simulators::world::OutletCommand::On(Duration::ZERO)).unwrap();
    bench.tell(ToAgent::Acknowledge { commands: vec![CommandId(id(1))] }).await;
    bench.tell(ToAgent::Execute(command)).await;
    let fault = bench.hear(|frame| finished(frame, 1)).await.unwrap_err();
    assert_eq!((fault.code, fault.reason), (FaultCode::Exec, Reason::Expired));
    assert!(bench.is_on(7));
}

#[tokio::test]
async fn an_outlet_that_was_cut_anew_is_restored_although_an_older_message_lets_it_stay_off_again() {
    let mut bench = Bench::new().await;
    bench.cut(1, 7, Duration::from_hours(1)).await;
    bench.keep_off(2, &[1], &[7]).await;
    assert_eq!(bench.hear(|frame| finished(frame, 2)).await, Ok(()));
    bench.cut(3, 7, Duration::from_millis(200)).await;
    bench.keep_off(2, &[1], &[7]).await;
    assert_eq!(bench.hear(|frame| restored(frame, 3)).await, Ok(()));
    assert!(bench.is_on(7));
}
