//! The kinds of scenarios in which one thing goes wrong.

use probe_user::{
    random::Random,
    verdict::{Direction, MILLISECOND, Nanos, SECOND, State},
};

use super::{Violation, run::Run};
use crate::loss::{Loss, Lossy};

/// Where less is lost, a peer that does not probe is not silent by chance before its answers have told where it is lost.
const MODERATE: f64 = 0.5;

/// Counted with invariant 3: what is seen must be there.
const LATE_IS_NO_LOSS: u8 = 3;

impl Run {
    /// All links lose the same share for hours: invariant 15.
    pub(super) fn constant(&mut self, random: &mut Random) -> Result<(), Violation> {
        let from_the_start = random.chance(0.5);
        if !from_the_start {
            self.settle()?;
        }
        let ratio = match random.below(3) {
            0 => random.unit(),
            // Where alarm and recovery are both likely.
            1 => 0.005 + 0.045 * random.unit(),
            _ => 0.2 * random.unit(),
        };
        for link in self.world.links.iter_mut().flatten() {
            link.lossy = Lossy::new(Loss::Independent(ratio));
        }
        self.world.count(if from_the_start {
            "scenarios of constant loss from the start"
        } else {
            "scenarios of constant loss"
        });
        self.changes.clear();
        let hours = match self.world.setup.probing.interval / SECOND {
            0 => 1,
            1 => 24,
            _ => 100,
        };
        for hours_before in 0..hours {
            self.pass(3_600 * SECOND)?;
            if from_the_start && hours_before == 0 {
                // The first verdict is no change of one.
                for times in self.changes.values_mut() {
                    times.remove(0);
                }
            }
            let hour = 3_600 * SECOND;
            let now = self.world.now();
            let mut flapping = None;
            for (who, times) in &mut self.changes {
                if times.windows(5).any(|window| window[4].0 - window[0].0 < hour) {
                    flapping = Some((*who, times.clone()));
                }
                times.retain(|(at, _)| now - at < hour);
            }
            if let Some((who, times)) = flapping {
                self.violated(15, format!("{who:?} changes at {times:?}, at {ratio:.4} loss"))?;
            }
        }
        self.calm()
    }

    /// Invariant 9.
    pub(super) fn one_way(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        let ratio = random.unit();
        self.world.links[0][1].lossy = Lossy::new(Loss::Independent(ratio));
        if random.chance(0.2) {
            self.world.links[0][1].black_until = Nanos::MAX;
        } else if ratio < MODERATE {
            // Then node 1's probes do not show node 0 that the way back lives.
            self.world.nodes[1].sender_stalled_until = Nanos::MAX;
            self.world.count("scenarios of loss towards a peer that does not probe");
        }
        self.world.count("scenarios of loss in one direction");
        let what = format!("{ratio:.3} is lost from 0 to 1 only");
        for _ in 0..60 {
            self.pass(SECOND.max(10 * self.world.setup.probing.interval))?;
            self.expect(9, &[State::Healthy, State::Unknown], (0, 1, Direction::Reverse), &what)?;
            self.expect(9, &[State::Healthy, State::Unknown], (1, 0, Direction::Forward), &what)?;
        }
        self.calm()
    }

    /// Invariant 11: no clock of day makes or unmakes a verdict.
    pub(super) fn clocks(&mut self) -> Result<(), Violation> {
        self.settle()?;
        for node in &mut self.world.nodes {
            node.clock_steps_until = Nanos::MAX;
        }
        self.world.count("scenarios of clocks that step");
        self.changes.clear();
        self.pass(600 * SECOND)?;
        if !self.changes.is_empty() {
            let what = format!("clocks have stepped, and verdicts changed: {:?}", self.changes);
            self.violated(11, what)?;
        }
        self.calm()
    }

    /// Answers that come late are no loss.
    pub(super) fn late(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        for link in self.world.links.iter_mut().flatten() {
            // Soon enough that what is on its way at any time is no alarm in itself.
            link.late = (0.02 + 0.015 * random.unit(), (120 + random.below(80)) * MILLISECOND);
        }
        self.world.count("scenarios of late answers");
        for _ in 0..10 {
            self.pass(60 * SECOND)?;
            for (node, peer) in self.world.pairs() {
                for direction in Direction::ALL {
                    let state = self.world.state(node, peer, direction);
                    if state == State::Unhealthy {
                        let what =
                            format!("node {node} says {state} of {peer}, and nothing was lost");
                        self.violated(LATE_IS_NO_LOSS, what)?;
                    }
                }
            }
        }
        self.calm()
    }
}
