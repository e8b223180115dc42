//! The record of what physically happened: tests count these, not answers.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::outlet::OutletId;

/// One thing that physically happened to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// When it happened.
    pub at: Instant,
    /// What happened.
    pub what: EffectKind,
}

/// What can happen to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EffectKind {
    /// The host went from off to on.
    PoweredOn,
    /// The host went from on to off, by command or because its feeds were cut.
    PoweredOff,
    /// The host was reset.
    Reset,
    /// The soft power button was pressed.
    SoftPressed,
    /// A diagnostic interrupt (NMI) was raised.
    Diag,
    /// A feed lost power.
    FeedCut {
        /// The outlet that went off.
        outlet: OutletId,
    },
    /// A feed has power again.
    FeedRestored {
        /// The outlet that went on.
        outlet: OutletId,
    },
    /// The BMC lost standby power or was restarted; its sessions are gone.
    BmcDied,
    /// The BMC finished booting.
    BmcUp,
}

impl fmt::Display for EffectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EffectKind::PoweredOn => f.write_str("powered_on"),
            EffectKind::PoweredOff => f.write_str("powered_off"),
            EffectKind::Reset => f.write_str("reset"),
            EffectKind::SoftPressed => f.write_str("soft_pressed"),
            EffectKind::Diag => f.write_str("diag"),
            EffectKind::FeedCut { outlet } => write!(f, "feed_cut {outlet}"),
            EffectKind::FeedRestored { outlet } => write!(f, "feed_restored {outlet}"),
            EffectKind::BmcDied => f.write_str("bmc_died"),
            EffectKind::BmcUp => f.write_str("bmc_up"),
        }
    }
}

/// An effect with the machine it happened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedEffect {
    /// The machine's name.
    pub machine: Arc<str>,
    /// What happened to it, and when.
    pub effect: Effect,
}

/// One thing that physically happened at a PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PduEffect {
    /// When it happened.
    pub at: Instant,
    /// The outlet it happened to.
    pub outlet: u16,
    /// What happened.
    pub what: PduEffectKind,
}

/// What can happen at a PDU's outlet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PduEffectKind {
    /// A command for the outlet was accepted, whatever came of it.
    Commanded,
    /// The relay closed.
    SwitchedOn,
    /// The relay opened.
    SwitchedOff,
}

impl fmt::Display for PduEffectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PduEffectKind::Commanded => "commanded",
            PduEffectKind::SwitchedOn => "switched_on",
            PduEffectKind::SwitchedOff => "switched_off",
        })
    }
}
