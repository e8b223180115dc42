use super::*;
use rackhand_wire::{
    Operation,
    command::{EndpointSpec, Urgency},
    id::EndpointId,
    power::Switch,
};
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(70);
/// The limit, all but a little.
const NEARLY: Duration = Duration::from_millis(69_999);
const HOUR: i64 = 3_600_000;

/// A journal, the clocks beside it and where it is kept.
struct Desk {
    folder: tempfile::TempDir,
    journal: Journal,
    now: Moment,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = Moment { day: 20 * HOUR, steady: Instant::now(), up: 3_600_000, machine: "one" };
        let journal = Journal::open(&folder.path().join("journal"), now).unwrap();
        Self { folder, journal, now }
    }

    fn pass(&mut self, time: Duration) {
        self.now.day += i64::try_from(time.as_millis()).unwrap();
        self.now.steady += time;
        self.now.up += u64::try_from(time.as_millis()).unwrap();
    }

    /// Starts the machine anew.
    fn reboot(&mut self, machine: &'static str) {
        (self.now.machine, self.now.up) = (machine, 5_000);
        self.restart();
    }

    fn restart(&mut self) {
        self.journal = Journal::open(&self.folder.path().join("journal"), self.now).unwrap();
    }

    /// Lets a command cut an outlet.
    fn cut(&mut self, n: u128, outlet: &str) {
        self.journal.start(&switch(n, outlet, Switch::Off), self.now).unwrap();
    }

    fn due(&mut self) -> Vec<CommandId> {
        let back_off = BackOff { first: Duration::from_secs(5), longest: Duration::from_mins(1) };
        let due = self.journal.take_due(self.now.steady, back_off);
        due.into_iter().map(|command| command.id).collect()
    }

    fn keep(&mut self, cuts: &[u128], outlets: &[&str]) -> Kept {
        let cuts: Vec<_> = cuts.iter().copied().map(id).collect();
        let outlet =
            |outlet: &&str| Outlet { endpoint: EndpointId(Uuid::from_u128(9)), target: target(outlet) };
        let outlets: Vec<_> = outlets.iter().map(outlet).collect();
        self.journal.keep_off(&cuts, &outlets, self.now).unwrap()
    }

    fn pending(&self) -> Vec<CommandId> {
        let mut ids: Vec<_> = self.journal.cuts().into_iter().map(|cut| cut.command.id).collect();
        ids.sort();
        ids
    }
}

fn id(n: u128) -> CommandId {
    CommandId(Uuid::from_u128(n))
}

fn target(outlet: &str) -> serde_json::Value {
    serde_json::json!({"outlet": outlet})
}

/// Each command is sent with other parameters, as if somebody had changed them in between.
fn switch(n: u128, outlet: &str, to: Switch) -> Command {
    Command {
        id: id(n),
        endpoint: EndpointSpec {
            id: Some(EndpointId(Uuid::from_u128(9))),
            kind: "snmp_pdu".into(),
            params: serde_json::json!({"timeout": n.to_string()}),
            pinned: None,
        },
        target: target(outlet),
        operation: Operation::SetOutlet { to },
        expires_in_ms: None,
        restore_after_ms: (to == Switch::Off).then(|| u64::try_from(LIMIT.as_millis()).unwrap()),
        fence: 0,
        leased: false,
        urgency: Urgency::Awaited,
    }
}

#[test]
fn a_restart_knows_what_was_begun_done_and_cut() {
    let mut desk = Desk::new();
    desk.cut(1, "7");
    desk.journal.start(&switch(2, "8", Switch::On), desk.now).unwrap();
    desk.journal.done(id(2), &Ok(Answer::Done), desk.now).unwrap();
    desk.cut(3, "9");
    assert_eq!(desk.keep(&[3], &[]), Kept::Off);
    desk.journal.forget(id(3), desk.now).unwrap();
    for _ in 0..2 {
        desk.restart();
        assert_eq!(desk.journal.find(id(1)), Some(&Known::Started));
        assert_eq!(desk.journal.find(id(2)), Some(&Known::Done(Ok(Answer::Done))));
        assert_eq!(desk.journal.find(id(3)), Some(&Known::Over));
        assert_eq!(desk.pending(), [id(1)]);
    }
}

