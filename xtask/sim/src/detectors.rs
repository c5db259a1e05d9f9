//! What others use in place of the engine, and the engine, behind one trait.

use std::collections::VecDeque;

use probe_user::{
    account::{Lost, Outcome},
    config::{ProbeConfig, Profile},
    health::{Path, Settings},
    verdict::{Direction, Nanos, State},
};

/// Finds out whether a path loses too much.
pub trait Detector {
    /// Takes in a probe; returns whether the path is called bad now.
    fn observe(&mut self, lost: bool) -> bool;
}

/// BFD (RFC 5880, section 6.8.4): down after so many control packets in a row were missed, up with the next ones.
#[derive(Clone, Debug)]
pub struct Misses {
    multiplier: u32,
    in_a_row: u32,
    /// Packets that must pass: the three-way handshake of RFC 5880, section 6.2.
    passes: u32,
    down: bool,
}

impl Misses {
    /// A detect multiplier of so many.
    #[must_use]
    pub const fn new(multiplier: u32) -> Self {
        Self { multiplier, in_a_row: 0, passes: 0, down: false }
    }
}

impl Detector for Misses {
    fn observe(&mut self, lost: bool) -> bool {
        (self.in_a_row, self.passes) =
            if lost { (self.in_a_row + 1, 0) } else { (0, self.passes + 1) };
        self.down = if self.down { self.passes < 3 } else { self.in_a_row >= self.multiplier };
        self.down
    }
}

/// The health checks of `HAProxy`: down after `fall` failed checks in a row, up after `rise` good ones.
#[derive(Clone, Debug)]
pub struct RiseFall {
    fall: u32,
    rise: u32,
    /// Checks in a row that speak against the state.
    against: u32,
    down: bool,
}

impl RiseFall {
    /// With so many of both; `HAProxy`'s own are fall 3, rise 2.
    #[must_use]
    pub const fn new(fall: u32, rise: u32) -> Self {
        Self { fall, rise, against: 0, down: false }
    }
}

impl Detector for RiseFall {
    fn observe(&mut self, lost: bool) -> bool {
        self.against = if lost == self.down { 0 } else { self.against + 1 };
        if self.against >= if self.down { self.rise } else { self.fall } {
            (self.down, self.against) = (!self.down, 0);
        }
        self.down
    }
}

/// A sliding window: bad while at least so many of the last probes were lost.
#[derive(Clone, Debug)]
pub struct Window {
    length: usize,
    limit: usize,
    probes: VecDeque<bool>,
    lost: usize,
}

impl Window {
    /// `limit` of `length`.
    #[must_use]
    pub fn new(limit: usize, length: usize) -> Self {
        Self { length, limit, probes: VecDeque::with_capacity(length + 1), lost: 0 }
    }
}

impl Detector for Window {
    fn observe(&mut self, lost: bool) -> bool {
        self.probes.push_back(lost);
        self.lost += usize::from(lost);
        if self.probes.len() > self.length {
            self.lost -= usize::from(self.probes.pop_front() == Some(true));
        }
        self.lost >= self.limit
    }
}

/// A round trip of the engine's paths, in nanoseconds, and one that is slow for all profiles.
const USUAL: u32 = 1_000_000;
const SLOW: u32 = 100_000_000;

/// The engine, with the probes of its flows in turn; forward is what counts.
#[derive(Clone, Debug)]
pub struct Engine {
    settings: Settings,
    path: Path,
    flows: usize,
    turn: usize,
    now: Nanos,
    state: State,
}

impl Engine {
    /// A path that is healthy.
    #[must_use]
    pub fn new(settings: Settings, flows: u16) -> Self {
        let flows = usize::from(flows);
        let path = Path::new(flows, 0);
        let mut engine = Self { settings, path, flows, turn: 0, now: 0, state: State::Unknown };
        while engine.observe(false) {}
        engine
    }

