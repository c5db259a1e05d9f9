//! `/metrics`: the state of an agent in the Prometheus text format.
//!
//! Every scrape is built afresh from a [`Snapshot`]. There is no registry that outlives it, so a peer
//! that left the config leaves the metrics with it.
//!
//! Peers bound the number of series: flows appear only in the API.
//!
//! - `paths`: one function for each metric of the paths.
//! - `regions`: the same for the regions.
//! - `overlay`: the same for the routes.
//! - `host`: the same for the reflector, the kernel programs and the agent itself.
//! - `family`: how they are put together; `text`: the same for those of the paths, of which there are many.

mod family;
mod host;
mod overlay;
mod paths;
mod regions;
#[cfg(test)]
mod tests;
mod text;

use probe_ebpf::maps::Counter;
use prometheus::{TextEncoder, proto::MetricFamily};

use crate::{account::rtt::Histogram, hooks, report};

/// The content type of what [`encode`] returns.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// What one scrape needs.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The paths.
    pub paths: report::Paths,
    /// What the kernel programs have counted, over all CPUs.
    pub counters: Vec<(Counter, u64)>,
    /// Where they are attached.
    pub interfaces: Vec<Interface>,
    /// Whether the config that is in the file is the one that is in use.
    pub last_reload_successful: bool,
    /// Round-trip times by region of the peer.
    pub rtt: Vec<RegionRtt>,
    /// The regions.
    pub regions: Vec<report::Region>,
    /// The routes, where there are any.
    pub overlay: Option<Routes>,
    /// How the hooks have fared.
    pub hooks: Vec<hooks::Runs>,
    /// How late the rounds of the judge began.
    pub lateness: Histogram,
}

/// The routes of the overlay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// What is routed.
    pub destinations: Vec<Route>,
    /// How many things keep the kernel from routing as it was chosen.
    pub problems: usize,
    /// How many routes and rules were mended.
    pub repairs: u64,
}

/// The way to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The gateway, a peer.
    pub peer: String,
    /// The relay in use; `None` for the direct way.
    pub via: Option<String>,
    /// All ways, by the verdict on the way there.
    pub candidates: report::States,
    /// How often it has changed.
    pub moves: u64,
}

/// A network interface that the kernel programs are attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// How the XDP program is attached: `native` or `generic`.
    pub mode: String,
}

/// The round-trip times of all peers in a region.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionRtt {
    /// The region.
    pub region: String,
    /// Upper bounds of the buckets in seconds, rising; without the last one, which has none.
    pub bounds: &'static [f64],
    /// How many are in each bucket and in none before it; one more than there are bounds.
    pub counts: Vec<u64>,
    /// The sum of all in seconds.
    pub sum: f64,
}

/// How much room the samples of one path take, roughly, in octets.
const ROOM_PER_PATH: usize = 2_048;

/// The Prometheus text format (version 0.0.4) of a snapshot.
///
/// # Errors
/// None that a snapshot can cause; the encoder's own.
pub fn encode(snapshot: &Snapshot) -> Result<String, prometheus::Error> {
    let paths = &paths::Labelled::all(&snapshot.paths.paths);
    let mut out = String::with_capacity((paths.len() + 8) * ROOM_PER_PATH);
    paths::probes_sent(paths, &mut out);
    paths::probes_answered(paths, &mut out);
    paths::probes_lost(paths, &mut out);
    paths::probes_not_sent(paths, &mut out);
    paths::probes_late(paths, &mut out);
    paths::loss_ratio(paths, &mut out);
    append(vec![paths::rtt(&snapshot.rtt)], &mut out)?;
    paths::state(paths, &mut out);
    paths::transitions(paths, &mut out);
    paths::verdict_age(paths, &mut out);
    let routes = snapshot.overlay.as_ref();
    let families = vec![
        regions::reach(&snapshot.regions),
        regions::transitions(&snapshot.regions),
        overlay::route(routes),
        overlay::candidates(routes),
        overlay::moves(routes),
        overlay::problems(routes),
        overlay::repairs(routes),
        host::reflector_packets(&snapshot.counters),
        host::sender_packets(&snapshot.counters),
        host::dropped_packets(&snapshot.counters),
        host::datapath_info(&snapshot.interfaces),
        host::hook_runs(&snapshot.hooks),
        host::tick_lateness(&snapshot.lateness),
        host::config_last_reload_successful(snapshot.last_reload_successful),
        host::build_info(),
    ];
    append(families, &mut out)?;
    Ok(out)
}

/// Writes metrics that have few samples.
fn append(mut families: Vec<MetricFamily>, out: &mut String) -> Result<(), prometheus::Error> {
    // The encoder refuses a metric without a single sample, and an agent may have no peers.
    families.retain(|family| !family.get_metric().is_empty());
    TextEncoder::new().encode_utf8(&families, out)
}
