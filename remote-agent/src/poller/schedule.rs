//! Which device is due, decided without a clock: every moment comes in.
//!
//! The first round is spread over a whole period, and so is every later one, because each device keeps its
//! place in it. A device that fails is asked after 1, 2, 4 … 60 minutes; those have room of their own, so
//! that however many are dead, the others are asked in time. One that refused our credentials is not asked until
//! there are others or a person wants it: many lock the account after a few refusals.

use rackhand_wire::id::EndpointId;
use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

/// Minutes after which a device is asked at the latest, however often it failed.
const LONGEST: u32 = 60;

/// A device is asked for at most one part in so many of its time.
const SHARE: u32 = 5;

/// How a look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The device answered.
    Answered,
    /// It did not, or not what was asked.
    Failed,
    /// It refused our credentials.
    Refused,
    /// It was not asked, which says nothing of it.
    NotAsked,
}

/// What shares room: one kind of looks cannot hold another up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Somebody wants to know now.
    Wanted,
    /// It answered last time, or was never asked.
    Usual,
    /// It failed last time, and may take long to fail again.
    Suspect,
}

const CLASSES: [Class; 3] = [Class::Wanted, Class::Usual, Class::Suspect];

impl Class {
    /// Looks under way at a time.
    fn room(self) -> usize {
        match self {
            Self::Wanted => 256,
            Self::Usual => 512,
            Self::Suspect => 128,
        }
    }
}

#[derive(Default)]
struct Queue {
    due: BTreeSet<(Instant, EndpointId)>,
    under_way: usize,
}

struct Device {
    every: Duration,
    failures: u32,
    class: Class,
    stand: Stand,
}

#[derive(Clone, Copy)]
enum Stand {
    Due(Instant),
    /// Not until it is released or wanted.
    Held,
    UnderWay {
        since: Instant,
        /// Who asks meanwhile gets another look: this one may have begun before what they want to see.
        again: bool,
    },
}

/// When each device is asked.
pub struct Schedule {
    minute: Duration,
    devices: HashMap<EndpointId, Device>,
    wanted: Queue,
    usual: Queue,
    suspect: Queue,
}

impl Schedule {
    /// Knows no device yet. `minute` is the unit of the pauses after failures.
    #[must_use]
    pub fn new(minute: Duration) -> Self {
        let (wanted, usual, suspect) = Default::default();
        Self { minute, devices: HashMap::new(), wanted, usual, suspect }
    }

    /// Takes a device in, some time within its first period, or changes how often it is asked.
    pub fn put(&mut self, id: EndpointId, every: Duration, now: Instant) {
        let due = match self.devices.get_mut(&id) {
            None => {
                let at = now + every.mul_f64(place(id));
                let device = Device { every, failures: 0, class: Class::Usual, stand: Stand::Due(at) };
                self.devices.insert(id, device);
                at
            }
            Some(device) => {
                let before = std::mem::replace(&mut device.every, every);
                match device.stand {
                    Stand::Due(at) if before != every && device.failures == 0 => {
                        // As if it had been so since the last look; a round that is over by now is spread anew.
                        let at = (at + every).checked_sub(before).unwrap_or(now);
                        if at > now { at } else { now + every.mul_f64(place(id)) }
                    }
                    Stand::Due(_) | Stand::Held | Stand::UnderWay { .. } => return,
                }
            }
        };
        self.put_off(id, due);
    }

    /// Lets a device go.
    pub fn remove(&mut self, id: EndpointId) {
        let Some(device) = self.devices.remove(&id) else { return };
        let queue = self.queue(device.class);
        match device.stand {
            Stand::Due(at) => drop(queue.due.remove(&(at, id))),
            Stand::Held => {}
            Stand::UnderWay { .. } => queue.under_way -= 1,
        }
    }

    /// There is something new to ask a device with that refused us.
    pub fn release(&mut self, id: EndpointId, now: Instant) {
        if let Some(device) = self.devices.get_mut(&id)
            && matches!(device.stand, Stand::Held)
        {
            device.failures = 0;
            device.class = Class::Usual;
            self.put_off(id, now);
        }
    }

    /// Makes a device due at once, however often it has failed.
    pub fn want(&mut self, id: EndpointId, now: Instant) {
        let Some(device) = self.devices.get_mut(&id) else { return };
        match &mut device.stand {
            Stand::UnderWay { again, .. } => *again = true,
            Stand::Held => {
                device.class = Class::Wanted;
                self.put_off(id, now);
            }
            Stand::Due(at) => {
                let (at, class) = (*at, device.class);
                device.class = Class::Wanted;
                self.queue(class).due.remove(&(at, id));
                self.put_off(id, now);
            }
        }
    }

