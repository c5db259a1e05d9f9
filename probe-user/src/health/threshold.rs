//! From the false-alarm budget to the thresholds of a bank.
//!
//! The statistic of one test is a Markov chain on 0 to `threshold`, so the mean number of probes until it raises an
//! alarm (its average run length, ARL) needs no simulation and no approximation. The chain goes down by single
//! steps only: to come from `u` to 0 it must pass through every number between, which makes the equations
//! solvable from the threshold downwards, one number at a time.

use super::cusum::{self, TESTS, Tests};

/// The mean number of probes from a statistic of 0 to an alarm, where each probe is lost with probability `loss`.
///
/// Exact for independent losses, up to rounding. `loss` is in (0, 1].
#[must_use]
pub fn average_run_length(gain: i32, threshold: i32, loss: f64) -> f64 {
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

/// The least threshold at which a test raises no more than one false alarm in `run_length` probes on the average.
#[must_use]
pub fn threshold(gain: i32, accepted: f64, run_length: f64) -> i32 {
    let enough = |threshold| average_run_length(gain, threshold, accepted) >= run_length;
    let (mut below, mut above) = (0, 1);
    while !enough(above) {
        (below, above) = (above, above * 2);
    }
    while below + 1 < above {
        let middle = below.midpoint(above);
        if enough(middle) {
            above = middle;
        } else {
            below = middle;
        }
    }
    above
}

/// A bank whose tests together raise at most one false alarm in `run_length` probes on the average, where `accepted`
/// of them are lost. Each test has the same share. They alarm together more often than not, so that the
/// true number is lower; this one holds for certain.
#[must_use]
pub fn bank(accepted: f64, run_length: f64) -> Tests {
    let gains = cusum::alternatives(accepted).map(|alternative| cusum::gain(accepted, alternative));
    let share = run_length * TESTS as f64;
    Tests { gains, thresholds: gains.map(|gain| threshold(gain, accepted, share)) }
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
            let threshold = threshold(gain, 0.01, 1e6);
            assert!(average_run_length(gain, threshold, 0.01) >= 1e6);
            assert!(average_run_length(gain, threshold - 1, 0.01) < 1e6);
        }
    }

    #[test]
    fn a_bank_keeps_its_budget_and_wastes_little_of_it() {
        let tests = bank(0.01, 1e8);
        let rate = false_alarms(&tests, 0.01) * 1e8;
        assert!((0.2..=1.0).contains(&rate), "{rate}");
    }
}
