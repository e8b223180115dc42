use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use async_snmp::{Auth, AuthProtocol, Client, ErrorStatus, Oid, PrivProtocol, Retry, UdpClient, Value};

use super::*;
use crate::world::{OutletFault, RequestKind, Which, World, WorldTimings};

const SPDU_COMMAND_7: &str = "1.3.6.1.4.1.318.1.1.4.4.2.1.3.7";
const RPDU2_STATE_7: &str = "1.3.6.1.4.1.318.1.1.26.9.2.3.1.5.7";
const RPDU2_COMMAND_7: &str = "1.3.6.1.4.1.318.1.1.26.9.2.4.1.5.7";

async fn card(model: PduModel) -> (Pdu, PduAgent) {
    let world = World::new(WorldTimings::quick());
    let pdu = world.add_pdu("pdu-a", 8);
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let agent = PduAgent::start(pdu.clone(), model, addr, &PduAccess::default()).await.unwrap();
    (pdu, agent)
}

async fn client(agent: &PduAgent, auth: Auth) -> UdpClient {
    Client::builder(agent.addr(), auth)
        .request_timeout(Duration::from_millis(400))
        .retry(Retry::none())
        .connect()
        .await
        .unwrap()
}

async fn read(client: &UdpClient, oid: &str) -> Value {
    client.get(&Oid::parse(oid).unwrap()).await.unwrap().single().unwrap().value.clone()
}

async fn write(client: &UdpClient, oid: &str, number: i32) -> Result<(), async_snmp::Error> {
    let answer = client.set(&Oid::parse(oid).unwrap(), Value::Integer(number)).await;
    answer.map(|_| ()).map_err(|error| *error)
}

#[tokio::test]
async fn status_and_command_of_rpdu2_are_numbered_the_other_way_round() {
    let (pdu, agent) = card(PduModel::ApcRpdu2).await;
    let client = client(&agent, Auth::v2c("private")).await;
    assert_eq!(read(&client, RPDU2_STATE_7).await, Value::Integer(2));
    write(&client, RPDU2_COMMAND_7, 2).await.unwrap();
    assert!(!pdu.outlet(7).unwrap().is_on);
    assert_eq!(read(&client, RPDU2_STATE_7).await, Value::Integer(1));
    assert_eq!(read(&client, SPDU_COMMAND_7).await, Value::Integer(2));
}

#[tokio::test]
async fn the_read_community_may_not_write() {
    let (pdu, agent) = card(PduModel::ApcSpdu).await;
    let client = client(&agent, Auth::v2c("public")).await;
    let refused = write(&client, SPDU_COMMAND_7, 2).await.unwrap_err();
    let async_snmp::Error::Snmp { status, .. } = refused else { panic!("{refused}") };
    assert_eq!(status, ErrorStatus::AuthorizationError);
    assert!(pdu.outlet(7).unwrap().is_on);
}

#[tokio::test]
async fn a_wrong_community_meets_silence() {
    let (_pdu, agent) = card(PduModel::ApcSpdu).await;
    let client = client(&agent, Auth::v2c("guess")).await;
    let error = client.get(&Oid::parse(SPDU_COMMAND_7).unwrap()).await.unwrap_err();
    assert!(matches!(*error, async_snmp::Error::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn a_lost_answer_to_a_write_leaves_the_write_done() {
    let (pdu, agent) = card(PduModel::ApcRpdu).await;
    pdu.change_faults(|faults| faults.link.drop_next_replies(1, Which::Only(RequestKind::Write)));
    let client = client(&agent, Auth::v1("private")).await;
    assert_eq!(read(&client, SPDU_COMMAND_7).await, Value::Integer(1));
    assert!(write(&client, SPDU_COMMAND_7, 2).await.is_err());
    assert_eq!(read(&client, SPDU_COMMAND_7).await, Value::Integer(2));
}

#[tokio::test]
async fn a_dead_card_is_silent_and_its_relays_hold() {
    let (pdu, agent) = card(PduModel::RaritanPx2).await;
    pdu.change_faults(|faults| faults.link.mute = true);
    let client = client(&agent, Auth::v2c("private")).await;
    assert!(write(&client, "1.3.6.1.4.1.13742.6.4.1.2.1.2.1.7", 0).await.is_err());
    assert!(pdu.outlet(7).unwrap().is_on);
}

#[tokio::test]
async fn a_locked_outlet_refuses_with_an_error() {
    let (pdu, agent) = card(PduModel::EatonG3).await;
    pdu.set_outlet_fault(7, Some(OutletFault::Locked)).unwrap();
    let client = client(&agent, Auth::v2c("private")).await;
    assert!(write(&client, "1.3.6.1.4.1.534.6.6.7.6.6.1.3.0.7", 0).await.is_err());
    assert!(pdu.outlet(7).unwrap().is_on);
    assert!(pdu.effects().is_empty());
}

#[tokio::test]
async fn version_3_switches_and_refuses_a_wrong_password() {
    let (pdu, agent) = card(PduModel::EatonG3).await;
    let user = |password: &str| {
        async_snmp::UsmConfig::new("rackhand")
            .auth_priv(AuthProtocol::Sha256, password, PrivProtocol::Aes128, "rackhand-priv")
            .unwrap()
    };
    let good = client(&agent, user("rackhand-auth").into()).await;
    write(&good, "1.3.6.1.4.1.534.6.6.7.6.6.1.3.0.7", 0).await.unwrap();
    assert!(!pdu.outlet(7).unwrap().is_on);
    let bad = client(&agent, user("rackhand-guess").into()).await;
    assert!(write(&bad, "1.3.6.1.4.1.534.6.6.7.6.6.1.4.0.7", 0).await.is_err());
    assert!(!pdu.outlet(7).unwrap().is_on);
}
