//! How soon a loss is seen, played out with the account and the engine of the agent, always with the same seed.
//!
//! What is played is bounded by steps, of which each takes some ten nanoseconds: a loss that is hardly more than what is
//! accepted is seen after days, and a run that takes so long is cut off.

use probe_ebpf::maps::Arrivals;
use serde::Serialize;

use super::{LOSSES, Probing, seconds};
use crate::{
    account::{
        self, Outcome, PATIENCE, Rules,
        model::{Answer, Kernel},
    },
    health::{Path, Settings, defect::Defects},
    random::Random,
    verdict::{Direction, MILLISECOND, Nanos, State},
};

/// Runs for each loss ratio at most.
const RUNS: usize = 1_000;

/// Runs that there are for certain: none has more than this part of the budget.
const LONG_RUNS: u64 = 48;

/// Where so many runs at the beginning are cut off, all would be.
const HOPELESS: usize = 6;

/// Steps for each loss ratio: probes, and flows that are judged.
pub const BUDGET: u64 = 12_000_000;

/// How often an agent judges.
const TICK: Nanos = 10 * MILLISECOND;

/// Rounds of probes that are judged together while nothing is lost.
const ROUNDS: u64 = 8;

/// A flow never loses so many probes in a row by chance, unless all are lost.
const LONGEST_ROW: u64 = 32;

/// How soon a loss is seen that begins on a healthy path and goes on, in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Detection {
    /// The share that is lost.
    pub loss_ratio: f64,
    /// Whether that much is accepted: it is no reason for an alarm. Then all quantiles are `None`.
    pub accepted: bool,
    /// Probes of the path that are sent from its beginning until the alarm: half of all times, and 99 of 100 times, not more
    /// than so many. `None` for more than [`Detection::more_than`].
    pub probes: Quantiles<u32>,
    /// The same in seconds. A round trip comes on top.
    pub seconds: Quantiles<f64>,
    /// What a quantile is more than that is `None`: where the playing was cut off.
    pub more_than: Option<Span>,
}

/// So many probes, in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Span {
    /// Probes.
    pub probes: u32,
    /// Seconds.
    pub seconds: f64,
}

/// Two quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles<T> {
    /// The median.
    pub p50: Option<T>,
    /// 99 of 100 are at most this.
    pub p99: Option<T>,
}

/// The detection of all [`LOSSES`], with at most `budget` steps for each.
pub(super) fn table(
    settings: &Settings,
    probing: &Probing,
    accepted_loss: f64,
    budget: u64,
) -> Vec<Detection> {
    let healthy = Player::healthy(settings, probing);
    let of = |loss_ratio| {
        if loss_ratio <= accepted_loss {
            accepted(loss_ratio)
        } else {
            healthy.detect(loss_ratio, budget)
        }
    };
    LOSSES.map(of).to_vec()
}

const fn accepted(loss_ratio: f64) -> Detection {
    Detection {
        loss_ratio,
        accepted: true,
        probes: Quantiles { p50: None, p99: None },
        seconds: Quantiles { p50: None, p99: None },
        more_than: None,
    }
}

/// A run: how many probes were sent, and how long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    probes: u32,
    time: Nanos,
    /// It was cut off before the alarm.
    cut: bool,
}

/// A path in virtual time, with round trips of no length. The peer probes it as often, and is heard.
#[derive(Clone)]
struct Player<'a> {
    settings: &'a Settings,
    tick: Nanos,
    kernels: Vec<Kernel>,
    account: account::path::Path,
    health: Path,
    arrivals: Arrivals,
    /// The reflector's own numbers, by flow.
    reflected: Vec<u32>,
    /// When the last probe left, and when was judged last.
    sent_at: Nanos,
    judged_at: Nanos,
    /// The flow whose turn it is.
    turn: usize,
    sent: u64,
    judged: u64,
    /// A probe is without an answer, and not judged yet.
    waits: bool,
    steps: u64,
}

impl<'a> Player<'a> {
    /// A path that has just become healthy, and then was so for a while longer: the account learns too.
    fn healthy(settings: &'a Settings, probing: &Probing) -> Self {
        let flows = usize::from(probing.flows.max(1));
        let interval = probing.interval;
        let in_flight = (PATIENCE + 2 * TICK).div_ceil(interval) + LONGEST_ROW;
        let slots = in_flight.next_power_of_two() as u32;
        let rules = Rules {
            interval,
            // Losses are remembered for so long. What is longer than the longest row makes no difference but to memory.
            timeout: probing.timeout.min(LONGEST_ROW * interval + 2 * PATIENCE),
            slots,
            stateful: true,
            defects: Defects::NONE,
        };
        let mut player = Self {
            settings,
            // Slow paths are looked at less often, for it is to end.
            tick: TICK.max(interval / 8),
            kernels: vec![Kernel::new(slots); flows],
            account: account::path::Path::new(rules, flows),
            health: Path::new(flows, 0),
            arrivals: Arrivals::default(),
            reflected: vec![0; flows],
            sent_at: 0,
            judged_at: 0,
            turn: 0,
            sent: 0,
            judged: 0,
            waits: false,
            steps: 0,
        };
        let most = 2 * u64::from(settings.recovery) + 64 * flows as u64;
        while !player.is_healthy() && player.sent < most {
            player.probe(false);
        }
        for _ in 0..LONGEST_ROW as usize * flows {
            player.probe(false);
        }
        player
    }

