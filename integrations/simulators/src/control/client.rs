//! Asks a running farm.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::request::Request;
use super::view::{Reply, Seen};

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No farm listens there.
    #[error("no simulated farm listens on {addr}: start rackhand-sim first, or name its --control address")]
    NoFarm {
        /// Where.
        addr: SocketAddr,
        /// Why the connection failed.
        source: io::Error,
    },
    /// The farm refused.
    #[error("{0}")]
    Refused(String),
    /// The connection broke or the answer is no answer.
    #[error("the farm's answer cannot be read: {0}")]
    Broken(#[from] io::Error),
}

/// Asks the farm that listens on `addr`.
///
/// # Errors
/// When no farm is there, it refuses, or the connection breaks.
pub async fn ask(addr: SocketAddr, request: &Request) -> Result<Seen, AskError> {
    let stream = TcpStream::connect(addr).await.map_err(|source| AskError::NoFarm { addr, source })?;
    let mut stream = BufReader::new(stream);
    let mut line = serde_json::to_vec(request).map_err(io::Error::from)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut reply = String::new();
    stream.read_line(&mut reply).await?;
    match serde_json::from_str(&reply).map_err(io::Error::from)? {
        Reply::Ok(seen) => Ok(seen),
        Reply::Error(text) => Err(AskError::Refused(text)),
    }
}
