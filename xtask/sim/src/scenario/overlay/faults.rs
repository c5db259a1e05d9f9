//! What goes wrong where there are tunnels and relays.

use probe_user::{
    random::Random,
    verdict::{MILLISECOND, Nanos, SECOND},
};

use super::super::{Run, Violation};
use crate::loss::{Loss, Lossy};

impl Run {
    /// A fault, and time to pass.
    pub(super) fn disturb_routes(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.inject_into_routes(random);
        let pause = match random.below(3) {
            0 => random.below(SECOND),
            1 => random.below(5 * SECOND),
            _ => random.below(20 * SECOND),
        };
        self.pass(pause)
    }

    /// A node and another one.
    pub(super) fn two_nodes(&self, random: &mut Random) -> (usize, usize) {
        let nodes = self.world.setup.nodes as u64;
        let from = random.below(nodes);
        (from as usize, ((from + 1 + random.below(nodes - 1)) % nodes) as usize)
    }

    /// Nothing passes between a node and all others until then.
    pub(super) fn cut_off_until(&mut self, node: usize, until: Nanos) {
        for peer in 0..self.world.setup.nodes {
            self.world.links[node][peer].black_until = until;
            self.world.links[peer][node].black_until = until;
        }
    }

    /// The tunnel from one node to another is down until then, at the one.
    pub(super) fn take_down(&mut self, (from, to): (usize, usize), until: Nanos) {
        self.world.links[from][to].black_until = until;
        self.world.links[to][from].black_until = until;
        if let Some(routes) = &mut self.world.nodes[from].routes {
            routes.down_until[to] = until;
        }
    }

    /// One fault, of a random kind, place and extent. What has no end of its own lasts until the calm.
    fn inject_into_routes(&mut self, random: &mut Random) {
        let (from, to) = self.two_nodes(random);
        let longest = [SECOND / 3, 5 * SECOND, 40 * SECOND][random.below(3) as usize];
        let until = self.world.now() + random.below(longest);
        let link = &mut self.world.links[from][to];
        let what = match random.below(16) {
            0 | 1 => {
                link.lossy = Lossy::new(Loss::Independent(a_share(random)));
                "losses of a link"
            }
            2 => {
                link.lossy = Lossy::new(Loss::bursts(a_share(random), 1.0 + 50.0 * random.unit()));
                "bursts of a link"
            }
            3 | 4 => {
                link.black_until = until;
                "blackholes of a link in one direction"
            }
            5 | 6 => {
                link.black_until = until;
                self.world.links[to][from].black_until = until;
                "blackholes of a link"
            }
            7 => {
                self.cut_off_until(from, until);
                "regions that were cut off"
            }
            8 => {
                self.take_down((from, to), until);
                "tunnels that were down"
            }
            9 => {
                link.delay += random.below(300 * MILLISECOND);
                "links that became longer"
            }
            10 => {
                self.world.restart(from);
                "agents that were started again"
            }
            11 => {
                self.world.kill(from, until);
                "agents that died"
            }
            12 => {
                self.world.nodes[from].interface_down_until = until;
                "relays that forwarded nothing"
            }
            13 => {
                link.dead_flows = random.bits();
                "flows that died"
            }
            14 => {
                // A host that stands still: neither probes nor verdicts.
                self.world.nodes[from].sender_stalled_until = until;
                self.world.nodes[from].judge_stalled_until = until;
                "agents that stood still"
            }
            _ => {
                link.heal();
                "links that were repaired"
            }
        };
        self.world.count(what);
    }
}

/// From half a percent to everything, small ones as often as great ones.
pub(super) fn a_share(random: &mut Random) -> f64 {
    match random.below(6) {
        0 => 1.0,
        1 | 2 => random.unit(),
        _ => 0.005 + 0.2 * random.unit(),
    }
}
