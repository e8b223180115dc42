use rackhand_protocols::ipmi::{
    Request, Response,
    client::{Cipher, Client, Failure, LegacyUse, Pace, Settings, Wanted},
    command::{boot, chassis},
};
use std::time::Duration;
use tokio::{net::UdpSocket, time::Instant};

use super::{Account, BmcHandle, Level, serve};
use crate::world::{EffectKind, Machine, ReplyKind, Which, World, WorldTimings};

struct Lab {
    machine: Machine,
    bmc: BmcHandle,
    world: World,
}

async fn lab(change: impl FnOnce(&mut Account)) -> Lab {
    let world = World::new(WorldTimings::quick());
    let machine = world.add_machine("srv-01", &[]);
    let mut account = Account::administrator("admin", "secret");
    change(&mut account);
    let bmc = serve(machine.clone(), "127.0.0.1:0".parse().unwrap(), account).await.unwrap();
    Lab { machine, bmc, world }
}

struct Console {
    client: Client,
    socket: UdpSocket,
    began: Instant,
}

impl Console {
    async fn new(lab: &Lab) -> Console {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(lab.bmc.addr()).await.unwrap();
        let pace = Pace {
            first_retry: Duration::from_millis(40),
            unreachable_after: Duration::from_secs(1),
            least_restarts: 3,
            answer_lost_after: Duration::from_millis(300),
        };
        let settings = Settings {
            user: b"admin".to_vec(),
            password: b"secret".to_vec().into(),
            kg: None,
            cipher: Cipher::Auto,
            level: Wanted::Highest,
            legacy: LegacyUse::Refused,
            pinned: None,
            pace,
        };
        Console { client: Client::new(settings, [9; 32]), socket, began: Instant::now() }
    }

    async fn ask(&mut self, request: Request) -> Result<Response, Failure> {
        let mut buffer = [0; 512];
        self.client.start(request, self.began.elapsed());
        loop {
            while let Some(packet) = self.client.transmit() {
                self.socket.send(&packet).await.unwrap();
            }
            if let Some(outcome) = self.client.outcome() {
                return outcome;
            }
            let due = self.began + self.client.deadline().unwrap();
            match tokio::time::timeout_at(due, self.socket.recv(&mut buffer)).await {
                Ok(received) => self.client.receive(&buffer[..received.unwrap()], self.began.elapsed()),
                Err(_) => self.client.tick(self.began.elapsed()),
            }
        }
    }
}

#[tokio::test]
async fn a_command_does_to_the_machine_what_it_says() {
    let lab = lab(|_| ()).await;
    let mut console = Console::new(&lab).await;
    for (control, effect) in [
        (chassis::Control::Reset, EffectKind::Reset),
        (chassis::Control::Diag, EffectKind::Diag),
        (chassis::Control::Soft, EffectKind::SoftPressed),
        (chassis::Control::Down, EffectKind::PoweredOff),
        (chassis::Control::Up, EffectKind::PoweredOn),
    ] {
        assert_eq!(console.ask(chassis::control(control)).await.unwrap().completion, 0);
        assert_eq!(lab.machine.count(&effect), 1, "{control:?}");
    }
    let policy = chassis::RestorePolicy::AlwaysOn;
    console.ask(chassis::set_restore_policy(policy)).await.unwrap();
    console.ask(chassis::identify(chassis::Identify::Seconds(60))).await.unwrap();
    let answer = console.ask(chassis::status()).await.unwrap();
    let status = chassis::Status::parse(&answer.data).unwrap();
    let lamp = chassis::Lamp::Lit;
    assert_eq!(
        status,
        chassis::Status { power: chassis::Power::On, restore_policy: Some(policy), identify: lamp }
    );
    let choice =
        boot::Override { device: boot::Device::Pxe, hold: boot::Hold::Once, firmware: boot::Firmware::Uefi };
    console.ask(boot::set(&choice)).await.unwrap();
    let answer = console.ask(boot::get()).await.unwrap();
    assert_eq!(boot::parse(&answer.data), Some(boot::Reading::Overridden(choice)));
    assert_eq!(lab.bmc.tally().opened, 1, "one session serves all");
}

#[tokio::test]
async fn a_reset_while_off_is_refused_for_the_state() {
    let lab = lab(|_| ()).await;
    let mut console = Console::new(&lab).await;
    console.ask(chassis::control(chassis::Control::Down)).await.unwrap();
    let answer = console.ask(chassis::control(chassis::Control::Reset)).await.unwrap();
    assert_eq!(answer.completion, 0xd5);
    assert_eq!(lab.machine.count(&EffectKind::Reset), 0);
}

#[tokio::test]
async fn an_account_of_user_level_switches_nothing() {
    let lab = lab(|account| account.privilege = Level::User).await;
    let mut console = Console::new(&lab).await;
    let answer = console.ask(chassis::control(chassis::Control::Down)).await.unwrap();
    assert_eq!(answer.completion, 0xd4);
    assert!(console.ask(chassis::status()).await.is_ok());
    assert!(lab.machine.is_on());
}

#[tokio::test]
async fn a_mute_bmc_is_unreachable_and_a_lost_control_answer_is_lost() {
    let lab = lab(|_| ()).await;
    let mut console = Console::new(&lab).await;
    console.ask(chassis::status()).await.unwrap();
    lab.machine.change_bmc_faults(|faults| {
        faults.link.drop_next_replies(u32::MAX, Which::Only(ReplyKind::ChassisControl));
    });
    assert_eq!(console.ask(chassis::control(chassis::Control::Reset)).await, Err(Failure::Lost));
    assert_eq!(lab.machine.count(&EffectKind::Reset), 1);
    lab.machine.change_bmc_faults(|faults| faults.link.mute = true);
    let outcome = console.ask(chassis::status()).await;
    assert!(matches!(outcome, Err(Failure::Unreachable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_restarted_bmc_has_lost_its_sessions() {
    let lab = lab(|_| ()).await;
    let mut console = Console::new(&lab).await;
    console.ask(chassis::status()).await.unwrap();
    lab.machine.restart_bmc();
    tokio::time::sleep(lab.world.timings().bmc_boot).await;
    console.ask(chassis::status()).await.unwrap();
    assert_eq!(lab.bmc.tally().opened, 2);
    assert_eq!(lab.bmc.open_sessions(), 1);
}
