//! net-snmp drives our simulated PDUs.

use std::net::{Ipv4Addr, SocketAddr};

use rackhand_simulators::pdu::{PduAccess, PduAgent, PduModel};
use rackhand_simulators::world::{OutletId, Pdu, World, WorldTimings};

use rackhand_tests::peers::net_snmp::{As, READER, WRITER, get, set, walk};

/// How one model is switched, in the words of its MIB: state, then what writes outlet 7 off and on.
struct Words {
    model: PduModel,
    sys_object_id: &'static str,
    state: &'static str,
    on_and_off: [&'static str; 2],
    off: (&'static str, i32),
    on: (&'static str, i32),
}

const WORDS: [Words; 5] = [
    Words {
        model: PduModel::ApcSpdu,
        sys_object_id: ".1.3.6.1.4.1.318.1.3.4.2",
        state: "1.3.6.1.4.1.318.1.1.4.4.2.1.3.7",
        on_and_off: ["1", "2"],
        off: ("1.3.6.1.4.1.318.1.1.4.4.2.1.3.7", 2),
        on: ("1.3.6.1.4.1.318.1.1.4.4.2.1.3.7", 1),
    },
    Words {
        model: PduModel::ApcRpdu,
        sys_object_id: ".1.3.6.1.4.1.318.1.3.4.5",
        state: "1.3.6.1.4.1.318.1.1.12.3.5.1.1.4.7",
        on_and_off: ["1", "2"],
        off: ("1.3.6.1.4.1.318.1.1.12.3.3.1.1.4.7", 2),
        on: ("1.3.6.1.4.1.318.1.1.12.3.3.1.1.4.7", 1),
    },
    Words {
        model: PduModel::ApcRpdu2,
        sys_object_id: ".1.3.6.1.4.1.318.1.3.4.6",
        state: "1.3.6.1.4.1.318.1.1.26.9.2.3.1.5.7",
        on_and_off: ["2", "1"],
        off: ("1.3.6.1.4.1.318.1.1.26.9.2.4.1.5.7", 2),
        on: ("1.3.6.1.4.1.318.1.1.26.9.2.4.1.5.7", 1),
    },
    Words {
        model: PduModel::RaritanPx2,
        sys_object_id: ".1.3.6.1.4.1.13742.6",
        state: "1.3.6.1.4.1.13742.6.4.1.2.1.3.1.7",
        on_and_off: ["7", "8"],
        off: ("1.3.6.1.4.1.13742.6.4.1.2.1.2.1.7", 0),
        on: ("1.3.6.1.4.1.13742.6.4.1.2.1.2.1.7", 1),
    },
    Words {
        model: PduModel::EatonG3,
        sys_object_id: ".1.3.6.1.4.1.534.6.6.7",
        state: "1.3.6.1.4.1.534.6.6.7.6.6.1.2.0.7",
        on_and_off: ["1", "0"],
        off: ("1.3.6.1.4.1.534.6.6.7.6.6.1.3.0.7", 0),
        on: ("1.3.6.1.4.1.534.6.6.7.6.6.1.4.0.7", 0),
    },
];

struct Bench {
    world: World,
    pdu: Pdu,
    agent: PduAgent,
}

async fn bench(model: PduModel) -> Bench {
    let world = World::new(WorldTimings::quick());
    let pdu = world.add_pdu("pdu-a", 8);
    world.add_machine("srv-01", &[OutletId::new("pdu-a", 7)]);
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let agent = PduAgent::start(pdu.clone(), model, addr, &PduAccess::default()).await.unwrap();
    Bench { world, pdu, agent }
}

/// Runs blocking tools while the simulator goes on.
async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn snmpset_cuts_and_feeds_every_simulated_model() {
    for words in &WORDS {
        let Bench { world, pdu, agent } = bench(words.model).await;
        let at = agent.addr();
        blocking(move || {
            let model = words.model;
            assert_eq!(get(READER, at, "1.3.6.1.2.1.1.2.0").as_deref(), Ok(words.sys_object_id), "{model}");
            assert_eq!(get(READER, at, "1.3.6.1.2.1.1.5.0").as_deref(), Ok("pdu-a"), "{model}");
            assert_eq!(get(READER, at, words.state).as_deref(), Ok(words.on_and_off[0]), "{model}");
            set(WRITER, at, words.off.0, words.off.1).unwrap();
            assert_eq!(get(READER, at, words.state).as_deref(), Ok(words.on_and_off[1]), "{model}");
            assert!(!pdu.outlet(7).unwrap().is_on, "{model}");
            std::thread::sleep(pdu.timings().hold_up * 2);
            assert!(!world.machine("srv-01").unwrap().is_on(), "{model}: the server lost its only feed");
            set(WRITER, at, words.on.0, words.on.1).unwrap();
            assert_eq!(get(READER, at, words.state).as_deref(), Ok(words.on_and_off[0]), "{model}");
        })
        .await;
        drop(agent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snmpwalk_and_snmpbulkwalk_see_the_same_rising_tree() {
    for words in &WORDS {
        let Bench { agent, world: _world, .. } = bench(words.model).await;
        let at = agent.addr();
        let (single, bulk) = blocking(move || {
            let of = |program| walk(program, READER, at, "1.3.6.1.4.1");
            (of("snmpwalk"), of("snmpbulkwalk"))
        })
        .await;
        assert!(single.len() > 8 * 4, "{}: {} objects", words.model, single.len());
        assert_eq!(single, bulk, "{}", words.model);
        drop(agent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_1_and_3_are_spoken_as_net_snmp_speaks_them() {
    let Bench { pdu, agent, world: _world } = bench(PduModel::ApcRpdu2).await;
    let at = agent.addr();
    blocking(move || {
        let user =
            ["-v3", "-lauthPriv", "-urackhand", "-aSHA-256", "-Arackhand-auth", "-xAES", "-Xrackhand-priv"];
        let (off, on) = (WORDS[2].off, WORDS[2].on);
        set(As(&user), at, off.0, off.1).unwrap();
        assert!(!pdu.outlet(7).unwrap().is_on);
        set(As(&["-v1", "-cprivate"]), at, on.0, on.1).unwrap();
        assert!(pdu.outlet(7).unwrap().is_on);
        let wrong = user.map(|word| if word == "-Arackhand-auth" { "-Arackhand-wrong" } else { word });
        let refused = set(As(&wrong), at, off.0, off.1).unwrap_err();
        assert!(refused.contains("Authentication failure"), "{refused}");
        let stranger = user.map(|word| if word == "-urackhand" { "-unobody" } else { word });
        let refused = set(As(&stranger), at, off.0, off.1).unwrap_err();
        assert!(refused.contains("Unknown user name"), "{refused}");
        assert!(pdu.outlet(7).unwrap().is_on);
    })
    .await;
    drop(agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_read_as_refusals_in_net_snmp() {
    let Bench { pdu, agent, world: _world } = bench(PduModel::ApcSpdu).await;
    let at = agent.addr();
    blocking(move || {
        let oid = WORDS[0].off.0;
        let reader = set(READER, at, oid, 2).unwrap_err();
        assert!(reader.contains("authorizationError"), "{reader}");
        let old_reader = set(As(&["-v1", "-cpublic"]), at, oid, 2).unwrap_err();
        assert!(old_reader.contains("noSuchName"), "{old_reader}");
        let value = set(WRITER, at, oid, 9).unwrap_err();
        assert!(value.contains("wrongValue"), "{value}");
        let place = set(WRITER, at, "1.3.6.1.4.1.318.1.1.4.4.2.1.3.99", 2).unwrap_err();
        assert!(place.contains("noCreation"), "{place}");
        let guess = get(As(&["-v2c", "-cguess"]), at, oid).unwrap_err();
        assert!(guess.contains("Timeout"), "{guess}");
        assert!(pdu.effects().is_empty());
    })
    .await;
    drop(agent);
}
