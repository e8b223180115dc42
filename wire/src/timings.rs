//! Every duration of the power path in one value, so that tests run at 1/20 scale.

use std::time::Duration;

/// Durations of the power engine, the agents and the drivers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timings {
    /// A BMC is unreachable after this much silence and at least three handshakes.
    pub unreachable_after: Duration,
    /// Silence after which the IPMI driver gives up on an answer to a command that was sent.
    pub answer_lost_after: Duration,
    /// First retransmission of an IPMI packet while no round trip has been measured.
    pub ipmi_first_retry: Duration,
    /// An idle IPMI session is closed after this.
    pub ipmi_session_idle: Duration,
    /// One SNMP request, before it is repeated.
    pub snmp_request: Duration,
    /// How often an SNMP read is repeated.
    pub snmp_retries: u32,
    /// Read-back of an outlet after a write, at most.
    pub outlet_read_back: Duration,
    /// Between two read-backs of an outlet.
    pub outlet_poll: Duration,
    /// Read-back of a controller after on or off, at most.
    pub read_back: Duration,
    /// First wait between two read-backs of a controller; doubles up to eight times this.
    pub read_back_first: Duration,
    /// Off phase of a cycle through the controller.
    pub hold: Duration,
    /// Off phase of a cycle through the outlets, for the supplies to discharge.
    pub discharge: Duration,
    /// Between switching two outlets on.
    pub feed_spacing: Duration,
    /// A BMC may take this long to start after its feeds return.
    pub bmc_warm_up: Duration,
    /// Between two tries to reach a starting BMC.
    pub bmc_warm_up_poll: Duration,
    /// A soft shutdown must be done by then.
    pub soft_deadline: Duration,
    /// Between two looks during a soft shutdown.
    pub soft_poll: Duration,
    /// A soft shutdown is pressed once more after this, when nothing happened.
    pub soft_repress: Duration,
    /// An agent restores by itself what it cut after discharge plus this.
    pub restore_slack: Duration,
    /// Back-off when a BMC says that it is busy.
    pub busy_back_off: Duration,
    /// Busy answers are endured for this long.
    pub busy_budget: Duration,
    /// `on` refused right after `off`: tries are this far apart.
    pub state_retry: Duration,
    /// A BMC that falls silent while its firmware is written is left alone for so long.
    pub firmware_update: Duration,
    /// Between two status polls of one server.
    pub poll: Duration,
    /// A command that waited longer than this is not run.
    pub command_expiry: Duration,
    /// A neighbour must have answered within this to prove the agent's path (gate G3).
    pub neighbour_fresh: Duration,
    /// Between two automatic cuts on one PDU (gate G7).
    pub cut_spacing: Duration,
    /// Window of the per-rack limit (gate G7).
    pub rack_window: Duration,
    /// What an agent may have begun is waited for this long when the agent is away.
    pub agent_patience: Duration,
    /// Between two heartbeats of a session, both ways.
    pub heartbeat: Duration,
    /// A side that hears nothing for so long counts the other as gone.
    pub dead_after: Duration,
    /// The first pause before an agent connects again; each is up to twice as long as the one before.
    pub reconnect_first: Duration,
    /// The longest pause before an agent connects again.
    pub reconnect_longest: Duration,
    /// An agent of a group may write so long after it last renewed its lease; it renews three times as often.
    pub lease: Duration,
    /// Another agent takes a device over so long after the lease of the one before has ended.
    pub lease_slack: Duration,
    /// An agent's certificate lasts so long; it is renewed at half of it.
    pub certificate_life: Duration,
    /// Between two signs of life of a server that shares its database with others.
    pub server_beat: Duration,
    /// A server that gave none for so long is given up by the others.
    pub server_dead: Duration,
    /// How often a server looks for what it was not told.
    pub server_sweep: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            unreachable_after: s(20),
            answer_lost_after: s(10),
            ipmi_first_retry: Duration::from_millis(500),
            ipmi_session_idle: s(30),
            snmp_request: Duration::from_millis(1500),
            snmp_retries: 3,
            outlet_read_back: s(20),
            outlet_poll: s(1),
            read_back: s(60),
            read_back_first: s(1),
            hold: s(5),
            discharge: s(10),
            feed_spacing: Duration::from_millis(700),
            bmc_warm_up: s(300),
            bmc_warm_up_poll: s(10),
            soft_deadline: s(180),
            soft_poll: s(5),
            soft_repress: s(60),
            restore_slack: s(60),
            busy_back_off: s(5),
            busy_budget: s(60),
            state_retry: s(10),
            firmware_update: s(3600),
            poll: s(60),
            command_expiry: s(30),
            neighbour_fresh: s(60),
            cut_spacing: s(2),
            rack_window: s(600),
            agent_patience: s(900),
            heartbeat: s(15),
            dead_after: s(40),
            reconnect_first: Duration::from_millis(500),
            reconnect_longest: s(30),
            lease: s(6),
            lease_slack: s(1),
            certificate_life: s(24 * 3600),
            server_beat: s(2),
            server_dead: s(12),
            server_sweep: s(5),
        }
    }
}

impl Timings {
    /// The same timings, `factor` times as long: `scaled(0.05)` for tests.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let x = |d: Duration| d.mul_f64(factor);
        Self {
            unreachable_after: x(self.unreachable_after),
            answer_lost_after: x(self.answer_lost_after),
            ipmi_first_retry: x(self.ipmi_first_retry),
            ipmi_session_idle: x(self.ipmi_session_idle),
            snmp_request: x(self.snmp_request),
            snmp_retries: self.snmp_retries,
            outlet_read_back: x(self.outlet_read_back),
            outlet_poll: x(self.outlet_poll),
            read_back: x(self.read_back),
            read_back_first: x(self.read_back_first),
            hold: x(self.hold),
            discharge: x(self.discharge),
            feed_spacing: x(self.feed_spacing),
            bmc_warm_up: x(self.bmc_warm_up),
            bmc_warm_up_poll: x(self.bmc_warm_up_poll),
            soft_deadline: x(self.soft_deadline),
            soft_poll: x(self.soft_poll),
            soft_repress: x(self.soft_repress),
            restore_slack: x(self.restore_slack),
            busy_back_off: x(self.busy_back_off),
            busy_budget: x(self.busy_budget),
            state_retry: x(self.state_retry),
            firmware_update: x(self.firmware_update),
            poll: x(self.poll),
            command_expiry: x(self.command_expiry),
            neighbour_fresh: x(self.neighbour_fresh),
            cut_spacing: x(self.cut_spacing),
            rack_window: x(self.rack_window),
            agent_patience: x(self.agent_patience),
            heartbeat: x(self.heartbeat),
            dead_after: x(self.dead_after),
            reconnect_first: x(self.reconnect_first),
            reconnect_longest: x(self.reconnect_longest),
            lease: x(self.lease),
            lease_slack: x(self.lease_slack),
            certificate_life: x(self.certificate_life),
            server_beat: x(self.server_beat),
            // However fast the rest goes, a process that hangs for a moment is not dead.
            server_dead: x(self.server_dead).max(Duration::from_secs(3)),
            server_sweep: x(self.server_sweep),
        }
    }
}
