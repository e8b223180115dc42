//! A line that a test can cut: a relay of TCP on loopback.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// How a line behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// It carries everything.
    Whole,
    /// Connections are reset, and none is made.
    Cut,
    /// Nothing arrives any more, and nobody is told: half-open TCP, as behind a NAT that forgot.
    Silent,
}

/// A relay to one address.
pub struct Relay {
    /// Where it listens.
    pub port: u16,
    line: Arc<watch::Sender<Line>>,
    to: Arc<Mutex<SocketAddr>>,
    /// How often it was cut, so that none is missed however soon it is whole again.
    cuts: Arc<watch::Sender<u64>>,
    /// Connections older than this are forgotten.
    era: Arc<watch::Sender<u64>>,
}

impl Relay {
    /// Starts one that adds so much time each way.
    pub async fn start(to: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Arc::new(watch::channel(Line::Whole).0);
        let era = Arc::new(watch::channel(0).0);
        let cuts = Arc::new(watch::channel(0).0);
        let to = Arc::new(Mutex::new(to));
        let (state, eras, leads) = (Arc::clone(&line), Arc::clone(&era), Arc::clone(&to));
        let ends = Arc::clone(&cuts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let cut = ends.subscribe();
                if *state.borrow() == Line::Cut {
                    reset(&client);
                    continue;
                }
                let to = *leads.lock().unwrap();
                if let Ok(server) = TcpStream::connect(to).await {
                    let ways = [client, server];
                    tokio::spawn(carry(ways, state.subscribe(), cut, eras.subscribe(), delay));
                }
            }
        });
        Self { port, line, to, cuts, era }
    }

    /// Leads new connections somewhere else, as a load balancer does.
    pub fn lead(&self, to: SocketAddr) {
        *self.to.lock().unwrap() = to;
    }

    /// Forgets the connections that stand, as a NAT does that was restarted: nothing of them arrives any more,
    /// and nobody is told. New ones are carried.
    pub fn forget(&self) {
        self.era.send_modify(|era| *era += 1);
    }

    /// Changes how the line behaves.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
        if line == Line::Cut {
            self.cuts.send_modify(|cuts| *cuts += 1);
        }
    }
}

/// A connection with no time to linger is reset when it is dropped.
fn reset(stream: &TcpStream) {
    stream.set_zero_linger().ok();
}

async fn carry(
    [client, server]: [TcpStream; 2],
    line: watch::Receiver<Line>,
    mut cut: watch::Receiver<u64>,
    eras: watch::Receiver<u64>,
    delay: Duration,
) {
    let born = *eras.borrow();
    reset(&client);
    reset(&server);
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let up = pump(from_client, to_server, line.clone(), (born, eras.clone()), delay);
    let down = pump(from_server, to_client, line, (born, eras), delay);
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = cut.changed() => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    (born, eras): (u64, watch::Receiver<u64>),
    delay: Duration,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        tokio::time::sleep(delay).await;
        if *line.borrow_and_update() == Line::Silent || *eras.borrow() > born {
            // What was swallowed is gone: only the end of the connection makes it whole again.
            std::future::pending::<()>().await;
        }
        if to.write_all(buffer.get(..read).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}
