use std::thread::sleep;
use std::time::{Duration, Instant};

use super::*;

fn rack() -> (World, Machine) {
    let world = World::new(WorldTimings::quick());
    world.add_pdu("pdu-a", 8);
    world.add_pdu("pdu-b", 8);
    let machine = world.add_machine("srv-01", &[OutletId::new("pdu-a", 7), OutletId::new("pdu-b", 7)]);
    (world, machine)
}

fn cut(world: &World, pdu: &str) {
    world.pdu(pdu).unwrap().switch(7, OutletCommand::Off(Duration::ZERO)).unwrap();
}

fn feed(world: &World, pdu: &str) {
    world.pdu(pdu).unwrap().switch(7, OutletCommand::On(Duration::ZERO)).unwrap();
}

fn wait_for(what: &str, is_true: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !is_true() {
        assert!(Instant::now() < end, "never came true: {what}");
        sleep(Duration::from_millis(5));
    }
}

fn kinds(machine: &Machine) -> Vec<EffectKind> {
    machine.effects().into_iter().map(|effect| effect.what).collect()
}

#[test]
fn one_feed_of_two_keeps_machine_and_bmc_alive() {
    let (world, machine) = rack();
    cut(&world, "pdu-a");
    sleep(world.timings().hold_up * 2);
    assert!(machine.is_on());
    assert!(machine.bmc_answers());
    assert_eq!(kinds(&machine), [EffectKind::FeedCut { outlet: OutletId::new("pdu-a", 7) }]);
}

#[test]
fn cutting_both_feeds_kills_machine_and_bmc_after_the_hold_up() {
    let (world, machine) = rack();
    cut(&world, "pdu-a");
    cut(&world, "pdu-b");
    assert!(machine.is_on(), "the power supplies carry it for a moment");
    wait_for("the machine dies", || !machine.is_on());
    assert!(!machine.bmc_answers());
    assert_eq!(machine.bmc_boot_count(), 1);
    let effects = machine.effects();
    let off = effects.iter().find(|effect| effect.what == EffectKind::PoweredOff).unwrap();
    assert_eq!(off.at - effects[1].at, world.timings().hold_up);
}

#[test]
fn a_blink_shorter_than_the_hold_up_is_not_noticed() {
    let (world, machine) = rack();
    cut(&world, "pdu-a");
    cut(&world, "pdu-b");
    feed(&world, "pdu-a");
    sleep(world.timings().hold_up * 2);
    assert!(machine.is_on());
    assert_eq!(machine.bmc_boot_count(), 0);
}

#[test]
fn the_restore_policy_decides_after_the_bmc_has_booted() {
    for (policy, was_on, ends_on) in [
        (RestorePolicy::AlwaysOff, true, false),
        (RestorePolicy::Previous, true, true),
        (RestorePolicy::Previous, false, false),
        (RestorePolicy::AlwaysOn, false, true),
    ] {
        let (world, machine) = rack();
        machine.set_restore_policy(policy);
        if !was_on {
            machine.chassis(ChassisCommand::Down).unwrap();
        }
        cut(&world, "pdu-a");
        cut(&world, "pdu-b");
        wait_for("the BMC dies", || machine.bmc_boot_count() == 1);
        feed(&world, "pdu-b");
        assert!(!machine.bmc_answers(), "a BMC needs time to boot");
        assert_eq!(machine.chassis(ChassisCommand::Up), Err(Refused::BmcDead));
        wait_for("the BMC answers", || machine.bmc_answers());
        assert_eq!(machine.is_on(), ends_on, "{policy:?} from {was_on}");
    }
}

#[test]
fn the_soft_press_shuts_down_later_and_can_be_ignored() {
    let (_world, machine) = rack();
    machine.change_bmc_faults(|faults| faults.ignore_soft = true);
    machine.chassis(ChassisCommand::Soft).unwrap();
    machine.change_bmc_faults(|faults| faults.ignore_soft = false);
    assert!(machine.is_on());
    machine.chassis(ChassisCommand::Soft).unwrap();
    wait_for("the system shuts down", || !machine.is_on());
    assert_eq!(machine.count(&EffectKind::SoftPressed), 2);
    assert_eq!(machine.count(&EffectKind::PoweredOff), 1);
}

#[test]
fn reset_and_cycle_are_refused_while_off() {
    let (_world, machine) = rack();
    machine.chassis(ChassisCommand::Down).unwrap();
    machine.chassis(ChassisCommand::Down).unwrap();
    assert_eq!(machine.chassis(ChassisCommand::Reset), Err(Refused::PresentState));
    assert_eq!(machine.chassis(ChassisCommand::Cycle), Err(Refused::PresentState));
    assert_eq!(kinds(&machine), [EffectKind::PoweredOff]);
}

