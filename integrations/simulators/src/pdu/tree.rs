//! The objects of a management card: what an OID shows, and what writing to it does.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_snmp::handler::{
    BoxFuture, GetNextResult, GetResult, HandlerResult, MibHandler, PreparedSet, RequestContext,
    SetCommitError, SetCommitResult, SetTestError, SetTestResult, SetUndoResult,
};
use async_snmp::{Oid, Value, VarBind};

use super::model::PduModel;
use crate::world::{OutletCommand, OutletFault, OutletView, Pdu, Reading, WorldTimings};

/// What one OID is.
#[derive(Debug, Clone)]
pub(super) enum Object {
    /// A value that never changes.
    Fixed(Value),
    /// The time since the card started.
    Uptime,
    /// Something read from an outlet.
    Live(u16, Show),
    /// An outlet's name, which can be written.
    Name(u16),
    /// A control of an outlet: shows something and takes commands.
    Control(u16, Show, Act),
}

/// Shows an outlet as a value.
pub(super) type Show = fn(&OutletView, Reading) -> Value;

/// Understands a written number; `None` for one outside the object's range.
pub(super) type Act = fn(i32, WorldTimings) -> Option<OutletCommand>;

/// All objects of one card.
pub(super) struct Tree {
    pdu: Pdu,
    objects: BTreeMap<Oid, Object>,
    began: Instant,
    writes: Arc<AtomicU64>,
}

impl Tree {
    /// Makes the objects of a card of `model` for `pdu`.
    pub(super) fn new(pdu: Pdu, model: PduModel) -> Tree {
        let objects = model.objects(&pdu).into_iter().collect();
        Tree { pdu, objects, began: Instant::now(), writes: Arc::default() }
    }

    /// Returns the counter that rises with every write carried out.
    pub(super) fn writes(&self) -> Arc<AtomicU64> {
        self.writes.clone()
    }

    fn show(&self, object: &Object) -> Option<Value> {
        match object {
            Object::Fixed(value) => Some(value.clone()),
            Object::Uptime => {
                let hundredths = self.began.elapsed().as_millis() / 10;
                Some(Value::TimeTicks(u32::try_from(hundredths).unwrap_or(u32::MAX)))
            }
            Object::Live(outlet, show) | Object::Control(outlet, show, _) => {
                Some(show(&self.pdu.outlet(*outlet)?, self.pdu.reading(*outlet)?))
            }
            Object::Name(outlet) => Some(Value::OctetString(self.pdu.outlet(*outlet)?.name.into())),
        }
    }

    fn next(&self, after: &Oid) -> GetNextResult {
        let rest = self.objects.range((Bound::Excluded(after.clone()), Bound::Unbounded));
        for (oid, object) in rest {
            if let Some(value) = self.show(object) {
                return GetNextResult::Value(VarBind::new(oid.clone(), value));
            }
        }
        GetNextResult::EndOfMibView
    }

    fn test(&self, oid: &Oid, value: &Value) -> SetTestResult {
        let object = self.objects.get(oid).ok_or(SetTestError::NoCreation)?;
        let change = match object {
            Object::Fixed(_) | Object::Uptime | Object::Live(..) => return Err(SetTestError::NotWritable),
            Object::Name(outlet) => {
                let name = value.as_str().ok_or(SetTestError::WrongType)?;
                if name.len() > 31 {
                    return Err(SetTestError::WrongLength);
                }
                Change::Rename(*outlet, name.to_owned())
            }
            Object::Control(outlet, _, act) => {
                let number = value.as_i32().ok_or(SetTestError::WrongType)?;
                let command = act(number, self.pdu.timings()).ok_or(SetTestError::WrongValue)?;
                let view = self.pdu.outlet(*outlet).ok_or(SetTestError::NoCreation)?;
                if view.fault == Some(OutletFault::Locked) {
                    return Err(SetTestError::InconsistentValue);
                }
                Change::Switch(*outlet, command)
            }
        };
        Ok(Box::new(Prepared { pdu: self.pdu.clone(), writes: self.writes.clone(), change }))
    }
}

impl MibHandler for Tree {
    fn get<'a>(&'a self, _: &'a RequestContext, oid: &'a Oid) -> BoxFuture<'a, HandlerResult<GetResult>> {
        let found = self.objects.get(oid).and_then(|object| self.show(object));
        Box::pin(async move { Ok(found.map_or(GetResult::NoSuchInstance, GetResult::Value)) })
    }

    fn get_next<'a>(
        &'a self,
        _: &'a RequestContext,
        oid: &'a Oid,
    ) -> BoxFuture<'a, HandlerResult<GetNextResult>> {
        Box::pin(async move { Ok(self.next(oid)) })
    }

    fn test_set<'a>(
        &'a self,
        _: &'a RequestContext,
        oid: &'a Oid,
        value: &'a Value,
    ) -> BoxFuture<'a, SetTestResult> {
        Box::pin(async move { self.test(oid, value) })
    }
}

/// A write that was found good.
struct Prepared {
    pdu: Pdu,
    writes: Arc<AtomicU64>,
    change: Change,
}

/// What a write changes.
enum Change {
    Rename(u16, String),
    Switch(u16, OutletCommand),
}

impl PreparedSet for Prepared {
    fn commit<'a>(
        &'a mut self,
        _: &'a RequestContext,
        _: &'a Oid,
        _: &'a Value,
    ) -> BoxFuture<'a, SetCommitResult> {
        Box::pin(async move {
            let done = match &self.change {
                Change::Rename(outlet, name) => self.pdu.rename(*outlet, name),
                Change::Switch(outlet, command) => self.pdu.switch(*outlet, *command),
            };
            self.writes.fetch_add(1, Ordering::AcqRel);
            done.map_err(|_| SetCommitError::Failed)
        })
    }

    /// A relay that has moved cannot be unmoved: like a real card, nothing is taken back.
    fn undo<'a>(
        &'a mut self,
        _: &'a RequestContext,
        _: &'a Oid,
        _: &'a Value,
    ) -> BoxFuture<'a, SetUndoResult> {
        Box::pin(async { Ok(()) })
    }
}