    /// How soon so much loss is seen.
    fn detect(&self, loss_ratio: f64, budget: u64) -> Detection {
        let (mut runs, _) = self.runs(loss_ratio, budget);
        let cut = runs.iter().filter(|run| run.cut);
        let more_than = cut
            .min_by_key(|run| run.probes)
            .map(|run| Span { probes: run.probes, seconds: seconds(run.time) });
        runs.sort_unstable_by_key(|run| (run.cut, run.time));
        let times = |share: usize| {
            let run = runs[runs.len() * share / 100];
            (!run.cut).then_some(run)
        };
        let (p50, p99) = (times(50), times(99));
        let probes = |run: Option<Run>| run.map(|run| run.probes);
        let time = |run: Option<Run>| run.map(|run| seconds(run.time));
        Detection {
            loss_ratio,
            accepted: false,
            probes: Quantiles { p50: probes(p50), p99: probes(p99) },
            seconds: Quantiles { p50: time(p50), p99: time(p99) },
            more_than,
        }
    }

    /// Plays as many runs as the budget is enough for. Returns the steps that they took, too.
    fn runs(&self, loss_ratio: f64, budget: u64) -> (Vec<Run>, u64) {
        let mut random = Random::new(loss_ratio.to_bits());
        let (mut runs, mut steps) = (Vec::new(), 0);
        let is_hopeless =
            |runs: &[Run]| runs.len() >= HOPELESS && runs[..HOPELESS].iter().all(|run| run.cut);
        while runs.len() < RUNS && steps < budget && !is_hopeless(&runs) {
            let mut player = self.clone();
            player.steps = 0;
            runs.push(player.run(|| random.chance(loss_ratio), budget / LONG_RUNS));
            steps += player.steps;
        }
        (runs, steps)
    }

    /// Plays until the alarm, or until `steps` are gone. `lost` says which probes are lost.
    fn run(&mut self, mut lost: impl FnMut() -> bool, steps: u64) -> Run {
        let (began, sent) = (self.sent_at, self.sent);
        while self.is_healthy() && self.steps < steps {
            self.probe(lost());
        }
        let cut = self.is_healthy();
        let time = self.sent_at.max(self.judged_at) - began;
        Run { probes: (self.sent - sent) as u32, time, cut }
    }

    fn is_healthy(&self) -> bool {
        self.health.state_of(Direction::Forward) == State::Healthy
    }

    /// Lets the time go on to the next probe and sends that, unless the path is no longer healthy before.
    fn probe(&mut self, lost: bool) {
        let due = self.sent_at + self.settings.spacing;
        while self.waits && self.judged_at + self.tick <= due {
            let was_healthy = self.is_healthy();
            self.judge(self.judged_at + self.tick);
            if was_healthy && !self.is_healthy() {
                return;
            }
        }
        if lost && !self.waits {
            // Everything before it is judged, so that ticks go on from here.
            self.judge(due);
            self.waits = true;
        }
        self.sent_at = due;
        self.send(lost);
        let round = self.sent / self.kernels.len() as u64;
        if self.turn == 0 && !self.waits && round.is_multiple_of(ROUNDS) {
            self.judge(due);
        }
    }

    fn send(&mut self, lost: bool) {
        let (flow, now) = (self.turn, self.sent_at);
        self.turn = (flow + 1) % self.kernels.len();
        self.steps += 1;
        self.sent += 1;
        self.arrivals = Arrivals { packets: self.arrivals.packets + 1, last_at: now };
        let sequence = self.kernels[flow].send(now);
        if !lost {
            let reflector_sequence = self.reflected[flow];
            self.reflected[flow] += 1;
            let answer = Answer { sequence, sent_at: now, reflector_sequence, round_trip: 0 };
            self.kernels[flow].answer(answer, now);
        }
    }

    fn judge(&mut self, now: Nanos) {
        self.judged_at = now;
        self.steps += self.kernels.len() as u64;
        let Self { account, health, settings, judged, .. } = self;
        account.judge(&self.kernels, self.arrivals, now, &mut |flow, sent_at, outcome| {
            *judged += u64::from(!matches!(outcome, Outcome::TakenBack(_)));
            health.observe(flow, sent_at, outcome, now, settings);
        });
        health.tick(now, false, settings, &mut |_| {});
        self.waits = self.judged != self.sent;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        config::{HealthConfig, ProbeConfig},
        health::settings::{MOST_RECOVERY, limits},
    };

    fn duration(nanos: Nanos) -> Duration {
        Duration::from_nanos(nanos)
    }

