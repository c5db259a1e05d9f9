//! The network of the incident: four regions, each a gateway with tunnels to the others and a host behind it.

use std::time::Duration;

use anyhow::Result;
use lab::{Lab, Mesh};

/// The region that is cut off.
pub(super) const SICK: &str = "nyc";
/// The region that takes over from it.
pub(super) const OTHER: &str = "fra";
/// The region with the load balancer.
pub(super) const BALANCED: &str = "lon";

/// All of them.
pub(super) const REGIONS: [&str; 4] = ["fra", "nyc", "sin", "lon"];

/// Verdicts of all agents: each on the direct way to each other region and on those by the two others, there and back.
pub(super) const VERDICTS: usize = REGIONS.len() * 3 * 3 * 2;

/// One-way delays in milliseconds, the same both ways.
const DELAYS: [(&str, &str, u64); 6] = [
    ("fra", "nyc", 10),
    ("fra", "lon", 5),
    ("lon", "nyc", 8),
    ("fra", "sin", 18),
    ("lon", "sin", 15),
    ("nyc", "sin", 20),
];

/// How long the burst is on one link alone. It is short enough that the sick region's failures count as one.
pub(super) const FIRST: Duration = Duration::from_secs(2);

/// Builds the network.
///
/// # Errors
/// Those of the lab.
pub(super) fn build(keep_files: bool) -> Result<Lab> {
    let lab = Lab::builder().sites(&REGIONS).overlay().keep_files(keep_files).build()?;
    for (one, other, milliseconds) in DELAYS {
        let delay = Duration::from_millis(milliseconds);
        lab.delay(one, other, delay)?;
        lab.delay(other, one, delay)?;
    }
    Ok(lab)
}

/// Agents that route, that other hosts can ask, and that judge as they do where nobody has chosen numbers.
pub(super) fn mesh() -> Mesh {
    Mesh { overlay: true, open: true, ..Mesh::default() }
}

/// Every ordered pair of regions.
pub(super) fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    DELAYS.into_iter().flat_map(|(one, other, _)| [(one, other), (other, one)])
}

/// All that goes between the sick region and the one that takes over is lost from now on.
///
/// # Errors
/// Those of the lab.
pub(super) fn cut_first(lab: &Lab) -> Result<()> {
    lab.blackhole_both(SICK, OTHER)
}

/// All that goes between the sick region and any other is lost from now on.
///
/// # Errors
/// Those of the lab.
pub(super) fn cut(lab: &Lab) -> Result<()> {
    others().try_for_each(|other| lab.blackhole_both(SICK, other))
}

/// Nothing is lost any more.
///
/// # Errors
/// Those of the lab.
pub(super) fn mend(lab: &Lab) -> Result<()> {
    others().try_for_each(|other| lab.clear_both(SICK, other))
}

fn others() -> impl Iterator<Item = &'static str> {
    REGIONS.into_iter().filter(|region| *region != SICK)
}
