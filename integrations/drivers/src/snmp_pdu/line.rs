//! The line to one PDU: names resolved, requests repeated, silence explained.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_snmp::{
    Auth, Client, EngineCache, Error, ErrorStatus, Oid, Retry, UdpClient, UdpTransport, UsmConfig, Value, oid,
};
use rackhand_driver::{Guard, Place, no_socket};
use rackhand_wire::{Fault, FaultCode, Reason, Timings};

use super::fault;
use super::settings::{Access, Settings};
use super::socket::{self, Port};

/// Objects asked for in one request; the library asks in smaller parts where that is too big.
const OBJECTS: usize = 20;

/// With whose credentials something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// Those for reading.
    Read,
    /// Those for writing.
    Write,
}

/// The line to one PDU.
pub(super) struct Line {
    settings: Settings,
    timings: Timings,
    engines: Arc<EngineCache>,
    clients: Option<Clients>,
    place: Place,
    /// The device has answered these credentials before, so silence is silence.
    has_answered: bool,
    /// From where it is asked.
    port: Port,
}

#[derive(Clone)]
struct Clients {
    /// Open for as long as a client uses it.
    socket: Arc<UdpTransport>,
    read: UdpClient,
    write: UdpClient,
    /// Sends once: a write that was lost is a fact that the caller must hear.
    set: UdpClient,
}

/// What a request without credentials found out about a silent device of version 3.
enum Knock {
    Silent,
    UserUnknown,
    UserKnown,
}

impl Line {
    pub(super) fn new(settings: Settings, timings: &Timings, guard: &Arc<Guard>) -> Line {
        let engines = Arc::new(EngineCache::new());
        let place = Place::new(&settings.host, settings.port, guard);
        Line {
            settings,
            timings: *timings,
            engines,
            clients: None,
            place,
            has_answered: false,
            port: Port::Shared,
        }
    }

    /// Tells whether the line is open; it closes when the device falls silent.
    pub(super) fn is_open(&self) -> bool {
        self.clients.is_some()
    }

    /// Returns what a person entered.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads objects; those that the device lacks are left out.
    pub(super) async fn get(&mut self, voice: Voice, oids: &[Oid]) -> Result<BTreeMap<Oid, Value>, Fault> {
        let mut found = BTreeMap::new();
        for part in oids.chunks(OBJECTS) {
            let part = part.to_vec();
            found.extend(self.ask(voice, |client| get_part(client, part.clone())).await?);
        }
        Ok(found)
    }

    /// Reads one object.
    pub(super) async fn get_one(&mut self, voice: Voice, oid: &Oid) -> Result<Option<Value>, Fault> {
        Ok(self.get(voice, std::slice::from_ref(oid)).await?.remove(oid))
    }

    /// Tells whether the device has anything below `column`.
    pub(super) async fn has_rows(&mut self, column: &Oid) -> Result<bool, Fault> {
        self.ask(Voice::Read, |client| has_rows(client, column.clone())).await
    }

    /// Reads a column: each row's index and value, in the device's order.
    pub(super) async fn column(&mut self, column: &Oid) -> Result<Vec<(Vec<u32>, Value)>, Fault> {
        self.ask(Voice::Read, |client| walk(client, column.clone())).await
    }

    /// Writes one number, sent once.
    ///
    /// # Errors
    /// `Lost` when no answer came: the write may have been carried out.
    pub(super) async fn set(&mut self, oid: &Oid, value: i32, doing: &str) -> Result<(), Fault> {
        let client = self.clients().await?.set;
        match client.set(oid, Value::Integer(value)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(fault::of_write(&error, doing)),
        }
    }

