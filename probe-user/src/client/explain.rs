//! `linkprobe explain`: what a config guarantees, as a table.

use super::units::percent;
use crate::{
    config::Config,
    health::guarantee::{Detection, Guarantees, detection, guarantees},
};

/// What the config guarantees.
#[must_use]
pub fn explain(config: &Config) -> Guarantees {
    explain_within(config, detection::BUDGET)
}

fn explain_within(config: &Config, budget: u64) -> Guarantees {
    let settings = config.health.settings(&config.probe);
    guarantees(&settings, &config.probe.probing(), &config.health.goals(), budget)
}

/// The same for people.
#[must_use]
pub fn explain_table(guarantees: &Guarantees) -> String {
    let Guarantees { probes_per_second, recovery, .. } = guarantees;
    let often = if *probes_per_second >= 1.0 {
        format!("{probes_per_second:.1} times a second")
    } else {
        format!("every {} s", figure(1.0 / probes_per_second))
    };
    let mut text = format!(
        "Each path is probed {often}, each direction is judged by itself.\n\n\
         Loss that begins and goes on is seen after (a round trip comes on top)\n\n    \
         loss   probes sent        p99      seconds        p99\n"
    );
    for detection in &guarantees.detection {
        text += &row(detection);
    }
    text += &format!(
        "\nRecovery, from any state, once nothing is lost any more (a round trip comes on top):\n    \
         at most {} s, which is {} clean probes\n    \
         at most {} s, which is {} clean probes, after relapse upon relapse within the hour\n\
         \nFalse alarms, where as much is lost as is accepted all the time: at most {} a year and path\n\
         Without evidence, a verdict becomes unknown after {} s\n",
        figure(recovery.seconds),
        recovery.clean_probes,
        figure(recovery.seconds_damped),
        recovery.clean_probes_damped,
        figure(guarantees.false_alarms_per_year),
        figure(guarantees.expiry_seconds),
    );
    for warning in &guarantees.warnings {
        text += &format!("\nwarning: {warning}\n");
    }
    text
}

/// How soon one loss is seen.
fn row(detection: &Detection) -> String {
    let Detection { loss_ratio, accepted, more_than, .. } = detection;
    let loss = percent(*loss_ratio);
    if *accepted {
        return format!("    {loss:<6}   accepted: not an alarm\n");
    }
    // Where a quantile was not found, it is known what it is more than.
    let (sent, gone) = more_than.map_or((0, 0.0), |span| (span.probes, span.seconds));
    let probes =
        |found: Option<u32>| found.map_or_else(|| format!(">{sent}"), |probes| probes.to_string());
    let seconds = |found: Option<f64>| found.map_or_else(|| format!(">{}", figure(gone)), figure);
    format!(
        "    {loss:<6} {:>11} {:>10} {:>12} {:>10}\n",
        probes(detection.probes.p50),
        probes(detection.probes.p99),
        seconds(detection.seconds.p50),
        seconds(detection.seconds.p99),
    )
}

