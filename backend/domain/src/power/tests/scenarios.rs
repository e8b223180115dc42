//! Bad moments, one by one.

use super::*;

pub(super) fn reading(power: Switch, cause: Option<&str>) -> Signal {
    Signal::Read(Ok(PowerReading { power, restore_policy: None, restart_cause: cause.map(Into::into) }))
}

pub(super) fn verdict(run: &Run) -> crate::power::Verdict {
    let Effect::Finish(verdict) = &run.pending().effect else { panic!("it goes on: {:?}", run.pending()) };
    verdict.clone()
}

pub(super) fn refused(code: FaultCode) -> Signal {
    Signal::Commanded(Err(Fault::new(code, Reason::NotSupported, "")))
}

/// A cycle that has proven off and begins its second half.
fn cycle_after_off(outlets: usize) -> Run {
    after_off(plan(PowerAction::Cycle, outlets))
}

pub(super) fn after_off(cycle: Plan) -> Run {
    let mut run = Run::start(cycle, 0);
    run.step(&reading(Switch::On, None), 10);
    run.step(&Signal::Commanded(Ok(())), 20);
    run.step(&Signal::Waited, 1020);
    run.step(&reading(Switch::Off, None), 1030);
    run.step(&Signal::Waited, 6030);
    run
}

#[test]
fn a_lost_reset_is_not_proven_by_a_cause_that_was_not_known_before() {
    for (before, after, state) in [
        (None, Some("power button"), JobState::Indeterminate),
        (Some("power button"), Some("power button"), JobState::Indeterminate),
        (Some("power button"), Some("chassis control"), JobState::Succeeded),
    ] {
        let mut run = Run::start(plan(PowerAction::Reset, 0), 0);
        run.step(&reading(Switch::On, before), 10);
        run.step(&Signal::Commanded(Err(Fault::lost(""))), 20);
        run.step(&Signal::Waited, 1020);
        run.step(&reading(Switch::On, after), 1030);
        assert_eq!(verdict(&run).state, state, "{before:?} {after:?}");
    }
}

#[test]
fn the_next_controller_is_tried_before_the_outlets() {
    for code in [FaultCode::Unsupported, FaultCode::Unreach] {
        let mut two = plan(PowerAction::Off, 2);
        two.controllers.push(path(2, "AMT"));
        let mut run = Run::start(two, 0);
        run.step(&reading(Switch::On, None), 10);
        run.step(&refused(code), 20);
        assert_eq!(run.pending().effect, Effect::Read { controller: 1 }, "{code:?}");
    }
}

#[test]
fn a_refused_command_is_not_said_to_be_sent() {
    let mut run = Run::start(plan(PowerAction::Off, 0), 0);
    run.step(&reading(Switch::On, None), 10);
    run.step(&refused(FaultCode::Auth), 20);
    assert!(verdict(&run).summary.contains("Nothing was sent"), "{:?}", verdict(&run));
}

#[test]
fn a_shutdown_that_nobody_could_follow_is_not_said_to_have_failed() {
    let mut run = Run::start(plan(PowerAction::Shutdown, 0), 0);
    run.step(&reading(Switch::On, None), 10);
    run.step(&Signal::Commanded(Ok(())), 20);
    let (mut now, mut reads) = (20, 0);
    loop {
        let signal = match run.pending().effect.clone() {
            Effect::Wait { ms } => {
                now += ms;
                Signal::Waited
            }
            Effect::Read { .. } => {
                reads += 1;
                let silent = Signal::Read(Err(Fault::unreachable("")));
                if reads == 1 { reading(Switch::On, None) } else { silent }
            }
            Effect::Command { .. } => refused(FaultCode::Unreach),
            Effect::ReadOutlet { .. }
            | Effect::SwitchOutlet { .. }
            | Effect::KeepOff
            | Effect::CheckGates
            | Effect::Finish(_) => break,
        };
        run.step(&signal, now);
    }
    assert_eq!(verdict(&run).state, JobState::Indeterminate, "{:?}", verdict(&run));
}

