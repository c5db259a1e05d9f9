//! The network of the incident and of the contenders of the overlay: four sites, a way of 10 ms between the two that
//! matter, and one of 13 ms by the nearest relay.

use std::time::Duration;

use anyhow::Result;
use lab::{Lab, Site};

/// All of them.
pub(crate) const SITES: [&str; 4] = ["fra", "nyc", "sin", "lon"];

/// Milliseconds from one site to another, either way.
const DELAYS: [(&str, &str, u64); 6] = [
    ("fra", "nyc", 10),
    ("fra", "lon", 5),
    ("lon", "nyc", 8),
    ("fra", "sin", 18),
    ("lon", "sin", 15),
    ("nyc", "sin", 20),
];

/// Builds it.
///
/// # Errors
/// Those of the lab.
pub(crate) fn build(keep_files: bool) -> Result<Lab> {
    let lab = Lab::builder().sites(&SITES).overlay().keep_files(keep_files).build()?;
    for (one, other, milliseconds) in DELAYS {
        let delay = Duration::from_millis(milliseconds);
        lab.delay(one, other, delay)?;
        lab.delay(other, one, delay)?;
    }
    Ok(lab)
}

/// Every ordered pair of sites.
pub(crate) fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    DELAYS.into_iter().flat_map(|(one, other, _)| [(one, other), (other, one)])
}

/// The best relay from one site to another.
pub(crate) fn detour(from: &Site, to: &Site) -> String {
    let relays = SITES.into_iter().filter(|relay| *relay != from.name() && *relay != to.name());
    let best = relays.min_by_key(|relay| delay(from.name(), relay) + delay(relay, to.name()));
    best.expect("there are four sites").to_owned()
}

/// Milliseconds from one site to another.
pub(crate) fn delay(from: &str, to: &str) -> u64 {
    let ends = |(one, other, _): &&(&str, &str, u64)| {
        (*one, *other) == (from, to) || (*one, *other) == (to, from)
    };
    DELAYS.iter().find(ends).map_or(0, |(_, _, milliseconds)| *milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delays_are_complete_and_a_detour_is_longer() {
        assert_eq!(pairs().count(), SITES.len() * (SITES.len() - 1));
        for (from, to) in pairs() {
            for relay in SITES.into_iter().filter(|relay| *relay != from && *relay != to) {
                assert!(delay(from, relay) + delay(relay, to) > delay(from, to), "{from} {relay}");
            }
        }
    }
}
