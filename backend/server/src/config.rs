//! How the server is told what to do: flag over environment over file.

mod public_url;
mod tls;

use clap::Args;
use rackhand_agent::{Rule, Rules};
use rackhand_wire::Timings;
use serde::{Deserialize, Deserializer};
use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

pub use tls::{Acme, Files, Tls};

use crate::Failure;

#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
/// Where everything is kept: what every command needs. Each option is also an environment variable and a
/// key of the file.
#[derive(Args, Debug, Clone, Default)]
pub struct Storage {
    /// Configuration file [default: DATA_DIR/rackhand.toml, else /etc/rackhand/rackhand.toml]
    #[arg(long, value_name = "FILE", env = "RACKHAND_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of the database, the master key and the agent's journal
    /// [default: /var/lib/rackhand as root, else $XDG_DATA_HOME/rackhand]
    #[arg(long, value_name = "DIR", env = "RACKHAND_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// sqlite://FILE or postgres://USER@HOST/NAME [default: sqlite://DATA_DIR/rackhand.db]
    #[arg(long, value_name = "URL", env = "RACKHAND_DATABASE_URL")]
    pub database_url: Option<String>,
    /// File with the 32 bytes that seal every secret [default: DATA_DIR/master.key, made when missing]
    #[arg(long, value_name = "FILE", env = "RACKHAND_MASTER_KEY_FILE")]
    pub master_key_file: Option<PathBuf>,
}

#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
/// Options of `rackhand serve`.
#[derive(Args, Debug, Clone, Default)]
pub struct Options {
    /// Where everything is kept.
    #[command(flatten)]
    pub storage: Storage,
    /// Address and port to listen on; a name that stands for an address will do [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "RACKHAND_LISTEN", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// Where people reach this server; source of every link and of the cookie rules
    /// [default: http://localhost:8080; https with TLS]
    #[arg(long, value_name = "URL", env = "RACKHAND_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// How TLS is spoken.
    #[command(flatten)]
    pub tls: tls::TlsOptions,
    /// Addresses of proxies whose X-Forwarded-For counts, separated by commas
    #[arg(long, value_name = "IP", value_delimiter = ',', env = "RACKHAND_TRUSTED_PROXIES")]
    pub trusted_proxies: Option<Vec<IpAddr>>,
    /// Whether this process also touches devices itself
    #[arg(long, value_name = "on|off", env = "RACKHAND_EMBEDDED_AGENT", value_parser = on_off)]
    pub embedded_agent: Option<bool>,
    /// Addresses, networks and names that this process may speak to as an agent, separated by commas
    /// [default: private,staff]
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "RACKHAND_ALLOW")]
    pub allow: Option<Vec<Rule>>,
    /// Name of this node, part of its agent's name [default: the host's]
    #[arg(long, value_name = "NAME", env = "RACKHAND_NODE")]
    pub node: Option<String>,
    /// Listen beyond loopback without TLS: passwords then cross the network in clear
    #[arg(long, value_name = "on|off", env = "RACKHAND_INSECURE_HTTP", value_parser = on_off,
        num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub insecure_http: Option<bool>,
    /// Multiplies every duration of the power engine; for demonstrations and tests against simulators
    #[arg(long, value_name = "FACTOR", env = "RACKHAND_TIME_SCALE", hide = true)]
    pub time_scale: Option<f64>,
}

impl From<&Storage> for Options {
    fn from(storage: &Storage) -> Self {
        Self { storage: storage.clone(), ..Self::default() }
    }
}

/// Variables that have a meaning; others that begin with RACKHAND_ are warned about.
const KNOWN: [&str; 20] = [
    "RACKHAND_CONFIG",
    "RACKHAND_DATA_DIR",
    "RACKHAND_LISTEN",
    "RACKHAND_PUBLIC_URL",
    "RACKHAND_DATABASE_URL",
    "RACKHAND_TLS",
    "RACKHAND_TLS_CERT",
    "RACKHAND_TLS_KEY",
    "RACKHAND_ACME_CONTACT",
    "RACKHAND_ACME_DIRECTORY",
    "RACKHAND_ACME_ROOT",
    "RACKHAND_ACME_HTTP_LISTEN",
    "RACKHAND_TRUSTED_PROXIES",
    "RACKHAND_MASTER_KEY_FILE",
    "RACKHAND_EMBEDDED_AGENT",
    "RACKHAND_ALLOW",
    "RACKHAND_NODE",
    "RACKHAND_INSECURE_HTTP",
    "RACKHAND_TIME_SCALE",
    "RACKHAND_LOG",
];

