use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::farm::{Farm, FarmConfig};
use crate::world::{ChassisCommand, RequestKind};

async fn farm() -> (Farm, Control) {
    let farm = Farm::start(FarmConfig { servers: 2, ..FarmConfig::default() }).await.unwrap();
    let control = serve(&farm, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    (farm, control)
}

fn fault(device: &str, fault: FaultOrder) -> Request {
    Request::Fault { device: device.to_owned(), fault }
}

#[tokio::test]
async fn a_fault_given_from_outside_reaches_the_world_and_clear_takes_it_back() {
    let (farm, control) = farm().await;
    let seen = ask(control.addr(), &fault("srv-01", FaultOrder::Mute)).await.unwrap();
    assert!(farm.world().machine("srv-01").unwrap().bmc_faults().link.mute);
    let Seen::Server(view) = seen else { panic!("{seen:?}") };
    assert_eq!(view.faults, ["mute"]);
    ask(control.addr(), &fault("srv-01", FaultOrder::Clear)).await.unwrap();
    assert!(!farm.world().machine("srv-01").unwrap().bmc_faults().link.mute);
}

#[tokio::test]
async fn losing_answers_to_writes_spares_answers_to_reads() {
    let (farm, control) = farm().await;
    let order = FaultOrder::Drop { count: 1, only: Some(ReplyWord::Write) };
    ask(control.addr(), &fault("pdu-a", order)).await.unwrap();
    let pdu = farm.world().pdu("pdu-a").unwrap();
    assert_eq!(pdu.next_reply_fate(RequestKind::Read), crate::world::Fate::Send);
    assert_eq!(pdu.next_reply_fate(RequestKind::Write), crate::world::Fate::Drop);
}

#[tokio::test]
async fn every_fault_of_a_server_reaches_the_world() {
    type IsThere = fn(&crate::world::BmcFaults) -> bool;
    let (farm, control) = farm().await;
    let machine = farm.world().machine("srv-01").unwrap();
    for (order, is_there) in [
        (FaultOrder::Delay { milliseconds: 70 }, (|faults| faults.link.delay.as_millis() == 70) as IsThere),
        (FaultOrder::Loss { percent: 15 }, |faults| faults.link.loss_percent == 15),
        (FaultOrder::IgnoreSoft, |faults| faults.ignore_soft),
        (FaultOrder::WrongGuid, |faults| faults.wrong_guid),
        (FaultOrder::Updating, |faults| faults.updating),
    ] {
        assert!(!is_there(&machine.bmc_faults()), "{order:?}");
        ask(control.addr(), &fault("srv-01", order.clone())).await.unwrap();
        assert!(is_there(&machine.bmc_faults()), "{order:?}");
    }
    let boots = machine.bmc_boot_count();
    ask(control.addr(), &fault("srv-01", FaultOrder::RestartBmc)).await.unwrap();
    assert!(!machine.bmc_answers() && machine.is_on(), "the BMC alone starts anew");
    let begun = std::time::Instant::now();
    while machine.bmc_boot_count() == boots {
        assert!(begun.elapsed().as_secs() < 60, "it does not start");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_fault_of_a_pdu_reaches_the_world() {
    let (farm, control) = farm().await;
    let pdu = farm.world().pdu("pdu-a").unwrap();
    ask(control.addr(), &fault("pdu-a", FaultOrder::Delay { milliseconds: 70 })).await.unwrap();
    ask(control.addr(), &fault("pdu-a", FaultOrder::Loss { percent: 15 })).await.unwrap();
    ask(control.addr(), &fault("pdu-a", FaultOrder::Outlet { number: 2, how: OutletWord::Stuck }))
        .await
        .unwrap();
    ask(control.addr(), &fault("pdu-a", FaultOrder::DieAfter { writes: 3 })).await.unwrap();
    let faults = pdu.faults();
    assert_eq!((faults.link.delay.as_millis(), faults.link.loss_percent), (70, 15));
    assert_eq!(faults.die_after_writes, Some(3));
    let stuck =
        |pdu: &crate::world::Pdu| pdu.outlets().iter().filter(|outlet| outlet.fault.is_some()).count();
    assert_eq!(stuck(&pdu), 1);
    ask(control.addr(), &fault("pdu-a", FaultOrder::Clear)).await.unwrap();
    assert_eq!((pdu.faults().die_after_writes, stuck(&pdu)), (None, 0));
}

#[tokio::test]
async fn faults_that_do_not_fit_the_device_are_refused_in_words() {
    let (_farm, control) = farm().await;
    for (device, order, words) in [
        ("pdu-a", FaultOrder::WrongGuid, "pdu-a is a PDU"),
        ("srv-01", FaultOrder::DieAfter { writes: 1 }, "srv-01 is a server"),
        ("srv-99", FaultOrder::Mute, "no server or PDU called srv-99"),
        ("pdu-a", FaultOrder::Outlet { number: 99, how: OutletWord::Stuck }, "no outlet pdu-a/99"),
    ] {
        let refused = ask(control.addr(), &fault(device, order)).await.unwrap_err();
        assert!(matches!(&refused, AskError::Refused(text) if text.contains(words)), "{refused}");
    }
}

#[tokio::test]
async fn a_server_is_found_by_its_number_however_many_zeros_are_written() {
    for (servers, own) in [(24, "srv-03"), (100, "srv-003")] {
        let farm = Farm::start(FarmConfig { servers, ..FarmConfig::default() }).await.unwrap();
        let control = serve(&farm, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        farm.world().machine(own).unwrap().chassis(ChassisCommand::Diag).unwrap();
        for written in ["srv-3", "srv-03", "srv-003"] {
            let seen = ask(control.addr(), &fault(written, FaultOrder::Mute)).await.unwrap();
            let Seen::Server(view) = seen else { panic!("{seen:?}") };
            assert_eq!((view.name.as_str(), view.faults), (own, vec!["mute".to_owned()]), "{written}");
            ask(control.addr(), &fault(own, FaultOrder::Clear)).await.unwrap();
            let seen = ask(control.addr(), &Request::Effects { device: Some(written.into()) }).await.unwrap();
            let Seen::Effects(effects) = seen else { panic!("{seen:?}") };
            assert!(effects.iter().all(|effect| effect.device == own), "{written}");
            assert_eq!(effects.len(), 1, "{written}");
        }
        for nobody in ["srv-", "srv-0", "srv-30x", "srv-999", "3"] {
            ask(control.addr(), &fault(nobody, FaultOrder::Mute)).await.unwrap_err();
        }
    }
}

#[tokio::test]
async fn effects_tell_what_happened_in_order_with_the_outlet() {
    let (farm, control) = farm().await;
    let pdu = farm.world().pdu("pdu-b").unwrap();
    pdu.switch(2, crate::world::OutletCommand::Off(std::time::Duration::ZERO)).unwrap();
    let seen = ask(control.addr(), &Request::Effects { device: None }).await.unwrap();
    let Seen::Effects(effects) = seen else { panic!("{seen:?}") };
    let lines: Vec<_> = effects.iter().map(|e| format!("{} {}", e.device, e.what)).collect();
    assert_eq!(lines, ["pdu-b outlet 2 commanded", "pdu-b outlet 2 switched_off", "srv-02 feed_cut pdu-b/2"]);
}

#[tokio::test]
async fn the_control_socket_refuses_to_listen_on_the_network() {
    let (farm, _control) = farm().await;
    let refused = serve(&farm, "0.0.0.0:0".parse().unwrap()).await.err().unwrap();
    assert!(refused.to_string().contains("loopback"));
}
