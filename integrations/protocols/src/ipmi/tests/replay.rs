//! Whoever sits on the line can keep answers and send them again.

use std::{cell::RefCell, rc::Rc, time::Duration};

use super::{
    super::{
        bmc::{LegacyOffer, Profile},
        client::{LegacyUse, Settings},
        command::chassis::{self, Power, Status},
    },
    rig::{PASSWORD, Rig, USER, settings},
};

/// A request's sequence number comes round after so many.
const ROUND: usize = 64;

fn plus() -> Rig {
    Rig::usual()
}

fn legacy() -> Rig {
    let password = PASSWORD.get(..16).unwrap().to_vec();
    let profile = Profile {
        suites: vec![],
        legacy: LegacyOffer::Offered,
        password: password.clone().into(),
        ..Profile::usual(USER, PASSWORD)
    };
    let settings = Settings { password: password.into(), legacy: LegacyUse::Allowed, ..settings() };
    Rig::new(settings, profile, 1)
}

/// Keeps what the BMC answers from now on.
fn tap(rig: &mut Rig) -> Rc<RefCell<Vec<Vec<u8>>>> {
    let kept = Rc::<RefCell<Vec<Vec<u8>>>>::default();
    let tap = Rc::clone(&kept);
    rig.censor = Box::new(move |reply| {
        tap.borrow_mut().push(reply.bytes.clone());
        true
    });
    kept
}

fn power(rig: &mut Rig) -> Power {
    Status::parse(&rig.ask(chassis::status()).unwrap().data).unwrap().power
}

#[test]
fn an_old_answer_of_the_same_session_is_never_taken_for_a_new_one() {
    for mut rig in [plus(), legacy()] {
        power(&mut rig);
        let kept = tap(&mut rig);
        assert_eq!(power(&mut rig), Power::On);
        let old = kept.borrow().last().unwrap().clone();
        rig.machine.power = Power::Off;
        for _ in 1..ROUND {
            power(&mut rig);
        }
        rig.client.start(chassis::status(), rig.now);
        rig.client.receive(&old, rig.now);
        assert_eq!(rig.client.outcome(), None, "the server is off, the replayed answer says on");
        assert_eq!(power(&mut rig), Power::Off, "the session serves on");
        assert_eq!(rig.bmc.tally().opened, 1);
    }
}

#[test]
fn each_ipmi_1_5_session_counts_from_a_number_of_its_own() {
    let mut rig = legacy();
    power(&mut rig);
    let kept = tap(&mut rig);
    power(&mut rig);
    let old = kept.borrow().last().unwrap().clone();
    rig.client.close();
    rig.drain();
    power(&mut rig);
    let kept = tap(&mut rig);
    power(&mut rig);
    let new = kept.borrow().last().unwrap().clone();
    let numbers = |packet: &[u8]| packet.get(5..9).unwrap().to_vec();
    assert_ne!(numbers(&old), numbers(&new), "each session counts from a number that nobody can foresee");
}

#[test]
fn answers_that_the_line_doubles_and_reorders_still_arrive() {
    for mut rig in [plus(), legacy()] {
        rig.weather.doubling = 50;
        rig.weather.jitter = Duration::from_millis(40);
        for _ in 0..200 {
            assert_eq!(power(&mut rig), Power::On);
        }
    }
}

#[test]
fn a_session_whose_answers_were_lost_for_long_is_replaced_and_serves_on() {
    for mut rig in [plus(), legacy()] {
        power(&mut rig);
        rig.censor = Box::new(|_| false);
        // Callers that give up after one packet each: the BMC's numbers run ahead unheard.
        for _ in 0..20 {
            rig.client.start(chassis::status(), rig.now);
            let packet = rig.client.transmit().unwrap();
            rig.bmc.handle(&packet, &mut rig.machine, rig.now).unwrap();
        }
        rig.censor = Box::new(|_| true);
        assert_eq!(power(&mut rig), Power::On);
        assert_eq!(rig.bmc.tally().opened, 2);
    }
}
