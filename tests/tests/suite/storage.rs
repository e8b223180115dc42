//! A database that takes nothing for a while: what was accepted is done once, what was not has no effect.

#![expect(clippy::unwrap_used, reason = "a broken bench stops the test")]
#![expect(clippy::indexing_slicing, reason = "JSON values answer null where nothing is")]

use rackhand_simulators::world::EffectKind;
use rackhand_tests::{Lab, state};
use sea_orm::{ConnectOptions, ConnectionTrait, Database};
use serde_json::json;
use std::{
    fs,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const SERVERS: u16 = 16;

/// What was asked for, as it was answered.
struct Asked {
    server: String,
    job: Option<String>,
}

/// Asks for a reset of one server after the other; every answer is an acceptance, or a refusal that says to try again.
async fn press(lab: &Lab) -> Vec<Asked> {
    let mut asked = Vec::new();
    for number in 1..=SERVERS {
        let server = format!("srv-{number:02}");
        let path = format!("/servers/{}/power", lab.id(&server));
        let reply = lab.post(&path, &json!({"action": "reset", "expires_in_ms": 3_600_000})).await;
        let job = match reply.status {
            202 => Some(reply.body["id"].as_str().unwrap().to_owned()),
            503 => {
                assert_eq!(reply.code(), "unavailable");
                None
            }
            other => unreachable!("{server}: {other}: {:#}", reply.body),
        };
        asked.push(Asked { server, job });
    }
    asked
}

/// Each accepted one was done once and says so, each refused one was not done; and the next ones are accepted.
async fn all_is_well(lab: &Lab, asked: &[Asked]) {
    let resets = |server: &str| lab.machine(server).count(&EffectKind::Reset);
    for Asked { server, job } in asked {
        if let Some(job) = job {
            let done = lab.finish(job).await;
            assert_eq!((state(&done).0, resets(server)), ("succeeded", 1), "{done:#}");
        } else {
            assert_eq!(resets(server), 0, "{server} was refused");
        }
        let before = resets(server);
        let done = lab.power(server, json!({"action": "reset"})).await;
        assert_eq!((state(&done).0, resets(server)), ("succeeded", before + 1), "{done:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_it_cannot_keep_and_goes_on_when_there_is_room() {
    let mut lab = Lab::embedded(SERVERS).await;
    lab.wire(&json!({})).await;
    lab.backend.stop();
    let disk = lab.backend.start_again_on_a_disk(16 * 1024);
    lab.wait_until("it serves", async |lab: &Lab| lab.get("/servers").await.status == 200).await;
    let mut filler = fs::File::create(disk.join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    // More than one: what follows a transaction that the disk undid is told the truth too.
    let asked = press(&lab).await;
    assert!(asked.iter().any(|one| one.job.is_none()), "nothing was refused on a full disk");
    // What can be read is shown.
    assert_eq!(lab.get("/servers").await.ok()["items"].as_array().map(Vec::len), Some(SERVERS.into()));
    drop(filler);
    fs::remove_file(disk.join("filler")).unwrap();
    let begun = Instant::now();
    let path = format!("/servers/{}/power", lab.id("srv-16"));
    lab.wait_until("it accepts again", async |lab: &Lab| {
        lab.post(&path, &json!({"action": "on"})).await.status != 503
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    all_is_well(&lab, &asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_other_writers_delays_and_loses_nothing() {
    let mut lab = Lab::embedded(SERVERS).await;
    lab.wire(&json!({})).await;
    let storm = Arc::new(AtomicBool::new(true));
    let url = lab.backend.database();
    let table = Database::connect(&url).await.unwrap();
    table.execute_unprepared("CREATE TABLE storm (number INTEGER)").await.unwrap();
    let writers: Vec<_> = (0..20)
        .map(|number| {
            let (url, storm) = (url.clone(), Arc::clone(&storm));
            tokio::spawn(async move {
                let mut options = ConnectOptions::new(url);
                let writer = Database::connect(options.max_connections(1).clone()).await.unwrap();
                let mut written = 0_u32;
                while storm.load(Ordering::Relaxed) {
                    let text = format!("BEGIN IMMEDIATE; INSERT INTO storm VALUES ({number}); COMMIT");
                    match writer.execute_unprepared(&text).await {
                        Ok(_) => written += 1,
                        Err(_) => drop(writer.execute_unprepared("ROLLBACK").await),
                    }
                }
                written
            })
        })
        .collect();
    let asked = press(&lab).await;
    storm.store(false, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    assert!(written > 100, "it was no storm: {written}");
    all_is_well(&lab, &asked).await;
}
