//! What must hold of routes always.
//!
//! With `G` the time in which a path is healthy for certain once all passes ([`Run::return_bound`]), and `L` that in which it is
//! found out for certain that nothing does ([`Run::leave_bound`]):
//!
//! - 13: the kernel has one route to every destination. It leads by a path that carries nothing for no longer than `L` and
//!   some time to make sure ([`choice::patience`]), where another one has been good for `G` and [`choice::maturity`], and some more
//!   ([`choice::DWELL`], the expiry) where another one passes most packets; by a tunnel that is down not at all, where another
//!   one is up.
//! - 14: from every node to every other one, packets take one relay at most, and none comes back.
//! - 15: no path is left that has been good for `G`, but for the direct one, or for one that is faster by far, once a minute.
//! - 16: the direct path is in use when its verdict is healthy, and so when it has been good for `G`.
//! - 12: what a node moves that holds itself for cut off, it moves to a path that carries something.
//! - 18: a new agent leaves no route by a path that is good, but for the direct one.

use std::collections::BTreeMap;

use probe_user::{
    health::guarantee::recovery_bound,
    overlay::{
        choice::{self, LEAST_GAIN, Reason},
        plan::model::Model,
    },
    verdict::{Direction, Nanos, SECOND, State},
};

use super::{
    super::{Run, Violation},
    truth::Truth,
};
use crate::world::{
    node::Place,
    routes::{Moved, routes_to, walk},
};

/// What is known of the overlay.
pub(in crate::scenario) struct Watch {
    pub(super) truth: Truth,
    /// When the routes of a node to another have changed since somebody has looked.
    pub(super) moves: BTreeMap<(usize, usize), Vec<Moved>>,
    /// When each last did.
    last_move: BTreeMap<(usize, usize), Nanos>,
}

impl Watch {
    pub(in crate::scenario) fn new(world: &crate::world::World) -> Self {
        Self { truth: Truth::new(world), moves: BTreeMap::new(), last_move: BTreeMap::new() }
    }
}

impl Run {
    /// Lets time pass tick by tick, and checks what must hold of routes.
    pub(in crate::scenario) fn pass_and_watch(&mut self, end: Nanos) -> Result<(), Violation> {
        while self.world.now() < end {
            let step = (self.world.now() + self.world.setup.tick).min(end);
            self.world.run_until(step);
            if let Some(watch) = &mut self.watch {
                watch.truth.look(&self.world);
            }
            for moved in &std::mem::take(&mut self.world.moves) {
                self.check_move(moved)?;
                self.note(moved);
            }
            let routes = self.world.nodes.iter_mut().filter_map(|node| node.routes.as_mut());
            // All are asked.
            if routes.fold(false, |any, routes| any | routes.has_turned()) {
                self.check_kernels()?;
            }
            for (node, peer) in self.world.pairs() {
                self.check_route(node, peer)?;
            }
        }
        Ok(())
    }

    pub(super) fn truth(&self) -> &Truth {
        &self.watch.as_ref().expect("an overlay").truth
    }

    /// The path that the traffic of a node to another takes.
    pub(super) fn in_use(&self, node: usize, peer: usize) -> Place {
        self.world.nodes[node].routes.as_ref().expect("an overlay").in_use(peer)
    }

    /// `G`: after this a path is healthy whose packets all pass, however its node is held back.
    pub(super) fn return_bound(&self, doublings: u8) -> Nanos {
        let setup = &self.world.setup;
        let bound = recovery_bound(&setup.settings, &setup.probing, doublings);
        bound + SECOND + self.truth().longest_round_trip() + 3 * setup.tick
    }

    /// `L`: after this it is found out that a path passes nothing.
    pub(super) fn leave_bound(&self) -> Nanos {
        self.limit(1.0, self.world.setup.settings.spacing) + self.truth().longest_round_trip()
    }

    /// After this a path that passes nothing is left for one that passes most.
    pub(super) fn last_way_bound(&self) -> Nanos {
        let settings = &self.world.setup.settings;
        self.leave_bound() + choice::patience(settings) + choice::DWELL + settings.expiry
    }

