//! The way from a fresh installation to a server that is powered by whatever can be reached.

use rackhand_simulators::{
    farm::{Farm, FarmConfig, PduEntry, ServerEntry},
    pdu::PduModel,
    world::{EffectKind, Machine, OutletFault, OutletId},
};
use rackhand_tests::{Backend, Lab, PASSWORD, USER, farm, rack_of};
use serde_json::json;
use std::net::SocketAddr;

use super::{fields::signed_in, page::Page};

const SERVER: &str = "srv-01";

#[tokio::test(flavor = "multi_thread")]
async fn a_person_brings_a_server_under_control_and_powers_it_whatever_breaks() {
    // One of the PDUs has no meters: nothing but the BMC can tell that the machine runs.
    let models = vec![PduModel::ApcRpdu, PduModel::RaritanPx2];
    let farm = farm(FarmConfig { models, ..rack_of(1) }).await;
    let backend = Backend::without_users();
    let page = Page::start(backend.url(), "walk").await;
    let machine = farm.world().machine(SERVER).unwrap();
    let inventory = farm.inventory().clone();
    let server = inventory.servers.iter().find(|server| server.name == SERVER).unwrap();

    set_up(&page, &backend).await;
    for pdu in &inventory.pdus {
        add_pdu(&page, pdu).await;
    }
    for pdu in &inventory.pdus {
        page.see(&pdu.addr.to_string()).await;
    }
    page.show("devices").await;
    add_server(&page, server).await;
    let home = page.path().await.replace("/configuration", "");
    connect_bmc(&page, server).await;
    connect_outlets(&page, server).await;
    test_device(&page, &inventory.pdus[0]).await;

    cycle_through_the_bmc(&page, &home, &machine, server).await;
    cycle_through_the_outlets(&page, &home, &machine).await;
    lose_a_feed(&page, &home, &farm, &machine).await;
    bring_the_feed_back(&page, &home, &farm, &machine).await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_address_begins_the_connection() {
    let lab = Lab::bare(2).await;
    let [first, second] = lab.farm.inventory().servers.as_slice() else { panic!("there are two servers") };
    let page = signed_in(&lab, "paste").await;
    add_server(&page, first).await;
    page.press("Add connection").await;
    page.fill("Paste the BMC address", "www.example.net").await;
    page.press("Recognise").await;
    page.see("Nothing known fits this text.").await;
    page.fill("Paste the BMC address", &format!("ipmi://{}/", first.bmc.addr)).await;
    page.press("Recognise").await;
    see_recognised(&page, first.bmc.addr).await;
    add_bmc(&page, first).await;
    see_reached(&lab, first).await;

    // Given with the server, it is recognised without being asked for.
    page.press("Servers").await;
    page.press("Add server").await;
    page.fill("Name", &second.name).await;
    page.fill("BMC address", &second.bmc.addr.to_string()).await;
    page.press("Add server").await;
    see_recognised(&page, second.bmc.addr).await;
    assert_eq!(page.query("paste").await, "", "loading the page again would add it again");
    add_bmc(&page, second).await;
    see_reached(&lab, second).await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_device_of_very_many_is_found() {
    let lab = Lab::bare(1).await;
    // An agent that is away: nobody asks these devices.
    let far = lab.post("/agents", &json!({"name": "far"})).await.ok();
    for number in 0..=500 {
        let body = json!({
            "kind": "snmp_pdu", "name": format!("pdu-{number:03}"), "agent_id": far["agent"]["id"],
            "params": {"host": format!("10.0.{}.{}", number / 250, number % 250 + 1), "version": "v2c"},
            "secrets": {"community": "public"},
        });
        lab.post("/endpoints", &body).await.ok();
    }
    let server = lab.post("/servers", &json!({"name": "srv-01"})).await.ok();
    let page = signed_in(&lab, "many-devices").await;
    page.open(&format!("/servers/{}/configuration", server["id"].as_str().unwrap())).await;
    page.press("Add connection").await;
    page.press("PDU (SNMP)").await;
    page.see("There are more than the list below can show.").await;
    page.fill("Find the device", "pdu-500").await;
    page.choose("Device", "pdu-500, 10.0.2.1").await;
    page.fill("Outlet number", "7").await;
    page.press("Take this outlet").await;
    page.see("Outlet 7 on pdu-500").await;
    page.show("found").await;
    page.assert_quiet(&[("/api/v1/session", 401)]).await;
}

/// What was recognised alone fills in address and port.
async fn see_recognised(page: &Page, address: SocketAddr) {
    page.see_filled("BMC address", &address.ip().to_string()).await;
    page.press("More settings").await;
    page.see_filled("Port", &address.port().to_string()).await;
}

/// Waits until the BMC is known at its own address.
async fn see_reached(lab: &Lab, server: &ServerEntry) {
    let address = server.bmc.addr.to_string();
    lab.wait_until(&format!("a BMC is connected at {address}"), async |lab: &Lab| {
        let bmcs = lab.get("/endpoints?q=kind:ipmi").await.ok();
        bmcs["items"].as_array().unwrap().iter().any(|bmc| bmc["address"] == address.as_str())
    })
    .await;
}

/// The printed link makes the first user, once.
pub async fn set_up(page: &Page, backend: &Backend) {
    page.open(&backend.setup_link()).await;
    page.see_heading("Set up Rackhand").await;
    page.show("set-up").await;
    page.fill("User name", USER).await;
    page.fill("Password", PASSWORD).await;
    page.press("Make the first user").await;
    page.see("No servers yet").await;
    page.show("servers-empty").await;
}

async fn add_pdu(page: &Page, pdu: &PduEntry) {
    page.press("Network devices").await;
    page.see_heading("Network devices").await;
    page.press("Add device").await;
    page.fill("Name", &pdu.name).await;
    address(page, "Host", pdu.addr).await;
    page.fill("Community", &pdu.community).await;
    page.fill("Write community", &pdu.write_community).await;
    page.press("Test").await;
    page.see("Writing was not tested.").await;
    page.show("add-device").await;
    page.press("Add device").await;
    page.see(&format!("{} added", pdu.name)).await;
}

/// Says where a device answers. Simulated ones share an address, so each has a port of its own.
pub async fn address(page: &Page, caption: &str, address: SocketAddr) {
    page.fill(caption, &address.ip().to_string()).await;
    page.press("More settings").await;
    page.fill("Port", &address.port().to_string()).await;
}

async fn add_server(page: &Page, server: &ServerEntry) {
    page.press("Servers").await;
    page.press("Add server").await;
    page.fill("Name", &server.name).await;
    page.fill("Rack", &server.rack).await;
    page.show("add-server").await;
    page.press("Add server").await;
    page.see_heading(&server.name).await;
}

/// Type, agent, fields, test, features, add.
async fn connect_bmc(page: &Page, server: &ServerEntry) {
    page.press("Add connection").await;
    page.see("Paste the BMC address").await;
    page.show("add-connection-type").await;
    page.press("IPMI").await;
    page.press_beside("Agent", "Change").await;
    page.choose("Agent", "Rackhand itself").await;
    address(page, "BMC address", server.bmc.addr).await;
    add_bmc(page, server).await;
}

/// What no address tells, the test, and the connection.
async fn add_bmc(page: &Page, server: &ServerEntry) {
    page.fill("User", &server.bmc.user).await;
    page.fill("Password", &server.bmc.password).await;
    page.press("Test").await;
    page.see("It answers: on").await;
    page.show("add-connection-ipmi").await;
    page.press("Add connection").await;
    page.see("Added:").await;
}

/// Both outlets in one go, and the answer on which falling back rests.
async fn connect_outlets(page: &Page, server: &ServerEntry) {
    pick_outlets(page, server).await;
    page.press("Test").await;
    page.see("It answers").await;
    page.see("Do these outlets feed all power supplies?").await;
    page.tick("Yes, all of them").await;
    page.show("add-connection-outlets").await;
    page.press(&format!("Add {} connections", server.outlets.len())).await;
    page.see("Added:").await;
    page.show("configuration").await;
}

/// Picks what feeds the server, each outlet on its own PDU.
pub async fn pick_outlets(page: &Page, server: &ServerEntry) {
    page.press("Add connection").await;
    page.press("PDU (SNMP)").await;
    for outlet in &server.outlets {
        page.choose("Device", &outlet.pdu).await;
        page.tick(&outlet.outlet.to_string()).await;
        page.see(&format!("Outlet {} on {}", outlet.outlet, outlet.pdu)).await;
    }
}

async fn test_device(page: &Page, pdu: &PduEntry) {
    page.press("Network devices").await;
    page.press(&pdu.name).await;
    page.see_heading(&pdu.name).await;
    page.see(SERVER).await;
    page.show("device").await;
    page.press("Test now").await;
    page.see("It answers").await;
    page.press("Close").await;
}

/// The dialog says what will happen; the job's page says what did; the machine went off and on once.
async fn cycle_through_the_bmc(page: &Page, home: &str, machine: &Machine, server: &ServerEntry) {
    page.open(home).await;
    page.see("Confirmed, 3 of 3 paths answer").await;
    page.show("overview").await;
    let before = Counts::of(machine);
    page.press("Power cycle").await;
    for outlet in &server.outlets {
        page.see(&format!("outlet {} on {}", outlet.outlet, outlet.pdu)).await;
    }
    page.show("power-cycle").await;
    page.press("Power cycle now").await;
    page.press("Open job").await;
    page.see("Succeeded").await;
    page.see("The controller, read after the last write").await;
    page.show("job-by-bmc").await;
    let now = Counts::of(machine);
    assert_eq!(now.since(&before), Counts { off: 1, on: 1, cut: 0, fed: 0 });
    assert!(machine.is_on());
}

/// The BMC is silent: the outlets do it, and the page claims no more than they prove.
async fn cycle_through_the_outlets(page: &Page, home: &str, machine: &Machine) {
    machine.change_bmc_faults(|faults| faults.link.mute = true);
    let before = Counts::of(machine);
    page.open(home).await;
    page.press("Power cycle").await;
    page.press("Power cycle now").await;
    page.press("Open job").await;
    page.see("Check whether the outlets may be used instead").await;
    // All of this must be seen before the job is over; pictures take long.
    another_may_follow(page, home).await;
    page.see("to start, at most 15 s").await;
    page.take("job-waiting").await;
    page.show("job-running").await;
    page.see("Succeeded").await;
    page.see("The outlets, read after the last write").await;
    page.show("job-by-outlets").await;
    let now = Counts::of(machine);
    assert_eq!(now.since(&before), Counts { off: 1, on: 1, cut: 2, fed: 2 });
    page.open(home).await;
    page.see("Fed").await;
    page.show("overview-fed").await;
}

/// While a job is under way another action can be asked for, to begin when it has ended.
async fn another_may_follow(page: &Page, home: &str) {
    page.open(home).await;
    page.press("Reset").await;
    page.tick("Start when the present job has ended").await;
    page.see("Reset afterwards").await;
    page.take("power-queued").await;
    page.press("Cancel").await;
    page.press("Power cycle is under way.").await;
}

/// One outlet does not come back: the server runs, and the page says on what.
async fn lose_a_feed(page: &Page, home: &str, farm: &Farm, machine: &Machine) {
    machine.change_bmc_faults(|faults| faults.link.mute = false);
    page.see("Confirmed, 3 of 3 paths answer").await;
    let stuck = machine.feeds().pop().unwrap();
    let pdu = farm.world().pdu(stuck.pdu()).unwrap();
    pdu.set_outlet_fault(stuck.number(), Some(OutletFault::IgnoresOn)).unwrap();
    let before = Counts::of(machine);
    page.press("More actions").await;
    page.press("Force via PDU").await;
    page.fill("Name of the server", SERVER).await;
    page.fill("Your password", PASSWORD).await;
    page.show("force-via-pdu").await;
    page.press_beginning("Cycle ").await;
    page.press("Open job").await;
    page.see("Succeeded, redundancy lost").await;
    page.show("job-degraded").await;
    page.open(home).await;
    page.see("On, degraded").await;
    page.show("overview-degraded").await;
    let now = Counts::of(machine);
    assert_eq!(now.since(&before), Counts { off: 1, on: 1, cut: 2, fed: 1 });
    assert_eq!(live(farm, machine), 1);
    page.press("Servers").await;
    page.see("On, degraded").await;
    page.show("servers-degraded").await;
}

/// The machine is on already, but not whole: On mends that and leaves the machine alone.
async fn bring_the_feed_back(page: &Page, home: &str, farm: &Farm, machine: &Machine) {
    let stuck = machine.feeds().pop().unwrap();
    farm.world().pdu(stuck.pdu()).unwrap().set_outlet_fault(stuck.number(), None).unwrap();
    let before = Counts::of(machine);
    page.open(home).await;
    page.see("On, degraded").await;
    page.press("On").await;
    page.press("On now").await;
    page.press("Open job").await;
    page.see("Succeeded").await;
    assert_eq!(live(farm, machine), 2);
    assert_eq!(Counts::of(machine).since(&before), Counts { off: 0, on: 0, cut: 0, fed: 1 });
    page.open(home).await;
    page.see("Confirmed, 3 of 3 paths answer").await;
    page.see_barred("On", "It is on already.").await;
}

/// How many feeds of the machine are on.
fn live(farm: &Farm, machine: &Machine) -> usize {
    let feeds = machine.feeds();
    let is_live = |feed: &&OutletId| {
        let pdu = farm.world().pdu(feed.pdu());
        pdu.and_then(|pdu| pdu.outlet(feed.number())).is_some_and(|outlet| outlet.is_on)
    };
    feeds.iter().filter(is_live).count()
}

/// How often what happened.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    off: usize,
    on: usize,
    cut: usize,
    fed: usize,
}

impl Counts {
    fn of(machine: &Machine) -> Self {
        let effects = machine.effects();
        let count = |is: fn(&EffectKind) -> bool| effects.iter().filter(|effect| is(&effect.what)).count();
        Self {
            off: count(|what| *what == EffectKind::PoweredOff),
            on: count(|what| *what == EffectKind::PoweredOn),
            cut: count(|what| matches!(what, EffectKind::FeedCut { .. })),
            fed: count(|what| matches!(what, EffectKind::FeedRestored { .. })),
        }
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            off: self.off - before.off,
            on: self.on - before.on,
            cut: self.cut - before.cut,
            fed: self.fed - before.fed,
        }
    }
}