#[test]
fn an_ignored_shutdown_ends_within_two_seconds_of_its_deadline() {
    // A minute after the first press there is a second one, where there is so much time.
    for (deadline, presses) in
        [(30_000_u64, 1..=1), (60_000, 1..=1), (63_000, 1..=2), (180_000, 2..=2), (600_000, 2..=2)]
    {
        for answer_takes in [10_u64, 1_900] {
            let mut ignored = plan(PowerAction::Shutdown, 2);
            ignored.rhythm.soft_deadline = deadline;
            let mut run = Run::start(ignored, 0);
            let (mut now, mut pressed) = (0_u64, 0);
            while !matches!(run.pending().effect, Effect::Finish(_)) {
                let signal = match run.pending().effect.clone() {
                    Effect::Wait { ms } => {
                        now += ms;
                        Signal::Waited
                    }
                    Effect::Read { .. } => {
                        now += answer_takes;
                        reading(Switch::On, None)
                    }
                    Effect::Command { command, .. } => {
                        assert_eq!(command, Native::Shutdown);
                        now += answer_takes;
                        pressed += 1;
                        Signal::Commanded(Ok(()))
                    }
                    other @ (Effect::ReadOutlet { .. }
                    | Effect::SwitchOutlet { .. }
                    | Effect::KeepOff
                    | Effect::CheckGates
                    | Effect::Finish(_)) => panic!("it waits for the shutdown: {other:?}"),
                };
                run.step(&signal, now);
            }
            let told = verdict(&run);
            assert_eq!((told.state, told.reason.as_str()), (JobState::Failed, "soft_timeout"), "{told:?}");
            assert!(presses.contains(&pressed), "{pressed} of {deadline} ms: {told:?}");
            assert!(now.abs_diff(deadline) <= 2_000, "after {now} of {deadline} ms: {told:?}");
        }
    }
}

#[test]
fn a_shutdown_that_is_forced_in_the_end_is_told_so() {
    let mut patient = plan(PowerAction::Shutdown, 2);
    patient.action.escalate = true;
    let mut run = Run::start(patient, 0);
    let (mut now, mut on, mut sent) = (0, true, Vec::new());
    while !matches!(run.pending().effect, Effect::Finish(_)) {
        now += 10;
        let signal = match run.pending().effect.clone() {
            Effect::Wait { ms } => {
                now += ms;
                Signal::Waited
            }
            Effect::Read { .. } => reading(if on { Switch::On } else { Switch::Off }, None),
            Effect::Command { command, .. } => {
                on = command == Native::Shutdown;
                sent.push(command);
                Signal::Commanded(Ok(()))
            }
            other @ (Effect::ReadOutlet { .. }
            | Effect::SwitchOutlet { .. }
            | Effect::KeepOff
            | Effect::CheckGates
            | Effect::Finish(_)) => panic!("the controller answers: {other:?}"),
        };
        run.step(&signal, now);
    }
    let told = verdict(&run);
    assert_eq!((sent.last(), told.state), (Some(&Native::Off), JobState::Succeeded), "{told:?}");
    assert!(
        told.summary.starts_with("The system did not shut down in time and was switched off."),
        "{told:?}"
    );
}

#[test]
fn a_cycle_that_breaks_off_after_off_says_that_the_server_is_off() {
    for fault in [Fault::unreachable(""), Fault::new(FaultCode::Auth, Reason::WrongPassword, "")] {
        let mut run = cycle_after_off(0);
        run.step(&Signal::Read(Err(fault)), 26_030);
        let told = verdict(&run);
        assert_eq!((told.state, told.value), (JobState::FailedPartial, Some(PowerValue::Off)), "{told:?}");
        assert!(told.alarm && told.summary.contains("the server is off"), "{told:?}");
        assert!(!told.summary.contains("“on” was sent"), "{told:?}");
    }
}

#[test]
fn a_cancelled_cycle_says_how_far_it_came() {
    let mut run = cycle_after_off(0);
    run.cancel();
    run.step(&reading(Switch::Off, None), 26_030);
    let told = verdict(&run);
    assert_eq!((told.state, told.value), (JobState::Cancelled, Some(PowerValue::Off)), "{told:?}");
    assert!(told.summary.contains("the server is off"), "{told:?}");

    let mut was_off = Run::start(plan(PowerAction::Cycle, 0), 0);
    was_off.step(&reading(Switch::Off, None), 10);
    was_off.step(&reading(Switch::Off, None), 20);
    was_off.cancel();
    was_off.step(&Signal::Commanded(Ok(())), 30);
    let told = verdict(&was_off);
    assert!(told.summary.contains("“on” was sent") && !told.summary.contains("off"), "{told:?}");
}

#[test]
fn a_run_cancelled_before_its_first_write_writes_nothing() {
    let off = || Signal::Outlet(Ok(OutletSeen { state: OutletState::Off, locked: None }));
    let mut missing = plan(PowerAction::On, 2);
    missing.feeds_missing = true;
    let mut run = Run::start(missing, 0);
    run.step(&off(), 10);
    run.cancel();
    run.step(&off(), 20);
    let told = verdict(&run);
    assert_eq!(
        (told.state, told.summary.as_str()),
        (JobState::Cancelled, "Stopped before anything was sent.")
    );
}

