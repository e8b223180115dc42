use async_trait::async_trait;
use rackhand_wire::{
    Secrets,
    agent::{ToAgent, ToBackend},
    id::EndpointId,
};
use tokio::sync::mpsc;

/// A frame with the credentials that its command needs; they never enter the frame.
pub struct Delivery {
    /// The frame.
    pub frame: ToAgent,
    /// Credentials of the command's endpoint.
    pub secrets: Secrets,
}

/// An agent as a session holds it.
pub struct Link {
    /// To the agent.
    pub to_agent: mpsc::Sender<Delivery>,
    /// From the agent.
    pub from_agent: mpsc::UnboundedReceiver<ToBackend>,
}

/// Where an agent asks for credentials when it must restore a feed after a restart.
#[async_trait]
pub trait SecretSource: Send + Sync {
    /// Finds the credentials of an endpoint; `None` when nobody can give them now.
    async fn find(&self, endpoint: EndpointId) -> Option<Secrets>;
}
