//! The boot device override (boot option parameter 5).

use super::super::{NetFn, Request};

/// Set System Boot Options.
pub const SET: u8 = 0x08;
/// Get System Boot Options.
pub const GET: u8 = 0x09;
/// Parameter that holds the boot flags.
pub const FLAGS: u8 = 5;
/// Parameter that says when a BMC drops the flags by itself.
pub const CLEARING: u8 = 3;

/// From where to boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// Network.
    Pxe,
    /// Default hard disk.
    Disk,
    /// CD or DVD.
    Cdrom,
    /// Firmware set-up.
    Setup,
    /// Another one, by its selector.
    Other(u8),
}

impl Device {
    fn selector(self) -> u8 {
        match self {
            Self::Pxe => 1,
            Self::Disk => 2,
            Self::Cdrom => 5,
            Self::Setup => 6,
            Self::Other(selector) => selector,
        }
    }

    fn from_selector(selector: u8) -> Self {
        [Self::Pxe, Self::Disk, Self::Cdrom, Self::Setup]
            .into_iter()
            .find(|device| device.selector() == selector)
            .unwrap_or(Self::Other(selector))
    }
}

/// How long the override holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// For the next boot.
    Once,
    /// From now on.
    Persistent,
}

/// Firmware interface of the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// Legacy BIOS.
    Bios,
    /// UEFI.
    Uefi,
}

/// An override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Override {
    /// From where.
    pub device: Device,
    /// For how long.
    pub hold: Hold,
    /// By which firmware.
    pub firmware: Firmware,
}

impl Override {
    /// Writes the five data bytes of the boot flags.
    #[must_use]
    pub fn flags(&self) -> [u8; 5] {
        let persistent = match self.hold {
            Hold::Once => 0,
            Hold::Persistent => 0x40,
        };
        let uefi = match self.firmware {
            Firmware::Bios => 0,
            Firmware::Uefi => 0x20,
        };
        [0x80 | persistent | uefi, self.device.selector() << 2, 0, 0, 0]
    }

    /// Reads the boot flags; `None` when they hold no override.
    #[must_use]
    pub fn from_flags(flags: [u8; 5]) -> Option<Self> {
        let [validity, selection, ..] = flags;
        let selector = selection >> 2 & 0x0f;
        (validity & 0x80 != 0 && selector != 0).then(|| Self {
            device: Device::from_selector(selector),
            hold: if validity & 0x40 == 0 { Hold::Once } else { Hold::Persistent },
            firmware: if validity & 0x20 == 0 { Firmware::Bios } else { Firmware::Uefi },
        })
    }
}

/// Keeps the BMC from dropping the override after 60 seconds. Some BMCs refuse it; that is no harm.
#[must_use]
pub fn keep_flags() -> Request {
    Request::repeatable(NetFn::Chassis, SET, vec![CLEARING, 0x08])
}

/// Sets the override.
#[must_use]
pub fn set(choice: &Override) -> Request {
    let mut data = vec![FLAGS];
    data.extend(choice.flags());
    Request::repeatable(NetFn::Chassis, SET, data)
}

/// Asks for the override.
#[must_use]
pub fn get() -> Request {
    Request::repeatable(NetFn::Chassis, GET, vec![FLAGS, 0, 0])
}

/// What a BMC says of its boot flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Nothing is overridden.
    Default,
    /// This is.
    Overridden(Override),
}

/// Reads the answer to [`get`].
#[must_use]
pub fn parse(data: &[u8]) -> Option<Reading> {
    let [_version, parameter, flags @ ..] = data else { return None };
    let flags = flags.first_chunk().copied().unwrap_or_default();
    // Bit 7 says that the BMC holds the parameter invalid.
    let set = if parameter & 0x80 == 0 { Override::from_flags(flags) } else { None };
    Some(set.map_or(Reading::Default, Reading::Overridden))
}
