//! The beginning of one fault in a network that is well: what must be seen of it, where, how soon, and what must not.

use probe_user::{
    random::Random,
    verdict::{
        Cause,
        Direction::{self, Forward, Reverse},
        MILLISECOND, Nanos, SECOND,
        State::{self, Degraded, Healthy, Unhealthy, Unknown},
    },
};

use super::{Run, Violation};
use crate::loss::{Loss, Lossy};

/// Loss ratios of which each must be seen in time.
const RATIOS: [f64; 8] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0];

/// Detection may take so many times as long as the bound of information theory, and so many probes. An alarm that is late by
/// chance comes long before that: the tail of CUSUM delays is exponential.
const PATIENCE: (f64, f64) = (6.0, 60.0);

/// The loss that all profiles accept.
const ACCEPTED: f64 = 0.01;

impl Run {
    /// Invariant 3, and with it 9 and 12: what is sick is seen in time, in the right place, and nothing else is.
    pub(super) fn onset(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        // Round trips have to be known for what is usual before longer ones can be seen.
        self.pass(100 * self.world.setup.probing.interval)?;
        let flows = self.world.setup.probing.flows;
        match random.below(6) {
            0 | 1 => self.loss_one_way(random)?,
            2 => self.blackhole_both_ways()?,
            3 if flows >= 4 => self.dead_flow(random)?,
            4 => self.cut_off()?,
            _ => self.longer_way()?,
        }
        self.calm()
    }

    /// How long it may take until a loss ratio is seen by the tests of a path, in nanoseconds.
    pub(super) fn limit(&self, ratio: f64, spacing: Nanos) -> Nanos {
        let goals_run_length = 1e10_f64;
        let pass =
            if ratio < 1.0 { (1.0 - ratio) * ((1.0 - ratio) / (1.0 - ACCEPTED)).ln() } else { 0.0 };
        let bound = goals_run_length.ln() / (ratio * (ratio / ACCEPTED).ln() + pass);
        let probes = PATIENCE.0 * bound + PATIENCE.1;
        // A blip counts as one loss, however many probes it takes.
        let blip = self.world.setup.settings.blip;
        (probes * spacing.max(blip) as f64) as Nanos + 2 * SECOND
    }

    /// Whether as many probes in a row as make a direction healthy may pass by chance where such a ratio is lost.
    fn recovers_by_luck(&self, ratio: f64) -> bool {
        (1.0 - ratio).powi(self.world.setup.settings.recovery as i32) > 1e-9
    }

    fn loss_one_way(&mut self, random: &mut Random) -> Result<(), Violation> {
        let ratio = RATIOS[random.below(RATIOS.len() as u64) as usize];
        self.world.links[0][1].lossy = Lossy::new(Loss::Independent(ratio));
        self.world.count("losses that had to be seen");
        self.changes.clear();
        self.pass(self.limit(ratio, self.world.setup.settings.spacing))?;
        let what = format!("{ratio} is lost from 0 to 1");
        for whose in [(0, 1, Forward), (1, 0, Reverse)] {
            let changes = self.changes.get(&(whose.0, whose.1, whose.2 as usize));
            let was_seen = changes.into_iter().flatten().any(|(_, state)| *state == Unhealthy);
            if !(was_seen && self.recovers_by_luck(ratio)) {
                self.expect_seen(&[Unhealthy], whose, &what)?;
            }
        }
        self.expect_spared((0, 1, Reverse), &what)?;
        self.expect_spared((1, 0, Forward), &what)?;
        self.expect_others_healthy(&what)
    }

    fn blackhole_both_ways(&mut self) -> Result<(), Violation> {
        for (from, to) in [(0, 1), (1, 0)] {
            self.world.links[from][to].black_until = Nanos::MAX;
        }
        self.world.count("blackholes that had to be seen");
        self.pass(self.limit(1.0, self.world.setup.settings.spacing))?;
        let what = "nothing passes between 0 and 1";
        for (node, peer) in [(0, 1), (1, 0)] {
            // Where the peer is silent too, nothing can be said of the way there.
            self.expect_seen(&[Unhealthy], (node, peer, Reverse), what)?;
            self.expect_seen(&[Unhealthy, Unknown], (node, peer, Forward), what)?;
        }
        self.expect_others_healthy(what)
    }

