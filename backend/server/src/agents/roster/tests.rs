use rackhand_wire::{Operation, agent::BootId, command::EndpointSpec, id::EndpointId, power::Switch};

use super::*;
use crate::agents::{
    Keeper,
    bench::{alone, hello},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// An agent's end of a session.
struct Bench {
    #[expect(dead_code, reason = "the database lives in it")]
    folder: tempfile::TempDir,
    roster: Arc<Roster>,
    agent: AgentId,
    told: mpsc::Sender<Told>,
    heard: mpsc::Receiver<Told>,
}

impl Bench {
    async fn new(patience: Duration) -> Self {
        Self::timed(&Timings { agent_patience: patience, ..Timings::default() }).await
    }

    async fn timed(timings: &Timings) -> Self {
        let (peers, folder) = alone().await;
        let (told, heard) = mpsc::channel(64);
        let roster = Arc::new(Roster::new(timings, peers));
        Self { folder, roster, agent: AgentId(fresh_id()), told, heard }
    }

    async fn join(&self) -> (mpsc::Receiver<Delivery>, mpsc::UnboundedSender<ToBackend>) {
        let (to_agent, inbox) = mpsc::channel(4);
        let (out, from_agent) = mpsc::unbounded_channel();
        self.roster.join(hello(self.agent), Link { to_agent, from_agent }, self.told.clone()).await.unwrap();
        (inbox, out)
    }

    /// Has a command executed.
    fn execute(&self, command: Command) -> impl Future<Output = Result<Answer, Fault>> + use<> {
        let (roster, route) = (Arc::clone(&self.roster), Route::Agent(self.agent));
        let stage = watch::channel(Stage::Waiting).0;
        async move { roster.execute(&route, command, Secrets::default(), Earlier::Nobody, &stage).await.result }
    }

    async fn gone(&mut self) {
        while !matches!(self.heard.recv().await.unwrap(), Told::Gone(_)) {}
    }
}

fn command(operation: Operation, expires: Option<u64>) -> Command {
    Command {
        id: CommandId(fresh_id()),
        endpoint: EndpointSpec { id: None, kind: "ipmi".into(), params: serde_json::json!({}), pinned: None },
        target: serde_json::json!({}),
        operation,
        expires_in_ms: expires,
        restore_after_ms: None,
        fence: 1,
        leased: false,
        urgency: Urgency::Awaited,
    }
}

fn asked(delivery: Option<Delivery>) -> Command {
    let Some(Delivery { frame: ToAgent::Execute(command), .. }) = delivery else {
        panic!("nothing is asked")
    };
    command
}

#[tokio::test]
async fn whether_outlets_stay_off_is_what_the_agent_says() {
    let bench = Bench::new(PATIENCE).await;
    let (mut inbox, out) = bench.join().await;
    let expired = Fault::new(FaultCode::Exec, Reason::Expired, "");
    for said in [Ok(()), Err(expired)] {
        let agent = async {
            let ToAgent::KeepOff { id: command, .. } = inbox.recv().await.unwrap().frame else { panic!() };
            let result = said.clone().map(|()| Answer::Done);
            out.send(ToBackend::Finished { command, result, took_ms: 0 }).unwrap();
        };
        let (heard, ()) =
            tokio::join!(bench.roster.keep_off(bench.agent, Vec::new(), Vec::new(), PATIENCE), agent);
        assert_eq!(heard, said);
    }
    assert_eq!(bench.roster.in_flight(bench.agent), 0);
}

#[tokio::test]
async fn a_command_survives_its_session_and_keeps_its_id() {
    let mut bench = Bench::new(PATIENCE).await;
    let (mut inbox, out) = bench.join().await;
    let sent = command(Operation::SetOutlet { to: Switch::Off }, Some(30_000));
    let (id, agent) = (sent.id, bench.agent);
    let waiting = tokio::spawn(bench.execute(sent));
    assert_eq!(asked(inbox.recv().await).id, id);
    drop((inbox, out));
    bench.gone().await;
    assert!(bench.roster.silence(agent).is_none());
    let (mut inbox, out) = bench.join().await;
    let again = asked(inbox.recv().await);
    assert_eq!(again.id, id);
    assert!(again.expires_in_ms < Some(30_000), "the time that passed is not given again");
    out.send(ToBackend::Finished { command: id, result: Ok(Answer::Done), took_ms: 1 }).unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(Answer::Done));
}

