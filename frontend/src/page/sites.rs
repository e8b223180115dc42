//! The places that servers and agents may name.

use leptos::prelude::*;
use rackhand_wire::api::{live::Object, page::Page, site::Site};

use crate::load::load;

/// The sites to choose from, with none first.
pub fn site_options() -> Signal<Vec<(String, String)>> {
    let sites =
        load::<Page<Site>>(|| Some("sites?limit=500".to_owned()), |change| change.object == Object::Site);
    Signal::derive(move || {
        let known = sites.value.get().map(|page| page.items).unwrap_or_default();
        let named = known.into_iter().map(|site| (site.id.to_string(), site.name));
        std::iter::once((String::new(), "No site".to_owned())).chain(named).collect()
    })
}