    fn note(&mut self, moved: &Moved) {
        let Moved { at, node, peer, from, to, reason, .. } = *moved;
        self.world.count(match reason {
            Reason::Direct => "routes back to the direct way",
            Reason::Loss => "routes away from loss",
            Reason::Silence => "routes away from silence",
            Reason::Latency => "routes to a faster way",
            Reason::Down => "routes away from a tunnel that is down",
            Reason::LeastBad => "routes to what is least bad",
            Reason::Start | Reason::Adopted => "routes for no reason",
        });
        if self.is_traced {
            let name = |relay: Option<usize>| {
                relay.map_or("direct".to_owned(), |relay| format!("via {relay}"))
            };
            let seconds = (at - self.started) as f64 / 1e9;
            println!(
                "{seconds:12.3} s  {node} -> {peer} route: {} -> {} ({reason})",
                name(from),
                name(to)
            );
        }
        let place = |relay: Option<usize>| relay.map_or(0, |relay| relay as u64 + 1);
        let number =
            at ^ (node as u64) << 8 ^ (peer as u64) << 16 ^ place(from) << 24 ^ place(to) << 32;
        self.outcome.log = (self.outcome.log ^ number).wrapping_mul(0x0100_0000_01b3);
        if let Some(watch) = &mut self.watch {
            watch.moves.entry((node, peer)).or_default().push(*moved);
            watch.last_move.insert((node, peer), at);
        }
    }

    /// Whether a route had reason to change.
    fn check_move(&self, moved: &Moved) -> Result<(), Violation> {
        let Moved { at, node, peer, reason, .. } = *moved;
        let [from, to] = [moved.from, moved.to].map(|relay| Place { peer, relay });
        let truth = self.truth();
        if !self.is_excused(moved, from, to) {
            let agent = &self.world.nodes[node];
            let is_new = agent.run > 0
                && truth.steady_since(node) <= agent.started_at + self.world.setup.tick;
            if is_new
                && agent.scrambled_at.is_none()
                && truth.passing_since(node, from) < agent.started_at
            {
                self.violated(18, format!("{moved:?}: a new agent leaves what passes"))?;
            }
            if truth.good_since(node, from) + self.bound_of(node, from) < at {
                self.violated(15, format!("{moved:?}: what is left was good"))?;
            }
        }
        // What is down must be left, wherever to.
        let is_urgent = !matches!(reason, Reason::Direct | Reason::Down) && moved.isolated;
        if is_urgent && truth.dead_since(node, to) + self.leave_bound() < at {
            self.violated(
                12,
                format!("{moved:?}: a node that is cut off moves to where nothing passes"),
            )?;
        }
        Ok(())
    }

    /// Whether a route may change though the path that it leaves is good.
    fn is_excused(&self, moved: &Moved, from: Place, to: Place) -> bool {
        let node = &self.world.nodes[moved.node];
        match moved.reason {
            Reason::Direct => to.relay.is_none(),
            Reason::Down => !self.is_up(moved.node, from),
            Reason::Latency => {
                let [from, to] = [from, to].map(|place| node.path(place).recent.median());
                let is_faster = matches!((from, to), (Some(from), Some(to)) if 3 * to <= 2 * from && to + LEAST_GAIN <= from);
                let moves = &self.watch.as_ref().expect("an overlay").last_move;
                let last = moves.get(&(moved.node, moved.peer)).copied().unwrap_or(0);
                let is_rare = moved.at - last.max(node.started_at) >= choice::LONG_DWELL;
                is_faster && (is_rare || node.scrambled_at.is_some())
            }
            _ => false,
        }
    }

    /// `G` of one path: after this it is healthy once all passes, as it is held back.
    fn bound_of(&self, node: usize, place: Place) -> Nanos {
        let (agent, settings) = (&self.world.nodes[node], &self.world.setup.settings);
        let held = agent.path(place).health.doublings(settings);
        self.return_bound(if agent.scrambled_at.is_some() { settings.damping } else { held })
    }

