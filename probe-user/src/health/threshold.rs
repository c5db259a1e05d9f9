//! From the false-alarm budget to the thresholds of a bank.
//!
//! The statistic of one test is a Markov chain on 0 to `threshold`, so the mean number of probes until it raises an
//! alarm (its average run length, ARL) needs no simulation and no approximation. The chain goes down by single
//! steps only: to come from `u` to 0 it must pass through every number between, which makes the equations
//! solvable from the threshold downwards, one number at a time.
//!
//! What holds at a number depends on nothing but its distance from the threshold. So one pass downwards gives the run
//! lengths of all thresholds (`RunLengths`), and the first that is long enough is the threshold that is looked for.

use super::cusum::{self, TESTS, Tests};

/// A way of the chain down to some number.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// The probability that it comes to the threshold before it comes to that number. Small numbers stay exact here, where
    /// one less them would lose the digits that matter.
    fails: f64,
    /// Mean steps until one or the other.
    steps: f64,
}

impl Way {
    /// The way that goes on with another one. Nothing is ever subtracted but from 1: no digits are lost.
    fn then(self, next: Self) -> Self {
        let arrives = 1.0 - self.fails;
        Self { fails: self.fails + arrives * next.fails, steps: self.steps + arrives * next.steps }
    }
}

/// The last few of many steps down, and the way that they are together.
///
/// To take the first step away again would be a difference of sums that are almost equal. So the older half keeps the
/// ways from each of its steps to its end, the younger half is added up as it grows, and takes the place of the older when
/// that is used up.
#[derive(Clone, Debug, Default)]
struct Window {
    /// From each of the older steps to the last of them; the oldest is at the back.
    older: Vec<Way>,
    younger: Vec<Way>,
    /// All of `younger` together.
    recent: Way,
}

impl Window {
    fn push(&mut self, step: Way) {
        self.younger.push(step);
        self.recent = self.recent.then(step);
    }

    fn pop(&mut self) {
        if self.older.is_empty() {
            let mut way = Way::default();
            while let Some(step) = self.younger.pop() {
                way = step.then(way);
                self.older.push(way);
            }
            self.recent = Way::default();
        }
        self.older.pop();
    }

    fn way(&self) -> Way {
        self.older.last().map_or(self.recent, |older| older.then(self.recent))
    }
}

/// The mean numbers of probes from a statistic of 0 to an alarm, for thresholds of 1, 2, 3 and so on.
#[derive(Clone, Debug)]
struct RunLengths {
    gain: usize,
    loss: f64,
    /// The steps between a number and where a loss leads from there.
    window: Window,
    /// The distance from the threshold.
    distance: usize,
}

impl RunLengths {
    fn new(gain: i32, loss: f64) -> Self {
        Self { gain: gain as usize, loss, window: Window::default(), distance: 0 }
    }
}

impl Iterator for RunLengths {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        self.distance += 1;
        if self.distance <= self.gain {
            // A loss is the alarm.
            self.window.push(Way { fails: self.loss, steps: 1.0 });
            return Some(1.0 / self.loss);
        }
        // After a loss it has to come down all this way again, to be where it was.
        let back = self.window.way();
        let steps = 1.0 + self.loss * back.steps;
        // To come down by one, it may have to try more than once.
        let tries = 1.0 - self.loss * (1.0 - back.fails);
        self.window.push(Way { fails: self.loss * back.fails / tries, steps: steps / tries });
        self.window.pop();
        // At 0, a pass leads nowhere.
        Some(steps / (self.loss * back.fails))
    }
}

/// The mean number of probes from a statistic of 0 to an alarm, where each probe is lost with probability `loss`.
///
/// Exact for independent losses, up to rounding. `loss` is in (0, 1], `threshold` at least 1.
#[must_use]
pub fn average_run_length(gain: i32, threshold: i32, loss: f64) -> f64 {
    RunLengths::new(gain, loss).nth(threshold as usize - 1).unwrap_or(f64::INFINITY)
}

