mod codec;
mod disk;
mod live;

use super::header::{Header, Path, Probe};
use crate::{config::Profile, verdict::SECOND};

/// The header of a segment with so many paths, each to a region of its own but for the last two.
fn header(paths: usize) -> Header {
    let path = |place: usize| Path {
        peer: format!("p{place}"),
        region: format!("r{}", place.min(paths.saturating_sub(2))),
        opened: 999_000,
    };
    Header {
        node: "ams1".to_owned(),
        run: 7,
        sequence: 0,
        gap: false,
        unix: 1_795_000_000_000,
        monotonic: 1_000_000,
        probe: Probe { interval: SECOND / 10, timeout: SECOND, flows: 4 },
        health: Profile::Balanced.health().goals(),
        paths: (0..paths).map(path).collect(),
    }
}
