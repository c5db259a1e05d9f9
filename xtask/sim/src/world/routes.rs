//! What a node routes: its choices, and the routes that its kernel has for them, which outlive the agent.

use std::net::IpAddr;

use probe_user::{
    config::{DEFAULT_METRIC, DestinationConfig, MAIN_TABLE, OverlayConfig},
    health::{Settings, defect::Defect, observation::moment},
    overlay::{
        choice::{Candidate, Choice, Lookout, Move, Reason, View},
        plan::{Key, Plan, TRANSIT_PRIORITY, To, model::Model},
    },
    prefix::Prefix,
    random::Random,
    verdict::Nanos,
};

use super::node::{Path, Place};

/// The routes of a node, in a full mesh of tunnels.
pub struct Routes {
    /// Which node it is.
    node: usize,
    /// What is routed: a destination behind each other node.
    pub plan: Plan,
    /// The kernel's routes and rules.
    pub kernel: Model,
    /// By destination, in the order of the plan.
    lookouts: Vec<Lookout>,
    /// The tunnel to each node is down until then.
    pub down_until: Vec<Nanos>,
    /// Which of them were down when they were last looked at.
    was_down: Vec<bool>,
    /// Whether the kernel may have other routes than those that were chosen.
    has_drifted: bool,
    /// Whether packets may go elsewhere since somebody has asked.
    has_turned: bool,
    /// Kept for its memory.
    views: Vec<View>,
}

/// A route that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// When.
    pub at: Nanos,
    /// Of which node.
    pub node: usize,
    /// To which one.
    pub peer: usize,
    /// Through which relay it led; `None` for none.
    pub from: Option<usize>,
    /// Through which one it leads.
    pub to: Option<usize>,
    /// Why.
    pub reason: Reason,
    /// Whether the node held itself for cut off.
    pub isolated: bool,
}

impl Routes {
    /// Those of an agent that has just started, on one of so many nodes, whose kernel has none yet.
    ///
    /// # Panics
    /// With more than 250 nodes.
    #[must_use]
    pub fn new(node: usize, nodes: usize, now: Nanos) -> Self {
        let plan = plan(node, nodes);
        let kernel = Model::new(&plan, &[]);
        let lookout = |_| Lookout::new(Choice::new(None, moment(now)));
        let lookouts = plan.gateways.iter().map(lookout).collect();
        Self {
            node,
            plan,
            kernel,
            lookouts,
            down_until: vec![0; nodes],
            was_down: vec![false; nodes],
            has_drifted: true,
            has_turned: true,
            views: Vec::new(),
        }
    }

    /// Those of an agent that has just started, and finds what the last one has left.
    #[must_use]
    pub fn adopt(mut self, now: Nanos, settings: &Settings) -> Self {
        for (number, lookout) in self.lookouts.iter_mut().enumerate() {
            let adopted = self.plan.adopted(number, &self.kernel.routes);
            let adopted = adopted.filter(|_| !settings.defects.has(Defect::NoAdoption));
            let place = self.plan.candidates(number).position(|via| Some(via) == adopted);
            *lookout = Lookout::new(Choice::new(place, moment(now)));
        }
        self.has_drifted = true;
        self
    }

    /// The node that is a gateway of the plan.
    fn node_of(&self, gateway: usize) -> usize {
        gateway + usize::from(gateway >= self.node)
    }

    /// The destination behind a node, by its place in the plan.
    pub(crate) fn number_of(&self, peer: usize) -> usize {
        peer - usize::from(peer > self.node)
    }

    /// The path of a candidate of a destination.
    fn place(&self, number: usize, via: usize) -> Place {
        let relay = (via != number).then(|| self.node_of(via));
        Place { peer: self.node_of(number), relay }
    }

    /// The gateway that each destination is reached through.
    fn via(&self) -> Vec<usize> {
        let via = |(number, lookout): (usize, &Lookout)| {
            self.plan.candidates(number).nth(lookout.choice.current()).unwrap_or(number)
        };
        self.lookouts.iter().enumerate().map(via).collect()
    }

    /// The path that is in use towards a node.
    #[must_use]
    pub fn in_use(&self, peer: usize) -> Place {
        let number = self.number_of(peer);
        let relay = self.relay(number, self.lookouts[number].choice.current());
        Place { peer, relay }
    }

    /// Looks at all destinations, and gives the kernel the routes that were chosen.
    pub(super) fn look(
        &mut self,
        paths: &[Path],
        isolated: bool,
        now: Nanos,
        settings: &Settings,
        moves: &mut Vec<Moved>,
    ) {
        self.look_at_tunnels(now);
        let before = moves.len();
        // Taken out while all else is looked at.
        let mut lookouts = std::mem::take(&mut self.lookouts);
        let mut views = std::mem::take(&mut self.views);
        for (number, lookout) in lookouts.iter_mut().enumerate() {
            let candidates = self.candidates(number, paths);
            let change = lookout.look(candidates, isolated, moment(now), settings, &mut views);
            if let Some(Move { from, to, reason }) = change {
                let [from, to] = [from, to].map(|at| self.relay(number, at));
                let (node, peer) = (self.node, self.node_of(number));
                moves.push(Moved { at: now, node, peer, from, to, reason, isolated });
            }
        }
        (self.lookouts, self.views) = (lookouts, views);
        if self.has_drifted || moves.len() > before {
            (self.has_drifted, self.has_turned) = (false, true);
            self.kernel.mend(&self.plan, &self.via());
        }
        self.spoil(paths, settings);
    }

    /// Routes by a tunnel that is down do not count.
    fn look_at_tunnels(&mut self, now: Nanos) {
        let is_down = self.down_until.iter().map(|until| *until > now).collect();
        if self.was_down != is_down {
            (self.was_down, self.has_turned) = (is_down, true);
            let down = (0..self.was_down.len()).filter(|node| self.was_down[*node]);
            self.kernel.down = down.map(tunnel_to).collect();
        }
    }

