//! What can go wrong: one fault after the other, several at a time, some for good.

use probe_user::{
    random::Random,
    verdict::{MILLISECOND, Nanos, SECOND},
};

use super::{Run, Violation};
use crate::loss::{Loss, Lossy};

/// How many kinds of faults [`Run::inject`] knows.
const FAULTS: u64 = 18;

impl Run {
    /// Invariants 1, 2, 5, 8, 11, 17: whatever has happened, and whatever is remembered of it.
    pub(super) fn chaos(&mut self, random: &mut Random) -> Result<(), Violation> {
        if random.chance(0.7) {
            self.settle()?;
        }
        let faults = 1 + random.below(25);
        for _ in 0..faults {
            self.disturb(random)?;
        }
        if random.chance(0.5) {
            self.scramble(random);
        }
        self.calm()?;
        if random.chance(0.3) { self.an_hour_later() } else { Ok(()) }
    }

    /// A fault, and time to pass.
    pub(super) fn disturb(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.inject(random);
        let pause = match random.below(3) {
            0 => random.below(2 * SECOND),
            1 => random.below(20 * SECOND),
            _ => random.below(120 * SECOND),
        };
        self.pass(pause)
    }

    /// Invariant 2: after an hour of health, an outage is over as soon as the first one ever.
    fn an_hour_later(&mut self) -> Result<(), Violation> {
        self.pass(3_601 * SECOND)?;
        let until = self.world.now() + 10 * SECOND;
        for link in self.world.links.iter_mut().flatten() {
            link.black_until = until;
        }
        self.pass(10 * SECOND)?;
        self.world.count("outages after an hour of health");
        self.pass(self.bound(0) + SECOND)?;
        self.all_healthy(2)
    }

    fn scramble(&mut self, random: &mut Random) {
        let now = self.world.now();
        for node in &mut self.world.nodes {
            if random.chance(0.8) {
                node.scramble(random, now);
            }
        }
        self.world.count("scrambled states");
    }

    fn duration(&self, random: &mut Random) -> Nanos {
        match random.below(4) {
            0 => random.below(300 * MILLISECOND),
            1 => random.below(5 * SECOND),
            2 => random.below(60 * SECOND),
            _ => random.below(600 * SECOND),
        }
    }

    /// One fault, of a random kind, place and extent.
    fn inject(&mut self, random: &mut Random) {
        let nodes = self.world.setup.nodes as u64;
        let from = random.below(nodes);
        let to = (from + 1 + random.below(nodes - 1)) % nodes;
        let (from, to) = (from as usize, to as usize);
        let until = self.world.now() + self.duration(random);
        let link = &mut self.world.links[from][to];
        let what = match random.below(FAULTS) {
            0 => {
                link.lossy = Lossy::new(Loss::Independent(random.unit()));
                "independent loss"
            }
            1 => {
                let length = 1.0 + 50.0 * random.unit();
                link.lossy = Lossy::new(Loss::bursts(random.unit(), length));
                "bursts of loss"
            }
            13 => {
                let length = 1.0 + 500.0 * random.unit();
                let loses = [0.1 * random.unit(), random.unit()];
                link.lossy = Lossy::new(Loss::Bursts { bad: random.unit(), length, loses });
                "good and bad times"
            }
            14 => {
                let node = &mut self.world.nodes[from];
                node.interface_down_until = until;
                node.forget_reflected();
                "interfaces that were reset"
            }
            16 => {
                link.dead_flows = random.bits();
                "flows that died"
            }
            17 => {
                link.slow_flows = (random.bits(), random.below(400 * MILLISECOND));
                "flows that took a longer way"
            }
            15 => {
                self.world.nodes[from].clock_steps_until = until;
                "clocks that stepped"
            }
            2 => {
                link.black_until = until;
                "blackholes in one direction"
            }
            3 => {
                for (a, b) in [(from, to), (to, from)] {
                    self.world.links[a][b].black_until = until;
                }
                "blackholes in both directions"
            }
            4 => {
                for peer in 0..self.world.setup.nodes {
                    self.world.links[from][peer].black_until = until;
                    self.world.links[peer][from].black_until = until;
                }
                "nodes that were cut off"
            }
            5 => {
                link.delay = MILLISECOND + random.below(200 * MILLISECOND);
                "routes of another length"
            }
            6 => {
                link.jitter = random.below(400 * MILLISECOND);
                "jitter and reordering"
            }
            7 => {
                link.late = (random.unit() * 0.2, random.below(2 * SECOND));
                "late packets"
            }
            8 => {
                link.duplicates = random.unit();
                "duplicates"
            }
            9 => {
                self.world.nodes[from].forget_reflected();
                "reflectors that forgot their numbers"
            }
            10 => {
                self.world.restart(from);
                "agents that were started again"
            }
            11 => {
                self.world.nodes[from].sender_stalled_until = until;
                "senders that stalled"
            }
            _ => {
                self.world.nodes[from].judge_stalled_until = until;
                "judges that stalled"
            }
        };
        self.world.count(what);
        if random.chance(0.1) {
            let now = self.world.now();
            self.world.nodes[from].scramble(random, now);
            self.world.count("states scrambled in the middle of a run");
        }
    }
}
