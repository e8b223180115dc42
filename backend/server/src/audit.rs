//! Who did what: the words of audit records and events.

use rackhand_store::{Result, Tx, audit};
use rackhand_wire::id::TenantId;
use serde_json::Value;
use std::fmt::Display;

use crate::http::{caller::Caller, problem::request_id};

/// Records a deed of a caller, in the transaction of the deed.
///
/// # Errors
/// When it cannot be written: then the deed must not happen.
pub async fn record(
    tx: &Tx,
    tenant: TenantId,
    caller: &Caller,
    action: &str,
    (object, id, name): (&str, impl Display, &str),
    detail: Value,
) -> Result<()> {
    let deed = audit::Deed {
        actor: caller.actor(),
        source_ip: caller.source_ip.clone(),
        action: action.to_owned(),
        object: format!("{object}/{id}"),
        object_name: name.to_owned(),
        detail,
        request_id: Some(request_id()),
    };
    audit::append(tx, tenant, deed).await
}

/// Records what happened by itself.
///
/// # Errors
/// When it cannot be written.
pub async fn by_system(
    tx: &Tx,
    tenant: TenantId,
    action: &str,
    (object, id, name): (&str, impl Display, &str),
    detail: Value,
) -> Result<()> {
    let deed = audit::Deed {
        actor: "system".into(),
        action: action.to_owned(),
        object: format!("{object}/{id}"),
        object_name: name.to_owned(),
        detail,
        ..audit::Deed::default()
    };
    audit::append(tx, tenant, deed).await
}
