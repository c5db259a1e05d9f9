//! How often detectors are wrong: measured, computed, and whether the computation can be believed.

use figures::Unit;
use probe_user::{
    config::{ProbeConfig, Profile},
    health::{Goals, Settings, guarantee::false_alarms_per_year, threshold},
    random::Random,
    verdict::SECOND,
};
use sim::detectors::Whole;

use super::{
    BACKGROUND,
    delays::{Contestant, Ours, SHARES, seed},
    findings::{Findings, figure},
};
use crate::pool;

/// False alarms that are expected where the computation is put to the test; it promises no more, and may well keep two
/// thirds of it only.
const EXPECTED: f64 = 300.0;
/// What happens less often by chance is taken for a contradiction.
const CHANCE: f64 = 0.001;

/// Probes in a year.
pub(super) fn probes_per_year(settings: &Settings) -> f64 {
    365.25 * 86_400.0 * SECOND as f64 / settings.spacing as f64
}

/// The bound that the tests of one direction keep together, in a year.
fn computed_forward(Ours { settings, flows, .. }: &Ours) -> f64 {
    let of = |tests| threshold::false_alarms(tests, BACKGROUND);
    // The tests of a path with one flow are those of the flow.
    let flows = if *flows > 1 { of(&settings.flow) } else { 0.0 };
    probes_per_year(settings) * (of(&settings.path) + flows)
}

