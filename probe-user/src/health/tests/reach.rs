//! What regions are to a node that was cut off itself.

use super::*;
use crate::{
    health::{
        node::{Member, Node},
        region::Tally,
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
    now: Nanos,
    flow: usize,
}

impl Mesh {
    /// Probes all regions once, of which only some answer, and judges.
    fn step(&mut self, answers: impl Fn(usize) -> bool) {
        self.now += STEP;
        self.flow = (self.flow + 1) % 4;
        for Peer(region, path) in &mut self.peers {
            let outcome = if answers(*region) { ANSWERED } else { Outcome::Lost(Lost::Unknown) };
            path.observe(self.flow, self.now, outcome, self.now, &self.settings);
        }
        self.node.tick(&mut self.peers, self.now, &self.settings, &mut |_| {});
    }

    fn reach(&self, region: usize, isolated: bool) -> Reach {
        let path = &self.peers[region].1;
        let mut tally = Tally::default();
        tally.add(Direction::ALL.map(|direction| path.verdict_of(direction)), []);
        tally.reach(isolated)
    }
}

/// Invariant 12: of the regions that were cut off with this node, the last to come back is not blamed for being the last;
/// but one that does not come back is, in bounded time.
#[test]
fn invariant_12_a_node_that_comes_back_blames_no_region_for_coming_back_later() {
    let settings = settings(4);
    let peers = (0..3).map(|region| Peer(region, Path::new(4, 0))).collect();
    let mut mesh = Mesh { settings, node: Node::default(), peers, now: SECOND, flow: 0 };
    for _ in 0..200 {
        mesh.step(|_| true);
    }
    for _ in 0..200 {
        mesh.step(|_| false);
        assert!(mesh.node.isolated_since().is_some() || mesh.reach(0, false) == Reach::Reachable);
    }
    // The first two come back at once, the third never does.
    let mut blamed_without = false;
    let mut self_isolated = 0;
    loop {
        mesh.step(|region| region < 2);
        let isolated = mesh.node.isolated_since().is_some();
        let reach = mesh.reach(2, isolated || mesh.node.was_isolated_lately(mesh.now, &settings));
        if reach == Reach::Isolated {
            break;
        }
        assert_eq!(reach, Reach::SelfIsolated);
        blamed_without |= mesh.reach(2, isolated) == Reach::Isolated;
        self_isolated += u64::from(!isolated);
        assert!(self_isolated * STEP < 4 * SECOND, "it is never blamed");
    }
    assert!(blamed_without, "it would have been blamed at once");
    assert!(self_isolated * STEP > 3 * SECOND);
    assert_eq!(mesh.reach(0, false), Reach::Reachable);
}
