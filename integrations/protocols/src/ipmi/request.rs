use ipmi_rs_core::connection::{CompletionErrorCode, NetFn};

/// One IPMI command with its data.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Group of commands.
    pub netfn: NetFn,
    /// Command within the group.
    pub command: u8,
    /// Request data.
    pub data: Vec<u8>,
    /// Whether it may leave the socket more than once.
    pub repeat: Repeat,
}

impl Request {
    /// Makes a request that may be sent again when its answer is missing.
    #[must_use]
    pub fn repeatable(netfn: NetFn, command: u8, data: Vec<u8>) -> Self {
        Self { netfn, command, data, repeat: Repeat::Freely }
    }

    /// Makes a request that is sent once, whatever happens.
    #[must_use]
    pub fn once(netfn: NetFn, command: u8, data: Vec<u8>) -> Self {
        Self { netfn, command, data, repeat: Repeat::Never }
    }
}

/// Whether a request may be sent more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Doing it twice is the same as doing it once.
    Freely,
    /// Doing it twice is worse than not knowing: a lost answer is reported as lost.
    Never,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Completion code; zero is success.
    pub completion: u8,
    /// Data after the completion code.
    pub data: Vec<u8>,
}

impl Response {
    /// Makes a successful answer.
    #[must_use]
    pub fn success(data: Vec<u8>) -> Self {
        Self { completion: 0, data }
    }

    /// Makes a refusal.
    #[must_use]
    pub fn refusal(completion: u8) -> Self {
        Self { completion, data: Vec::new() }
    }

    /// Hands out the data of a successful answer.
    ///
    /// # Errors
    /// Why the BMC refused.
    pub fn accepted(&self) -> Result<&[u8], Refusal> {
        match Refusal::from_completion(self.completion) {
            None => Ok(&self.data),
            Some(refusal) => Err(refusal),
        }
    }
}

/// Why a BMC refused a command, sorted by what a caller may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Later.
    #[error("the BMC is busy (completion code {0:#04x})")]
    Busy(u8),
    /// A firmware update runs.
    #[error("the BMC updates its firmware (completion code 0xd1)")]
    Updating,
    /// The BMC had seen the request before.
    #[error("the BMC had received the request before (completion code 0xcf)")]
    Duplicate,
    /// Not in the present state.
    #[error("not possible in the present state (completion code {0:#04x})")]
    State(u8),
    /// The session's level is too low.
    #[error("the account lacks the privilege (completion code 0xd4)")]
    Privilege,
    /// No such command or function.
    #[error("the BMC has no such function (completion code {0:#04x})")]
    Unsupported(u8),
    /// Anything else.
    #[error("the BMC refused (completion code {0:#04x})")]
    Other(u8),
}

impl Refusal {
    /// Reads a completion code; `None` is success.
    #[must_use]
    pub fn from_completion(code: u8) -> Option<Self> {
        use CompletionErrorCode as C;
        Some(match C::try_from(code).ok()? {
            C::NodeBusy | C::ProcessingTimeout | C::OutOfSpace => Self::Busy(code),
            // The reason inside is not nameable from here, its code is.
            C::ResponseUnavailable { .. } => match code {
                0xd1 => Self::Updating,
                0xd2 => Self::Busy(code),
                _ => Self::Other(code),
            },
            C::CannotExecuteDuplicateRequest => Self::Duplicate,
            C::CannotExecuteCommandInCurrentState => Self::State(code),
            C::InsufficientPrivilege => Self::Privilege,
            C::InvalidCommand | C::InvalidCommandForLun | C::SubFunctionDisabled => Self::Unsupported(code),
            C::ReservationCancelledOrInvalidId
            | C::RequestDataTruncated
            | C::RequestDataLenInvalid
            | C::RequestDataLengthLimitExceeded
            | C::ParameterOutOfRange
            | C::CannotReturnNumOfRequestedBytes
            | C::RequestedDatapointNotPresent
            | C::InvalidDataFieldInRequest
            | C::CommandIllegalForSensorOrRecord
            | C::DestinationUnavailable
            | C::Unspecified
            | C::Oem(_)
            | C::CommandSpecific(_)
            | C::Reserved(_) => Self::Other(code),
        })
    }
}
