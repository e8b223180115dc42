//! Third-party consoles: ipmitool and ipmipower.

use std::net::SocketAddr;
use std::process::{Command, Output};

/// How a console speaks to a BMC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// IPMI 2.0 with this cipher suite.
    Suite(u8),
    /// IPMI 1.5 with this authentication type, as ipmitool calls it.
    Old(&'static str),
}

/// Every dialect that a simulated BMC knows.
pub const EVERY: [Dialect; 4] =
    [Dialect::Suite(3), Dialect::Suite(17), Dialect::Old("MD5"), Dialect::Old("PASSWORD")];

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    pub user: &'a str,
    pub password: &'a str,
    /// Level that is asked for, as ipmitool calls it.
    pub level: &'a str,
}

/// The administrator of the BMCs in these tests.
pub const ADMIN: Who<'static> = Who { user: "admin", password: "labpass", level: "ADMINISTRATOR" };

/// Runs ipmitool: what it prints, or what it complains about.
pub fn ipmitool(dialect: Dialect, who: Who, at: SocketAddr, words: &[&str]) -> Result<String, String> {
    ipmitool_with(dialect, who, at, &[], words)
}

/// Runs ipmitool with more options.
pub fn ipmitool_with(
    dialect: Dialect,
    who: Who,
    at: SocketAddr,
    more: &[&str],
    words: &[&str],
) -> Result<String, String> {
    let mut command = Command::new("ipmitool");
    match dialect {
        Dialect::Suite(number) => command.args(["-I", "lanplus", "-C", &number.to_string()]),
        Dialect::Old(kind) => command.args(["-I", "lan", "-A", kind]),
    };
    // Two tries of two seconds: a refusal by silence must not hold a test up for twenty.
    command.args(["-N", "2", "-R", "2", "-L", who.level, "-U", who.user, "-P", who.password]);
    command.args(["-H", &at.ip().to_string(), "-p", &at.port().to_string()]);
    answer(command.args(more).args(words), "install ipmitool: apt-get install ipmitool")
}

/// Runs ipmipower for one action (`--stat`, `--reset` …).
pub fn ipmipower(who: Who, at: SocketAddr, options: &[&str], action: &str) -> Result<String, String> {
    let mut command = Command::new("ipmipower");
    command.args(["-h", &at.to_string(), "-u", who.user, "-p", who.password]);
    command.args(["--session-timeout", "4000", "--retransmission-timeout", "1000"]);
    answer(command.args(options).arg(action), "install ipmipower: apt-get install freeipmi-tools")
}

fn answer(command: &mut Command, remedy: &str) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{program}: {error}; {remedy}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if status.success() { Ok(text(&stdout)) } else { Err(format!("{} {}", text(&stdout), text(&stderr))) }
}
