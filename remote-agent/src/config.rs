//! How the agent is told what to do: flag over environment over file.

use clap::Args;
use rackhand_driver::{Rule, Rules};
use serde::Deserialize;
use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};
use tracing_subscriber::EnvFilter;

use crate::poller::Limits;

#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
/// What every command takes. Each option is also an environment variable and, but for the first, a key of the file.
#[derive(Args, Debug, Clone, Default)]
pub struct Options {
    /// Configuration file [default: DATA_DIR/agent.toml, else /etc/rackhand/agent.toml]
    #[arg(long, value_name = "FILE", env = "RACKHAND_AGENT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of the agent's keys and journal [default: /var/lib/rackhand-agent as root, else
    /// $XDG_DATA_HOME/rackhand-agent]
    #[arg(long, value_name = "DIR", env = "RACKHAND_AGENT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// What is logged: error, warn, info, debug or trace, also for parts: info,rackhand_agent=debug
    /// [default: info]
    #[arg(long, value_name = "FILTER", env = "RACKHAND_AGENT_LOG")]
    pub log: Option<Filter>,
    /// Addresses, networks and names that the agent may speak to, separated by commas; see docs/agents.md
    /// [default: private,staff]
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "RACKHAND_AGENT_ALLOW")]
    pub allow: Option<Vec<Rule>>,
    /// What it may not speak to, whatever is allowed
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "RACKHAND_AGENT_DENY")]
    pub deny: Option<Vec<Rule>>,
    /// Hours for which samples are kept while the server is away [default: 24]
    #[arg(long, value_name = "HOURS", env = "RACKHAND_AGENT_SPOOL_HOURS")]
    pub spool_hours: Option<f64>,
    /// Megabytes that they may take on disk [default: 256]
    #[arg(long, value_name = "MB", env = "RACKHAND_AGENT_SPOOL_MB")]
    pub spool_mb: Option<f64>,
    /// Multiplies every duration; for demonstrations and tests against simulators
    #[arg(long, value_name = "FACTOR", env = "RACKHAND_TIME_SCALE", hide = true)]
    pub time_scale: Option<f64>,
}

/// Variables that have a meaning; others that begin with `RACKHAND_AGENT_` are warned about.
const KNOWN: [&str; 7] = [
    "RACKHAND_AGENT_CONFIG",
    "RACKHAND_AGENT_DATA_DIR",
    "RACKHAND_AGENT_LOG",
    "RACKHAND_AGENT_ALLOW",
    "RACKHAND_AGENT_DENY",
    "RACKHAND_AGENT_SPOOL_HOURS",
    "RACKHAND_AGENT_SPOOL_MB",
];

/// What is logged, as it was written; it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Filter(String);

impl Default for Filter {
    fn default() -> Self {
        Self("info".into())
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        EnvFilter::try_new(text).map_err(|error| format!("“{text}” says not what to log: {error}"))?;
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Filter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Filter {
    /// The filter itself.
    #[must_use]
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct File {
    data_dir: Option<PathBuf>,
    log: Option<Filter>,
    allow: Option<Vec<Rule>>,
    deny: Option<Vec<Rule>>,
    spool_hours: Option<f64>,
    spool_mb: Option<f64>,
}

/// What it comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Folder of keys and journal.
    pub data_dir: PathBuf,
    /// What is logged.
    pub log: Filter,
    /// What the agent may speak to.
    pub rules: Rules,
    /// What is kept while the server is away.
    pub keep: Limits,
    /// Factor on all durations.
    pub time_scale: f64,
}

impl Settings {
    /// Joins flags, environment (both in `options`) and file.
    ///
    /// # Errors
    /// In words, when the file cannot be read or understood: with its line and column.
    pub fn load(options: &Options) -> Result<Self, String> {
        let dir = options.data_dir.clone().map_or_else(default_data_dir, Ok);
        let (path, file) = read_file(options.config.as_deref(), dir.as_deref().ok())?;
        let data_dir = match (&options.data_dir, file.data_dir) {
            (None, Some(named)) => named,
            (Some(_), _) | (None, None) => dir?,
        };
        let default = Rules::default();
        let time_scale = options.time_scale.unwrap_or(1.0);
        if !(time_scale.is_finite() && time_scale > 0.0) {
            return Err("the time scale must be greater than 0".into());
        }
        let keep = limits(options.spool_hours.or(file.spool_hours), options.spool_mb.or(file.spool_mb))?;
        Ok(Self {
            keep,
            file: path,
            data_dir,
            log: options.log.clone().or(file.log).unwrap_or_default(),
            rules: Rules {
                allow: options.allow.clone().or(file.allow).unwrap_or(default.allow),
                deny: options.deny.clone().or(file.deny).unwrap_or(default.deny),
            },
            time_scale,
        })
    }

    /// Where a person changes it.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.file {
            Some(path) => path.display().to_string(),
            None => self.data_dir.join("agent.toml").display().to_string(),
        }
    }
}