#[test]
fn outlets_that_feed_something_else_prove_nothing_and_are_left_alone() {
    for what in [PowerAction::Off, PowerAction::Cycle, PowerAction::On] {
        let mut wrong = plan(what, 2);
        (wrong.feeds_dark, wrong.feeds_missing) = (true, true);
        wrong.switch_refusal = Some(Refusal::new("wiring_mismatch", "They feed something else."));
        let mut run = Run::start(wrong.clone(), 0);
        assert_eq!(run.pending().effect, Effect::Read { controller: 0 }, "{what:?}");
        run.step(&Signal::Read(Err(Fault::unreachable(""))), 20_000);
        assert_eq!(verdict(&run).reason, "wiring_mismatch", "{what:?}: nor as a fallback");
        wrong.action.via = Via::Outlets;
        assert_eq!(verdict(&Run::start(wrong, 0)).reason, "wiring_mismatch", "{what:?}: nor by force");
    }
}

#[test]
fn another_bmc_that_falls_silent_is_still_another_one() {
    let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
    let context = context(now);
    let look = |state, fault: Option<Fault>, before: &ServerPower| {
        let bmc = PathEvidence { fault, ..evidence(Role::Controller, state, now) };
        let power = weigh(vec![bmc, evidence(Role::Feed, Some(PathState::FeedOn), now)], &context, before);
        (power.flags.contains(&PowerFlag::IdentityMismatch), power)
    };
    let (flagged, other) =
        look(None, Some(Fault::config(Reason::IdentityMismatch, "")), &ServerPower::default());
    assert!(flagged);
    let (flagged, silent) = look(None, Some(Fault::unreachable("")), &other);
    assert!(flagged, "silence tells nothing");
    assert!(!look(Some(PathState::On), None, &silent).0, "the right one answered");
}

#[test]
fn a_bmc_that_falls_silent_while_its_firmware_is_written_is_not_cut() {
    let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
    let look = |state, fault: Option<Fault>, after: TimeDelta, before: &ServerPower| {
        let context = context(now + after);
        let bmc = PathEvidence { fault, ..evidence(Role::Controller, state, context.now) };
        let feed = evidence(Role::Feed, Some(PathState::FeedOn), context.now);
        weigh(vec![bmc, feed], &context, before)
    };
    let flagged = |power: &ServerPower| power.flags.contains(&PowerFlag::FirmwareUpdate);
    let said = Fault::new(FaultCode::Updating, Reason::FirmwareUpdate, "");
    let writing = look(None, Some(said), TimeDelta::zero(), &ServerPower::default());
    assert!(flagged(&writing));
    let silent = look(None, Some(Fault::unreachable("")), TimeDelta::minutes(59), &writing);
    assert!(flagged(&silent), "it is silent because it writes");
    assert!(!flagged(&look(Some(PathState::On), None, TimeDelta::minutes(59), &silent)), "it is done");
    let refused = look(
        None,
        Some(Fault::new(FaultCode::Busy, Reason::NotSupported, "")),
        TimeDelta::minutes(1),
        &writing,
    );
    let silent_then = look(None, Some(Fault::unreachable("")), TimeDelta::minutes(2), &refused);
    assert!(flagged(&refused) && flagged(&silent_then), "a refusal is no end of it");
    let dead = look(None, Some(Fault::unreachable("")), TimeDelta::minutes(61), &silent);
    assert!(!flagged(&dead), "no board writes for so long");
}

#[test]
fn a_reset_of_a_server_without_feeds_becomes_on_if_asked_for() {
    let mut dark = plan(PowerAction::Reset, 1);
    (dark.feeds_dark, dark.feeds_missing, dark.action.on_if_off) = (true, true, true);
    assert!(dark.feeds_come_first());
    let mut run = Run::start(dark.clone(), 0);
    let mut fed = OutletState::Off;
    for now in 1..20 {
        let signal = match run.pending().effect {
            Effect::ReadOutlet { .. } => outlet(fed),
            Effect::KeepOff => Signal::Kept(Ok(())),
            Effect::SwitchOutlet { .. } => {
                fed = OutletState::On;
                Signal::Switched(Ok(()))
            }
            Effect::Wait { .. }
            | Effect::Read { .. }
            | Effect::Command { .. }
            | Effect::CheckGates
            | Effect::Finish(_) => break,
        };
        run.step(&signal, now);
    }
    assert!(run.starting(5).is_some(), "its BMC is awaited: {:?}", run.pending());
    dark.action.on_if_off = false;
    assert!(!dark.feeds_come_first());
    assert_eq!(Run::start(dark, 0).pending().effect, Effect::Read { controller: 0 });
}

