//! A BMC and the one server that it sits in.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use rackhand_driver::{
    Device, Endpoint, Gate,
    capability::{BootControl, ControllerPower, IdentifyLight, RestoreControl},
};
use rackhand_protocols::ipmi::{
    client::Link,
    command::{
        boot::{self, Firmware, Hold, Override},
        chassis::{self, Control, Identify, Status},
        device,
    },
};
use rackhand_wire::{
    Fault, FaultCode,
    operation::{BootChoice, BootDevice, BootFirmware, BootHold, Identity},
    power::{Native, PowerReading, RestorePolicy, Switch},
};
use serde_json::Value;

use super::{
    fault::{self, malformed},
    guid,
    session::Session,
    vendor,
};

/// A BMC.
pub(super) struct Bmc {
    session: Session,
    /// The BMC said that it does not tell restart causes; it is not asked again.
    tells_no_cause: AtomicBool,
}

/// The server that a BMC sits in.
struct Server<'a> {
    bmc: &'a Bmc,
}

impl Bmc {
    pub fn new(session: Session) -> Self {
        Self { session, tells_no_cause: AtomicBool::new(false) }
    }

    async fn status(&self) -> Result<Status, Fault> {
        let data = self.session.ask(chassis::status(), "chassis status").await?;
        Status::parse(&data).ok_or_else(|| malformed("the chassis status is too short"))
    }

    /// Reads why the machine last started. Evidence only: without it the reading is still true.
    async fn restart_cause(&self) -> Option<String> {
        if self.tells_no_cause.load(Ordering::Relaxed) {
            return None;
        }
        match self.session.ask(chassis::restart_cause(), "restart cause").await {
            Ok(data) => chassis::restart_cause_words(&data).map(str::to_owned),
            Err(fault) => {
                let never =
                    matches!(fault.code, FaultCode::Unsupported | FaultCode::Config | FaultCode::Proto);
                self.tells_no_cause.store(never, Ordering::Relaxed);
                None
            }
        }
    }
}

#[async_trait]
impl Endpoint for Bmc {
    async fn identify(&self) -> Result<Identity, Fault> {
        let data = self.session.ask(device::device_id(), "device id").await?;
        let id = device::parse_id(&data).ok_or_else(|| malformed("the device id is too short"))?;
        let status = self.status().await?;
        let (link, unique) = self.session.client(|client| (client.link(), client.guid())).await;
        let mut notes = Vec::new();
        if policy(status) == Some(RestorePolicy::AlwaysOff) {
            notes.push("After a power loss the server stays off (restore policy always-off).".to_owned());
        }
        if unique.is_none() {
            notes
                .push("The BMC has no GUID, so another one at this address would not be noticed.".to_owned());
        }
        Ok(Identity {
            vendor: vendor::name(id.manufacturer_id).map(str::to_owned),
            model: (id.product_id != 0).then(|| format!("product {:#06x}", id.product_id)),
            firmware: Some(format!("{}.{:02}", id.major_fw_revision, id.minor_fw_revision)),
            unique: unique.map(guid::text),
            profile: None,
            protocol: link.map(|(link, level)| match link {
                Link::Plus(suite) => format!("IPMI 2.0, cipher suite {}, {}", suite.id(), level.title()),
                Link::Legacy => format!("IPMI 1.5, {}", level.title()),
            }),
            notes,
        })
    }

    fn attach(&self, _target: &Value) -> Result<Box<dyn Device + '_>, Fault> {
        Ok(Box::new(Server { bmc: self }))
    }

    async fn close(&self) {
        self.session.close().await;
    }
}

impl Device for Server<'_> {
    fn power(&self) -> Option<&dyn ControllerPower> {
        Some(self)
    }

    fn restore(&self) -> Option<&dyn RestoreControl> {
        Some(self)
    }

    fn boot(&self) -> Option<&dyn BootControl> {
        Some(self)
    }

    fn light(&self) -> Option<&dyn IdentifyLight> {
        Some(self)
    }
}

