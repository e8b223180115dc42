//! Whether an automatic fallback may go on, by what is known of the neighbourhood.
//!
//! A silent BMC means little while the agent's own line, a firmware update or half the subnet is the
//! cause. Forcing by hand skips these gates; what forbids cutting altogether is in the plan.

use super::plan::Refusal;

/// What the backend knows when a run asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// G3: another device of the same subnet answered through the same agent within a minute. A gateway proves
    /// nothing (docs/decisions/0014-two-gates-of-the-fallback.md).
    pub neighbour_answered: bool,
    /// G4: controllers in the agent's subnet, and how many of them are unreachable.
    pub controllers_in_subnet: usize,
    /// See `controllers_in_subnet`; the server's own controller counts.
    pub unreachable_in_subnet: usize,
    /// G8: another BMC answered at the address when one last did.
    pub identity_mismatch: bool,
    /// G6: why the outlets must not be switched, because others hang on them by now.
    pub shared: Option<Refusal>,
    /// G5: someone works on the server.
    pub maintenance: bool,
    /// G5: the firmware of its BMC is being written.
    pub updating: bool,
    /// G7: servers with the same rack label.
    pub servers_in_rack: usize,
    /// G7: automatic cuts in that rack within the window.
    pub recent_cuts_in_rack: usize,
    /// The action cuts power (off, cycle), as opposed to `on`.
    pub cuts: bool,
}

/// Decides.
///
/// # Errors
/// The first gate that is closed, with a sentence for people.
pub fn decide(facts: &Facts) -> Result<(), Refusal> {
    if facts.maintenance {
        return Err(Refusal::new("maintenance", "The server is in maintenance."));
    }
    if facts.updating {
        return Err(Refusal::firmware_update());
    }
    if let Some(refusal) = &facts.shared {
        return Err(refusal.clone());
    }
    if facts.identity_mismatch {
        let sentence = "Another BMC answered at this address lately; check it first.";
        return Err(Refusal::new("identity_mismatch", sentence));
    }
    if !facts.neighbour_answered {
        let sentence = "No other device of the same subnet answered this agent lately, so the line \
                        itself may be down.";
        return Err(Refusal::new("path_unproven", sentence));
    }
    let silent = facts.unreachable_in_subnet;
    if silent >= 3 && silent * 10 >= facts.controllers_in_subnet * 3 {
        let sentence = format!(
            "{silent} of {} controllers in the same subnet are unreachable: this is not one broken BMC.",
            facts.controllers_in_subnet
        );
        return Err(Refusal::new("subnet_breaker", sentence));
    }
    let allowed = (facts.servers_in_rack / 20).max(1);
    if facts.cuts && facts.recent_cuts_in_rack >= allowed {
        let made = facts.recent_cuts_in_rack;
        let sentence = format!(
            "Within ten minutes the power was cut automatically {made}× in this rack; the limit is {allowed}. A person \
             who forces it by the outlets is not bound by it."
        );
        return Err(Refusal::new("rack_limit", sentence));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Facts {
        Facts {
            neighbour_answered: true,
            controllers_in_subnet: 20,
            unreachable_in_subnet: 1,
            servers_in_rack: 40,
            cuts: true,
            ..Facts::default()
        }
    }

    #[test]
    fn each_gate_closes_for_its_own_reason() {
        for (facts, expected) in [
            (fine(), None),
            (Facts { maintenance: true, ..fine() }, Some("maintenance")),
            (Facts { updating: true, ..fine() }, Some("firmware_update")),
            (Facts { shared: Some(Refusal::new("shared_outlet", "")), ..fine() }, Some("shared_outlet")),
            (Facts { identity_mismatch: true, ..fine() }, Some("identity_mismatch")),
            (Facts { neighbour_answered: false, ..fine() }, Some("path_unproven")),
            (Facts { unreachable_in_subnet: 5, ..fine() }, None),
            (Facts { unreachable_in_subnet: 6, ..fine() }, Some("subnet_breaker")),
            (Facts { unreachable_in_subnet: 2, controllers_in_subnet: 2, ..fine() }, None),
            (Facts { unreachable_in_subnet: 3, controllers_in_subnet: 3, ..fine() }, Some("subnet_breaker")),
            (Facts { recent_cuts_in_rack: 1, ..fine() }, None),
            (Facts { recent_cuts_in_rack: 2, ..fine() }, Some("rack_limit")),
            (Facts { recent_cuts_in_rack: 1, servers_in_rack: 3, ..fine() }, Some("rack_limit")),
            (Facts { recent_cuts_in_rack: 9, cuts: false, ..fine() }, None),
        ] {
            assert_eq!(decide(&facts).err().map(|refusal| refusal.code).as_deref(), expected, "{facts:?}");
        }
    }
}
