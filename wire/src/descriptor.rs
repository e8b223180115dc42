//! What an integration says of itself, as data.

use serde::{Deserialize, Serialize};

use crate::Field;

/// Facts about one integration, from which forms, help, validation and docs come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Descriptor {
    /// Stable key, stored in the database: `ipmi`, `snmp_pdu`.
    pub kind: String,
    /// Name for people.
    pub title: String,
    /// One sentence on when to choose it.
    pub summary: String,
    /// Where it appears in the navigation.
    pub group: Group,
    /// What its connections mean for power.
    pub role: Role,
    /// Its endpoint is made in the connection's own dialog (one BMC, one server).
    pub inline: bool,
    /// What can be ticked on a connection.
    pub features: Vec<Feature>,
    /// Entered once, when the endpoint is added.
    pub endpoint_fields: Vec<Field>,
    /// Entered per server.
    pub target_fields: Vec<Field>,
    /// What a person should know before relying on it.
    pub caveats: Vec<String>,
    /// What a test, which only reads, leaves unproven, in a sentence.
    pub unproven: Option<String>,
}

impl Descriptor {
    /// Finds an endpoint field by name.
    #[must_use]
    pub fn endpoint_field(&self, name: &str) -> Option<&Field> {
        self.endpoint_fields.iter().find(|field| field.name == name)
    }
}

/// Where an integration appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// A management controller inside the server.
    ManagementController,
    /// PDUs, switches, KVM switches.
    NetworkDevice,
    /// Hypervisors.
    Virtualization,
    /// Hosting providers' APIs.
    Provider,
}

/// What a connection means for power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Controls and knows the machine itself.
    Controller,
    /// Feeds the machine; all feeds together are one redundant group.
    Feed,
}

/// What a person can tick on a connection; one capability trait each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Switch power and read its state.
    Power,
    /// Choose the next boot device.
    BootDevice,
    /// Light the identify lamp.
    IdentifyLight,
}

impl Feature {
    /// Caption of the tick box.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Power => "Power",
            Self::BootDevice => "Boot device",
            Self::IdentifyLight => "Identify light",
        }
    }

    /// The word of the API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::BootDevice => "boot_device",
            Self::IdentifyLight => "identify_light",
        }
    }
}
