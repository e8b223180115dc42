//! The command line of `rackhand-sim`.

mod text;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use rackhand_simulators::control::{self, FaultOrder, Request, Seen};
use rackhand_simulators::farm::{Addresses, Farm, FarmConfig};
use rackhand_simulators::pdu::PduModel;
use rackhand_simulators::world::WorldTimings;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Runs racks of simulated servers and PDUs on this machine's loopback addresses
///
/// Every server has two feeds on two PDUs. PDUs speak SNMP v1, v2c and v3, BMCs speak IPMI. While it runs, the
/// other commands show what is and make devices misbehave.
#[derive(Debug, Parser)]
#[command(name = "rackhand-sim", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: Start,
    /// Where the running farm is asked
    #[arg(long, global = true, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 6299)), env = "RACKHAND_SIM_CONTROL")]
    control: SocketAddr,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  rackhand-sim                               24 servers in two racks
  rackhand-sim --servers 500 --json          a large farm, its inventory as JSON
  rackhand-sim fault srv-03 mute             the BMC of srv-03 falls silent
  rackhand-sim fault pdu-a drop 1 --only write
                                             the next SET on pdu-a works, its answer is lost
  rackhand-sim fault pdu-a outlet 7 stuck    outlet 7 acknowledges and does not move
  rackhand-sim fault srv-03 clear            srv-03 behaves again
  rackhand-sim effects srv-03                what physically happened to srv-03";

/// How large the farm is and where it listens.
#[derive(Debug, Args)]
struct Start {
    /// Number of servers
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    servers: u16,
    /// Servers in one rack
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=60))]
    per_rack: u16,
    /// PDUs in one rack
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=8))]
    pdus_per_rack: u16,
    /// Power supplies of one server, spread over the PDUs of its rack
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=8))]
    feeds: u16,
    /// Servers that share one chassis and its outlets
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    per_chassis: u16,
    /// Outlets of each PDU
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=60))]
    outlets: u16,
    /// Models of the PDUs, used in turn; repeatable
    #[arg(long = "pdu-model", value_enum, value_name = "MODEL")]
    models: Vec<PduModel>,
    /// How fast physical things happen
    #[arg(long, value_enum, default_value_t = Pace::Realistic)]
    pace: Pace,
    /// Which addresses the devices get
    #[arg(long, value_enum, default_value_t = Plan::Own)]
    addresses: Plan,
    /// Port of the BMCs, or of the first with --addresses counted
    #[arg(long, default_value_t = 6230, value_parser = clap::value_parser!(u16).range(1..))]
    bmc_port: u16,
    /// Port of the PDUs, or of the first with --addresses counted
    #[arg(long, default_value_t = 1161, value_parser = clap::value_parser!(u16).range(1..))]
    pdu_port: u16,
}

/// How fast physical things happen.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Pace {
    /// A BMC boots in 20 s
    Realistic,
    /// Twenty times as fast
    Quick,
}

/// Which addresses the devices get.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Plan {
    /// Each device its own: BMCs 127.42.x.y, PDUs 127.43.x.y
    Own,
    /// All on 127.0.0.1 with ports counted up
    Counted,
    /// All on 127.0.0.1 with free ports
    Free,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what runs where
    Inventory,
    /// Show a server or a PDU
    Show {
        /// Its name
        device: String,
    },
    /// Make a server's BMC or a PDU misbehave
    Fault {
        /// Its name
        device: String,
        #[command(subcommand)]
        fault: FaultOrder,
    },
    /// Print what physically happened, oldest first
    Effects {
        /// At one server or PDU only
        device: Option<String>,
    },
    /// Print a completion script
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// What the command line can fail with.
type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Cli {
    /// Understands the words of a command line, the program's name first.
    ///
    /// # Errors
    /// What is wrong with them, or the help that they ask for.
    pub fn understand(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
        let matches = Self::command().try_get_matches_from(words)?;
        let start = Start::augment_args(clap::Command::new("start"));
        let given =
            |arg: &&clap::Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        if let (Some(asked), Some(arg)) = (matches.subcommand_name(), start.get_arguments().find(given)) {
            let option = arg.get_long().unwrap_or_default();
            let text = format!("“--{option}” shapes a farm that is started; “{asked}” asks one that runs");
            return Err(Self::command().error(ErrorKind::ArgumentConflict, text));
        }
        Self::from_arg_matches(&matches)
    }

    /// Does what was asked.
    ///
    /// # Errors
    /// A sentence for the person at the terminal.
    pub async fn run(self) -> Result<(), Failure> {
        let request = match self.command {
            None => return run_farm(self.start, self.control, self.json).await,
            Some(Command::Completions { shell }) => {
                clap_complete::generate(shell, &mut Self::command(), "rackhand-sim", &mut io::stdout());
                return Ok(());
            }
            Some(Command::Inventory) => Request::Inventory,
            Some(Command::Show { device }) => Request::Show { device },
            Some(Command::Fault { device, fault }) => Request::Fault { device, fault },
            Some(Command::Effects { device }) => Request::Effects { device },
        };
        let seen = control::ask(self.control, &request).await?;
        print(&seen, self.json)
    }
}

