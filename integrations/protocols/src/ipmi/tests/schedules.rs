//! Random weather: a session comes to be or the failure is typed, and nothing is done twice.

use proptest::prelude::*;
use std::{collections::HashSet, time::Duration};

use super::{
    super::{
        Suite,
        bmc::{About, Profile},
        client::{Cipher, Failure, LegacyUse, Settings},
        command::chassis::{self, Control},
        packet::Packet,
        rakp::Rakp4,
    },
    rig::{PASSWORD, Rig, USER, Weather, settings},
};

fn weathers() -> impl Strategy<Value = Weather> {
    (0_u8..60, 0_u8..40, 0_u64..800).prop_map(|(loss, doubling, jitter)| Weather {
        loss,
        doubling,
        jitter: Duration::from_millis(jitter),
    })
}

fn dialects() -> impl Strategy<Value = (Cipher, LegacyUse, Vec<Suite>)> {
    prop_oneof![
        Just((Cipher::Auto, LegacyUse::Refused, vec![Suite::Three, Suite::Seventeen])),
        Just((Cipher::Only(Suite::Three), LegacyUse::Refused, vec![Suite::Three])),
        Just((Cipher::Only(Suite::Seventeen), LegacyUse::Refused, vec![Suite::Seventeen])),
        Just((Cipher::Auto, LegacyUse::Allowed, vec![])),
    ]
}

proptest! {
    // PROPTEST_CASES=100000 for a longer run.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(10_000)))]

    #[test]
    fn a_command_is_carried_out_at_most_once_and_its_fate_is_told(
        seed: u64,
        weather in weathers(),
        (cipher, legacy, suites) in dialects(),
        commands in proptest::collection::vec(0_usize..6, 1..6),
        gaps in proptest::collection::vec(0_u64..90, 6),
    ) {
        let mut profile = Profile::usual(USER, &PASSWORD[..16]);
        profile.suites = suites;
        let mut settings = settings();
        settings.password = PASSWORD[..16].to_vec().into();
        (settings.cipher, settings.legacy) = (cipher, legacy);
        let mut rig = Rig::new(settings, profile, seed);
        rig.weather = weather;
        for (command, gap) in commands.into_iter().zip(gaps) {
            let control = Control::ALL[command];
            let before = rig.machine.done.len();
            let outcome = rig.ask(chassis::control(control));
            let now = rig.now;
            rig.drain();
            let done = &rig.machine.done[before..];
            prop_assert!(done.len() <= 1, "{control:?} was done {} times", done.len());
            prop_assert!(done.iter().all(|one| *one == control));
            match outcome {
                Ok(answer) => {
                    prop_assert_eq!(answer.completion, 0);
                    prop_assert_eq!(done.len(), 1);
                }
                Err(Failure::Lost) => {}
                Err(Failure::Unreachable { restarts, .. }) => {
                    prop_assert!(done.is_empty(), "called unreachable, yet done");
                    prop_assert!(restarts >= 3);
                }
                Err(Failure::Stalled | Failure::NoFreeSession | Failure::SignInRefused { .. }) => {
                    prop_assert!(done.is_empty(), "called not sent, yet done");
                }
                // A silent activation is told from a lost one only by trying again.
                Err(Failure::WrongPassword { .. }) if legacy == LegacyUse::Allowed => {
                    prop_assert!(done.is_empty());
                }
                Err(failure) => prop_assert!(false, "{failure:?} in mere bad weather"),
            }
            rig.now = now + Duration::from_secs(gap);
        }
    }
}

/// Lets no second answer to a RAKP 3 through, as a BMC for which the session is open since the first.
fn confirm_once(rig: &mut Rig) {
    let mut told = HashSet::new();
    rig.censor = Box::new(move |reply| {
        let Some(Packet::Plus(plus)) = Packet::parse(&reply.bytes) else { return true };
        let rakp4 = Rakp4::parse(plus.payload).filter(|_| reply.about == About::Rakp4);
        rakp4.is_none_or(|rakp4| told.insert(rakp4.console_id))
    });
}

#[test]
fn of_five_thousand_reads_at_twenty_percent_loss_each_way_none_takes_over_fifteen_seconds() {
    for cipher in [Cipher::Auto, Cipher::Only(Suite::Three)] {
        let mut late = 0;
        for seed in 0..5_000 {
            let settings = Settings { cipher, ..settings() };
            let mut rig = Rig::new(settings, Profile::usual(USER, PASSWORD), seed * 7919);
            rig.weather.loss = 20;
            confirm_once(&mut rig);
            let began = rig.now;
            let answer = rig.ask(chassis::status());
            if answer.is_err() || rig.since(began) > Duration::from_secs(15) {
                late += 1;
            }
        }
        assert_eq!(late, 0, "of 5,000, {cipher:?}");
    }
}

#[test]
fn a_hundred_bmcs_at_five_percent_loss_each_way_answer_within_three_seconds() {
    let mut slowest = Duration::ZERO;
    for sweep in 0..20 {
        for bmc in 0..100 {
            let mut rig = Rig::new(settings(), Profile::usual(USER, PASSWORD), sweep * 1000 + bmc);
            rig.weather.loss = 5;
            let began = rig.now;
            rig.ask(chassis::status()).expect("an answer at 5 % loss");
            slowest = slowest.max(rig.since(began));
        }
    }
    assert!(slowest <= Duration::from_secs(3), "the slowest of 2,000 took {slowest:?}");
}