#[async_trait]
impl ControllerPower for Server<'_> {
    async fn read(&self) -> Result<PowerReading, Fault> {
        let status = self.bmc.status().await?;
        let power = match status.power {
            chassis::Power::On => Switch::On,
            chassis::Power::Off => Switch::Off,
        };
        let restart_cause = self.bmc.restart_cause().await;
        Ok(PowerReading { power, restore_policy: policy(status), restart_cause })
    }

    async fn command(&self, command: Native, gate: &dyn Gate) -> Result<(), Fault> {
        let (control, doing) = match command {
            Native::On => (Control::Up, "power up"),
            Native::Off => (Control::Down, "power down"),
            Native::Shutdown => (Control::Soft, "soft shutdown"),
            Native::Reset => (Control::Reset, "hard reset"),
            Native::Nmi => (Control::Diag, "diagnostic interrupt"),
            Native::Cycle => (Control::Cycle, "power cycle"),
        };
        let response = self.bmc.session.answer(chassis::control(control), doing, Some(gate)).await?;
        let refused = |refusal| fault::of_refused_control(refusal, doing);
        response.accepted().map(|_| ()).map_err(refused)
    }
}

#[async_trait]
impl RestoreControl for Server<'_> {
    async fn set(&self, policy: RestorePolicy, gate: &dyn Gate) -> Result<(), Fault> {
        let policy = match policy {
            RestorePolicy::AlwaysOff => chassis::RestorePolicy::AlwaysOff,
            RestorePolicy::Previous => chassis::RestorePolicy::Previous,
            RestorePolicy::AlwaysOn => chassis::RestorePolicy::AlwaysOn,
        };
        let request = chassis::set_restore_policy(policy);
        self.bmc.session.change(request, "set the restore policy", gate).await
    }
}

#[async_trait]
impl IdentifyLight for Server<'_> {
    async fn set(&self, seconds: Option<u8>, gate: &dyn Gate) -> Result<(), Fault> {
        let request = chassis::identify(Identify::Seconds(seconds.unwrap_or(0)));
        self.bmc.session.change(request, "identify", gate).await
    }
}

#[async_trait]
impl BootControl for Server<'_> {
    async fn read(&self) -> Result<Option<BootChoice>, Fault> {
        let data = self.bmc.session.ask(boot::get(), "read the boot device").await?;
        match boot::parse(&data) {
            None => Err(malformed("the boot options are too short")),
            Some(boot::Reading::Default) => Ok(None),
            Some(boot::Reading::Overridden(choice)) => Ok(choice_of(choice)),
        }
    }

    async fn set(&self, choice: BootChoice, gate: &dyn Gate) -> Result<(), Fault> {
        // OpenBMC refuses this one; the override then simply expires sooner.
        if let Err(fault) = self.bmc.session.change(boot::keep_flags(), "keep the boot device", gate).await
            && !matches!(fault.code, FaultCode::Unsupported | FaultCode::Proto)
        {
            return Err(fault);
        }
        let request = boot::set(&override_of(choice));
        self.bmc.session.change(request, "set the boot device", gate).await
    }
}

fn policy(status: Status) -> Option<RestorePolicy> {
    status.restore_policy.map(|policy| match policy {
        chassis::RestorePolicy::AlwaysOff => RestorePolicy::AlwaysOff,
        chassis::RestorePolicy::Previous => RestorePolicy::Previous,
        chassis::RestorePolicy::AlwaysOn => RestorePolicy::AlwaysOn,
    })
}

fn override_of(choice: BootChoice) -> Override {
    let device = match choice.device {
        BootDevice::Pxe => boot::Device::Pxe,
        BootDevice::Disk => boot::Device::Disk,
        BootDevice::Cdrom => boot::Device::Cdrom,
        BootDevice::Setup => boot::Device::Setup,
    };
    let hold = match choice.hold {
        BootHold::Once => Hold::Once,
        BootHold::Persistent => Hold::Persistent,
    };
    let firmware = match choice.firmware {
        BootFirmware::Bios => Firmware::Bios,
        BootFirmware::Uefi => Firmware::Uefi,
    };
    Override { device, hold, firmware }
}

/// `None` for devices that have no name here, such as a floppy disk.
fn choice_of(choice: Override) -> Option<BootChoice> {
    let device = match choice.device {
        boot::Device::Pxe => BootDevice::Pxe,
        boot::Device::Disk => BootDevice::Disk,
        boot::Device::Cdrom => BootDevice::Cdrom,
        boot::Device::Setup => BootDevice::Setup,
        boot::Device::Other(_) => return None,
    };
    let hold = match choice.hold {
        Hold::Once => BootHold::Once,
        Hold::Persistent => BootHold::Persistent,
    };
    let firmware = match choice.firmware {
        Firmware::Bios => BootFirmware::Bios,
        Firmware::Uefi => BootFirmware::Uefi,
    };
    Some(BootChoice { device, hold, firmware })
}