#[test]
fn a_command_that_came_is_known_over_restarts_and_not_taken_for_begun() {
    let mut desk = Desk::new();
    desk.journal.receive(id(1), desk.now);
    desk.journal.receive(id(2), desk.now);
    desk.restart();
    assert_eq!(desk.journal.find(id(1)), Some(&Known::Received));
    // Another copy of what was begun or done takes nothing of that back.
    desk.journal.start(&switch(1, "7", Switch::On), desk.now).unwrap();
    desk.journal.done(id(2), &Ok(Answer::Done), desk.now).unwrap();
    for _ in 0..2 {
        for n in [1, 2] {
            desk.journal.receive(id(n), desk.now);
        }
        assert_eq!(desk.journal.find(id(1)), Some(&Known::Started));
        assert_eq!(desk.journal.find(id(2)), Some(&Known::Done(Ok(Answer::Done))));
        desk.restart();
    }
}

#[test]
fn a_torn_last_line_is_dropped() {
    let mut desk = Desk::new();
    desk.cut(1, "7");
    let path = desk.folder.path().join("journal");
    let mut text = fs::read(&path).unwrap();
    text.extend_from_slice(br#"{"fact":"done","id":"00000000"#);
    fs::write(&path, text).unwrap();
    desk.restart();
    assert_eq!(desk.journal.find(id(1)), Some(&Known::Started));
}

#[test]
fn a_line_that_was_torn_inside_a_letter_is_passed_over_wherever_it_is() {
    let mut desk = Desk::new();
    desk.cut(1, "7");
    let path = desk.folder.path().join("journal");
    let whole = fs::read(&path).unwrap();
    let torn: &[u8] = b"{\"fact\":\"done\",\"id\":\"\xc3";
    let mut text = torn.to_vec();
    text.push(b'\n');
    text.extend_from_slice(&whole);
    text.extend_from_slice(torn);
    fs::write(&path, text).unwrap();
    desk.restart();
    assert_eq!(desk.pending(), [id(1)]);
    desk.journal.start(&switch(2, "8", Switch::On), desk.now).unwrap();
    desk.restart();
    assert_eq!(desk.journal.find(id(2)), Some(&Known::Started));
}

#[test]
fn only_a_journal_that_is_not_there_is_empty() {
    let too_many_files = io::Error::from_raw_os_error(24);
    let broken = io::Error::from_raw_os_error(5);
    for error in [too_many_files, broken, io::ErrorKind::PermissionDenied.into()] {
        let kind = error.kind();
        assert_eq!(known(Err(error)).unwrap_err().kind(), kind);
    }
    assert_eq!(known(Err(io::ErrorKind::NotFound.into())).unwrap(), Vec::<u8>::new());
    assert_eq!(known(Ok(b"x".to_vec())).unwrap(), b"x");
}

#[test]
fn a_command_that_was_taken_back_has_not_begun_and_what_its_cut_replaced_is_still_restored() {
    let mut desk = Desk::new();
    desk.cut(1, "7");
    let replaced = desk.journal.start(&switch(2, "7", Switch::Off), desk.now).unwrap();
    assert_eq!(desk.pending(), [id(2)]);
    desk.journal.withdraw(id(2), replaced, desk.now);
    for _ in 0..2 {
        assert_eq!((desk.journal.find(id(2)), desk.pending()), (Some(&Known::Received), vec![id(1)]));
        assert_eq!(desk.journal.find(id(1)), Some(&Known::Started));
        desk.restart();
    }
}

#[test]
fn a_clock_that_is_set_neither_shortens_nor_lengthens_a_cut() {
    for jump in [-HOUR, HOUR] {
        let mut desk = Desk::new();
        desk.cut(1, "7");
        desk.now.day += jump;
        desk.pass(NEARLY);
        assert_eq!(desk.due(), [], "the clock was set by {jump} ms");
        desk.pass(Duration::from_millis(1));
        assert_eq!(desk.due(), [id(1)], "the clock was set by {jump} ms");
    }
}

#[test]
fn a_cut_that_is_found_at_a_restart_is_restored_after_what_is_left_and_never_later_than_its_limit() {
    let mut desk = Desk::new();
    desk.cut(1, "7");
    desk.pass(LIMIT / 2);
    desk.restart();
    desk.pass(NEARLY.saturating_sub(LIMIT / 2));
    assert_eq!(desk.due(), []);
    desk.pass(Duration::from_millis(1));
    assert_eq!(desk.due(), [id(1)]);
    desk.now.day -= HOUR;
    desk.restart();
    desk.pass(NEARLY);
    assert_eq!(desk.due(), [], "an hour seems to be left, the limit is what counts");
    desk.pass(Duration::from_millis(1));
    assert_eq!(desk.due(), [id(1)]);
}

#[test]
fn a_restore_that_fails_is_tried_after_pauses_that_double_up_to_a_minute() {
    let mut desk = Desk::new();
    desk.cut(1, "7");
    desk.pass(LIMIT);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        assert_eq!(desk.due(), [id(1)]);
        let mut pause = 0;
        while desk.journal.facts.cuts[&id(1)].due > desk.now.steady {
            pause += 1;
            desk.pass(Duration::from_secs(1));
        }
        pauses.push(pause);
    }
    assert_eq!(pauses, [5, 10, 20, 40, 60, 60, 60]);
}

