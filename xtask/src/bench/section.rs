//! What can be measured, and the processes that do it.

use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use crate::{Problem, children::cargo};

/// One group of figures.
pub struct Section {
    /// Name on the command line.
    pub name: &'static str,
    /// Heading.
    pub title: &'static str,
    /// Runs only when asked for.
    pub long: bool,
    how: How,
}

/// Who measures.
enum How {
    /// The section of that name in tests/benches/fleet.
    Fleet,
    /// A test that runs as often as a variable says.
    Test {
        package: &'static str,
        words: &'static [&'static str],
        variable: &'static str,
        count: u32,
        /// To try the measurement itself.
        small: u32,
        figure: &'static str,
    },
}

/// Every section, in the order of the page.
pub const SECTIONS: [Section; 15] = [
    fleet("ipmi", "Power status over IPMI"),
    fleet("loss", "A line that loses packets"),
    fleet("list", "The list of servers"),
    fleet("start", "Start"),
    fleet("memory", "Memory"),
    fleet("agents", "Many agents"),
    fleet("polling", "One agent, many devices"),
    fleet("ui", "Web interface"),
    Section {
        name: "machine",
        title: "The power machine under random faults",
        long: false,
        how: How::Test {
            package: "rackhand-domain",
            words: &["--lib", "no_script_makes_the_machine_lie_or_leave_mixed_feeds"],
            variable: "RACKHAND_SCRIPTS",
            count: 20_000,
            small: 400,
            figure: "Random fault scripts that neither lied nor left mixed feeds",
        },
    },
    Section {
        name: "kill",
        title: "Killed in the middle of work",
        long: true,
        how: How::Test {
            package: "rackhand-tests",
            words: &["--test", "suite", "kills::killing_the_server"],
            variable: "RACKHAND_KILLS",
            count: 1_000,
            small: 20,
            figure: "Kills (SIGKILL) of a working server: no job lost, none run twice, no feed left off",
        },
    },
    Section {
        name: "chaos",
        title: "Server, agent, both or their line gone in the middle of work",
        long: true,
        how: How::Test {
            package: "rackhand-tests",
            words: &["--test", "suite", "kills::neither_does"],
            variable: "RACKHAND_KILLS",
            count: 1_000,
            small: 20,
            figure: "Rounds with a kill (SIGKILL) or a cut line: no job lost, none run twice, no feed left off",
        },
    },
    Section {
        name: "takeover",
        title: "An agent of a group goes away",
        long: true,
        how: How::Test {
            package: "rackhand-tests",
            words: &["--test", "suite", "groups::"],
            variable: "RACKHAND_TAKEOVERS",
            count: 200,
            small: 10,
            figure: "Agents killed or cut off in the middle of a job, and as many in a reset: the other one ends it, nothing twice",
        },
    },
    Section {
        name: "resets",
        title: "Resets over a line that loses packets",
        long: true,
        how: How::Test {
            package: "rackhand-tests",
            words: &["--test", "suite", "network::a_bmc_on_a_line_that_loses"],
            variable: "RACKHAND_RESETS",
            count: 2_000,
            small: 100,
            figure: "Resets, half at 5 %, half at 20 % loss each way between BMCs and their agent: none twice",
        },
    },
    Section {
        name: "partition",
        title: "A site that is cut off",
        long: true,
        how: How::Test {
            package: "rackhand-tests",
            words: &["--test", "suite", "network::a_site_that_is_cut_off"],
            variable: "RACKHAND_PARTITION",
            count: 300,
            small: 15,
            figure: "Seconds without a line in the middle of two jobs: feeds restored on site, nothing done twice",
        },
    },
    Section {
        name: "rolling",
        title: "A restart as for an upgrade",
        long: true,
        how: How::Test {
            package: "rackhand-tests",
            words: &["--test", "suite", "rolling::a_restart_in_the_middle"],
            variable: "RACKHAND_ROLLING",
            count: 100,
            small: 20,
            figure: "Jobs running while their server is stopped and started, three times: all succeed, none twice",
        },
    },
];

const fn fleet(name: &'static str, title: &'static str) -> Section {
    Section { name, title, long: false, how: How::Fleet }
}

/// Builds everything that is measured, as it is released; gives the program that measures.
pub fn build(root: &Path) -> Result<PathBuf, Problem> {
    let mut build = cargo(root);
    build.args([
        "build",
        "--release",
        "--message-format",
        "json-render-diagnostics",
        "--bins",
        "--bench",
        "fleet",
    ]);
    build.args([
        "--package",
        "rackhand-server",
        "--package",
        "rackhand-agent",
        "--package",
        "rackhand-simulators",
        "--package",
        "rackhand-tests",
    ]);
    let output = build.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("the build failed".into());
    }
    let messages = String::from_utf8(output.stdout)?;
    let program =
        messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
            let is_ours = message["target"]["name"] == "fleet";
            message["executable"].as_str().filter(|_| is_ours).map(PathBuf::from)
        });
    program.ok_or_else(|| "cargo did not say where the measuring program is".into())
}

impl Section {
    /// Runs it; gives its figures.
    pub fn measure(
        &self,
        root: &Path,
        program: &Path,
        runs: u32,
        small: bool,
    ) -> Result<Vec<Value>, Problem> {
        match self.how {
            How::Fleet => {
                let mut command = Command::new(program);
                command.args([self.name, "--runs", &runs.to_string()]).current_dir(root);
                if small {
                    command.arg("--small");
                }
                let output = command.stderr(Stdio::piped()).output()?;
                if !output.status.success() {
                    return Err(first_lines(&output.stderr).into());
                }
                let lines = String::from_utf8(output.stdout)?;
                Ok(lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
            }
            How::Test { package, words, variable, count, small: few, figure } => {
                let count = if small { few } else { count };
                let since = Instant::now();
                let mut test = cargo(root);
                test.args(["test", "--release", "--package", package]).args(words);
                // What a test prints is shown only when asked for.
                test.args(["--", "--show-output"]);
                let output = test.env(variable, count.to_string()).output()?;
                let told = String::from_utf8_lossy(&output.stdout).into_owned();
                if !output.status.success() {
                    return Err(told.into());
                }
                // A filter that matches nothing succeeds as well.
                if told.contains("test result: ok. 0 passed") {
                    return Err(format!("no test is called like {words:?}").into());
                }
                let counted: Vec<&str> =
                    told.lines().filter_map(|line| line.trim().strip_prefix("measured: ")).collect();
                let seconds = since.elapsed().as_secs();
                let mut notes = vec![format!("{seconds} s; {variable}={count}, {}", words.join(" "))];
                notes.extend(counted.into_iter().map(str::to_owned));
                Ok(vec![json!({
                    "name": figure, "unit": "", "ours": count, "peer": null, "target": count.to_string(), "met": true,
                    "note": notes.join("; "),
                })])
            }
        }
    }
}

/// What a program said before it gave up, without the trace behind it.
fn first_lines(told: &[u8]) -> String {
    let told = String::from_utf8_lossy(told);
    let lines: Vec<&str> = told.lines().take_while(|line| !line.starts_with("stack backtrace")).collect();
    lines.join("\n").trim().to_owned()
}
