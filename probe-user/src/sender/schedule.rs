//! Which flow is due when. Pure: time is an argument, and so is the seed of the jitter.

use std::collections::HashMap;

use super::{Target, wheel::Wheel};
use crate::{
    random::Random,
    verdict::{MILLISECOND, Nanos},
};

/// The part of an interval by which a probe may leave early or late: one tenth to either side.
const JITTER: u64 = 10;

/// Probes that are due within this part of an interval leave together, and so wake the thread once: no more than jitter does
/// anyway.
const TOGETHER: u64 = 10;

/// But not more than so much later than they are due, in nanoseconds.
const LATEST: Nanos = 10 * MILLISECOND;

/// The flows and their times.
#[derive(Debug)]
pub struct Schedule {
    interval: Nanos,
    random: Random,
    flows: Vec<Flow>,
    /// When each flow is due next, by its index in `flows`.
    queue: Wheel,
}

#[derive(Clone, Debug)]
struct Flow {
    target: Target,
    /// How many probes it has still to send; `None` for no end.
    left: Option<u64>,
    /// When its next probe would be due without jitter.
    nominal: Nanos,
}

impl Schedule {
    /// A schedule without flows.
    #[must_use]
    pub fn new(interval: Nanos, seed: u64) -> Self {
        let queue = Wheel::new(together(interval), 0);
        Self { interval, random: Random::new(seed), flows: Vec::new(), queue }
    }

    /// Replaces the flows. Those that stay keep their phase. New ones to one reflector are spread over the interval,
    /// so that one blip of the network does not hit them all, beginning at random.
    pub fn set_targets(&mut self, targets: &[Target], now: Nanos) {
        let mut old: HashMap<u16, Flow> =
            self.flows.drain(..).map(|flow| (flow.target.ssid, flow)).collect();
        let flows_each = targets.iter().map(|target| target.flow).max().map_or(0, u64::from) + 1;
        let mut first = 0;
        for target in targets {
            if target.flow == 0 {
                first = self.random.below(self.interval);
            }
            let phase = first + u64::from(target.flow) * self.interval / flows_each;
            self.flows.push(match old.remove(&target.ssid) {
                Some(flow) if flow.target == *target => flow,
                _ => Flow {
                    target: target.clone(),
                    left: target.count,
                    nominal: now + phase % self.interval,
                },
            });
        }
        self.refill(now);
    }

    /// Probes of one flow are this far apart from now on, the first of them within this time.
    pub fn set_interval(&mut self, interval: Nanos, now: Nanos) {
        self.interval = interval;
        for flow in &mut self.flows {
            flow.nominal = flow.nominal.min(now + self.random.below(interval));
        }
        self.refill(now);
    }

    /// The next probe of every flow is due now, and the others an interval apart from then on.
    pub fn hurry(&mut self, now: Nanos) {
        for flow in &mut self.flows {
            flow.nominal = flow.nominal.min(now);
        }
        self.queue = Wheel::new(together(self.interval), now);
        for index in self.unfinished() {
            self.queue.push(index, 0);
        }
    }

    fn refill(&mut self, now: Nanos) {
        self.queue = Wheel::new(together(self.interval), now);
        for index in self.unfinished() {
            let due = self.due(index);
            self.queue.push(index, due);
        }
    }

    fn unfinished(&self) -> Vec<usize> {
        (0..self.flows.len()).filter(|flow| self.flows[*flow].left != Some(0)).collect()
    }

    /// When the next flows leave.
    #[must_use]
    pub fn next_due(&self) -> Option<Nanos> {
        self.queue.next_due()
    }

