use rackhand_wire::{Answer, Fault, agent::Answered};
use serde_json::json;

use super::*;

fn look(n: u128) -> Look {
    Look {
        endpoint: EndpointId(Uuid::from_u128(n)),
        kind: "ipmi".into(),
        params: json!({}),
        pinned: None,
        identify: false,
        reads: Vec::new(),
        every_ms: 1,
        generation: "g".into(),
        mark: "m".into(),
        needs_secrets: false,
    }
}

fn done() -> Found {
    Found::Answers { identity: None, answers: vec![Answered { target: json!({}), result: Ok(Answer::Done) }] }
}

fn silent(detail: &str) -> Found {
    Found::Nothing { fault: Fault::unreachable(detail) }
}

fn at(steady: u64) -> Stamp {
    Stamp { steady, day: 1_000_000 + i64::try_from(steady).unwrap() }
}

/// Devices and ages of a batch, with what was found.
fn told(batch: &Batch) -> Vec<(u128, u64, Found)> {
    let sample = |entry: &Entry| match entry {
        Entry::Sample(sample) => (sample.endpoint.0.as_u128(), sample.age_ms, sample.found.clone()),
        Entry::RestartedAlone { age_ms, .. } => (0, *age_ms, done()),
    };
    batch.entries.iter().map(sample).collect()
}

fn open(folder: &tempfile::TempDir, limits: Limits) -> Spool {
    Spool::open(folder.path(), limits, at(0)).unwrap()
}

fn size(folder: &tempfile::TempDir) -> u64 {
    fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn what_is_as_it_was_takes_a_short_line_and_is_told_whole_with_its_own_age() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, Limits::default());
    for (n, found, begun) in
        [(1, done(), 10), (2, silent("x"), 20), (1, done(), 30), (1, silent("y"), 40), (2, silent("x"), 50)]
    {
        spool.put(&look(n), found, at(begun));
    }
    assert_eq!(spool.batch(at(60)), None, "nothing is told that is not on disk");
    spool.flush(at(60));
    let batch = spool.batch(at(100)).unwrap();
    assert_eq!(batch.first, 1);
    let expected =
        [(1, 90, done()), (2, 80, silent("x")), (1, 70, done()), (1, 60, silent("y")), (2, 50, silent("x"))];
    assert_eq!(told(&batch), expected);
    let text = fs::read_to_string(folder.path().join(format!("{:020}.jsonl", 1))).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("\"as\"")).count(), 2);
    assert_eq!(spool.batch(at(100)), None);
}

#[test]
fn a_restart_loses_nothing_and_repeats_only_what_was_not_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, Limits::default());
    spool.put(&look(1), done(), at(10));
    spool.put(&look(2), done(), at(20));
    spool.flush(at(20));
    spool.put(&look(1), silent("x"), at(30));
    spool.flush(at(30));
    let id = spool.id();
    drop(spool);
    // Killed while a line was being written.
    let file = folder.path().join(format!("{:020}.jsonl", 1));
    OpenOptions::new().append(true).open(file).unwrap().write_all(b"{\"n\":4,\"t\":3").unwrap();
    let mut spool = open(&folder, Limits::default());
    assert_eq!(spool.id(), id);
    spool.put(&look(1), silent("x"), at(50));
    spool.flush(at(50));
    let batch = spool.batch(at(60)).unwrap();
    assert_eq!((batch.first, batch.entries.len()), (1, 3));
    spool.stored(id, 2);
    spool.rewind();
    let again = spool.batch(at(60)).unwrap();
    assert_eq!((again.first, told(&again)), (3, vec![(1, 30, silent("x"))]));
    let next = spool.batch(at(60)).unwrap();
    assert_eq!((next.first, told(&next)), (4, vec![(1, 10, silent("x"))]));
    spool.stored(id, 4);
    assert!(!folder.path().join(format!("{:020}.jsonl", 1)).exists(), "what is stored needs no disk");
    drop(spool);
    let mut spool = open(&folder, Limits::default());
    spool.put(&look(1), done(), at(70));
    spool.flush(at(70));
    spool.stored(id, 4);
    assert_eq!(spool.batch(at(70)).unwrap().first, 5, "numbers go on");
}

#[test]
fn the_oldest_is_dropped_when_it_is_too_much_and_its_numbers_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { bytes: 20_000, ..Limits::default() };
    let mut spool = open(&folder, limits);
    for n in 0..1000_u64 {
        spool.put(&look(1), silent(&format!("{n}")), at(n));
        spool.flush(at(n));
        assert!(size(&folder) < 24_000, "{}", size(&folder));
    }
    let first = spool.batch(at(1000)).unwrap();
    assert!(first.first > 800, "{}", first.first);
    let mut last = first.first + first.entries.len() as u64 - 1;
    while let Some(batch) = spool.batch(at(1000)) {
        assert_eq!(batch.first, last + 1, "the rest is whole");
        last += batch.entries.len() as u64;
    }
    assert_eq!(last, 1000);
}

#[test]
fn what_is_older_than_allowed_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { bytes: 8_000, age: Duration::from_secs(10) };
    let mut spool = open(&folder, limits);
    for n in 0..12 {
        spool.put(&look(1), silent(&format!("{n}")), at(n));
        spool.flush(at(n));
    }
    assert!(folder.path().join(format!("{:020}.jsonl", 1)).exists());
    spool.put(&look(1), done(), at(20_000));
    spool.flush(at(20_000));
    assert!(!folder.path().join(format!("{:020}.jsonl", 1)).exists());
    assert!(spool.batch(at(20_000)).unwrap().first > 1);
}

#[test]
fn a_batch_has_an_end_and_nobody_elses_confirmation_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, Limits::default());
    for n in 0..600 {
        spool.put(&look(n), done(), at(1));
    }
    spool.put_alone(3, Duration::from_secs(9), at(2));
    spool.flush(at(2));
    spool.stored(Uuid::new_v4(), 600);
    let sizes: Vec<usize> =
        std::iter::from_fn(|| spool.batch(at(3))).map(|batch| batch.entries.len()).collect();
    assert_eq!(sizes, [250, 250, 101]);
    spool.rewind();
    assert_eq!(spool.batch(at(3)).unwrap().first, 1);
}

#[test]
fn an_old_copy_of_the_folder_begins_a_spool_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, Limits::default());
    let id = spool.id();
    spool.put(&look(1), done(), at(1));
    spool.flush(at(1));
    spool.batch(at(1)).unwrap();
    spool.stored(id, 70);
    assert_ne!(spool.id(), id);
    assert_eq!(spool.batch(at(1)).unwrap().first, 1, "what was told in vain is told again");
}

#[test]
fn a_folder_without_segments_is_another_spool() {
    let folder = tempfile::tempdir().unwrap();
    let id = open(&folder, Limits::default()).id();
    for file in fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "jsonl") {
            fs::remove_file(path).unwrap();
        }
    }
    assert_ne!(open(&folder, Limits::default()).id(), id);
}
