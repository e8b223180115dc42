//! The kinds of device that this build knows.

use rackhand_driver::Integration;
use rackhand_wire::Descriptor;
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, sync::LazyLock};

/// Lists every integration, in the order in which people are offered them.
#[must_use]
pub fn all() -> &'static [&'static dyn Integration] {
    rackhand_drivers::ALL
}

/// Finds an integration by its kind.
#[must_use]
pub fn find(kind: &str) -> Option<&'static dyn Integration> {
    all().iter().copied().find(|integration| integration.descriptor().kind == kind)
}

/// Tells kind → hash of its descriptor: two builds with equal hashes draw and check the same form.
#[must_use]
pub fn hashes() -> &'static BTreeMap<String, String> {
    static HASHES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
        let hashed = |descriptor: &Descriptor| (descriptor.kind.clone(), hash(descriptor));
        all().iter().map(|integration| hashed(integration.descriptor())).collect()
    });
    &HASHES
}

fn hash(descriptor: &Descriptor) -> String {
    let text = serde_json::to_vec(descriptor).unwrap_or_default();
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_unique() {
        assert_eq!(hashes().len(), all().len());
    }
}