    /// Empties `due` and fills it with the flows that are due, for [`Schedule::target`]. Whoever comes late finds each flow
    /// once: what was missed meanwhile is not made up for, for a burst would measure itself.
    pub fn take_due(&mut self, now: Nanos, due: &mut Vec<usize>) {
        due.clear();
        self.queue.take(now, due);
        let interval = self.interval;
        for &index in due.iter() {
            let flow = &mut self.flows[index];
            flow.left = flow.left.map(|left| left.saturating_sub(1));
            if flow.left == Some(0) {
                continue;
            }
            flow.nominal += interval;
            if flow.nominal + interval < now {
                // In step with the others, as before, and not at once again, however it jitters.
                let later = now + interval / JITTER + 1;
                flow.nominal += (later - flow.nominal).div_ceil(interval) * interval;
            }
            let next = self.due(index);
            self.queue.push(index, next);
        }
    }

    /// A flow that is due.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn target(&self, flow: usize) -> &Target {
        &self.flows[flow].target
    }

    fn due(&mut self, index: usize) -> Nanos {
        let span = self.interval / JITTER;
        self.flows[index].nominal + self.random.below(2 * span + 1)
            - span.min(self.flows[index].nominal)
    }
}

/// How far apart probes may be due that leave together.
fn together(interval: Nanos) -> Nanos {
    (interval / TOGETHER).min(LATEST)
}

#[cfg(test)]
mod tests {
    use probe_ebpf::stamp::Mode;

    use super::*;
    use crate::{sender::template::Template, verdict::SECOND};

    fn targets(count: u16) -> Vec<Target> {
        let reflector = "192.0.2.1:862".parse().unwrap();
        let template = |ssid| Template::new(ssid, Mode::Unauthenticated, &[]);
        (1..=count)
            .map(|ssid| Target {
                ssid,
                flow: 0,
                reflector,
                mark: 0,
                template: template(ssid),
                count: None,
            })
            .collect()
    }

    /// Runs a schedule in steps of a millisecond, and returns who was due in each.
    fn run(schedule: &mut Schedule, from: Nanos, to: Nanos) -> Vec<(Nanos, Vec<u16>)> {
        let mut due = Vec::new();
        (from..to)
            .step_by(MILLISECOND as usize)
            .map(|now| {
                schedule.take_due(now, &mut due);
                (now, due.iter().map(|flow| schedule.target(*flow).ssid).collect())
            })
            .collect()
    }

    /// Invariants 4 and 19: a schedule knows targets, an interval and the time, and no verdict. What it sends in a second
    /// is the same in every second.
    #[test]
    fn invariants_4_and_19_probing_goes_on_at_the_same_pace() {
        let mut schedule = Schedule::new(100 * MILLISECOND, 7);
        schedule.set_targets(&targets(40), SECOND);
        for second in 1..60 {
            let steps = run(&mut schedule, second * SECOND, (second + 1) * SECOND);
            let sent: usize = steps.iter().map(|(_, due)| due.len()).sum();
            assert!((390..=410).contains(&sent), "{sent} in second {second}");
        }
    }

    #[test]
    fn flows_of_a_peer_are_spread_evenly() {
        let mut schedule = Schedule::new(100 * MILLISECOND, 7);
        let flow = |(target, flow)| Target { flow, ..target };
        let targets: Vec<Target> = targets(4).into_iter().zip(0..).map(flow).collect();
        schedule.set_targets(&targets, SECOND);
        let mut phases: Vec<u64> =
            schedule.flows.iter().map(|flow| flow.nominal % (100 * MILLISECOND)).collect();
        phases.sort_unstable();
        for pair in phases.windows(2) {
            assert_eq!(pair[1] - pair[0], 25 * MILLISECOND, "{phases:?}");
        }
    }

    #[test]
    fn every_flow_keeps_its_pace_and_all_are_spread() {
        let mut schedule = Schedule::new(100 * MILLISECOND, 7);
        schedule.set_targets(&targets(400), SECOND);
        let steps = run(&mut schedule, SECOND, 11 * SECOND);
        for ssid in 1..=400 {
            let sent = steps.iter().filter(|(_, due)| due.contains(&ssid)).count();
            assert!((99..=101).contains(&sent), "{sent} probes of flow {ssid} in 10 s");
        }
        let most = steps.iter().map(|(_, due)| due.len()).max().unwrap();
        assert!(most <= 80, "{most} of 400 flows left at once, where 40 are to be expected");
    }

