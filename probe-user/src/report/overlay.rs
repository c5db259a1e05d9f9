//! The document of the overlay.

use serde::{Deserialize, Serialize};

use super::{Direction, Probes, Quantiles};
use crate::{overlay::choice::Reason, verdict::State};

/// The answer of `/api/v1/overlay`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    /// Name of the node that reports.
    pub node: String,
    /// Its region.
    pub region: String,
    /// When this was true, in seconds since the Unix epoch.
    pub at: f64,
    /// Since when the node holds itself for cut off, in seconds since the Unix epoch; `null` if it does not.
    pub isolated_since: Option<f64>,
    /// What keeps the kernel from routing as it is chosen, in words; none if all is well.
    pub problems: Vec<String>,
    /// How many routes and rules were mended because somebody else had changed them, since the agent was started.
    pub repairs: u64,
    /// In the order of the config.
    pub destinations: Vec<Destination>,
}

/// What lies behind a gateway, and the way there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Destination {
    /// The gateway, a peer.
    pub peer: String,
    /// Its region.
    pub region: String,
    /// The prefixes behind it.
    pub prefixes: Vec<String>,
    /// The relay in use; `null` for the direct way.
    pub via: Option<String>,
    /// The verdict on the way there by the candidate in use. Where it is not healthy, no candidate is, or what to do about
    /// it is not urgent.
    pub state: State,
    /// Why that candidate.
    pub reason: Reason,
    /// Since when, in seconds since the Unix epoch.
    pub since: f64,
    /// For how long, in seconds.
    pub since_seconds: f64,
    /// How often it has changed since the agent was started.
    pub moves: u64,
    /// Whether the kernel routes so: it was asked. Only for routes in the main table.
    pub installed: bool,
    /// All candidates, the direct one first.
    pub candidates: Vec<Candidate>,
}

/// One way to a destination, measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The relay; `null` for the direct way.
    pub via: Option<String>,
    /// Whether traffic goes this way.
    pub in_use: bool,
    /// The tunnel that it leaves by.
    pub interface: String,
    /// Whether that is there, and up.
    pub up: bool,
    /// From this node to the gateway. This decides.
    pub forward: Direction,
    /// From the gateway to this node. That decides there.
    pub reverse: Direction,
    /// Round-trip times of the last answered probes; `null` before the first.
    pub rtt_us: Option<Quantiles>,
    /// What became of the probes.
    pub probes: Probes,
}
