//! A network of nodes in virtual time: real accounts and engines, modelled kernels, links and faults.
//!
//! Everything that happens follows from the seed. A world is run by [`World::run_until`]; what is wrong in it is for
//! [`crate::scenario`] to say.
//!
//! - [`link`]: what happens to a packet on its way.
//! - [`node`]: one agent and its kernel.
//! - [`routes`]: what a node routes, where there is an overlay.

pub mod link;
pub mod node;
pub mod routes;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use link::Link;
use node::{Node, Place};
use probe_ebpf::stamp;
use probe_user::{
    account::{Rules, model::Answer},
    health::{Settings, Transition, defect::Defect, guarantee::Probing},
    random::Random,
    verdict::{Direction, Nanos, State},
};
use routes::Moved;

/// What is the same for all nodes.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// How many nodes there are; each probes all others.
    pub nodes: usize,
    /// How they probe.
    pub probing: Probing,
    /// What the engines are set to.
    pub settings: Settings,
    /// Time between two looks at the outcomes.
    pub tick: Nanos,
    /// Whether there is an overlay: each node probes all others through each third one too, and routes.
    pub overlay: bool,
}

impl Setup {
    /// The rules of the accounts.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            interval: self.probing.interval,
            timeout: self.probing.timeout,
            slots: probe_user::account::slots_for(self.probing.interval, self.probing.timeout),
            stateful: true,
            defects: self.settings.defects,
        }
    }
}

/// Something that happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A flow's probe is due.
    Send { from: usize, place: Place, flow: usize, nominal: Nanos },
    /// A probe reaches the reflector.
    Request(Packet),
    /// A reply reaches the sender.
    Reply(Packet, Reflected),
    /// A node looks at the outcomes.
    Tick { node: usize },
}

/// A probe or its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    /// Who has sent the probe.
    from: usize,
    /// Who reflects it, and who is between.
    place: Place,
    flow: usize,
    sequence: u32,
    sent_at: Nanos,
    /// The run of the sending agent: a restarted one knows nothing of what came before.
    run: u32,
}

/// What a reply has from its reflector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reflected {
    /// The reflector's own number.
    number: u32,
    /// T3-T2 in nanoseconds, by its clock of day.
    residence: i64,
}

/// A change of a verdict, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The node that says so.
    pub node: usize,
    /// Of the path to this one.
    pub peer: usize,
    /// What it says.
    pub transition: Transition,
}

/// The network.
pub struct World {
    /// What is the same for all nodes.
    pub setup: Setup,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// By sender and receiver.
    pub links: Vec<Vec<Link>>,
    /// Changes of verdicts on direct paths since somebody has looked.
    pub changes: Vec<Change>,
    /// Changes of routes since somebody has looked.
    pub moves: Vec<Moved>,
    /// How often what has happened.
    pub coverage: BTreeMap<&'static str, u64>,
    /// Probes that were sent.
    pub probes: u64,
    random: Random,
    queue: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    order: u64,
    now: Nanos,
}

