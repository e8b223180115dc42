//! Commands whose answer was lost, which were read as not done, and which may come yet.

use super::{
    scenarios::{after_off, reading, refused, verdict},
    *,
};

/// Has the present command be lost, read as not done, and not be delivered when it is repeated.
fn lose(run: &mut Run, there: Switch, now: u64) {
    run.step(&Signal::Commanded(Err(Fault::lost(""))), now);
    run.step(&Signal::Waited, now + 1000);
    run.step(&reading(there, None), now + 1010);
    run.step(&refused(FaultCode::Unreach), now + 21_000);
}

/// Reads the same until a command is due; gives when that is.
fn until_command(run: &mut Run, there: Switch, mut now: u64) -> u64 {
    while !matches!(run.pending().effect, Effect::Command { .. }) {
        assert!(!matches!(run.pending().effect, Effect::Finish(_)), "no command comes: {:?}", run.pending());
        if let Effect::Wait { ms } = run.pending().effect {
            now += ms;
            run.step(&Signal::Waited, now);
        } else {
            run.step(&reading(there, None), now);
        }
    }
    now
}

fn unreachable() -> Signal {
    Signal::Read(Err(Fault::unreachable("")))
}

fn with(what: PowerAction, controllers: u128) -> Plan {
    let more = (1..controllers).map(|n| path(1 + n, "another"));
    let one = plan(what, 2);
    Plan { controllers: one.controllers.iter().cloned().chain(more).collect(), ..one }
}

#[test]
fn a_lost_command_that_was_read_not_done_leaves_the_way_to_the_outlets_open() {
    let lost_with = |what, second: bool| {
        let mut both = plan(what, 2);
        if second {
            both.controllers.push(path(2, "AMT"));
        }
        let mut run = Run::start(both, 0);
        let there = if what == PowerAction::On { Switch::Off } else { Switch::On };
        run.step(&reading(there, None), 10);
        run.step(&Signal::Commanded(Err(Fault::lost(""))), 20);
        run.step(&Signal::Waited, 1020);
        run.step(&reading(there, None), 1030);
        run.step(&refused(FaultCode::Unreach), 21_030);
        run
    };
    let lost = |what| lost_with(what, false);
    for what in [PowerAction::Off, PowerAction::Cycle, PowerAction::On] {
        let mut another = lost_with(what, true);
        assert_eq!(another.pending().effect, Effect::Read { controller: 1 }, "{what:?}");
        another.step(&Signal::Read(Err(Fault::unreachable(""))), 41_030);
        assert_eq!(another.pending().effect, Effect::CheckGates, "{what:?}");
        another.step(&Signal::Gates(Err(Refusal::new("path_unproven", "No neighbour."))), 41_040);
        assert_eq!(verdict(&another).state, JobState::Indeterminate, "{what:?}");
        let mut run = lost(what);
        assert_eq!(run.pending().effect, Effect::CheckGates, "{what:?}");
        run.step(&Signal::Gates(Ok(())), 21_040);
        assert!(matches!(run.pending().effect, Effect::ReadOutlet { .. }), "{what:?}: {:?}", run.pending());
        let mut closed = lost(what);
        closed.step(&Signal::Gates(Err(Refusal::new("path_unproven", "No neighbour."))), 21_040);
        let told = verdict(&closed);
        assert_eq!(told.state, JobState::Indeterminate, "it may come yet: {told:?}");
        assert!(told.summary.contains("No neighbour."), "{told:?}");
    }
}

#[test]
fn the_next_controller_is_asked_for_what_is_left_to_do_alone() {
    let mut run = after_off(with(PowerAction::Cycle, 3));
    run.step(&reading(Switch::Off, None), 6040);
    lose(&mut run, Switch::Off, 6050);
    assert_eq!(run.pending().effect, Effect::Read { controller: 1 });
    run.step(&unreachable(), 50_000);
    assert_eq!(run.pending().effect, Effect::Read { controller: 2 }, "each of them is asked");
    run.step(&reading(Switch::On, None), 50_010);
    let told = verdict(&run);
    assert_eq!(
        (told.state, told.value),
        (JobState::Succeeded, Some(PowerValue::On)),
        "it came late: {told:?}"
    );

    let mut soft = with(PowerAction::Shutdown, 2);
    soft.action.escalate = true;
    let deadline = soft.rhythm.soft_deadline;
    let mut run = Run::start(soft, 0);
    run.step(&reading(Switch::On, None), 10);
    run.step(&Signal::Commanded(Ok(())), 20);
    let mut now = until_command(&mut run, Switch::On, 20);
    if run.pending().effect == (Effect::Command { controller: 0, command: Native::Shutdown }) {
        run.step(&Signal::Commanded(Ok(())), now);
        now = until_command(&mut run, Switch::On, now);
    }
    assert!(now >= deadline, "{now}");
    lose(&mut run, Switch::On, now);
    run.step(&reading(Switch::On, None), now + 30_000);
    let forced = Effect::Command { controller: 1, command: Native::Off };
    assert_eq!(run.pending().effect, forced, "the operating system had its time");
}

