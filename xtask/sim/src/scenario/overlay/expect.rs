//! What is expected of routes at certain times.

use probe_user::{
    overlay::{choice::Reason, plan::model::Model},
    verdict::Nanos,
};

use super::super::{Run, Violation};
use crate::world::node::Place;

impl Run {
    /// No route has moved, of those in question, but to a faster way.
    pub(super) fn none_moved(
        &self,
        invariant: u8,
        what: &str,
        is_asked: impl Fn((usize, usize)) -> bool,
    ) -> Result<(), Violation> {
        let moves = &self.watch.as_ref().expect("an overlay").moves;
        let asked =
            moves.iter().filter(|(whose, _)| is_asked(**whose)).flat_map(|(_, moves)| moves);
        match asked.into_iter().find(|moved| moved.reason != Reason::Latency) {
            Some(moved) => self.violated(invariant, format!("{what}, and routes: {moved:?}")),
            None => Ok(()),
        }
    }

    /// The pairs whose direct path is held back by nothing.
    pub(super) fn prompt_pairs(&self) -> Vec<(usize, usize)> {
        self.world.pairs().filter(|pair| self.is_prompt(*pair)).collect()
    }

    /// Whether nothing holds any path back of a node to a peer.
    pub(super) fn none_is_held_back(&self, (node, peer): (usize, usize)) -> bool {
        let mut places = Place::all(&self.world.setup, node).filter(|place| place.peer == peer);
        places.all(|place| !self.world.nodes[node].path(place).health.is_held_back())
    }

    pub(super) fn expect_direct(
        &self,
        invariant: u8,
        (node, peer): (usize, usize),
    ) -> Result<(), Violation> {
        match self.in_use(node, peer).relay {
            Some(relay) => self.violated(
                invariant,
                format!("all is well; {node} routes to {peer} through {relay}"),
            ),
            None => Ok(()),
        }
    }

    pub(super) fn all_direct(&self, invariant: u8) -> Result<(), Violation> {
        self.world.pairs().try_for_each(|pair| self.expect_direct(invariant, pair))
    }

    pub(super) fn kernel_of(&self, node: usize) -> &Model {
        &self.world.nodes[node].routes.as_ref().expect("an overlay").kernel
    }

    pub(super) fn forget_moves(&mut self) {
        self.watch.as_mut().expect("an overlay").moves.clear();
    }

    /// How long it took until a route changed, since then.
    pub(super) fn measure(&mut self, what: &'static str, whose: (usize, usize), since: Nanos) {
        let moves = &self.watch.as_ref().expect("an overlay").moves;
        let first = moves.get(&whose).into_iter().flatten().find(|moved| moved.at >= since);
        if let Some(moved) = first {
            let took = moved.at - since;
            let longest = self.outcome.longest.entry(what).or_default();
            *longest = (*longest).max(took);
        }
    }
}