#[test]
fn what_stays_off_is_never_restored_whichever_job_cut_it_and_however_it_was_reached() {
    let mut desk = Desk::new();
    desk.cut(1, "7");
    desk.cut(2, "8");
    desk.cut(3, "9");
    // An earlier job cut 8; this one cut 7 and found 8 off.
    assert_eq!(desk.keep(&[1], &["7", "8"]), Kept::Off);
    assert_eq!(desk.keep(&[1], &["7", "8"]), Kept::Off, "told twice");
    desk.restart();
    desk.pass(LIMIT);
    assert_eq!(desk.due(), [id(3)]);
}

#[test]
fn a_fresh_cut_takes_the_place_of_an_older_one_of_its_outlet() {
    let mut desk = Desk::new();
    desk.cut(1, "7");
    desk.pass(LIMIT);
    desk.journal.restored(id(1), desk.now).unwrap();
    desk.cut(2, "7");
    desk.cut(3, "7");
    assert_eq!(desk.pending(), [id(3)]);
    assert_eq!(desk.keep(&[1, 2, 3], &["7"]), Kept::Off, "what was undone before was cut again");
}

#[test]
fn dark_is_not_claimed_of_what_was_or_may_have_been_switched_on() {
    type Deed = fn(&mut Desk);
    let deeds: [(Deed, Kept); 4] = [
        (|desk| desk.journal.restored(id(1), desk.now).unwrap(), Kept::Restored),
        (|desk| desk.journal.switched_on(&switch(5, "7", Switch::On), desk.now).unwrap(), Kept::Restored),
        (|desk| desk.journal.restoring(id(1), desk.now).unwrap(), Kept::Restoring),
        (
            |desk| {
                desk.journal.restoring(id(1), desk.now).unwrap();
                assert!(desk.journal.failed(id(1), &Fault::lost("")));
            },
            Kept::Restored,
        ),
    ];
    for (deed, verdict) in deeds {
        let mut desk = Desk::new();
        desk.cut(1, "7");
        desk.cut(2, "8");
        deed(&mut desk);
        assert_eq!(desk.keep(&[1, 2], &["7", "8"]), verdict);
        desk.restart();
        assert_eq!(desk.keep(&[1, 2], &["7", "8"]), Kept::Restored, "after a restart");
        assert!(desk.pending().contains(&id(2)), "all or nothing: the other one is still restored");
    }
}

#[test]
fn what_is_acknowledged_leaves_the_journal_but_a_dark_outlet_does_not() {
    let mut desk = Desk::new();
    desk.cut(1, "7");
    desk.cut(2, "8");
    desk.journal.restored(id(2), desk.now).unwrap();
    for n in [1, 2] {
        desk.journal.forget(id(n), desk.now).unwrap();
    }
    for _ in 0..2 {
        assert!([1, 2].iter().all(|n| desk.journal.find(id(*n)) == Some(&Known::Over)));
        assert_eq!(desk.pending(), [id(1)]);
        assert!(!desk.journal.facts.cuts.contains_key(&id(2)));
        desk.restart();
    }
    desk.journal.restored(id(1), desk.now).unwrap();
    assert!(desk.journal.facts.cuts.is_empty(), "nobody would ever forget it");
}

#[test]
fn what_is_over_is_never_begun_again_and_forgotten_after_a_week() {
    let mut desk = Desk::new();
    desk.journal.start(&switch(1, "7", Switch::On), desk.now).unwrap();
    desk.journal.done(id(1), &Ok(Answer::Done), desk.now).unwrap();
    desk.journal.forget(id(1), desk.now).unwrap();
    let path = desk.folder.path().join("journal");
    let length = fs::metadata(&path).unwrap().len();
    desk.journal.forget(id(1), desk.now).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), length, "it is written once");
    for _ in 0..2 {
        desk.pass(Duration::from_hours(3 * 24));
        desk.restart();
        assert_eq!(desk.journal.find(id(1)), Some(&Known::Over));
    }
    desk.pass(Duration::from_hours(24));
    desk.restart();
    assert_eq!(desk.journal.find(id(1)), None);
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}

