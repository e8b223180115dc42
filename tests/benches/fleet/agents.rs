//! Many agents on one server: memory of each, and all of them coming back at once.

use futures::{SinkExt as _, StreamExt as _};
use rackhand_agent::{identity, proof, sealing::SealingKey};
use rackhand_store::agents as table;
use rackhand_tests::authority::{authority, database};
use rackhand_wire::{
    agent::{Answer, BootId, Challenge, Hello, Protocols},
    id::{AgentId, TenantId},
};
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, KeyPair, PKCS_ED25519, PublicKeyData as _, SanType,
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use crate::{
    Extent,
    figure::{Figure, spread},
    served::Installation,
};

const AGENTS: u32 = 10_000;
/// Heartbeats go both ways meanwhile.
const REST: u32 = 40;

/// An agent of the bench, with nothing but its identity.
struct Peer {
    id: AgentId,
    key: KeyPair,
    certificate: String,
}

/// Measures.
pub async fn measure(extent: Extent) -> Vec<Figure> {
    let count = extent.of(AGENTS);
    let installation = Installation::empty();
    // The first start makes the authority.
    drop(installation.serve(&[]));
    let peers: Vec<Arc<Peer>> = enrolled(&installation, count).await.into_iter().map(Arc::new).collect();
    let (mut each, mut busy, mut storm, mut cost) = (vec![], vec![], vec![], vec![]);
    for _ in 0..extent.runs {
        let server = installation.serve(&[]);
        let alone = server.kilobytes("VmRSS");
        let crowd = Crowd::gather(&peers, server.at).await;
        let rest = Duration::from_secs(REST.into());
        let before = server.cpu();
        tokio::time::sleep(rest).await;
        busy.push((server.cpu() - before) / rest.as_secs_f64() * 100.0);
        each.push((server.kilobytes("VmRSS") - alone) / f64::from(count));
        drop(crowd);
        drop(server);
        let server = installation.serve(&[]);
        let (begun, before) = (Instant::now(), server.cpu());
        let crowd = Crowd::gather(&peers, server.at).await;
        storm.push(begun.elapsed().as_secs_f64());
        cost.push(server.cpu() - before);
        drop(crowd);
    }
    let idle =
        format!("{} % of one core for heartbeats both ways every 15 s, over plain TCP", spread(&busy, 1));
    let cpu = format!(
        "{} s of the server's processors; each proves itself anew by its signature",
        spread(&cost, 1)
    );
    vec![
        Figure::at_most(format!("Memory (RSS) per connected agent, {count} agents"), "KiB", &each, 60.0)
            .noting(idle),
        Figure::at_most(format!("{count} agents come back after a restart"), "s", &storm, 30.0).noting(cpu),
    ]
}

/// Adds agents to a server that does not run, as enrolment would.
async fn enrolled(installation: &Installation, count: u32) -> Vec<Peer> {
    let url = format!("sqlite://{}", installation.folder().join("rackhand.db").display());
    let db = database(installation.folder(), &url).await;
    let issuer = authority(&db).await;
    let tx = db.begin().await.unwrap();
    let mut peers = Vec::new();
    for n in 0..count {
        let name = format!("site-{n:05}");
        // A group of its own each, as agents on sites of their own have.
        let new =
            table::New { tenant: TenantId::PROVIDER, name: &name, group: &name, site: None, embedded: false };
        let id = table::add(&tx, new).await.unwrap().id;
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let request = CertificateSigningRequestParams::from_pem(&identity::request(&key).unwrap()).unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(format!("rackhand:agent:{id}").try_into().unwrap())];
        let certificate = params.signed_by(&request.public_key, &issuer).unwrap().pem();
        let now = rackhand_store::now();
        let known = table::Identity {
            key: proof::key_name(&key.subject_public_key_info()),
            next_key: None,
            sealing_key: SealingKey::generate().public(),
            certificate_at: now,
            certificate_until: now + Duration::from_hours(24),
        };
        table::identify(&tx, id, known, "bench").await.unwrap();
        peers.push(Peer { id, key, certificate });
    }
    tx.commit().await.unwrap();
    db.close().await;
    peers
}

/// Agents that are connected; they go with this value.
struct Crowd {
    over: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Crowd {
    /// Connects all of them, as they come back by themselves: each at a random moment, and again after longer
    /// and longer pauses when it fails.
    async fn gather(peers: &[Arc<Peer>], at: SocketAddr) -> Self {
        let (over, there) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let tasks = peers.iter().enumerate().map(|(n, peer)| {
            let (peer, over, there) = (Arc::clone(peer), Arc::clone(&over), Arc::clone(&there));
            tokio::spawn(async move { hold(&peer, at, n, &over, &there).await })
        });
        let tasks = tasks.collect();
        let crowd = Self { over, tasks };
        let begun = Instant::now();
        while there.load(Ordering::Relaxed) < peers.len() {
            let late = begun.elapsed() > Duration::from_mins(3);
            assert!(!late, "{} of {} came", there.load(Ordering::Relaxed), peers.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        crowd
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn hold(peer: &Peer, at: SocketAddr, n: usize, over: &AtomicBool, there: &AtomicUsize) {
    let mut limit = 500;
    while !over.load(Ordering::Relaxed) {
        // Every agent rolls its own dice; here they only must not agree.
        tokio::time::sleep(Duration::from_millis((n as u64).wrapping_mul(7919) % limit)).await;
        limit = (limit * 2).min(30_000);
        if session(peer, at, there).await.is_some() {
            return;
        }
    }
}

async fn session(peer: &Peer, at: SocketAddr, there: &AtomicUsize) -> Option<()> {
    let stream = TcpStream::connect(at).await.ok()?;
    let mut config = WebSocketConfig::default();
    config.read_buffer_size = 1024;
    let url = format!("ws://{at}/agent/v1/link");
    let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await.ok()?;
    let Some(Ok(Message::Text(text))) = socket.next().await else { return None };
    let challenge: Challenge = serde_json::from_str(&text).ok()?;
    let hello = Hello {
        agent: peer.id,
        boot: BootId(uuid::Uuid::now_v7()),
        protocols: Protocols::OURS,
        version: "bench".into(),
        host: "bench".into(),
        kinds: BTreeMap::default(),
        watching: None,
    };
    let signed = proof::sign(&peer.key, &peer.certificate, &challenge, None, &hello).ok()?;
    socket.send(Message::text(serde_json::to_string(&signed).ok()?)).await.ok()?;
    let answer = loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => break serde_json::from_str::<Answer>(&text).ok()?,
            Message::Close(_) => return None,
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    };
    let Answer::Welcome { heartbeat_ms, .. } = answer else { return None };
    there.fetch_add(1, Ordering::Relaxed);
    let mut heartbeat = tokio::time::interval(Duration::from_millis(heartbeat_ms));
    loop {
        tokio::select! {
            // Pings are answered as they are read.
            message = socket.next() => drop(message?.ok()?),
            _ = heartbeat.tick() => socket.send(Message::Ping(Vec::new().into())).await.ok()?,
        }
    }
}