impl World {
    /// A network that begins at second 1000, with good links and agents of which none knows anything.
    #[must_use]
    pub fn new(setup: Setup, seed: u64) -> Self {
        let now = 1_000_000_000_000;
        let mut random = Random::new(seed);
        let nodes = (0..setup.nodes).map(|index| Node::new(&setup, index, now)).collect();
        let delay = |random: &mut Random| Link::good(1_000_000 + random.below(50_000_000));
        let links = (0..setup.nodes)
            .map(|_| (0..setup.nodes).map(|_| delay(&mut random)).collect())
            .collect();
        let mut world = Self {
            setup,
            nodes,
            links,
            changes: Vec::new(),
            moves: Vec::new(),
            coverage: BTreeMap::new(),
            probes: 0,
            random,
            queue: BinaryHeap::new(),
            order: 0,
            now,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let interval = self.setup.probing.interval;
        for from in 0..self.setup.nodes {
            let first = self.random.below(self.setup.tick);
            self.push(self.now + first, Event::Tick { node: from });
            for place in Place::all(&self.setup, from) {
                let phase = self.random.below(interval);
                for flow in 0..usize::from(self.setup.probing.flows) {
                    let spread = flow as u64 * interval / u64::from(self.setup.probing.flows);
                    let due = self.now + (phase + spread) % interval;
                    self.push(due, Event::Send { from, place, flow, nominal: due });
                }
            }
        }
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Nanos {
        self.now
    }

    /// The generator of all that is random here.
    pub const fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Counts something that has happened.
    pub fn count(&mut self, what: &'static str) {
        *self.coverage.entry(what).or_default() += 1;
    }

    /// The verdict of a node on a direction of the path to a peer.
    #[must_use]
    pub fn state(&self, node: usize, peer: usize, direction: Direction) -> State {
        self.nodes[node].paths[peer].health.state_of(direction)
    }

    /// All pairs of a node and a peer.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let nodes = self.setup.nodes;
        (0..nodes).flat_map(move |a| (0..nodes).map(move |b| (a, b))).filter(|(a, b)| a != b)
    }

    /// Lets everything happen up to a time.
    pub fn run_until(&mut self, end: Nanos) {
        while let Some(Reverse((at, _, event))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.now = at;
            match event {
                Event::Send { from, place, flow, nominal } => {
                    self.send_later(from, place, flow, nominal + self.setup.probing.interval);
                    self.send(from, place, flow);
                }
                Event::Request(packet) => self.reflect(packet),
                Event::Reply(packet, reflected) => self.receive(packet, reflected),
                Event::Tick { node } => self.tick(node),
            }
        }
        self.now = end;
    }

    fn push(&mut self, at: Nanos, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order, event)));
    }

    /// The next probe of a flow is due then, or a tenth of the interval earlier or later.
    fn send_later(&mut self, from: usize, place: Place, flow: usize, nominal: Nanos) {
        let span = self.setup.probing.interval / 10;
        let due = nominal - span + self.random.below(2 * span + 1);
        self.push(due, Event::Send { from, place, flow, nominal });
    }

    fn send(&mut self, from: usize, place: Place, flow: usize) {
        let node = &mut self.nodes[from];
        if node.sender_stalled_until.max(node.interface_down_until) > self.now || node.is_dead {
            return;
        }
        self.probes += 1;
        let sequence = node.send(place, flow, self.now);
        let packet = Packet { from, place, flow, sequence, sent_at: self.now, run: node.run };
        self.carry((from, place), flow, Event::Request(packet));
    }

    /// Puts a packet of a flow on its way: it arrives once, never, or twice. A relay forwards it directly, whatever becomes of
    /// its agent.
    fn carry(&mut self, (from, place): (usize, Place), flow: usize, event: Event) {
        let Place { peer, relay } = place;
        let next = relay.unwrap_or(peer);
        let arrivals = self.links[from][next].carry(flow, self.now, &mut self.random);
        for at in arrivals.into_iter().flatten() {
            let Some(relay) = relay else {
                self.push(at, event);
                continue;
            };
            if self.nodes[relay].interface_down_until > at {
                continue;
            }
            let arrivals = self.links[relay][peer].carry(flow, at, &mut self.random);
            arrivals.into_iter().flatten().for_each(|at| self.push(at, event));
        }
    }

    fn reflect(&mut self, packet: Packet) {
        let Place { peer, relay } = packet.place;
        let reflector = &mut self.nodes[peer];
        if reflector.interface_down_until > self.now || reflector.is_dead {
            return;
        }
        let back = Place { peer: packet.from, relay };
        if relay.is_none() {
            reflector.heard_at[packet.from] = self.now;
        }
        let path = reflector.path_mut(back);
        path.arrivals.packets += 1;
        path.arrivals.last_at = self.now;
        let number = path.reflected[packet.flow];
        path.reflected[packet.flow] = number.wrapping_add(1);
        let residence = reflector.residence(self.now, &mut self.random);
        let reflected = Reflected { number, residence };
        self.carry((peer, back), packet.flow, Event::Reply(packet, reflected));
    }

    fn receive(&mut self, packet: Packet, Reflected { number, residence }: Reflected) {
        let node = &mut self.nodes[packet.from];
        if node.run != packet.run || node.interface_down_until > self.now || node.is_dead {
            return;
        }
        if packet.place.relay.is_none() {
            node.heard_at[packet.place.peer] = self.now;
        }
        let elapsed = self.now - packet.sent_at;
        let round_trip = if self.setup.settings.defects.has(Defect::CredulousRoundTrip) {
            (elapsed as i64).wrapping_sub(residence) as u32
        } else {
            stamp::round_trip(elapsed, residence)
        };
        let answer = Answer {
            sequence: packet.sequence,
            sent_at: packet.sent_at,
            reflector_sequence: number,
            round_trip,
        };
        if !node.path(packet.place).kernels[packet.flow].answer(answer, self.now) {
            self.count("replies that no slot waits for");
        }
    }

    fn tick(&mut self, index: usize) {
        self.push(self.now + self.setup.tick, Event::Tick { node: index });
        let node = &self.nodes[index];
        if node.dead_until > self.now {
            return;
        }
        if node.is_dead {
            self.restart(index);
        }
        let node = &mut self.nodes[index];
        if node.judge_stalled_until > self.now {
            return;
        }
        let changes = &mut self.changes;
        let before = changes.len();
        node.tick(self.now, &self.setup, &mut |peer, transition| {
            changes.push(Change { node: index, peer, transition });
        });
        node.route(self.now, &self.setup, &mut self.moves);
        let isolated = self.nodes[index].judge.isolated_since().is_some();
        for at in before..self.changes.len() {
            let to = self.changes[at].transition.to;
            self.count(match to {
                State::Unknown => "verdicts that became unknown",
                State::Healthy => "verdicts that became healthy",
                State::Degraded => "verdicts that became degraded",
                State::Unhealthy => "verdicts that became unhealthy",
            });
            if isolated {
                self.count("changes while a node held itself for cut off");
            }
        }
    }

    /// A node's agent starts again: it and its kernel programs know nothing any more. Routes stay, and are adopted.
    pub fn restart(&mut self, node: usize) {
        let old = &mut self.nodes[node];
        let (run, routes) = (old.run + 1, old.routes.take());
        self.nodes[node] = Node::new(&self.setup, node, self.now);
        self.nodes[node].run = run;
        if let Some(routes) = routes {
            self.nodes[node].routes = Some(routes.adopt(self.now, &self.setup.settings));
        }
    }

    /// A node's agent dies, and its kernel programs with it; it is started again at the first tick after `until`.
    pub fn kill(&mut self, node: usize, until: Nanos) {
        self.nodes[node].is_dead = true;
        self.nodes[node].dead_until = until;
    }
}