    #[test]
    fn two_probes_of_a_flow_are_never_much_closer_than_the_interval() {
        let mut schedule = Schedule::new(100 * MILLISECOND, 7);
        schedule.set_targets(&targets(1), 0);
        let at: Vec<Nanos> = run(&mut schedule, 0, 60 * SECOND)
            .into_iter()
            .filter(|(_, due)| !due.is_empty())
            .map(|(now, _)| now)
            .collect();
        for pair in at.windows(2) {
            let gap = (pair[1] - pair[0]) / MILLISECOND;
            assert!((69..=131).contains(&gap), "{gap} ms apart");
        }
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let mut schedule = Schedule::new(100 * MILLISECOND, 7);
        schedule.set_targets(&targets(4), 0);
        run(&mut schedule, 0, SECOND);
        let mut due = Vec::new();
        schedule.take_due(3 * SECOND, &mut due);
        assert_eq!(due.len(), 4, "each flow once, after 2 s away");
        assert!(schedule.next_due().unwrap() >= 3 * SECOND - 10 * MILLISECOND);
    }

    #[test]
    fn a_shorter_interval_holds_at_once() {
        let mut schedule = Schedule::new(30 * SECOND, 7);
        schedule.set_targets(&targets(8), 0);
        schedule.set_interval(200 * MILLISECOND, SECOND);
        let steps = run(&mut schedule, SECOND, 3 * SECOND);
        let sent: usize = steps.iter().map(|(_, due)| due.len()).sum();
        assert!((72..=88).contains(&sent), "8 flows, 5 times a second, 2 s: {sent}");
    }

    #[test]
    fn a_counted_flow_ends_with_its_last_probe() {
        let mut schedule = Schedule::new(100 * MILLISECOND, 7);
        let mut targets = targets(2);
        targets[0].count = Some(10);
        schedule.set_targets(&targets, 0);
        let mut steps = run(&mut schedule, 0, 500 * MILLISECOND);
        // The same targets again: what has been sent counts.
        schedule.set_targets(&targets, 500 * MILLISECOND);
        steps.extend(run(&mut schedule, 500 * MILLISECOND, 3 * SECOND));
        schedule.set_interval(10 * MILLISECOND, 3 * SECOND);
        steps.extend(run(&mut schedule, 3 * SECOND, 4 * SECOND));
        let sent = |ssid| steps.iter().filter(|(_, due)| due.contains(&ssid)).count();
        assert_eq!(sent(1), 10);
        assert!(sent(2) > 100, "the other goes on: {}", sent(2));
    }

    #[test]
    fn who_is_in_a_hurry_does_not_wait_for_an_interval_to_begin() {
        let mut schedule = Schedule::new(30 * SECOND, 7);
        schedule.set_targets(&targets(3), SECOND);
        schedule.hurry(SECOND);
        let mut due = Vec::new();
        schedule.take_due(SECOND, &mut due);
        assert_eq!(due.len(), 3);
        let steps = run(&mut schedule, SECOND, 40 * SECOND);
        let at: Vec<Nanos> =
            steps.iter().filter(|(_, due)| !due.is_empty()).map(|(now, _)| *now).collect();
        assert!(at[0] >= 27 * SECOND && *at.last().unwrap() <= 35 * SECOND, "{at:?}");
    }

    #[test]
    fn flows_that_stay_keep_their_phase() {
        let mut schedule = Schedule::new(100 * MILLISECOND, 7);
        schedule.set_targets(&targets(1), 0);
        let nominal = schedule.flows[0].nominal;
        schedule.set_targets(&targets(3), 50 * MILLISECOND);
        assert_eq!(schedule.flows[0].nominal, nominal);
        assert_eq!(schedule.flows.len(), 3);
    }
}
