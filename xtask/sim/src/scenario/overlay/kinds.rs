//! What happens to nodes that route.

use probe_user::{
    random::Random,
    verdict::{Nanos, SECOND},
};

use super::{
    super::{Outcome, Run, Violation},
    Kind,
    faults::a_share,
};
use crate::{
    loss::{Loss, Lossy},
    world::node::Place,
};

/// So many changes of the route to a destination, for each of its candidates, are the most within an hour of constant loss:
/// as many as a verdict may change (`F` of invariant 15).
const CHANGES: usize = 4;

impl Run {
    /// Plays a scenario to its end.
    pub(super) fn play_overlay(mut self, kind: Kind, random: &mut Random) -> Outcome {
        let violation = match kind {
            Kind::Chaos => self.chaos_of_routes(random),
            Kind::Incident => self.incident(random),
            Kind::Fuzzed => self.fuzzed(random),
            Kind::Constant => self.constant_loss_of_links(random),
            Kind::Detour => self.detour(random),
            Kind::Restart => self.restarts(random),
            Kind::CutOff => self.cut_off_for_long(random),
            Kind::LastWay => self.last_way(random),
            Kind::Standstill => self.standstill(random),
        };
        self.finish(kind.label(), violation.err())
    }

    fn chaos_of_routes(&mut self, random: &mut Random) -> Result<(), Violation> {
        if random.chance(0.8) {
            self.settle()?;
        }
        for _ in 0..2 + random.below(12) {
            self.disturb_routes(random)?;
        }
        if random.chance(0.3) {
            self.scramble_all(random, 0.7)?;
        }
        self.calm_of_routes()
    }

    /// A burst of loss of some seconds takes regions off the net. After it all is well again by itself, within `G` without
    /// damping, for nothing has relapsed.
    fn incident(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        let until = self.world.now() + SECOND + random.below(15 * SECOND);
        let share = if random.chance(0.5) { 1.0 } else { 0.5 + 0.5 * random.unit() };
        let regions = 1 + random.below(2);
        for region in 0..regions as usize {
            for peer in 0..self.world.setup.nodes {
                self.world.links[region][peer].lossy = Lossy::new(Loss::Independent(share));
                self.world.links[peer][region].lossy = Lossy::new(Loss::Independent(share));
            }
        }
        self.world.count("bursts in a region");
        self.pass(until - self.world.now())?;
        self.heal_routes();
        self.pass(SECOND)?;
        let prompt = self.prompt_pairs();
        self.pass(self.return_bound(0))?;
        for (node, peer) in prompt {
            self.world.count("returns without damping");
            self.expect_direct(16, (node, peer))?;
        }
        self.calm_of_routes()
    }

    /// Invariant 17: from any state of everything at once, in a network that is well.
    fn fuzzed(&mut self, random: &mut Random) -> Result<(), Violation> {
        if random.chance(0.5) {
            self.settle()?;
        }
        self.scramble_all(random, 1.0)?;
        if random.chance(0.5) {
            for node in 0..self.world.setup.nodes {
                if random.chance(0.5) {
                    self.world.restart(node);
                    self.world.count("agents that found strange routes");
                }
            }
        }
        self.world.count("fuzzed networks");
        self.calm_of_routes()
    }

    /// Invariant 15, of routes.
    fn constant_loss_of_links(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        for (from, to) in self.world.pairs() {
            if random.chance(0.6) {
                let loss = Loss::Independent(a_share(random).min(0.9));
                self.world.links[from][to].lossy = Lossy::new(loss);
            }
        }
        self.world.count("hours of constant loss of links");
        self.forget_moves();
        self.pass(3_600 * SECOND)?;
        let candidates = self.world.setup.nodes - 1;
        let moves = &self.watch.as_ref().expect("an overlay").moves;
        let most = moves.iter().max_by_key(|(_, moves)| moves.len());
        if let Some((whose, moves)) = most {
            let count = moves.len();
            self.outcome
                .longest
                .insert("most moves within an hour, as seconds", count as u64 * SECOND);
            if count > CHANGES * candidates {
                self.violated(15, format!("{count} moves of {whose:?} within an hour: {moves:?}"))?;
            }
        }
        Ok(())
    }

