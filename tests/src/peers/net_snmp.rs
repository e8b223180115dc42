//! net-snmp's command line tools.

use std::net::SocketAddr;
use std::process::Output;

use super::process::run;

/// What to type where net-snmp is missing.
pub const REMEDY: &str = "install net-snmp: apt-get install snmp snmpd";

/// Credentials as net-snmp's tools take them.
#[derive(Clone, Copy)]
pub struct As<'a>(pub &'a [&'a str]);

/// The read community of the simulated PDUs, version 2c.
pub const READER: As = As(&["-v2c", "-c", "public"]);
/// Their write community.
pub const WRITER: As = As(&["-v2c", "-c", "private"]);

/// Reads one object.
///
/// # Errors
/// What the tool complains about.
pub fn get(who: As, at: SocketAddr, oid: &str) -> Result<String, String> {
    answer(&tool("snmpget", who, at, &[oid]))
}

/// Writes one integer.
///
/// # Errors
/// What the tool complains about.
pub fn set(who: As, at: SocketAddr, oid: &str, value: i32) -> Result<String, String> {
    answer(&tool("snmpset", who, at, &[oid, "i", &value.to_string()]))
}

/// Walks a subtree: OID and value of each object. The tool itself complains about OIDs that do not increase.
///
/// # Panics
/// When the tool complains.
#[must_use]
pub fn walk(program: &str, who: As, at: SocketAddr, oid: &str) -> Vec<(String, String)> {
    let output = tool(program, who, at, &[oid]);
    assert!(output.status.success(), "{program} {oid}: {}", complaint(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pair = |line: &str| {
        let (oid, value) = line.split_once(' ')?;
        Some((oid.trim_start_matches('.').to_owned(), value.trim().trim_matches('"').to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

fn tool(program: &str, who: As, at: SocketAddr, rest: &[&str]) -> Output {
    let at = at.to_string();
    // Numeric OIDs, quick values, enumerations as numbers; one repetition of a lost request.
    let mut arguments = vec!["-On", "-Oq", "-Oe", "-Ot", "-t1", "-r1"];
    arguments.extend(who.0);
    arguments.push(&at);
    arguments.extend(rest);
    run(program, &arguments, REMEDY)
}

fn answer(output: &Output) -> Result<String, String> {
    if !output.status.success() {
        return Err(complaint(output));
    }
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let value = text.split_once(' ').map(|(_, value)| value.trim_matches('"').to_owned());
    value.ok_or(text)
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}
