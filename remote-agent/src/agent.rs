use rackhand_driver::Guard;
use rackhand_wire::{
    Command, Timings,
    agent::{BootId, Hello, Protocols, ToAgent, ToBackend},
    id::AgentId,
};
use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::sync::{Notify, mpsc};

use crate::{
    Delivery, Link, SecretSource, catalogue,
    journal::{Journal, Moment},
    outbox::Outbox,
    permit::{self, Lease},
    poller::{Limits, Order, Poller, Watched},
    restore,
    worker::{self, Purpose, Shared, Task},
};

/// How an agent is started.
pub struct Config {
    /// Its identity.
    pub id: AgentId,
    /// Where its journal is.
    pub journal: PathBuf,
    /// The folder of what it looks at by itself and of what it found.
    pub spool: PathBuf,
    /// How much of that is kept while there is no backend.
    pub keep: Limits,
    /// All durations.
    pub timings: Timings,
    /// Which addresses may be spoken to; its rules may change while the agent runs.
    pub guard: Arc<Guard>,
    /// Where it asks for credentials when it must restore after a restart.
    pub secrets: Arc<dyn SecretSource>,
}

/// A running agent. Sessions with a backend come and go; it ends when it and its last link are dropped and
/// what is under way has finished.
pub struct Agent {
    id: AgentId,
    boot: BootId,
    deliveries: mpsc::Sender<Delivery>,
    orders: mpsc::UnboundedSender<Order>,
    /// None when what is found cannot be kept: then a backend has it look by commands.
    watched: Option<Watched>,
    shared: Arc<Shared>,
}

/// Frames that wait for the desk, which waits for nothing itself.
const INBOX: usize = 1024;

/// Queues that are never too many.
const FEW: usize = 1024;

impl Agent {
    /// Starts an agent.
    ///
    /// # Errors
    /// When the journal cannot be opened: without it nothing may be switched.
    pub fn start(config: Config) -> io::Result<Self> {
        let journal = Journal::open(&config.journal, Moment::now())?;
        let (deliveries, arriving) = mpsc::channel(1);
        let (stamped, inbox) = mpsc::channel(INBOX);
        tokio::spawn(stamp(arriving, stamped));
        let shared = Arc::new(Shared {
            journal: Mutex::new(journal),
            timings: config.timings,
            guard: config.guard,
            lease: Mutex::default(),
            fences: Mutex::default(),
            kept: Mutex::default(),
            outbox: Outbox::default(),
            rested: Notify::new(),
            may_restore: AtomicBool::new(false),
        });
        let (restores, due) = mpsc::channel(64);
        tokio::spawn(restore::watch(Arc::downgrade(&shared), config.secrets, restores));
        let (orders, ordered) = mpsc::unbounded_channel();
        let (looks, looked) = mpsc::channel(64);
        let watched = Poller::start(Arc::clone(&shared), &config.spool, config.keep, looks, ordered);
        let watched = watched.inspect_err(|error| {
            let folder = config.spool.display();
            tracing::error!(%error, %folder, "cannot keep what is found: looks are made only while a server asks for them");
        });
        let (queues, tidy_at) = (HashMap::new(), FEW);
        let desk = Desk { shared: Arc::clone(&shared), orders: orders.clone(), queues, tidy_at };
        tokio::spawn(desk.serve(inbox, due, looked));
        let boot = BootId(uuid::Uuid::new_v4());
        Ok(Self { id: config.id, boot, deliveries, orders, watched: watched.ok(), shared })
    }

    /// Says who it is.
    #[must_use]
    pub fn hello(&self) -> Hello {
        Hello {
            agent: self.id,
            boot: self.boot,
            protocols: Protocols::OURS,
            version: env!("CARGO_PKG_VERSION").into(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            kinds: catalogue::hashes().clone(),
            watching: self.watched.as_ref().map(Watched::digest),
        }
    }

    /// What decides which addresses may be spoken to.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.shared.guard
    }

    /// Keeps so much of what is found while there is no backend.
    pub fn keep(&self, limits: Limits) {
        self.order(Order::Limit(limits));
    }

    fn order(&self, order: Order) {
        // The poller ends with the agent.
        self.orders.send(order).ok();
    }

    /// Lets the agent write to shared devices until then.
    pub fn hold_until(&self, until: Instant) {
        let mut lease = self.shared.lease.lock().unwrap_or_else(PoisonError::into_inner);
        *lease = Some(Lease::after(*lease, until, Instant::now()));
    }

    /// Begins a session: the one before it hears nothing more. What the agent did by itself meanwhile is told
    /// first; outcomes are answered from the journal when they are asked for again.
    #[must_use]
    pub fn attach(&self) -> Link {
        let from_agent = self.shared.outbox.open();
        let (news, cuts) = {
            let journal = self.shared.journal();
            (journal.untold(), journal.cuts())
        };
        if cuts.is_empty() {
            self.shared.may_restore.store(true, Ordering::Relaxed);
        } else {
            let cuts = cuts.into_iter().map(|cut| cut.command.id).collect();
            self.shared.outbox.put(ToBackend::Dark { cuts });
        }
        for (cut, result) in news {
            self.shared.outbox.put(ToBackend::Restored { cut, result });
        }
        self.order(Order::Session);
        Link { to_agent: self.deliveries.clone(), from_agent }
    }
}