    /// Asks and explains silence.
    async fn ask<T, F>(&mut self, voice: Voice, what: impl Fn(UdpClient) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Box<Error>>> + Send,
    {
        let clients = self.clients().await?;
        let client = match voice {
            Voice::Read => clients.read,
            Voice::Write => clients.write,
        };
        let mut answer = what(client.clone()).await;
        if self.is_unexplained(&answer)
            && let Access::User(user) = self.settings.access.clone()
        {
            match self.knock(&user).await {
                Knock::Silent => {}
                Knock::UserUnknown => return Err(Fault::auth(Reason::WrongUser, self.address())),
                Knock::UserKnown => {
                    answer = what(client).await;
                    if self.is_unexplained(&answer) {
                        return Err(wrong_keys(&self.address()));
                    }
                }
            }
        }
        self.conclude(voice, answer)
    }

    fn is_unexplained<T>(&self, answer: &Result<T, Box<Error>>) -> bool {
        !self.has_answered && answer.as_ref().is_err_and(|error| fault::is_silence(error))
    }

    fn conclude<T>(&mut self, voice: Voice, answer: Result<T, Box<Error>>) -> Result<T, Fault> {
        let error = match answer {
            Ok(value) => {
                self.has_answered |= voice == Voice::Read;
                return Ok(value);
            }
            Err(error) => error,
        };
        if !fault::is_silence(&error) {
            self.has_answered |= voice == Voice::Read && fault::status(&error).is_some();
            return Err(fault::of_read(&error, &self.address()));
        }
        if voice == Voice::Read {
            self.clients = None;
            // Past whatever is stuck at the old port.
            self.port = Port::Own;
        }
        if self.has_answered {
            return Err(Fault::unreachable(self.address()));
        }
        Err(Fault::new(FaultCode::Unreach, Reason::TimeoutOrCredentials, self.address()))
    }

    /// Asks a silent device of version 3 without credentials. Such devices drop what is signed with a wrong
    /// password, but say by a report whether they know the user.
    async fn knock(&mut self, user: &UsmConfig) -> Knock {
        let (Ok(address), Some(clients)) = (self.find().await, &self.clients) else {
            return Knock::Silent;
        };
        let bare = Auth::from(UsmConfig::new(user.username().clone()));
        let Ok(client) = self.client(&clients.socket, address, bare, self.timings.snmp_retries).await else {
            return Knock::Silent;
        };
        let Err(error) = client.get(&oid!(1, 3, 6, 1, 2, 1, 1, 2, 0)).await else { return Knock::UserKnown };
        if fault::is_silence(&error) {
            return Knock::Silent;
        }
        if fault::of_read(&error, "").reason == Reason::WrongUser {
            Knock::UserUnknown
        } else {
            Knock::UserKnown
        }
    }

    async fn clients(&mut self) -> Result<Clients, Fault> {
        if let Err(refusal) = self.place.confirm() {
            self.clients = None;
            return Err(refusal);
        }
        if let Some(clients) = &self.clients {
            return Ok(clients.clone());
        }
        let address = self.find().await?;
        let socket = socket::open(address, self.port).await.map_err(|error| no_socket(&*error))?;
        let access = self.settings.access.clone();
        let retries = self.timings.snmp_retries;
        let read = self.client(&socket, address, access.read(), retries).await?;
        let write = if access.writes_differ() {
            self.client(&socket, address, access.write(), retries).await?
        } else {
            read.clone()
        };
        let set = self.client(&socket, address, access.write(), 0).await?;
        let clients = Clients { socket, read, write, set };
        self.clients = Some(clients.clone());
        Ok(clients)
    }

    async fn client(
        &self,
        socket: &UdpTransport,
        address: SocketAddr,
        auth: Auth,
        retries: u32,
    ) -> Result<UdpClient, Fault> {
        let retry = Retry::fixed(retries, Duration::ZERO).map_err(|error| broken(&error))?;
        // A write is not repeated, so it may wait for its answer as long as a slow card needs.
        let patience = if retries == 0 { 3 } else { 1 };
        Client::builder(address, auth)
            .request_timeout(self.timings.snmp_request * patience)
            .retry(retry)
            .max_oids_per_request(OBJECTS)
            .engine_cache(self.engines.clone())
            .build_with(socket)
            .await
            .map_err(|error| broken(&error))
    }

    async fn find(&mut self) -> Result<SocketAddr, Fault> {
        self.place.find(self.timings.unreachable_after).await
    }

    fn address(&self) -> String {
        format!("{} port {}", self.settings.host, self.settings.port)
    }
}

fn broken(error: &impl std::fmt::Display) -> Fault {
    Fault::new(FaultCode::Exec, Reason::Internal, error.to_string())
}

fn wrong_keys(address: &str) -> Fault {
    let detail =
        format!("{address} knows the user but drops requests signed with these passwords and protocols");
    Fault::auth(Reason::WrongPassword, detail)
}

/// Gets some objects. Version 1 fails a whole request for one missing object: it is taken out and the rest asked
/// again.
async fn get_part(client: UdpClient, mut oids: Vec<Oid>) -> Result<BTreeMap<Oid, Value>, Box<Error>> {
    while !oids.is_empty() {
        let error = match client.get_many(&oids).await {
            Ok(answer) => {
                let present = answer.varbinds.into_iter().filter(|varbind| !is_missing(&varbind.value));
                return Ok(present.map(|varbind| (varbind.oid, varbind.value)).collect());
            }
            Err(error) => error,
        };
        match fault::status(&error) {
            Some((ErrorStatus::NoSuchName, position)) if (1..=oids.len()).contains(&position) => {
                oids.remove(position - 1);
            }
            Some(_) | None => return Err(error),
        }
    }
    Ok(BTreeMap::new())
}

async fn has_rows(client: UdpClient, column: Oid) -> Result<bool, Box<Error>> {
    match client.get_next(&column).await {
        Ok(answer) => {
            let mut rows = answer.varbinds.iter();
            Ok(rows.any(|varbind| varbind.oid.starts_with(&column) && !is_missing(&varbind.value)))
        }
        Err(error) if fault::status(&error).is_some_and(|(status, _)| status == ErrorStatus::NoSuchName) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

async fn walk(client: UdpClient, column: Oid) -> Result<Vec<(Vec<u32>, Value)>, Box<Error>> {
    let rows = client.walk(column.clone())?.collect().await?;
    let index = |oid: &Oid| oid.arcs().get(column.len()..).map(<[u32]>::to_vec);
    let present = rows.into_iter().filter(|varbind| !is_missing(&varbind.value));
    Ok(present.filter_map(|varbind| Some((index(&varbind.oid)?, varbind.value))).collect())
}

fn is_missing(value: &Value) -> bool {
    value.is_exception() || *value == Value::Null
}
