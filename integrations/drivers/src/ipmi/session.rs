//! One socket and one session per BMC: opened by the first request, reused, closed when idle.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Weak},
    time::Duration,
};

use rackhand_driver::{Gate, Place, no_socket};
use rackhand_protocols::ipmi::{
    Request, Response,
    client::{Client, Failure, Settings},
    command::device,
};
use rackhand_wire::{Fault, FaultCode, Reason};
use tokio::{
    net::UdpSocket,
    sync::Mutex,
    time::{Instant, sleep, timeout_at},
};

use super::fault;

/// Longest datagram of IPMI over LAN, with room to spare.
const LONGEST: usize = 1024;

/// Pause after an error of the socket, so that a broken one cannot spin.
const BREATH: Duration = Duration::from_millis(2);

/// The way to one BMC; requests queue here.
pub(super) struct Session {
    line: Arc<Mutex<Line>>,
    idle: Duration,
}

struct Line {
    place: Place,
    patience: Duration,
    client: Client,
    socket: Option<UdpSocket>,
    /// The client's clock starts here.
    began: Instant,
    used: Instant,
    watched: Watched,
}

/// Whether a task waits to close the session.
#[derive(PartialEq)]
enum Watched {
    No,
    Yes,
}

impl Session {
    /// Prepares a session; nothing is sent before the first request.
    pub fn new(place: Place, settings: Settings, idle: Duration) -> Result<Self, Fault> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| internal(&io::Error::other(error)))?;
        let now = Instant::now();
        let line = Line {
            place,
            patience: settings.pace.unreachable_after / 4,
            client: Client::new(settings, seed),
            socket: None,
            began: now,
            used: now,
            watched: Watched::No,
        };
        Ok(Self { line: Arc::new(Mutex::new(line)), idle })
    }

    /// Asks the BMC and hands out the data of its answer; `doing` is told with a fault.
    ///
    /// # Errors
    /// Any fault; see [`fault`].
    pub async fn ask(&self, request: Request, doing: &str) -> Result<Vec<u8>, Fault> {
        let response = self.answer(request, doing, None).await?;
        match response.accepted() {
            Ok(_) => Ok(response.data),
            Err(refusal) => Err(fault::of_refusal(refusal, doing)),
        }
    }

    /// Changes something on the BMC: each packet of it passes the gate.
    ///
    /// # Errors
    /// Any fault; see [`fault`].
    pub async fn change(&self, request: Request, doing: &str, gate: &dyn Gate) -> Result<(), Fault> {
        let response = self.answer(request, doing, Some(gate)).await?;
        response.accepted().map(|_| ()).map_err(|refusal| fault::of_refusal(refusal, doing))
    }

    /// Asks the BMC and hands out its answer, a refusal among them. What changes something has a gate.
    ///
    /// # Errors
    /// Any fault but that of a refusal; see [`fault`].
    pub async fn answer(
        &self,
        request: Request,
        doing: &str,
        gate: Option<&dyn Gate>,
    ) -> Result<Response, Fault> {
        let mut line = self.line.lock().await;
        let outcome = line.ask(request, gate).await;
        if line.watched == Watched::No && line.client.is_open() {
            line.watched = Watched::Yes;
            tokio::spawn(watch(Arc::downgrade(&self.line), self.idle));
        }
        outcome?.map_err(|failure| fault::of_failure(&failure, doing))
    }

    /// Reads something of the client, such as what a session was agreed on.
    pub async fn client<T>(&self, read: impl FnOnce(&Client) -> T) -> T {
        read(&self.line.lock().await.client)
    }

    /// Ends the session politely.
    pub async fn close(&self) {
        self.line.lock().await.hang_up();
    }
}

