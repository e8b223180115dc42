//! An open PDU: one at a time talks to it, and what is written is read back.

use std::collections::BTreeMap;

use async_snmp::{Oid, Value};
use async_trait::async_trait;
use rackhand_driver::capability::{OutletControl, OutletList};
use rackhand_driver::{Device, Endpoint, Gate, Opening};
use rackhand_wire::operation::Identity;
use rackhand_wire::power::{OutletReading, Switch};
use rackhand_wire::{Fault, FaultCode, OutletState, Reason, Timings};
use tokio::sync::{Mutex, MutexGuard};

use super::line::{Line, Voice};
use super::model::Model;
use super::outlet::{self, Outlet};
use super::{detect, settings::Settings};

/// An open PDU, shared by all servers that it feeds.
pub(super) struct Pdu {
    /// Most PDUs cannot serve two clients at once, so one request at a time passes here.
    talk: Mutex<Talk>,
    pinned: Option<String>,
    timings: Timings,
}

/// The line and what is known of the device at its end.
struct Talk {
    line: Line,
    known: Option<Known>,
}

#[derive(Clone)]
struct Known {
    model: &'static Model,
    outlets: Vec<Outlet>,
}

impl Pdu {
    pub(super) fn new(settings: Settings, opening: &Opening<'_>) -> Pdu {
        let line = Line::new(settings, opening.timings, opening.guard);
        let talk = Mutex::new(Talk { line, known: None });
        Pdu { talk, pinned: opening.pinned.map(str::to_owned), timings: *opening.timings }
    }

    /// Reads objects and refuses to go on with another device than the pinned one.
    async fn read(
        &self,
        line: &mut Line,
        voice: Voice,
        model: &Model,
        mut objects: Vec<Oid>,
    ) -> Result<BTreeMap<Oid, Value>, Fault> {
        let serial = model.identity.serial.as_ref().filter(|_| self.pinned.is_some());
        objects.extend(serial.cloned());
        let read = line.get(voice, &objects).await?;
        let told = serial.and_then(|oid| read.get(oid)).map(outlet::text).filter(|told| !told.is_empty());
        match (&self.pinned, told) {
            (Some(pinned), Some(told)) if *pinned != told => {
                let detail = format!("expected serial number {pinned}, found {told}");
                Err(Fault::config(Reason::IdentityMismatch, detail))
            }
            (Some(_) | None, _) => Ok(read),
        }
    }

    async fn read_outlet(
        &self,
        talk: &mut Talk,
        voice: Voice,
        label: &str,
    ) -> Result<(Outlet, OutletReading), Fault> {
        let known = talk.known().await?;
        let outlet = outlet::find(&known.outlets, label)?.clone();
        let objects = outlet::objects(known.model, &outlet);
        let read = self.read(&mut talk.line, voice, known.model, objects).await?;
        let Some(reading) = outlet::reading(known.model, &outlet, &read) else {
            let detail = format!("outlet {label} is not fitted on this PDU");
            return Err(Fault::config(Reason::NoSuchTarget, detail));
        };
        Ok((outlet, reading))
    }

    /// Reads an outlet with the credentials that will write to it, so that a write is sent only where its answer
    /// can be told from silence.
    async fn read_before_write(
        &self,
        talk: &mut Talk,
        label: &str,
    ) -> Result<(Outlet, OutletReading), Fault> {
        talk.known().await?;
        let error = match self.read_outlet(talk, Voice::Write, label).await {
            Err(error) if error.code == FaultCode::Unreach => error,
            read => return read,
        };
        if !talk.line.settings().access.writes_differ() {
            return Err(error);
        }
        // The read credentials tell whether the device is silent or only deaf to the write community.
        self.read_outlet(talk, Voice::Read, label).await?;
        Err(Fault::auth(Reason::WriteRefused, "the write community gets no answer, the read community does"))
    }

    async fn switch(&self, label: &str, to: Switch, gate: &dyn Gate) -> Result<(), Fault> {
        let mut talk = self.talk.lock().await;
        let (outlet, before) = self.read_before_write(&mut talk, label).await?;
        if let Some(why) = before.locked {
            return Err(Fault::new(FaultCode::State, Reason::Locked, format!("outlet {label}: {why}")));
        }
        if matches!(before.state, OutletState::PendingOn | OutletState::PendingOff) {
            let detail = format!("outlet {label} has a command pending");
            return Err(Fault::new(FaultCode::Busy, Reason::Busy, detail));
        }
        let model = talk.known().await?.model;
        let (write, word) = match to {
            Switch::On => (&model.on, "on"),
            Switch::Off => (&model.off, "off"),
        };
        let oid = model.cell(&write.column, &outlet.index);
        // What was read before may have taken long; the line is open, so that nothing but the write follows.
        gate.pass()?;
        talk.line.set(&oid, write.value, &format!("switch outlet {label} {word}")).await?;
        self.settle(&mut talk, label, to).await
    }

