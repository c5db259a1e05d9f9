//! The config file: TOML, read completely and checked before anything acts on it.
//!
//! - `error`: what is wrong with a file, by line and field.
//! - `reader`: walks the TOML document and collects the errors.
//! - `auth`: `[auth]` and its key file.
//! - `health`: `[health]`.
//! - `hook`: `[[hook]]`.
//! - `record`: `[record]`.
//! - `overlay`: `[overlay]`.
//! - `reflector`: `[reflector]`.
//! - `value`: durations, numbers, names.
//! - `peer`: `[[peer]]` and its address.
//! - `sections`: every other section.
//! - `schema`: the same as a JSON Schema, for editors.
//!
//! A key that nothing reads is an error, and a section that is wrong does not hide what is wrong in
//! the others: [`ConfigError`] lists all of it.

mod auth;
mod error;
mod health;
mod hook;
mod overlay;
mod peer;
pub(crate) mod reader;
mod record;
mod reflector;
mod schema;
mod sections;
#[cfg(test)]
mod tests;
pub(crate) mod value;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use auth::KeyFile;
use clap::ValueEnum;
use probe_ebpf::ntp::Format;

pub use auth::{AuthConfig, PeerAuth};
pub use error::{ConfigError, Problem};
pub use health::{HealthConfig, Profile};
pub use hook::{HookAction, HookConfig};
pub use overlay::{DEFAULT_METRIC, DestinationConfig, MAIN_TABLE, OverlayConfig};
pub use peer::{Host, PeerAddress, PeerConfig, ReflectorKind};
pub use record::RecordConfig;
pub use reflector::{DEFAULT_RATE, MAX_RATE, ReflectorConfig};
pub use schema::schema;
pub use value::code_point;

/// The port that STAMP was given by IANA (RFC 8762, section 4.1).
pub const STAMP_PORT: u16 = 862;

/// A config that was read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Who we are.
    pub node: NodeConfig,
    /// How peers are probed.
    pub probe: ProbeConfig,
    /// What is asked of the verdicts.
    pub health: HealthConfig,
    /// What is kept for replays.
    pub record: RecordConfig,
    /// Which keys sign the probes.
    pub auth: AuthConfig,
    /// Whom our own Session-Reflector answers.
    pub reflector: ReflectorConfig,
    /// Whom we probe, in the order of the file.
    pub peers: Vec<PeerConfig>,
    /// What is routed around sick paths; `None` where nothing is.
    pub overlay: Option<OverlayConfig>,
    /// The HTTP server.
    pub web: WebConfig,
    /// Who is told of changes, in the order of the file.
    pub hooks: Vec<HookConfig>,
}

/// `[node]`: who we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeConfig {
    /// Name of this node.
    pub name: String,
    /// The region (data center) that it belongs to.
    pub region: String,
    /// The network interfaces that probes leave and enter by; at least one.
    pub interfaces: Vec<String>,
    /// What moves the probes.
    pub datapath: DatapathKind,
}

/// What moves the probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DatapathKind {
    /// The BPF programs where they can be had, else sockets.
    #[default]
    Auto,
    /// The BPF programs.
    Xdp,
    /// UDP sockets, without BPF.
    Socket,
}

/// `[probe]`: how peers are probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// Time between two probes of one flow; 1 ms to 60 s.
    pub interval: Duration,
    /// The latest time at which a probe is given up; 10 ms to 60 s.
    pub timeout: Duration,
    /// Flows for each peer; 1 to 64.
    pub flows: u16,
    /// Differentiated services code point of the probes; 0 to 63.
    pub dscp: u8,
    /// The format of our timestamps (RFC 8762, section 4.2.1).
    pub timestamps: Format,
    /// UDP port of our Session-Reflector, and that of peers whose address names none.
    pub port: u16,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(1),
            flows: 4,
            dscp: 0,
            timestamps: Format::Ntp,
            port: STAMP_PORT,
        }
    }
}

