//! Switched PDUs that speak SNMP v1, v2c and v3.
//!
//! [`PduAgent::start`] puts one management card in front of one [`Pdu`] of the world. The card's objects are a
//! [`tree::Tree`] written down per model in [`model`]; a [`relay`] in front of the SNMP agent loses, delays and
//! silences packets as the world's faults say.

mod access;
mod model;
mod relay;
mod tree;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use async_snmp::{Agent, AuthoritativeEngine, PersistedAuthoritativeEngine, oid};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

pub use access::{PduAccess, Rights, V3Auth, V3Privacy, V3User};
pub use model::PduModel;

use crate::world::Pdu;
use tree::Tree;

/// A running management card; it stops when dropped.
pub struct PduAgent {
    addr: SocketAddr,
    model: PduModel,
    tasks: [JoinHandle<()>; 2],
}

impl PduAgent {
    /// Starts a card of `model` for `pdu` on `addr`; port 0 picks a free one.
    ///
    /// # Errors
    /// When the address cannot be bound or the access data is not usable.
    pub async fn start(
        pdu: Pdu,
        model: PduModel,
        addr: SocketAddr,
        access: &PduAccess,
    ) -> io::Result<PduAgent> {
        let front = UdpSocket::bind(addr).await?;
        let addr = front.local_addr()?;
        let tree = Arc::new(Tree::new(pdu.clone(), model));
        let writes = tree.writes();
        let agent = agent(pdu.name(), tree, access).await.map_err(io::Error::other)?;
        let inner = agent.local_addr();
        let serving = tokio::spawn(async move {
            if let Err(error) = agent.run().await {
                tracing::error!(%error, "a simulated PDU stopped");
            }
        });
        let relaying = tokio::spawn(relay::run(front, inner, pdu, writes));
        Ok(PduAgent { addr, model, tasks: [serving, relaying] })
    }

    /// Returns the address that answers.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns which model it plays.
    #[must_use]
    pub fn model(&self) -> PduModel {
        self.model
    }
}

impl Drop for PduAgent {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Makes the SNMP agent behind the relay.
async fn agent(name: &str, tree: Arc<Tree>, access: &PduAccess) -> Result<Agent, Box<async_snmp::Error>> {
    // The engine id must stay the same over restarts of the simulator: clients remember it.
    let id = [b"\x80\x00\x1f\x88\x04".as_slice(), name.as_bytes()].concat();
    let id: Vec<u8> = id.into_iter().take(32).collect();
    let engine =
        AuthoritativeEngine::install(id, |_: &PersistedAuthoritativeEngine| Ok::<(), io::Error>(()))?;
    let mut builder = Agent::builder()
        .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).to_string())
        .recv_buffer_size(None)
        .communities(access.communities())
        .authoritative_engine(engine)
        .handler(oid!(1, 3, 6, 1), tree)
        .without_builtin_handlers()
        .vacm(|vacm| access.grant(vacm));
    for user in &access.v3 {
        builder =
            user.add_to(builder).map_err(|error| async_snmp::Error::Config(error.to_string().into()))?;
    }
    builder.build().await
}