    fn dead_flow(&mut self, random: &mut Random) -> Result<(), Violation> {
        let flows = u64::from(self.world.setup.probing.flows);
        self.world.links[0][1].dead_flows = 1 << random.below(flows);
        self.world.count("dead flows that had to be seen");
        self.pass(self.limit(1.0, self.world.setup.probing.interval))?;
        let what = "one flow from 0 to 1 is dead";
        self.expect_seen(&[Degraded], (0, 1, Forward), what)?;
        self.expect_seen(&[Degraded], (1, 0, Reverse), what)?;
        // Nothing tells on which way a flow is dead of which no answer comes.
        self.expect(3, &[Degraded, Healthy], (0, 1, Reverse), what)?;
        self.expect(3, &[Degraded, Healthy], (1, 0, Forward), what)?;
        self.expect_others_healthy(what)
    }

    fn longer_way(&mut self) -> Result<(), Violation> {
        let round_trip = self.world.links[0][1].delay + self.world.links[1][0].delay;
        let factor = self.world.setup.settings.latency_factor.ceil() as u64;
        let longer = factor * round_trip + 50 * MILLISECOND;
        self.world.links[0][1].delay += longer;
        self.world.count("longer ways that had to be seen");
        let settings = &self.world.setup.settings;
        let until_usual = settings.time_of(settings.recovery << settings.damping) / 2;
        // Until the first late answers are there, it looks like loss, from which the path then has to recover.
        let seen = self.limit(1.0, settings.spacing) + self.bound(0);
        self.pass(seen.min(until_usual))?;
        let what = "the way from 0 to 1 is longer";
        self.expect_seen(&[Degraded], (0, 1, Forward), what)?;
        self.expect_seen(&[Degraded], (1, 0, Forward), what)?;
        self.world.links[0][1].delay -= longer;
        self.expect_others_healthy(what)
    }

    /// Invariant 12: the node that is cut off says so of itself, and the others do not.
    fn cut_off(&mut self) -> Result<(), Violation> {
        let nodes = self.world.setup.nodes;
        for peer in 1..nodes {
            self.world.links[0][peer].black_until = Nanos::MAX;
            self.world.links[peer][0].black_until = Nanos::MAX;
        }
        self.world.count("nodes whose isolation had to be seen");
        self.pass(self.limit(1.0, self.world.setup.settings.spacing))?;
        let what = "node 0 is cut off";
        for node in 0..nodes {
            // One peer alone cannot show it.
            let expected = node == 0 && nodes > 2;
            if self.world.nodes[node].judge.isolated_since().is_some() != expected {
                self.violated(
                    12,
                    format!("{what}; node {node} takes itself for it: {}", !expected),
                )?;
            }
        }
        for peer in 1..nodes {
            self.expect_seen(&[Unhealthy], (0, peer, Reverse), what)?;
            self.expect_seen(&[Unhealthy], (peer, 0, Reverse), what)?;
        }
        for (node, peer) in (1..nodes).flat_map(|peer| [(0, peer), (peer, 0)]) {
            let cause = self.verdict(node, peer, Reverse).cause;
            if (node == 0 && nodes > 2) != (cause == Cause::Isolated) {
                self.violated(12, format!("{what}; node {node} says of {peer}: {cause}"))?;
            }
        }
        self.expect_others_healthy(what)
    }

    fn expect_seen(
        &self,
        allowed: &[State],
        whose: (usize, usize, Direction),
        what: &str,
    ) -> Result<(), Violation> {
        self.expect(3, allowed, whose, what)
    }

    /// A direction that loses nothing is not blamed; while there is no evidence, nothing is said of it.
    fn expect_spared(&self, whose: (usize, usize, Direction), what: &str) -> Result<(), Violation> {
        self.expect(9, &[Healthy, Unknown], whose, what)
    }

    /// The paths between other nodes than 0 and those that it has trouble with are as they were.
    fn expect_others_healthy(&self, what: &str) -> Result<(), Violation> {
        for (node, peer) in self.world.pairs().filter(|(node, peer)| node.min(peer) > &0) {
            for direction in [Forward, Reverse] {
                self.expect(9, &[Healthy], (node, peer, direction), what)?;
            }
        }
        Ok(())
    }

    /// The states that a verdict may have now.
    pub(super) fn expect(
        &self,
        invariant: u8,
        allowed: &[State],
        (node, peer, direction): (usize, usize, Direction),
        what: &str,
    ) -> Result<(), Violation> {
        let state = self.world.state(node, peer, direction);
        if allowed.contains(&state) {
            return Ok(());
        }
        let cause = self.verdict(node, peer, direction).cause;
        self.violated(
            invariant,
            format!("{what}; node {node} says {state} ({cause}) of {peer} {direction}"),
        )
    }
}
