//! Which way traffic goes.

use prometheus::proto::{MetricFamily, MetricType};

use super::{
    Route, Routes,
    family::{counter, family, gauge},
};
use crate::verdict::State;

fn destinations(overlay: Option<&Routes>) -> impl Iterator<Item = &Route> {
    overlay.into_iter().flat_map(|overlay| &overlay.destinations)
}

/// Which way the traffic of a destination goes; always 1.
pub(super) fn route(overlay: Option<&Routes>) -> MetricFamily {
    let sample = |destination: &Route| {
        let via = destination.via.as_deref().unwrap_or("direct");
        gauge(&[("peer", &destination.peer), ("via", via)], 1.0)
    };
    family(
        "linkprobe_overlay_route",
        "Which way the traffic of a destination goes, always 1",
        MetricType::GAUGE,
        destinations(overlay).map(sample),
    )
}

/// How many candidates a destination has, by the verdict on the way there.
pub(super) fn candidates(overlay: Option<&Routes>) -> MetricFamily {
    let samples = |destination: &Route| {
        State::ALL.map(|state| {
            let labels = [("peer", destination.peer.as_str()), ("state", state.label())];
            gauge(&labels, destination.candidates.of(state) as f64)
        })
    };
    family(
        "linkprobe_overlay_candidates",
        "Ways to a destination, by the verdict on the way there",
        MetricType::GAUGE,
        destinations(overlay).flat_map(samples),
    )
}

/// Changes of the way that the traffic of a destination goes.
pub(super) fn moves(overlay: Option<&Routes>) -> MetricFamily {
    let sample = |destination: &Route| counter(&[("peer", &destination.peer)], destination.moves);
    family(
        "linkprobe_overlay_route_changes_total",
        "Changes of the way that the traffic of a destination goes",
        MetricType::COUNTER,
        destinations(overlay).map(sample),
    )
}

/// What keeps the kernel from routing as it was chosen; how many things.
pub(super) fn problems(overlay: Option<&Routes>) -> MetricFamily {
    family(
        "linkprobe_overlay_problems",
        "How many things keep the kernel from routing as it was chosen",
        MetricType::GAUGE,
        overlay.map(|overlay| gauge(&[], overlay.problems as f64)),
    )
}

/// Routes and rules that were mended because somebody else had changed them.
pub(super) fn repairs(overlay: Option<&Routes>) -> MetricFamily {
    family(
        "linkprobe_overlay_repairs_total",
        "Routes and rules that were mended because somebody else had changed them",
        MetricType::COUNTER,
        overlay.map(|overlay| counter(&[], overlay.repairs)),
    )
}