    /// Invariants 13 and 16: the direct way fails, all else is well. It is left within `L`, and in use again within `G`.
    fn detour(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        let began = self.world.now();
        let (from, to) = self.two_nodes(random);
        match random.below(4) {
            0 => self.world.links[from][to].black_until = Nanos::MAX,
            1 => self.take_down((from, to), Nanos::MAX),
            2 => self.world.links[from][to].lossy = Lossy::new(Loss::Independent(0.3)),
            _ => {
                self.world.links[from][to].black_until = Nanos::MAX;
                self.world.links[to][from].black_until = Nanos::MAX;
            }
        }
        let bound = match self.world.links[from][to].lossy.loss() {
            Loss::Independent(0.3) => self.limit(0.3, self.world.setup.settings.spacing),
            _ => self.leave_bound(),
        };
        self.world.count("detours");
        self.pass(bound)?;
        if self.in_use(from, to).relay.is_none() {
            self.violated(
                13,
                format!("{from} still routes to {to} directly, where nothing passes"),
            )?;
        }
        self.measure("until a sick way is left", (from, to), began);
        self.pass(random.below(10 * SECOND))?;
        let was_detour = self.in_use(from, to).relay.is_some();
        let is_prompt = self.prompt_pairs();
        let began = self.world.now();
        self.heal_routes();
        self.pass(self.return_bound(0) + SECOND)?;
        for pair in is_prompt {
            self.expect_direct(16, pair)?;
        }
        if was_detour {
            self.measure("until the direct way is in use again", (from, to), began);
        }
        Ok(())
    }

    /// Invariant 18: whatever a relay's routes are, agents that die and start again leave them as they are.
    fn restarts(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        let (from, to) = self.two_nodes(random);
        self.world.links[from][to].black_until = Nanos::MAX;
        self.world.links[to][from].black_until = Nanos::MAX;
        self.pass(self.leave_bound() + self.return_bound(0))?;
        for _ in 0..2 + random.below(3) {
            let node = if random.chance(0.7) { from } else { self.two_nodes(random).0 };
            let before: Vec<Place> =
                self.others(node).map(|peer| self.in_use(node, peer)).collect();
            let until = self.world.now() + random.below(8 * SECOND);
            self.world.kill(node, until);
            self.world.count("agents that died");
            self.pass(until - self.world.now())?;
            self.pass(self.return_bound(0) + SECOND)?;
            let after: Vec<Place> = self.others(node).map(|peer| self.in_use(node, peer)).collect();
            if before != after {
                self.violated(18, format!("a restart of {node} moves {before:?} to {after:?}"))?;
            }
        }
        self.heal_routes();
        self.pass(self.return_bound(0) + SECOND)?;
        Ok(())
    }

    /// Invariant 12: a node that is cut off moves nothing.
    fn cut_off_for_long(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        self.forget_moves();
        let until = self.world.now() + random.below(60 * SECOND);
        self.cut_off_until(0, until);
        self.world.count("nodes that were cut off alone");
        self.pass(until - self.world.now())?;
        let moves = &self.watch.as_ref().expect("an overlay").moves;
        if let Some((_, moved)) = moves.iter().find(|((node, _), _)| *node == 0) {
            self.violated(12, format!("0 is cut off, and routes: {moved:?}"))?;
        }
        self.heal_routes();
        self.pass(self.return_bound(0) + SECOND)?;
        self.all_direct(16)
    }