/// A table of false alarms in one direction as measured, and of ours as computed beside them. `ours` are the first
/// contestants; `pace` is how many probes all of them see in a year. Returns how many there are in a year: computed of
/// ours, measured of the others.
pub(super) fn count(
    title: &str,
    contestants: &[Contestant],
    ours: &[Ours],
    pace: f64,
    probes: u64,
    findings: &mut Findings,
) -> Vec<f64> {
    let years = probes as f64 / pace;
    let (mut rows, mut contradicted, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for (index, alarms) in measure(contestants, probes).into_iter().enumerate() {
        let name = contestants[index].name;
        let computed = ours.get(index).map(computed_forward);
        let rate = alarms as f64 / years;
        let number = |value: f64| figure(Unit::Number, value);
        rows.push(vec![
            name.into(),
            number(alarms as f64),
            number(rate),
            number(upper_limit(alarms) / years),
            computed.map_or("-".into(), number),
        ]);
        rates.push(computed.unwrap_or(rate));
        if computed.is_some_and(|rate| contradicts(alarms, rate * years)) {
            contradicted.push(name);
        }
    }
    findings.table(
        format!(
            "{title}: false alarms in one direction at 1 % independent loss, {probes} probes each"
        ),
        &["", "measured", "a year", "95 %: a year at most", "computed, a year"],
        rows,
    );
    findings.part.notes.push(format!(
        "{title}, false alarms: these are {years:.2} path-years: none measured shows no more than {:.1} a year. What is less is \
         computed, and the computation is put to the test.",
        upper_limit(0) / years
    ));
    let measured =
        if contradicted.is_empty() { "none is".to_owned() } else { contradicted.join(", ") };
    let target = format!("{title}: measured false alarms are not above those computed");
    findings.sampled(&target, &measured, contradicted.is_empty());
    rates
}

/// How often each is wrong among so many probes. All see the same losses.
fn measure(contestants: &[Contestant], probes: u64) -> Vec<u64> {
    let width = contestants.len();
    let indices: Vec<usize> = (0..width * SHARES).collect();
    let of_shares = pool::map("false alarms", &indices, |&index| {
        let mut random = Random::new(seed(1, index / width));
        let mut detector = contestants[index % width].make();
        let (mut alarms, mut before) = (0_u64, false);
        for _ in 0..probes / SHARES as u64 {
            let bad = detector.observe(random.chance(BACKGROUND));
            alarms += u64::from(bad && !before);
            before = bad;
        }
        alarms
    });
    (0..width).map(|index| of_shares.iter().skip(index).step_by(width).sum()).collect()
}

/// Plays the whole engine with a budget so loose that false alarms are many, and compares them with the computation by
/// which the thresholds of every budget are found.
pub(super) fn validate(probes: u64, findings: &mut Findings) {
    findings.method(format!(
        "The computation of false alarms is put to the test: the whole engine (both directions, flows, round trips), with 1 % of \
         each independent, {probes} probes, a new path after each alarm, and budgets of {EXPECTED} alarms in that time."
    ));
    for flows in [1, 4] {
        let settings = loose(flows, probes);
        let computed = computed(&settings, flows, probes);
        let measured = of_the_whole(&settings, flows, probes);
        let said =
            format!("{measured}, computed {computed:.1} ({:.2}x)", measured as f64 / computed);
        let target =
            format!("{flows} flow(s): no more false alarms than computed, of at least 100");
        findings.sampled(&target, &said, computed >= 100.0 && !contradicts(measured, computed));
    }
}

/// False alarms of everything among so many probes at most.
fn computed(settings: &Settings, flows: u16, probes: u64) -> f64 {
    false_alarms_per_year(settings, flows, BACKGROUND) * probes as f64 / probes_per_year(settings)
}

/// How often the whole engine is wrong among so many probes, with a new path after each alarm.
fn of_the_whole(settings: &Settings, flows: u16, probes: u64) -> u64 {
    let fresh = Whole::new(*settings, flows);
    let indices: Vec<usize> = (0..SHARES).collect();
    let of_shares = pool::map("false alarms of the whole engine", &indices, |&index| {
        let mut random = Random::new(seed(2, index));
        let mut whole = fresh.clone();
        let mut alarms = 0;
        for _ in 0..probes / SHARES as u64 {
            let [forward, reverse, slow] = [(); 3].map(|()| random.chance(BACKGROUND));
            if whole.observe(forward, reverse, slow) {
                (whole, alarms) = (fresh.clone(), alarms + 1);
            }
        }
        alarms
    });
    of_shares.iter().sum()
}

/// "balanced", with a budget that so many probes use up as often as is expected.
fn loose(flows: u16, probes: u64) -> Settings {
    let probe = ProbeConfig { flows, ..ProbeConfig::default() };
    let pace = probes_per_year(&Profile::Balanced.health().settings(&probe));
    let goals = Goals {
        false_alarms_per_year: EXPECTED * pace / probes as f64,
        ..Profile::Balanced.health().goals()
    };
    Settings::new(&goals, probe.probing().interval, flows)
}

/// Whether so many are more than chance allows, where no more than `expected` are promised.
fn contradicts(measured: u64, expected: f64) -> bool {
    measured > 0 && 1.0 - poisson(measured - 1, expected) < CHANCE
}

/// What of the true mean can be said with 95 % confidence where so many were counted: it is no more than this.
fn upper_limit(counted: u64) -> f64 {
    let (mut below, mut above) = (counted as f64, 2.0 * counted as f64 + 4.0);
    while above - below > 1e-6 * above {
        let middle = below.midpoint(above);
        if poisson(counted, middle) > 0.05 {
            below = middle;
        } else {
            above = middle;
        }
    }
    above
}

/// The probability of no more than so many, where `mean` are expected and each comes by itself.
fn poisson(count: u64, mean: f64) -> f64 {
    let mut logarithm = -mean;
    let mut sum = logarithm.exp();
    for number in 1..=count {
        logarithm += (mean / number as f64).ln();
        sum += logarithm.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Garwood (1936): half of the 95 % quantile of chi-squared with 2 (n + 1) degrees of freedom.
    #[test]
    fn limits_agree_with_the_table() {
        for (counted, limit) in [(0, 2.996), (1, 4.744), (10, 16.962), (100, 118.079)] {
            assert!(
                (upper_limit(counted) - limit).abs() < 0.002,
                "{counted}: {}",
                upper_limit(counted)
            );
        }
    }

    #[test]
    fn only_what_is_no_chance_contradicts() {
        assert!(!contradicts(0, 0.001) && !contradicts(120, 100.0) && !contradicts(1, 0.5));
        assert!(contradicts(140, 100.0) && contradicts(3, 0.1) && contradicts(1, 0.0001));
    }

    /// The test of the computation can fail: an engine whose thresholds are lower than those that were computed.
    #[test]
    fn an_engine_that_alarms_too_early_is_found() {
        let probes = 1_000_000;
        for flows in [1, 4] {
            let settings = loose(flows, probes);
            let promised = computed(&settings, flows, probes);
            assert!(promised >= 100.0);
            assert!(!contradicts(of_the_whole(&settings, flows, probes), promised));
            let mut hasty = settings;
            for threshold in &mut hasty.path.thresholds {
                *threshold = *threshold * 2 / 3;
            }
            assert!(contradicts(of_the_whole(&hasty, flows, probes), promised));
        }
    }
}