    /// Waits a moment for the outlet to follow, so that the next command does not meet a pending one. What it
    /// has become in the end is for the caller to read.
    async fn settle(&self, talk: &mut MutexGuard<'_, Talk>, label: &str, to: Switch) -> Result<(), Fault> {
        const LOOKS: u32 = 4;
        let wanted = match to {
            Switch::On => OutletState::On,
            Switch::Off => OutletState::Off,
        };
        for _ in 0..LOOKS {
            match self.read_outlet(talk, Voice::Read, label).await {
                Ok((_, reading)) if reading.state == wanted => break,
                Ok(_) => tokio::time::sleep(self.timings.outlet_poll / LOOKS).await,
                Err(error) if error.reason == Reason::IdentityMismatch => return Err(error),
                Err(_) => break,
            }
        }
        Ok(())
    }
}

impl Talk {
    /// Returns what is known of the device, found out anew whenever the line was closed.
    async fn known(&mut self) -> Result<Known, Fault> {
        if let Some(known) = self.known.as_ref().filter(|_| self.line.is_open()) {
            return Ok(known.clone());
        }
        let model = match self.line.settings().model {
            Some(chosen) => chosen,
            None => detect::model(&mut self.line).await?,
        };
        let outlets = outlet::list(&mut self.line, model).await?;
        let known = Known { model, outlets };
        self.known = Some(known.clone());
        Ok(known)
    }
}

#[async_trait]
impl Endpoint for Pdu {
    async fn identify(&self) -> Result<Identity, Fault> {
        let mut talk = self.talk.lock().await;
        talk.known = None;
        let known = talk.known().await?;
        if let Some(first) = known.outlets.first() {
            match self.read_before_write(&mut talk, &first.label).await {
                Err(error) if error.reason != Reason::NoSuchTarget => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        let model = known.model;
        let asked = [&model.identity.model, &model.identity.serial, &model.identity.firmware];
        let objects: Vec<Oid> = asked.into_iter().flatten().cloned().collect();
        let read = talk.line.get(Voice::Read, &objects).await?;
        let told = |oid: &Option<Oid>| {
            oid.as_ref().and_then(|oid| read.get(oid)).map(outlet::text).filter(|text| !text.is_empty())
        };
        let notes = [model.switching.caution().map(str::to_owned), model.note.clone()];
        Ok(Identity {
            vendor: Some(model.vendor.clone()),
            model: told(&model.identity.model).or_else(|| Some(model.title.clone())),
            firmware: told(&model.identity.firmware),
            unique: told(&model.identity.serial),
            profile: Some(model.key.to_owned()),
            protocol: Some(talk.line.settings().access.protocol().to_owned()),
            notes: notes.into_iter().flatten().collect(),
        })
    }

    fn attach(&self, target: &serde_json::Value) -> Result<Box<dyn Device + '_>, Fault> {
        let label =
            super::label(target).map_err(|error| Fault::config(Reason::NoSuchTarget, error.message))?;
        Ok(Box::new(Attached { pdu: self, label }))
    }

    fn outlets(&self) -> Option<&dyn OutletList> {
        Some(self)
    }
}

#[async_trait]
impl OutletList for Pdu {
    async fn read_all(&self) -> Result<Vec<OutletReading>, Fault> {
        let mut talk = self.talk.lock().await;
        talk.known = None;
        let known = talk.known().await?;
        let objects = known.outlets.iter().flat_map(|outlet| outlet::objects(known.model, outlet)).collect();
        let read = self.read(&mut talk.line, Voice::Read, known.model, objects).await?;
        Ok(known.outlets.iter().filter_map(|outlet| outlet::reading(known.model, outlet, &read)).collect())
    }
}

/// One outlet, as the server that it feeds sees it.
struct Attached<'a> {
    pdu: &'a Pdu,
    label: String,
}

impl Device for Attached<'_> {
    fn outlet(&self) -> Option<&dyn OutletControl> {
        Some(self)
    }
}

#[async_trait]
impl OutletControl for Attached<'_> {
    async fn read(&self) -> Result<OutletReading, Fault> {
        let mut talk = self.pdu.talk.lock().await;
        let (_, reading) = self.pdu.read_outlet(&mut talk, Voice::Read, &self.label).await?;
        Ok(reading)
    }

    async fn switch(&self, to: Switch, gate: &dyn Gate) -> Result<(), Fault> {
        self.pdu.switch(&self.label, to, gate).await
    }
}