#[test]
fn a_native_cycle_comes_back_by_itself() {
    let (_world, machine) = rack();
    machine.chassis(ChassisCommand::Cycle).unwrap();
    assert!(!machine.is_on());
    wait_for("it is on again", || machine.is_on());
    assert_eq!(kinds(&machine), [EffectKind::PoweredOff, EffectKind::PoweredOn]);
    assert_eq!(machine.restart_cause(), 1);
}

#[test]
fn restarting_the_bmc_leaves_the_host_running() {
    let (_world, machine) = rack();
    machine.restart_bmc();
    assert!(!machine.bmc_answers());
    wait_for("the BMC is back", || machine.bmc_answers());
    assert_eq!(kinds(&machine), [EffectKind::BmcDied, EffectKind::BmcUp]);
}

#[test]
fn a_stuck_outlet_keeps_feeding_and_a_welded_one_lies() {
    let (world, machine) = rack();
    let pdu = world.pdu("pdu-a").unwrap();
    pdu.set_outlet_fault(7, Some(OutletFault::Stuck)).unwrap();
    cut(&world, "pdu-a");
    assert!(pdu.outlet(7).unwrap().is_on);
    pdu.set_outlet_fault(7, Some(OutletFault::Welded)).unwrap();
    cut(&world, "pdu-a");
    assert!(!pdu.outlet(7).unwrap().is_on);
    cut(&world, "pdu-b");
    sleep(world.timings().hold_up * 2);
    assert!(machine.is_on(), "the welded contact still feeds it");
}

#[test]
fn an_outlet_reboot_turns_off_and_on_by_itself() {
    let (world, _machine) = rack();
    let pdu = world.pdu("pdu-a").unwrap();
    pdu.switch(7, OutletCommand::Reboot(Duration::ZERO)).unwrap();
    let view = pdu.outlet(7).unwrap();
    assert!(!view.is_on && view.is_pending);
    wait_for("the outlet is on", || pdu.outlet(7).unwrap().is_on);
    let log: Vec<_> = pdu.effects().into_iter().map(|effect| effect.what).collect();
    assert_eq!(log, [PduEffectKind::Commanded, PduEffectKind::SwitchedOff, PduEffectKind::SwitchedOn]);
}

#[test]
fn counted_losses_hit_their_kind_alone() {
    let (_world, machine) = rack();
    machine.change_bmc_faults(|faults| {
        faults.link.drop_next_replies(2, Which::Only(ReplyKind::ChassisControl));
    });
    assert_eq!(machine.next_reply_fate(ReplyKind::ChassisStatus), Fate::Send);
    assert_eq!(machine.next_reply_fate(ReplyKind::ChassisControl), Fate::Drop);
    assert_eq!(machine.next_reply_fate(ReplyKind::ChassisControl), Fate::Drop);
    assert_eq!(machine.next_reply_fate(ReplyKind::ChassisControl), Fate::Send);
}

#[test]
fn a_pdu_told_to_die_after_two_writes_answers_two() {
    let (world, _machine) = rack();
    let pdu = world.pdu("pdu-b").unwrap();
    pdu.change_faults(|faults| faults.die_after_writes = Some(2));
    assert_eq!(pdu.next_reply_fate(RequestKind::Write), Fate::Send);
    assert_eq!(pdu.next_reply_fate(RequestKind::Read), Fate::Send);
    assert_eq!(pdu.next_reply_fate(RequestKind::Write), Fate::Send);
    assert!(!pdu.request_arrives());
}

#[test]
fn the_load_moves_to_the_feed_that_is_left() {
    let (world, _machine) = rack();
    let pdu = world.pdu("pdu-b").unwrap();
    let shared = pdu.reading(7).unwrap();
    cut(&world, "pdu-a");
    let alone = pdu.reading(7).unwrap();
    assert!(shared.watts > 0 && alone.watts >= shared.watts * 2);
    assert_eq!(world.pdu("pdu-a").unwrap().reading(7).unwrap(), Reading::default());
}

#[test]
fn a_guid_is_stable_per_name_and_can_be_wrong() {
    let (_world, machine) = rack();
    let (_other_world, same) = rack();
    assert_eq!(machine.guid(), same.guid());
    machine.change_bmc_faults(|faults| faults.wrong_guid = true);
    assert_ne!(machine.guid(), same.guid());
}