#[test]
fn off_by_outlets_is_over_when_the_supplies_are_empty_and_every_outlet_is_still_off() {
    for (comes_on, falls_silent) in [(false, false), (true, false), (false, true)] {
        let mut forced = plan(PowerAction::Off, 2);
        forced.action.via = Via::Outlets;
        let mut run = Run::start(forced, 0);
        let (mut on, mut empty) = ([true; 2], false);
        while !matches!(run.pending().effect, Effect::Finish(_)) {
            let signal = match run.pending().effect.clone() {
                Effect::ReadOutlet { .. } if empty && falls_silent => {
                    Signal::Outlet(Err(Fault::unreachable("")))
                }
                Effect::ReadOutlet { outlet: at } => {
                    outlet(if on[at] { OutletState::On } else { OutletState::Off })
                }
                Effect::SwitchOutlet { outlet, to, .. } => {
                    on[outlet] = to == Switch::On;
                    Signal::Switched(Ok(()))
                }
                Effect::KeepOff => Signal::Kept(Ok(())),
                Effect::Wait { ms } => {
                    if run.pending().phase == crate::power::effect::Phase::Hold {
                        assert!(ms == run.plan().rhythm.discharge && on == [false; 2], "{on:?}");
                        (empty, on[1]) = (true, comes_on);
                    }
                    Signal::Waited
                }
                other @ (Effect::Read { .. }
                | Effect::Command { .. }
                | Effect::CheckGates
                | Effect::Finish(_)) => {
                    panic!("{other:?}")
                }
            };
            run.step(&signal, 10);
        }
        let told = verdict(&run);
        assert!(empty, "a feed that returns at once was never missed: {told:?}");
        let state = if comes_on { JobState::FailedPartial } else { JobState::Succeeded };
        assert_eq!(told.state, state, "{told:?}");
    }
}

#[test]
fn the_time_that_a_controller_has_to_start_runs_out_over_all_its_waits() {
    let mut forced = plan(PowerAction::On, 1);
    forced.action.via = Via::Outlets;
    forced.controllers.push(path(2, "AMT"));
    let mut run = Run::start(forced, 0);
    let seen = |state| Signal::Outlet(Ok(OutletSeen { state, locked: None }));
    let (mut now, mut fed, mut lefts, mut asked) = (0, false, Vec::new(), Vec::new());
    while !matches!(run.pending().effect, Effect::Finish(_)) {
        now += 10;
        let signal = match run.pending().effect.clone() {
            Effect::ReadOutlet { .. } => seen(if fed { OutletState::On } else { OutletState::Off }),
            Effect::SwitchOutlet { .. } => {
                fed = true;
                Signal::Switched(Ok(()))
            }
            Effect::Wait { ms } => {
                lefts.extend(run.starting(now).map(|(_, left)| left));
                now += ms;
                Signal::Waited
            }
            Effect::Read { controller } => {
                asked.push(controller);
                assert!(run.starting(now).is_none(), "it asks, it does not wait");
                Signal::Read(Err(Fault::unreachable("")))
            }
            other @ (Effect::Command { .. } | Effect::KeepOff | Effect::CheckGates | Effect::Finish(_)) => {
                panic!("an outlet is switched on: {other:?}")
            }
        };
        run.step(&signal, now);
    }
    let whole = run.plan().rhythm.warm_up;
    assert!(lefts.len() > 2 && lefts[0] <= whole && whole - lefts[0] < 100, "{lefts:?} of {whole}");
    assert!(lefts.is_sorted_by(|before, after| before > after), "{lefts:?}");
    // Either may be the first that is up.
    assert!(asked.starts_with(&[0, 1, 0]) && asked.windows(2).all(|two| two[0] != two[1]), "{asked:?}");
}

#[test]
fn an_outlet_that_refuses_in_its_state_is_read_before_it_counts_as_dead() {
    for (reason, dead) in [(Reason::WrongState, false), (Reason::Locked, true)] {
        let mut forced = plan(PowerAction::On, 2);
        forced.action.via = Via::Outlets;
        forced.controllers.clear();
        let mut run = Run::start(forced, 0);
        run.step(&outlet(OutletState::Off), 10);
        run.step(&outlet(OutletState::On), 20);
        run.step(&Signal::Switched(Err(Fault::new(FaultCode::State, reason, ""))), 30);
        if !dead {
            run.step(&outlet(OutletState::On), 40);
        }
        let state = if dead { JobState::SucceededDegraded } else { JobState::Succeeded };
        assert_eq!(verdict(&run).state, state, "{reason:?}: {:?}", run.pending());
    }
}

fn away() -> Fault {
    Fault::new(FaultCode::Exec, Reason::AgentOffline, "")
}

fn outlet(state: OutletState) -> Signal {
    Signal::Outlet(Ok(OutletSeen { state, locked: None }))
}

