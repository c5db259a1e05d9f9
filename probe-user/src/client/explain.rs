//! `linkprobe explain`: what a config guarantees, as a table.

use super::units::percent;
use crate::{
    config::Config,
    health::guarantee::{Guarantees, guarantees},
};

/// What the config guarantees.
#[must_use]
pub fn explain(config: &Config) -> Guarantees {
    let settings = config.health.settings(&config.probe);
    guarantees(&settings, &config.probe.probing(), config.health.accepted_loss)
}

/// The same for people.
#[must_use]
pub fn explain_table(guarantees: &Guarantees) -> String {
    let Guarantees { probes_per_second, recovery, .. } = guarantees;
    let mut text = format!(
        "Each path is probed {probes_per_second:.1} times a second, each direction is judged by itself.\n\n\
         Loss that begins and goes on is seen after\n\n    \
         loss      probes        p99      seconds        p99\n"
    );
    for detection in &guarantees.detection {
        text += &format!(
            "    {:<6} {:>9} {:>10} {:>12} {:>10}\n",
            percent(detection.loss_ratio),
            detection.probes.p50,
            detection.probes.p99,
            figure(detection.seconds.p50),
            figure(detection.seconds.p99),
        );
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
    use super::*;

    fn of(text: &str) -> Guarantees {
        let node = "[node]\nname = 'a'\nregion = 'r'\ninterfaces = ['eth0']\n";
        explain(&Config::parse(&format!("{node}{text}"), "f.toml").unwrap())
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
        let [fast, balanced, calm] =
            ["fast", "balanced", "calm"].map(|name| of(&format!("[health]\nprofile = '{name}'\n")));
        for guarantees in [&fast, &balanced, &calm] {
            for pair in guarantees.detection.windows(2) {
                assert!(pair[0].probes.p50 >= pair[1].probes.p50, "{pair:?}");
                assert!(pair[0].probes.p99 >= pair[0].probes.p50, "{pair:?}");
            }
        }
        for (quick, slow) in [(&fast, &balanced), (&balanced, &calm)] {
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
            "    100 % ",
            "at most 1.62 s, which is 60 clean probes",
            "Without evidence, a verdict becomes unknown after 3.00 s",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("warning"), "{text}");
    }

    #[test]
    fn what_cannot_be_had_is_warned_of() {
        let slow = of("[probe]\ninterval = '30s'\nflows = 1\n[health]\nexpiry = '40s'\n");
        let all = slow.warnings.join("\n");
        assert!(all.contains("too few probes for the false-alarm budget"), "{all}");
        assert!(all.contains("health.expiry is less than two intervals"), "{all}");
        let blip = of("[health]\nblip = '100ms'\n").warnings.join("\n");
        assert!(blip.contains("of 5 that are lost in a row, one counts"), "{blip}");
    }
}
