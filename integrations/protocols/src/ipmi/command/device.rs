//! What the BMC is: device id and GUIDs.

pub use ipmi_rs_core::app::DeviceId;

use super::super::{NetFn, Request};

/// Get Device ID.
pub const DEVICE_ID: u8 = 0x01;
/// Get Device GUID.
pub const DEVICE_GUID: u8 = 0x08;
/// Get System GUID.
pub const SYSTEM_GUID: u8 = 0x37;

/// Asks what the BMC is.
#[must_use]
pub fn device_id() -> Request {
    Request::repeatable(NetFn::App, DEVICE_ID, Vec::new())
}

/// Asks for the managed system's GUID, the one that RAKP message 2 carries too.
#[must_use]
pub fn system_guid() -> Request {
    Request::repeatable(NetFn::App, SYSTEM_GUID, Vec::new())
}

/// Reads a GUID, `None` when it tells nothing: too short, all zeros or all ones.
#[must_use]
pub fn parse_guid(data: &[u8]) -> Option<[u8; 16]> {
    let guid: [u8; 16] = *data.first_chunk()?;
    (guid != [0; 16] && guid != [0xff; 16]).then_some(guid)
}

/// Reads the answer to Get Device ID.
#[must_use]
pub fn parse_id(data: &[u8]) -> Option<DeviceId> {
    DeviceId::from_data(data)
}
