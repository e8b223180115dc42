//! A console and a BMC joined by a simulated line, in simulated time.

use std::{collections::BTreeMap, time::Duration};
use zeroize::Zeroizing;

use super::super::{
    Level, NetFn, Request, Response,
    bmc::{Bmc, Call, Host, Profile, Reply},
    client::{Cipher, Client, Failure, LegacyUse, Pace, Settings, Wanted},
    command::{
        chassis::{CONTROL, Control, Lamp, Power, STATUS, Status},
        device::{DEVICE_ID, SYSTEM_GUID},
    },
};

pub const USER: &[u8] = b"admin";
pub const PASSWORD: &[u8] = b"correct horse batter";
pub const GUID: [u8; 16] = *b"a-machine's-guid";

/// What the BMC sits in: counts what was done to it.
pub struct Machine {
    pub power: Power,
    pub done: Vec<Control>,
    pub guid: [u8; 16],
    /// Answered to every command of a session in place of the truth, when set.
    pub refuses_with: Option<u8>,
}

impl Host for Machine {
    fn guid(&self) -> [u8; 16] {
        self.guid
    }

    fn command(&mut self, call: &Call<'_>) -> Response {
        if let Some(code) = self.refuses_with {
            return Response::refusal(code);
        }
        match (call.netfn, call.command) {
            (NetFn::App, DEVICE_ID) => Response::success(vec![0x20, 1, 2, 0x11, 2, 0, 0, 0, 0, 0, 0]),
            (NetFn::App, SYSTEM_GUID) => Response::success(self.guid.to_vec()),
            (NetFn::Chassis, STATUS) => Response::success(
                Status { power: self.power, restore_policy: None, identify: Lamp::Dark }.encode(),
            ),
            (NetFn::Chassis, CONTROL) if call.level < Level::Operator => Response::refusal(0xd4),
            (NetFn::Chassis, CONTROL) => {
                let control = Control::parse(call.data).unwrap();
                self.done.push(control);
                match control {
                    Control::Up => self.power = Power::On,
                    Control::Down => self.power = Power::Off,
                    Control::Cycle | Control::Reset | Control::Diag | Control::Soft => {}
                }
                Response::success(Vec::new())
            }
            _ => Response::refusal(0xc1),
        }
    }
}

/// How the line treats packets, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    pub loss: u8,
    pub doubling: u8,
    /// Longest extra delay, which reorders.
    pub jitter: Duration,
}

enum Packet {
    ToBmc(Vec<u8>),
    ToConsole(Vec<u8>),
}

/// Console, line and BMC.
pub struct Rig {
    pub client: Client,
    pub bmc: Bmc,
    pub machine: Machine,
    pub weather: Weather,
    pub now: Duration,
    /// Decides which replies get through, by what they answer; on top of the weather.
    pub censor: Box<dyn FnMut(&Reply) -> bool>,
    /// Changes the replies that get through.
    pub forge: Box<dyn FnMut(&mut Reply)>,
    /// Packets that the console sent.
    pub sent: usize,
    dice: u64,
    serial: u64,
    line: BTreeMap<(Duration, u64), Packet>,
}

pub const HALF_TRIP: Duration = Duration::from_millis(2);

pub fn settings() -> Settings {
    Settings {
        user: USER.to_vec(),
        password: Zeroizing::new(PASSWORD.to_vec()),
        kg: None,
        cipher: Cipher::Auto,
        level: Wanted::Highest,
        legacy: LegacyUse::Refused,
        pinned: None,
        pace: Pace::default(),
    }
}

impl Rig {
    pub fn new(settings: Settings, profile: Profile, seed: u64) -> Self {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let client = Client::new(settings, bytes);
        bytes[31] = 1;
        Self {
            client,
            bmc: Bmc::new(profile, bytes),
            machine: Machine { power: Power::On, done: Vec::new(), guid: GUID, refuses_with: None },
            weather: Weather::default(),
            now: Duration::from_secs(1000),
            censor: Box::new(|_| true),
            forge: Box::new(|_| ()),
            sent: 0,
            dice: seed,
            serial: 0,
            line: BTreeMap::new(),
        }
    }

    pub fn usual() -> Self {
        Self::new(settings(), Profile::usual(USER, PASSWORD), 1)
    }

    /// Plays one request to its end.
    pub fn ask(&mut self, request: Request) -> Result<Response, Failure> {
        self.client.start(request, self.now);
        loop {
            self.post();
            if let Some(outcome) = self.client.outcome() {
                return outcome;
            }
            let due = self.client.deadline().expect("a request under way has a deadline");
            match self.line.first_key_value().map(|(key, _)| *key) {
                Some(key) if key.0 <= due => {
                    let packet = self.line.remove(&key).unwrap();
                    self.now = self.now.max(key.0);
                    self.deliver(packet);
                }
                Some(_) | None => {
                    self.now = self.now.max(due);
                    self.client.tick(self.now);
                }
            }
        }
    }

    /// How much time has passed since `began`.
    pub fn since(&self, began: Duration) -> Duration {
        self.now.saturating_sub(began)
    }

    /// Lets what is on the line arrive.
    pub fn drain(&mut self) {
        self.post();
        while let Some((key, packet)) = self.line.pop_first() {
            self.now = self.now.max(key.0);
            self.deliver(packet);
        }
    }

    fn post(&mut self) {
        while let Some(bytes) = self.client.transmit() {
            self.sent += 1;
            self.put(&bytes, Packet::ToBmc);
        }
    }

    fn deliver(&mut self, packet: Packet) {
        match packet {
            Packet::ToConsole(bytes) => self.client.receive(&bytes, self.now),
            Packet::ToBmc(bytes) => {
                let Some(mut reply) = self.bmc.handle(&bytes, &mut self.machine, self.now) else { return };
                if (self.censor)(&reply) {
                    (self.forge)(&mut reply);
                    self.put(&reply.bytes, Packet::ToConsole);
                }
            }
        }
    }

    fn put(&mut self, bytes: &[u8], direction: fn(Vec<u8>) -> Packet) {
        if self.roll() < u64::from(self.weather.loss) {
            return;
        }
        let copies = if self.roll() < u64::from(self.weather.doubling) { 2 } else { 1 };
        for _ in 0..copies {
            let late = self.weather.jitter.mul_f64(f64::from(u32::try_from(self.roll()).unwrap()) / 100.0);
            self.serial += 1;
            self.line.insert((self.now + HALF_TRIP + late, self.serial), direction(bytes.to_vec()));
        }
    }

    /// A number below 100.
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.dice;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ bits >> 31) % 100
    }
}