/// Variables of our own simulators and tests, which may be set in a developer's shell.
const OURS: [&str; 13] = [
    "RACKHAND_FAILPOINT",
    "RACKHAND_NAMESPACE",
    "RACKHAND_PROTOCOLS",
    "RACKHAND_SEED",
    "RACKHAND_SIM_CONTROL",
    "RACKHAND_FIXTURES",
    "RACKHAND_KILLS",
    "RACKHAND_FAKETIME",
    "RACKHAND_PARTITION",
    "RACKHAND_RESETS",
    "RACKHAND_ROLLING",
    "RACKHAND_SCRIPTS",
    "RACKHAND_TEST_POSTGRES",
];

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names are the keys of the file")]
struct File {
    #[serde(default, deserialize_with = "listen")]
    listen: Option<SocketAddr>,
    public_url: Option<String>,
    tls: Option<tls::Mode>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    acme_contact: Option<String>,
    acme_directory: Option<String>,
    acme_root: Option<PathBuf>,
    #[serde(default, deserialize_with = "listen")]
    acme_http_listen: Option<SocketAddr>,
    database_url: Option<String>,
    trusted_proxies: Option<Vec<IpAddr>>,
    master_key_file: Option<PathBuf>,
    embedded_agent: Option<bool>,
    allow: Option<Vec<Rule>>,
    node: Option<String>,
    insecure_http: Option<bool>,
}

/// What it comes to.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of everything that is kept.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where people reach it, without a slash at its end.
    pub public_url: String,
    /// How TLS is spoken; absent when it is not.
    pub tls: Option<Tls>,
    /// The database.
    pub database_url: String,
    /// Proxies whose word counts.
    pub trusted_proxies: Vec<IpAddr>,
    /// The master key.
    pub master_key_file: PathBuf,
    /// It was named, so it must be there.
    pub master_key_named: bool,
    /// Whether an agent is embedded.
    pub embedded_agent: bool,
    /// What that one may speak to.
    pub allow: Vec<Rule>,
    /// Name of this node.
    pub node: String,
    /// Factor on all durations.
    pub time_scale: f64,
}

impl Config {
    /// Joins flags, environment (both in `options`) and file.
    ///
    /// # Errors
    /// When the file cannot be read or understood, or the result is unsafe.
    pub fn load(options: &Options) -> Result<Self, Failure> {
        warn_unknown_variables();
        let data_dir = match &options.storage.data_dir {
            Some(dir) => dir.clone(),
            None => default_data_dir(is_root(), |name| std::env::var_os(name))?,
        };
        let mut file = read_file(options.storage.config.as_deref(), &data_dir)?;
        let listen =
            options.listen.or(file.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
        let tls = tls::TlsOptions {
            tls: file.tls.take(),
            tls_cert: file.tls_cert.take(),
            tls_key: file.tls_key.take(),
            acme_contact: file.acme_contact.take(),
            acme_directory: file.acme_directory.take(),
            acme_root: file.acme_root.take(),
            acme_http_listen: file.acme_http_listen,
        };
        let tls = options.tls.clone().or(tls).settle()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let default_url = format!("{scheme}://localhost:{}", listen.port());
        let config = Self {
            listen,
            tls,
            public_url: public_url::origin(
                &options.public_url.clone().or(file.public_url).unwrap_or(default_url),
            )?,
            database_url: options
                .storage
                .database_url
                .clone()
                .or(file.database_url)
                .unwrap_or_else(|| format!("sqlite://{}", data_dir.join("rackhand.db").display())),
            trusted_proxies: options.trusted_proxies.clone().or(file.trusted_proxies).unwrap_or_default(),
            master_key_named: options.storage.master_key_file.is_some() || file.master_key_file.is_some(),
            master_key_file: options
                .storage
                .master_key_file
                .clone()
                .or(file.master_key_file)
                .unwrap_or_else(|| data_dir.join("master.key")),
            embedded_agent: options.embedded_agent.or(file.embedded_agent).unwrap_or(true),
            allow: options.allow.clone().or(file.allow).unwrap_or_else(|| Rules::default().allow),
            node: options.node.clone().or(file.node).unwrap_or_else(host_name),
            time_scale: options.time_scale.unwrap_or(1.0),
            data_dir,
        };
        config.check(options.insecure_http.or(file.insecure_http).unwrap_or(false))?;
        Ok(config)
    }

    fn check(&self, insecure: bool) -> Result<(), Failure> {
        if !(self.time_scale.is_finite() && self.time_scale > 0.0) {
            return Err(Failure::new("use the time scale", "it must be greater than 0"));
        }
        if let Some(tls) = &self.tls {
            tls.check(&self.public_url, self.host())?;
        }
        let is_clear = self.tls.is_none() && !self.listen.ip().is_loopback();
        if is_clear && self.trusted_proxies.is_empty() && !insecure {
            return Err(Failure::new(
                &format!("listen on {}", self.listen),
                "passwords would cross the network in clear. Say --tls self-signed for a start (docs/tls.md \
                 names the other ways), or put a TLS proxy in front and name it in trusted_proxies, or listen \
                 on 127.0.0.1, or say --insecure-http if you mean it",
            ));
        }
        Ok(())
    }

    /// The database's file, when it is SQLite.
    #[must_use]
    pub fn database_file(&self) -> Option<&Path> {
        database_file(&self.database_url)
    }

    /// The name or address under which people reach this server.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.public_url.split_once("://").map_or("", |(_, authority)| authority);
        match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => authority.split(':').next().unwrap_or(authority),
        }
    }

    /// Says whether people come over TLS: decides the cookie's name and attributes.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// Says whether a proxy must stand in front that this server was not told of: whoever comes through it would
    /// count as one and the same machine, and as this one when it runs here.
    #[must_use]
    pub fn misses_its_proxy(&self) -> bool {
        self.is_https() && self.tls.is_none() && self.trusted_proxies.is_empty()
    }

    /// All durations.
    #[must_use]
    pub fn timings(&self) -> Timings {
        Timings::default().scaled(self.time_scale)
    }
}

