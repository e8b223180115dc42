//! The line in front of a management card: it loses, delays and silences packets.
//!
//! Like most real cards it serves one request at a time, which is also what makes it certain which reply belongs
//! to a write.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use crate::world::{Fate, Pdu, RequestKind};

/// How long the card may think; what it silently refuses (a wrong community) takes this long to find out.
const THINKING: Duration = Duration::from_millis(250);

/// The largest datagram that is passed on.
const DATAGRAM: usize = 65_507;

/// Passes requests from `front` to the agent at `card` and its replies back, for ever.
pub(super) async fn run(front: UdpSocket, card: SocketAddr, pdu: Pdu, writes: Arc<AtomicU64>) {
    let front = Arc::new(front);
    let mut line = None;
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let Ok((length, client)) = front.recv_from(&mut buffer).await else { continue };
        if !pdu.request_arrives() {
            continue;
        }
        let Some(request) = buffer.get(..length) else { continue };
        let before = writes.load(Ordering::Acquire);
        let Some(reply) = ask(&mut line, card, request).await else { continue };
        let is_write = writes.load(Ordering::Acquire) != before;
        let kind = if is_write { RequestKind::Write } else { RequestKind::Read };
        match pdu.next_reply_fate(kind) {
            Fate::Drop => {}
            Fate::Send => send(&front, &reply, client).await,
            Fate::Delay(delay) => {
                let front = front.clone();
                tokio::spawn(async move {
                    sleep(delay).await;
                    send(&front, &reply, client).await;
                });
            }
        }
    }
}

/// Asks the card; `None` when it stays silent. The socket is then dropped, so that a late reply meets nobody.
async fn ask(line: &mut Option<UdpSocket>, card: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let socket = match line.take() {
        Some(socket) => socket,
        None => open(card).await?,
    };
    socket.send(request).await.ok()?;
    let mut reply = vec![0; DATAGRAM];
    let length = timeout(THINKING, socket.recv(&mut reply)).await.ok()?.ok()?;
    reply.truncate(length);
    *line = Some(socket);
    Some(reply)
}

async fn open(card: SocketAddr) -> Option<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
    socket.connect(card).await.ok()?;
    Some(socket)
}

async fn send(front: &UdpSocket, reply: &[u8], client: SocketAddr) {
    if let Err(error) = front.send_to(reply, client).await {
        tracing::debug!(%error, %client, "a simulated PDU could not reply");
    }
}
