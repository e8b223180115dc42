use rackhand_wire::{
    Operation, Secrets, Timings,
    command::{EndpointSpec, Urgency},
    id::{CommandId, EndpointId},
    power::Switch,
};
use std::sync::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use super::*;
use crate::{
    journal::{Journal, Known},
    outbox::Outbox,
    worker::Purpose,
};

const HOUR: Duration = Duration::from_hours(1);

fn shared(folder: &tempfile::TempDir) -> Shared {
    let journal = Journal::open(&folder.path().join("journal"), Moment::now()).unwrap();
    Shared {
        journal: Mutex::new(journal),
        timings: Timings::default(),
        guard: rackhand_driver::conformance::guard(),
        lease: Mutex::default(),
        fences: Mutex::default(),
        kept: Mutex::default(),
        outbox: Outbox::default(),
        rested: Notify::new(),
        may_restore: AtomicBool::new(false),
    }
}

/// An outlet that is cut for an hour.
fn cut(fence: u64, leased: bool) -> Task {
    let command = Command {
        id: CommandId(Uuid::from_u128(1)),
        endpoint: EndpointSpec {
            id: Some(EndpointId(Uuid::from_u128(9))),
            kind: "snmp_pdu".into(),
            params: serde_json::json!({}),
            pinned: None,
        },
        target: serde_json::json!({"outlet": "7"}),
        operation: Operation::SetOutlet { to: Switch::Off },
        expires_in_ms: None,
        restore_after_ms: Some(3_600_000),
        fence,
        leased,
        urgency: Urgency::Awaited,
    };
    Task { command, secrets: Secrets::default(), received: Instant::now(), purpose: Purpose::Answer }
}

fn hold(shared: &Shared, since: Instant) {
    *shared.lease.lock().unwrap() = Some(Lease { since, until: Instant::now() + HOUR });
}

fn known(shared: &Shared, task: &Task) -> Option<Known> {
    shared.journal().find(task.command.id).cloned()
}

fn cause(refused: Result<(), Fault>) -> (FaultCode, Reason) {
    let fault = refused.unwrap_err();
    (fault.code, fault.reason)
}

#[test]
fn a_lease_with_a_gap_does_not_cover_what_came_before_it() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let first = Lease::after(None, at(6), at(0));
    let renewed = Lease::after(Some(first), at(8), at(2));
    assert!(renewed.covers(at(1), at(7)) && !renewed.covers(at(1), at(8)));
    let late = Lease::after(Some(renewed), at(16), at(10));
    assert!(!late.covers(at(7), at(11)), "another agent may have had the device in between");
    assert!(late.covers(at(10), at(11)));
}

#[test]
fn what_was_refused_before_anything_left_is_not_known_and_what_is_refused_later_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, task) = (shared(&folder), cut(1, true));
    let permit = Permit::new(&shared, &task);
    assert_eq!(cause(permit.pass()), (FaultCode::Exec, Reason::LeaseLost));
    assert_eq!((permit.has_begun(), known(&shared, &task)), (false, None));
    hold(&shared, task.received);
    for _ in 0..2 {
        assert_eq!(permit.pass(), Ok(()));
        assert_eq!((permit.has_begun(), known(&shared, &task)), (true, Some(Known::Started)));
    }
    *shared.lease.lock().unwrap() = None;
    assert_eq!(cause(permit.pass()), (FaultCode::Lost, Reason::AnswerLost));
    assert_eq!(known(&shared, &task), Some(Known::Started));
    assert_eq!(shared.journal().cuts().len(), 1, "what may have been cut is restored");
}

#[test]
fn what_grew_too_old_on_its_way_does_not_leave() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, mut task) = (shared(&folder), cut(1, false));
    task.command.expires_in_ms = Some(3_600_000);
    assert_eq!(may_write(&shared, &task), Ok(()));
    task.command.expires_in_ms = Some(0);
    let permit = Permit::new(&shared, &task);
    while task.received.elapsed().is_zero() {}
    assert_eq!(cause(permit.pass()), (FaultCode::Exec, Reason::Expired));
    assert_eq!(known(&shared, &task), None);
}

#[test]
fn epochs_of_a_device_are_of_one_counter_with_and_without_a_lease() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared(&folder);
    hold(&shared, Instant::now());
    for (fence, leased, may) in [
        (3, true, true),
        // The device is one agent's alone by now: the command carries the epoch that is stored.
        (3, false, true),
        // Sent before it changed hands; without a lease nothing else would stop it.
        (2, false, false),
        (2, true, false),
        (4, false, true),
        (3, true, false),
        (4, true, true),
    ] {
        let refused = may_write(&shared, &cut(fence, leased));
        assert_eq!(refused.is_ok(), may, "{fence} {leased}: {refused:?}");
    }
}

#[test]
fn a_newer_epoch_that_was_heard_holds_back_what_is_being_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, task) = (shared(&folder), cut(3, false));
    let permit = Permit::new(&shared, &task);
    assert_eq!(may_write(&shared, &task), Ok(()));
    hear(&shared, &cut(4, false).command);
    assert_eq!(cause(permit.pass()), (FaultCode::Exec, Reason::LeaseLost));
}