/// Reads where to listen: an address, or a name that stands for one.
fn address(text: &str) -> Result<SocketAddr, String> {
    let expected = |why: &str| {
        format!("{why}: expected ADDRESS:PORT, for example 127.0.0.1:8080, [::1]:8080 or localhost:8080")
    };
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let named = text.rsplit_once(':').is_some_and(|(name, port)| {
        !name.is_empty() && !name.contains(['[', ':']) && port.parse::<u16>().is_ok()
    });
    if !named {
        return Err(expected("it is no address with a port"));
    }
    let found: Vec<SocketAddr> =
        text.to_socket_addrs().map_err(|error| expected(&error.to_string()))?.collect();
    // Whoever says localhost to a browser is tried on both; other programs try IPv4 only more often than not.
    let chosen = found.iter().find(|address| address.is_ipv4()).or(found.first());
    chosen.copied().ok_or_else(|| expected("the name has no address"))
}

fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(from)?;
    address(&text).map(Some).map_err(serde::de::Error::custom)
}

fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err("say on or off".into()),
    }
}

fn default_data_dir(
    is_root: bool,
    variable: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> Result<PathBuf, Failure> {
    if is_root {
        return Ok("/var/lib/rackhand".into());
    }
    let folder = |name| variable(name).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    if let Some(data) = folder("XDG_DATA_HOME") {
        return Ok(data.join("rackhand"));
    }
    let home = folder("HOME");
    let home = home.ok_or_else(|| Failure::new("find a data folder", "HOME is not set; say --data-dir"))?;
    Ok(home.join(".local/share/rackhand"))
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Where the file of the whole machine lies.
const OF_THE_MACHINE: &str = "/etc/rackhand/rackhand.toml";

/// Finds the file: the one that is named, else that of the data folder, else that of the machine.
fn file_to_read(named: Option<&Path>, data_dir: &Path, of_the_machine: &Path) -> Option<PathBuf> {
    let found = || {
        let places = [data_dir.join("rackhand.toml"), of_the_machine.to_owned()];
        places.into_iter().find(|path| path.exists())
    };
    named.map(Path::to_owned).or_else(found)
}

fn read_file(named: Option<&Path>, data_dir: &Path) -> Result<File, Failure> {
    let Some(path) = file_to_read(named, data_dir, Path::new(OF_THE_MACHINE)) else {
        return Ok(File::default());
    };
    let what = format!("read {}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::new(&what, error))?;
    toml::from_str(&text).map_err(|error| Failure::new(&what, error.to_string().trim_end()))
}

fn warn_unknown_variables() {
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("RACKHAND_")) else { continue };
        if !KNOWN.contains(&name) && !OURS.contains(&name) {
            tracing::warn!(variable = name, "this environment variable means nothing to rackhand");
        }
    }
}

/// The file of a database, when it is SQLite.
#[must_use]
pub fn database_file(url: &str) -> Option<&Path> {
    let file = url.strip_prefix("sqlite://")?;
    Some(Path::new(file.split('?').next().unwrap_or(file)))
}

/// The first part of the host's name.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.split('.').next().filter(|name| !name.is_empty()).map_or_else(|| "node1".into(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path, file: &str) -> Options {
        let path = folder.join("rackhand.toml");
        std::fs::write(&path, file).unwrap();
        let storage = Storage { config: Some(path), data_dir: Some(folder.to_owned()), ..Storage::default() };
        Options { storage, ..Options::default() }
    }

    #[test]
    fn the_data_lies_where_the_system_keeps_such_things() {
        let variables = [("XDG_DATA_HOME", "/home/ada/data"), ("HOME", "/home/ada"), ("HOME", "")];
        for (is_root, known, expected) in [
            (true, &variables[..2], Some("/var/lib/rackhand")),
            (false, &variables[..2], Some("/home/ada/data/rackhand")),
            (false, &variables[1..2], Some("/home/ada/.local/share/rackhand")),
            (false, &variables[2..], None),
        ] {
            let variable =
                |name: &str| known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
            let found = default_data_dir(is_root, variable).ok();
            assert_eq!(found.as_deref(), expected.map(Path::new));
        }
    }

    #[test]
    fn the_file_of_the_data_folder_comes_before_that_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let [data, machine, named] = ["data", "etc", "named"].map(|name| folder.path().join(name));
        std::fs::create_dir_all(&data).unwrap();
        assert_eq!(file_to_read(None, &data, &machine), None);
        std::fs::write(&machine, "").unwrap();
        assert_eq!(file_to_read(None, &data, &machine), Some(machine.clone()));
        let own = data.join("rackhand.toml");
        std::fs::write(&own, "").unwrap();
        assert_eq!(file_to_read(None, &data, &machine), Some(own));
        assert_eq!(file_to_read(Some(&named), &data, &machine), Some(named));
        assert_eq!(OF_THE_MACHINE, "/etc/rackhand/rackhand.toml");
    }

    #[test]
    fn a_wrong_key_is_an_error_with_line_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let error = Config::load(&options(folder.path(), "node = \"a\"\nlissten = \"x\"\n")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("line 2, column 1") && text.contains("lissten"), "{text}");
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path(), "listen = \"127.0.0.1:9\"\nnode = \"b\"\n");
        options.listen = Some(SocketAddr::from(([127, 0, 0, 1], 7)));
        let config = Config::load(&options).unwrap();
        assert_eq!((config.listen.port(), config.node.as_str()), (7, "b"));
        assert_eq!(config.public_url, "http://localhost:7");
    }

    #[test]
    fn beyond_loopback_needs_tls_in_front_or_an_explicit_word() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path(), "listen = \"0.0.0.0:8080\"\n");
        assert!(Config::load(&options).unwrap_err().to_string().contains("--insecure-http"));
        options.trusted_proxies = Some(vec![IpAddr::from([10, 0, 0, 1])]);
        assert!(Config::load(&options).is_ok());
        options.trusted_proxies = None;
        options.insecure_http = Some(true);
        assert!(Config::load(&options).is_ok());
    }

    #[test]
    fn a_word_against_the_file_counts_for_clear_text_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path(), "listen = \"0.0.0.0:8080\"\ninsecure_http = true\n");
        assert!(Config::load(&options).is_ok());
        options.insecure_http = Some(false);
        assert!(Config::load(&options).is_err());
    }

    #[test]
    fn a_place_to_listen_is_an_address_or_a_name_of_one() {
        for (text, expected) in
            [("127.0.0.1:9", "127.0.0.1:9"), ("[::1]:9", "[::1]:9"), ("localhost:9", "127.0.0.1:9")]
        {
            assert_eq!(address(text).map(|address| address.to_string()).as_deref(), Ok(expected));
        }
        for wrong in ["", "localhost", ":8080", "127.0.0.1", "::1:8080", "localhost:99999", "no such host:80"]
        {
            let error = address(wrong).unwrap_err();
            assert!(error.contains("for example 127.0.0.1:8080"), "{wrong}: {error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let config = Config::load(&options(folder.path(), "listen = \"localhost:9\"\n")).unwrap();
        assert_eq!(config.listen.port(), 9);
    }
}
