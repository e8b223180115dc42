//! What every driver must hold to; each driver's tests call it.

use ipnet::{IpNet, Ipv4Net};
use rackhand_wire::{Descriptor, Input, Role};
use std::{net::Ipv4Addr, sync::Arc};

use crate::{Device, Guard, Rule, Rules};

/// Permits this machine alone, where simulators are.
#[must_use]
pub fn guard() -> Arc<Guard> {
    let here = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8));
    let rules = Rules { allow: vec![Rule::Network(here)], deny: Vec::new() };
    Arc::new(Guard::new(rules, "the test"))
}

/// Compares a descriptor with itself and with what an attached device offers, and lists what is off.
/// An empty list is a pass.
#[must_use]
pub fn findings(descriptor: &Descriptor, device: &dyn Device) -> Vec<String> {
    let mut findings = Vec::new();
    let mut advertised = descriptor.features.clone();
    advertised.sort();
    let mut offered = device.features();
    offered.sort();
    if advertised != offered {
        findings.push(format!("advertises {advertised:?} but offers {offered:?}"));
    }
    match descriptor.role {
        Role::Controller if device.outlet().is_some() => {
            findings.push("a controller offers an outlet".into());
        }
        Role::Feed if device.power().is_some() => findings.push("a feed offers controller power".into()),
        Role::Controller | Role::Feed => {}
    }
    let fields = descriptor.endpoint_fields.iter().chain(&descriptor.target_fields);
    for field in fields {
        if field.label.is_empty() {
            findings.push(format!("field {} has no label", field.name));
        }
        if let Some(condition) = &field.shown_when
            && !descriptor.endpoint_fields.iter().any(|other| other.name == condition.field)
        {
            findings
                .push(format!("field {} depends on {}, which does not exist", field.name, condition.field));
        }
    }
    if descriptor.target_fields.iter().any(|field| matches!(field.input, Input::Secret { .. })) {
        findings.push("a target field is secret; secrets belong to the endpoint".into());
    }
    findings
}