    /// The settings of a profile.
    #[must_use]
    pub fn settings(profile: Profile, probe: &ProbeConfig) -> Settings {
        profile.health().settings(probe)
    }

    // The loop of `guarantee::probes_to_alarm`, which has to end with an alarm and looks one way only.
    fn take_in(&mut self, outcome: Outcome) {
        self.now += self.settings.spacing;
        self.turn = (self.turn + 1) % self.flows;
        self.path.observe(self.turn, self.now, outcome, self.now, &self.settings);
        // What passes as usual changes nothing on a healthy path.
        let usual = outcome == Outcome::Answered { round_trip: USUAL };
        if !usual || self.state != State::Healthy {
            self.path.tick(self.now, false, &self.settings, &mut |_| {});
            self.state = self.path.state_of(Direction::Forward);
        }
    }
}

impl Detector for Engine {
    fn observe(&mut self, lost: bool) -> bool {
        self.take_in(if lost {
            Outcome::Lost(Lost::Forward)
        } else {
            Outcome::Answered { round_trip: USUAL }
        });
        self.state != State::Healthy
    }
}

/// The whole engine: both directions and the round trips, with the probes of its flows in turn.
#[derive(Clone, Debug)]
pub struct Whole(Engine);

impl Whole {
    /// A path that is healthy.
    #[must_use]
    pub fn new(settings: Settings, flows: u16) -> Self {
        Self(Engine::new(settings, flows))
    }

    /// Takes in a probe that was lost on the way there, or else on the way back, or else came back late; returns whether
    /// anything is wrong with the path now.
    pub fn observe(&mut self, forward: bool, reverse: bool, slow: bool) -> bool {
        let outcome = match (forward, reverse) {
            (true, _) => Outcome::Lost(Lost::Forward),
            (false, true) => Outcome::Lost(Lost::Reverse),
            (false, false) if slow => Outcome::Answered { round_trip: SLOW },
            (false, false) => Outcome::Answered { round_trip: USUAL },
        };
        self.0.take_in(outcome);
        self.0.path.state() != State::Healthy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(detector: &mut impl Detector, probes: &str) -> String {
        let mut bad = |lost| if detector.observe(lost) { 'X' } else { '.' };
        probes.chars().map(|probe| bad(probe == 'x')).collect()
    }

    #[test]
    fn misses_in_a_row() {
        assert_eq!(run(&mut Misses::new(3), "xx.xxx...."), ".....XXX..");
        assert_eq!(run(&mut Misses::new(5), "xxxx.xxxxx"), ".........X");
    }

    #[test]
    fn rise_and_fall() {
        assert_eq!(run(&mut RiseFall::new(3, 2), "xx.xxx.x..."), ".....XXXX..");
    }

    #[test]
    fn a_window() {
        assert_eq!(run(&mut Window::new(2, 4), "x...x.x...."), "......XX...");
    }

    #[test]
    fn the_engine_begins_healthy_and_sees_what_lasts() {
        let probe = ProbeConfig { flows: 1, ..ProbeConfig::default() };
        let settings = Engine::settings(Profile::Balanced, &probe);
        let mut engine = Engine::new(settings, 1);
        assert_eq!(run(&mut engine, "xxx...........x"), "...............");
        assert!(run(&mut engine, "xxxxxxxx").ends_with('X'));
    }

    #[test]
    fn the_whole_engine_sees_both_directions_and_round_trips() {
        let probe = ProbeConfig { flows: 4, ..ProbeConfig::default() };
        let fresh = Whole::new(Engine::settings(Profile::Balanced, &probe), 4);
        for (forward, reverse, slow) in
            [(true, false, false), (false, true, false), (false, false, true)]
        {
            let mut whole = fresh.clone();
            assert!((0..100).all(|_| !whole.observe(false, false, false)));
            assert!((0..200).any(|_| whole.observe(forward, reverse, slow)));
        }
    }
}
