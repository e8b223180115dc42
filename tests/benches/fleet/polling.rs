//! One agent that looks at very many BMCs, all of them alive and with a tenth of them dead.

use rackhand_store::Db;
use rackhand_tests::{authority::database, binary};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

use crate::{
    Extent,
    figure::{Figure, percentile, spread},
    seed::Racks,
    served::{Installation, Server, cpu, kilobytes},
};

const BMCS: u32 = 10_000;
/// How long one run lasts: every device is due in it.
const SPAN: Duration = Duration::from_mins(1);

/// What one run showed.
struct Run {
    busy: f64,
    server_busy: f64,
    megabytes: f64,
    p99: f64,
}

/// Measures.
pub async fn measure(extent: Extent) -> Vec<Figure> {
    let count = extent.of(BMCS);
    let racks = Racks::of_bmcs(count);
    let installation = Installation::empty();
    let agent = Agent::enrolled(&installation).await;
    racks.make_known_to(installation.folder(), Some(agent.id.parse().unwrap())).await;
    let server = installation.serve(&["--embedded-agent", "off"]);
    let agent = agent.run();
    let url = format!("sqlite://{}", installation.folder().join("rackhand.db").display());
    let db = database(installation.folder(), &url).await;
    let mut figures = Vec::new();
    for dead in [0, count / 10] {
        racks.mute(dead as usize).await;
        settled(&db, count, dead).await;
        let mut runs = Vec::new();
        for run in 0..=extent.runs {
            let seen = watched(&db, &server, &agent, dead).await;
            if run > 0 {
                runs.push(seen);
            }
        }
        figures.extend(told(count, dead, &runs));
    }
    figures
}

fn told(count: u32, dead: u32, runs: &[Run]) -> [Figure; 3] {
    let each = |value: fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    let what = if dead == 0 { format!("{count} BMCs") } else { format!("{count} BMCs, {dead} of them dead") };
    let note = format!(
        "{} %, with {} % of the server that stores what it finds",
        spread(&each(|run| run.busy), 1),
        spread(&each(|run| run.server_busy), 1)
    );
    let memory = format!("{} MB", spread(&each(|run| run.megabytes), 1));
    let ages = format!("{} s; read every 5 s at the server", spread(&each(|run| run.p99), 1));
    [
        Figure::at_most(format!("{what}: agent's share of one core"), "%", &each(|run| run.busy), 15.0)
            .noting(note),
        Figure::at_most(format!("{what}: agent's memory (RSS)"), "MB", &each(|run| run.megabytes), 200.0)
            .noting(memory),
        Figure::at_most(
            format!("{what}: p99 age of what is shown of the living"),
            "s",
            &each(|run| run.p99),
            75.0,
        )
        .noting(ages),
    ]
}

/// Waits until everything was read once and the dead are known for dead.
async fn settled(db: &Db, count: u32, dead: u32) {
    let end = tokio::time::Instant::now() + Duration::from_mins(10);
    loop {
        let (ages, silent) = ages(db).await;
        if ages.len() + silent == count as usize && silent == dead as usize {
            return;
        }
        let read = ages.len();
        assert!(tokio::time::Instant::now() < end, "{read} of {count} were read, {silent} are silent");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn watched(db: &Db, server: &Server, agent: &Running, dead: u32) -> Run {
    let before = (cpu(agent.child.id()), server.cpu());
    let mut seen = Vec::new();
    let mut pause = tokio::time::interval(Duration::from_secs(5));
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < SPAN {
        pause.tick().await;
        let (ages, silent) = ages(db).await;
        assert_eq!(silent, dead as usize, "a living device counts as dead");
        seen.extend(ages);
    }
    let span = begun.elapsed().as_secs_f64();
    Run {
        busy: (cpu(agent.child.id()) - before.0) / span * 100.0,
        server_busy: (server.cpu() - before.1) / span * 100.0,
        megabytes: kilobytes(agent.child.id(), "VmRSS") / 1e3,
        p99: percentile(&seen, 99.0),
    }
}

/// Seconds since each device was asked that answered then, and how many did not answer.
async fn ages(db: &Db) -> (Vec<f64>, usize) {
    let engine = db.reader().get_database_backend();
    let text =
        "SELECT checked_at, state FROM connection WHERE role = 'controller' AND checked_at IS NOT NULL";
    let rows = db.reader().query_all_raw(Statement::from_string(engine, text)).await.unwrap();
    let now = rackhand_store::millis(rackhand_store::now());
    let (mut ages, mut silent) = (Vec::new(), 0);
    for row in rows {
        match row.try_get::<Option<String>>("", "state").unwrap() {
            Some(_) => ages.push((now - row.try_get::<i64>("", "checked_at").unwrap()) as f64 / 1e3),
            None => silent += 1,
        }
    }
    (ages, silent)
}

/// An agent with an identity and a folder.
struct Agent {
    id: String,
    folder: TempDir,
}

impl Agent {
    async fn enrolled(installation: &Installation) -> Self {
        let server = installation.serve(&[]);
        let folder = TempDir::new().unwrap();
        let at = format!("http://{}", server.at);
        let client = rackhand_tests::client();
        let add = client.post(format!("{at}/api/v1/agents")).bearer_auth(&installation.token);
        let added: Value = add.json(&json!({"name": "site-a"})).send().await.unwrap().json().await.unwrap();
        let enrolled =
            command(folder.path(), &["enroll", "--server", &at, "--token", added["token"].as_str().unwrap()])
                .status()
                .unwrap();
        assert!(enrolled.success(), "the agent could not be enrolled");
        Self { id: added["agent"]["id"].as_str().unwrap().to_owned(), folder }
    }

    fn run(self) -> Running {
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let child =
            command(self.folder.path(), &["run", "--allow", "127.0.0.0/8"]).stderr(log).spawn().unwrap();
        Running { child, _folder: self.folder }
    }
}

fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(binary("rackhand-agent"));
    command.args(words).arg("--data-dir").arg(folder).stdout(Stdio::null());
    command
}

/// Its process, which ends with this value.
struct Running {
    child: Child,
    _folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