/// Dates what arrives before it waits anywhere: a command expires however long it waited, and wherever.
async fn stamp(mut arriving: mpsc::Receiver<Delivery>, inbox: mpsc::Sender<(Delivery, Instant)>) {
    while let Some(delivery) = arriving.recv().await {
        if inbox.send((delivery, Instant::now())).await.is_err() {
            return;
        }
    }
}

/// Hands deliveries to the queues of their devices.
struct Desk {
    shared: Arc<Shared>,
    /// To the poller.
    orders: mpsc::UnboundedSender<Order>,
    /// A queue keeps room for 32 tasks, used or not, so that it holds them boxed.
    queues: HashMap<String, mpsc::UnboundedSender<Box<Task>>>,
    /// With so many queues it is time to look for those of idle devices.
    tidy_at: usize,
}

impl Desk {
    async fn serve(
        mut self,
        mut inbox: mpsc::Receiver<(Delivery, Instant)>,
        mut restores: mpsc::Receiver<Task>,
        mut looks: mpsc::Receiver<Task>,
    ) {
        loop {
            tokio::select! {
                // What somebody waits for comes before looks, however many are due.
                biased;
                delivery = inbox.recv() => match delivery {
                    Some((delivery, received)) => self.take(delivery, received),
                    None => return,
                },
                Some(task) = restores.recv() => self.queue(task),
                Some(task) = looks.recv() => self.queue(task),
            }
        }
    }

    fn take(&mut self, delivery: Delivery, received: Instant) {
        match delivery.frame {
            ToAgent::Execute(command) => {
                let secrets = delivery.secrets;
                if let (Some(_), Some(endpoint)) = (command.restore_after_ms, command.endpoint.id) {
                    self.shared.kept().insert(endpoint, secrets.clone());
                }
                if command.operation.is_write() {
                    self.shared.journal().receive(command.id, Moment::now());
                }
                permit::hear(&self.shared, &command);
                self.queue(Task { command, secrets, received, purpose: Purpose::Answer });
            }
            ToAgent::KeepOff { id, cuts, outlets } => {
                tokio::spawn(restore::keep_off(Arc::clone(&self.shared), id, cuts, outlets));
            }
            ToAgent::Acknowledge { commands } => {
                for command in commands {
                    if let Err(error) = self.shared.journal().forget(command, Moment::now()) {
                        tracing::warn!(%error, %command, "could not forget a command");
                    }
                }
            }
            ToAgent::Noted { cuts } => {
                self.shared.journal().told(&cuts);
                self.shared.may_restore.store(true, Ordering::Relaxed);
            }
            ToAgent::WatchBegin {} => self.order(Order::Begin),
            ToAgent::Watch(look) => self.order(Order::Put(Box::new(look), delivery.secrets)),
            ToAgent::WatchEnd {} => self.order(Order::End),
            ToAgent::Unwatch { endpoints } => self.order(Order::Remove(endpoints)),
            ToAgent::LookNow { endpoints } => self.order(Order::Want(endpoints)),
            ToAgent::Stored { spool, through } => self.order(Order::Stored { spool, through }),
            // What concerns the session is the line's.
            ToAgent::Certificate { .. }
            | ToAgent::Held { .. }
            | ToAgent::GoAway { .. }
            | ToAgent::Secrets { .. } => {}
        }
    }

    fn order(&self, order: Order) {
        // The poller ends with the agent.
        self.orders.send(order).ok();
    }

    /// Puts a task into its device's queue. It waits for no device, because one that is dead would hold all others
    /// up with it. Nor is a queue ever full: a command that was refused while another copy of it waits would be done
    /// after all. What waits is what the backend has under way, each for as long as it may take to begin.
    fn queue(&mut self, task: Task) {
        let device = device(&task.command);
        let mut task = Box::new(task);
        loop {
            let queue = self.queues.entry(device.clone()).or_insert_with(|| {
                let (queue, tasks) = mpsc::unbounded_channel();
                tokio::spawn(worker::serve(Arc::clone(&self.shared), tasks));
                queue
            });
            // The worker of an idle device may have gone home in this very moment.
            match queue.send(task) {
                Ok(()) => break,
                Err(mpsc::error::SendError(back)) => {
                    task = back;
                    self.queues.remove(&device);
                }
            }
        }
        if self.queues.len() > self.tidy_at {
            self.queues.retain(|_, queue| !queue.is_closed());
            // With twice as many as are in use, so that looking costs little however many devices there are.
            self.tidy_at = (self.queues.len() * 2).max(FEW);
        }
    }
}

/// What makes two commands meet the same writer: the device, not the connection.
fn device(command: &Command) -> String {
    match command.endpoint.id {
        Some(id) => id.to_string(),
        None => format!("{}{}", command.endpoint.kind, command.endpoint.params),
    }
}

#[cfg(test)]
mod tests {
    use rackhand_wire::Secrets;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_frame_is_as_old_as_its_arrival_however_long_it_waits_for_the_desk() {
        let (deliveries, arriving) = mpsc::channel(1);
        let (stamped, mut inbox) = mpsc::channel(1);
        tokio::spawn(stamp(arriving, stamped));
        let delivery = Delivery { frame: ToAgent::WatchEnd {}, secrets: Secrets::default() };
        deliveries.send(delivery).await.ok().unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (_, received) = inbox.recv().await.unwrap();
        assert!(received.elapsed() > Duration::from_millis(100), "{:?}", received.elapsed());
    }
}
