//! Figures that others computed: the wire format must not drift together with our own other end.

use super::super::{
    Suite,
    keys::{Exchange, Keys},
    legacy::Signature,
    message::Message,
    packet::{Packet, auth},
    sealed,
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// RAKP codes and keys for fixed inputs, computed with Python's hmac and hashlib.
fn exchange(suite: Suite) -> Exchange {
    Exchange {
        suite,
        console_id: 0x0403_0201,
        bmc_id: 0x0807_0605,
        console_random: *b"0123456789abcdef",
        bmc_random: *b"fedcba9876543210",
        guid: *b"GUIDGUIDGUIDGUID",
        role: 0x14,
        user: b"admin".to_vec(),
    }
}

#[test]
fn the_key_exchange_is_that_of_the_specification() {
    let rows = [
        (
            Suite::Three,
            "8a7145847dffd44edb64e208735bfc21de4b2f2d",
            "20080d274d62129ae23142644f1451becef06feb",
            "b11b032f4082d6d3ca60b04c413de23ba1d6f97f",
            "ccce9de38311ad90106ba47e",
        ),
        (
            Suite::Seventeen,
            "a7570f5c0b7d7565adf5add84d494f09f9ed41d1109009799419a6356b2e1054",
            "2db0ed677327a1afd28164042f65581614990aa0ff0d2938cee49de5a6def4b5",
            "7c3f92b951fced28c92588cb2e174ada419d4e5261160f0ea3e16ffbc5d327cc",
            "5cfd1cbd85f7eaf175d2f376a50270fa",
        ),
    ];
    for (suite, rakp2, rakp3, sik, rakp4) in rows {
        let exchange = exchange(suite);
        assert_eq!(exchange.rakp2_code(b"secret").as_slice(), hex(rakp2));
        assert_eq!(exchange.rakp3_code(b"secret").as_slice(), hex(rakp3));
        let key = exchange.session_key(b"secret", None);
        assert_eq!(key.as_slice(), hex(sik));
        assert_eq!(exchange.rakp4_code(&key).as_slice(), hex(rakp4));
        let with_kg = exchange.session_key(b"secret", Some(b"the key"));
        assert_ne!(with_kg.as_slice(), key.as_slice(), "Kg takes the password's place");
    }
}

#[test]
fn a_sealed_packet_opens_only_with_its_keys_and_unchanged() {
    for suite in Suite::ALL {
        let exchange = exchange(suite);
        let keys = Keys::new(suite, &exchange.session_key(b"secret", None));
        let other = Keys::new(suite, &exchange.session_key(b"Secret", None));
        for length in 0..40 {
            let message: Vec<u8> = (0..length).collect();
            let mut bytes = sealed::seal(&keys, 9, 1, [3; 16], &message);
            let Some(Packet::Plus(packet)) = Packet::parse(&bytes) else { panic!("not RMCP+") };
            assert_eq!(packet.session, 9);
            assert_eq!(sealed::open(&keys, &packet), Some(message));
            assert_eq!(sealed::open(&other, &packet), None);
            let last = bytes.len() - 13;
            bytes[last] ^= 1;
            let Some(Packet::Plus(packet)) = Packet::parse(&bytes) else { panic!("not RMCP+") };
            assert_eq!(sealed::open(&keys, &packet), None);
        }
    }
}

#[test]
fn a_known_message_has_the_known_bytes() {
    // Get Channel Authentication Capabilities as every console sends it first.
    let message = Message { netfn: 6, lun: 0, seq: 0, command: 0x38, body: &[0x8e, 4] };
    assert_eq!(message.encode(), hex("2018c8810038 8e04b5"));
    assert_eq!(Message::parse(&message.encode()), Some(message));
}

#[test]
fn md5_signs_password_session_message_number_password() {
    let bytes = Signature::Md5.seal(*b"secret\0\0\0\0\0\0\0\0\0\0", 0x0403_0201, 5, b"abc");
    let Some(Packet::Legacy(packet)) = Packet::parse(&bytes) else { panic!("not IPMI 1.5") };
    assert_eq!((packet.auth, packet.session, packet.seq), (auth::MD5, 0x0403_0201, 5));
    assert_eq!(packet.code.to_vec(), hex("a8f64f921e2b7e146c2510ac8a15e0a9"));
}
