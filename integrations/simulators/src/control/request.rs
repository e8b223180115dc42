//! What a running farm can be asked; the same words on the command line and on the wire.

use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::world::{OutletFault, ReplyKind};

/// One question to a running farm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// What runs where.
    Inventory,
    /// How one server or PDU is.
    Show {
        /// Its name.
        device: String,
    },
    /// Make a server's BMC or a PDU misbehave.
    Fault {
        /// Its name.
        device: String,
        /// How.
        fault: FaultOrder,
    },
    /// What physically happened, oldest first.
    Effects {
        /// At one server or PDU only.
        device: Option<String>,
    },
}

/// How a device is to misbehave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "snake_case")]
pub enum FaultOrder {
    /// Neither hear nor answer; a PDU's relays keep their state
    #[command(alias = "dead")]
    Mute,
    /// Answer this much later
    Delay {
        /// Milliseconds
        milliseconds: u64,
    },
    /// Lose a share of the packets in each direction
    Loss {
        /// Percent
        #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
        percent: u8,
    },
    /// Carry out the next requests but lose the answers
    Drop {
        /// How many answers
        count: u32,
        /// Answers of this kind only
        #[arg(long, value_enum)]
        only: Option<ReplyWord>,
    },
    /// Die after so many more writes (PDU)
    DieAfter {
        /// Writes that are still carried out and answered
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        writes: u32,
    },
    /// Let the operating system ignore the soft power button (server)
    IgnoreSoft,
    /// Report the GUID of another machine (server)
    WrongGuid,
    /// Say that its firmware is being written, instead of doing what it is asked (server)
    Updating,
    /// Restart the BMC once; the host goes on (server)
    RestartBmc,
    /// Make one outlet misbehave; the PDU still acknowledges (PDU)
    Outlet {
        /// The outlet's number
        number: u16,
        /// How
        #[arg(value_enum)]
        how: OutletWord,
    },
    /// Behave again, outlets included
    Clear,
}

/// How an outlet is to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OutletWord {
    /// The relay does not move
    Stuck,
    /// The relay does not close
    IgnoresOn,
    /// The relay does not open
    IgnoresOff,
    /// Feeds although it is reported off
    Welded,
    /// Refuses commands with an error
    Locked,
    /// Behaves
    Clear,
}

impl OutletWord {
    /// Returns the fault of the world that the word means.
    #[must_use]
    pub fn fault(self) -> Option<OutletFault> {
        match self {
            OutletWord::Stuck => Some(OutletFault::Stuck),
            OutletWord::IgnoresOn => Some(OutletFault::IgnoresOn),
            OutletWord::IgnoresOff => Some(OutletFault::IgnoresOff),
            OutletWord::Welded => Some(OutletFault::Welded),
            OutletWord::Locked => Some(OutletFault::Locked),
            OutletWord::Clear => None,
        }
    }

    /// Returns the word for a fault of the world.
    #[must_use]
    pub fn of(fault: Option<OutletFault>) -> OutletWord {
        match fault {
            Some(OutletFault::Stuck) => OutletWord::Stuck,
            Some(OutletFault::IgnoresOn) => OutletWord::IgnoresOn,
            Some(OutletFault::IgnoresOff) => OutletWord::IgnoresOff,
            Some(OutletFault::Welded) => OutletWord::Welded,
            Some(OutletFault::Locked) => OutletWord::Locked,
            None => OutletWord::Clear,
        }
    }
}

/// A kind of answer that can be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyWord {
    /// PDU: answers to GET, GETNEXT and GETBULK
    Read,
    /// PDU: answers to SET
    Write,
    /// BMC: RMCP pong
    Ping,
    /// BMC: capabilities and cipher suites
    Capabilities,
    /// BMC: Open Session Response
    OpenSession,
    /// BMC: RAKP message 2
    Rakp2,
    /// BMC: RAKP message 4
    Rakp4,
    /// BMC: session privilege and close
    Session,
    /// BMC: Chassis Control
    ChassisControl,
    /// BMC: Chassis Status
    ChassisStatus,
    /// BMC: everything else
    Other,
}

impl ReplyWord {
    /// Returns the BMC's kind of answer that the word means; `None` for a PDU's.
    #[must_use]
    pub fn of_bmc(self) -> Option<ReplyKind> {
        match self {
            ReplyWord::Read | ReplyWord::Write => None,
            ReplyWord::Ping => Some(ReplyKind::Ping),
            ReplyWord::Capabilities => Some(ReplyKind::Capabilities),
            ReplyWord::OpenSession => Some(ReplyKind::OpenSession),
            ReplyWord::Rakp2 => Some(ReplyKind::Rakp2),
            ReplyWord::Rakp4 => Some(ReplyKind::Rakp4),
            ReplyWord::Session => Some(ReplyKind::Session),
            ReplyWord::ChassisControl => Some(ReplyKind::ChassisControl),
            ReplyWord::ChassisStatus => Some(ReplyKind::ChassisStatus),
            ReplyWord::Other => Some(ReplyKind::Other),
        }
    }
}
