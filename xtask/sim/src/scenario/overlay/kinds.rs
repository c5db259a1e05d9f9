//! What happens to nodes that route.

use probe_user::{
    overlay::choice,
    random::Random,
    verdict::{Nanos, SECOND},
};

use super::{
    super::{Outcome, Run, Violation},
    Kind,
    faults::a_share,
};
use crate::loss::{Loss, Lossy};

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

    /// Invariant 17: from any state of everything at once, in a network that is well but for one link maybe.
    fn fuzzed(&mut self, random: &mut Random) -> Result<(), Violation> {
        if random.chance(0.5) {
            self.settle()?;
        }
        self.scramble_all(random, 1.0)?;
        self.damage_tables(random);
        if random.chance(0.5) {
            for node in 0..self.world.setup.nodes {
                if random.chance(0.5) {
                    self.world.restart(node);
                    self.world.count("agents that found strange routes");
                }
            }
        }
        self.world.count("fuzzed networks");
        if random.chance(0.5) {
            self.lead_around(random)?;
        }
        self.calm_of_routes()
    }

    /// Whatever was remembered of a link that passes nothing, traffic is led around it, and nothing else is.
    fn lead_around(&mut self, random: &mut Random) -> Result<(), Violation> {
        let (from, to) = self.two_nodes(random);
        self.black_out((from, to), Nanos::MAX);
        self.world.count("fuzzed networks with a link less");
        let settings = &self.world.setup.settings;
        let (patience, damping) = (choice::patience(settings), settings.damping);
        self.pass(self.return_bound(damping).max(self.leave_bound()) + patience + SECOND)?;
        for (node, peer) in self.world.pairs().collect::<Vec<_>>() {
            let is_direct = self.in_use(node, peer).relay.is_none();
            if is_direct == ((node, peer) == (from, to) || (peer, node) == (from, to)) {
                let what = format!("all links pass but that of {from} and {to}");
                self.violated(17, format!("{what}; {node} to {peer}: direct is {is_direct}"))?;
            }
        }
        Ok(())
    }

    fn black_out(&mut self, (from, to): (usize, usize), until: Nanos) {
        self.world.links[from][to].black_until = until;
        self.world.links[to][from].black_until = until;
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
            _ => self.black_out((from, to), Nanos::MAX),
        }
        self.world.count("detours");
        self.pass(self.bound_of_link(from, to))?;
        if self.in_use(from, to).relay.is_none() {
            self.violated(
                13,
                format!("{from} still routes to {to} directly, where nothing passes"),
            )?;
        }
        self.measure("until a sick way is left", (from, to), began);
        self.pass(random.below(10 * SECOND))?;
        if self.world.setup.nodes > 3 {
            self.lose_relay((from, to), random)?;
        }
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

    /// How long it may take until what is wrong with a link is found out.
    fn bound_of_link(&self, from: usize, to: usize) -> Nanos {
        match self.world.links[from][to].lossy.loss() {
            Loss::Independent(0.3) => self.limit(0.3, self.world.setup.settings.spacing),
            _ => self.leave_bound(),
        }
    }

    /// Invariant 13: the relay in use fails as well, and another one is well.
    fn lose_relay(
        &mut self,
        (from, to): (usize, usize),
        random: &mut Random,
    ) -> Result<(), Violation> {
        let Some(relay) = self.in_use(from, to).relay else { return Ok(()) };
        let way = if random.chance(0.5) { (from, relay) } else { (relay, to) };
        match random.below(3) {
            0 => self.black_out(way, Nanos::MAX),
            1 => self.take_down(way, Nanos::MAX),
            _ => self.world.links[way.0][way.1].lossy = Lossy::new(Loss::Independent(0.3)),
        }
        self.world.count("relays that failed");
        self.pass(self.bound_of_link(way.0, way.1))?;
        match self.in_use(from, to).relay {
            Some(other) if other != relay => Ok(()),
            way => self
                .violated(13, format!("{from} routes to {to} by {way:?} still: {relay} is sick")),
        }
    }

    /// Invariant 18: whatever a relay's routes are, agents that die and start again leave them as they are.
    fn restarts(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        let (from, to) = self.two_nodes(random);
        self.black_out((from, to), Nanos::MAX);
        self.pass(self.leave_bound() + self.return_bound(0))?;
        for _ in 0..2 + random.below(3) {
            let node = if random.chance(0.7) { from } else { self.two_nodes(random).0 };
            self.forget_moves();
            let prompt: Vec<_> =
                self.world.pairs().filter(|pair| self.none_is_held_back(*pair)).collect();
            let before = self.kernel_of(node).routes.clone();
            let away = random.below(8 * SECOND);
            let until = self.world.now() + away;
            self.world.kill(node, until);
            self.world.count("agents that died");
            self.pass(away)?;
            let bound = self.return_bound(self.world.setup.settings.damping);
            let end = self.world.now() + bound;
            let known = self.world.now() + self.return_bound(0) + SECOND;
            while self.world.now() < known {
                self.pass(SECOND / 10)?;
                if self.kernel_of(node).routes != before {
                    self.violated(18, format!("a restart of {node} moves its routes"))?;
                }
            }
            self.pass(end.saturating_sub(self.world.now()))?;
            self.none_moved(15, &format!("the agent of {node} was away"), |pair| {
                // What takes a few probes only may be too much loss for one path, and not for another.
                prompt.contains(&pair) && away > 2 * self.world.setup.settings.lull()
            })?;
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
        self.none_moved(12, "0 is cut off", |(node, _)| node == 0)?;
        self.none_moved(15, "0 is cut off", |_| true)?;
        self.heal_routes();
        self.pass(self.return_bound(0) + SECOND)?;
        self.none_moved(15, "0 was cut off", |_| true)?;
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
        self.none_moved(15, "an agent stood still", |_| true)?;
        self.all_direct(16)
    }

    /// Somebody else spoils what agents have set up.
    fn damage_tables(&mut self, random: &mut Random) {
        for routes in self.world.nodes.iter_mut().filter_map(|node| node.routes.as_mut()) {
            if random.chance(0.5) {
                routes.damage(random);
            }
        }
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

    /// Takes all faults away, those of lengths too.
    fn heal_routes(&mut self) {
        self.heal();
        let watch = self.watch.as_ref().expect("an overlay");
        watch.truth.restore(&mut self.world);
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
        self.none_moved(17, "all has been well for long", |_| true)
    }
}