async fn run_farm(start: Start, control: SocketAddr, json: bool) -> Result<(), Failure> {
    allow_many_sockets();
    let farm = Farm::start(config(start)).await?;
    let control = control::serve(&farm, control).await.map_err(|error| {
        format!("the control socket cannot listen on {control}: {error}; name another with --control")
    })?;
    print(&Seen::Inventory(farm.inventory().clone()), json)?;
    if io::stderr().is_terminal() {
        writeln!(io::stderr(), "Asked on {}. Ctrl-C stops it.", control.addr())?;
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// Raises the limit of open files as far as the system lets this user: every device needs sockets.
fn allow_many_sockets() {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, limit = before, "the limit of open files stays as it is; a large farm may not start");
    }
}

fn config(start: Start) -> FarmConfig {
    let usual = FarmConfig::default();
    let mut config = FarmConfig {
        servers: start.servers,
        per_rack: start.per_rack,
        pdus_per_rack: start.pdus_per_rack,
        feeds: start.feeds,
        per_chassis: start.per_chassis,
        outlets: start.outlets,
        models: if start.models.is_empty() { usual.models.clone() } else { start.models },
        timings: match start.pace {
            Pace::Realistic => WorldTimings::realistic(),
            Pace::Quick => WorldTimings::quick(),
        },
        addresses: match start.addresses {
            Plan::Own => Addresses::Own { bmc: start.bmc_port, pdu: start.pdu_port },
            Plan::Counted => Addresses::Counted { bmc: start.bmc_port, pdu: start.pdu_port },
            Plan::Free => Addresses::Free,
        },
        ..usual
    };
    config.outlets = config.outlets.max(config.outlets_needed());
    config
}

/// Prints an answer; a reader that went away (`| head`) is no failure.
fn print(seen: &Seen, json: bool) -> Result<(), Failure> {
    let text = if json { bare_json(seen)? } else { text::of(seen) };
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Returns the answer as JSON without the word that tells its kind.
fn bare_json(seen: &Seen) -> Result<String, serde_json::Error> {
    let mut text = match seen {
        Seen::Inventory(inventory) => serde_json::to_string_pretty(inventory)?,
        Seen::Server(view) => serde_json::to_string_pretty(view)?,
        Seen::Pdu(view) => serde_json::to_string_pretty(view)?,
        Seen::Effects(effects) => serde_json::to_string_pretty(effects)?,
    };
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_examples_of_the_help_are_understood() {
        let lines = EXAMPLES.lines().filter(|line| line.starts_with("  rackhand-sim"));
        for line in lines {
            let words = line.split("   ").find(|part| !part.trim().is_empty()).unwrap();
            assert!(understand(words).is_ok(), "{words}");
        }
    }

    #[test]
    fn the_control_address_may_stand_before_or_after_what_is_asked() {
        for words in [
            "rackhand-sim --control 127.0.0.1:7000 --json show srv-01",
            "rackhand-sim show srv-01 --json --control 127.0.0.1:7000",
        ] {
            let cli = understand(words).unwrap();
            assert!(cli.json);
            assert_eq!(cli.control.port(), 7000);
        }
    }

    #[test]
    fn the_size_of_a_farm_is_refused_where_none_is_started() {
        let refused = understand("rackhand-sim --servers 5 show srv-01").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ArgumentConflict);
        assert!(refused.to_string().contains("--servers"), "{refused}");
    }

    fn understand(words: &str) -> Result<Cli, clap::Error> {
        Cli::understand(words.split_whitespace().map(OsString::from))
    }
}