#[test]
fn a_feed_whose_agent_is_away_comes_after_those_that_can_be_switched_on() {
    let switched_on = |outlet| Effect::SwitchOutlet { outlet, to: Switch::On, restore_after_ms: None };
    let mut forced = plan(PowerAction::On, 2);
    forced.action.via = Via::Outlets;
    let mut run = Run::start(forced, 0);
    run.step(&outlet(OutletState::Off), 10);
    assert!(!run.others_wait(), "nothing can be switched before all are read");
    run.step(&outlet(OutletState::Off), 20);
    assert_eq!((run.pending().effect.clone(), run.others_wait()), (switched_on(0), true));
    run.step(&Signal::Switched(Err(away())), 30);
    run.step(&Signal::Waited, 40);
    assert_eq!((run.pending().effect.clone(), run.others_wait()), (switched_on(1), false));
    run.step(&Signal::Switched(Ok(())), 50);
    run.step(&outlet(OutletState::On), 60);
    run.step(&Signal::Waited, 70);
    // It may be on by now; if not, it is told again.
    assert_eq!((run.pending().effect.clone(), run.others_wait()), (Effect::ReadOutlet { outlet: 0 }, false));
    run.step(&outlet(OutletState::Off), 60_000);
    assert_eq!(run.pending().effect, switched_on(0));
}

#[test]
fn an_agent_that_leaves_after_off_was_proven_leaves_the_server_off_and_it_is_said() {
    let mut run = cycle_after_off(0);
    let mut sent = run.clone();
    run.step(&Signal::Read(Err(away())), 6040);
    let told = verdict(&run);
    assert_eq!((told.state, told.value), (JobState::FailedPartial, Some(PowerValue::Off)), "{told:?}");
    assert!(told.alarm && told.summary.contains("the server is off"), "{told:?}");
    assert!(!told.summary.contains("Nothing was sent"), "{told:?}");
    sent.step(&reading(Switch::Off, None), 6040);
    sent.step(&Signal::Commanded(Err(away())), 6050);
    let told = verdict(&sent);
    assert_eq!((told.state, told.value), (JobState::FailedPartial, Some(PowerValue::Off)), "{told:?}");
    assert!(told.alarm && told.summary.contains("“on” was not sent"), "{told:?}");
}

#[test]
fn a_fallback_after_off_that_is_stopped_or_left_alone_says_that_the_server_is_off() {
    let mut run = cycle_after_off(2);
    run.step(&Signal::Read(Err(Fault::unreachable(""))), 26_030);
    run.step(&Signal::Gates(Ok(())), 26_040);
    let mut left = run.clone();
    run.cancel();
    run.step(&outlet(OutletState::On), 26_050);
    run.step(&outlet(OutletState::On), 26_060);
    let told = verdict(&run);
    assert_eq!((told.state, told.value), (JobState::Cancelled, Some(PowerValue::Off)), "{told:?}");
    assert!(told.summary.contains("the server is off"), "{told:?}");
    left.step(&Signal::Outlet(Err(away())), 56_050);
    let told = verdict(&left);
    assert_eq!((told.state, told.value), (JobState::FailedPartial, Some(PowerValue::Off)), "{told:?}");
}

#[test]
fn what_was_switched_on_before_the_controller_is_not_said_to_be_its_command() {
    let mut plan = plan(PowerAction::On, 2);
    plan.feeds_missing = true;
    let mut run = Run::start(plan, 0);
    let signals = [OutletState::On, OutletState::Off].map(outlet).into_iter();
    let signals = signals.chain([Signal::Switched(Ok(())), outlet(OutletState::On)]);
    for (signal, now) in signals.zip(1..) {
        run.step(&signal, now);
    }
    assert!(matches!(run.pending().effect, Effect::Read { .. }), "{:?}", run.pending());
    let mut left = run.clone();
    run.cancel();
    run.step(&reading(Switch::Off, None), 20);
    let told = verdict(&run);
    assert!(told.state == JobState::Cancelled && told.summary.contains("sent nothing"), "{told:?}");
    left.step(&Signal::Read(Err(away())), 20);
    let told = verdict(&left);
    assert_eq!(told.state, JobState::Failed, "not expired: something was switched: {told:?}");
    assert!(!told.summary.contains("Nothing was sent"), "{told:?}");
}

#[test]
fn what_no_agent_began_in_time_expires_and_was_not_sent() {
    for what in PowerAction::ALL {
        let mut run = Run::start(plan(what, 2), 0);
        run.step(&Signal::Read(Err(away())), 30_000);
        assert_eq!(verdict(&run).state, JobState::Expired, "{what:?}: {:?}", verdict(&run));
    }
    let mut at_once = Run::start(plan(PowerAction::Off, 0), 0);
    at_once.step(&reading(Switch::On, None), 10);
    at_once.step(&Signal::Commanded(Err(away())), 30_010);
    let told = verdict(&at_once);
    assert!(told.state == JobState::Expired && told.summary.contains("Nothing was sent"), "{told:?}");

    let mut dark = plan(PowerAction::On, 2);
    dark.controllers.clear();
    let mut run = Run::start(dark, 0);
    run.step(&Signal::Outlet(Err(away())), 30_000);
    run.step(&Signal::Outlet(Err(away())), 60_000);
    assert_eq!(verdict(&run).state, JobState::Expired, "nothing is switched on long after");
}