    /// Says when the next device is due that there is room for.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let queues =
            [(&self.wanted, Class::Wanted), (&self.usual, Class::Usual), (&self.suspect, Class::Suspect)];
        let free = queues.into_iter().filter(|(queue, class)| queue.under_way < class.room());
        free.filter_map(|(queue, _)| queue.due.first().map(|(at, _)| *at)).min()
    }

    /// Takes the devices that are due, the longest due first, as far as there is room.
    pub fn take(&mut self, now: Instant) -> Vec<EndpointId> {
        let mut taken = Vec::new();
        for class in CLASSES {
            let queue = self.queue(class);
            while queue.under_way < class.room()
                && let Some((at, id)) = queue.due.first().copied()
                && at <= now
            {
                queue.due.remove(&(at, id));
                queue.under_way += 1;
                taken.push(id);
            }
        }
        for id in &taken {
            if let Some(device) = self.devices.get_mut(id) {
                device.stand = Stand::UnderWay { since: now, again: false };
            }
        }
        taken
    }

    /// Notes how a look ended, and when the next one is due.
    pub fn done(&mut self, id: EndpointId, outcome: Outcome, now: Instant) {
        let Some(device) = self.devices.get_mut(&id) else { return };
        let Stand::UnderWay { since, again } = device.stand else { return };
        match outcome {
            Outcome::Answered => device.failures = 0,
            Outcome::Failed | Outcome::Refused => device.failures = device.failures.saturating_add(1),
            Outcome::NotAsked => {}
        }
        let before = std::mem::replace(
            &mut device.class,
            match (again, device.failures) {
                (true, _) => Class::Wanted,
                (false, 0) => Class::Usual,
                (false, _) => Class::Suspect,
            },
        );
        let due = match (again, device.failures) {
            (true, _) => now,
            (false, 0) => since + pause(device.every, now - since),
            (false, failures) => now + device.every.max(after_failures(self.minute, failures)),
        };
        if outcome == Outcome::Refused && !again {
            device.stand = Stand::Held;
            self.queue(before).under_way -= 1;
            return;
        }
        self.queue(before).under_way -= 1;
        self.put_off(id, due.max(now));
    }

    fn put_off(&mut self, id: EndpointId, due: Instant) {
        let Some(device) = self.devices.get_mut(&id) else { return };
        let before = std::mem::replace(&mut device.stand, Stand::Due(due));
        let class = device.class;
        let queue = self.queue(class);
        if let Stand::Due(before) = before {
            queue.due.remove(&(before, id));
        }
        queue.due.insert((due, id));
    }

    fn queue(&mut self, class: Class) -> &mut Queue {
        match class {
            Class::Wanted => &mut self.wanted,
            Class::Usual => &mut self.usual,
            Class::Suspect => &mut self.suspect,
        }
    }
}

/// The pause of a breaker: 1, 2, 4 … 60 minutes.
fn after_failures(minute: Duration, failures: u32) -> Duration {
    let minutes = 1_u32.checked_shl(failures.saturating_sub(1)).filter(|minutes| *minutes > 0);
    minute * minutes.unwrap_or(LONGEST).min(LONGEST)
}

/// From the begin of one look to that of the next: more for a device that takes long to answer.
fn pause(every: Duration, took: Duration) -> Duration {
    (took * SHARE).min(every * 10).max(every)
}