#[test]
fn what_was_lost_and_then_done_is_lost_no_more() {
    let mut run = Run::start(with(PowerAction::Cycle, 1), 0);
    run.step(&reading(Switch::On, None), 10);
    run.step(&Signal::Commanded(Err(Fault::lost(""))), 20);
    run.step(&Signal::Waited, 1020);
    run.step(&reading(Switch::On, None), 1030);
    run.step(&Signal::Commanded(Ok(())), 1040);
    run.step(&Signal::Waited, 2040);
    run.step(&reading(Switch::Off, None), 2050);
    run.step(&Signal::Waited, 7050);
    run.step(&unreachable(), 27_050);
    assert_eq!(run.pending().effect, Effect::CheckGates);
    assert!(run.pending().reason.contains("nothing was delivered"), "{:?}", run.pending());
    run.step(&Signal::Gates(Err(Refusal::new("path_unproven", "No neighbour."))), 27_060);
    let told = verdict(&run);
    assert_eq!((told.state, told.value), (JobState::FailedPartial, Some(PowerValue::Off)), "{told:?}");
}

#[test]
fn a_controller_that_refuses_says_nothing_of_what_another_one_was_sent() {
    let lost = || {
        let mut run = Run::start(with(PowerAction::On, 2), 0);
        run.step(&reading(Switch::Off, None), 10);
        lose(&mut run, Switch::Off, 20);
        assert_eq!(run.pending().effect, Effect::Read { controller: 1 });
        run
    };
    let mut refuses = lost();
    refuses.step(&Signal::Read(Err(Fault::new(FaultCode::Auth, Reason::WrongPassword, ""))), 30_000);
    let told = verdict(&refuses);
    assert_eq!(told.state, JobState::Indeterminate, "{told:?}");
    assert!(told.summary.contains("“on” was sent before"), "{told:?}");
    let mut stopped = lost();
    stopped.cancel();
    stopped.step(&reading(Switch::Off, None), 30_000);
    let told = verdict(&stopped);
    assert_eq!(told.state, JobState::Cancelled);
    assert!(told.summary.contains("after “on” was sent"), "{told:?}");
}

#[test]
fn silence_after_an_acknowledgement_is_no_way_to_another_path() {
    let mut run = Run::start(with(PowerAction::On, 2), 0);
    run.step(&reading(Switch::Off, None), 10);
    run.step(&Signal::Commanded(Ok(())), 20);
    // The state does not follow: it is sent once more, and refused.
    let now = until_command(&mut run, Switch::Off, 20);
    run.step(&refused(FaultCode::State), now);
    run.step(&unreachable(), now + 20_000);
    assert_eq!(verdict(&run).state, JobState::Indeterminate, "{:?}", run.pending());
}

#[test]
fn a_server_that_may_be_starting_is_not_cut_again() {
    let mut run = after_off(with(PowerAction::Cycle, 1));
    run.step(&reading(Switch::Off, None), 6040);
    lose(&mut run, Switch::Off, 6050);
    let told = verdict(&run);
    assert_eq!(told.state, JobState::Indeterminate, "{told:?}");
    assert!(told.summary.contains("Off was proven; whether on followed is not known"), "{told:?}");

    // Nor one that was off before: its feeds are not cut while it may come on.
    let mut run = Run::start(with(PowerAction::Cycle, 1), 0);
    let now = until_command(&mut run, Switch::Off, 0);
    lose(&mut run, Switch::Off, now);
    let told = verdict(&run);
    assert_eq!(told.state, JobState::Indeterminate, "{told:?}");
}

