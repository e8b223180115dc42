//! What the IPMI commands do to a machine.

use rackhand_protocols::ipmi::{
    Level, NetFn, Response,
    bmc::{Call, Host},
    command::{boot, chassis, device},
};

use crate::world::{ChassisCommand, Machine, Refused, RestorePolicy};

/// Cold Reset of the BMC itself.
const COLD_RESET: u8 = 0x02;

const INVALID_COMMAND: u8 = 0xc1;
const WRONG_LENGTH: u8 = 0xc7;
const INVALID_FIELD: u8 = 0xcc;
const NO_PRIVILEGE: u8 = 0xd4;
const WRONG_STATE: u8 = 0xd5;
const FIRMWARE_UPDATE: u8 = 0xd1;
/// Get and Set System Boot Options: no such parameter.
const NO_PARAMETER: u8 = 0x80;

/// A machine as its BMC sees it.
pub(super) struct Cabinet {
    machine: Machine,
    /// The BMC restarts once the answer to the command is out.
    restart: Restart,
}

#[derive(PartialEq)]
enum Restart {
    None,
    AfterAnswer,
}

impl Cabinet {
    pub fn new(machine: Machine) -> Cabinet {
        Cabinet { machine, restart: Restart::None }
    }

    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Returns what changes when sessions are gone: the BMC restarted, or another one sits here now.
    pub fn life(&self) -> (u64, [u8; 16]) {
        (self.machine.bmc_boot_count(), self.machine.guid())
    }

    /// Does what must wait for the answer to be on its way.
    pub fn finish(&mut self) {
        if std::mem::replace(&mut self.restart, Restart::None) == Restart::AfterAnswer {
            self.machine.restart_bmc();
        }
    }

    fn control(&self, data: &[u8]) -> Response {
        let Some(control) = chassis::Control::parse(data) else { return Response::refusal(INVALID_FIELD) };
        let command = match control {
            chassis::Control::Down => ChassisCommand::Down,
            chassis::Control::Up => ChassisCommand::Up,
            chassis::Control::Cycle => ChassisCommand::Cycle,
            chassis::Control::Reset => ChassisCommand::Reset,
            chassis::Control::Diag => ChassisCommand::Diag,
            chassis::Control::Soft => ChassisCommand::Soft,
        };
        match self.machine.chassis(command) {
            Ok(()) => Response::success(Vec::new()),
            Err(Refused::PresentState | Refused::BmcDead) => Response::refusal(WRONG_STATE),
        }
    }

    fn status(&self) -> Response {
        let restore_policy = Some(match self.machine.restore_policy() {
            RestorePolicy::AlwaysOff => chassis::RestorePolicy::AlwaysOff,
            RestorePolicy::Previous => chassis::RestorePolicy::Previous,
            RestorePolicy::AlwaysOn => chassis::RestorePolicy::AlwaysOn,
        });
        let power = if self.machine.is_on() { chassis::Power::On } else { chassis::Power::Off };
        let lit = self.machine.identify_left().is_some();
        let identify = if lit { chassis::Lamp::Lit } else { chassis::Lamp::Dark };
        Response::success(chassis::Status { power, restore_policy, identify }.encode())
    }

    fn set_policy(&self, data: &[u8]) -> Response {
        let policy = match chassis::PolicyChange::parse(data) {
            None => return Response::refusal(INVALID_FIELD),
            Some(chassis::PolicyChange::AskOnly) => None,
            Some(chassis::PolicyChange::To(chassis::RestorePolicy::AlwaysOff)) => {
                Some(RestorePolicy::AlwaysOff)
            }
            Some(chassis::PolicyChange::To(chassis::RestorePolicy::Previous)) => {
                Some(RestorePolicy::Previous)
            }
            Some(chassis::PolicyChange::To(chassis::RestorePolicy::AlwaysOn)) => {
                Some(RestorePolicy::AlwaysOn)
            }
        };
        if let Some(policy) = policy {
            self.machine.set_restore_policy(policy);
        }
        Response::success(vec![chassis::EVERY_POLICY])
    }

