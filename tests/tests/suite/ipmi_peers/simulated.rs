//! Our simulated BMC, driven by consoles that are not ours.

use rackhand_simulators::bmc::{LegacyOffer, Level, Suite};
use rackhand_simulators::world::{EffectKind, ReplyKind, RestorePolicy, Which};

use super::console::{ADMIN, Dialect, EVERY, Who, ipmipower, ipmitool, ipmitool_with};
use super::served;

const NEW: Dialect = Dialect::Suite(17);

#[tokio::test(flavor = "multi_thread")]
async fn ipmitool_switches_power_in_every_dialect() {
    let served = served::usual().await;
    for (round, dialect) in EVERY.into_iter().enumerate() {
        let tool = |words: &[&str]| {
            ipmitool(dialect, ADMIN, served.bmc.addr(), words).unwrap_or_else(|e| panic!("{dialect:?}: {e}"))
        };
        assert_eq!(tool(&["chassis", "power", "status"]), "Chassis Power is on", "{dialect:?}");
        tool(&["chassis", "power", "reset"]);
        tool(&["chassis", "power", "off"]);
        assert_eq!(tool(&["chassis", "power", "status"]), "Chassis Power is off", "{dialect:?}");
        tool(&["chassis", "power", "on"]);
        for effect in [EffectKind::Reset, EffectKind::PoweredOff, EffectKind::PoweredOn] {
            assert_eq!(served.count(&effect), round + 1, "{effect} through {dialect:?}");
        }
    }
    assert_eq!(served.bmc.open_sessions(), 0, "each session was closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn ipmitool_finds_the_best_suite_by_asking() {
    let served = served::usual().await;
    let at = served.bmc.addr();
    let command = ["-I", "lanplus", "-H", "127.0.0.1", "-p", &at.port().to_string(), "-U", "admin"];
    let output = std::process::Command::new("ipmitool")
        .args(command)
        .args(["-P", ADMIN.password, "-vv", "chassis", "power", "status"])
        .output()
        .expect("install ipmitool: apt-get install ipmitool");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("Using best available cipher suite 17"), "{told}");
    assert!(output.status.success(), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ipmitool_reads_and_sets_what_surrounds_power() {
    let served = served::usual().await;
    let tool = |words: &[&str]| ipmitool(NEW, ADMIN, served.bmc.addr(), words).unwrap();
    tool(&["chassis", "policy", "always-on"]);
    assert_eq!(served.machine.restore_policy(), RestorePolicy::AlwaysOn);
    assert!(tool(&["chassis", "status"]).contains("Power Restore Policy : always-on"));
    tool(&["chassis", "identify", "30"]);
    assert!(served.machine.identify_left().is_some());
    tool(&["chassis", "bootdev", "pxe", "options=efiboot"]);
    let told = tool(&["chassis", "bootparam", "get", "5"]);
    assert!(told.contains("Boot Device Selector : Force PXE"), "{told}");
    assert!(told.contains("BIOS EFI boot"), "{told}");
    tool(&["chassis", "power", "reset"]);
    assert!(tool(&["chassis", "restart_cause"]).contains("chassis power control command"));
    assert!(tool(&["mc", "info"]).contains("IPMI Version              : 2.0"));
    let guid = tool(&["mc", "guid"]);
    assert!(guid.contains("GUID"), "{guid}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ipmitool_is_refused_without_the_right_user_password_key_or_suite() {
    let served = served::with(|account| {
        account.kg = Some(b"sesame".to_vec());
        account.suites = vec![Suite::Three];
    })
    .await;
    let at = served.bmc.addr();
    let off = ["chassis", "power", "off"];
    let suite_3 = Dialect::Suite(3);
    let key = ["-k", "sesame"];
    let stranger = Who { user: "stranger", ..ADMIN };
    let guess = Who { password: "guess", ..ADMIN };
    assert!(ipmitool_with(suite_3, stranger, at, &key, &off).is_err());
    assert!(ipmitool_with(suite_3, guess, at, &key, &off).is_err());
    assert!(ipmitool_with(suite_3, ADMIN, at, &["-k", "other"], &off).is_err());
    assert!(ipmitool_with(NEW, ADMIN, at, &key, &off).is_err());
    assert_eq!(served.count(&EffectKind::PoweredOff), 0);
    ipmitool_with(suite_3, ADMIN, at, &key, &off).unwrap();
    assert_eq!(served.count(&EffectKind::PoweredOff), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_only_read_switches_nothing() {
    let served = served::with(|account| account.privilege = Level::User).await;
    let reader = Who { level: "USER", ..ADMIN };
    for dialect in EVERY {
        let tool = |who, words: &[&str]| ipmitool(dialect, who, served.bmc.addr(), words);
        assert_eq!(tool(reader, &["chassis", "power", "status"]).unwrap(), "Chassis Power is on");
        let refusal = tool(reader, &["chassis", "power", "off"]).unwrap_err();
        assert!(refusal.contains("Insufficient privilege"), "{dialect:?}: {refusal}");
        assert!(tool(ADMIN, &["chassis", "power", "off"]).is_err());
    }
    assert_eq!(served.count(&EffectKind::PoweredOff), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_without_ipmi_1_5_refuses_it() {
    let served = served::with(|account| account.ipmi_1_5 = LegacyOffer::Refused).await;
    let status = ["chassis", "power", "status"];
    assert!(ipmitool(Dialect::Old("MD5"), ADMIN, served.bmc.addr(), &status).is_err());
    assert!(ipmitool(NEW, ADMIN, served.bmc.addr(), &status).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_while_off_is_refused_in_words_that_ipmitool_knows() {
    let served = served::usual().await;
    let tool = |words: &[&str]| ipmitool(NEW, ADMIN, served.bmc.addr(), words);
    tool(&["chassis", "power", "off"]).unwrap();
    let refusal = tool(&["chassis", "power", "reset"]).unwrap_err();
    assert!(refusal.contains("not supported in present state"), "{refusal}");
    assert_eq!(served.count(&EffectKind::Reset), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_replies_is_noticed_by_ipmitool_and_ends() {
    let served = served::usual().await;
    let tool = || ipmitool(NEW, ADMIN, served.bmc.addr(), &["chassis", "power", "status"]);
    served.machine.change_bmc_faults(|faults| {
        faults.link.drop_next_replies(1, Which::Only(ReplyKind::ChassisStatus));
    });
    assert_eq!(tool().unwrap(), "Chassis Power is on", "one lost reply is made up for");
    served.machine.change_bmc_faults(|faults| faults.link.mute = true);
    assert!(tool().is_err());
    served.machine.change_bmc_faults(|faults| faults.link.mute = false);
    assert_eq!(tool().unwrap(), "Chassis Power is on");
}

#[tokio::test(flavor = "multi_thread")]
async fn ipmipower_switches_power_over_both_versions() {
    let served = served::usual().await;
    let at = served.bmc.addr();
    let dialects: [&[&str]; 3] =
        [&["-D", "LAN_2_0", "-I", "3"], &["-D", "LAN_2_0", "-I", "17"], &["-D", "LAN", "-a", "MD5"]];
    for (round, options) in dialects.into_iter().enumerate() {
        let power =
            |action| ipmipower(ADMIN, at, options, action).unwrap_or_else(|e| panic!("{options:?}: {e}"));
        assert!(power("--stat").ends_with(": on"), "{options:?}");
        assert!(power("--reset").ends_with(": ok"), "{options:?}");
        assert!(power("--off").ends_with(": ok"), "{options:?}");
        assert!(power("--stat").ends_with(": off"), "{options:?}");
        assert!(power("--on").ends_with(": ok"), "{options:?}");
        for effect in [EffectKind::Reset, EffectKind::PoweredOff, EffectKind::PoweredOn] {
            assert_eq!(served.count(&effect), round + 1, "{effect} with {options:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ipmipower_tells_a_wrong_user_from_a_wrong_password() {
    let served = served::usual().await;
    let ask = |who| match ipmipower(who, served.bmc.addr(), &["-D", "LAN_2_0", "-I", "17"], "--stat") {
        Ok(told) | Err(told) => told,
    };
    let stranger = ask(Who { user: "stranger", ..ADMIN });
    let guess = ask(Who { password: "guess", ..ADMIN });
    assert!(stranger.contains("username invalid"), "{stranger}");
    assert!(guess.contains("password invalid"), "{guess}");
}
