//! However a BMC words the refusal of a sign-in, it is told as what it is.

use std::time::Duration;

use super::{
    super::{
        Level,
        bmc::{About, Profile, Reply},
        client::{Failure, LegacyUse, Proof, Settings, Wanted},
        command::chassis::{self, Control},
        legacy::{Signature, padded},
        message::Message,
        packet::{Packet, Wrapping, plus_start},
    },
    rig::{PASSWORD, Rig, USER, settings},
};

/// The steps of a sign-in with IPMI 1.5, by what their answers are about.
const CHALLENGE: About = About::OpenSession;
const ACTIVATION: About = About::Rakp2;
const LEVEL: About = About::Session;

#[test]
fn every_refusal_of_ipmi_1_5_is_told_as_what_it_is() {
    let mut rows = vec![
        (CHALLENGE, 0x81, Failure::WrongUser),
        (CHALLENGE, 0x82, Failure::WrongUser),
        (CHALLENGE, 0xcc, refused(0xcc)),
        (CHALLENGE, 0xff, refused(0xff)),
        (ACTIVATION, 0x81, Failure::NoFreeSession),
        (ACTIVATION, 0x82, Failure::NoFreeSession),
        (ACTIVATION, 0x83, Failure::NoFreeSession),
        (ACTIVATION, 0x84, Failure::Stalled),
        (ACTIVATION, 0x85, Failure::Stalled),
        (ACTIVATION, 0x86, too_low()),
        (ACTIVATION, 0xcc, refused(0xcc)),
        (LEVEL, 0x81, too_low()),
    ];
    for step in [CHALLENGE, ACTIVATION, LEVEL] {
        rows.extend([0xc0, 0xc3, 0xc4, 0xd2].map(|code| (step, code, Failure::Busy { code })));
        rows.push((step, 0xd1, Failure::Updating));
        rows.push((step, 0xd4, too_low()));
    }
    for (step, code, failure) in rows {
        let mut rig = legacy();
        rig.forge = Box::new(move |reply| {
            if reply.about == step {
                refuse(reply, code);
            }
        });
        assert_eq!(failure_of(&mut rig), failure, "{step:?} refused with {code:#04x}");
    }
}

#[test]
fn every_refusal_of_the_rmcp_plus_handshake_is_told_as_what_it_is() {
    let rows = [
        (0x01, Failure::NoFreeSession),
        (0x02, Failure::Stalled),
        (0x03, refused(0x03)),
        (0x08, Failure::Stalled),
        (0x0a, too_low()),
        (0x0b, Failure::NoFreeSession),
        (0x0c, Failure::WrongUser),
        (0x0d, Failure::WrongUser),
        (0x0e, refused(0x0e)),
        (0x0f, Failure::WrongPassword { proof: Proof::Certain }),
        (0x12, refused(0x12)),
    ];
    for (status, failure) in rows {
        for step in [About::OpenSession, About::Rakp2, About::Rakp4] {
            let mut rig = plus();
            rig.forge = Box::new(move |reply| {
                if reply.about == step {
                    refuse_handshake(reply, status);
                }
            });
            assert_eq!(failure_of(&mut rig), failure, "{step:?} refused with {status:#04x}");
        }
    }
}

fn refused(status: u8) -> Failure {
    Failure::SignInRefused { status }
}

fn too_low() -> Failure {
    Failure::InsufficientPrivilege { level: Level::Administrator }
}

fn plus() -> Rig {
    let settings = Settings { level: Wanted::Exactly(Level::Administrator), ..settings() };
    Rig::new(settings, Profile::usual(USER, PASSWORD), 1)
}

fn legacy() -> Rig {
    let password = PASSWORD[..16].to_vec();
    let profile =
        Profile { suites: vec![], password: password.clone().into(), ..Profile::usual(USER, PASSWORD) };
    let settings = Settings {
        password: password.into(),
        level: Wanted::Exactly(Level::Administrator),
        legacy: LegacyUse::Allowed,
        ..settings()
    };
    Rig::new(settings, profile, 1)
}

/// Plays a request whose sign-in is refused: at once, and without a second try that could lock the account.
fn failure_of(rig: &mut Rig) -> Failure {
    let began = rig.now;
    let failure = rig.ask(chassis::control(Control::Reset)).unwrap_err();
    assert!(rig.since(began) < Duration::from_secs(3), "{failure:?} took {:?}", rig.since(began));
    assert!(rig.machine.done.is_empty(), "{failure:?}");
    // A BMC that forgot the sign-in is asked anew, but not for ever.
    let sign_ins = if failure == Failure::Stalled { 4 } else { 1 };
    assert_eq!(rig.bmc.tally().begun, sign_ins, "{failure:?}");
    failure
}

/// Makes an answer of IPMI 1.5 a refusal, signed as it was.
fn refuse(reply: &mut Reply, code: u8) {
    let Some(Packet::Legacy(packet)) = Packet::parse(&reply.bytes) else { panic!("{reply:?}") };
    let message = Message { body: &[code], ..Message::parse(packet.payload).unwrap() }.encode();
    reply.bytes = match Signature::from_number(packet.auth) {
        None => Wrapping::Legacy.wrap(&message),
        Some(signature) => signature.seal(padded(&PASSWORD[..16]), packet.session, packet.seq, &message),
    };
}

/// Makes an answer of the handshake a refusal: tag, status, two bytes and the console's id begin each of them.
fn refuse_handshake(reply: &mut Reply, status: u8) {
    let Some(Packet::Plus(packet)) = Packet::parse(&reply.bytes) else { panic!("{reply:?}") };
    let mut payload = packet.payload[..8].to_vec();
    payload[1] = status;
    reply.bytes = plus_start(packet.kind, 0, 0, &payload);
}