    /// Invariant 13: where the only way out loses much, it is used. What must hold of it, [`Run::pass`] watches.
    fn last_way(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        let loss = Lossy::new(Loss::Independent(0.01 + 0.19 * random.unit()));
        for (from, to) in [(0, 1), (1, 0)] {
            if random.chance(0.7) {
                self.world.links[from][to].lossy = loss.clone();
            }
        }
        self.pass(random.below(30 * SECOND))?;
        self.cut_off_until(0, Nanos::MAX);
        self.world.links[0][1].black_until = 0;
        self.world.links[1][0].black_until = 0;
        self.world.count("last ways");
        self.pass(random.below(10 * SECOND))?;
        if random.chance(0.5) {
            self.world.restart(0);
        }
        self.pass(self.last_way_bound() + 5 * SECOND)?;
        self.heal_routes();
        self.pass(self.return_bound(0) + SECOND)
    }

    /// Invariant 15: that an agent does not see anything for a while is no reason to move routes which are right.
    fn standstill(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        self.forget_moves();
        let until = self.world.now() + random.below(20 * SECOND);
        for node in 0..=random.below(self.world.setup.nodes as u64 - 1) as usize {
            self.world.nodes[node].sender_stalled_until = until;
            self.world.nodes[node].judge_stalled_until = until;
        }
        self.world.count("agents that stood still alone");
        self.pass(until - self.world.now() + self.return_bound(0))?;
        let moves = &self.watch.as_ref().expect("an overlay").moves;
        if let Some((_, moved)) = moves.first_key_value() {
            self.violated(15, format!("an agent stood still, and routes: {moved:?}"))?;
        }
        self.all_direct(16)
    }

    fn others(&self, node: usize) -> impl Iterator<Item = usize> + use<> {
        let nodes = self.world.setup.nodes;
        (0..nodes).filter(move |other| *other != node)
    }

    fn scramble_all(&mut self, random: &mut Random, share: f64) -> Result<(), Violation> {
        let now = self.world.now();
        for node in &mut self.world.nodes {
            if random.chance(share) {
                node.scramble(random, now);
            }
        }
        self.world.count("scrambled states");
        self.check_loops()
    }

    fn forget_moves(&mut self) {
        self.watch.as_mut().expect("an overlay").moves.clear();
    }

    /// How long it took until a route changed, since then.
    fn measure(&mut self, what: &'static str, whose: (usize, usize), since: Nanos) {
        let moves = &self.watch.as_ref().expect("an overlay").moves;
        let first = moves.get(&whose).into_iter().flatten().find(|moved| moved.at >= since);
        if let Some(moved) = first {
            let took = moved.at - since;
            let longest = self.outcome.longest.entry(what).or_default();
            *longest = (*longest).max(took);
        }
    }

    /// Takes all faults away, those of lengths too.
    fn heal_routes(&mut self) {
        self.heal();
        let watch = self.watch.as_ref().expect("an overlay");
        watch.truth.restore(&mut self.world);
    }

    /// The pairs whose direct path is held back by nothing.
    fn prompt_pairs(&self) -> Vec<(usize, usize)> {
        self.world.pairs().filter(|pair| self.is_prompt(*pair)).collect()
    }

    fn expect_direct(&self, invariant: u8, (node, peer): (usize, usize)) -> Result<(), Violation> {
        match self.in_use(node, peer).relay {
            Some(relay) => self.violated(
                invariant,
                format!("all is well; {node} routes to {peer} through {relay}"),
            ),
            None => Ok(()),
        }
    }

    fn all_direct(&self, invariant: u8) -> Result<(), Violation> {
        self.world.pairs().try_for_each(|pair| self.expect_direct(invariant, pair))
    }

    /// Takes all faults away, and checks that all verdicts are healthy and all routes direct within the bound, and stay so.
    fn calm_of_routes(&mut self) -> Result<(), Violation> {
        self.heal_routes();
        self.pass(self.return_bound(self.world.setup.settings.damping))?;
        self.all_healthy(17)?;
        self.all_direct(17)?;
        self.check_kernels()?;
        self.forget_moves();
        self.pass(5 * SECOND)?;
        let moves = &self.watch.as_ref().expect("an overlay").moves;
        if let Some((_, moved)) = moves.first_key_value() {
            self.violated(17, format!("routes change in the calm: {moved:?}"))?;
        }
        Ok(())
    }
}
