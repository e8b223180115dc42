//! Sending: one connection per outlet, the new device with the first.

use leptos::prelude::*;
use rackhand_wire::api::{
    connection::{AddConnection, Connection},
    live::Object,
    problem::Problem,
};
use serde_json::Value;

use super::{Making, Pick};
use crate::{api, live, part::toast};

/// Adds what was chosen and closes the dialog. What was added before a refusal stays and is no longer asked for.
pub fn send(making: Making) {
    let path = making.scene.path("/connections");
    let picks: Vec<Option<Pick>> = match making.picks.get_untracked() {
        picks if picks.is_empty() => vec![None],
        picks => picks.into_iter().map(Some).collect(),
    };
    let work = async move {
        let mut made: Vec<Connection> = Vec::new();
        let mut new_device = None;
        let last = picks.len();
        for (at, pick) in picks.into_iter().enumerate() {
            let mut body = body(making, pick.as_ref());
            if body.endpoint.is_some() && new_device.is_some() {
                body.endpoint = None;
                body.endpoint_id = new_device;
            }
            // Said with the last one only: before it, not all outlets are known.
            body.feeds_complete =
                if at + 1 == last { untrack(|| making.complete.try_get().flatten()) } else { None };
            let connection: Connection = api::post_once(making.submit.intent, &path, &body).await?;
            if body.endpoint.is_some() {
                new_device = Some(connection.endpoint_id);
            }
            forget(making, pick.as_ref(), new_device);
            made.push(connection);
        }
        Ok::<_, Problem>(made)
    };
    making.submit.run(work, move |made| done(making, &made));
}

fn body(making: Making, pick: Option<&Pick>) -> AddConnection {
    let saved = match pick {
        Some(pick) => pick.endpoint,
        None => untrack(|| making.saved_id()),
    };
    let target = making.kind.with_value(|kind| making.target.params(&kind.descriptor.target_fields));
    let mut target = target.as_object().cloned().unwrap_or_default();
    if let (Some(pick), Some(field)) = (pick, making.outlet_field()) {
        target.insert(field, Value::String(pick.outlet.clone()));
    }
    AddConnection {
        endpoint_id: saved,
        endpoint: saved.is_none().then(|| making.draft.add()),
        target: Value::Object(target),
        features: Some(making.ticked.get_untracked()),
        agent_id: saved.and_then(|_| making.draft.agent_id()),
        agent_group: saved.and_then(|_| making.draft.agent_group()),
        feeds_complete: None,
    }
}

/// A second try after a refusal must not add again what stands already.
fn forget(making: Making, pick: Option<&Pick>, new_device: Option<rackhand_wire::id::EndpointId>) {
    let Some(pick) = pick else { return };
    making.picks.try_update(|picks| {
        picks.retain(|other| other != pick);
        for other in picks.iter_mut().filter(|other| other.endpoint.is_none()) {
            other.endpoint = new_device;
        }
    });
}

fn done(making: Making, made: &[Connection]) {
    let labels: Vec<_> = made.iter().map(|connection| connection.label.as_str()).collect();
    toast::done(format!("Added: {}", labels.join(", ")));
    making.scene.adding.try_set(false);
    making.scene.again.try_run(());
    for connection in made {
        live::announce(Object::Endpoint, connection.endpoint_id);
    }
}
