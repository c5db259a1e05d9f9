//! What the incident is about: who is sick, and when.

use std::time::Duration;

use anyhow::Result;
use lab::{Lab, Mesh};

use crate::topology::SITES;

/// The region that is cut off.
pub(super) const SICK: &str = "nyc";
/// The region that takes over from it.
pub(super) const OTHER: &str = "fra";
/// The region with the load balancer.
pub(super) const BALANCED: &str = "lon";

/// Verdicts of all agents: each on the direct way to each other region and on those by the two others, there and back.
pub(super) const VERDICTS: usize = SITES.len() * 3 * 3 * 2;

/// How long the burst is on one link alone. It is short enough that the sick region's failures count as one.
pub(super) const FIRST: Duration = Duration::from_secs(2);

/// Agents that route, that other hosts can ask, and that judge as they do where nobody has chosen numbers.
pub(super) fn mesh() -> Mesh {
    Mesh { overlay: true, open: true, ..Mesh::default() }
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
    SITES.into_iter().filter(|region| *region != SICK)
}