/// The least thresholds at which a test raises no more than one false alarm in so many probes on the average, for each of
/// some run lengths.
#[must_use]
pub fn thresholds<const N: usize>(gain: i32, accepted: f64, run_lengths: [f64; N]) -> [i32; N] {
    let longest = run_lengths.into_iter().fold(0.0, f64::max);
    let mut thresholds = [1; N];
    for run_length in RunLengths::new(gain, accepted) {
        for (threshold, wanted) in thresholds.iter_mut().zip(run_lengths) {
            *threshold += i32::from(run_length < wanted);
        }
        if run_length >= longest {
            break;
        }
    }
    thresholds
}

/// Banks whose tests together raise at most one false alarm in so many probes on the average, where `accepted`
/// of them are lost, for each of some run lengths. Each test has the same share. They alarm together more often than
/// not, so that the true number is lower; this one holds for certain.
#[must_use]
pub fn banks<const N: usize>(accepted: f64, run_lengths: [f64; N]) -> [Tests; N] {
    let gains = cusum::alternatives(accepted).map(|alternative| cusum::gain(accepted, alternative));
    let shares = run_lengths.map(|run_length| run_length * TESTS as f64);
    let mut banks = [Tests { gains, thresholds: [0; TESTS] }; N];
    for (test, gain) in gains.into_iter().enumerate() {
        for (bank, threshold) in banks.iter_mut().zip(thresholds(gain, accepted, shares)) {
            bank.thresholds[test] = threshold;
        }
    }
    banks
}

