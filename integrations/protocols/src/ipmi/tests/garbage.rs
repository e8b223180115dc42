//! No packet, however broken, may stop either end.

use proptest::prelude::*;
use std::time::Duration;

use super::{
    super::{
        bmc::{Bmc, Profile},
        client::Client,
        command::{boot, chassis, device},
        packet::Packet,
    },
    rig::{PASSWORD, Rig, USER, settings},
};

/// Bytes that pass the outermost checks often enough to reach the inner ones.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let body = proptest::collection::vec(any::<u8>(), 0..120);
    let kind =
        prop_oneof![Just(0x10_u8), Just(0x11), Just(0x12), Just(0x13), Just(0x14), Just(0x15), any::<u8>()];
    prop_oneof![
        body.clone(),
        body.clone().prop_map(|rest| [&[6, 0, 0xff, 7], rest.as_slice()].concat()),
        (kind, body).prop_map(|(kind, rest)| {
            let length = u8::try_from(rest.len()).unwrap();
            [&[6, 0, 0xff, 7, 6, kind, 0, 0, 0, 0, 0, 0, 0, 0, length, 0], rest.as_slice()].concat()
        }),
    ]
}

proptest! {
    #[test]
    fn random_bytes_stop_nobody(packets in proptest::collection::vec(packets(), 1..20)) {
        let now = Duration::from_secs(1);
        let mut rig = Rig::usual();
        let mut bmc = Bmc::new(Profile::usual(USER, PASSWORD), [1; 32]);
        let mut client = Client::new(settings(), [2; 32]);
        client.start(chassis::status(), now);
        for bytes in &packets {
            Packet::parse(bytes);
            client.receive(bytes, now);
            bmc.handle(bytes, &mut rig.machine, now);
            std::hint::black_box(boot::parse(bytes));
            std::hint::black_box(chassis::Status::parse(bytes));
            std::hint::black_box(chassis::Control::parse(bytes));
            std::hint::black_box(device::parse_guid(bytes));
            std::hint::black_box(device::parse_id(bytes));
        }
        prop_assert!(rig.machine.done.is_empty());
    }

    #[test]
    fn packets_broken_on_the_way_do_nothing(seed: u64, at in 0_usize..400, bit in 0_u8..8) {
        let mut rig = Rig::new(settings(), Profile::usual(USER, PASSWORD), seed);
        let mut count = 0;
        rig.censor = Box::new(move |_| { count += 1; count % 5 != 0 });
        rig.client.start(chassis::control(chassis::Control::Reset), rig.now);
        while let Some(mut bytes) = rig.client.transmit() {
            // The RMCP header in front has bits that mean nothing.
            let place = 4 + at % (bytes.len() - 4);
            bytes[place] ^= 1 << bit;
            if let Some(reply) = rig.bmc.handle(&bytes, &mut rig.machine, rig.now) {
                rig.client.receive(&reply.bytes, rig.now);
            }
        }
        prop_assert!(rig.machine.done.is_empty(), "a broken handshake carried out a command");
    }
}
