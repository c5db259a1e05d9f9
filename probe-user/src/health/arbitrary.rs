//! Arbitrary states, for tests and the simulator: recovery is bounded from all of them.

use super::{
    Path, Settings,
    cusum::Bank,
    damping::Damping,
    latency::Latency,
    node::Node,
    recovery::Recovery,
    roster::Roster,
    track::{Blip, Unknown},
};
use crate::{
    places::{Places, Renewal},
    random::Random,
    verdict::{Cause, Nanos, SECOND, State},
};

impl Path {
    /// Whether a direction is held back because it has relapsed, or would be if it failed now.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.directions.iter().any(|reported| {
            reported.track.damping.doublings > 0 || reported.track.damping.recovered_at.is_some()
        })
    }

    /// How often its recovery takes twice as long as at first, should it fail now in any direction, or have failed.
    #[must_use]
    pub fn doublings(&self, settings: &Settings) -> u8 {
        let most = self.dampings().map(|damping| {
            damping.doublings(settings).saturating_add(u8::from(damping.recovered_at.is_some()))
        });
        most.max().unwrap_or(0).min(settings.damping)
    }

    /// Whether it has relapsed, so that its recovery takes longer.
    #[must_use]
    pub fn has_relapsed(&self) -> bool {
        self.dampings().any(|damping| damping.doublings > 0)
    }

    fn dampings(&self) -> impl Iterator<Item = &Damping> {
        let directions = self.directions.iter().map(|reported| &reported.track.damping);
        directions.chain([&self.latency.damping])
    }

    /// As if it had never relapsed, and no round trip was slow.
    pub fn forget_damping(&mut self) {
        for reported in &mut self.directions {
            reported.track.damping = Damping::default();
        }
        self.latency = Latency::default();
    }

    /// Puts the engine into any state that its types allow, though no history may lead there.
    pub fn scramble(&mut self, random: &mut Random, now: Nanos) {
        for reported in &mut self.directions {
            let track = &mut reported.track;
            track.bank = bank(random);
            track.ages = std::array::from_fn(|_| number(random));
            track.recovery = recovery(random);
            track.damping = damping(random);
            track.evidence.latest = u128::from(random.bits()) << 64 | u128::from(random.bits());
            track.evidence.known = random.below(129) as u8;
            track.evidence.since_onset =
                random.chance(0.5).then(|| (number(random), number(random)));
            track.evidence.unmistakable =
                random.chance(0.5).then(|| (number(random), number(random)));
            track.lapsed_at = time_near(now, random);
            track.hushed_until = random.bits() >> random.below(64);
            track.blip = time(random).map(|at| Blip { at, counts: random.chance(0.5) });
            track.alarmed = random.chance(0.5);
            track.fit = random.chance(0.5);
            track.silences = number(random);
            // All that is older than it may be is forgotten at the next tick, and with it what else there is.
            track.evidence_at = time_near(now, random);
            track.probed_at = time_near(now, random);
            track.unknown_because =
                [Unknown::Starting, Unknown::Expired, Unknown::Silence][random.below(3) as usize];
            reported.state = State::ALL[random.below(4) as usize];
            reported.cause = Cause::ALL[random.below(Cause::ALL.len() as u64) as usize];
            reported.since = random.bits();
            reported.sick_flows = number(random) as usize;
            reported.by_flows = random.chance(0.5);
        }
        let losses = self.losses.iter_mut().flatten();
        for (flow, losses) in self.flows.iter_mut().flatten().zip(losses) {
            losses.bank = bank(random);
            losses.bank.passes = 0;
            flow.untold = if random.chance(0.1) { u32::MAX } else { number(random) };
            flow.recovery = recovery(random);
            flow.losses_in_a_row = number(random).min(255) as u8;
            flow.unheard = number(random).min(255) as u8;
            losses.aside = time(random).zip(time(random));
            flow.sick = random.chance(0.5);
        }
        self.latency.usual = number(random);
        self.latency.learnt = random.bits() as u8;
        self.latency.bank = bank(random);
        self.latency.recovery = recovery(random);
        self.latency.damping = damping(random);
        self.latency.slow_since = time(random);
        self.latency.seen_at = random.bits() >> random.below(64);
        self.latency.quiet_until = random.bits() >> random.below(64);
        // Made of the rest at every tick.
        self.calm = None;
    }
}

fn bank(random: &mut Random) -> Bank {
    let passes = random.below(Bank::UNSETTLED as u64 + 1) as i32;
    Bank { statistics: std::array::from_fn(|_| (number(random) >> 2) as i32), passes }
}

fn damping(random: &mut Random) -> Damping {
    Damping {
        doublings: random.bits() as u8,
        recovered_at: time(random),
        doubtful: random.chance(0.5),
    }
}

fn recovery(random: &mut Random) -> Recovery {
    Recovery { clean: number(random), row: number(random), taken: (number(random), number(random)) }
}

impl Node {
    /// The same of what a node thinks of itself.
    pub fn scramble(&mut self, random: &mut Random) {
        self.isolation.since = time(random);
        self.roster.scramble(random);
    }
}

impl Roster {
    /// As often as not with times that look right, so that nothing is made anew at once.
    fn scramble(&mut self, random: &mut Random) {
        let members = self.regions.len() as u64;
        self.awake = Places::default();
        self.regions = (0..members).map(|_| random.below(members) as usize).collect();
        self.calm = (0..members).map(|_| number(random) >> 1).collect();
        if random.chance(0.5) {
            self.until = random.bits() >> random.below(64);
            self.ticked_at = random.bits() >> random.below(64);
            self.renewal = Renewal(random.bits() >> random.below(64));
        }
    }
}

/// A number of any size, small ones as often as great ones.
fn number(random: &mut Random) -> u32 {
    (random.bits() as u32) >> random.below(32)
}

fn time(random: &mut Random) -> Option<Nanos> {
    random.chance(0.7).then(|| random.bits() >> random.below(64))
}

/// As often as not in the last two seconds.
fn time_near(now: Nanos, random: &mut Random) -> Option<Nanos> {
    if random.chance(0.5) { Some(now - random.below(2 * SECOND).min(now)) } else { time(random) }
}
