//! BMCs that speak IPMI over LAN: 2.0 with cipher suites 3 and 17, and 1.5.
//!
//! [`serve`] puts one BMC in front of one [`Machine`]: one socket, one task. What a command does is in [`host`];
//! packets are lost, delayed and silenced as the machine's faults say. A BMC that lost power has lost its sessions.

mod host;

#[cfg(test)]
mod tests;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rackhand_protocols::ipmi::{
    NetFn,
    bmc::{About, Bmc, Profile, Reply},
    command::chassis,
};
use tokio::{net::UdpSocket, task::JoinHandle, time::Instant};

pub use rackhand_protocols::ipmi::{
    Level, Suite,
    bmc::{LegacyOffer, Tally},
};

use crate::world::{Fate, Machine, ReplyKind};
use host::Cabinet;

/// Longest datagram that is looked at; IPMI needs less.
const LONGEST: usize = 2048;

/// The one account of a BMC, and what the BMC offers to it.
#[derive(Clone)]
pub struct Account {
    /// User name, at most 16 bytes.
    pub user: String,
    /// Password, at most 20 bytes; IPMI 1.5 knows the first 16.
    pub password: String,
    /// The BMC's key, where it has one.
    pub kg: Option<Vec<u8>>,
    /// The highest level the account may have.
    pub privilege: Level,
    /// Cipher suites; without any only IPMI 1.5 is spoken.
    pub suites: Vec<Suite>,
    /// Whether IPMI 1.5 is spoken.
    pub ipmi_1_5: LegacyOffer,
    /// Sessions at one time.
    pub most_sessions: usize,
}

impl Account {
    /// Makes an administrator on a BMC as they are delivered: both suites, IPMI 1.5, 16 sessions.
    #[must_use]
    pub fn administrator(user: &str, password: &str) -> Account {
        Account {
            user: user.to_owned(),
            password: password.to_owned(),
            kg: None,
            privilege: Level::Administrator,
            suites: vec![Suite::Three, Suite::Seventeen],
            ipmi_1_5: LegacyOffer::Offered,
            most_sessions: 16,
        }
    }

    fn profile(&self) -> Profile {
        Profile {
            kg: self.kg.clone().map(Into::into),
            limit: self.privilege,
            suites: self.suites.clone(),
            legacy: self.ipmi_1_5,
            most_sessions: self.most_sessions,
            ..Profile::usual(self.user.as_bytes(), self.password.as_bytes())
        }
    }
}

/// A running BMC; it stops when dropped.
pub struct BmcHandle {
    addr: SocketAddr,
    bmc: Arc<Mutex<Bmc>>,
    task: JoinHandle<()>,
}

/// Starts a BMC for `machine` on `addr`; port 0 picks a free one.
///
/// # Errors
/// When the address cannot be bound, or the operating system has no random numbers.
pub async fn serve(machine: Machine, addr: SocketAddr, account: Account) -> io::Result<BmcHandle> {
    let socket = Arc::new(UdpSocket::bind(addr).await?);
    let addr = socket.local_addr()?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    let bmc = Arc::new(Mutex::new(Bmc::new(account.profile(), seed)));
    let task = tokio::spawn(run(Server { socket, bmc: bmc.clone(), cabinet: Cabinet::new(machine) }));
    Ok(BmcHandle { addr, bmc, task })
}

impl BmcHandle {
    /// Returns the address that answers.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops it; its port is closed when this returns.
    pub async fn close(mut self) {
        self.task.abort();
        // It ends as cancelled, which is what was asked for.
        (&mut self.task).await.ok();
    }

    /// Counts the sessions that are open now.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        lock(&self.bmc).open_sessions()
    }

    /// Tells how many sessions there were, how many at one time, and how many sign-ins were refused.
    #[must_use]
    pub fn tally(&self) -> Tally {
        lock(&self.bmc).tally()
    }
}

impl Drop for BmcHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Server {
    socket: Arc<UdpSocket>,
    bmc: Arc<Mutex<Bmc>>,
    cabinet: Cabinet,
}

async fn run(mut server: Server) {
    let mut buffer = [0; LONGEST];
    let began = Instant::now();
    let mut life = server.cabinet.life();
    loop {
        // An error here is an ICMP message about an earlier reply: nobody is listening for it any more.
        let Ok((length, peer)) = server.socket.recv_from(&mut buffer).await else { continue };
        if !server.cabinet.machine().request_arrives() {
            continue;
        }
        let now = server.cabinet.life();
        if now != life {
            lock(&server.bmc).forget_sessions();
            life = now;
        }
        let packet = buffer.get(..length).unwrap_or_default();
        let reply = lock(&server.bmc).handle(packet, &mut server.cabinet, began.elapsed());
        if let Some(reply) = reply {
            answer(&server, reply, peer).await;
        }
        server.cabinet.finish();
    }
}

async fn answer(server: &Server, reply: Reply, peer: SocketAddr) {
    match server.cabinet.machine().next_reply_fate(kind(reply.about)) {
        Fate::Drop => {}
        Fate::Send => send(&server.socket, &reply.bytes, peer).await,
        Fate::Delay(late) => {
            let socket = server.socket.clone();
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                send(&socket, &reply.bytes, peer).await;
            });
        }
    }
}

async fn send(socket: &UdpSocket, bytes: &[u8], peer: SocketAddr) {
    if let Err(error) = socket.send_to(bytes, peer).await {
        tracing::debug!(%error, %peer, "a reply of a simulated BMC was not sent");
    }
}

fn kind(about: About) -> ReplyKind {
    match about {
        About::Ping => ReplyKind::Ping,
        About::Capabilities => ReplyKind::Capabilities,
        About::OpenSession => ReplyKind::OpenSession,
        About::Rakp2 => ReplyKind::Rakp2,
        About::Rakp4 => ReplyKind::Rakp4,
        About::Session => ReplyKind::Session,
        About::Command { netfn: NetFn::Chassis, command: chassis::CONTROL } => ReplyKind::ChassisControl,
        About::Command { netfn: NetFn::Chassis, command: chassis::STATUS } => ReplyKind::ChassisStatus,
        About::Command { .. } => ReplyKind::Other,
    }
}

fn lock(bmc: &Mutex<Bmc>) -> MutexGuard<'_, Bmc> {
    bmc.lock().unwrap_or_else(PoisonError::into_inner)
}
