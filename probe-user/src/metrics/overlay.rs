//! Which way traffic goes.

use prometheus::proto::{MetricFamily, MetricType};

use super::family::{counter, family, gauge};
use crate::{
    report::overlay::{Candidate, Destination, Overlay},
    verdict::State,
};

/// What stands for the direct way in the label `via`.
const DIRECT: &str = "direct";

fn via(candidate: &Candidate) -> &str {
    candidate.via.as_deref().unwrap_or(DIRECT)
}

fn destinations(overlay: Option<&Overlay>) -> impl Iterator<Item = &Destination> {
    overlay.into_iter().flat_map(|overlay| &overlay.destinations)
}

/// Which candidate the traffic of a destination goes by: 1 for that, 0 for the others.
pub(super) fn route(overlay: Option<&Overlay>) -> MetricFamily {
    let samples = |destination: &Destination| {
        let sample = |candidate: &Candidate| {
            let labels = [("peer", destination.peer.as_str()), ("via", via(candidate))];
            gauge(&labels, f64::from(u8::from(candidate.in_use)))
        };
        destination.candidates.iter().map(sample).collect::<Vec<_>>()
    };
    family(
        "linkprobe_overlay_route",
        "Which way the traffic of a destination goes: 1 for that, 0 for the rest",
        MetricType::GAUGE,
        destinations(overlay).flat_map(samples),
    )
}

/// The verdict on the way there by each candidate: 1 for what holds, 0 for the rest.
pub(super) fn candidate_state(overlay: Option<&Overlay>) -> MetricFamily {
    let samples = |destination: &Destination| {
        let sample = |candidate: &Candidate| {
            State::ALL.map(|state| {
                let holds = f64::from(u8::from(candidate.forward.verdict == state));
                let peer = ("peer", destination.peer.as_str());
                gauge(&[peer, ("via", via(candidate)), ("state", state.label())], holds)
            })
        };
        destination.candidates.iter().flat_map(sample).collect::<Vec<_>>()
    };
    family(
        "linkprobe_overlay_candidate_state",
        "The verdict on the way there by each candidate: 1 for what holds, 0 for the rest",
        MetricType::GAUGE,
        destinations(overlay).flat_map(samples),
    )
}

/// Changes of the way that the traffic of a destination goes.
pub(super) fn moves(overlay: Option<&Overlay>) -> MetricFamily {
    let sample =
        |destination: &Destination| counter(&[("peer", &destination.peer)], destination.moves);
    family(
        "linkprobe_overlay_route_changes_total",
        "Changes of the way that the traffic of a destination goes",
        MetricType::COUNTER,
        destinations(overlay).map(sample),
    )
}

/// What keeps the kernel from routing as it was chosen; how many things.
pub(super) fn problems(overlay: Option<&Overlay>) -> MetricFamily {
    family(
        "linkprobe_overlay_problems",
        "How many things keep the kernel from routing as it was chosen",
        MetricType::GAUGE,
        overlay.map(|overlay| gauge(&[], overlay.problems.len() as f64)),
    )
}

/// Routes and rules that were mended because somebody else had changed them.
pub(super) fn repairs(overlay: Option<&Overlay>) -> MetricFamily {
    family(
        "linkprobe_overlay_repairs_total",
        "Routes and rules that were mended because somebody else had changed them",
        MetricType::COUNTER,
        overlay.map(|overlay| counter(&[], overlay.repairs)),
    )
}