#[tokio::test]
async fn what_was_never_sent_expires_and_what_was_sent_is_lost() {
    let mut bench = Bench::new(Duration::from_millis(300)).await;
    let write = |expires| command(Operation::SetOutlet { to: Switch::Off }, Some(expires));
    let never = bench.execute(write(50)).await.unwrap_err();
    assert_eq!((never.code, never.reason), (FaultCode::Exec, Reason::AgentOffline));
    let (mut inbox, out) = bench.join().await;
    let waiting = tokio::spawn(bench.execute(write(50)));
    asked(inbox.recv().await);
    drop((inbox, out));
    bench.gone().await;
    let lost = waiting.await.unwrap().unwrap_err();
    assert_eq!((lost.code, lost.reason), (FaultCode::Lost, Reason::Interrupted));
}

#[tokio::test]
async fn a_look_does_not_wait_for_an_agent_that_is_away() {
    let bench = Bench::new(PATIENCE).await;
    let mut look = command(Operation::ReadPower, Some(30_000));
    look.urgency = Urgency::Background;
    let begun = Instant::now();
    let fault = bench.execute(look).await.unwrap_err();
    assert_eq!(fault.reason, Reason::AgentOffline);
    assert!(begun.elapsed() < PATIENCE / 3);
}

#[tokio::test]
async fn one_of_a_group_that_went_away_as_it_was_found_is_not_waited_for() {
    let bench = Bench::new(PATIENCE).await;
    let members = vec![bench.agent, AgentId(fresh_id())];
    let group = Route::Group { endpoint: EndpointId(fresh_id()), members };
    let begun = Instant::now();
    assert!(bench.roster.reach(&group, bench.agent, PATIENCE).await.is_none());
    assert!(begun.elapsed() < PATIENCE / 3, "another one may have the device by then");
    let (_inbox, _out) = bench.join().await;
    assert!(bench.roster.reach(&group, bench.agent, PATIENCE).await.is_some());
}

#[tokio::test]
async fn a_newer_session_ends_the_older() {
    let bench = Bench::new(PATIENCE).await;
    let (_inbox, _out) = bench.join().await;
    let first = bench.roster.sitting(bench.agent).unwrap();
    let (_inbox2, _out2) = bench.join().await;
    assert_eq!(first.closed().await, close::SUPERSEDED);
    let second = bench.roster.sitting(bench.agent).unwrap();
    assert!(!second.is_closed() && !Arc::ptr_eq(&first, &second));
}

#[tokio::test]
async fn what_waited_for_its_agent_has_only_what_is_left_of_its_time() {
    let bench = Bench::new(PATIENCE).await;
    let waiting = tokio::spawn(bench.execute(command(Operation::ReadPower, Some(30_000))));
    tokio::time::sleep(Duration::from_millis(60)).await;
    let (mut inbox, out) = bench.join().await;
    let sent = asked(inbox.recv().await);
    assert!(sent.expires_in_ms.unwrap() <= 30_000 - 60, "{:?}", sent.expires_in_ms);
    out.send(ToBackend::Finished { command: sent.id, result: Ok(Answer::Done), took_ms: 1 }).unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(Answer::Done));
}

#[tokio::test]
async fn a_device_goes_to_another_agent_once_the_one_before_has_ended_its_write() {
    let mut bench = Bench::new(PATIENCE).await;
    let endpoint = EndpointId(fresh_id());
    let to = |agent: AgentId| Route::Group { endpoint, members: vec![agent] };
    let first = bench.agent;
    let (mut inbox, out) = bench.join().await;
    let write = command(Operation::SetOutlet { to: Switch::Off }, Some(30_000));
    let (id, roster, route) = (write.id, Arc::clone(&bench.roster), to(first));
    let writing = tokio::spawn(async move {
        let stage = watch::channel(Stage::Waiting).0;
        roster.execute(&route, write, Secrets::default(), Earlier::Nobody, &stage).await.result
    });
    assert_eq!(asked(inbox.recv().await).id, id);

    bench.agent = AgentId(fresh_id());
    let (_second_inbox, _second_out) = bench.join().await;
    let (db, route) = (bench.roster.peers.db.clone(), to(bench.agent));
    let soon = Duration::from_millis(100);
    let early = route::holder(&db, &bench.roster, &route, soon).await;
    assert_eq!(early.unwrap_err().reason, Reason::AgentOffline, "two may write at once");
    out.send(ToBackend::Finished { command: id, result: Ok(Answer::Done), took_ms: 1 }).unwrap();
    assert_eq!(writing.await.unwrap(), Ok(Answer::Done));
    let holder = route::holder(&db, &bench.roster, &route, PATIENCE).await.unwrap();
    assert_eq!((holder.agent, holder.epoch), (bench.agent, 2));
}

