//! What is measured of the paths. Labels: `peer`, its `region`, and mostly a `direction`.

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::RegionRtt;
use super::family::{counter, family, gauge, histogram};
use crate::report::{Direction, Path};
use crate::verdict::State;

/// Test packets that left this host, as the kernel counted them.
pub(super) fn probes_sent(paths: &[Path]) -> MetricFamily {
    family(
        "linkprobe_probes_sent_total",
        "Test packets that left this host",
        MetricType::COUNTER,
        paths.iter().map(|path| counter(&peer(path), path.probes.sent)),
    )
}

/// Test packets that were answered, in time or late.
pub(super) fn probes_answered(paths: &[Path]) -> MetricFamily {
    family(
        "linkprobe_probes_answered_total",
        "Test packets that were answered",
        MetricType::COUNTER,
        paths.iter().map(|path| counter(&peer(path), path.probes.answered)),
    )
}

/// Test packets that were lost, by the direction in which; `unknown` where nothing tells.
pub(super) fn probes_lost(paths: &[Path]) -> MetricFamily {
    let samples = |path: &Path| {
        let [name, region] = peer(path);
        [
            ("forward", path.probes.lost_forward),
            ("reverse", path.probes.lost_reverse),
            ("unknown", path.probes.lost_unknown),
        ]
        .map(|(direction, lost)| counter(&[name, region, ("direction", direction)], lost))
    };
    family(
        "linkprobe_probes_lost_total",
        "Test packets that were lost, by the direction in which",
        MetricType::COUNTER,
        paths.iter().flat_map(samples),
    )
}

/// Test packets that were due and never left: this host's fault, and no loss.
pub(super) fn probes_not_sent(paths: &[Path]) -> MetricFamily {
    family(
        "linkprobe_probes_not_sent_total",
        "Test packets that were due but never left this host",
        MetricType::COUNTER,
        paths.iter().map(|path| counter(&peer(path), path.probes.not_sent)),
    )
}

/// Test packets that were taken for lost and then answered; they count as answered.
pub(super) fn probes_late(paths: &[Path]) -> MetricFamily {
    family(
        "linkprobe_probes_late_total",
        "Test packets that were given up and answered after all",
        MetricType::COUNTER,
        paths.iter().map(|path| counter(&peer(path), path.probes.late)),
    )
}

/// The loss that a verdict rests on, 0 to 1; absent where it rests on nothing.
pub(super) fn loss_ratio(paths: &[Path]) -> MetricFamily {
    family(
        "linkprobe_loss_ratio",
        "Share of the latest test packets that was lost, 0 to 1",
        MetricType::GAUGE,
        by_direction(paths, |labels, direction| {
            direction.evidence.loss_ratio.map(|ratio| gauge(labels, ratio))
        }),
    )
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
pub(super) fn state(paths: &[Path]) -> MetricFamily {
    family(
        "linkprobe_path_state",
        "Verdict on a direction of a path: 1 for the state that holds, 0 for the others",
        MetricType::GAUGE,
        by_direction(paths, |[peer, region, direction], report| {
            State::ALL.map(|state| {
                let holds = f64::from(u8::from(report.verdict == state));
                gauge(&[*peer, *region, *direction, ("state", state.label())], holds)
            })
        }),
    )
}

/// Changes of the verdict, by the state it changed to.
pub(super) fn transitions(paths: &[Path]) -> MetricFamily {
    family(
        "linkprobe_path_transitions_total",
        "Changes of the verdict, by the state that it changed to",
        MetricType::COUNTER,
        by_direction(paths, |[peer, region, direction], report| {
            State::ALL.map(|state| {
                let labels = [*peer, *region, *direction, ("to", state.label())];
                counter(&labels, report.transitions.to(state))
            })
        }),
    )
}

/// Age in seconds of the newest evidence of a verdict; absent where there is none.
pub(super) fn verdict_age(paths: &[Path]) -> MetricFamily {
    family(
        "linkprobe_verdict_age_seconds",
        "Age of the newest evidence that a verdict rests on",
        MetricType::GAUGE,
        by_direction(paths, |labels, direction| {
            direction.age_seconds.map(|age| gauge(labels, age))
        }),
    )
}

type Label<'p> = (&'static str, &'p str);

fn peer(path: &Path) -> [Label<'_>; 2] {
    [("peer", path.peer.as_str()), ("region", path.region.as_str())]
}

/// The samples of both directions of every path.
fn by_direction<S: IntoIterator<Item = Metric>>(
    paths: &[Path],
    mut samples: impl FnMut(&[Label<'_>; 3], &Direction) -> S,
) -> Vec<Metric> {
    let mut all = Vec::new();
    for path in paths {
        let [name, region] = peer(path);
        for (way, direction) in path.directions() {
            all.extend(samples(&[name, region, ("direction", way.label())], direction));
        }
    }
    all
}
