//! Every way in which a BMC can fail has its own name, and takes as many sign-ins as promised.

use std::time::Duration;

use super::{
    super::{
        Level, Refusal, Request, Suite,
        bmc::{About, LegacyOffer, Profile},
        client::{Cipher, Failure, LegacyUse, Link, Proof, Settings, Wanted},
        command::{
            chassis::{self, Control, Power, Status},
            device,
        },
    },
    rig::{GUID, PASSWORD, Rig, USER, settings},
};

fn profile() -> Profile {
    Profile::usual(USER, PASSWORD)
}

fn rig_with(change: impl FnOnce(&mut Settings, &mut Profile)) -> Rig {
    let (mut settings, mut profile) = (settings(), profile());
    change(&mut settings, &mut profile);
    Rig::new(settings, profile, 5)
}

fn reset() -> Request {
    chassis::control(Control::Reset)
}

fn failure_of(change: impl FnOnce(&mut Settings, &mut Profile)) -> Failure {
    let mut rig = rig_with(change);
    let began = rig.now;
    let failure = rig.ask(reset()).unwrap_err();
    assert!(
        rig.since(began) < Duration::from_secs(3),
        "a refusal is told at once, not after {:?}",
        rig.since(began)
    );
    assert!(rig.machine.done.is_empty());
    failure
}

#[test]
fn seventeen_is_taken_before_three() {
    let mut rig = Rig::usual();
    let answer = rig.ask(chassis::status()).unwrap();
    assert_eq!(Status::parse(answer.accepted().unwrap()).unwrap().power, Power::On);
    assert_eq!(rig.client.link(), Some((Link::Plus(Suite::Seventeen), Level::Administrator)));
    assert_eq!(rig.client.guid(), Some(GUID));
}

#[test]
fn three_is_taken_where_seventeen_is_not_offered_listed_or_not() {
    for listed in [true, false] {
        let mut rig = rig_with(|_, profile| profile.suites = vec![Suite::Three]);
        let mut capabilities = 0;
        rig.censor = Box::new(move |reply| {
            capabilities += u32::from(reply.about == About::Capabilities);
            listed || reply.about != About::Capabilities || capabilities == 1
        });
        rig.ask(chassis::status()).unwrap();
        assert_eq!(rig.client.link(), Some((Link::Plus(Suite::Three), Level::Administrator)));
    }
}

#[test]
fn a_session_serves_many_requests_and_costs_one_packet_each() {
    let mut rig = Rig::usual();
    rig.ask(chassis::status()).unwrap();
    let before = rig.sent;
    for _ in 0..50 {
        rig.ask(chassis::status()).unwrap();
    }
    assert_eq!(rig.sent - before, 50);
    assert_eq!(rig.bmc.tally().opened, 1);
    rig.client.close();
    rig.drain();
    assert_eq!(rig.bmc.open_sessions(), 0, "a session is closed politely");
}

#[test]
fn what_was_learnt_saves_the_questions() {
    let mut rig = Rig::usual();
    rig.ask(chassis::status()).unwrap();
    rig.client.close();
    rig.drain();
    let before = rig.sent;
    rig.ask(chassis::status()).unwrap();
    assert_eq!(rig.sent - before, 5, "open, RAKP 1, RAKP 3, level, status");
}

#[test]
fn wrong_user_password_key_suite_and_level_have_their_own_names() {
    let three_only: fn(&mut Settings, &mut Profile) = |settings, profile| {
        settings.cipher = Cipher::Only(Suite::Seventeen);
        profile.suites = vec![Suite::Three];
    };
    assert_eq!(failure_of(|settings, _| settings.user = b"nobody".to_vec()), Failure::WrongUser);
    assert_eq!(
        failure_of(|settings, _| settings.password = b"wrong".to_vec().into()),
        Failure::WrongPassword { proof: Proof::Certain }
    );
    assert_eq!(failure_of(|settings, _| settings.kg = Some(b"surplus".to_vec().into())), Failure::WrongKg);
    assert_eq!(failure_of(|_, profile| profile.kg = Some(b"missing".to_vec().into())), Failure::WrongKg);
    assert_eq!(failure_of(three_only), Failure::NoMatchingCipher { offered: vec![] });
    let level = Level::Administrator;
    assert_eq!(
        failure_of(|settings, profile| {
            settings.level = Wanted::Exactly(Level::Administrator);
            profile.limit = Level::Operator;
        }),
        Failure::InsufficientPrivilege { level }
    );
}

