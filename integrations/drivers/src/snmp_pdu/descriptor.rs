//! What the form asks for.

use std::sync::LazyLock;

use rackhand_wire::descriptor::{Descriptor, Feature, Group, Role};
use rackhand_wire::field::{Choice, Field, Input};

use super::model::{self, Switching};

/// The facts about this integration.
pub(super) static DESCRIPTOR: LazyLock<Descriptor> = LazyLock::new(|| Descriptor {
    kind: "snmp_pdu".to_owned(),
    title: "PDU (SNMP)".to_owned(),
    summary: "A switched rack PDU that is reached over SNMP.".to_owned(),
    group: Group::NetworkDevice,
    role: Role::Feed,
    inline: false,
    features: vec![Feature::Power],
    endpoint_fields: endpoint_fields(),
    target_fields: vec![
        Field::new("outlet", "Outlet", Input::Outlet)
            .help("As the PDU counts it: 7, 2.7 behind a second unit, or AA3.")
            .placeholder("7"),
    ],
    caveats: caveats(),
    unproven: Some("Writing was not tested.".to_owned()),
});

fn endpoint_fields() -> Vec<Field> {
    let secret = |min| Input::Secret { min, max: 128 };
    let v3 = ["v3"].as_slice();
    let community = ["v1", "v2c"].as_slice();
    vec![
        Field::new("host", "Host", Input::Host).placeholder("pdu-a.example.net"),
        Field::new("port", "Port", Input::Number { min: 1, max: 65_535 }).default(161).advanced(),
        Field::new("version", "SNMP version", choice(&[("v1", "1"), ("v2c", "2c"), ("v3", "3")]))
            .default("v2c")
            .help("Version 3 is the only one that hides its credentials on the wire."),
        Field::new("community", "Community", secret(1)).shown_when("version", community),
        Field::new("write_community", "Write community", secret(1))
            .optional()
            .help("Leave empty when the community above may write too.")
            .shown_when("version", community),
        Field::new("user", "User", Input::Text { max: 32 }).shown_when("version", v3),
        Field::new(
            "auth_protocol",
            "Authentication",
            choice(&[("sha256", "SHA-256"), ("sha512", "SHA-512"), ("sha1", "SHA-1")]),
        )
        .default("sha256")
        .shown_when("version", v3),
        Field::new("auth_password", "Authentication password", secret(8)).shown_when("version", v3),
        Field::new("priv_protocol", "Privacy", choice(PRIVACY)).default("aes128").shown_when("version", v3),
        Field::new("priv_password", "Privacy password", secret(8))
            .shown_when("priv_protocol", &["aes128", "aes256", "aes256_reeder"]),
        Field::new("model", "Model", Input::Choice { options: models() })
            .default("auto")
            .help("Found out by itself where the device lets it."),
    ]
}

const PRIVACY: &[(&str, &str)] = &[
    ("aes128", "AES-128"),
    ("aes256", "AES-256"),
    ("aes256_reeder", "AES-256, keys extended as Cisco does"),
    ("none", "None"),
];

fn choice(options: &[(&str, &str)]) -> Input {
    Input::Choice { options: options.iter().map(|(value, label)| Choice::new(value, label)).collect() }
}

fn models() -> Vec<Choice> {
    let mut options = vec![Choice::new("auto", "Find out")];
    for model in model::all() {
        let label = format!("{}: {}, {}", model.title, model.reading.words(), model.switching.words());
        options.push(Choice::new(model.key, &label));
    }
    options
}

fn caveats() -> Vec<String> {
    let unseen = |model: &&model::Model| model.switching == Switching::Unverified;
    let titles: Vec<&str> = model::all().iter().filter(unseen).map(|model| model.title.as_str()).collect();
    vec![
        "An outlet that is on proves that it feeds, not that the server runs.".to_owned(),
        "Versions 1 and 2c send the community in clear text.".to_owned(),
        format!("Never seen switching, follow the vendor's MIB: {}.", titles.join("; ")),
    ]
}
