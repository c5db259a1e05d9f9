//! An agent's judge as `agent::state` has it, and a player that is given what it has recorded.

use super::header;
use crate::{
    account::{Lost, Outcome},
    config::Profile,
    health::{
        self, Goals, Settings, Transition,
        node::{Member, News, Node},
        observation::{MOMENT, Observation, moment},
    },
    random::Random,
    record::{
        codec::{self, Encoder},
        header::{Header, Path},
        player::{Change, Player, Totals},
    },
    report::Evidence,
    verdict::{Direction, MILLISECOND, Nanos, SECOND, State},
};

struct Peer {
    path: Path,
    region: usize,
    health: health::Path,
    loss: f64,
    lost: Lost,
}

impl Member for Peer {
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

/// What is said of a change, by the agent and by the player.
type Said = (String, Transition, Evidence);

struct Agent {
    random: Random,
    now: Nanos,
    node: Node,
    peers: Vec<Peer>,
    header: Header,
    settings: Settings,
    segments: Vec<Vec<u8>>,
    encoder: Encoder,
    said: Vec<Said>,
}

impl Agent {
    fn start(seed: u64) -> Self {
        let header = header(6);
        let mut agent = Self {
            random: Random::new(seed),
            now: header.monotonic * MOMENT,
            node: Node::default(),
            peers: Vec::new(),
            settings: header.settings(None),
            segments: vec![header.encode()],
            encoder: Encoder::new(&header),
            said: Vec::new(),
            header,
        };
        for path in agent.header.paths.clone() {
            let peer = agent.peer(path);
            agent.peers.push(peer);
        }
        agent
    }

    fn peer(&self, path: Path) -> Peer {
        let region = path.region[1..].parse().unwrap();
        let health = health::Path::new(4, path.opened * MOMENT);
        Peer { path, region, health, loss: 0.0, lost: Lost::Unknown }
    }

    /// Another segment, as a full one, a name that resolves anew and a reload make it begin.
    fn begin_segment(&mut self) {
        let paths = self.peers.iter().map(|peer| peer.path.clone()).collect();
        self.header.sequence += 1;
        self.header.paths = paths;
        self.header.unix += self.now / MOMENT - self.header.monotonic;
        self.header.monotonic = self.now / MOMENT;
        self.settings = self.header.settings(None);
        self.segments.push(self.header.encode());
        self.encoder = Encoder::new(&self.header);
        self.node.wake_all();
    }

    fn tick(&mut self, is_blind: bool) {
        let random = &mut self.random;
        let exact = self.now + random.below(MOMENT);
        let now = moment(exact);
        for (place, peer) in self.peers.iter_mut().enumerate() {
            for flow in 0..4 {
                if is_blind || !random.chance(0.1) {
                    continue;
                }
                let outcome = match random.chance(peer.loss) {
                    true if random.chance(0.1) => Outcome::TakenBack(peer.lost),
                    true => Outcome::Lost(peer.lost),
                    false => Outcome::Answered { round_trip: random.bits() as u32 >> 6 },
                };
                let sent_at = exact - random.below(SECOND);
                let seen = Observation::new(flow, sent_at, outcome, now);
                self.encoder.note(place, &seen, now);
                seen.feed(&mut peer.health, now, &self.settings);
                self.node.wake(place);
            }
        }
        let bytes = self.segments.last_mut().unwrap();
        self.encoder.tick(now);
        self.encoder.write(bytes);
        let said = &mut self.said;
        self.node.tick(&mut self.peers, now, &self.settings, &mut |news| {
            if let News::Verdict { member, transition, verdict } = news {
                said.push((member.path.peer.clone(), transition, verdict.evidence));
            }
        });
    }

    fn run(&mut self, ticks: u64, is_blind: bool) {
        for _ in 0..ticks {
            // The judge is late now and then, and sometimes by very much.
            let late = if self.random.chance(0.001) { 4_000 } else { 3 };
            self.now += 10 * MILLISECOND + self.random.below(late) * MILLISECOND;
            self.tick(is_blind);
        }
    }