/// `[web]`: the HTTP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebConfig {
    /// The address and port that it listens on.
    pub listen: SocketAddr,
    /// Where HAProxy's agent checks are answered; `None` where they are not.
    pub agent_check: Option<SocketAddr>,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9862)), agent_check: None }
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When the file cannot be read, or anything in it is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, KeyFile::Read)
    }

    /// The same without a look at the key file, for all that needs no key: the config of another host can be judged
    /// where its secrets are not. There are no keys in it then, and none that it names is said to be missing.
    ///
    /// # Errors
    /// When the file cannot be read, or anything else in it is wrong.
    pub fn load_without_keys(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, KeyFile::Ignored)
    }

    fn load_with(path: &Path, key_file: KeyFile) -> Result<Self, ConfigError> {
        let text = read_text(path, "config")?;
        Self::parse_with(&text, &path.display().to_string(), key_file)
    }

    /// Checks the text of a file. `file_name` is for the errors, and a key file that is named in it is looked
    /// for beside it.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, ConfigError> {
        Self::parse_with(text, file_name, KeyFile::Read)
    }

    fn parse_with(text: &str, file_name: &str, key_file: KeyFile) -> Result<Self, ConfigError> {
        let directory = Path::new(file_name).parent().unwrap_or(Path::new(""));
        sections::parse(text, directory, key_file)
            .map_err(|problems| ConfigError::Invalid { file: file_name.to_owned(), problems })
    }

    /// The id of the key that a peer is probed with; `None` for unauthenticated mode.
    #[must_use]
    pub fn key_of<'a>(&'a self, peer: &'a PeerConfig) -> Option<&'a str> {
        match &peer.auth {
            PeerAuth::Node if self.auth.keys.is_empty() => None,
            PeerAuth::Node => Some(&self.auth.key),
            PeerAuth::None => None,
            PeerAuth::Key(id) => Some(id),
        }
    }

    /// How many paths are probed: one to each peer, and for the overlay those through relays.
    #[must_use]
    pub fn paths(&self) -> usize {
        let relayed = self.overlay.as_ref().map(|overlay| overlay.relayed(&self.peers));
        self.peers.len() + relayed.unwrap_or(0)
    }

    /// Whether another config has other gateways, tunnels or routes.
    fn routes_differently(&self, new: &Self) -> bool {
        let plan = |config: &Self| {
            let overlay = config.overlay.as_ref()?;
            Some((overlay.clone(), overlay.plan(&config.peers)))
        };
        plan(self) != plan(new)
    }

    /// The fields whose new value a running agent cannot take over, and which therefore need a
    /// restart. Empty where a reload is enough.
    #[must_use]
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        [
            ("node.name", self.node.name != new.node.name),
            ("node.region", self.node.region != new.node.region),
            ("node.interfaces", self.node.interfaces != new.node.interfaces),
            ("node.datapath", self.node.datapath != new.node.datapath),
            ("probe.timeout", self.probe.timeout != new.probe.timeout),
            ("probe.flows", self.probe.flows != new.probe.flows),
            ("probe.timestamps", self.probe.timestamps != new.probe.timestamps),
            ("probe.port", self.probe.port != new.probe.port),
            ("overlay", self.routes_differently(new)),
            ("record.directory", self.record.directory != new.record.directory),
            ("record.limit", self.record.limit != new.record.limit),
            ("web.listen", self.web.listen != new.web.listen),
            ("web.agent_check", self.web.agent_check != new.web.agent_check),
            ("hook", self.hooks != new.hooks),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
    }
}

/// The text of a file. `what` is what it holds, and the name of the option for it.
pub(crate) fn read_text(path: &Path, what: &'static str) -> Result<String, ConfigError> {
    let file = path.display().to_string();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(ConfigError::Unreadable { file, what, source }),
    };
    String::from_utf8(bytes).map_err(|error| {
        let valid_up_to = error.utf8_error().valid_up_to();
        ConfigError::not_utf8(file, error.as_bytes(), valid_up_to)
    })
}