#[test]
fn a_refused_sign_in_is_tried_once() {
    let mut rig = rig_with(|settings, _| settings.user = b"nobody".to_vec());
    rig.ask(reset()).unwrap_err();
    assert_eq!(rig.bmc.tally().refused, 1);
    let mut rig = rig_with(|settings, _| settings.password = b"wrong".to_vec().into());
    rig.ask(reset()).unwrap_err();
    assert_eq!(rig.sent, 5, "two questions, open, RAKP 1, and that its answer is not believed");
    rig.drain();
    assert_eq!(rig.bmc.tally().refused, 0, "RAKP 2 tells, so the BMC sees no wrong proof");
    assert_eq!(rig.bmc.slots_in_use(), 0, "the slot is given back");
}

#[test]
fn the_highest_level_is_what_the_account_may_have() {
    for limit in [Level::Operator, Level::User] {
        let mut rig = rig_with(|_, profile| profile.limit = limit);
        rig.ask(chassis::status()).unwrap();
        assert_eq!(rig.client.link().unwrap().1, limit);
        let answer = rig.ask(reset()).unwrap();
        let expected = if limit == Level::User { Err(Refusal::Privilege) } else { Ok([].as_slice()) };
        assert_eq!(answer.accepted(), expected);
    }
}

#[test]
fn a_key_that_both_ends_hold_works() {
    let mut rig = rig_with(|settings, profile| {
        settings.kg = Some(b"twenty bytes of key!".to_vec().into());
        profile.kg = settings.kg.clone();
    });
    assert!(rig.ask(reset()).is_ok());
}

#[test]
fn another_machine_is_told_nothing() {
    let mut rig = rig_with(|settings, _| settings.pinned = Some(*b"some-other-guid!"));
    assert_eq!(rig.ask(reset()), Err(Failure::WrongIdentity { found: Some(GUID) }));
    assert!(rig.machine.done.is_empty());
    let mut rig = legacy(LegacyUse::Allowed);
    rig.machine.guid = *b"some-other-guid!";
    assert_eq!(rig.ask(reset()), Err(Failure::WrongIdentity { found: Some(*b"some-other-guid!") }));
    assert!(rig.machine.done.is_empty());
}

#[test]
fn silence_is_unreachable_after_twenty_seconds_and_three_sign_ins() {
    let mut rig = Rig::usual();
    rig.weather.loss = 100;
    for _warm_up in 0..2 {
        let began = rig.now;
        let failure = rig.ask(reset()).unwrap_err();
        let Failure::Unreachable { restarts, port_closed: false } = failure else { panic!("{failure:?}") };
        assert!(restarts >= 3);
        let took = rig.since(began);
        assert!(took >= Duration::from_secs(20) && took < Duration::from_secs(25), "{took:?}");
        rig.weather.loss = 0;
        rig.ask(chassis::status()).unwrap();
        // The second time a session is open, and idle for a while, when the BMC falls silent.
        rig.weather.loss = 100;
        rig.now += Duration::from_secs(5);
    }
    assert!(rig.machine.done.is_empty());
}

#[test]
fn a_closed_port_shortens_nothing_but_is_told() {
    let mut rig = Rig::usual();
    rig.weather.loss = 100;
    rig.client.start(reset(), rig.now);
    let began = rig.now;
    let failure = loop {
        while rig.client.transmit().is_some() {
            rig.client.port_closed();
        }
        if let Some(outcome) = rig.client.outcome() {
            break outcome.unwrap_err();
        }
        rig.now = rig.client.deadline().unwrap();
        rig.client.tick(rig.now);
    };
    assert!(matches!(failure, Failure::Unreachable { port_closed: true, .. }), "{failure:?}");
    assert!(rig.since(began) >= Duration::from_secs(20));
    assert!(failure.to_string().contains("port closed"));
}

#[test]
fn a_lost_answer_to_a_command_is_lost_and_the_command_is_done_once() {
    for count in 1..=5 {
        let mut rig = Rig::usual();
        let mut left = count;
        rig.censor = Box::new(move |reply| {
            let control = matches!(reply.about, About::Command { command: chassis::CONTROL, .. });
            left -= i32::from(control && left > 0);
            !control || left == 0 && count == 0
        });
        assert_eq!(rig.ask(reset()), Err(Failure::Lost));
        rig.drain();
        assert_eq!(rig.machine.done, [Control::Reset]);
        assert!(rig.ask(chassis::status()).is_ok(), "the session lives on");
    }
}

