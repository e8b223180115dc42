//! Which server stands in which rack and hangs on which outlets: pure arithmetic.

use super::config::{FarmConfig, FarmError};
use crate::world::OutletId;

/// Where everything stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub servers: Vec<Place>,
    pub pdus: Vec<PduPlace>,
}

/// Where one server stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub name: String,
    pub rack: String,
    pub feeds: Vec<OutletId>,
}

/// Where one PDU hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PduPlace {
    pub name: String,
    pub rack: String,
}

/// Places the servers of a farm.
///
/// # Errors
/// When the numbers do not fit together.
pub(super) fn place(config: &FarmConfig) -> Result<Layout, FarmError> {
    check(config)?;
    let width = config.servers.to_string().len().max(2);
    let racks = config.servers.div_ceil(config.per_rack);
    let pdus = (0..racks).flat_map(|rack| {
        (0..config.pdus_per_rack).map(move |side| PduPlace {
            name: pdu_name(rack * config.pdus_per_rack + side),
            rack: rack_name(rack),
        })
    });
    let servers = (0..config.servers).map(|index| {
        let (rack, slot) = (index / config.per_rack, index % config.per_rack / config.per_chassis);
        Place {
            name: format!("srv-{:0width$}", index + 1),
            rack: rack_name(rack),
            feeds: (0..config.feeds).map(|feed| outlet(config, rack, slot, feed)).collect(),
        }
    });
    Ok(Layout { servers: servers.collect(), pdus: pdus.collect() })
}

fn check(config: &FarmConfig) -> Result<(), FarmError> {
    let shape = |text: &str| Err(FarmError::Shape(text.to_owned()));
    if config.servers == 0 || config.per_rack == 0 || config.per_chassis == 0 {
        return shape("a farm needs at least one server, and a rack and a chassis room for one");
    }
    if config.feeds == 0 || config.pdus_per_rack == 0 {
        return shape("a server needs at least one feed, and a rack a PDU to hang it on");
    }
    if config.outlets < config.outlets_needed() {
        return shape("a PDU needs an outlet for every server of its rack that hangs on it");
    }
    if config.models.is_empty() {
        return shape("a farm needs at least one model of PDU");
    }
    Ok(())
}

/// Feeds go round the PDUs of the rack, so that one dead PDU takes as few of them as possible.
fn outlet(config: &FarmConfig, rack: u16, slot: u16, feed: u16) -> OutletId {
    let (round, side) = (feed / config.pdus_per_rack, feed % config.pdus_per_rack);
    OutletId::new(&pdu_name(rack * config.pdus_per_rack + side), slot * config.feeds_on_one_pdu() + round + 1)
}

fn rack_name(index: u16) -> String {
    format!("R{}", index + 1)
}

/// Names PDUs `pdu-a` to `pdu-z`, then `pdu-aa` and so on.
fn pdu_name(index: u16) -> String {
    let letter = |n: u16| char::from(b'a' + u8::try_from(n % 26).unwrap_or(0));
    let mut letters = vec![letter(index)];
    let mut left = index / 26;
    while left > 0 {
        letters.push(letter(left - 1));
        left = (left - 1) / 26;
    }
    letters.push('-');
    letters.extend("udp".chars());
    letters.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(servers: u16) -> FarmConfig {
        FarmConfig { servers, ..FarmConfig::default() }
    }

    #[test]
    fn the_usual_farm_has_two_racks_with_a_pair_of_pdus_each() {
        let layout = place(&config(24)).unwrap();
        let pdus: Vec<_> = layout.pdus.iter().map(|pdu| (pdu.name.as_str(), pdu.rack.as_str())).collect();
        assert_eq!(pdus, [("pdu-a", "R1"), ("pdu-b", "R1"), ("pdu-c", "R2"), ("pdu-d", "R2")]);
        let last = layout.servers.last().unwrap();
        assert_eq!((last.name.as_str(), last.rack.as_str()), ("srv-24", "R2"));
        assert_eq!(last.feeds, [OutletId::new("pdu-c", 12), OutletId::new("pdu-d", 12)]);
    }

    #[test]
    fn many_feeds_go_round_the_pdus_of_the_rack() {
        let layout = place(&FarmConfig { feeds: 4, pdus_per_rack: 3, ..config(2) }).unwrap();
        let feeds: Vec<String> = layout.servers[1].feeds.iter().map(ToString::to_string).collect();
        assert_eq!(feeds, ["pdu-a/3", "pdu-b/3", "pdu-c/3", "pdu-a/4"]);
    }

    #[test]
    fn servers_of_one_chassis_share_their_outlets() {
        let layout = place(&FarmConfig { per_chassis: 4, ..config(8) }).unwrap();
        let feeds: Vec<_> = layout.servers.iter().map(|server| &server.feeds).collect();
        assert!(feeds[..4].iter().all(|of| *of == feeds[0]) && feeds[4..].iter().all(|of| *of == feeds[4]));
        assert_ne!(feeds[0], feeds[4]);
    }

    #[test]
    fn no_outlet_feeds_two_servers_and_no_pdu_name_comes_twice() {
        let layout = place(&config(9000)).unwrap();
        let names: std::collections::BTreeSet<_> = layout.pdus.iter().map(|pdu| &pdu.name).collect();
        assert_eq!(names.len(), 1500);
        let feeds: std::collections::BTreeSet<_> =
            layout.servers.iter().flat_map(|server| &server.feeds).collect();
        assert_eq!(feeds.len(), 18_000);
        assert!(feeds.iter().all(|feed| names.contains(&feed.pdu().to_owned())));
    }

    #[test]
    fn a_rack_with_more_servers_than_outlets_is_refused() {
        let config = FarmConfig { per_rack: 30, ..config(60) };
        assert!(matches!(place(&config), Err(FarmError::Shape(_))));
    }
}
