use rackhand_wire::Fault;

/// Says in the last moment whether a write may still leave.
///
/// Opening a device and reading it before a write take long; meanwhile the agent's lease may have ended or the
/// command grown too old. A driver therefore asks right before each datagram that may change the device, with
/// nothing in between that waits for the device, and hands a refusal on as it is. A closure is a gate.
pub trait Gate: Send + Sync {
    /// Lets one datagram pass.
    ///
    /// # Errors
    /// Why it may not leave. The first refusal means that nothing has left; one after something had passed says
    /// that the outcome is not known.
    fn pass(&self) -> Result<(), Fault>;
}

impl<F> Gate for F
where
    F: Fn() -> Result<(), Fault> + Send + Sync,
{
    fn pass(&self) -> Result<(), Fault> {
        self()
    }
}
