/// Privilege level of a session, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Reads.
    User,
    /// Switches power and boot options.
    Operator,
    /// Everything.
    Administrator,
}

impl Level {
    /// The protocol's number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::User => 2,
            Self::Operator => 3,
            Self::Administrator => 4,
        }
    }

    /// Reads the protocol's number; callback and OEM levels are not spoken here.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code & 0x0f {
            2 => Some(Self::User),
            3 => Some(Self::Operator),
            4 => Some(Self::Administrator),
            _ => None,
        }
    }

    /// The next lower level.
    #[must_use]
    pub fn lower(self) -> Option<Self> {
        match self {
            Self::Administrator => Some(Self::Operator),
            Self::Operator => Some(Self::User),
            Self::User => None,
        }
    }

    /// The word for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }
}
