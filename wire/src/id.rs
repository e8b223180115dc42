//! One type per kind of id, so that a server's id cannot stand where a job's is due.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )+};
}

ids! {
    /// A customer organisation; the provider is [`TenantId::PROVIDER`].
    TenantId,
    /// A managed machine.
    ServerId,
    /// A place.
    SiteId,
    /// A process that touches devices.
    AgentId,
    /// Something added once that controls servers: a BMC, a PDU.
    EndpointId,
    /// The binding of one server to one endpoint.
    ConnectionId,
    /// Durable work that a person can watch.
    JobId,
    /// One step of a job.
    StepId,
    /// One operation sent to an agent, once.
    CommandId,
    /// A person or a script's owner.
    UserId,
    /// A bearer token.
    TokenId,
    /// A browser's sign-in.
    SessionId,
    /// Something that happened.
    EventId,
    /// One start of a server: several may share a database.
    NodeId,
}

impl TenantId {
    /// The provider: tenant 0, ancestor of all.
    pub const PROVIDER: Self = Self(Uuid::nil());
}