fn limits(hours: Option<f64>, megabytes: Option<f64>) -> Result<Limits, String> {
    let mut limits = Limits::default();
    if let Some(hours) = hours {
        let age = Duration::try_from_secs_f64(hours * 3600.0);
        limits.age = age.map_err(|_| format!("spool_hours cannot be {hours}"))?;
    }
    if let Some(megabytes) = megabytes {
        // A million bytes are one, as a million microseconds are.
        let bytes = Duration::try_from_secs_f64(megabytes);
        let bytes = bytes.map_err(|_| format!("spool_mb cannot be {megabytes}"))?.as_micros();
        limits.bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    }
    if limits.bytes == 0 || limits.age.is_zero() {
        return Err("spool_hours and spool_mb must be greater than 0".into());
    }
    Ok(limits)
}

/// Lists variables that look like the agent's and are not.
#[must_use]
pub fn unknown_variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("RACKHAND_AGENT_") && !KNOWN.contains(&name.as_str())).collect()
}

fn default_data_dir() -> Result<PathBuf, String> {
    if rustix::process::geteuid().is_root() {
        return Ok("/var/lib/rackhand-agent".into());
    }
    let set = |name| std::env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
    Ok(home.ok_or("say --data-dir: neither XDG_DATA_HOME nor HOME is set")?.join("rackhand-agent"))
}

fn read_file(named: Option<&Path>, data_dir: Option<&Path>) -> Result<(Option<PathBuf>, File), String> {
    let own = data_dir.map(|dir| dir.join("agent.toml"));
    let mut places = own.into_iter().chain([PathBuf::from("/etc/rackhand/agent.toml")]);
    let found = named.map(Path::to_owned).or_else(|| places.find(|path| path.exists()));
    let Some(path) = found else { return Ok((None, File::default())) };
    let text = fs::read_to_string(&path);
    let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let file = toml::from_str(&text)
        .map_err(|error| format!("{} is wrong: {}", path.display(), error.to_string().trim_end()))?;
    Ok((Some(path), file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, more: Options) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("agent.toml"), file).unwrap();
        Settings::load(&Options { data_dir: Some(folder.path().to_owned()), ..more })
    }

    #[test]
    fn what_is_wrong_in_the_file_is_named_with_line_and_column() {
        for (file, line, column, said) in [
            ("log = \"info\"\nalow = []\n", 2, 1, "alow"),
            ("allow = [\"10.0.0.0/8\", \"10.0.0.1/8\"]", 1, 9, "10.0.0.1/8"),
            ("log = \"info\"\n\ndeny = \"10.0.0.0/8\"", 3, 8, "expected a sequence"),
            ("log = \"loud=loud=loud\"", 1, 7, "loud"),
            ("log = ", 1, 7, ""),
        ] {
            let error = load(file, Options::default()).unwrap_err();
            let place = format!("line {line}, column {column}");
            assert!(error.contains(&place) && error.contains(said), "{file}: {error}");
        }
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = "log = \"warn\"\nallow = [\"10.0.0.0/8\", \"bmc.example.com\"]\n";
        let settings = load(file, Options::default()).unwrap();
        assert_eq!((settings.log.to_string().as_str(), settings.rules.allow.len()), ("warn", 2));
        let allow = Some(vec![Rule::Private]);
        let settings = load(file, Options { allow: allow.clone(), ..Options::default() }).unwrap();
        assert_eq!(Some(settings.rules.allow), allow);
        assert_eq!(load("", Options::default()).unwrap().rules, Rules::default());
    }

    #[test]
    fn what_is_kept_has_a_default_and_must_be_something() {
        assert_eq!(load("", Options::default()).unwrap().keep, Limits::default());
        let keep = load("spool_hours = 0.5\nspool_mb = 0.02\n", Options::default()).unwrap().keep;
        assert_eq!(keep, Limits { bytes: 20_000, age: Duration::from_mins(30) });
        for wrong in ["spool_hours = 0.0", "spool_mb = -1.0", "spool_mb = nan"] {
            assert!(load(wrong, Options::default()).unwrap_err().contains("spool_"), "{wrong}");
        }
    }

    #[test]
    fn a_folder_that_only_the_file_names_is_used_and_a_flag_wins_over_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("agent.toml");
        fs::write(&config, "data_dir = \"/srv/agent\"\n").unwrap();
        let options = Options { config: Some(config), ..Options::default() };
        assert_eq!(Settings::load(&options).unwrap().data_dir, Path::new("/srv/agent"));
        let options = Options { data_dir: Some("/elsewhere".into()), ..options };
        assert_eq!(Settings::load(&options).unwrap().data_dir, Path::new("/elsewhere"));
        let missing = Options { config: Some("/nowhere/agent.toml".into()), ..Options::default() };
        assert!(Settings::load(&missing).unwrap_err().contains("/nowhere/agent.toml"));
    }
}
