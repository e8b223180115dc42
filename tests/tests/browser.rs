//! The web interface as a person uses it: Debian's Chromium, driven by what stands on the page,
//! against a real `rackhand serve` beside simulated racks. What a click did is counted in the racks.
//!
//! Pictures of every page at 1440 and 390 px are left in `target/screenshots`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken page stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

#[path = "browser/agents.rs"]
mod agents;
#[path = "browser/fields.rs"]
mod fields;
#[path = "browser/keyboard.rs"]
mod keyboard;
#[path = "browser/model.rs"]
mod model;
#[path = "browser/outage.rs"]
mod outage;
#[path = "browser/page.rs"]
mod page;
#[path = "browser/pages.rs"]
mod pages;
#[path = "browser/power.rs"]
mod power;
#[path = "browser/table.rs"]
mod table;
#[path = "browser/view.rs"]
mod view;
#[path = "browser/walk.rs"]
mod walk;