#[test]
fn a_cut_that_no_agent_began_has_not_cost_the_server_its_power() {
    let mut forced = plan(PowerAction::Off, 1);
    forced.action.via = Via::Outlets;
    let mut run = Run::start(forced, 0);
    run.step(&outlet(OutletState::On), 10);
    let mut stopped = run.clone();
    run.step(&Signal::Switched(Err(away())), 30_010);
    let told = verdict(&run);
    assert!(told.state == JobState::Failed && !told.summary.contains("lost power"), "{told:?}");
    stopped.cancel();
    stopped.step(&Signal::Switched(Err(away())), 30_010);
    let told = verdict(&stopped);
    assert_eq!(
        (told.state, told.summary.as_str()),
        (JobState::Cancelled, "Stopped before anything was sent.")
    );
}

#[test]
fn a_person_who_stops_what_waits_for_an_agent_is_heard_and_told_how_far_it_came() {
    let mut run = Run::start(plan(PowerAction::Off, 2), 0);
    let mut at_command = run.clone();
    run.cancel();
    run.step(&Signal::Read(Err(away())), 10);
    assert_eq!(verdict(&run).summary, "Stopped before anything was sent.");
    at_command.step(&reading(Switch::On, None), 10);
    let mut begun = at_command.clone();
    at_command.cancel();
    at_command.step(&Signal::Commanded(Err(away())), 20);
    assert_eq!(verdict(&at_command).summary, "Stopped before anything was sent.");
    begun.cancel();
    begun.step(&Signal::Commanded(Err(Fault::new(FaultCode::Lost, Reason::Interrupted, ""))), 20);
    assert!(verdict(&begun).summary.contains("“off” was sent"), "{:?}", verdict(&begun));

    let mut at_last_look = Run::start(plan(PowerAction::Shutdown, 0), 0);
    let (mut now, deadline) = (0, at_last_look.plan().rhythm.soft_deadline);
    while now < deadline || !matches!(at_last_look.pending().effect, Effect::Read { .. }) {
        let signal = match at_last_look.pending().effect.clone() {
            Effect::Wait { ms } => {
                now += ms;
                Signal::Waited
            }
            Effect::Command { .. } => Signal::Commanded(Ok(())),
            Effect::Read { .. } => reading(Switch::On, None),
            other @ (Effect::ReadOutlet { .. }
            | Effect::SwitchOutlet { .. }
            | Effect::KeepOff
            | Effect::CheckGates
            | Effect::Finish(_)) => panic!("it waits for the shutdown: {other:?}"),
        };
        at_last_look.step(&signal, now);
    }
    at_last_look.cancel();
    at_last_look.step(&Signal::Read(Err(away())), now);
    let told = verdict(&at_last_look);
    assert!(told.state == JobState::Cancelled && told.summary.contains("“shut down” was sent"), "{told:?}");

    let mut off = cycle_after_off(2);
    off.cancel();
    off.step(&Signal::Read(Err(away())), 6040);
    let told = verdict(&off);
    assert_eq!((told.state, told.value), (JobState::Cancelled, Some(PowerValue::Off)), "{told:?}");
}

#[test]
fn a_job_that_did_not_begin_in_time_ends_unless_it_has_written() {
    let mut run = Run::start(plan(PowerAction::Off, 2), 0);
    let mut written = run.clone();
    run.expire(300_000);
    let told = verdict(&run);
    assert!(told.state == JobState::Expired && told.summary.contains("5 min"), "{told:?}");
    written.step(&reading(Switch::On, None), 10);
    written.step(&Signal::Commanded(Ok(())), 20);
    let before = written.pending().clone();
    written.expire(300_000);
    assert_eq!(*written.pending(), before);
}