/// False alarms of a bank per probe at most, where `loss` of the probes are lost.
#[must_use]
pub fn false_alarms(tests: &Tests, loss: f64) -> f64 {
    let each = tests.gains.into_iter().zip(tests.thresholds);
    each.map(|(gain, threshold)| 1.0 / average_run_length(gain, threshold, loss)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A gain of 1 is a walk of single steps, for which there is a formula (the gambler's ruin).
    #[test]
    fn single_steps_agree_with_the_formula() {
        for (threshold, loss) in [(1, 0.3), (2, 0.3), (5, 0.3), (5, 0.01), (12, 0.5)] {
            // Mean steps from i to i + 1: t0 = 1/p, ti = 1/p + (q/p) t(i-1).
            let (p, q) = (loss, 1.0 - loss);
            let mut up = 1.0 / p;
            let mut sum = up;
            for _ in 1..threshold {
                up = 1.0 / p + q / p * up;
                sum += up;
            }
            let ours = average_run_length(1, threshold, loss);
            assert!((ours / sum - 1.0).abs() < 1e-9, "{threshold} {loss}: {ours} for {sum}");
        }
    }

    /// And any other gain agrees with playing it out.
    #[test]
    fn other_gains_agree_with_simulation() {
        let mut random = crate::random::Random::new(7);
        for (gain, threshold, loss) in [(3, 8, 0.1), (14, 40, 0.05), (80, 400, 0.015)] {
            let mut probes = 0_u64;
            let runs = 4_000;
            for _ in 0..runs {
                let mut statistic = 0;
                while statistic < threshold {
                    let lost = random.chance(loss);
                    statistic = (statistic + if lost { gain } else { -1 }).max(0);
                    probes += 1;
                }
            }
            let played = probes as f64 / f64::from(runs);
            let exact = average_run_length(gain, threshold, loss);
            // Four standard errors of an exponential distribution.
            assert!(
                (played / exact - 1.0).abs() < 4.0 / f64::from(runs).sqrt(),
                "{played} {exact}"
            );
        }
    }

    #[test]
    fn a_threshold_is_the_least_that_keeps_the_budget() {
        for gain in [1, 14, 80] {
            let [threshold, less] = thresholds(gain, 0.01, [1e6, 1e3]);
            assert!(average_run_length(gain, less, 0.01) >= 1e3);
            assert!(average_run_length(gain, less - 1, 0.01) < 1e3);
            assert!(average_run_length(gain, threshold, 0.01) >= 1e6);
            assert!(average_run_length(gain, threshold - 1, 0.01) < 1e6);
        }
    }

    #[test]
    fn a_bank_keeps_its_budget_and_wastes_little_of_it() {
        let [tests] = banks(0.01, [1e8]);
        let rate = false_alarms(&tests, 0.01) * 1e8;
        assert!((0.2..=1.0).contains(&rate), "{rate}");
    }

    /// The same equations with every sum made anew, in logarithms: slow, and exact by another way.
    fn slow_run_length(gain: i32, threshold: i32, loss: f64) -> f64 {
        let (gain, threshold) = (gain as usize, threshold as usize);
        if gain >= threshold {
            return 1.0 / loss;
        }
        // Of each number below the threshold: the logarithm of the probability that the chain comes to the number
        // beneath before it comes to the threshold, and the mean steps until one or the other.
        let mut descends = vec![0.0_f64; threshold];
        let mut steps = vec![0.0_f64; threshold];
        // Mean steps on the way from `from + gain` down to `from`, as far as it is gone.
        let mut time = 0.0;
        for from in (0..threshold).rev() {
            let top = from + gain;
            if top >= threshold {
                descends[from] = (-loss).ln_1p();
                steps[from] = 1.0;
                continue;
            }
            // Recomputed each time: what matters are the last digits of sums that are almost zero.
            let way: f64 = descends[from + 1..=top].iter().sum();
            time = if top + 1 == threshold {
                way_steps(&descends, &steps, from, top)
            } else {
                // The way that began one higher, without its first number and with one more at its end.
                let shorter = (time - steps[top + 1]) / descends[top + 1].exp();
                shorter + (way - descends[from + 1]).exp() * steps[from + 1]
            };
            let comes_back = way.exp();
            if from == 0 {
                return (1.0 + loss * time) / (-loss * way.exp_m1());
            }
            // In terms of the small probability not to come down, which is what must stay exact.
            let fails = -loss * way.exp_m1() / (1.0 - loss * comes_back);
            descends[from] = (-fails).ln_1p();
            steps[from] = (1.0 + loss * time) / (1.0 - loss * comes_back);
        }
        unreachable!("the loop ends at 0, for the gain is less than the threshold")
    }

    /// Mean steps on the way from `top` down to `bottom`, as far as it is gone.
    fn way_steps(descends: &[f64], steps: &[f64], bottom: usize, top: usize) -> f64 {
        let mut gone = 1.0;
        (bottom + 1..=top).rev().fold(0.0, |time, at| {
            let time = time + gone * steps[at];
            gone *= descends[at].exp();
            time
        })
    }

    #[test]
    fn one_pass_agrees_with_sums_that_are_made_anew() {
        for accepted in [0.0001, 0.001, 0.01, 0.05, 0.2] {
            for alternative in cusum::alternatives(accepted) {
                let gain = cusum::gain(accepted, alternative);
                let [far, near] = thresholds(gain, accepted, [1e10, 1e4]);
                let losses = f64::from(near.div_euclid(gain) + i32::from(near % gain != 0));
                assert_eq!(average_run_length(gain, near, 1.0), losses, "{gain} {near}");
                for (threshold, loss) in
                    [(far, accepted), (near, accepted), (near + 1, 1.5 * accepted)]
                {
                    if i64::from(gain) * i64::from(threshold) > 20_000_000 {
                        continue;
                    }
                    let slow = slow_run_length(gain, threshold, loss);
                    let fast = average_run_length(gain, threshold, loss);
                    let what = format!("gain {gain}, threshold {threshold}, loss {loss}");
                    assert!((fast / slow - 1.0).abs() < 1e-6, "{what}: {fast} for {slow}");
                }
            }
        }
    }

    /// Steps of the recurrence that it takes, which is what the time goes into: less than a tenth of a second.
    #[test]
    fn the_least_loss_that_can_be_accepted_takes_few_steps() {
        let [tests] = banks(0.0001, [1e18]);
        let steps: i64 = tests.thresholds.into_iter().map(i64::from).sum();
        assert!(steps < 2_000_000, "{steps}");
    }
}
