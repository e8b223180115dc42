//! One socket and one session per BMC: opened by the first request, reused, closed when idle.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Weak},
    time::Duration,
};

use rackhand_driver::Place;
use rackhand_protocols::ipmi::{
    Request, Response,
    client::{Client, Failure, Settings},
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
        let response = self.answer(request, doing).await?;
        match response.accepted() {
            Ok(_) => Ok(response.data),
            Err(refusal) => Err(fault::of_refusal(refusal, doing)),
        }
    }

    /// Asks the BMC and hands out its answer, a refusal among them.
    ///
    /// # Errors
    /// Any fault but that of a refusal; see [`fault`].
    pub async fn answer(&self, request: Request, doing: &str) -> Result<Response, Fault> {
        let mut line = self.line.lock().await;
        let outcome = line.ask(request).await?;
        if line.watched == Watched::No && line.client.is_open() {
            line.watched = Watched::Yes;
            tokio::spawn(watch(Arc::downgrade(&self.line), self.idle));
        }
        outcome.map_err(|failure| fault::of_failure(&failure, doing))
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
    async fn ask(&mut self, request: Request) -> Result<Result<Response, Failure>, Fault> {
        if let Err(refusal) = self.place.confirm() {
            self.hang_up();
            return Err(refusal);
        }
        if self.socket.is_none() {
            let peer = self.place.find(self.patience).await?;
            self.socket = Some(connect(peer).await.map_err(|error| internal(&error))?);
        }
        let Some(socket) = &self.socket else { return Err(internal(&io::Error::other("no socket"))) };
        let outcome = converse(&mut self.client, socket, self.began, request).await;
        self.used = Instant::now();
        if !self.client.is_open() {
            // The next attempt starts from another port, past whatever is stuck at this one, and looks the
            // name up again.
            self.hang_up();
        }
        Ok(outcome)
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

/// Plays one request to its end.
async fn converse(
    client: &mut Client,
    socket: &UdpSocket,
    began: Instant,
    request: Request,
) -> Result<Response, Failure> {
    let mut buffer = [0; LONGEST];
    client.start(request, began.elapsed());
    loop {
        while let Some(packet) = client.transmit() {
            // A packet that the kernel refuses is a lost packet.
            if let Err(error) = socket.send(&packet).await {
                note(client, &error);
            }
        }
        if let Some(outcome) = client.outcome() {
            return outcome;
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
