//! A line to `ipmi_sim` that goes dead when its chassis has been told something: the deed is done, the answer lost.

use std::net::SocketAddr;
use std::sync::Arc;

use rackhand_tests::ipmi_sim::IpmiSim;
use tokio::net::UdpSocket;

/// Longest datagram of IPMI over LAN, with room to spare.
const LONGEST: usize = 1024;

/// Starts the line and says where it begins. What is sent to the BMC always arrives.
pub async fn losing_answers(sim: &Arc<IpmiSim>) -> SocketAddr {
    let sim = Arc::clone(sim);
    let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    far.connect(sim.at()).await.unwrap();
    let begins = near.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut up, mut down) = ([0; LONGEST], [0; LONGEST]);
        let mut console = None;
        loop {
            tokio::select! {
                arrived = near.recv_from(&mut up) => {
                    let (length, from) = arrived.unwrap();
                    console = Some(from);
                    far.send(&up[..length]).await.unwrap();
                }
                arrived = far.recv(&mut down) => {
                    let length = arrived.unwrap();
                    if let Some(to) = console.filter(|_| sim.told().is_empty()) {
                        near.send_to(&down[..length], to).await.unwrap();
                    }
                }
            }
        }
    });
    begins
}
