//! What is measured of the paths. Labels: `peer`, its `region`, and mostly a `direction`.

use prometheus::proto::{MetricFamily, MetricType};

use super::{
    RegionRtt,
    family::{family, histogram},
    text::{Family, Kind, Labels},
};
use crate::{
    report::{Direction, Path},
    verdict::State,
};

/// A path, with its labels as they are written.
pub(super) struct Labelled<'p> {
    path: &'p Path,
    labels: Labels,
}

impl<'p> Labelled<'p> {
    /// All paths.
    pub(super) fn all(paths: &'p [Path]) -> Vec<Self> {
        let labelled = |path: &'p Path| {
            let labels = Labels::new(&[("peer", &path.peer), ("region", &path.region)]);
            Self { path, labels }
        };
        paths.iter().map(labelled).collect()
    }
}

/// Test packets that left this host, as the kernel counted them.
pub(super) fn probes_sent(paths: &[Labelled<'_>], out: &mut String) {
    let (name, help) = ("linkprobe_probes_sent_total", "Test packets that left this host");
    let mut family = Family::new(out, name, help, Kind::Counter);
    for Labelled { path, labels } in paths {
        family.sample(labels, &[], path.probes.sent);
    }
}

/// Test packets that were answered, in time or late.
pub(super) fn probes_answered(paths: &[Labelled<'_>], out: &mut String) {
    let (name, help) = ("linkprobe_probes_answered_total", "Test packets that were answered");
    let mut family = Family::new(out, name, help, Kind::Counter);
    for Labelled { path, labels } in paths {
        family.sample(labels, &[], path.probes.answered);
    }
}

/// Test packets that were lost, by the direction in which; `unknown` where nothing tells.
pub(super) fn probes_lost(paths: &[Labelled<'_>], out: &mut String) {
    let name = "linkprobe_probes_lost_total";
    let help = "Test packets that were lost, by the direction in which";
    let mut family = Family::new(out, name, help, Kind::Counter);
    for Labelled { path, labels } in paths {
        let lost = &path.probes;
        family.sample(labels, &[("direction", "forward")], lost.lost_forward);
        family.sample(labels, &[("direction", "reverse")], lost.lost_reverse);
        family.sample(labels, &[("direction", "unknown")], lost.lost_unknown);
    }
}

/// Test packets that were due and never left: this host's fault, and no loss.
pub(super) fn probes_not_sent(paths: &[Labelled<'_>], out: &mut String) {
    let name = "linkprobe_probes_not_sent_total";
    let help = "Test packets that were due but never left this host";
    let mut family = Family::new(out, name, help, Kind::Counter);
    for Labelled { path, labels } in paths {
        family.sample(labels, &[], path.probes.not_sent);
    }
}

/// Test packets that were taken for lost and then answered; they count as answered.
pub(super) fn probes_late(paths: &[Labelled<'_>], out: &mut String) {
    let name = "linkprobe_probes_late_total";
    let help = "Test packets that were given up and answered after all";
    let mut family = Family::new(out, name, help, Kind::Counter);
    for Labelled { path, labels } in paths {
        family.sample(labels, &[], path.probes.late);
    }
}

/// The loss that a verdict rests on, 0 to 1; absent where it rests on nothing.
pub(super) fn loss_ratio(paths: &[Labelled<'_>], out: &mut String) {
    let help = "Share of the latest test packets that was lost, 0 to 1";
    let mut family = Family::new(out, "linkprobe_loss_ratio", help, Kind::Gauge);
    each_direction(paths, |labels, way, direction| {
        if let Some(ratio) = direction.evidence.loss_ratio {
            family.sample(labels, &[way], ratio);
        }
    });
}

/// Round-trip times in seconds without the reflector's residence, by region of the peer.
pub(super) fn rtt(regions: &[RegionRtt]) -> MetricFamily {
    let sample = |rtt: &RegionRtt| {
        histogram(&[("region", rtt.region.as_str())], rtt.bounds, &rtt.counts, rtt.sum)
    };
    family(
        "linkprobe_rtt_seconds",
        "Round-trip time less the time in the reflector, by region of the peer",
        MetricType::HISTOGRAM,
        regions.iter().map(sample),
    )
}

/// The verdict: 1 for the state that holds, 0 for the others.
pub(super) fn state(paths: &[Labelled<'_>], out: &mut String) {
    let help = "Verdict on a direction of a path: 1 for the state that holds, 0 for the others";
    let mut family = Family::new(out, "linkprobe_path_state", help, Kind::Gauge);
    each_direction(paths, |labels, way, direction| {
        for state in State::ALL {
            let holds = u8::from(direction.verdict == state);
            family.sample(labels, &[way, ("state", state.label())], holds);
        }
    });
}

/// Changes of the verdict, by the state it changed to. Those to *healthy* and *unhealthy* are there from the start, so that an
/// alert sees the first one; the others once there was one.
pub(super) fn transitions(paths: &[Labelled<'_>], out: &mut String) {
    let help = "Changes of the verdict, by the state that it changed to";
    let mut family = Family::new(out, "linkprobe_path_transitions_total", help, Kind::Counter);
    each_direction(paths, |labels, way, direction| {
        for state in State::ALL {
            let transitions = direction.transitions.to(state);
            if transitions > 0 || matches!(state, State::Healthy | State::Unhealthy) {
                family.sample(labels, &[way, ("to", state.label())], transitions);
            }
        }
    });
}

/// Age in seconds of the newest evidence of a verdict; absent where there is none.
pub(super) fn verdict_age(paths: &[Labelled<'_>], out: &mut String) {
    let help = "Age of the newest evidence that a verdict rests on";
    let mut family = Family::new(out, "linkprobe_verdict_age_seconds", help, Kind::Gauge);
    each_direction(paths, |labels, way, direction| {
        if let Some(age) = direction.age_seconds {
            family.sample(labels, &[way], age);
        }
    });
}

/// Goes through both directions of every path.
fn each_direction(
    paths: &[Labelled<'_>],
    mut sample: impl FnMut(&Labels, (&'static str, &'static str), &Direction),
) {
    for Labelled { path, labels } in paths {
        for (way, direction) in path.directions() {
            sample(labels, ("direction", way.label()), direction);
        }
    }
}
