//! A network of nodes in virtual time: real accounts and engines, modelled kernels, links and faults.
//!
//! Everything that happens follows from the seed. A world is run by [`World::run_until`]; what is wrong in it is for
//! [`crate::scenario`] to say.
//!
//! - [`link`]: what happens to a packet on its way.
//! - [`node`]: one agent and its kernel.

pub mod link;
pub mod node;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use link::Link;
use node::Node;
use probe_ebpf::stamp;
use probe_user::{
    account::{Rules, model::Answer},
    health::{Settings, Transition, defect::Defect, guarantee::Probing},
    random::Random,
    verdict::{Direction, Nanos, State},
};

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
    Send { from: usize, to: usize, flow: usize, nominal: Nanos },
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
    /// Who reflects it.
    to: usize,
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
    /// Changes of verdicts since somebody has looked.
    pub changes: Vec<Change>,
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
            for to in (0..self.setup.nodes).filter(|to| *to != from) {
                let phase = self.random.below(interval);
                for flow in 0..usize::from(self.setup.probing.flows) {
                    let spread = flow as u64 * interval / u64::from(self.setup.probing.flows);
                    let due = self.now + (phase + spread) % interval;
                    self.push(due, Event::Send { from, to, flow, nominal: due });
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
                Event::Send { from, to, flow, nominal } => {
                    self.send_later(from, to, flow, nominal + self.setup.probing.interval);
                    self.send(from, to, flow);
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
    fn send_later(&mut self, from: usize, to: usize, flow: usize, nominal: Nanos) {
        let span = self.setup.probing.interval / 10;
        let due = nominal - span + self.random.below(2 * span + 1);
        self.push(due, Event::Send { from, to, flow, nominal });
    }

    fn send(&mut self, from: usize, to: usize, flow: usize) {
        let node = &mut self.nodes[from];
        if node.sender_stalled_until.max(node.interface_down_until) > self.now {
            return;
        }
        self.probes += 1;
        let sequence = node.paths[to].kernels[flow].send(self.now);
        let packet = Packet { from, to, flow, sequence, sent_at: self.now, run: node.run };
        self.carry((from, to), flow, Event::Request(packet));
    }

    /// Puts a packet of a flow on a link: it arrives once, never, or twice.
    fn carry(&mut self, (from, to): (usize, usize), flow: usize, event: Event) {
        let arrivals = self.links[from][to].carry(flow, self.now, &mut self.random);
        for at in arrivals.into_iter().flatten() {
            self.push(at, event);
        }
    }

    fn reflect(&mut self, packet: Packet) {
        let reflector = &mut self.nodes[packet.to];
        if reflector.interface_down_until > self.now {
            return;
        }
        reflector.heard_at[packet.from] = self.now;
        let arrivals = &mut reflector.paths[packet.from].arrivals;
        arrivals.packets += 1;
        arrivals.last_at = self.now;
        let number = reflector.reflected[packet.from][packet.flow];
        reflector.reflected[packet.from][packet.flow] = number.wrapping_add(1);
        let residence = reflector.residence(self.now, &mut self.random);
        let reflected = Reflected { number, residence };
        self.carry((packet.to, packet.from), packet.flow, Event::Reply(packet, reflected));
    }

    fn receive(&mut self, packet: Packet, Reflected { number, residence }: Reflected) {
        let node = &mut self.nodes[packet.from];
        if node.run != packet.run || node.interface_down_until > self.now {
            return;
        }
        node.heard_at[packet.to] = self.now;
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
        if !node.paths[packet.to].kernels[packet.flow].answer(answer, self.now) {
            self.count("replies that no slot waits for");
        }
    }

    fn tick(&mut self, index: usize) {
        self.push(self.now + self.setup.tick, Event::Tick { node: index });
        let node = &mut self.nodes[index];
        if node.judge_stalled_until > self.now {
            return;
        }
        let changes = &mut self.changes;
        let before = changes.len();
        node.tick(self.now, &self.setup, &mut |peer, transition| {
            changes.push(Change { node: index, peer, transition });
        });
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

    /// A node's agent starts again: it and its kernel programs know nothing any more.
    pub fn restart(&mut self, node: usize) {
        let run = self.nodes[node].run + 1;
        self.nodes[node] = Node::new(&self.setup, node, self.now);
        self.nodes[node].run = run;
    }
}
