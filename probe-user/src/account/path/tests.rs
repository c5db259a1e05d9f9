use super::{
    super::flow::tests::{Fate, Kernel, RULES},
    *,
};
use crate::verdict::{MILLISECOND, SECOND};

const FLOWS: usize = 4;
const STEP: Nanos = 10 * MILLISECOND;

/// A path of four flows, with the model of the kernel below it.
struct World {
    path: Path,
    kernels: Vec<Kernel>,
    arrivals: Arrivals,
    now: Nanos,
}

impl World {
    /// One on which all was well for three seconds.
    fn well(peer_heard: bool) -> Self {
        let mut world = Self {
            path: Path::new(RULES, FLOWS),
            kernels: (0..FLOWS).map(|_| Kernel::default()).collect(),
            arrivals: Arrivals::default(),
            now: SECOND,
        };
        world.run(3 * SECOND, Fate::Answered, peer_heard);
        world
    }

    /// Lets time pass. Each flow is probed once an interval, the flows evenly apart, and so does the
    /// peer where `peer_heard` says so.
    fn run(&mut self, span: Nanos, fate: Fate, peer_heard: bool) -> Vec<(Nanos, Outcome)> {
        let mut outcomes = Vec::new();
        let end = self.now + span;
        while self.now < end {
            for (flow, kernel) in self.kernels.iter_mut().enumerate() {
                let phase = flow as u64 * RULES.interval / FLOWS as u64 / STEP * STEP;
                if self.now % RULES.interval == phase {
                    kernel.probe(fate, self.now);
                    if peer_heard {
                        self.arrivals.packets += 1;
                        self.arrivals.last_at = self.now;
                    }
                }
            }
            self.now += STEP;
            let now = self.now;
            self.path.judge(&self.kernels, self.arrivals, now, &mut |_, _, outcome| {
                outcomes.push((now, outcome));
            });
        }
        outcomes
    }
}

fn losses(outcomes: &[(Nanos, Outcome)]) -> Vec<Lost> {
    let lost = |(_, outcome): &(Nanos, Outcome)| match outcome {
        Outcome::Lost(lost) => Some(*lost),
        _ => None,
    };
    outcomes.iter().filter_map(lost).collect()
}

/// Invariant 9, and DESIGN's "probes that arrive from the peer show that the reverse direction lives".
#[test]
fn total_loss_there_is_told_by_the_peers_own_probes() {
    let mut world = World::well(true);
    let lost = losses(&world.run(SECOND, Fate::LostForward, true));
    assert!(lost.len() >= 12, "{} probes given up", lost.len());
    assert!(lost.iter().all(|lost| *lost == Lost::Forward), "{lost:?}");
}

#[test]
fn with_the_peer_silent_too_only_the_way_back_is_known_to_be_dead() {
    let mut world = World::well(true);
    let lost = losses(&world.run(SECOND, Fate::LostForward, false));
    assert!(lost.iter().all(|lost| *lost == Lost::Silent), "{lost:?}");
}

/// A path that loses on the way back: that a few of the peer's probes made it is luck, that all come is not.
#[test]
fn after_losses_on_the_way_back_it_takes_more_of_the_peers_probes() {
    let mut world = World::well(true);
    for _ in 0..3 {
        world.run(200 * MILLISECOND, Fate::LostReverse, false);
        world.run(200 * MILLISECOND, Fate::Answered, true);
    }
    let lost = losses(&world.run(450 * MILLISECOND, Fate::LostForward, true));
    assert_eq!(lost, [], "nothing is said of the silence yet");
    let lost = losses(&world.run(SECOND, Fate::LostForward, true));
    assert!(lost.len() >= 24, "{} probes given up", lost.len());
    assert!(lost.iter().all(|lost| *lost == Lost::Forward), "{lost:?}");
}

/// The first flow passes, and the others die on the way there: where they are said to be lost.
fn dying(world: &mut World, peer_heard: bool) -> Vec<Lost> {
    let mut lost = Vec::new();
    for _ in 0..40 {
        world.run(STEP, Fate::Answered, peer_heard);
        lost.extend(losses(&world.run(RULES.interval - STEP, Fate::LostForward, peer_heard)));
    }
    assert!(lost.len() >= 80, "{} probes given up", lost.len());
    lost
}

