//! How devices misbehave on command.

use std::time::Duration;

use super::clock::spread;

/// The kinds of reply a BMC sends, so that a test can lose exactly one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// The answer to an RMCP presence ping.
    Ping,
    /// Channel authentication capabilities or cipher suites, asked before a session.
    Capabilities,
    /// Open Session Response, or Get Session Challenge of IPMI 1.5.
    OpenSession,
    /// RAKP message 2, or Activate Session of IPMI 1.5.
    Rakp2,
    /// RAKP message 4.
    Rakp4,
    /// The answer to Set Session Privilege Level or Close Session.
    Session,
    /// The answer to Chassis Control.
    ChassisControl,
    /// The answer to Get Chassis Status.
    ChassisStatus,
    /// The answer to any other command.
    Other,
}

/// The kinds of request a PDU answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// A GET, GETNEXT or GETBULK.
    Read,
    /// A SET.
    Write,
}

/// Which replies a counted loss applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<K> {
    /// Every reply.
    Any,
    /// Replies of one kind; others pass and are not counted.
    Only(K),
}

/// What becomes of one reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is sent at once.
    Send,
    /// It is lost.
    Drop,
    /// It is sent after this long.
    Delay(Duration),
}

/// Faults of the line between a device and whoever asks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkFaults<K> {
    /// The device neither hears nor answers.
    pub mute: bool,
    /// Every reply comes this much later.
    pub delay: Duration,
    /// Share of packets lost in each direction, in percent.
    pub loss_percent: u8,
    /// The next replies to lose: how many, and of which kind.
    pub drop_next: Vec<(u32, Which<K>)>,
}

impl<K> Default for LinkFaults<K> {
    fn default() -> Self {
        LinkFaults { mute: false, delay: Duration::ZERO, loss_percent: 0, drop_next: Vec::new() }
    }
}

impl<K: Copy + PartialEq> LinkFaults<K> {
    /// Loses the next `count` replies of a kind; `u32::MAX` loses them for ever.
    pub fn drop_next_replies(&mut self, count: u32, which: Which<K>) {
        self.drop_next.push((count, which));
    }

    /// Decides whether a request reaches the device.
    pub(super) fn request_arrives(&self, dice: &mut Dice) -> bool {
        !self.mute && !dice.loses(self.loss_percent)
    }

    /// Decides what becomes of a reply and counts it against the replies to lose.
    pub(super) fn next_reply_fate(&mut self, kind: K, dice: &mut Dice) -> Fate {
        if self.mute || self.is_counted_loss(kind) || dice.loses(self.loss_percent) {
            return Fate::Drop;
        }
        if self.delay.is_zero() { Fate::Send } else { Fate::Delay(self.delay) }
    }

    fn is_counted_loss(&mut self, kind: K) -> bool {
        let applies = |which: &Which<K>| match which {
            Which::Any => true,
            Which::Only(only) => *only == kind,
        };
        let Some((count, _)) = self.drop_next.iter_mut().find(|(count, which)| *count > 0 && applies(which))
        else {
            return false;
        };
        if *count != u32::MAX {
            *count -= 1;
        }
        self.drop_next.retain(|(count, _)| *count > 0);
        true
    }
}

/// How a machine's BMC misbehaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BmcFaults {
    /// Faults of its line.
    pub link: LinkFaults<ReplyKind>,
    /// The operating system ignores the soft power button.
    pub ignore_soft: bool,
    /// The BMC reports another GUID, as if its address had been given to another machine.
    pub wrong_guid: bool,
    /// The BMC answers every chassis command with "firmware update in progress" (IPMI 2.0 table 5-2, 0xD1).
    pub updating: bool,
}

/// How a PDU misbehaves as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PduFaults {
    /// Faults of its line; `mute` is a dead management card, the relays keep their state.
    pub link: LinkFaults<RequestKind>,
    /// After this many more accepted writes, each still answered, the card is dead.
    pub die_after_writes: Option<u32>,
}

/// How one outlet misbehaves. Unless it is locked, the PDU still answers every command with success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutletFault {
    /// The relay does not move.
    Stuck,
    /// The relay does not close.
    IgnoresOn,
    /// The relay does not open.
    IgnoresOff,
    /// The contacts are welded: the outlet feeds although the PDU reports it off.
    Welded,
    /// An operator locked the outlet: commands are refused with an error.
    Locked,
}

/// Chance, repeatable from its seed.
#[derive(Debug)]
pub(super) struct Dice {
    thrown: u64,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice { thrown: seed }
    }

    /// Tells whether a packet is lost when `percent` of them are.
    fn loses(&mut self, percent: u8) -> bool {
        if percent == 0 {
            return false;
        }
        self.thrown = self.thrown.wrapping_add(1);
        spread(self.thrown) % 100 < u64::from(percent)
    }
}
