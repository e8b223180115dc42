use rackhand_wire::{Answer, Fault, agent::Answered};
use serde_json::json;
use std::fs::OpenOptions;

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

/// What a disk that is full makes of everything.
fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// Makes room on the disk.
fn clear(spool: &mut Spool) {
    let path = path(&spool.folder, spool.segments.back().unwrap().first);
    spool.file = OpenOptions::new().append(true).open(path).unwrap();
}

fn size(folder: &tempfile::TempDir) -> u64 {
    fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn what_is_as_it_was_takes_a_short_line_and_is_told_whole_with_its_own_age() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, Limits::default());
    spool.put(&look(1), done(), at(10));
    spool.put(&look(2), silent("x"), at(20));
    assert_eq!(spool.batch(at(20)), None, "nothing is told that a sound disk does not have yet");
    spool.flush(at(20));
    spool.put(&look(1), done(), at(30));
    spool.put(&look(1), silent("y"), at(40));
    spool.put(&look(2), silent("x"), at(50));
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
fn a_line_that_was_torn_inside_a_letter_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, Limits::default());
    spool.put(&look(1), done(), at(10));
    spool.flush(at(10));
    drop(spool);
    let torn = b"{\"n\":2,\"t\":3,\"sample\":{\"generation\":\"\xc3";
    let file = folder.path().join(format!("{:020}.jsonl", 1));
    OpenOptions::new().append(true).open(file).unwrap().write_all(torn).unwrap();
    let mut spool = open(&folder, Limits::default());
    spool.put(&look(1), silent("x"), at(20));
    spool.flush(at(20));
    let firsts: Vec<u64> = std::iter::from_fn(|| spool.batch(at(30))).map(|batch| batch.first).collect();
    assert_eq!(firsts, [1, 2]);
}

#[test]
fn what_a_full_disk_does_not_take_is_told_from_memory_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, Limits::default());
    let id = spool.id();
    spool.put(&look(1), done(), at(10));
    spool.flush(at(10));
    spool.file = full();
    spool.put(&look(1), done(), at(20));
    spool.put(&look(2), silent("x"), at(30));
    spool.flush(at(30));
    assert!(spool.fault().unwrap().contains("No space left"), "{:?}", spool.fault());
    for _ in 0..2 {
        let kept = spool.batch(at(40)).unwrap();
        assert_eq!((kept.first, told(&kept)), (1, vec![(1, 30, done())]), "what is on disk comes first");
        let rest = spool.batch(at(40)).unwrap();
        assert_eq!((rest.first, told(&rest)), (2, vec![(1, 20, done()), (2, 10, silent("x"))]));
        assert_eq!(spool.batch(at(40)), None);
        spool.rewind();
    }
    spool.stored(id, 2);
    clear(&mut spool);
    spool.put(&look(1), silent("y"), at(50));
    spool.flush(at(50));
    assert_eq!((spool.is_waiting(), spool.fault()), (false, None));
    let rest = spool.batch(at(60)).unwrap();
    assert_eq!((rest.first, told(&rest)), (3, vec![(2, 30, silent("x")), (1, 10, silent("y"))]));
    drop(spool);
    let mut spool = open(&folder, Limits::default());
    assert_eq!(spool.id(), id, "every number that was told is on disk");
    spool.put(&look(1), done(), at(70));
    spool.flush(at(70));
    spool.stored(id, 4);
    assert_eq!(spool.batch(at(70)).unwrap().first, 5);
}

#[test]
fn what_memory_does_not_hold_is_left_out_and_nothing_refers_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, Limits::default());
    spool.file = full();
    spool.put(&look(1), done(), at(1));
    spool.flush(at(1));
    for n in 0..LINES {
        spool.put(&look(2), silent(&format!("{n}")), at(2));
    }
    spool.put(&look(1), done(), at(3));
    clear(&mut spool);
    spool.flush(at(3));
    let batches: Vec<Batch> = std::iter::from_fn(|| spool.batch(at(4))).collect();
    assert_eq!(batches[0].first, 3, "the first two were too much");
    assert_eq!(batches.iter().map(|batch| batch.entries.len()).sum::<usize>(), LINES);
    assert_eq!(told(batches.last().unwrap()).pop(), Some((1, 1, done())));
}

#[test]
fn numbers_that_were_told_and_not_kept_are_not_given_to_others_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder, Limits::default());
    let id = spool.id();
    spool.file = full();
    spool.put(&look(1), done(), at(1));
    spool.flush(at(1));
    spool.batch(at(1)).unwrap();
    spool.stored(id, 1);
    drop(spool);
    assert_ne!(open(&folder, Limits::default()).id(), id);
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
