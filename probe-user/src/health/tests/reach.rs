//! What regions are to a node that was cut off itself.

use super::*;
use crate::{
    health::{
        node::{Member, Node},
        region::{Tally, Together},
    },
    verdict::Reach,
};

/// The only peer of its region.
struct Peer(usize, Path);

impl Member for Peer {
    fn region(&self) -> usize {
        self.0
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.1)
    }

    fn path_mut(&mut self) -> Option<&mut Path> {
        Some(&mut self.1)
    }
}

struct Mesh {
    settings: Settings,
    node: Node,
    peers: Vec<Peer>,
    reached: Vec<Reach>,
    now: Nanos,
    flow: usize,
}

impl Mesh {
    fn new(regions: usize) -> Self {
        Self {
            settings: settings(4),
            node: Node::default(),
            peers: (0..regions).map(|region| Peer(region, Path::new(4, 0))).collect(),
            reached: vec![Reach::Unknown; regions],
            now: SECOND,
            flow: 0,
        }
    }

    /// Probes all regions once, of which only some answer, and judges, as an agent does.
    fn step(&mut self, answers: impl Fn(usize) -> bool) {
        self.now += STEP;
        self.flow = (self.flow + 1) % 4;
        for (place, Peer(region, path)) in self.peers.iter_mut().enumerate() {
            self.node.wake(place);
            let outcome = if answers(*region) { ANSWERED } else { Outcome::Lost(Lost::Unknown) };
            path.observe(self.flow, self.now, outcome, self.now, &self.settings);
        }
        self.node.tick(&mut self.peers, self.now, &self.settings, &mut |_| {});
        let tallies: Vec<Tally> = self.peers.iter().map(tally).collect();
        self.node.note(Together::of(&tallies), self.now);
        for ((Peer(_, path), tally), reached) in
            self.peers.iter().zip(&tallies).zip(&mut self.reached)
        {
            let recovers = path.is_recovering(&self.settings);
            let is_excused = self.node.excuses(*reached, recovers, self.now, &self.settings);
            *reached = tally.reach(is_excused);
        }
    }

    fn steps(&mut self, steps: u32, answers: impl Fn(usize) -> bool) {
        (0..steps).for_each(|_| self.step(&answers));
    }

    /// What would be said of a region if nobody thought of what has just been.
    fn reach_now(&self, region: usize) -> Reach {
        tally(&self.peers[region]).reach(self.node.isolated_since().is_some())
    }
}

fn tally(peer: &Peer) -> Tally {
    let mut tally = Tally::default();
    tally.add(Direction::ALL.map(|direction| peer.1.verdict_of(direction)), []);
    tally
}

/// Invariant 12: of the regions that were cut off with this node, the last to come back is not blamed for being the last;
/// but one that does not come back is, in bounded time.
#[test]
fn invariant_12_a_node_that_comes_back_blames_no_region_for_coming_back_later() {
    let mut mesh = Mesh::new(3);
    mesh.steps(200, |_| true);
    for _ in 0..200 {
        mesh.step(|_| false);
        assert!(mesh.node.isolated_since().is_some() || mesh.reached[0] == Reach::Reachable);
    }
    // The first two come back at once, the third never does.
    let mut would_be_blamed = false;
    let mut excused = 0;
    loop {
        mesh.step(|region| region < 2);
        if mesh.reached[2] == Reach::Isolated {
            break;
        }
        assert_eq!(mesh.reached[2], Reach::SelfIsolated);
        would_be_blamed |= mesh.reach_now(2) == Reach::Isolated;
        excused += u64::from(mesh.node.isolated_since().is_none());
        assert!(excused * STEP < 4 * SECOND, "it is never blamed");
    }
    assert!(would_be_blamed, "it would have been blamed at once");
    assert!(excused * STEP > 3 * SECOND);
    assert_eq!(mesh.reached[0], Reach::Reachable);
}

/// A mesh that was cut off for five seconds a moment ago. Its third region had come and gone before, so that damping makes its
/// recovery much longer than that of the others.
fn held_back() -> Mesh {
    let mut mesh = Mesh::new(3);
    mesh.steps(200, |_| true);
    for _ in 0..4 {
        mesh.steps(200, |region| region < 2);
        assert_eq!(mesh.reached[2], Reach::Isolated);
        mesh.steps(3_000, |_| true);
        assert_eq!(mesh.reached[2], Reach::Reachable);
    }
    mesh.steps(200, |_| false);
    assert_eq!(mesh.reached, [Reach::SelfIsolated; 3]);
    mesh
}

/// Invariant 12: however long its recovery is, a region whose probes pass again is not blamed for that.
#[test]
fn invariant_12_a_region_that_is_held_back_is_not_blamed_while_its_probes_pass() {
    let mut mesh = held_back();
    let mut would_be_blamed = 0;
    while mesh.reached[2] != Reach::Reachable {
        mesh.step(|_| true);
        assert_ne!(mesh.reached[2], Reach::Isolated);
        would_be_blamed += u64::from(mesh.reach_now(2) == Reach::Isolated);
        assert!(would_be_blamed * STEP < 50 * SECOND);
    }
    assert!(would_be_blamed * STEP > 10 * SECOND, "{would_be_blamed}");
}

/// One that is gone again has no such excuse, and neither has one that never comes back.
#[test]
fn a_region_that_is_held_back_is_blamed_when_it_fails_again() {
    for answers in [0, 400] {
        let mut mesh = held_back();
        mesh.steps(answers, |_| true);
        assert_ne!(mesh.reached[2], Reach::Isolated);
        // As long as it takes to recover, an instant, and to see that it fails.
        mesh.steps(300, |region| region < 2);
        assert_eq!(mesh.reached[2], Reach::Isolated, "{answers}");
        assert_eq!(mesh.reached[0], Reach::Reachable);
    }
}

/// One that goes on losing more than is accepted has not recovered when the longest recovery would be over.
#[test]
fn a_region_that_never_gets_well_is_blamed_in_the_end() {
    let mut mesh = held_back();
    let mut steps = 0;
    while mesh.reached[2] != Reach::Isolated {
        steps += 1;
        mesh.step(|region| region < 2 || steps % 30 != 0);
        assert!(steps * STEP < 60 * SECOND, "it is never blamed");
    }
}

/// Invariant 12, where there is no instant in which most of them fail.
#[test]
fn invariant_12_a_node_that_reaches_nobody_blames_nobody() {
    let mut mesh = Mesh::new(2);
    for _ in 0..400 {
        mesh.step(|_| false);
        assert!(!mesh.reached.contains(&Reach::Isolated), "it has never reached anybody");
    }
    assert_eq!(mesh.reached, [Reach::SelfIsolated; 2]);
    assert_eq!(mesh.node.isolated_since(), None);

    // They come back one after the other, and go one after the other.
    for _ in 0..140 {
        mesh.step(|region| region == 0);
        assert_eq!(mesh.reached[1], Reach::SelfIsolated);
    }
    mesh.steps(400, |_| true);
    assert_eq!(mesh.reached, [Reach::Reachable; 2]);
    mesh.steps(400, |region| region == 1);
    assert_eq!(mesh.reached, [Reach::Isolated, Reach::Reachable]);
    mesh.steps(400, |_| false);
    assert_eq!(mesh.reached, [Reach::SelfIsolated; 2]);
}

/// From a single region, nothing can be told of this node.
#[test]
fn a_region_that_is_alone_is_isolated() {
    let mut mesh = Mesh::new(1);
    mesh.steps(200, |_| false);
    assert_eq!(mesh.reached, [Reach::Isolated]);
}