/// Where in a period a device has its place: 0 to 1, and always the same.
fn place(id: EndpointId) -> f64 {
    // The last bytes of an id are random.
    let [.., high, low] = id.0.into_bytes();
    f64::from(u16::from_be_bytes([high, low])) / 65536.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn id(n: u128) -> EndpointId {
        EndpointId(uuid::Uuid::from_u128(n))
    }

    /// A schedule with one device that has just been taken for its first look, and that moment.
    fn one() -> (Schedule, Instant) {
        let mut schedule = Schedule::new(MINUTE);
        let now = Instant::now();
        schedule.put(id(0), MINUTE, now);
        assert_eq!(schedule.take(now), [id(0)]);
        (schedule, now)
    }

    #[test]
    fn a_round_is_spread_over_its_period_and_every_device_is_in_it() {
        let mut schedule = Schedule::new(MINUTE);
        let begin = Instant::now();
        let ids: Vec<EndpointId> = (0..6000).map(|n| id(n * 0x9E37_79B9_7F4A_7C15)).collect();
        for id in &ids {
            schedule.put(*id, MINUTE, begin);
        }
        for round in 0..3_u64 {
            let mut taken = Vec::new();
            for second in 1..=60 {
                let now = begin + Duration::from_secs(round * 60 + second);
                let some = schedule.take(now);
                // A hundred are expected.
                assert!((50..200).contains(&some.len()), "second {second}: {}", some.len());
                for id in some {
                    schedule.done(id, Outcome::Answered, now);
                    taken.push(id);
                }
            }
            taken.sort_unstable();
            taken.dedup();
            assert_eq!(taken.len(), 6000, "round {round}");
        }
    }

    #[test]
    fn pauses_after_failures_double_up_to_an_hour_and_end_with_an_answer() {
        let (mut schedule, mut now) = one();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            schedule.done(id(0), Outcome::Failed, now);
            let next = schedule.next().unwrap();
            pauses.push((next - now).as_secs() / 60);
            now = next;
            assert_eq!(schedule.take(now), [id(0)]);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        schedule.done(id(0), Outcome::Answered, now);
        assert_eq!(schedule.next().unwrap() - now, MINUTE);
    }

    #[test]
    fn a_device_that_refused_us_is_left_alone_until_there_is_something_new() {
        let (mut schedule, now) = one();
        schedule.done(id(0), Outcome::Refused, now);
        let later = now + MINUTE * 10_000;
        schedule.put(id(0), MINUTE / 2, later);
        assert_eq!((schedule.next(), schedule.take(later)), (None, Vec::new()));
        schedule.want(id(0), later);
        assert_eq!(schedule.take(later), [id(0)], "a person may ask");
        schedule.done(id(0), Outcome::Refused, later);
        assert_eq!(schedule.next(), None);
        schedule.release(id(0), later);
        assert_eq!(schedule.take(later), [id(0)]);
        schedule.done(id(0), Outcome::Answered, later);
        schedule.release(id(0), later);
        assert_eq!(schedule.next().unwrap() - later, MINUTE / 2, "only what is held is released");
        let later = later + MINUTE;
        assert_eq!(schedule.take(later), [id(0)]);
        schedule.done(id(0), Outcome::Refused, later);
        schedule.remove(id(0));
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn what_was_not_asked_has_neither_failed_nor_answered() {
        let (mut schedule, mut now) = one();
        for outcome in [Outcome::Failed, Outcome::Failed, Outcome::NotAsked] {
            schedule.done(id(0), outcome, now);
            now = schedule.next().unwrap();
            schedule.take(now);
        }
        schedule.done(id(0), Outcome::Failed, now);
        assert_eq!(schedule.next().unwrap() - now, MINUTE * 4);
    }

    #[test]
    fn whoever_wants_to_know_does_not_wait_for_the_pause_and_gets_a_look_that_began_later() {
        let (mut schedule, now) = one();
        schedule.done(id(0), Outcome::Failed, now);
        schedule.want(id(0), now);
        assert_eq!(schedule.take(now), [id(0)]);
        schedule.want(id(0), now);
        assert_eq!(schedule.next(), None, "it is under way");
        schedule.done(id(0), Outcome::Answered, now);
        assert_eq!(schedule.take(now), [id(0)]);
        schedule.done(id(0), Outcome::Answered, now);
        assert_eq!(schedule.take(now), []);
    }

    #[test]
    fn dead_devices_leave_room_for_the_others() {
        let mut schedule = Schedule::new(MINUTE);
        let begin = Instant::now();
        let dead: Vec<EndpointId> = (0..1000).map(|n| id(n << 16)).collect();
        for id in &dead {
            schedule.put(*id, MINUTE, begin);
        }
        loop {
            let some = schedule.take(begin);
            if some.is_empty() {
                break;
            }
            for id in some {
                schedule.done(id, Outcome::Failed, begin);
            }
        }
        let later = begin + MINUTE;
        let lives: Vec<EndpointId> = (0..100).map(|n| id((n << 16) + 1)).collect();
        for id in &lives {
            schedule.put(*id, MINUTE, begin);
        }
        let taken = schedule.take(later);
        assert_eq!(taken.iter().filter(|id| lives.contains(id)).count(), 100);
        assert_eq!(taken.len() - 100, Class::Suspect.room());
        assert_eq!(schedule.take(later), [], "the rest waits until one of them is done");
        schedule.done(taken[100], Outcome::Failed, later);
        assert_eq!(schedule.take(later).len(), 1);
    }

    #[test]
    fn a_device_that_takes_long_is_asked_less_often() {
        let (mut schedule, now) = one();
        let over = now + Duration::from_secs(20);
        schedule.done(id(0), Outcome::Answered, over);
        assert_eq!(schedule.next().unwrap() - now, Duration::from_secs(100));
    }

    #[test]
    fn another_interval_counts_from_the_last_look_on_and_what_is_removed_is_gone() {
        let (mut schedule, now) = one();
        schedule.done(id(0), Outcome::Answered, now);
        for every in [MINUTE / 2, MINUTE * 60, MINUTE] {
            schedule.put(id(0), every, now);
            assert_eq!(schedule.next().unwrap() - now, every);
        }
        let later = now + MINUTE / 2;
        schedule.put(id(0), MINUTE / 4, later);
        assert!(schedule.next().unwrap() - later <= MINUTE / 4, "it was due already");
        schedule.remove(id(0));
        assert_eq!(schedule.next(), None);
        let (mut schedule, now) = one();
        schedule.remove(id(0));
        schedule.done(id(0), Outcome::Answered, now);
        schedule.put(id(0), MINUTE, now);
        assert_eq!(schedule.take(now), [id(0)]);
    }
}