/// A number with about three digits.
fn figure(number: f64) -> String {
    match number {
        _ if number >= 99.95 => format!("{number:.0}"),
        _ if number >= 9.995 => format!("{number:.1}"),
        _ if number >= 0.0995 => format!("{number:.2}"),
        _ => format!("{number:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::{config::Profile, health::guarantee::Quantiles};

    fn config(text: &str) -> Config {
        let node = "[node]\nname = 'a'\nregion = 'r'\ninterfaces = ['eth0']\n";
        Config::parse(&format!("{node}{text}"), "f.toml").unwrap()
    }

    /// What people get, by profile.
    static PROFILES: LazyLock<[Guarantees; 3]> = LazyLock::new(|| {
        let text = |profile: Profile| format!("[health]\nprofile = '{}'\n", profile.label());
        Profile::ALL.map(|profile| explain(&config(&text(profile))))
    });

    /// With fewer runs than people get.
    fn of(text: &str) -> Guarantees {
        explain_within(&config(text), detection::BUDGET / 20)
    }

    /// Done when: in "balanced" at 100 ms and 4 flows, at most 2 s without damping; one false alarm a year.
    #[test]
    fn balanced_guarantees_what_is_promised() {
        let balanced = of("");
        assert!(balanced.recovery.seconds <= 2.0, "{:?}", balanced.recovery);
        assert!(balanced.false_alarms_per_year <= 1.0, "{}", balanced.false_alarms_per_year);
        assert_eq!(balanced.warnings, Vec::<String>::new());
        let slower = of("[probe]\nflows = 1\n");
        assert!(slower.false_alarms_per_year <= 1.0, "{}", slower.false_alarms_per_year);
    }

    #[test]
    fn more_loss_is_seen_sooner_and_so_it_is_by_quicker_profiles() {
        let [fast, balanced, calm] = &*PROFILES;
        for guarantees in &*PROFILES {
            for pair in guarantees.detection.windows(2) {
                assert!(pair[0].probes.p50 >= pair[1].probes.p50, "{pair:?}");
                assert!(pair[1].probes.p50.is_some(), "{pair:?}");
                assert!(pair[0].probes.p99 >= pair[0].probes.p50, "{pair:?}");
            }
        }
        for (quick, slow) in [(fast, balanced), (balanced, calm)] {
            for (quick, slow) in quick.detection.iter().zip(&slow.detection) {
                assert!(quick.seconds.p50 <= slow.seconds.p50, "{quick:?} {slow:?}");
            }
            assert!(quick.recovery.seconds <= slow.recovery.seconds);
            assert!(quick.false_alarms_per_year > slow.false_alarms_per_year);
        }
    }

    #[test]
    fn the_table_says_it_for_people() {
        let text = explain_table(&of(""));
        for line in [
            "Each path is probed 40.0 times a second",
            "    100 %           15 ",
            "at most 1.62 s, which is 60 clean probes",
            "Without evidence, a verdict becomes unknown after 3.00 s",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("warning"), "{text}");
    }

    #[test]
    fn a_path_that_is_probed_seldom_is_said_to_be() {
        let text = explain_table(&of(SELDOM));
        assert!(text.contains("Each path is probed every 60.0 s"), "{text}");
    }

    /// It used to play the accepted losses until a false alarm, which took for ever.
    #[test]
    fn what_is_accepted_is_not_played() {
        let all = of("[health]\naccepted_loss = '5%'\n");
        let accepted: Vec<bool> = all.detection.iter().map(|loss| loss.accepted).collect();
        assert_eq!(accepted, [true, true, true, false, false, false, false]);
        let text = explain_table(&all);
        assert!(text.contains("    5.0 %    accepted: not an alarm\n"), "{text}");
        assert!(text.contains("health.accepted_loss is 5 %: as much and less is never"), "{text}");
    }

    #[test]
    fn what_is_not_seen_within_what_is_played_is_said_so() {
        let text = explain_table(&of("[health]\naccepted_loss = '1.49%'\n"));
        let row = text.lines().find(|line| line.starts_with("    1.5 %")).unwrap();
        assert_eq!(row.matches('>').count(), 4, "{text}");
    }

    const SELDOM: &str = "[probe]\ninterval = '60s'\nflows = 1\n[health]\nexpiry = '61s'\n";

    #[test]
    fn what_cannot_be_had_is_warned_of() {
        for (text, warning) in [
            (SELDOM, "too few probes for the false-alarm budget: total loss is seen after"),
            (SELDOM, "health.expiry is less than two intervals and the timeout"),
            (
                SELDOM,
                "recovery takes 61 minutes even of a path that never relapsed; shorten probe.interval",
            ),
            ("[probe]\ninterval = '1s'", "budget: 5 % loss is seen after"),
            (
                "[probe]\nflows = 1",
                "budget: loss of 1.5 %, half as much again as is accepted, is seen after",
            ),
            ("[health]\nblip = '100ms'", "of 5 that are lost in a row, one counts"),
            ("[probe]\nflows = 1\n[health]\nblip = '10s'", "0 % loss is seen after more than"),
            (
                "[health]\nrecovery = '2m'\ndamping = '1h'",
                "a path that never relapsed; lower health.recovery",
            ),
            (
                "[probe]\ninterval = '1s'\n[health]\nexpiry = '1h'",
                "recovery grows to 8 minutes, more than health.damping",
            ),
            (
                "[probe]\ninterval = '10ms'\nflows = 16\n[health]\nrecovery = '1h'\ndamping = '1h'",
                "health.recovery is cut to 11 minutes: no more than 1048576 clean probes",
            ),
        ] {
            let warnings = of(text).warnings.join("\n");
            assert!(warnings.contains(warning), "{text}: {warnings}");
        }
    }

    /// README's table is made of this one.
    #[test]
    fn the_readme_says_the_same() {
        let readme = include_str!("../../../README.md");
        let all = &*PROFILES;
        let columns = |tell: &dyn Fn(&Guarantees) -> String| all.each_ref().map(tell).join(" | ");
        let mut rows: Vec<String> = (0..all[0].detection.len())
            .map(|row| {
                let loss = percent(all[0].detection[row].loss_ratio).replace(".0", "");
                let cells = columns(&|of| {
                    let Quantiles { p50, p99 } = of.detection[row].seconds;
                    format!("{} s ({} s)", rounded(p50.unwrap()), rounded(p99.unwrap()))
                });
                format!("| {loss} | {cells} |")
            })
            .collect();
        rows.push(format!(
            "| **recovery**, from any state | {} |",
            columns(&|of| format!("{} s", rounded(of.recovery.seconds)))
        ));
        rows.push(format!(
            "| after relapse upon relapse | {} |",
            columns(&|of| format!("{:.0} s", of.recovery.seconds_damped))
        ));
        rows.push(format!(
            "| false alarms a year, at 1 % loss all the time | {} |",
            columns(&|of| figure(of.false_alarms_per_year))
        ));
        let missing: Vec<_> = rows.iter().filter(|row| !readme.contains(*row)).collect();
        assert!(missing.is_empty(), "README.md is to say\n{}", rows.join("\n"));
    }

    /// Two digits.
    fn rounded(seconds: f64) -> String {
        match seconds {
            _ if seconds >= 99.5 => format!("{:.0}", (seconds / 10.0).round() * 10.0),
            _ if seconds >= 9.95 => format!("{seconds:.0}"),
            _ => format!("{seconds:.1}"),
        }
    }
}
