//! Paths as the agent keeps and judges them: for what one costs in time and memory.
//!
//! A tick does what that of `probe_user::agent` does with accounts and engine, in the same order. Left out is what the
//! agent does besides: attempts to send, the recorder, the verdicts on regions.

use probe_ebpf::maps::Arrivals;
use probe_user::{
    account::{
        self, Outcome, Rules,
        awaited::Awaited,
        model::{Answer, Kernel},
        rtt::{Histogram, Recent},
        slots_for,
    },
    config::{HealthConfig, ProbeConfig},
    health::{
        self, Settings,
        defect::Defects,
        node::{Member, Node},
        observation::{Observation, moment},
    },
    verdict::{MILLISECOND, Nanos, SECOND},
};

/// Flows of a path: as many as the agent's default.
pub const FLOWS: usize = 4;
/// Time between two probes of a flow: the agent's default.
pub const INTERVAL: Nanos = 100 * MILLISECOND;
/// Time between two ticks: the agent's.
pub const TICK: Nanos = 10 * MILLISECOND;
/// Ticks between two probes of a flow.
pub const TICKS: usize = (INTERVAL / TICK) as usize;
/// The agent's default.
const TIMEOUT: Nanos = SECOND;
/// How long an answer takes: it is there at the next tick.
const ROUND_TRIP: u32 = 5_000_000;
/// The paths lead to so many regions.
const REGIONS: usize = 16;

/// The names under which criterion keeps what it finds, in `benches/outcome.rs`, for `sim bench` to read.
pub mod costs {
    /// Of an outcome, where every tick has one of every flow: what is judged, of [`FEW`] paths.
    pub const WORK: &str = "work per outcome";
    /// So few paths, more than most hosts have, that the caches keep their memory from tick to tick: what accounts and engine
    /// do is measured, and not how far away a machine's memory is.
    pub const FEW: usize = 32;
    /// Of an outcome, at the pace of the agent: with the ticks that have none.
    pub const CADENCE: &str = "outcome at the real cadence";
    /// Of a path's tick without an outcome.
    pub const IDLE: &str = "idle tick of a path";
}

/// A path, beside its name and its sockets.
struct Path {
    region: usize,
    account: account::path::Path,
    health: health::Path,
    recent: Recent,
}

impl Member for Path {
    fn region(&self) -> usize {
        self.region
    }

    fn path(&self) -> Option<&health::Path> {
        Some(&self.health)
    }

    fn path_mut(&mut self) -> Option<&mut health::Path> {
        Some(&mut self.health)
    }
}

/// The kernel's memory of paths, each with slots of its own.
pub struct Kernels {
    /// The flows of the first path, then those of the second.
    sessions: Vec<Kernel>,
    /// How many probes of each have reached the reflector.
    reflected: Vec<u32>,
    arrivals: Arrivals,
    /// The paths of which a probe has left since the last tick.
    departed: Vec<usize>,
}

impl Kernels {
    /// The memory of so many paths.
    #[must_use]
    pub fn new(paths: usize) -> Self {
        let sessions = (0..paths * FLOWS).map(|_| Kernel::new(slots())).collect();
        Self {
            sessions,
            reflected: vec![0; paths * FLOWS],
            arrivals: Arrivals::default(),
            departed: Vec::new(),
        }
    }

    /// Sends a probe of each flow that is `due`, by its index, and answers it unless it is `lost`.
    pub fn probe(
        &mut self,
        now: Nanos,
        due: impl Fn(usize) -> bool,
        mut lost: impl FnMut() -> bool,
    ) {
        let flows = self.sessions.iter().zip(&mut self.reflected).enumerate();
        for (index, (kernel, reflected)) in flows.filter(|(index, _)| due(*index)) {
            self.departed.push(index / FLOWS);
            let sequence = kernel.send(now);
            if !lost() {
                let (sent_at, reflector_sequence) = (now, *reflected);
                let answer =
                    Answer { sequence, sent_at, reflector_sequence, round_trip: ROUND_TRIP };
                kernel.answer(answer, now + Nanos::from(ROUND_TRIP));
                *reflected = reflected.wrapping_add(1);
            }
        }
        self.arrivals = Arrivals { packets: self.arrivals.packets + 1, last_at: now };
    }
}