#[test]
fn a_reset_of_which_a_copy_arrived_is_proven_by_what_it_leaves_behind_alone() {
    for (cause, state) in [(None, JobState::Indeterminate), (Some("chassis control"), JobState::Succeeded)] {
        let mut run = Run::start(with(PowerAction::Reset, 1), 0);
        run.step(&reading(Switch::On, Some("power button")), 10);
        run.step(&refused(FaultCode::Dup), 20);
        run.step(&Signal::Waited, 1020);
        run.step(&reading(Switch::On, cause), 1030);
        assert_eq!(verdict(&run).state, state, "{cause:?}");
    }
}

/// What is asked of a controller.
#[derive(PartialEq)]
enum Asked {
    State,
    On,
}

/// What `on` by outlets that obey ends in; `ask` answers for two controllers, and says how long it took.
fn fed(mut ask: impl FnMut(usize, Asked) -> (Signal, u64)) -> crate::power::Verdict {
    let mut forced = with(PowerAction::On, 2);
    forced.action.via = Via::Outlets;
    let mut run = Run::start(forced, 0);
    let (mut now, mut is_fed) = (0, false);
    loop {
        now += 10;
        let signal = match run.pending().effect.clone() {
            Effect::ReadOutlet { .. } => {
                let state = if is_fed { OutletState::On } else { OutletState::Off };
                Signal::Outlet(Ok(OutletSeen { state, locked: None }))
            }
            Effect::SwitchOutlet { .. } => {
                is_fed = true;
                Signal::Switched(Ok(()))
            }
            Effect::Wait { ms } => {
                now += ms;
                Signal::Waited
            }
            Effect::Read { controller } => {
                let (signal, took) = ask(controller, Asked::State);
                now += took;
                signal
            }
            Effect::Command { controller, .. } => {
                let (signal, took) = ask(controller, Asked::On);
                now += took;
                signal
            }
            Effect::Finish(_) => return verdict(&run),
            other @ (Effect::KeepOff | Effect::CheckGates) => panic!("{other:?}"),
        };
        run.step(&signal, now);
    }
}

#[test]
fn a_controller_that_refuses_the_password_after_the_feeds_returned_is_asked_once() {
    let mut asked = [0; 2];
    fed(|controller, _| {
        asked[controller] += 1;
        let refused = Signal::Read(Err(Fault::auth(Reason::WrongPassword, "")));
        (if controller == 0 { refused } else { unreachable() }, 0)
    });
    assert!(asked[0] == 1 && asked[1] > 2, "the account would be locked: {asked:?}");
}

#[test]
fn what_one_controller_proved_counts_although_a_silent_one_was_asked_last() {
    let told = fed(|controller, asked| match asked {
        Asked::State if controller == 0 => (reading(Switch::Off, None), 0),
        Asked::State => (unreachable(), 20_000),
        Asked::On => (Signal::Commanded(Ok(())), 0),
    });
    let shown = (told.state, told.value, told.alarm);
    assert_eq!(shown, (JobState::Failed, Some(PowerValue::Off), true), "{told:?}");
    assert!(told.summary.contains("stays off"), "{told:?}");
}

#[test]
fn what_one_controller_proved_counts_no_more_once_another_was_told_on() {
    for lost in [true, false] {
        let mut told_on = [false; 2];
        let told = fed(|controller, asked| {
            if asked == Asked::State {
                let is_gone = controller == 1 && told_on[1];
                return if is_gone { (unreachable(), 20_000) } else { (reading(Switch::Off, None), 0) };
            }
            told_on[controller] = true;
            let taken = if lost && controller == 1 { Err(Fault::lost("")) } else { Ok(()) };
            // So late that nobody is asked again.
            (Signal::Commanded(taken), if controller == 1 { 300_000 } else { 0 })
        });
        assert_eq!(told_on, [true; 2]);
        assert_eq!(told.value, Some(PowerValue::Fed), "lost {lost}: it may be on by now: {told:?}");
    }
}

