//! What a device can be asked, and what it answers.

use serde::{Deserialize, Serialize};

use crate::{
    Feature,
    power::{Native, OutletReading, PowerReading, RestorePolicy, Switch},
};

/// One request to a device; mirrors the capability traits method by method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Operation {
    /// Tell what the device is. Proves route, port, protocol and credentials.
    Identify,
    /// Read the machine's power.
    ReadPower,
    /// Command the machine's power.
    SetPower {
        /// The command.
        command: Native,
    },
    /// Read every outlet of the device.
    ReadOutlets,
    /// Read the connection's outlet.
    ReadOutlet,
    /// Switch the connection's outlet.
    SetOutlet {
        /// On or off.
        to: Switch,
    },
    /// Choose what happens when mains power returns.
    SetRestorePolicy {
        /// The policy.
        policy: RestorePolicy,
    },
    /// Light the chassis' identify lamp.
    SetIdentifyLight {
        /// For how long; `None` switches it off.
        seconds: Option<u8>,
    },
    /// Read the next boot device.
    ReadBootDevice,
    /// Choose the next boot device.
    SetBootDevice {
        /// The choice.
        boot: BootChoice,
    },
}

impl Operation {
    /// Feature that must be ticked on the connection; `None` for what every endpoint answers.
    #[must_use]
    pub fn feature(&self) -> Option<Feature> {
        match self {
            Self::Identify | Self::ReadOutlets => None,
            Self::ReadPower
            | Self::SetPower { .. }
            | Self::ReadOutlet
            | Self::SetOutlet { .. }
            | Self::SetRestorePolicy { .. } => Some(Feature::Power),
            Self::SetIdentifyLight { .. } => Some(Feature::IdentifyLight),
            Self::ReadBootDevice | Self::SetBootDevice { .. } => Some(Feature::BootDevice),
        }
    }

    /// Says whether it changes anything on the device.
    #[must_use]
    pub fn is_write(&self) -> bool {
        match self {
            Self::Identify
            | Self::ReadPower
            | Self::ReadOutlets
            | Self::ReadOutlet
            | Self::ReadBootDevice => false,
            Self::SetPower { .. }
            | Self::SetOutlet { .. }
            | Self::SetRestorePolicy { .. }
            | Self::SetIdentifyLight { .. }
            | Self::SetBootDevice { .. } => true,
        }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Acknowledged; nothing to tell.
    Done,
    /// What the device is.
    Identity(Identity),
    /// The machine's power.
    Power(PowerReading),
    /// Every outlet.
    Outlets {
        /// In the device's order.
        outlets: Vec<OutletReading>,
    },
    /// One outlet.
    Outlet(OutletReading),
    /// The next boot device.
    BootDevice {
        /// The choice; `None` when nothing is overridden.
        boot: Option<BootChoice>,
    },
}

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Identity {
    /// Maker, where known.
    pub vendor: Option<String>,
    /// Model, in the device's words or the driver's.
    pub model: Option<String>,
    /// Firmware version.
    pub firmware: Option<String>,
    /// What stays the same for the life of the device: a GUID or serial. Pinned when it is added.
    pub unique: Option<String>,
    /// The driver's model key, where the driver has several.
    pub profile: Option<String>,
    /// How it was reached: `IPMI 2.0, cipher suite 17`, `SNMP v2c`.
    pub protocol: Option<String>,
    /// What a person should know: "never seen switching", "restore policy keeps it off".
    pub notes: Vec<String>,
}

/// A boot device and how long it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BootChoice {
    /// From where.
    pub device: BootDevice,
    /// Once or from now on.
    pub hold: BootHold,
    /// Firmware interface.
    pub firmware: BootFirmware,
}

/// From where a machine boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BootDevice {
    /// Network.
    Pxe,
    /// Default hard disk.
    Disk,
    /// CD or DVD, real or virtual.
    Cdrom,
    /// Firmware set-up.
    Setup,
}

/// How long a boot choice holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BootHold {
    /// For the next boot.
    Once,
    /// From now on; many boards ignore this.
    Persistent,
}

/// Firmware interface used for booting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BootFirmware {
    /// Legacy BIOS.
    Bios,
    /// UEFI.
    Uefi,
}
