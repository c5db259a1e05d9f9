//! Recovery beside faults that stay: what heals is well again, what does not is not, and neither holds the other.

use probe_user::{
    health::guarantee::recovery_bound,
    random::Random,
    verdict::{
        Direction::{Forward, Reverse},
        Nanos, SECOND,
        State::{Degraded, Healthy, Unhealthy, Unknown},
    },
};

use super::{Run, Violation};

impl Run {
    /// Invariants 1, 3 and 9 beside a fault of the way from node 0 to node 1 that stays for good.
    pub(super) fn beside(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.settle()?;
        for _ in 0..1 + random.below(6) {
            self.disturb(random)?;
        }
        self.heal();
        // Where a peer has not been heard of for long, nothing can be missed of it.
        self.pass(5 * SECOND)?;
        let flows = u64::from(self.world.setup.probing.flows);
        let is_flow = flows >= 4 && random.chance(0.5);
        let link = &mut self.world.links[0][1];
        if is_flow {
            link.dead_flows = 1 << random.below(flows);
            self.world.count("recoveries beside a dead flow");
        } else {
            link.black_until = Nanos::MAX;
            self.world.count("recoveries beside a dead direction");
        }
        let setup = self.world.setup;
        let bound = recovery_bound(&setup.settings, &setup.probing, setup.settings.damping);
        // Of a flow, four times as many clean probes are asked for while another one does not pass; then, evidence that
        // has come in the meantime must have had its time to expire.
        self.pass(4 * bound + 2 * setup.settings.expiry + 30 * SECOND)?;
        for (node, peer) in self.world.pairs().filter(|pair| !matches!(pair, (0, 1) | (1, 0))) {
            for direction in [Forward, Reverse] {
                self.expect(1, &[Healthy], (node, peer, direction), "all is well there")?;
            }
        }
        for (node, peer, sick, well) in [(0, 1, Forward, Reverse), (1, 0, Reverse, Forward)] {
            if is_flow {
                // Nothing tells on which way a flow is dead of which no answer comes.
                let what = "one flow from 0 to 1 is dead";
                self.expect(1, &[Degraded], (node, peer, sick), what)?;
                self.expect(1, &[Degraded, Healthy], (node, peer, well), what)?;
            } else {
                let what = "nothing passes from 0 to 1";
                // After the second time that its evidence lapsed, unknown is all that is said.
                self.expect(3, &[Unhealthy, Unknown], (node, peer, sick), what)?;
                // An arbitrary state may hold any pace for the peer's usual one.
                if self.world.nodes[node].scrambled_at.is_none() {
                    self.expect(9, &[Healthy, Unknown], (node, peer, well), what)?;
                }
            }
        }
        self.calm()
    }
}
