//! What must be seen of a fault, and what was. Pure.

use std::collections::BTreeSet;

use probe_user::verdict::{Direction, State};

use super::observe::{Change, Channel};

/// Seconds within which recovery must be seen everywhere.
pub(crate) const RECOVERY_LIMIT: f64 = 3.0;
/// Seconds by which an agent's word for when a verdict changed may differ from when it was seen.
const SINCE_TOLERANCE: f64 = 0.3;

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Random loss of so many percent from the first region to the second.
    Loss(u32, &'static str, &'static str),
    /// All is lost between two regions.
    Blackhole(&'static str, &'static str),
}

impl Fault {
    /// From where to where packets are lost.
    pub(crate) fn directions(&self) -> Vec<(&'static str, &'static str)> {
        match *self {
            Self::Loss(_, from, to) => vec![(from, to)],
            Self::Blackhole(one, other) => vec![(one, other), (other, one)],
        }
    }

    /// The channels that must change, and to what.
    ///
    /// One direction of loss is seen at both its ends: as the way there by the one, as the way back by
    /// the other. In a blackhole each end sees that nothing comes, which is the way back; of the way
    /// there it can know nothing.
    pub(crate) fn expected(&self) -> Vec<(Channel, State)> {
        use Direction::{Forward, Reverse};
        let sick_way_there = match self {
            Self::Loss(..) => State::Unhealthy,
            Self::Blackhole(..) => State::Unknown,
        };
        self.directions()
            .into_iter()
            .flat_map(|(from, to)| {
                [
                    (Channel::new(from, to, Forward), sick_way_there),
                    (Channel::new(to, from, Reverse), State::Unhealthy),
                ]
            })
            .collect()
    }

    /// Seconds within which it must be seen.
    pub(crate) const fn detection_limit(&self) -> f64 {
        match self {
            Self::Loss(..) => 1.5,
            Self::Blackhole(..) => 0.6,
        }
    }

    /// For people.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Loss(percent, from, to) => format!("{percent} % loss {from} → {to}"),
            Self::Blackhole(one, other) => format!("blackhole {one} ↔ {other}"),
        }
    }
}

/// A fault, and when: in seconds since the Unix epoch.
#[derive(Clone, Debug)]
pub(crate) struct Episode {
    /// What was done.
    pub(crate) fault: Fault,
    /// When it began.
    pub(crate) injected: f64,
    /// When it was taken away.
    pub(crate) cleared: f64,
    /// Until when its consequences were waited for.
    pub(crate) ended: f64,
}

/// One direction of a fault: how it was seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    /// From where packets were lost.
    pub(crate) from: &'static str,
    /// To where.
    pub(crate) to: &'static str,
    /// The first that called this direction unhealthy, and seconds since the fault began.
    pub(crate) detected: Option<(Channel, f64)>,
    /// Seconds from the end of the fault until all that had changed was healthy again.
    pub(crate) recovered: Option<f64>,
}

/// All that can be said of an episode.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judgement {
    /// For each direction of the fault.
    pub(crate) findings: Vec<Finding>,
    /// Other paths, by direction, on which a verdict has changed.
    pub(crate) disturbed: usize,
    /// What was missing, too late or unexpected. Empty: all is well.
    pub(crate) problems: Vec<String>,
}

impl Episode {
    /// Compares what has changed with what must.
    pub(crate) fn judge(&self, changes: &[Change]) -> Judgement {
        let mut problems = Vec::new();
        let expected = self.fault.expected();
        let during: Vec<&Change> =
            changes.iter().filter(|c| (self.injected..self.ended).contains(&c.at)).collect();

        for (channel, sick) in &expected {
            let of_channel = during.iter().filter(|change| change.channel == *channel);
            let phases: [Vec<State>; 2] = [false, true].map(|after| {
                let of_phase = of_channel.clone().filter(|c| (c.at >= self.cleared) == after);
                of_phase.map(|change| change.to).collect()
            });
            for (saw, expected, phase) in
                [(&phases[0], *sick, "during the fault"), (&phases[1], State::Healthy, "after it")]
            {
                if saw[..] != [expected] {
                    let saw = list(saw);
                    problems.push(format!("{channel}: {phase} {expected} expected, saw {saw}"));
                }
            }
        }

        let others: BTreeSet<&Channel> = during
            .iter()
            .map(|change| &change.channel)
            .filter(|channel| expected.iter().all(|(of_fault, _)| of_fault != *channel))
            .collect();
        for channel in &others {
            let of_channel = during.iter().filter(|change| change.channel == **channel);
            let saw = list(&of_channel.map(|change| change.to).collect::<Vec<_>>());
            problems.push(format!("{channel}: no change expected, saw {saw}"));
        }
        problems.extend(during.iter().filter_map(|change| implausible(change)));

        let recovered = self.recovered(&during, &expected);
        if let Some(seconds) = recovered.filter(|seconds| *seconds > RECOVERY_LIMIT) {
            problems.push(format!("recovery took {seconds:.2} s, more than {RECOVERY_LIMIT:.1} s"));
        }
        let findings: Vec<Finding> = self
            .fault
            .directions()
            .into_iter()
            .map(|(from, to)| {
                let detected = self.detected(&during, (from, to));
                Finding { from, to, detected, recovered }
            })
            .collect();
        let limit = self.fault.detection_limit();
        for Finding { from, to, detected, .. } in &findings {
            match detected {
                Some((_, seconds)) if *seconds <= limit => {}
                Some((_, seconds)) => problems.push(format!(
                    "{from} → {to}: detection took {seconds:.2} s, more than {limit:.1} s"
                )),
                None => problems.push(format!("{from} → {to}: not detected")),
            }
        }
        Judgement { findings, disturbed: others.len(), problems }
    }

    /// Who first called a direction unhealthy, and after how many seconds.
    fn detected(&self, during: &[&Change], ends: (&str, &str)) -> Option<(Channel, f64)> {
        during
            .iter()
            .filter(|c| c.channel.ends() == ends && c.to == State::Unhealthy && c.at < self.cleared)
            .min_by(|a, b| a.at.total_cmp(&b.at))
            .map(|change| (change.channel.clone(), change.at - self.injected))
    }

    /// Seconds after which the last of the expected channels was healthy for good.
    fn recovered(&self, during: &[&Change], expected: &[(Channel, State)]) -> Option<f64> {
        expected
            .iter()
            .map(|(channel, _)| {
                let last = during
                    .iter()
                    .filter(|change| change.channel == *channel)
                    .max_by(|a, b| a.at.total_cmp(&b.at))?;
                (last.to == State::Healthy && last.at >= self.cleared)
                    .then_some(last.at - self.cleared)
            })
            .try_fold(0.0, |latest: f64, seconds| Some(latest.max(seconds?)))
    }
}

/// What changed while there was no fault; nothing must.
pub(crate) fn outside(episodes: &[Episode], changes: &[Change]) -> Vec<String> {
    changes
        .iter()
        .filter(|c| !episodes.iter().any(|e| (e.injected..e.ended).contains(&c.at)))
        .map(|change| format!("{}: {} without a fault", change.channel, change.to))
        .collect()
}

/// What is wrong with the time that an agent gives for a change.
fn implausible(change: &Change) -> Option<String> {
    let lag = change.seen_at - change.at;
    (lag.abs() > SINCE_TOLERANCE)
        .then(|| format!("{}: {} seen {lag:.2} s after its own `since`", change.channel, change.to))
}

fn list(states: &[State]) -> String {
    if states.is_empty() {
        return "nothing".to_owned();
    }
    states.iter().map(|state| state.label()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
