use super::super::{Level, Refusal};

/// Why a request has no answer. Refusals by completion code are answers, see
/// [`Response::accepted`](super::super::Response::accepted).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The BMC does not know the user.
    #[error("the BMC does not know this user")]
    WrongUser,
    /// The BMC and this side do not hold the same password.
    #[error("the password is wrong")]
    WrongPassword {
        /// How sure that is.
        proof: Proof,
    },
    /// Password right, key Kg wrong or missing.
    #[error("the BMC key (Kg) is wrong or missing")]
    WrongKg,
    /// Nothing acceptable is offered.
    #[error("no cipher suite in common: the BMC offers {}", offer(offered))]
    NoMatchingCipher {
        /// Suites that the BMC listed; empty when it did not say.
        offered: Vec<u8>,
    },
    /// The account does not reach the level asked for.
    #[error("the account may not act as {}", level.title())]
    InsufficientPrivilege {
        /// The level.
        level: Level,
    },
    /// The sign-in was refused for another reason, which says nothing of user or password.
    #[error("the BMC refused the sign-in with status {status:#04x}")]
    SignInRefused {
        /// Status code of the handshake; with IPMI 1.5 the completion code.
        status: u8,
    },
    /// Another machine answers than the one pinned.
    #[error("another machine answers")]
    WrongIdentity {
        /// What it calls itself, where it does.
        found: Option<[u8; 16]>,
    },
    /// Nothing valid was received since the attempt began, and a request that is sent once was not sent.
    #[error("no answer to {restarts} sign-ins{}", if *port_closed { "; BMC port closed (restarting?)" } else { "" })]
    Unreachable {
        /// Handshakes that stayed unanswered.
        restarts: u32,
        /// The host said that nobody listens on the port.
        port_closed: bool,
    },
    /// The BMC answers but no session came of it in time; a request that is sent once was not sent.
    #[error("the BMC answers, but the sign-in does not come to an end")]
    Stalled,
    /// No free session.
    #[error("the BMC has no free session")]
    NoFreeSession,
    /// The sign-in was put off: the BMC is busy or still starting.
    #[error("the BMC is too busy for a sign-in (completion code {code:#04x})")]
    Busy {
        /// Completion code of the step.
        code: u8,
    },
    /// The sign-in was put off: a firmware update runs.
    #[error("the BMC updates its firmware (completion code 0xd1)")]
    Updating,
    /// A request that is sent once was sent, and its answer never came.
    #[error("the request was sent but not answered")]
    Lost,
    /// The BMC broke the protocol.
    #[error("the BMC sent something that cannot be understood: {0}")]
    Malformed(&'static str),
}

impl Failure {
    /// Why the BMC refused a step of the sign-in as `level`, by a completion code that is none of the step's own.
    pub(super) fn of_completion(code: u8, level: Level) -> Self {
        match Refusal::from_completion(code) {
            Some(Refusal::Busy(code)) => Self::Busy { code },
            Some(Refusal::Updating) => Self::Updating,
            Some(Refusal::Privilege) => Self::InsufficientPrivilege { level },
            Some(Refusal::Duplicate | Refusal::State(_) | Refusal::Unsupported(_) | Refusal::Other(_))
            | None => Self::SignInRefused { status: code },
        }
    }
}

/// How sure it is that the password is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The key exchange proves it.
    Certain,
    /// IPMI 1.5: the BMC knows the user and is silent to the signed sign-in.
    Silence,
}

impl Proof {
    /// How it is known, where that is not from an answer.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Certain => "",
            Self::Silence => "the BMC knows the user but does not answer the sign-in",
        }
    }
}

fn offer(offered: &[u8]) -> String {
    if offered.is_empty() {
        return "neither 17 nor 3".into();
    }
    offered.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}