    /// Some of all that can happen to an agent.
    fn live(&mut self) {
        for _ in 0..40 {
            let all = self.random.chance(0.2);
            for index in 0..self.peers.len() {
                let (sick, kind) = (self.random.chance(0.3), self.random.below(4));
                let loss = [0.02, 0.2, 1.0][self.random.below(3) as usize];
                let peer = &mut self.peers[index];
                peer.lost =
                    [Lost::Forward, Lost::Reverse, Lost::Unknown, Lost::Silent][kind as usize];
                peer.loss = if all { 1.0 } else { f64::from(u8::from(sick)) * loss };
            }
            let (ticks, is_blind) = (self.random.below(2_000), self.random.chance(0.1));
            self.run(ticks, is_blind);
            match self.random.below(5) {
                0 => self.begin_segment(),
                1 => {
                    // A peer's name resolves to another address.
                    let index = self.random.below(self.peers.len() as u64) as usize;
                    let opened = self.now / MOMENT;
                    let path = Path { opened, ..self.peers[index].path.clone() };
                    self.peers[index] = self.peer(path);
                    self.begin_segment();
                }
                2 => {
                    // A reload: another order, other numbers.
                    self.peers.rotate_left(1);
                    let profile = Profile::ALL[self.random.below(3) as usize];
                    self.header.health = profile.health().goals();
                    self.begin_segment();
                }
                _ => {}
            }
        }
    }
}

fn replay(segments: &[Vec<u8>], goals: Option<Goals>) -> (Vec<Change>, Totals) {
    let (mut player, mut changes, mut seen) = (Player::new(goals), Vec::new(), Vec::new());
    for bytes in segments {
        let (header, mut ticks) = codec::open(bytes).unwrap();
        player.begin(&header, &mut |change| changes.push(change));
        loop {
            match ticks.next(&mut seen) {
                Ok(Some(now)) => player.tick(now, &seen, &mut |change| changes.push(change)),
                Ok(None) => break,
                Err(_) => break player.cut_off(),
            }
        }
    }
    (changes, player.finish())
}

#[test]
fn a_replay_finds_exactly_what_the_agent_has_said() {
    let mut causes = Vec::new();
    for seed in 0..6 {
        let mut agent = Agent::start(seed);
        agent.live();
        let (changes, totals) = replay(&agent.segments, None);
        let found: Vec<Said> = changes
            .into_iter()
            .map(|change| (change.peer, change.transition, change.evidence))
            .collect();
        assert!(found.len() > 100, "{} changes", found.len());
        assert_eq!(found.len() as u64, totals.changes);
        for (index, (found, said)) in found.iter().zip(&agent.said).enumerate() {
            assert_eq!(found, said, "seed {seed}, change {index}");
        }
        assert_eq!(found.len(), agent.said.len(), "seed {seed}");
        causes.extend(agent.said.iter().map(|(_, transition, _)| transition.cause.label()));
    }
    // Or the test would not show what it is there for.
    for cause in ["passing", "loss", "isolated", "silence", "expired", "flow_loss"] {
        assert!(causes.contains(&cause), "nothing was {cause}");
    }
}

#[test]
fn other_numbers_find_other_things() {
    let mut agent = Agent::start(3);
    agent.live();
    let changes = |profile: Profile| replay(&agent.segments, Some(profile.health().goals())).0;
    assert!(changes(Profile::Fast).len() > changes(Profile::Calm).len());
}

/// Where a part is missing, nothing is known of it; the verdicts before it do not last. `gap` says whether the agent
/// knows that it is missing, or a replay finds that it cannot be read.
#[test]
fn verdicts_expire_over_a_part_that_is_missing() {
    for gap in [true, false] {
        verdicts_expire(gap);
    }
}

fn verdicts_expire(gap: bool) {
    let mut agent = Agent::start(1);
    agent.run(1_000, false);
    let before = agent.now;
    agent.run(6_000, true);
    agent.header.gap = gap;
    agent.begin_segment();
    let first = agent.segments[0].clone();
    // As it would have been had the disk refused the ticks without evidence.
    let mut short = Agent::start(1);
    short.run(1_000, false);
    assert!(first.starts_with(&short.segments[0]));
    let mut damaged = first;
    if gap {
        damaged.clone_from(&short.segments[0]);
    } else {
        damaged[short.segments[0].len()] ^= 1;
    }
    let (changes, _) = replay(&[damaged, agent.segments[1].clone()], None);
    let expired: Vec<_> =
        changes.iter().filter(|change| change.transition.to == State::Unknown).collect();
    assert_eq!(expired.len(), 12, "{changes:?}");
    let expiry = before + agent.settings.expiry;
    for change in expired {
        assert!(change.transition.at.abs_diff(expiry) < SECOND, "{change:?}");
    }
}

#[test]
fn the_time_that_a_direction_was_unhealthy_is_added_up() {
    let mut agent = Agent::start(9);
    agent.run(500, false);
    (agent.peers[2].loss, agent.peers[2].lost) = (1.0, Lost::Forward);
    agent.run(500, false);
    agent.peers[2].loss = 0.0;
    agent.run(500, false);
    (agent.peers[2].loss, agent.peers[2].lost) = (1.0, Lost::Forward);
    agent.run(500, false);
    let totals = replay(&agent.segments, None).1;
    let at = |to| {
        let of = agent.said.iter().filter(move |(_, transition, _)| {
            transition.direction == Direction::Forward
                && (transition.to == State::Unhealthy) == to
                && (transition.from == State::Unhealthy) != to
        });
        of.map(|(_, transition, _)| transition.at).collect::<Vec<_>>()
    };
    let (begins, ends) = (at(true), at(false));
    let ends: Vec<_> = ends.into_iter().filter(|end| *end > begins[0]).collect();
    assert_eq!((begins.len(), ends.len()), (2, 1));
    let expected = ends[0] - begins[0] + moment(agent.now) - begins[1];
    assert_eq!(totals.unhealthy.len(), 1);
    assert_eq!(totals.unhealthy["p2"], [expected / MOMENT, 0]);
}