impl Line {
    async fn ask(
        &mut self,
        request: Request,
        gate: Option<&dyn Gate>,
    ) -> Result<Result<Response, Failure>, Fault> {
        if let Err(refusal) = self.place.confirm() {
            self.hang_up();
            return Err(refusal);
        }
        if self.socket.is_none() {
            let peer = self.place.find(self.patience).await?;
            self.socket = Some(connect(peer).await.map_err(|error| no_socket(&error))?);
        }
        let outcome = self.talk(request, gate).await;
        self.used = Instant::now();
        if !self.client.is_open() {
            // The next attempt starts from another port, past whatever is stuck at this one, and looks the
            // name up again.
            self.hang_up();
        }
        outcome
    }

    /// Before a write something harmless is asked, however long that takes: a session that is open and lives leaves
    /// nothing between the gate and the packet.
    async fn talk(
        &mut self,
        request: Request,
        gate: Option<&dyn Gate>,
    ) -> Result<Result<Response, Failure>, Fault> {
        let Some(socket) = &self.socket else { return Err(internal(&io::Error::other("no socket"))) };
        let Some(gate) = gate else {
            return converse(&mut self.client, socket, self.began, request, None).await;
        };
        // A refusal is an answer too.
        if let Err(failure) =
            converse(&mut self.client, socket, self.began, device::device_id(), None).await?
        {
            return Ok(Err(failure));
        }
        gate.pass()?;
        let outcome = converse(&mut self.client, socket, self.began, request, Some(gate)).await?;
        // The write has left: silence since then does not mean that nothing was delivered.
        let is_silent = matches!(outcome, Err(Failure::Unreachable { .. }));
        Ok(if is_silent { Err(Failure::Lost) } else { outcome })
    }

    fn hang_up(&mut self) {
        self.client.close();
        let Some(socket) = self.socket.take() else { return };
        while let Some(packet) = self.client.transmit() {
            if let Err(error) = socket.try_send(&packet) {
                tracing::debug!(%error, "a session with a BMC was left without a goodbye");
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// Plays one request to its end. The first packet has passed the gate when this begins; each further one, which
/// sends a write again or opens the session that it is sent again in, passes it here.
async fn converse(
    client: &mut Client,
    socket: &UdpSocket,
    began: Instant,
    request: Request,
    gate: Option<&dyn Gate>,
) -> Result<Result<Response, Failure>, Fault> {
    let mut buffer = [0; LONGEST];
    let mut is_first = true;
    client.start(request, began.elapsed());
    loop {
        while let Some(packet) = client.transmit() {
            if let Some(gate) = gate.filter(|_| !is_first) {
                gate.pass()?;
            }
            is_first = false;
            // A packet that the kernel refuses is a lost packet.
            if let Err(error) = socket.send(&packet).await {
                note(client, &error);
            }
        }
        if let Some(outcome) = client.outcome() {
            return Ok(outcome);
        }
        let due = began + client.deadline().unwrap_or_default();
        match timeout_at(due, socket.recv(&mut buffer)).await {
            Ok(Ok(length)) => client.receive(buffer.get(..length).unwrap_or_default(), began.elapsed()),
            Ok(Err(error)) => {
                note(client, &error);
                sleep(BREATH).await;
            }
            Err(_) => {}
        }
        client.tick(began.elapsed());
    }
}

fn note(client: &mut Client, error: &io::Error) {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        client.port_closed();
    } else {
        tracing::debug!(%error, "the socket to a BMC reported an error");
    }
}

async fn connect(peer: SocketAddr) -> io::Result<UdpSocket> {
    let own: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own).await?;
    socket.connect(peer).await?;
    Ok(socket)
}

/// Closes the session when nobody has used it for a while.
async fn watch(line: Weak<Mutex<Line>>, idle: Duration) {
    let mut wait = idle;
    loop {
        sleep(wait).await;
        let Some(line) = line.upgrade() else { return };
        let mut line = line.lock().await;
        let unused = line.used.elapsed();
        if unused >= idle {
            line.hang_up();
            line.watched = Watched::No;
            return;
        }
        wait = idle.saturating_sub(unused);
    }
}

fn internal(error: &io::Error) -> Fault {
    Fault::new(FaultCode::Exec, Reason::Internal, error.to_string())
}
