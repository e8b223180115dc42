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
    pub feeds: [OutletId; 2],
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
    let shape = |text: &str| Err(FarmError::Shape(text.to_owned()));
    if config.servers == 0 || config.per_rack == 0 {
        return shape("a farm needs at least one server, and a rack room for one");
    }
    if config.outlets < config.per_rack {
        return shape("a PDU needs an outlet for every server of its rack");
    }
    if config.models.is_empty() {
        return shape("a farm needs at least one model of PDU");
    }
    let width = config.servers.to_string().len().max(2);
    let racks = config.servers.div_ceil(config.per_rack);
    let pdus = (0..racks).flat_map(|rack| {
        [0, 1].map(|side| PduPlace { name: pdu_name(rack * 2 + side), rack: rack_name(rack) })
    });
    let servers = (0..config.servers).map(|index| {
        let (rack, outlet) = (index / config.per_rack, index % config.per_rack + 1);
        Place {
            name: format!("srv-{:0width$}", index + 1),
            rack: rack_name(rack),
            feeds: [0, 1].map(|side| OutletId::new(&pdu_name(rack * 2 + side), outlet)),
        }
    });
    Ok(Layout { servers: servers.collect(), pdus: pdus.collect() })
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
