//! The versions of the agents' protocol that this backend offers.

use rackhand_wire::agent::Protocols;

/// What is offered: what this build speaks. A test may let it say otherwise by `RACKHAND_PROTOCOLS=1-2`, to see how
/// agents of other versions fare; builds for release know no such thing.
pub fn offered() -> Protocols {
    #[cfg(debug_assertions)]
    if let Some(other) = std::env::var("RACKHAND_PROTOCOLS").ok().as_deref().and_then(range) {
        return other;
    }
    Protocols::OURS
}

#[cfg(debug_assertions)]
fn range(text: &str) -> Option<Protocols> {
    let (oldest, newest) = text.split_once('-')?;
    Some(Protocols { oldest: oldest.parse().ok()?, newest: newest.parse().ok()? })
}