/// Slots of each session.
#[must_use]
pub fn slots() -> u32 {
    slots_for(INTERVAL, TIMEOUT)
}

/// What the agent keeps and does.
pub struct Agent {
    settings: Settings,
    awaited: Awaited,
    /// Kept for its memory.
    places: Vec<usize>,
    node: Node,
    paths: Vec<Path>,
    round_trips: Vec<Histogram>,
}

impl Agent {
    /// One that is set to the defaults and has so many paths.
    #[must_use]
    pub fn new(paths: usize) -> Self {
        let rules = Rules {
            interval: INTERVAL,
            timeout: TIMEOUT,
            slots: slots(),
            stateful: true,
            defects: Defects::NONE,
        };
        let path = |index| Path {
            region: index % REGIONS,
            account: account::path::Path::new(rules, FLOWS),
            health: health::Path::new(FLOWS, 0),
            recent: Recent::default(),
        };
        Self {
            settings: HealthConfig::default().settings(&ProbeConfig::default()),
            awaited: Awaited::default(),
            places: Vec::new(),
            node: Node::default(),
            paths: (0..paths).map(path).collect(),
            round_trips: vec![Histogram::default(); REGIONS],
        }
    }

    /// Judges all paths.
    pub fn tick(&mut self, kernels: &mut Kernels, now: Nanos) {
        let Self { settings, awaited, places, node, paths, round_trips } = self;
        kernels.departed.drain(..).for_each(|path| awaited.add(path));
        let at = moment(now);
        awaited.take(paths.len(), now, places);
        for &place in places.iter() {
            let Path { region, account, health, recent } = &mut paths[place];
            let histogram = &mut round_trips[*region];
            let memories = &kernels.sessions[place * FLOWS..][..FLOWS];
            let mut is_news = false;
            account.judge(memories, kernels.arrivals, now, &mut |flow, sent_at, outcome| {
                is_news = true;
                if let Outcome::Answered { round_trip } = outcome {
                    histogram.add(round_trip);
                    recent.add(sent_at, round_trip, now, settings.lull());
                }
                Observation::new(flow, sent_at, outcome, at).feed(health, at, settings);
            });
            if is_news {
                node.wake(place);
            }
            if account.expects(memories) {
                awaited.add(place);
            }
        }
        node.tick(paths, at, settings, &mut |_| {});
    }

    /// How many outcomes the paths have been told, and how many of the paths are healthy.
    #[must_use]
    pub fn totals(&self) -> (u64, usize) {
        use probe_user::verdict::State;
        let flows = self.paths.iter().flat_map(|path| path.account.flows());
        let healthy = self.paths.iter().filter(|path| path.health.state() == State::Healthy);
        (flows.map(|flow| flow.totals().sent).sum(), healthy.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use probe_user::random::Random;

    /// What is measured is what the agent does all day: no probe is left out, and the paths are healthy.
    #[test]
    fn paths_are_judged_and_healthy_at_the_pace_of_the_agent() {
        let (mut kernels, mut agent) = (Kernels::new(8), Agent::new(8));
        let mut random = Random::new(1);
        let mut now = SECOND;
        for tick in 0..200 * TICKS {
            kernels.probe(now, |flow| (tick + flow).is_multiple_of(TICKS), || random.chance(0.01));
            now += TICK;
            agent.tick(&mut kernels, now);
        }
        let (outcomes, healthy) = agent.totals();
        // The last ones may be on their way.
        assert!((6_400 - 8 * FLOWS as u64..=6_400).contains(&outcomes), "{outcomes}");
        assert_eq!(healthy, 8);
    }
}
