use rackhand_wire::{
    Command, Timings,
    frame::{Hello, ToAgent, ToBackend},
    id::AgentId,
};
use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Instant,
};
use tokio::sync::{Notify, mpsc};

use crate::{
    Delivery, Link, SecretSource, catalogue,
    journal::{Journal, Moment},
    restore,
    worker::{self, Shared, Task},
};

/// How an agent is started.
pub struct Config {
    /// Its identity.
    pub id: AgentId,
    /// Where its journal is.
    pub journal: PathBuf,
    /// All durations.
    pub timings: Timings,
    /// Where it asks for credentials when it must restore after a restart.
    pub secrets: Arc<dyn SecretSource>,
}

/// A running agent; it ends when its link is dropped and what is under way has finished.
pub struct Agent {
    shared: Arc<Shared>,
    /// A queue keeps room for 32 tasks, used or not, so that it holds them boxed.
    queues: HashMap<String, mpsc::Sender<Box<Task>>>,
    /// With so many queues it is time to look for those of idle devices.
    tidy_at: usize,
}

/// Commands that one device may have waiting.
const QUEUE: usize = 64;

/// Queues that are never too many.
const FEW: usize = 1024;

impl Agent {
    /// Starts an agent and gives the backend's end of its link.
    ///
    /// # Errors
    /// When the journal cannot be opened: without it nothing may be switched.
    pub fn start(config: Config) -> io::Result<Link> {
        let journal = Journal::open(&config.journal, Moment::now())?;
        let (to_agent, inbox) = mpsc::channel(1024);
        let (out, from_agent) = mpsc::channel(1024);
        let shared = Arc::new(Shared {
            journal: Mutex::new(journal),
            timings: config.timings,
            out,
            rested: Notify::new(),
        });
        let hello = Hello {
            agent: config.id,
            version: env!("CARGO_PKG_VERSION").into(),
            kinds: catalogue::hashes().clone(),
        };
        let agent = Self { shared: Arc::clone(&shared), queues: HashMap::new(), tidy_at: FEW };
        let (restores, due) = mpsc::channel(64);
        tokio::spawn(restore::watch(Arc::downgrade(&shared), config.secrets, restores));
        tokio::spawn(agent.serve(hello, inbox, due));
        Ok(Link { to_agent, from_agent })
    }

    async fn serve(
        mut self,
        hello: Hello,
        mut inbox: mpsc::Receiver<Delivery>,
        mut restores: mpsc::Receiver<Task>,
    ) {
        if self.shared.out.send(ToBackend::Hello(hello)).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                delivery = inbox.recv() => match delivery {
                    Some(delivery) => self.take(delivery).await,
                    None => return,
                },
                Some(task) = restores.recv() => self.queue(task).await,
            }
        }
    }

    async fn take(&mut self, delivery: Delivery) {
        match delivery.frame {
            ToAgent::Execute(command) => {
                let secrets = delivery.secrets;
                self.queue(Task { command, secrets, received: Instant::now(), restores: false }).await;
            }
            ToAgent::KeepOff { id, cuts, outlets } => {
                tokio::spawn(restore::keep_off(Arc::clone(&self.shared), id, cuts, outlets));
            }
            ToAgent::Acknowledge { commands } => {
                for command in commands {
                    if let Err(error) = self.shared.journal().forget(command) {
                        tracing::warn!(%error, %command, "could not forget a command");
                    }
                }
            }
        }
    }

    /// Puts a task into its device's queue. A full queue holds the agent up rather than losing work.
    async fn queue(&mut self, task: Task) {
        let device = device(&task.command);
        let mut task = Box::new(task);
        loop {
            let queue = self.queues.entry(device.clone()).or_insert_with(|| {
                let (queue, tasks) = mpsc::channel(QUEUE);
                tokio::spawn(worker::serve(Arc::clone(&self.shared), tasks));
                queue
            });
            // The worker of an idle device may have gone home in this very moment.
            match queue.send(task).await {
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
