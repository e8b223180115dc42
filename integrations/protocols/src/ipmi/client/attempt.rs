use std::{collections::VecDeque, time::Duration};

use super::super::{Level, Request, Suite, legacy::Signature};

/// The work on one request, over as many handshakes as it takes.
pub(super) struct Attempt {
    pub request: Request,
    pub began: Duration,
    /// A valid packet came since then.
    pub heard: bool,
    pub restarts: u32,
    pub port_closed: bool,
    /// Level tried in this handshake.
    pub level: Level,
    /// Suites still to try, best first; empty before the BMC was asked.
    pub candidates: VecDeque<Suite>,
    /// Suites that the BMC listed.
    pub offered: Vec<u8>,
    /// How IPMI 1.5 could be spoken, where the BMC and the settings allow it.
    pub legacy: Option<Signature>,
    /// A packet of this handshake was sent twice, so both ends may hold different random numbers.
    pub muddled: bool,
    /// Handshakes that failed in a way that muddled packets explain.
    pub muddles: u32,
    /// Signed IPMI 1.5 activations that met silence.
    pub silent_activations: u32,
}

impl Attempt {
    pub fn new(request: Request, level: Level, now: Duration) -> Self {
        Self {
            request,
            began: now,
            heard: false,
            restarts: 0,
            port_closed: false,
            level,
            candidates: VecDeque::new(),
            offered: Vec::new(),
            legacy: None,
            muddled: false,
            muddles: 0,
            silent_activations: 0,
        }
    }
}
