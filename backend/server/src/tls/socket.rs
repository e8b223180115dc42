//! What every connection gets when it is made.

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{dev::Extensions, rt::net::TcpStream};
use rackhand_agent::proof::EXPORTER;
use rustls::ProtocolVersion;
use std::{any::Any, net::IpAddr, time::Duration};

use crate::agents::{OldTls, TlsBinding};

/// Ends connections whose other side acknowledges nothing for `dead_after`, and keeps what binds an agent's hello
/// to this one. A trusted proxy speaks TLS of its own: what it passes on is bound to nothing here.
pub fn met(connection: &dyn Any, data: &mut Extensions, dead_after: Duration, trusted: &[IpAddr]) {
    if let Some(tcp) = connection.downcast_ref::<TcpStream>() {
        expect_answers(tcp, dead_after);
        return;
    }
    let Some(tls) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    let (tcp, session) = tls.get_ref();
    expect_answers(tcp, dead_after);
    if tcp.peer_addr().is_ok_and(|peer| trusted.contains(&peer.ip().to_canonical())) {
        return;
    }
    if session.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
        let material = session.export_keying_material([0; 32], EXPORTER, None);
        // Without it nothing fits: no agent's connection has this one, and a hello that is bound to none is refused.
        data.insert(TlsBinding(material.unwrap_or([0; 32])));
    } else {
        // What 1.2 exports binds nothing where its master secret does not (RFC 7627 section 1), and agents speak 1.3.
        data.insert(OldTls);
    }
}

fn expect_answers(tcp: &TcpStream, dead_after: Duration) {
    let timeout = u32::try_from(dead_after.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(tcp, timeout) {
        tracing::debug!(%error, "a connection's patience could not be set");
    }
}