    fn kernels(&self) -> Vec<&Model> {
        let routes = self.world.nodes.iter().filter_map(|node| node.routes.as_ref());
        routes.map(|routes| &routes.kernel).collect()
    }

    /// Invariant 14, of all kernels together, whatever has been chosen or is amiss.
    pub(super) fn check_loops(&self) -> Result<(), Violation> {
        let kernels = self.kernels();
        for (node, peer) in self.world.pairs() {
            let way = walk(&kernels, node, peer);
            if way.len() > 3 {
                self.violated(14, format!("packets from {node} to {peer} go {way:?}"))?;
            }
        }
        Ok(())
    }

    /// Invariants 13 and 14, of all kernels together, once each agent has looked at its own.
    pub(super) fn check_kernels(&self) -> Result<(), Violation> {
        self.check_loops()?;
        let kernels = self.kernels();
        for (node, peer) in self.world.pairs() {
            let count = routes_to(kernels[node], peer);
            if count != 1 {
                self.violated(13, format!("node {node} has {count} routes to {peer}"))?;
            }
            let is_up = self.way_is_up(node, peer);
            let way = walk(&kernels, node, peer);
            if is_up && way.last() != Some(&peer) {
                self.violated(
                    13,
                    format!("packets from {node} to {peer} end on the way: {way:?}"),
                )?;
            }
        }
        Ok(())
    }

    /// Whether all tunnels are up on the way that is in use.
    fn way_is_up(&self, node: usize, peer: usize) -> bool {
        let here = self.in_use(node, peer);
        self.is_up(node, here)
            && here.relay.is_none_or(|relay| self.is_up(relay, Place::direct(peer)))
    }

    /// Invariants 13 and 16, of the route from one node to another.
    fn check_route(&self, node: usize, peer: usize) -> Result<(), Violation> {
        let (now, setup, truth) = (self.world.now(), &self.world.setup, self.truth());
        let steady_since = truth.steady_since(node);
        if steady_since + 2 * setup.tick > now {
            return Ok(());
        }
        let (here, direct) = (self.in_use(node, peer), Place::direct(peer));
        let is_up = |place: Place| self.is_up(node, place);
        let candidates = || Place::all(setup, node).filter(move |place| place.peer == peer);
        if !is_up(here) && candidates().any(is_up) {
            self.violated(
                13,
                format!("{node} routes to {peer} by a tunnel that is down: {here:?}"),
            )?;
        }
        let healthy = self.world.state(node, peer, Direction::Forward) == State::Healthy;
        if healthy && is_up(direct) && here != direct {
            self.violated(16, format!("{node} calls {peer} healthy, and routes by {here:?}"))?;
        }
        let is_good =
            |place: Place| truth.good_since(node, place) + self.bound_of(node, place) < now;
        if here != direct && is_good(direct) {
            self.violated(
                16,
                format!("the way from {node} to {peer} is good, and {here:?} in use"),
            )?;
        }
        let dead_for = now - truth.dead_since(node, here);
        if dead_for < self.leave_bound() {
            return Ok(());
        }
        let maturity = choice::maturity(&setup.settings);
        let is_mature = |place: Place| {
            truth.good_since(node, place) + self.bound_of(node, place) + maturity < now
        };
        let patience = self.leave_bound() + choice::patience(&setup.settings);
        // What evidence says that was scrambled, it says until the path is healthy.
        let is_evident = self.world.nodes[node]
            .scrambled_at
            .is_none_or(|at| at + self.return_bound(setup.settings.damping) + maturity < now);
        let is_better = |place: &Place| {
            let carrying_for = now - truth.carrying_since(node, *place);
            dead_for > patience && is_mature(*place)
                || is_evident && dead_for.min(carrying_for) > self.last_way_bound()
        };
        if let Some(better) = candidates().find(is_better) {
            self.violated(
                13,
                format!("{node} routes to {peer} by {here:?}, which is dead; {better:?} is not"),
            )?;
        }
        Ok(())
    }

    fn is_up(&self, node: usize, place: Place) -> bool {
        let routes = self.world.nodes[node].routes.as_ref().expect("an overlay");
        !routes.is_down(place)
    }
}
