//! Listens on loopback for what a running farm is asked.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::perform::perform;
use super::request::Request;
use super::view::Reply;
use crate::farm::{Farm, Inventory};
use crate::world::World;

/// The longest request that is read.
const LONGEST: u64 = 4096;

/// A listening control socket; it closes when dropped.
pub struct Control {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Control {
    /// Returns where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens on `addr`, which must be a loopback address: whoever connects may do anything.
///
/// # Errors
/// When the address is not loopback or cannot be bound.
pub async fn serve(farm: &Farm, addr: SocketAddr) -> io::Result<Control> {
    if !addr.ip().is_loopback() {
        let text = "the control socket listens on loopback addresses only";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    let world = farm.world().clone();
    let inventory = Arc::new(farm.inventory().clone());
    let task = tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let (world, inventory) = (world.clone(), inventory.clone());
            tokio::spawn(async move {
                if let Err(error) = answer_all(stream, &world, &inventory).await {
                    tracing::debug!(%error, "a control connection ended");
                }
            });
        }
    });
    Ok(Control { addr, task })
}

async fn answer_all(mut stream: TcpStream, world: &World, inventory: &Inventory) -> io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut reading = BufReader::new(reading);
    loop {
        let mut line = String::new();
        if (&mut reading).take(LONGEST).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut reply = serde_json::to_vec(&answer(&line, world, inventory))?;
        reply.push(b'\n');
        writing.write_all(&reply).await?;
    }
}

fn answer(line: &str, world: &World, inventory: &Inventory) -> Reply {
    let done = serde_json::from_str::<Request>(line)
        .map_err(|error| format!("this is not a request: {error}"))
        .and_then(|request| perform(world, inventory, &request));
    match done {
        Ok(seen) => Reply::Ok(seen),
        Err(error) => Reply::Error(error),
    }
}
