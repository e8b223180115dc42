//! One trait per capability. A driver implements those that its device has.

mod boot_control;
mod controller_power;
mod identify_light;
mod outlet_control;
mod outlet_list;
mod restore_control;

pub use boot_control::BootControl;
pub use controller_power::ControllerPower;
pub use identify_light::IdentifyLight;
pub use outlet_control::OutletControl;
pub use outlet_list::OutletList;
pub use restore_control::RestoreControl;