    /// Whether packets may go elsewhere since this was asked the last time.
    pub fn has_turned(&mut self) -> bool {
        std::mem::take(&mut self.has_turned)
    }

    /// The candidates of a destination.
    fn candidates<'p>(
        &'p self,
        number: usize,
        paths: &'p [Path],
    ) -> impl Iterator<Item = Candidate<'p>> + Clone {
        self.plan.candidates(number).map(move |via| {
            let place = self.place(number, via);
            let path = &paths[place.index(self.node, self.down_until.len())];
            Candidate { path: Some((&path.health, &path.recent)), is_down: self.is_down(place) }
        })
    }

    /// The relay of a candidate, by its place.
    fn relay(&self, number: usize, at: usize) -> Option<usize> {
        let via = self.plan.candidates(number).nth(at).unwrap_or(number);
        self.place(number, via).relay
    }

    /// What defects of the routes do to the kernel.
    fn spoil(&mut self, paths: &[Path], settings: &Settings) {
        let has = |defect| settings.defects.has(defect);
        if has(Defect::TransitByChoice) {
            self.kernel.rules.retain(|rule| rule.priority != TRANSIT_PRIORITY);
        }
        if has(Defect::NothingBeneath) {
            self.kernel.routes.retain(|route| route.to != To::Unreachable);
        }
        if !has(Defect::FailClosed) {
            return;
        }
        let is_closed = |number: &usize| {
            let mut candidates = self.candidates(*number, paths);
            !candidates.any(|candidate| candidate.is_healthy())
        };
        if let Some(number) = (0..self.lookouts.len()).find(is_closed) {
            let prefix = prefix_of(self.node_of(number));
            let is_other = |key: &Key| (key.table, key.prefix) != (MAIN_TABLE, prefix);
            self.kernel.routes.retain(|route| is_other(&route.key));
            self.has_drifted = true;
        }
    }

    /// Whether the tunnel of a path was down when it was last looked at.
    #[must_use]
    pub fn is_down(&self, place: Place) -> bool {
        self.was_down[place.relay.unwrap_or(place.peer)]
    }

    /// All tunnels are up.
    pub(super) fn heal(&mut self) {
        self.down_until.fill(0);
    }

    /// Any choices, and any routes in the kernel: the wrong ones, broken ones, or none.
    pub(super) fn scramble(&mut self, random: &mut Random) {
        self.lookouts.iter_mut().for_each(|lookout| lookout.scramble(random));
        let count = self.lookouts.len() as u64;
        let via: Vec<usize> = (0..count).map(|_| random.below(count) as usize).collect();
        let routes = self.plan.routes(&via).into_iter().filter_map(|mut route| {
            // The tables of relays are nobody's choice.
            match random.below(8) {
                _ if route.key.table != MAIN_TABLE => {}
                0 => return None,
                1 => route.to = To::Unreachable,
                2 => route.key.metric += 1,
                _ => {}
            }
            Some(route)
        });
        self.kernel.routes = routes.collect();
        (self.has_drifted, self.has_turned) = (true, true);
    }

    /// Somebody takes rules away, and routes from tables that are nobody's choice.
    pub fn damage(&mut self, random: &mut Random) {
        self.kernel.rules.retain(|_| random.chance(0.7));
        self.kernel.routes.retain(|route| route.key.table == MAIN_TABLE || random.chance(0.7));
        self.has_drifted = true;
    }
}

/// The address of a gateway.
fn address_of(node: usize) -> IpAddr {
    IpAddr::from([10, 79, node as u8, 1])
}

/// What lies behind it.
fn prefix_of(node: usize) -> Prefix {
    format!("10.78.{node}.0/24").parse().expect("a prefix")
}

/// The tunnel to a gateway, as it is called at all others.
fn tunnel_to(node: usize) -> String {
    format!("ov-{node}")
}

fn plan(node: usize, nodes: usize) -> Plan {
    let destination = |other: usize| DestinationConfig {
        peer: other.to_string(),
        interface: tunnel_to(other),
        prefixes: vec![prefix_of(other)],
    };
    let config = OverlayConfig {
        table: MAIN_TABLE,
        metric: DEFAULT_METRIC,
        relays: None,
        local: Vec::new(),
        destinations: (0..nodes).filter(|other| *other != node).map(destination).collect(),
    };
    Plan::new(&config, |name| name.parse().ok().map(address_of)).expect("all have addresses")
}

/// How many routes a node's kernel has for what lies behind another one, in the table that is asked for it.
#[must_use]
pub fn routes_to(kernel: &Model, peer: usize) -> usize {
    let prefix = prefix_of(peer);
    let is_one = |key: &Key| key.table == MAIN_TABLE && key.prefix == prefix;
    kernel.routes.iter().filter(|route| is_one(&route.key)).count()
}

/// The nodes that a packet passes on its way from one node to what lies behind another, at most as many as would have gone
/// round in a circle; the last is where it is not sent on.
#[must_use]
pub fn walk(kernels: &[&Model], from: usize, to: usize) -> Vec<usize> {
    let host = IpAddr::from([10, 78, to as u8, 7]);
    let (mut passed, mut came_by) = (vec![from], None);
    while passed.len() <= kernels.len() + 1 {
        let here = passed[passed.len() - 1];
        if here == to {
            break;
        }
        let Some((next, _)) = kernels[here].way(host, 0, came_by.as_deref()) else { break };
        let Some(next) = (0..kernels.len()).find(|node| address_of(*node) == next) else { break };
        came_by = Some(tunnel_to(here));
        passed.push(next);
    }
    passed
}