    /// All ends of the ranges of [health] and of those of [probe] that count, and a loss that is hardly more than accepted.
    fn corners() -> Vec<(HealthConfig, ProbeConfig)> {
        let probes = [(1, 1), (1, 64), (60_000, 1), (60_000, 64)].map(|(interval, flows)| {
            let interval = Duration::from_millis(interval);
            ProbeConfig { interval, flows, timeout: interval * 10, ..ProbeConfig::default() }
        });
        let losses = [*limits::ACCEPTED_LOSS.start(), 0.0149, 0.19, *limits::ACCEPTED_LOSS.end()];
        let times = [
            (*limits::RECOVERY.start(), *limits::RECOVERY_PROBES.end(), *limits::BLIP.start()),
            (*limits::RECOVERY.start(), *limits::RECOVERY_PROBES.start(), *limits::BLIP.end()),
            (*limits::RECOVERY.end(), *limits::RECOVERY_PROBES.start(), *limits::BLIP.end()),
        ];
        let mut all = Vec::new();
        for probe in probes {
            for accepted_loss in losses {
                for false_alarms_per_year in
                    [*limits::FALSE_ALARMS.start(), *limits::FALSE_ALARMS.end()]
                {
                    for (recovery, recovery_probes, blip) in times {
                        let health = HealthConfig {
                            accepted_loss,
                            false_alarms_per_year,
                            recovery: duration(recovery),
                            recovery_probes,
                            damping: duration(*limits::RECOVERY.end()),
                            blip: duration(blip),
                            expiry: duration(*limits::EXPIRY.end()),
                            ..HealthConfig::default()
                        };
                        all.push((health, probe.clone()));
                    }
                }
            }
        }
        all
    }

    /// The steps are what the time goes into, and they do not depend on the machine.
    #[test]
    fn what_is_played_is_bounded_for_every_config() {
        const FEW: u64 = BUDGET / 500;
        for (health, probe) in corners() {
            let settings = health.settings(&probe);
            let healthy = Player::healthy(&settings, &probe.probing());
            assert!(healthy.is_healthy(), "{health:?} {probe:?}");
            assert!(healthy.steps <= 3 * u64::from(MOST_RECOVERY), "{} steps", healthy.steps);
            for loss_ratio in LOSSES.into_iter().filter(|loss| *loss > health.accepted_loss) {
                let (runs, steps) = healthy.runs(loss_ratio, FEW);
                // A run may take its share, and then the ticks until one more probe.
                let share = FEW / LONG_RUNS + 20 * u64::from(probe.flows);
                let most = (FEW + share).max(HOPELESS as u64 * share);
                assert!(!runs.is_empty() && steps <= most, "{steps} steps: {health:?} {probe:?}");
            }
        }
    }

    fn balanced(loss_ratio: f64, timeout: Duration) -> Detection {
        let probe = ProbeConfig { timeout, ..ProbeConfig::default() };
        let settings = HealthConfig::default().settings(&probe);
        Player::healthy(&settings, &probe.probing()).detect(loss_ratio, BUDGET / 10)
    }

    /// A loss is not known before the next answer of its flow.
    #[test]
    fn the_time_until_a_loss_is_known_counts() {
        let half = balanced(0.5, Duration::from_secs(1));
        assert!((0.5..0.65).contains(&half.seconds.p50.unwrap()), "{half:?}");
        // Or before the peer is silent: three rounds, and the time for an answer.
        let all = balanced(1.0, Duration::from_secs(1));
        assert!((0.36..0.40).contains(&all.seconds.p50.unwrap()), "{all:?}");
        assert_eq!(all.seconds.p50, all.seconds.p99);
        let sooner = balanced(1.0, Duration::from_millis(60));
        assert!(sooner.seconds.p50 < all.seconds.p50, "{sooner:?}");
    }

    /// What is said in probes and in seconds is one and the same.
    #[test]
    fn probes_are_those_that_are_sent_in_the_seconds() {
        for loss_ratio in [0.1, 0.5, 1.0] {
            let detection = balanced(loss_ratio, Duration::from_secs(1));
            let sent = f64::from(detection.probes.p50.unwrap()) * 0.025;
            let behind = detection.seconds.p50.unwrap() - sent;
            assert!((0.0..0.025).contains(&behind), "{detection:?}");
        }
    }

    #[test]
    fn what_is_not_seen_is_said_to_take_longer() {
        let probe = ProbeConfig::default();
        let health = HealthConfig { accepted_loss: 0.0149, ..HealthConfig::default() };
        let settings = health.settings(&probe);
        let table = table(&settings, &probe.probing(), health.accepted_loss, BUDGET / 100);
        let first = &table[0];
        assert_eq!((first.probes.p50, first.seconds.p99), (None, None), "{first:?}");
        let Span { probes, seconds } = first.more_than.unwrap();
        assert!(probes > 1_000 && seconds > 25.0, "{first:?}");
        let last = table.last().unwrap();
        assert!(last.probes.p99.is_some() && last.more_than.is_none(), "{last:?}");
    }
}
