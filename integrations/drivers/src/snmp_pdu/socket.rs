//! The sockets that PDUs are asked from.
//!
//! Each costs a receive buffer of 64 KiB and a task, so the lines of one thread share one, as long as their
//! devices answer.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use async_snmp::{Error, UdpTransport};

/// Which socket a line uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// That of all lines.
    Shared,
    /// A fresh one.
    Own,
}

#[derive(Default)]
struct Shared {
    v4: Weak<UdpTransport>,
    v6: Weak<UdpTransport>,
}

impl Shared {
    fn of(&mut self, peer: SocketAddr) -> &mut Weak<UdpTransport> {
        match peer {
            SocketAddr::V4(_) => &mut self.v4,
            SocketAddr::V6(_) => &mut self.v6,
        }
    }
}

thread_local! {
    // Of a thread, because a socket belongs to the runtime that it was opened in.
    static SHARED: RefCell<Shared> = RefCell::default();
}

/// Opens a socket towards a device, or joins the one that others use.
pub(super) async fn open(peer: SocketAddr, port: Port) -> Result<Arc<UdpTransport>, Box<Error>> {
    if port == Port::Own {
        return Ok(Arc::new(bind(peer).await?));
    }
    if let Some(known) = SHARED.with_borrow_mut(|shared| shared.of(peer).upgrade()) {
        return Ok(known);
    }
    let fresh = Arc::new(bind(peer).await?);
    SHARED.with_borrow_mut(|shared| *shared.of(peer) = Arc::downgrade(&fresh));
    Ok(fresh)
}

async fn bind(peer: SocketAddr) -> Result<UdpTransport, Box<Error>> {
    UdpTransport::bind(if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).await
}
