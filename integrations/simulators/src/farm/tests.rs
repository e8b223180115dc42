use std::time::Duration;

use async_snmp::{Auth, Client, Oid};

use super::*;

const SYS_NAME: &str = "1.3.6.1.2.1.1.5.0";

#[tokio::test]
async fn every_pdu_of_a_farm_answers_under_its_name() {
    let farm = Farm::start(FarmConfig::default()).await.unwrap();
    assert_eq!(farm.inventory().pdus.len(), 4);
    for pdu in &farm.inventory().pdus {
        let client = Client::builder(pdu.addr, Auth::v2c(pdu.community.clone()))
            .request_timeout(Duration::from_secs(1))
            .connect()
            .await
            .unwrap();
        let answer = client.get(&Oid::parse(SYS_NAME).unwrap()).await.unwrap();
        assert_eq!(answer.single().unwrap().value.as_str(), Some(pdu.name.as_str()));
    }
}

#[tokio::test]
async fn every_server_hangs_on_two_outlets_that_bear_its_name() {
    let farm = Farm::start(FarmConfig { servers: 30, ..FarmConfig::default() }).await.unwrap();
    for server in &farm.inventory().servers {
        assert!(farm.world().machine(&server.name).unwrap().is_on());
        assert_eq!(server.outlets.len(), 2);
        for feed in &server.outlets {
            let pdu = farm.world().pdu(&feed.pdu).unwrap();
            assert_eq!(pdu.outlet(feed.outlet).unwrap().name, server.name);
        }
    }
}

#[tokio::test]
async fn every_server_has_a_bmc_that_answers_a_presence_ping() {
    const PING: [u8; 12] = [6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 0, 0, 0];
    let farm = Farm::start(FarmConfig::default()).await.unwrap();
    for server in &farm.inventory().servers {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&PING, server.bmc.addr).await.unwrap();
        let mut pong = [0; 64];
        let answer = tokio::time::timeout(Duration::from_secs(2), socket.recv(&mut pong)).await;
        assert_eq!(answer.unwrap().unwrap(), 28, "{}", server.name);
        assert_eq!(pong[8], 0x40, "{}", server.name);
        assert_eq!(farm.bmc(&server.name).unwrap().addr(), server.bmc.addr);
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_device() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let pdu = taken.local_addr().unwrap().port();
    let addresses = Addresses::Counted { bmc: 1, pdu };
    let refused = Farm::start(FarmConfig { addresses, ..FarmConfig::default() }).await.err().unwrap();
    assert!(refused.to_string().starts_with("pdu-a cannot listen on 127.0.0.1:"), "{refused}");
}
