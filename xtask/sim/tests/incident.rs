//! The incident: a node that is cut off for some seconds, and agents with the defects that met there.

use std::time::Duration;

use probe_user::{
    config::{ProbeConfig, Profile},
    health::{
        Settings,
        defect::{Defect, Defects},
        guarantee::Probing,
    },
    verdict::{Direction, MILLISECOND, Nanos, SECOND, State},
};
use sim::world::{Setup, World};

const NODES: usize = 4;
const SICK: usize = 1;
const BURST: Nanos = 8 * SECOND;
/// With the network in order again: what is not healthy by then is later than the product promises.
const PROMPT: Nanos = 3 * SECOND;
const HOUR: Nanos = 3_600 * SECOND;

/// Four nodes that are well, and then a burst. It is just over when this returns.
fn after_the_burst(defects: Defects) -> World {
    let probe =
        ProbeConfig { flows: 4, interval: Duration::from_millis(100), ..ProbeConfig::default() };
    let settings = Settings { defects, ..Profile::Balanced.health().settings(&probe) };
    let probing = Probing { interval: 100 * MILLISECOND, timeout: SECOND, flows: 4 };
    let setup = Setup { nodes: NODES, probing, settings, tick: 10 * MILLISECOND, overlay: false };
    let mut world = World::new(setup, 7);
    world.run_until(world.now() + 10 * SECOND);
    assert_eq!(unwell(&world), []);
    let end = world.now() + BURST;
    for other in (0..NODES).filter(|other| *other != SICK) {
        world.links[SICK][other].black_until = end;
        world.links[other][SICK].black_until = end;
    }
    world.run_until(end);
    world
}

/// The paths, from and to, of which not all is healthy.
fn unwell(world: &World) -> Vec<(usize, usize)> {
    let is_well = |from, to| {
        Direction::ALL.into_iter().all(|way| world.state(from, to, way) == State::Healthy)
    };
    world.pairs().filter(|(from, to)| !is_well(*from, *to)).collect()
}

/// The paths to and from the sick node, in both directions.
fn sick() -> Vec<(usize, usize)> {
    let pairs = (0..NODES).flat_map(|from| (0..NODES).map(move |to| (from, to)));
    pairs.filter(|(from, to)| from != to && (*from == SICK || *to == SICK)).collect()
}

#[test]
fn either_defect_alone_heals_and_so_does_none() {
    for defects in [
        Defects::NONE,
        Defects::NONE.with(Defect::Revalidation),
        Defects::NONE.with(Defect::Pinning),
    ] {
        let mut world = after_the_burst(defects);
        assert_eq!(unwell(&world), sick(), "{defects:?}: the burst is seen");
        world.run_until(world.now() + PROMPT);
        assert_eq!(unwell(&world), [], "{defects:?}");
    }
}

#[test]
fn each_of_both_holds_the_other_in_place() {
    let mut world = after_the_burst(Defects::NONE.with(Defect::Revalidation).with(Defect::Pinning));
    world.run_until(world.now() + HOUR);
    assert_eq!(unwell(&world), sick());
}