    fn set_boot(&self, data: &[u8]) -> Response {
        match data {
            [boot::FLAGS, flags @ ..] => {
                let Some(flags) = flags.first_chunk() else { return Response::refusal(WRONG_LENGTH) };
                self.machine.set_boot_device(*flags);
                Response::success(Vec::new())
            }
            // Set in progress, flag clearing, boot info acknowledge: accepted, without meaning here.
            [0 | boot::CLEARING | 4, ..] => Response::success(Vec::new()),
            [_, ..] => Response::refusal(NO_PARAMETER),
            [] => Response::refusal(WRONG_LENGTH),
        }
    }

    fn get_boot(&self, data: &[u8]) -> Response {
        match data {
            [boot::FLAGS, ..] => {
                let mut answer = vec![1, boot::FLAGS];
                answer.extend(self.machine.boot_device());
                Response::success(answer)
            }
            [_, ..] => Response::refusal(NO_PARAMETER),
            [] => Response::refusal(WRONG_LENGTH),
        }
    }

    fn identify(&self, data: &[u8]) -> Response {
        self.machine.identify(match chassis::Identify::parse(data) {
            chassis::Identify::Seconds(seconds) => Some(seconds),
            chassis::Identify::Forever => None,
        });
        Response::success(Vec::new())
    }
}

impl Host for Cabinet {
    fn guid(&self) -> [u8; 16] {
        self.machine.guid()
    }

    fn command(&mut self, call: &Call<'_>) -> Response {
        let Some(needed) = needed_level(call.netfn, call.command) else {
            return Response::refusal(INVALID_COMMAND);
        };
        if call.level < needed {
            return Response::refusal(NO_PRIVILEGE);
        }
        if call.netfn == NetFn::Chassis && self.machine.bmc_faults().updating {
            return Response::refusal(FIRMWARE_UPDATE);
        }
        match (call.netfn, call.command) {
            (NetFn::App, device::DEVICE_ID) => Response::success(device_id()),
            (NetFn::App, device::DEVICE_GUID | device::SYSTEM_GUID) => {
                Response::success(self.machine.guid().to_vec())
            }
            (NetFn::App, COLD_RESET) => {
                self.restart = Restart::AfterAnswer;
                Response::success(Vec::new())
            }
            (NetFn::Chassis, chassis::STATUS) => self.status(),
            (NetFn::Chassis, chassis::CONTROL) => self.control(call.data),
            (NetFn::Chassis, chassis::IDENTIFY) => self.identify(call.data),
            (NetFn::Chassis, chassis::SET_RESTORE_POLICY) => self.set_policy(call.data),
            (NetFn::Chassis, chassis::RESTART_CAUSE) => {
                Response::success(vec![self.machine.restart_cause(), 1])
            }
            (NetFn::Chassis, boot::SET) => self.set_boot(call.data),
            (NetFn::Chassis, boot::GET) => self.get_boot(call.data),
            _ => Response::refusal(INVALID_COMMAND),
        }
    }
}

/// The level that the specification asks for; `None` for commands that this BMC does not have.
fn needed_level(netfn: NetFn, command: u8) -> Option<Level> {
    match (netfn, command) {
        (NetFn::App, device::DEVICE_ID | device::DEVICE_GUID | device::SYSTEM_GUID)
        | (NetFn::Chassis, chassis::STATUS | chassis::RESTART_CAUSE) => Some(Level::User),
        (
            NetFn::Chassis,
            chassis::CONTROL | chassis::IDENTIFY | chassis::SET_RESTORE_POLICY | boot::SET | boot::GET,
        ) => Some(Level::Operator),
        (NetFn::App, COLD_RESET) => Some(Level::Administrator),
        _ => None,
    }
}

/// Firmware 1.05, IPMI 2.0, a chassis device; maker and product stay zero, because nobody made it.
fn device_id() -> Vec<u8> {
    vec![0x20, 0x01, 0x01, 0x05, 0x02, 0x80, 0, 0, 0, 0, 0]
}