/// Invariant 9, while a path does not count as silent.
#[test]
fn flows_that_die_are_dead_there_if_the_peers_own_probes_come() {
    let mut world = World::well(true);
    let lost = dying(&mut world, true);
    // Eight of each; after that, what is usual may have been learnt without them.
    let (lately, long_dead) = lost.split_at(3 * 8);
    assert!(lately.iter().all(|lost| *lost == Lost::Forward), "{lately:?}");
    assert!(long_dead.iter().all(|lost| *lost == Lost::Unknown), "{long_dead:?}");

    let mut world = World::well(false);
    let lost = dying(&mut world, false);
    assert!(lost.iter().all(|lost| *lost == Lost::Unknown), "{lost:?}");
}

/// What numbers have told outweighs what the peer's own probes let guess.
#[test]
fn flows_that_die_are_dead_where_other_losses_were() {
    let mut world = World::well(true);
    for _ in 0..3 {
        world.run(100 * MILLISECOND, Fate::LostReverse, true);
        world.run(400 * MILLISECOND, Fate::Answered, true);
    }
    let lost = dying(&mut world, true);
    assert!(lost.iter().all(|lost| *lost == Lost::Silent), "{lost:?}");
}

#[test]
fn a_peer_that_never_probed_us_leaves_the_direction_open() {
    let mut world = World::well(false);
    let lost = losses(&world.run(SECOND, Fate::LostReverse, false));
    assert!(lost.iter().all(|lost| *lost == Lost::Unknown), "{lost:?}");
}

#[test]
fn a_peer_that_had_stopped_probing_us_before_is_not_missed() {
    let mut world = World::well(true);
    // For so long that its probes cannot all have been lost while the answers came.
    world.run(2 * SECOND, Fate::Answered, false);
    let lost = losses(&world.run(SECOND, Fate::LostForward, false));
    assert!(lost.iter().all(|lost| *lost == Lost::Unknown), "{lost:?}");
}

/// Invariant 3, at this layer: silence is told after twelve probes and the time for an answer.
#[test]
fn silence_is_told_within_half_a_second_at_ten_probes_per_second_and_flow() {
    let mut world = World::well(true);
    let began = world.now;
    let outcomes = world.run(SECOND, Fate::LostForward, false);
    let first = outcomes.iter().find(|(_, outcome)| matches!(outcome, Outcome::Lost(_))).unwrap();
    let after = (first.0 - began) / MILLISECOND;
    assert!(after <= 430, "{after} ms");
}

#[test]
fn an_agent_that_was_stopped_reports_no_loss() {
    let mut world = World::well(true);
    // Two seconds in which nothing is sent and nothing judged, while the peer goes on probing.
    world.now += 2 * SECOND;
    world.arrivals.packets += 80;
    world.arrivals.last_at = world.now;
    assert_eq!(losses(&world.run(2 * SECOND, Fate::Answered, true)), []);
}

/// The probes that were on the way when a silence ends say nothing new about it.
#[test]
fn a_silence_ends_without_a_last_word_on_the_way_there() {
    let mut world = World::well(true);
    world.run(3 * SECOND, Fate::LostForward, false);
    let lost = losses(&world.run(SECOND, Fate::Answered, true));
    assert!(!lost.is_empty(), "some were on the way");
    assert!(lost.iter().all(|lost| *lost == Lost::Silent), "{lost:?}");
}

#[test]
fn answers_after_a_blackhole_count_at_once() {
    let mut world = World::well(true);
    world.run(10 * SECOND, Fate::LostForward, false);
    let began = world.now;
    let outcomes = world.run(SECOND, Fate::Answered, true);
    let answered =
        outcomes.iter().find(|(_, outcome)| matches!(outcome, Outcome::Answered { .. })).unwrap();
    let after = (answered.0 - began) / MILLISECOND;
    assert!(after <= 150, "{after} ms");
}
