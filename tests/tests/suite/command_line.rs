//! What a person types beside the running server, and what a script reads of it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken bench stops the test")]

use rackhand_tests::{Backend, Lab, PASSWORD, USER, binary};
use serde_json::{Value, json};
use std::{
    io::{BufRead, Write},
    net::TcpListener,
    process::{Command, Output, Stdio},
};

/// Runs a command on the server's data, with something to read.
fn rackhand(backend: &Backend, words: &str, input: &str) -> Output {
    let mut child = Command::new(binary("rackhand"))
        .args(words.split(' '))
        .args(["--database-url", &backend.database(), "--data-dir"])
        .arg(backend.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses early reads nothing.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

/// What a success printed; it must have said nothing else.
fn printed(output: &Output) -> String {
    let aside = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && aside.is_empty(), "{aside}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&printed(output)).unwrap()
}

/// The one sentence of a failure.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(said.starts_with("rackhand: could not ") && said.lines().count() == 1, "{said}");
    said
}

async fn status(backend: &Backend, token: &str) -> u16 {
    let url = format!("{}/api/v1/servers", backend.url().replace("localhost", "127.0.0.1"));
    rackhand_tests::client().get(url).bearer_auth(token).send().await.unwrap().status().as_u16()
}

async fn signs_in(backend: &Backend, password: &str) -> bool {
    let url = format!("{}/api/v1/session", backend.url().replace("localhost", "127.0.0.1"));
    let body = json!({"name": USER, "password": password});
    rackhand_tests::client().post(url).json(&body).send().await.unwrap().status().is_success()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_found_again_and_ended() {
    let backend = Backend::start();
    let other = printed(&rackhand(&backend, "token add --user ada --name nightly --expires 30d", ""));
    let other = other.trim();
    assert_eq!(status(&backend, other).await, 200);

    let listed = json_of(&rackhand(&backend, "token list --user ada --json", ""));
    let nightly = listed.as_array().unwrap().iter().find(|token| token["name"] == "nightly").unwrap();
    let prefix = nightly["prefix"].as_str().unwrap();
    assert!(other.starts_with(prefix) && !listed.to_string().contains(other), "{listed}");
    let table = printed(&rackhand(&backend, "token list", ""));
    assert!(table.lines().any(|line| line.starts_with(prefix) && line.contains("nightly")), "{table}");

    assert!(refusal(&rackhand(&backend, "token remove rh_nobody", "")).contains("rackhand token list"));
    let gone = json_of(&rackhand(&backend, &format!("token remove {prefix} --json"), ""));
    assert_eq!(gone["id"], nightly["id"]);
    assert_eq!(status(&backend, other).await, 401);
    assert_eq!(status(&backend, &backend.token).await, 200);
    let audit = audit(&backend).await;
    assert_eq!((&audit["action"], &audit["actor"]), (&json!("token.remove"), &json!("command line")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_replaced() {
    let backend = Backend::start();
    let users = json_of(&rackhand(&backend, "user list --json", ""));
    assert_eq!((users.as_array().unwrap().len(), &users[0]["name"]), (1, &json!(USER)));
    assert!(printed(&rackhand(&backend, "user list", "")).contains("ada   active  never"));

    assert!(refusal(&rackhand(&backend, "user password --name ada", "short")).contains("12 to 200"));
    assert!(
        refusal(&rackhand(&backend, "user password --name bob", PASSWORD)).contains("rackhand user list")
    );
    assert!(signs_in(&backend, PASSWORD).await);
    let changed = "another horse battery";
    let said = printed(&rackhand(&backend, "user password --name ada", &format!("{changed}\n")));
    assert_eq!(said, "changed the password of ada\n");
    assert!(signs_in(&backend, changed).await && !signs_in(&backend, PASSWORD).await);
    let audit = audit(&backend).await;
    assert_eq!((&audit["action"], &audit["detail"]["password"]), (&json!("user.change"), &json!(true)));
}

#[test]
fn a_token_ends_in_the_future_or_is_not_made() {
    let backend = Backend::start();
    let tokens = || json_of(&rackhand(&backend, "token list --json", ""));
    let before = tokens();
    for expires in [
        "--expires -1d",
        "--expires=-1d",
        "--expires 0d",
        "--expires 3651d",
        "--expires 99999999999d",
        "--expires yesterday",
        "--expires 2020-01-01",
    ] {
        let output = rackhand(&backend, &format!("token add --user ada {expires}"), "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{expires}: {said}");
        assert!(said.starts_with("error: ") && said.contains("--expires"), "{expires}: {said}");
    }
    assert_eq!(tokens(), before);
}

/// The newest record that the command line left.
async fn audit(backend: &Backend) -> Value {
    let url = format!("{}/api/v1/audit", backend.url().replace("localhost", "127.0.0.1"));
    let text = rackhand_tests::client()
        .get(url)
        .bearer_auth(&backend.token)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let items = all["items"].as_array().unwrap();
    items.iter().find(|record| record["actor"] == "command line").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_listed_with_how_they_stand() {
    let lab = Lab::bare(1).await;
    lab.post("/agents", &json!({"name": "asked-for"})).await.ok();
    let known = lab.post("/agents", &json!({"name": "cut-off"})).await.ok();
    let id = known["agent"]["id"].as_str().unwrap();
    lab.post(&format!("/agents/{id}/revoke"), &json!(null)).await.ok();
    let told = printed(&rackhand(&lab.backend, "agent list", ""));
    let row = |name: &str| told.lines().find(|line| line.contains(name)).unwrap().to_owned();
    for (name, state) in [("local-", "built in"), ("asked-for", "not enrolled"), ("cut-off", "revoked")] {
        assert!(row(name).contains(state), "{told}");
    }
}

#[test]
fn a_command_says_what_it_did_and_nothing_of_how() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(binary("rackhand"));
        command.args(words).arg("--data-dir").arg(folder.path()).env_remove("RACKHAND_LOG").output().unwrap()
    };
    assert!(refusal(&run(&["token", "list"])).contains("is --data-dir right?"));
    let applied = printed(&run(&["migrate"]));
    assert!(
        applied.lines().count() > 1 && applied.lines().all(|line| line.starts_with("applied m")),
        "{applied}"
    );
    assert_eq!(printed(&run(&["migrate"])), "nothing to do\n");
    let elsewhere = "postgres://ada:sesame@127.0.0.1:1/fleet";
    let said = refusal(&run(&["audit", "verify", "--database-url", elsewhere]));
    assert!(said.contains("PostgreSQL at 127.0.0.1:1") && said.contains("fleet"), "{said}");
    assert!(!said.contains("sesame"), "{said}");
}

/// The commands that a help page lists.
fn listed(help: &str) -> Vec<String> {
    let commands = help.split_once("Commands:\n").map_or("", |(_, rest)| rest);
    let names = commands.lines().take_while(|line| line.starts_with("  "));
    let names =
        names.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Asks a program and every command below it for its help; counts the pages.
fn explained(program: &str, words: &[String]) -> usize {
    let told = Command::new(binary(program)).args(words).arg("--help").output().unwrap();
    let help = printed(&told);
    let (first, rest) = help.split_once('\n').unwrap();
    assert!(!first.is_empty() && first != "Usage:", "{program} {words:?} says what it is for: {help}");
    assert!(rest.contains(&format!("Usage: {program}")), "{program} {words:?}: {help}");
    let below = listed(&help);
    // What prints data prints it for programs, too.
    let prints =
        words.first().is_some_and(|word| !["serve", "openapi", "completions"].contains(&word.as_str()));
    if program == "rackhand" && below.is_empty() && prints {
        assert!(help.contains("--json"), "{words:?}: {help}");
    }
    1 + below.into_iter().map(|name| explained(program, &[words, &[name]].concat())).sum::<usize>()
}

#[test]
fn every_command_explains_itself() {
    assert!(explained("rackhand", &[]) > 15);
    assert!(explained("rackhand-agent", &[]) > 3);
    assert!(explained("rackhand-sim", &[]) > 10);
}

/// The commands below these words that can print JSON.
fn printing(words: &[String]) -> Vec<String> {
    let help = printed(&Command::new(binary("rackhand")).args(words).arg("--help").output().unwrap());
    let below = listed(&help);
    if below.is_empty() {
        return Vec::from_iter(help.contains("--json").then(|| words.join(" ")));
    }
    below.into_iter().flat_map(|name| printing(&[words, &[name]].concat())).collect()
}

/// A public key as RFC 8410 section 10.1 shows one.
const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_prints_data_prints_it_for_programs_too() {
    let backend = Backend::start();
    let key = backend.folder().join("site-b.pem");
    std::fs::write(&key, KEY).unwrap();
    let mut token = String::new();
    let commands = [
        ("migrate", String::new(), ""),
        ("user add", " --name bob".into(), "a password of bob\n"),
        ("user list", String::new(), ""),
        ("user password", " --name bob".into(), "another password of bob\n"),
        ("token add", " --user bob --expires 30d".into(), ""),
        ("token list", " --user bob".into(), ""),
        ("token remove", " TOKEN".into(), ""),
        ("agent add", format!(" --name site-b --public-key {}", key.display()), ""),
        ("agent replace", " site-b".into(), ""),
        ("agent list", String::new(), ""),
        ("audit verify", String::new(), ""),
    ];
    for (command, options, input) in &commands {
        let words = format!("{command}{options} --json").replace("TOKEN", &token);
        let told = json_of(&rackhand(&backend, &words, input));
        assert!(told.is_object() || told.is_array(), "{words}: {told}");
        if *command == "token list" {
            token = told[0]["id"].as_str().unwrap().to_owned();
        }
    }
    // Copying needs a server that stands still, and has a test of its own.
    let mut known: Vec<_> = commands.iter().map(|(command, ..)| (*command).to_owned()).collect();
    known.push("db copy".into());
    let mut all = printing(&[]);
    known.sort();
    all.sort();
    assert_eq!(known, all);
}

#[test]
fn a_shell_completes_what_is_typed() {
    for program in ["rackhand", "rackhand-agent", "rackhand-sim"] {
        for shell in ["zsh", "fish"] {
            let script =
                printed(&Command::new(binary(program)).args(["completions", shell]).output().unwrap());
            assert!(script.contains(program) && script.lines().count() > 20, "{program} {shell}: {script}");
        }
        let script = printed(&Command::new(binary(program)).args(["completions", "bash"]).output().unwrap());
        // As bash asks when a person presses Tab after the first letter of a command.
        let press = format!(
            "{script}\nCOMP_WORDS=({program} comp); COMP_CWORD=1; _{} {program} comp {program}; echo \"${{COMPREPLY[@]}}\"",
            program.replace('-', "__")
        );
        let completed = printed(&Command::new("bash").args(["--norc", "-c", &press]).output().unwrap());
        assert_eq!(completed.trim(), "completions", "{program}");
    }
}

/// A running farm; it ends with the test.
struct Farm(std::process::Child);

impl Drop for Farm {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn five_hundred_servers_run_and_one_falls_silent_on_command() {
    let control = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let sim = |words: &[&str]| {
        let mut command = Command::new(binary("rackhand-sim"));
        command.args(words).args(["--control", &control]);
        command
    };
    let mut farm = sim(&["--servers", "500", "--addresses", "free", "--json"]);
    let mut farm = Farm(farm.stdout(Stdio::piped()).spawn().unwrap());
    let mut told = std::io::BufReader::new(farm.0.stdout.take().unwrap()).lines();
    let mut inventory = String::new();
    while !inventory.ends_with("\n}") {
        inventory.push('\n');
        inventory.push_str(&told.next().expect("it ended").unwrap());
    }
    let inventory: Value = serde_json::from_str(&inventory).unwrap();
    let servers = inventory["servers"].as_array().unwrap();
    assert_eq!(servers.len(), 500);
    let (name, bmc) = (servers[2]["name"].as_str().unwrap(), &servers[2]["bmc"]);
    let address: std::net::SocketAddr = bmc["addr"].as_str().unwrap().parse().unwrap();
    // Somebody else's client is the judge.
    let answers = || {
        // It would try for most of a minute.
        let mut asked = Command::new("timeout");
        asked.args(["10", "ipmitool", "-I", "lanplus", "-C", "3", "-H", &address.ip().to_string()]);
        asked.args(["-p", &address.port().to_string(), "-U", bmc["user"].as_str().unwrap()]);
        asked.args(["-P", bmc["password"].as_str().unwrap(), "power", "status"]);
        let said = asked.output().expect("install ipmitool");
        String::from_utf8_lossy(&said.stdout).contains("Chassis Power is")
    };
    assert!(answers());
    assert!(sim(&["fault", name, "mute"]).output().unwrap().status.success());
    assert!(!answers(), "it is mute");
    assert!(sim(&["fault", name, "clear"]).output().unwrap().status.success());
    assert!(answers());
}
