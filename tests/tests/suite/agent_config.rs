//! How an agent is configured, and what its allow list and a full disk mean to a job.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken bench stops the test")]

use rackhand_simulators::world::EffectKind;
use rackhand_tests::{Lab, SLOW, agent::Agent, binary, bmc_body, joined, rack_of, state};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

const REFUSED: &str = "The agent's allow list does not permit this address";

/// Runs a command of the agent on a folder.
fn run(folder: &Path, words: &[&str]) -> Output {
    Command::new(binary("rackhand-agent")).args(words).arg("--data-dir").arg(folder).output().unwrap()
}

/// What `check` found: step and whether it is well.
fn check(folder: &Path) -> (bool, Vec<(String, Option<bool>)>, Value) {
    let output = run(folder, &["check", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["ok"], output.status.success());
    assert_eq!(output.status.code(), Some(i32::from(!output.status.success())));
    let findings = told["findings"].as_array().unwrap().iter();
    let findings = findings.map(|it| (it["what"].as_str().unwrap().to_owned(), it["ok"].as_bool())).collect();
    (output.status.success(), findings, told)
}

fn well(steps: &[(&str, Option<bool>)]) -> Vec<(String, Option<bool>)> {
    steps.iter().map(|(what, ok)| ((*what).to_owned(), *ok)).collect()
}

/// What a connection test of a server's BMC found.
async fn tested(lab: &Lab, via: &Value) -> Value {
    let inventory = serde_json::to_value(lab.farm.inventory()).unwrap();
    let mut body = joined(bmc_body(&inventory["servers"][0]), via);
    body.as_object_mut().unwrap().remove("name");
    let job = lab.post("/endpoints/test", &body).await.ok();
    assert_eq!(job["title"], format!("Test IPMI {}", lab.farm.inventory().servers[0].bmc.addr));
    lab.finish(job["id"].as_str().unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_limit_of_open_files_is_raised_as_far_as_it_may_be() {
    let (lab, mut agent, _relay) = Lab::behind_an_agent(rack_of(1)).await;
    agent.kill();
    agent.move_to(["sh", "-c", "ulimit -Sn 256; exec \"$@\"", "sh"].map(Into::into).to_vec());
    agent.run();
    agent.online(&lab).await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", agent.pid())).unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let files: Vec<&str> = files.split_whitespace().collect();
    assert_eq!(files[0], files[1], "{limits}");
    assert!(agent.log().contains(&format!("\"files\":{}", files[1])), "{}", agent.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_what_changed_and_nothing_else() {
    let (mut lab, agent, _relay) = Lab::behind_an_agent(rack_of(1)).await;
    // A session that nobody uses ends soon at 1/20.
    lab.backend.restart_at(SLOW);
    agent.slowed(&lab).await;
    let machine = lab.machine("srv-01");
    let job = lab.power("srv-01", json!({"action": "reset"})).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
    let (joined, opened) = (agent.connections(), lab.farm.bmc("srv-01").unwrap().tally().opened);
    // More is allowed: devices that are open stay open.
    agent.configure("log = \"info\"\nallow = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n");
    agent.reload(&lab).await;
    let job = lab.power("srv-01", json!({"action": "reset"})).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
    assert_eq!(lab.farm.bmc("srv-01").unwrap().tally().opened, opened, "the BMC's session was kept");
    // The device is not allowed any more: open or not, it hears nothing, and its feeds stay.
    agent.configure("allow = [\"10.0.0.0/8\"]\n");
    agent.reload(&lab).await;
    let before = machine.effects().len();
    for action in ["reset", "cycle", "off"] {
        let job = lab.power("srv-01", json!({"action": action})).await;
        assert_eq!(state(&job).0, "failed", "{job:#}");
        let said = job["summary"].as_str().unwrap();
        assert!(said.contains(REFUSED) && said.contains("agent.toml"), "{said}");
    }
    let test = tested(&lab, &json!({"agent_id": agent.id})).await;
    assert!(test.to_string().contains(REFUSED), "{test:#}");
    assert_eq!((machine.effects().len(), lab.feed_changes("srv-01")), (before, 0));
    // A broken file changes nothing.
    agent.configure("allow = [\"127.0.0.0/8\"]\nalow = []\n");
    agent.reload(&lab).await;
    assert!(agent.log().contains("line 2, column 1"), "{}", agent.log());
    let job = lab.power("srv-01", json!({"action": "reset"})).await;
    assert_eq!(state(&job).0, "failed", "{job:#}");
    agent.configure("allow = [\"127.0.0.0/8\"]\n");
    agent.reload(&lab).await;
    let job = lab.power("srv-01", json!({"action": "reset"})).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
    assert_eq!(agent.connections(), joined, "the session outlived every reload");
    assert_eq!(agent.view(&lab).await["state"], "online");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_server_tells_who_tries_loopback_what_to_write_where() {
    let mut lab = Lab::bare(1).await;
    fs::remove_file(lab.backend.folder().join("rackhand.toml")).unwrap();
    lab.backend.kill_and_restart();
    let test = tested(&lab, &json!({})).await.to_string();
    let remedy = "a loopback address; list “127.0.0.0/8” under allow in rackhand.toml";
    assert!(test.contains(REFUSED) && test.contains(remedy), "{test}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_the_step_that_fails() {
    let mut lab = Lab::bare(1).await;
    let nobody = tempfile::tempdir().unwrap();
    let (is_well, findings, _) = check(nobody.path());
    assert!(!is_well && findings.contains(&("identity".into(), Some(false))), "{findings:?}");
    assert!(fs::read_dir(nobody.path()).unwrap().next().is_none(), "it makes nothing");
    let agent = Agent::enrolled(&lab, "site-a", lab.backend.port()).await;
    let local =
        [("config", Some(true)), ("identity", Some(true)), ("rights", Some(true)), ("disk", Some(true))];
    let with = |rest: [(&str, Option<bool>); 4]| well(&[&local[..], &rest[..]].concat());
    fs::set_permissions(agent.folder(), PermissionsExt::from_mode(0o700)).unwrap();
    let (is_well, findings, told) = check(agent.folder());
    let all = [("dns", Some(true)), ("tcp", Some(true)), ("tls", Some(true)), ("http", Some(true))];
    assert!(is_well, "{told:#}");
    assert_eq!(findings, with(all), "{told:#}");
    let status = run(agent.folder(), &["status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&status["name"], &status["id"]), (&json!("site-a"), &json!(agent.id)));
    let key = agent.folder().join("identity.key");
    fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let (_, findings, told) = check(agent.folder());
    assert_eq!(findings[2], ("rights".into(), Some(false)), "{told:#}");
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    lab.backend.stop();
    let (is_well, findings, told) = check(agent.folder());
    let silent = [("dns", Some(true)), ("tcp", Some(false)), ("tls", None), ("http", None)];
    assert!(!is_well);
    assert_eq!(findings, with(silent), "{told:#}");
    agent.configure("log = \"info\"\ndata_dri = \"/srv\"\n");
    for words in [["check"], ["run"], ["status"]] {
        let output = run(agent.folder(), &words);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("line 2, column 1") && said.contains("data_dri"), "{words:?}: {said}");
    }
}

#[test]
fn an_unknown_variable_is_warned_about_and_a_flag_wins_over_a_variable() {
    let folder = tempfile::tempdir().unwrap();
    let check = |words: &[&str]| {
        let mut command = Command::new(binary("rackhand-agent"));
        command.arg("check").args(words).arg("--data-dir").arg(folder.path());
        command.env("RACKHAND_AGENT_ALOW", "x").env("RACKHAND_AGENT_ALLOW", "10.1.0.0/16");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let said = check(&[]);
    assert!(said.contains("allow 10.1.0.0/16") && said.contains("RACKHAND_AGENT_ALOW"), "{said}");
    assert!(check(&["--allow", "private,10.2.0.1"]).contains("allow private, 10.2.0.1;"));
    let script = Command::new(binary("rackhand-agent")).args(["completions", "bash"]).output().unwrap();
    assert!(String::from_utf8(script.stdout).unwrap().contains("complete -F _rackhand__agent"));
}

/// Runs an agent on a disk of its own of 256 KiB, which is full.
fn on_a_full_disk(agent: &Agent) -> std::process::Child {
    let script = "mount -t tmpfs -o size=256k tmpfs \"$1/disk\" && cp -a \"$1\"/*.* \"$1/disk\" && \
                  head -c 1M /dev/zero > \"$1/disk/filler\" 2>/dev/null; exec \"$2\" run --data-dir \"$1/disk\"";
    fs::create_dir(agent.folder().join("disk")).unwrap();
    let log = fs::File::create(agent.folder().join("log")).unwrap();
    let mut inside = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        inside.arg("--map-root-user");
    }
    inside.args(["--mount", "sh", "-c", script, "sh"]).arg(agent.folder()).arg(binary("rackhand-agent"));
    inside.env("RACKHAND_TIME_SCALE", rackhand_tests::SCALE.to_string());
    inside.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_would_switch_and_loses_nothing() {
    let mut lab = Lab::bare(1).await;
    let mut agent = Agent::enrolled(&lab, "site-a", lab.backend.port()).await;
    let process = on_a_full_disk(&agent);
    let disk = Path::new("/proc").join(process.id().to_string()).join("root");
    let disk = disk.join(agent.folder().join("disk").strip_prefix("/").unwrap());
    agent.adopt(process);
    agent.online(&lab).await;
    lab.wire(&json!({"agent_id": agent.id})).await;
    let machine = lab.machine("srv-01");
    for _ in 0..2 {
        let job = lab.power("srv-01", json!({"action": "reset"})).await;
        assert_eq!(state(&job).0, "failed", "{job:#}");
        let said = job["summary"].as_str().unwrap();
        assert!(
            said.contains("The agent cannot write its journal") && said.contains("No space left"),
            "{said}"
        );
    }
    assert_eq!(machine.count(&EffectKind::Reset), 0);
    assert!(lab.fully_fed("srv-01"));
    assert_eq!(agent.log().matches("nothing is switched until it can").count(), 1, "{}", agent.log());
    let journal = fs::read(disk.join("journal.jsonl")).unwrap();
    assert!(journal.is_empty() || journal.ends_with(b"\n"), "no half line is left");
    fs::remove_file(disk.join("filler")).unwrap();
    let job = lab.power("srv-01", json!({"action": "reset"})).await;
    assert_eq!(state(&job).0, "succeeded", "{job:#}");
    assert_eq!(machine.count(&EffectKind::Reset), 1);
    assert!(agent.log().contains("the journal can be written again"));
    let lines = fs::read_to_string(disk.join("journal.jsonl")).unwrap();
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines}");
}
