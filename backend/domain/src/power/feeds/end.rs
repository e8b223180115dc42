//! What the outlets of a server shall end as, and how it ended.

use rackhand_wire::Fault;
use serde::{Deserialize, Serialize};

/// What the group shall end as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// All on.
    On,
    /// All off, and staying off.
    Off,
    /// All off, a pause, all on.
    Cycle,
    /// As it is: only read.
    Look,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// All were read, nothing was written.
    Looked {
        /// All are off.
        dark: bool,
    },
    /// All outlets are on; `switched` tells whether any had to be.
    Fed {
        /// Outlets that do not feed.
        dead: Vec<usize>,
        /// At least one was switched on.
        switched: bool,
        /// All were off before: the BMC lost its standby power.
        was_dark: bool,
    },
    /// All outlets were read off and stay off.
    Dark,
    /// Not one outlet could be switched on.
    NothingFeeds {
        /// The last failure.
        fault: Option<Fault>,
    },
    /// A person asked to stop before anything was written.
    Stopped,
    /// Nothing was written, because an outlet could not be read or must not be switched.
    Refused {
        /// Which.
        outlet: usize,
        /// Why.
        why: String,
        /// The failure, where there was one.
        fault: Option<Fault>,
    },
    /// Cutting failed; what was cut is on again, except these.
    Restored {
        /// Which outlet stopped the cutting.
        culprit: Option<usize>,
        /// Why.
        why: String,
        /// Outlets that could not be put back or whose state nobody knows.
        stranded: Vec<usize>,
        /// A person asked to stop.
        cancelled: bool,
        /// For a while no feed was known to be on: the server may have lost power.
        lost_power: bool,
    },
}