#[test]
fn a_command_that_a_busy_controller_timed_out_over_is_repeated_as_long_as_it_may_be_busy() {
    let mut run = Run::start(with(PowerAction::On, 1), 0);
    let busy = || Signal::Commanded(Err(Fault::new(FaultCode::Lost, Reason::Busy, "")));
    let (mut now, mut sent) = (0, 0);
    while now < 30_000 {
        now = until_command(&mut run, Switch::Off, now);
        run.step(&busy(), now);
        sent += 1;
    }
    assert!(sent > 3, "{sent}");
    now = until_command(&mut run, Switch::Off, now);
    let mut silent = run.clone();
    silent.step(&refused(FaultCode::Unreach), now + 20_000);
    assert_eq!(silent.pending().effect, Effect::CheckGates, "each was read as not done");
    run.step(&Signal::Commanded(Ok(())), now);
    let repeated = until_command(&mut run, Switch::Off, now);
    assert!(repeated - now >= run.plan().rhythm.read_back, "an order that was taken may be given once more");
    run.step(&Signal::Commanded(Ok(())), repeated);
    run.step(&Signal::Waited, repeated + 1000);
    run.step(&reading(Switch::On, None), repeated + 1010);
    assert_eq!(verdict(&run).state, JobState::Succeeded);
}

#[test]
fn a_cycle_that_is_stopped_while_dark_outlets_are_looked_at_switches_nothing_on() {
    let mut dark = with(PowerAction::Cycle, 1);
    dark.feeds_dark = true;
    let mut run = Run::start(dark, 0);
    run.cancel();
    let mut now = 0;
    while let Effect::ReadOutlet { .. } = run.pending().effect {
        now += 10;
        run.step(&Signal::Outlet(Ok(OutletSeen { state: OutletState::Off, locked: None })), now);
    }
    assert_eq!(verdict(&run).state, JobState::Cancelled);
}

#[test]
fn a_second_press_that_is_refused_says_nothing_of_the_first() {
    for code in [FaultCode::Auth, FaultCode::Unsupported, FaultCode::Updating] {
        let mut run = Run::start(with(PowerAction::Shutdown, 1), 0);
        run.step(&reading(Switch::On, None), 10);
        run.step(&Signal::Commanded(Ok(())), 20);
        let now = until_command(&mut run, Switch::On, 20);
        run.step(&refused(code), now);
        assert_eq!(verdict(&run).state, JobState::Indeterminate, "{code:?}");
    }
}

#[test]
fn what_was_refused_and_is_there_all_the_same_was_not_so_before() {
    let mut off = Run::start(with(PowerAction::Off, 1), 0);
    let mut cycle = Run::start(with(PowerAction::Cycle, 1), 0);
    for run in [&mut off, &mut cycle] {
        run.step(&reading(Switch::On, None), 10);
        run.step(&refused(FaultCode::State), 20);
        run.step(&reading(Switch::Off, None), 30);
    }
    assert!(!verdict(&off).summary.contains("nothing was sent"), "{:?}", off.pending());
    let hold = cycle.plan().rhythm.hold;
    assert_eq!(cycle.pending().effect, Effect::Wait { ms: hold }, "its off phase begins");
}

#[test]
fn the_operating_system_has_its_time_however_late_it_was_asked() {
    let plan = with(PowerAction::Shutdown, 1);
    let deadline = plan.rhythm.soft_deadline;
    let mut run = Run::start(plan, 0);
    let late = deadline + 20_000;
    run.step(&reading(Switch::On, None), late);
    run.step(&Signal::Commanded(Ok(())), late + 10);
    let mut now = late + 10;
    while !matches!(run.pending().effect, Effect::Finish(_)) {
        let signal = match run.pending().effect {
            Effect::Wait { ms } => {
                now += ms;
                Signal::Waited
            }
            Effect::Command { .. } => Signal::Commanded(Ok(())),
            Effect::Read { .. }
            | Effect::ReadOutlet { .. }
            | Effect::SwitchOutlet { .. }
            | Effect::KeepOff
            | Effect::CheckGates
            | Effect::Finish(_) => reading(Switch::On, None),
        };
        run.step(&signal, now);
    }
    assert_eq!(verdict(&run).reason, "soft_timeout");
    assert!(now >= late + deadline - 10_000, "after {} of {deadline} ms", now - late);
}

#[test]
fn a_server_that_is_still_on_may_be_shutting_down_by_the_press_that_was_lost() {
    let mut run = Run::start(with(PowerAction::Shutdown, 2), 0);
    run.step(&reading(Switch::On, None), 10);
    run.step(&Signal::Commanded(Err(Fault::lost(""))), 20);
    let now = until_command(&mut run, Switch::On, 20);
    run.step(&refused(FaultCode::Unreach), now);
    assert_eq!(verdict(&run).state, JobState::Indeterminate, "nobody else is asked: {:?}", run.pending());
}