/// Plays a group of two outlets until the controller has had its time to start; it says that to every question.
fn fallback_until_the_end(mut run: Run, controller: &Signal) -> crate::power::Verdict {
    let (mut feeds, mut now) = ([true; 2], 100_000);
    loop {
        now += 10;
        let signal = match run.pending().effect.clone() {
            Effect::Finish(verdict) => return verdict,
            Effect::Read { .. } => controller.clone(),
            Effect::Command { .. } => Signal::Commanded(Ok(())),
            Effect::CheckGates => Signal::Gates(Ok(())),
            Effect::KeepOff => Signal::Kept(Ok(())),
            Effect::Wait { ms } => {
                now += ms;
                Signal::Waited
            }
            Effect::ReadOutlet { outlet: at } => {
                outlet(if feeds[at] { OutletState::On } else { OutletState::Off })
            }
            Effect::SwitchOutlet { outlet: at, to, .. } => {
                feeds[at] = to == Switch::On;
                Signal::Switched(Ok(()))
            }
        };
        run.step(&signal, now);
    }
}

#[test]
fn feeds_that_return_to_a_silent_server_come_with_what_may_keep_it_off() {
    use rackhand_wire::power::RestorePolicy::{AlwaysOff, AlwaysOn, Previous};
    let silent = Signal::Read(Err(Fault::unreachable("")));
    for (policy, off_before, button, alarm) in [
        (Some(AlwaysOn), true, false, false),
        (Some(Previous), true, true, true),
        (Some(AlwaysOff), true, true, true),
        (None, true, true, true),
        (Some(AlwaysOn), false, false, false),
        (Some(Previous), false, true, false),
        (Some(AlwaysOff), false, true, true),
        (None, false, true, false),
    ] {
        let begin = |draw_known| {
            let cycle = Plan { restore_policy: policy, draw_known, ..plan(PowerAction::Cycle, 2) };
            if off_before { after_off(cycle) } else { Run::start(cycle, 0) }
        };
        let told = fallback_until_the_end(begin(false), &silent);
        let shown = (told.state, told.proof, told.value);
        let fed = (JobState::Succeeded, Some(Proof::Feeds), Some(PowerValue::Fed));
        assert_eq!(shown, fed, "{policy:?} {off_before}: {told:?}");
        assert_eq!(told.summary.contains("power button"), button, "{policy:?} {off_before}: {told:?}");
        assert_eq!(told.summary.contains("Off was proven"), off_before, "{told:?}");
        assert_eq!(told.alarm, alarm, "somebody must go there: {policy:?} {off_before}: {told:?}");
        assert!(!told.summary.contains("metered"), "{told:?}");
        assert!(fallback_until_the_end(begin(true), &silent).summary.contains("metered"));
    }
}

#[test]
fn a_controller_that_is_back_and_reads_off_is_not_said_to_be_silent() {
    let mut forced = plan(PowerAction::Cycle, 2);
    forced.action.via = Via::Outlets;
    let told = fallback_until_the_end(Run::start(forced.clone(), 0), &reading(Switch::Off, None));
    let shown = (told.state, told.value, told.alarm);
    assert_eq!(shown, (JobState::FailedPartial, Some(PowerValue::Off), true), "{told:?}");
    assert!(told.summary.contains("stays off") && !told.summary.contains("silent"), "{told:?}");

    let refused = Signal::Read(Err(Fault::auth(Reason::WrongPassword, "")));
    let told = fallback_until_the_end(Run::start(forced, 0), &refused);
    assert!(told.summary.contains("password") && !told.summary.contains("silent"), "{told:?}");
}

#[test]
fn a_last_cut_that_may_have_been_made_before_a_restart_may_have_cost_the_server_its_power() {
    let undone = |code| Signal::Switched(Err(Fault::new(code, Reason::Undone, "")));
    // `State`: it was not sent. `Exec`: it was, and is undone by now.
    for (code, state) in [(FaultCode::State, JobState::Failed), (FaultCode::Exec, JobState::FailedPartial)] {
        let mut forced = plan(PowerAction::Cycle, 2);
        forced.action.via = Via::Outlets;
        let mut run = Run::start(forced, 0);
        run.step(&outlet(OutletState::On), 10);
        run.step(&outlet(OutletState::On), 20);
        run.step(&Signal::Switched(Ok(())), 30);
        run.step(&outlet(OutletState::Off), 40);
        run.step(&undone(code), 70_000);
        let told = fallback_until_the_end(run, &reading(Switch::On, None));
        assert_eq!(told.state, state, "{told:?}");
        assert_eq!(told.summary.contains("may have lost power"), code == FaultCode::Exec, "{told:?}");
    }
}

#[test]
fn a_read_that_makes_no_sense_is_asked_once_more_and_then_a_person_is_told() {
    for what in PowerAction::ALL {
        let mut run = Run::start(plan(what, 2), 0);
        run.step(&Signal::Read(Err(garbled())), 10);
        assert!(matches!(run.pending().effect, Effect::Wait { .. }), "{what:?}: {:?}", run.pending());
        run.step(&Signal::Waited, 5_010);
        let mut better = run.clone();
        run.step(&Signal::Read(Err(garbled())), 5_020);
        let told = verdict(&run);
        assert_eq!((told.state, told.fault), (JobState::Failed, Some(FaultCode::Proto)), "{told:?}");
        assert!(told.alarm && told.summary.contains("Nothing was sent"), "{what:?}: {told:?}");
        better.step(&reading(Switch::On, None), 5_020);
        assert!(!matches!(better.pending().effect, Effect::Wait { .. }), "{what:?}: {:?}", better.pending());
    }
}

