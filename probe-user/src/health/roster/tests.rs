use crate::{
    account::{Lost, Outcome},
    config::{HealthConfig, ProbeConfig},
    health::{
        Path, Settings, Transition,
        node::{Member, News, Node},
    },
    random::Random,
    verdict::{Direction, MILLISECOND, Nanos, State},
};

const STEP: Nanos = 10 * MILLISECOND;
const REGIONS: usize = 4;
const PATHS: usize = 12;

struct Peer {
    place: usize,
    region: usize,
    path: Option<Path>,
    loss: f64,
}

impl Member for Peer {
    fn region(&self) -> usize {
        self.region
    }

    fn path(&self) -> Option<&Path> {
        self.path.as_ref()
    }

    fn path_mut(&mut self) -> Option<&mut Path> {
        self.path.as_mut()
    }
}

/// What a tick has said: of the node, or of a direction of the path in a place.
#[derive(Debug, PartialEq)]
enum Said {
    Isolated(bool),
    Verdict(usize, Transition),
}

/// A node that looks at whom it must, or at all of its paths at every tick.
struct Judge {
    node: Node,
    peers: Vec<Peer>,
    looks_at_all: bool,
}

impl Judge {
    fn new(looks_at_all: bool) -> Self {
        let peer =
            |place| Peer { place, region: place % REGIONS, path: Some(Path::new(1, 0)), loss: 0.0 };
        Self { node: Node::default(), peers: (0..PATHS).map(peer).collect(), looks_at_all }
    }

    fn tick(&mut self, now: Nanos, settings: &Settings) -> Vec<Said> {
        if self.looks_at_all {
            self.node.wake_all();
        }
        let mut said = Vec::new();
        self.node.tick(&mut self.peers, now, settings, &mut |news| {
            said.push(match news {
                News::Isolated(isolated) => Said::Isolated(isolated),
                News::Verdict { member, transition, .. } => Said::Verdict(member.place, transition),
            });
        });
        said
    }

    /// How many paths are healthy, by region: those that are not awake, and others.
    fn healthy_by_region(&self, now: Nanos, settings: &Settings) -> Vec<u32> {
        let mut healthy: Vec<u32> = (0..REGIONS).map(|region| self.node.calm_in(region)).collect();
        for Peer { region, path, .. } in self.node.awake().map(|place| &self.peers[place]) {
            let is_healthy = |path: &Path| {
                path.verdicts(now, settings).iter().all(|verdict| verdict.0 == State::Healthy)
            };
            healthy[*region] += u32::from(path.as_ref().is_some_and(is_healthy));
        }
        healthy
    }
}

/// Faults of paths, regions and the node, paths that come, go and move: told to two nodes, of which one looks at all paths at
/// every tick. They say the same, always. Returns in how many looks a path was left out, and of how many.
fn play(seed: u64) -> (usize, usize) {
    let settings = HealthConfig::default().settings(&ProbeConfig::default());
    let mut random = Random::new(seed);
    let mut judges = [false, true].map(Judge::new);
    let (mut now, mut left_out, mut looks) = (0, 0, 0);
    for step in 1..20_000_u64 {
        // The judge is late now and then.
        now += STEP + if random.chance(0.001) { random.below(10_000) * MILLISECOND } else { 0 };
        if step % 800 == 0 && step > 2_000 {
            let all = random.chance(0.2);
            for place in 0..PATHS {
                let loss =
                    if all { 1.0 } else { [0.0, 0.0, 0.0, 0.02, 1.0][random.below(5) as usize] };
                judges.iter_mut().for_each(|judge| judge.peers[place].loss = loss);
            }
        }
        if random.chance(0.000_5) {
            let (place, region) =
                (random.below(PATHS as u64) as usize, random.below(REGIONS as u64) as usize);
            let path = random.chance(0.7).then(|| Path::new(1, now));
            for judge in &mut judges {
                (judge.peers[place].path, judge.peers[place].region) = (path.clone(), region);
                judge.node.wake_all();
            }
        }
        for place in 0..PATHS {
            if !(step + place as u64).is_multiple_of(10) {
                continue;
            }
            let lost = [Lost::Forward, Lost::Reverse, Lost::Unknown, Lost::Silent]
                [random.below(4) as usize];
            let is_lost = random.chance(judges[0].peers[place].loss);
            let outcome = if is_lost {
                Outcome::Lost(lost)
            } else {
                Outcome::Answered { round_trip: 1_000_000 }
            };
            for judge in &mut judges {
                if let Some(path) = &mut judge.peers[place].path {
                    path.observe(0, now - 2 * MILLISECOND, outcome, now, &settings);
                    judge.node.wake(place);
                }
            }
        }
        left_out += PATHS - judges[0].node.awake().count();
        looks += PATHS;
        let [said, expected] = judges.each_mut().map(|judge| judge.tick(now, &settings));
        assert_eq!(said, expected, "seed {seed}, step {step}");
        let [said, expected] =
            judges.each_ref().map(|judge| judge.healthy_by_region(now, &settings));
        assert_eq!(said, expected, "seed {seed}, step {step}");
    }
    (left_out, looks)
}

#[test]
fn a_node_that_looks_at_whom_it_must_says_what_it_would_have_said() {
    let (mut left_out, mut looks) = (0, 0);
    for seed in 0..20 {
        let (some, of) = play(seed);
        (left_out, looks) = (left_out + some, looks + of);
    }
    assert!(left_out * 10 > looks, "{left_out} of {looks} left out: that says little");
}

#[test]
fn members_that_come_without_a_word_are_looked_at() {
    let settings = HealthConfig::default().settings(&ProbeConfig::default());
    let mut judge = Judge::new(false);
    let last = judge.peers.pop().unwrap();
    judge.tick(STEP, &settings);
    judge.peers.push(last);
    judge.node.wake(PATHS - 1);
    judge.tick(2 * STEP, &settings);
    assert_eq!(judge.node.awake().collect::<Vec<_>>(), (0..PATHS).collect::<Vec<_>>());
}

/// Whatever a node remembers of whom it must look at, it does not for long.
#[test]
fn a_node_that_has_forgotten_to_look_does_within_a_quarter_of_a_second() {
    let settings = HealthConfig::default().settings(&ProbeConfig::default());
    let mut judge = Judge::new(false);
    let mut random = Random::new(1);
    let mut now = STEP;
    let mut is_wrong = false;
    for _ in 0..200 {
        judge.node.scramble(&mut random);
        judge.node.isolation = super::super::isolation::Isolation::default();
        for round in 0..26 {
            now += STEP;
            for (place, peer) in judge.peers.iter_mut().enumerate() {
                let path = peer.path.as_mut().unwrap();
                path.observe(0, now, Outcome::Answered { round_trip: 1_000_000 }, now, &settings);
                judge.node.wake(place);
            }
            judge.tick(now, &settings);
            let all = vec![(PATHS / REGIONS) as u32; REGIONS];
            is_wrong |= now > 100 * STEP && judge.healthy_by_region(now, &settings) != all;
            assert!(
                round < 25 || now < 100 * STEP || judge.healthy_by_region(now, &settings) == all
            );
        }
        assert!(judge.peers.iter().all(|peer| {
            let path = peer.path.as_ref().unwrap();
            now < 100 * STEP
                || Direction::ALL.iter().all(|way| path.state_of(*way) == State::Healthy)
        }));
    }
    assert!(is_wrong, "nothing was ever wrong: that says nothing");
}