#[tokio::test]
async fn a_write_is_not_asked_of_an_agent_that_has_another_journal_by_now() {
    let bench = Bench::new(PATIENCE).await;
    let (mut inbox, _out) = bench.join().await;
    let endpoint = EndpointId(fresh_id());
    let route = Route::Group { endpoint, members: vec![bench.agent] };
    let holder = route::holder(&bench.roster.peers.db, &bench.roster, &route, PATIENCE).await.unwrap();
    let lease = rackhand_store::agent_groups::Lease { agent: holder.agent, epoch: holder.epoch };
    let other = serde_json::json!({"sealing_key": "of the one before", "copies_at": null});
    let keeper = Keeper { lease, identified: serde_json::from_value(other).unwrap() };
    let write = command(Operation::SetOutlet { to: Switch::Off }, Some(30_000));
    let stage = watch::channel(Stage::Waiting).0;
    let done = bench.roster.execute(&route, write, Secrets::default(), Earlier::Only(keeper), &stage).await;
    assert_eq!((done.by, done.result.unwrap_err().code), (Some(bench.agent), FaultCode::Lost));
    assert!(inbox.try_recv().is_err(), "it was asked all the same");
}

#[tokio::test]
async fn what_one_lease_allowed_is_not_handed_over_under_the_next() {
    let lease = Duration::from_millis(50);
    let bench = Bench::timed(&Timings { lease, lease_slack: PATIENCE, ..Timings::default() }).await;
    let (mut inbox, out) = bench.join().await;
    let (roster, agent) = (&bench.roster, bench.agent);
    let mut renewals = Vec::new();
    for number in 1..=2 {
        out.send(ToBackend::Hold { number }).unwrap();
        assert!(matches!(inbox.recv().await.unwrap().frame, ToAgent::Held { .. }));
        renewals.push(roster.leases().standing(agent).await.renewal);
        assert!(roster.may_hand_over(agent, renewals[0]).is_some() == (number == 1), "{renewals:?}");
        assert!(roster.may_hand_over(agent, renewals[renewals.len() - 1]).is_some(), "{renewals:?}");
        tokio::time::sleep(lease * 2).await;
    }
    let session = roster.sitting(agent).unwrap();
    let delivery = Delivery { frame: ToAgent::WatchEnd {}, secrets: Secrets::default() };
    let may = || roster.may_hand_over(agent, renewals[0]);
    let asked = session.ask(CommandId(fresh_id()), delivery, None, may).await;
    assert_eq!(asked, Err(Ended::Before));
    assert!(inbox.try_recv().is_err(), "it was handed over all the same");
}

#[tokio::test]
async fn a_session_elsewhere_that_was_closed_from_here_is_found_again() {
    let bench = Bench::new(PATIENCE).await;
    let (agent, db) = (bench.agent, &bench.roster.peers.db);
    let tx = db.begin().await.unwrap();
    let elsewhere = rackhand_wire::id::NodeId(fresh_id());
    agent_sessions::sit(&tx, agent, elsewhere, BootId(fresh_id())).await.unwrap();
    tx.commit().await.unwrap();
    bench.roster.follow(agent).await.unwrap();
    let first = bench.roster.sitting(agent).unwrap();
    bench.roster.follow(agent).await.unwrap();
    assert!(Arc::ptr_eq(&first, &bench.roster.sitting(agent).unwrap()), "it is the same one");
    first.close(close::GOING_AWAY);
    bench.roster.follow(agent).await.unwrap();
    assert!(bench.roster.is_here(agent));
}