#[test]
fn read_backs_that_make_no_sense_twice_leave_it_open_and_a_person_is_told() {
    for what in [PowerAction::Off, PowerAction::Reset, PowerAction::Shutdown] {
        let mut run = Run::start(plan(what, 2), 0);
        run.step(&reading(Switch::On, None), 10);
        run.step(&Signal::Commanded(Ok(())), 20);
        run.step(&Signal::Waited, 5_020);
        run.step(&Signal::Read(Err(garbled())), 5_030);
        run.step(&Signal::Waited, 10_030);
        run.step(&Signal::Read(Err(garbled())), 10_040);
        let told = verdict(&run);
        assert_eq!((told.state, told.fault), (JobState::Indeterminate, Some(FaultCode::Proto)), "{told:?}");
        assert!(told.alarm, "{what:?}: {told:?}");
    }
}

#[test]
fn a_command_whose_answer_makes_no_sense_is_repeated_once_at_most() {
    for (what, sends) in [(PowerAction::Off, 2), (PowerAction::Reset, 1)] {
        let mut run = Run::start(plan(what, 2), 0);
        let (mut now, mut sent) = (0, 0);
        while !matches!(run.pending().effect, Effect::Finish(_)) {
            now += 10;
            let signal = match run.pending().effect.clone() {
                Effect::Read { .. } => reading(Switch::On, None),
                Effect::Command { .. } => {
                    sent += 1;
                    assert!(sent <= sends, "{what:?} is sent again");
                    Signal::Commanded(Err(garbled()))
                }
                Effect::Wait { ms } => {
                    now += ms;
                    Signal::Waited
                }
                other @ (Effect::ReadOutlet { .. }
                | Effect::SwitchOutlet { .. }
                | Effect::KeepOff
                | Effect::CheckGates
                | Effect::Finish(_)) => panic!("the controller was reached: {other:?}"),
            };
            run.step(&signal, now);
        }
        let told = verdict(&run);
        assert_eq!((sent, told.state, told.alarm), (sends, JobState::Indeterminate, true), "{told:?}");
    }
}

#[test]
fn an_outlet_whose_answer_makes_no_sense_is_read_once_more_before_nothing_is_cut() {
    let mut forced = plan(PowerAction::Off, 2);
    forced.action.via = Via::Outlets;
    let mut run = Run::start(forced, 0);
    run.step(&Signal::Outlet(Err(garbled())), 10);
    assert_eq!(run.pending().effect, Effect::ReadOutlet { outlet: 0 });
    let mut better = run.clone();
    run.step(&Signal::Outlet(Err(garbled())), 20);
    let told = verdict(&run);
    assert_eq!((told.state, told.reason.as_str()), (JobState::Failed, "outlet_not_ready"), "{told:?}");
    assert!(told.alarm, "{told:?}");
    better.step(&outlet(OutletState::On), 20);
    assert_eq!(better.pending().effect, Effect::ReadOutlet { outlet: 1 });
}

#[test]
fn what_is_told_of_dark_outlets_beforehand_is_what_the_run_begins_with() {
    for (what, missing, dark, refused, first) in [
        (PowerAction::On, true, false, false, true),
        (PowerAction::On, false, false, false, false),
        (PowerAction::On, true, false, true, false),
        (PowerAction::Cycle, true, true, false, true),
        (PowerAction::Cycle, true, false, false, false),
        (PowerAction::Reset, true, true, false, false),
    ] {
        let mut plan = plan(what, 2);
        (plan.feeds_missing, plan.feeds_dark) = (missing, dark);
        plan.switch_refusal = refused.then(|| Refusal::new("shared_outlet", ""));
        assert_eq!(plan.feeds_come_first(), first, "{what:?}");
        let mut run = Run::start(plan, 0);
        let begins = matches!(run.pending().effect, Effect::ReadOutlet { .. });
        assert_eq!(begins, first, "{what:?}");
        let signals = [outlet(OutletState::Off), outlet(OutletState::Off), Signal::Kept(Ok(()))];
        for (signal, now) in signals.iter().cycle().take(6).zip(1..) {
            run.step(signal, now);
        }
        let feeds = matches!(run.pending().effect, Effect::SwitchOutlet { to: Switch::On, .. });
        assert_eq!(feeds, first, "{what:?}: {:?}", run.pending());
    }
}