#[test]
fn outcomes_are_kept_for_a_week_by_whichever_clock_and_then_dropped() {
    const WEEK: Duration = Duration::from_hours(7 * 24);
    let mut desk = Desk::new();
    desk.cut(1, "7");
    desk.journal.start(&switch(2, "8", Switch::On), desk.now).unwrap();
    desk.journal.done(id(2), &Ok(Answer::Done), desk.now).unwrap();
    desk.pass(WEEK / 2);
    desk.restart();
    desk.restart();
    desk.pass((WEEK / 2).saturating_sub(Duration::from_secs(1)));
    desk.journal.compact(desk.now).unwrap();
    assert_eq!(desk.journal.find(id(2)), Some(&Known::Done(Ok(Answer::Done))));
    // A clock that is set while the agent runs makes nothing old.
    desk.now.day += 30 * 24 * HOUR;
    desk.journal.compact(desk.now).unwrap();
    assert!(desk.journal.find(id(2)).is_some());
    desk.now.day -= 30 * 24 * HOUR;
    desk.pass(Duration::from_secs(1));
    desk.restart();
    assert_eq!((desk.journal.find(id(1)), desk.journal.find(id(2))), (None, None));
    assert_eq!(desk.pending(), [id(1)], "what is dark stays in mind");
    desk.restart();
    assert_eq!(desk.pending(), [id(1)]);
}

#[test]
fn neither_a_clock_that_is_set_nor_a_new_start_of_the_machine_makes_what_was_done_unknown() {
    type Deed = fn(&mut Desk);
    let deeds: [Deed; 2] = [Desk::restart, |desk| desk.reboot("two")];
    for deed in deeds {
        let mut desk = Desk::new();
        // The machine was started in 1970.
        desk.now.day = 0;
        desk.journal.start(&switch(1, "7", Switch::On), desk.now).unwrap();
        desk.journal.start(&switch(2, "8", Switch::On), desk.now).unwrap();
        desk.journal.done(id(2), &Ok(Answer::Done), desk.now).unwrap();
        desk.now.day = 20_000 * 24 * HOUR;
        for _ in 0..2 {
            deed(&mut desk);
            assert_eq!(desk.journal.find(id(1)), Some(&Known::Started));
            assert_eq!(desk.journal.find(id(2)), Some(&Known::Done(Ok(Answer::Done))));
        }
    }
}

#[test]
fn what_was_done_grows_old_over_many_starts_of_the_machine() {
    const DAY: Duration = Duration::from_hours(24);
    let mut desk = Desk::new();
    desk.journal.start(&switch(1, "7", Switch::On), desk.now).unwrap();
    desk.pass(DAY * 4);
    desk.journal.start(&switch(2, "8", Switch::On), desk.now).unwrap();
    desk.reboot("two");
    desk.pass((DAY * 3).saturating_sub(Duration::from_secs(1)));
    desk.restart();
    assert!(desk.journal.find(id(1)).is_some());
    desk.pass(Duration::from_secs(1));
    desk.reboot("three");
    assert!(desk.journal.find(id(1)).is_some(), "nobody saw the last second");
    desk.pass(Duration::from_secs(1));
    desk.restart();
    assert!(desk.journal.find(id(1)).is_none() && desk.journal.find(id(2)).is_some());
}

#[test]
fn a_line_that_could_not_be_written_whole_spoils_no_other() {
    let mut desk = Desk::new();
    desk.cut(1, "7");
    let path = desk.folder.path().join("journal");
    let whole = fs::read(&path).unwrap();
    // As if the disk had been full in the middle of a line.
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(br#"{"fact":"started","id":"0000"#).unwrap();
    desk.journal.take_back();
    assert_eq!(fs::read(&path).unwrap(), whole);
    // A restart finds half a line and cannot compact, because something is in the way.
    file.write_all(br#"{"fact":"started","id":"0000"#).unwrap();
    fs::create_dir(path.with_extension("new")).unwrap();
    desk.restart();
    desk.journal.start(&switch(2, "8", Switch::On), desk.now).unwrap();
    desk.restart();
    assert_eq!(desk.journal.find(id(2)), Some(&Known::Started));
    assert_eq!(desk.pending(), [id(1)]);
}
