//! What the regions are to this node.

use prometheus::proto::{MetricFamily, MetricType};

use super::family::{counter, family, gauge};
use crate::{report::Region, verdict::Reach};

/// What a region is to this node: 1 for what holds, 0 for the rest.
pub(super) fn reach(regions: &[Region]) -> MetricFamily {
    let samples = |region: &Region| {
        let (name, holds) = (region.name.as_str(), region.reach);
        Reach::ALL.map(|reach| {
            let labels = [("region", name), ("reach", reach.label())];
            gauge(&labels, f64::from(u8::from(reach == holds)))
        })
    };
    family(
        "linkprobe_region_reach",
        "Whether traffic goes to a region and back: 1 for what holds, 0 for the rest",
        MetricType::GAUGE,
        regions.iter().flat_map(samples),
    )
}

/// Changes of what a region is to this node, by what it changed to.
pub(super) fn transitions(regions: &[Region]) -> MetricFamily {
    let samples = |region: &Region| {
        let (name, transitions) = (region.name.as_str(), region.reach_transitions);
        Reach::ALL.map(|reach| {
            let labels = [("region", name), ("to", reach.label())];
            counter(&labels, transitions.to(reach))
        })
    };
    family(
        "linkprobe_region_transitions_total",
        "Changes of the reach of a region, by what it changed to",
        MetricType::COUNTER,
        regions.iter().flat_map(samples),
    )
}
