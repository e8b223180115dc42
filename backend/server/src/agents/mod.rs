//! Agents as this process sees them: who is connected, and what each was asked.

mod roster;

pub use roster::{Roster, Told};
