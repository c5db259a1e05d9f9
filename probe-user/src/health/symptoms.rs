//! What a path shows in this moment, whatever its verdicts are yet.

use super::{Path, Settings, flow::Flow};
use crate::verdict::{Cause, Direction, State};

impl Path {
    /// Whether the path breaks down in this moment, in either direction.
    #[inline]
    #[must_use]
    pub fn is_breaking_down(&self, settings: &Settings) -> bool {
        Direction::ALL.into_iter().any(|direction| self.is_failing(direction, settings))
    }

    /// Whether nothing keeps the path from being healthy but that it has to show for how long.
    #[must_use]
    pub fn is_recovering(&self, settings: &Settings) -> bool {
        self.state() != State::Healthy && !self.is_breaking_down(settings)
    }

    /// Whether one direction does: its peer is silent, or a test for heavy loss is half-way to its alarm.
    #[inline]
    #[must_use]
    pub fn is_failing(&self, direction: Direction, settings: &Settings) -> bool {
        let track = &self.directions[direction as usize].track;
        track.silences > 0 || track.bank.is_breaking_down(&settings.path)
    }

    /// The share of the flows, from 0 to 1, of which nothing passes while others do: what they lose is no evidence of the path's.
    #[must_use]
    pub fn dead_flows(&self, direction: Direction) -> f64 {
        let (index, of) = (direction as usize, self.flows.len() as f64);
        let is_dead = |flow: &&[Flow; 2]| flow[index].sick && flow[index].is_dead();
        let passes = self.directions[index].cause == Cause::FlowLoss;
        if passes { self.flows.iter().filter(is_dead).count() as f64 / of } else { 0.0 }
    }
}