#[test]
fn a_session_that_died_unnoticed_does_not_swallow_a_command() {
    let mut rig = Rig::usual();
    rig.ask(chassis::status()).unwrap();
    rig.bmc.forget_sessions();
    rig.now += Duration::from_secs(5);
    assert!(rig.ask(reset()).is_ok());
    assert_eq!(rig.machine.done, [Control::Reset]);
}

#[test]
fn lost_rakp4_is_survived_by_a_new_session_and_leaks_none() {
    for suite in Suite::ALL {
        let mut rig = rig_with(|settings, _| settings.cipher = Cipher::Only(suite));
        let mut lost = 0;
        rig.censor = Box::new(move |reply| {
            lost += u32::from(reply.about == About::Rakp4);
            reply.about != About::Rakp4 || lost > 2
        });
        let began = rig.now;
        rig.ask(chassis::status()).unwrap();
        assert!(rig.since(began) < Duration::from_secs(2), "{:?}", rig.since(began));
        rig.drain();
        assert_eq!(rig.bmc.open_sessions(), 1);
    }
}

#[test]
fn a_slow_bmc_is_not_flooded() {
    let mut rig = Rig::usual();
    rig.weather.jitter = Duration::ZERO;
    rig.ask(chassis::status()).unwrap();
    let before = rig.sent;
    // Every answer takes three seconds from now on.
    rig.weather.jitter = Duration::from_secs(3);
    rig.ask(device::device_id()).unwrap();
    rig.drain();
    assert!(rig.sent - before <= 6, "{} packets for one slow answer", rig.sent - before);
}

#[test]
fn refusals_are_sorted_by_what_to_do_next() {
    let rows = [
        (0xc0, Refusal::Busy(0xc0)),
        (0xc3, Refusal::Busy(0xc3)),
        (0xc4, Refusal::Busy(0xc4)),
        (0xd2, Refusal::Busy(0xd2)),
        (0xd1, Refusal::Updating),
        (0xcf, Refusal::Duplicate),
        (0xd5, Refusal::State(0xd5)),
        (0xd4, Refusal::Privilege),
        (0xc1, Refusal::Unsupported(0xc1)),
        (0xcc, Refusal::Other(0xcc)),
    ];
    for (code, refusal) in rows {
        let mut rig = Rig::usual();
        rig.machine.refuses_with = Some(code);
        assert_eq!(rig.ask(chassis::status()).unwrap().accepted(), Err(refusal));
    }
}

#[test]
fn no_free_session_is_told_as_such() {
    let mut rig = rig_with(|_, profile| profile.most_sessions = 0);
    assert_eq!(rig.ask(reset()), Err(Failure::NoFreeSession));
}

fn legacy(legacy: LegacyUse) -> Rig {
    rig_with(|settings, profile| {
        profile.suites = vec![];
        profile.password = b"sixteen bytes ok".to_vec().into();
        settings.password = profile.password.clone();
        settings.legacy = legacy;
        settings.pinned = Some(GUID);
    })
}

#[test]
fn ipmi_1_5_is_spoken_only_when_allowed() {
    let mut rig = legacy(LegacyUse::Refused);
    assert!(matches!(rig.ask(reset()), Err(Failure::NoMatchingCipher { .. })));
    let mut rig = legacy(LegacyUse::Allowed);
    assert!(rig.ask(reset()).is_ok());
    assert_eq!(rig.client.link(), Some((Link::Legacy, Level::Administrator)));
    assert_eq!(rig.client.guid(), Some(GUID));
    rig.client.close();
    rig.drain();
    assert_eq!(rig.bmc.open_sessions(), 0);
    let mut rig = rig_with(|settings, profile| {
        (profile.suites, profile.legacy) = (vec![], LegacyOffer::Refused);
        settings.legacy = LegacyUse::Allowed;
    });
    assert!(matches!(rig.ask(reset()), Err(Failure::NoMatchingCipher { .. })));
}

#[test]
fn ipmi_1_5_tells_wrong_user_and_wrong_password_apart() {
    let wrong = |change: fn(&mut Settings)| {
        let mut rig = rig_with(|settings, profile| {
            profile.suites = vec![];
            settings.legacy = LegacyUse::Allowed;
            change(settings);
        });
        rig.ask(reset()).unwrap_err()
    };
    assert_eq!(wrong(|settings| settings.user = b"nobody".to_vec()), Failure::WrongUser);
    assert_eq!(
        wrong(|settings| settings.password = b"wrong".to_vec().into()),
        Failure::WrongPassword { proof: Proof::Silence }
    );
}
