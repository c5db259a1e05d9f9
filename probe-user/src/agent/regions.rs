//! The regions of the peers: what is known of the links to them.

use crate::{
    account::rtt,
    health::{self, region},
    verdict::{Cause, Direction, Nanos, State},
};

/// One region.
pub(super) struct Region {
    pub(super) name: String,
    /// Round trips to all its peers.
    pub(super) round_trips: rtt::Histogram,
    /// The verdict on the link, by direction: since when, what, why.
    pub(super) link: [(Nanos, State, Cause); 2],
}

impl Region {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            round_trips: rtt::Histogram::default(),
            link: [(0, State::Unknown, Cause::Starting); 2],
        }
    }

    /// Judges the link by its paths.
    pub(super) fn judge<'p>(
        &mut self,
        paths: &(impl Iterator<Item = &'p health::Path> + Clone),
        isolated: bool,
        now: Nanos,
    ) {
        for direction in Direction::ALL {
            let states = paths.clone().map(|path| path.state_of(direction));
            let (state, cause) = region::link(states, isolated);
            let (since, before, because) = &mut self.link[direction as usize];
            if (state, *since) != (*before, 0) && (state != *before || *since == 0) {
                tracing::debug!(region = self.name, %direction, from = %before, to = %state, %cause, "link");
                *since = now;
            }
            (*before, *because) = (state, cause);
        }
    }
}
