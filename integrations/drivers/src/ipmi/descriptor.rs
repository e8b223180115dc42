//! What the form asks for.

use std::sync::LazyLock;

use rackhand_protocols::ipmi::{MAX_PASSWORD, MAX_USER};
use rackhand_wire::{
    descriptor::{Descriptor, Feature, Group, Role},
    field::{Choice, Field, Input},
};

use super::{PORT, settings::MAX_KG_TEXT};

/// The facts about this integration.
pub(super) static DESCRIPTOR: LazyLock<Descriptor> = LazyLock::new(|| Descriptor {
    kind: "ipmi".to_owned(),
    title: "IPMI".to_owned(),
    summary: "The server's own management controller (BMC, iDRAC, iLO, XCC) over IPMI.".to_owned(),
    group: Group::ManagementController,
    role: Role::Controller,
    inline: true,
    features: vec![Feature::Power, Feature::BootDevice, Feature::IdentifyLight],
    endpoint_fields: endpoint_fields(),
    target_fields: Vec::new(),
    caveats: vec![
        "Keep BMCs on a network of their own: whoever reaches one may try passwords.".to_owned(),
        "Some BMCs lock the account after a few wrong passwords; Rackhand tries a refused one once."
            .to_owned(),
    ],
    unproven: None,
});

fn endpoint_fields() -> Vec<Field> {
    vec![
        Field::new("host", "BMC address", Input::Host).placeholder("10.0.0.7"),
        Field::new("user", "User", Input::Text { max: MAX_USER }).placeholder("rackhand"),
        Field::new("password", "Password", Input::Secret { min: 1, max: MAX_PASSWORD })
            .help("At most 20 bytes: no BMC can hold more."),
        Field::new("port", "Port", Input::Number { min: 1, max: 65_535 }).default(PORT).advanced(),
        Field::new(
            "privilege",
            "Privilege level",
            choice(&[
                ("highest", "Highest allowed"),
                ("administrator", "Administrator"),
                ("operator", "Operator"),
            ]),
        )
        .default("highest")
        .help("Power needs an operator.")
        .advanced(),
        Field::new(
            "cipher",
            "Cipher suite",
            choice(&[("auto", "Best that both know"), ("17", "17 (SHA-256)"), ("3", "3 (SHA-1)")]),
        )
        .default("auto")
        .advanced(),
        Field::new("kg", "BMC key (Kg)", Input::Secret { min: 1, max: MAX_KG_TEXT })
            .optional()
            .help("Only where one was set on the BMC. As text, or as hexadecimal digits after 0x.")
            .advanced(),
        Field::new("allow_1_5", "Allow IPMI 1.5", Input::Check)
            .default(false)
            .help("For BMCs that know no better: commands then travel unencrypted.")
            .advanced(),
    ]
}

fn choice(options: &[(&str, &str)]) -> Input {
    Input::Choice { options: options.iter().map(|(value, label)| Choice::new(value, label)).collect() }
}
