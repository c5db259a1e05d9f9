//! What the network would carry, whatever anybody thinks of it.

use probe_user::verdict::{Nanos, SECOND};

use crate::world::{World, node::Place};

/// Since when what has been so, by node, peer and the first one on the way: the peer itself, or a relay.
pub(in crate::scenario) struct Truth {
    nodes: usize,
    /// Since when every packet has passed, in both directions; the present where not all do.
    good_since: Vec<Nanos>,
    /// Since when most have passed, in both directions; the present where they do not.
    carrying_since: Vec<Nanos>,
    /// Since when none has passed on the way there; the present where some do.
    dead_since: Vec<Nanos>,
    /// Since when a node's agent has probed and judged, from a state that it has come to by itself; the present if it does not.
    steady_since: Vec<Nanos>,
    /// The lengths that the links had at the beginning.
    delays: Vec<Vec<Nanos>>,
    looked_at: Nanos,
}

impl Truth {
    pub(super) fn new(world: &World) -> Self {
        let (nodes, now) = (world.setup.nodes, world.now());
        let delays = world.links.iter().map(|links| links.iter().map(|link| link.delay).collect());
        Self {
            nodes,
            good_since: vec![now; nodes * nodes * nodes],
            carrying_since: vec![now; nodes * nodes * nodes],
            dead_since: vec![now; nodes * nodes * nodes],
            steady_since: vec![now; nodes],
            delays: delays.collect(),
            looked_at: now,
        }
    }

    /// Looks at the world. Nothing else may have changed it since the last time but the passing of time.
    pub(super) fn look(&mut self, world: &World) {
        let now = world.now();
        for node in 0..self.nodes {
            if self.is_steady(world, node) {
                let Some(scrambled_at) = world.nodes[node].scrambled_at else { continue };
                self.steady_since[node] = self.steady_since[node].max(scrambled_at);
            } else {
                self.steady_since[node] = now;
            }
        }
        for (node, peer) in world.pairs() {
            for first in (0..self.nodes).filter(|first| *first != node) {
                let index = self.index(node, peer, first);
                let way = (node, first, peer);
                let (is_good, carries) = (
                    self.is_passed(world, way, |from, to| self.is_good(world, from, to)),
                    self.is_passed(world, way, |from, to| {
                        let carries = world.links[from][to].carries(self.looked_at);
                        carries && self.is_up(world, from, to)
                    }),
                );
                if !is_good {
                    self.good_since[index] = now;
                }
                if !carries {
                    self.carrying_since[index] = now;
                }
                if !self.is_dead(world, way) {
                    self.dead_since[index] = now;
                }
            }
        }
        self.looked_at = now;
    }

    const fn index(&self, node: usize, peer: usize, first: usize) -> usize {
        (node * self.nodes + peer) * self.nodes + first
    }

    fn is_steady(&self, world: &World, node: usize) -> bool {
        let node = &world.nodes[node];
        let held_up = node.sender_stalled_until.max(node.judge_stalled_until);
        let was_started = node.started_at >= self.looked_at;
        held_up.max(node.interface_down_until) <= self.looked_at && !node.is_dead && !was_started
    }

    fn is_good(&self, world: &World, from: usize, to: usize) -> bool {
        let link = &world.links[from][to];
        let is_good = link.is_good(self.looked_at) && link.delay <= self.delays[from][to];
        is_good && self.is_up(world, from, to)
    }

    /// Whether the tunnel from one node to another is up at the one, though the link may have been repaired before.
    fn is_up(&self, world: &World, from: usize, to: usize) -> bool {
        let routes = world.nodes[from].routes.as_ref().expect("an overlay");
        routes.down_until[to] <= self.looked_at
    }

    /// Whether a path is passed both ways whose links are such, and answered at its end.
    fn is_passed(
        &self,
        world: &World,
        (node, first, peer): (usize, usize, usize),
        is_good: impl Fn(usize, usize) -> bool,
    ) -> bool {
        let reflects = |node: usize| !world.nodes[node].is_dead;
        let passes = |node: usize| world.nodes[node].interface_down_until <= self.looked_at;
        let direct = first == peer || is_good(first, peer) && is_good(peer, first) && passes(first);
        let ends = passes(node) && passes(peer) && reflects(peer);
        ends && direct && is_good(node, first) && is_good(first, node)
    }

    fn is_dead(&self, world: &World, (node, first, peer): (usize, usize, usize)) -> bool {
        let is_dead = |from: usize, to: usize| world.links[from][to].is_dead(self.looked_at);
        let stands = world.nodes[first].interface_down_until > self.looked_at;
        is_dead(node, first) || first != peer && (stands || is_dead(first, peer))
    }

    /// Since when a path has passed every packet, and its node's agent has been steady.
    pub(super) fn good_since(&self, node: usize, place: Place) -> Nanos {
        self.steady_since[node].max(self.passing_since(node, place))
    }

    /// Since when a path has passed most packets, and its node's agent has been steady.
    pub(super) fn carrying_since(&self, node: usize, place: Place) -> Nanos {
        let first = place.relay.unwrap_or(place.peer);
        self.steady_since[node].max(self.carrying_since[self.index(node, place.peer, first)])
    }

    /// Since when it has passed every packet.
    pub(super) fn passing_since(&self, node: usize, place: Place) -> Nanos {
        self.good_since[self.index(node, place.peer, place.relay.unwrap_or(place.peer))]
    }

    /// Since when it has passed nothing on the way there, and its node's agent has been steady.
    pub(super) fn dead_since(&self, node: usize, place: Place) -> Nanos {
        let since =
            self.dead_since[self.index(node, place.peer, place.relay.unwrap_or(place.peer))];
        self.steady_since[node].max(since)
    }

    /// Since when a node's agent has been steady.
    pub(super) fn steady_since(&self, node: usize) -> Nanos {
        self.steady_since[node]
    }

    /// Sets all links to the lengths that they had at the beginning.
    pub(super) fn restore(&self, world: &mut World) {
        for (links, delays) in world.links.iter_mut().zip(&self.delays) {
            for (link, delay) in links.iter_mut().zip(delays) {
                link.delay = *delay;
            }
        }
    }

    /// The longest round trip over any path.
    pub(super) fn longest_round_trip(&self) -> Nanos {
        4 * self.delays.iter().flatten().max().copied().unwrap_or(SECOND)
    }
}
