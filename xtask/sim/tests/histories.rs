//! Histories after which a verdict must be the one that its evidence bears out, whatever was before.
//!
//! Two nodes, at a probe every 100 ms of each of four flows, unless said otherwise.

use probe_user::{
    config::{ProbeConfig, Profile},
    health::guarantee::Probing,
    verdict::{
        Direction::{self, Forward, Reverse},
        MILLISECOND, Nanos, SECOND,
        State::{self, Degraded, Healthy, Unhealthy, Unknown},
    },
};
use sim::{
    loss::{Loss, Lossy},
    world::{Setup, World},
};

const HOUR: Nanos = 3_600 * SECOND;

fn world(flows: u16, interval: Nanos) -> World {
    let probe = ProbeConfig {
        flows,
        interval: std::time::Duration::from_nanos(interval),
        ..ProbeConfig::default()
    };
    let settings = Profile::Balanced.health().settings(&probe);
    let probing = Probing { interval, timeout: SECOND, flows };
    let mut world = World::new(
        Setup { nodes: 2, probing, settings, tick: 10 * MILLISECOND, overlay: false },
        7,
    );
    pass(&mut world, 60 * interval.max(100 * MILLISECOND));
    assert_eq!(states(&world), (Healthy, Healthy));
    world
}

fn four_flows() -> World {
    world(4, 100 * MILLISECOND)
}

fn pass(world: &mut World, time: Nanos) {
    world.run_until(world.now() + time);
}

/// Which ways are dead: from node 0 to node 1, and back.
fn die(world: &mut World, there: bool, back: bool) {
    world.links[0][1].black_until = if there { Nanos::MAX } else { 0 };
    world.links[1][0].black_until = if back { Nanos::MAX } else { 0 };
}

/// What node 0 says.
fn states(world: &World) -> (State, State) {
    (world.state(0, 1, Forward), world.state(0, 1, Reverse))
}

/// Most changes of a direction of node 0 within an hour.
fn most_changes(world: &World, direction: Direction) -> usize {
    let of_direction = world
        .changes
        .iter()
        .filter(|change| change.node == 0 && change.transition.direction == direction);
    let times: Vec<Nanos> = of_direction.map(|change| change.transition.at).collect();
    let within = |from: &Nanos| times.iter().filter(|at| (*from..from + HOUR).contains(at)).count();
    times.iter().map(within).max().unwrap_or(0)
}

/// Invariants 6 and 8: what came long ago does not vouch for what has ended.
#[test]
fn a_way_back_that_dies_after_hours_of_silence_is_not_healthy_for_long() {
    let mut world = four_flows();
    die(&mut world, true, false);
    pass(&mut world, HOUR);
    assert_eq!(states(&world), (Unhealthy, Healthy));
    die(&mut world, true, true);
    pass(&mut world, 10 * SECOND);
    assert_eq!(states(&world).1, Unhealthy, "nothing has come for ten seconds");
}

/// Invariant 7: the peer's probes come, so the way back is not sick, however long it was.
#[test]
fn a_way_back_that_heals_after_hours_of_silence_is_blamed_no_more() {
    let mut world = four_flows();
    die(&mut world, true, true);
    pass(&mut world, HOUR);
    assert_eq!(states(&world), (Unknown, Unhealthy));
    die(&mut world, true, false);
    pass(&mut world, 20 * SECOND);
    assert_eq!(states(&world).0, Unhealthy, "and the way there is known to be dead");
    assert_ne!(states(&world).1, Unhealthy);
}

/// Invariant 3, from unknown: evidence that comes back is believed.
#[test]
fn losses_on_the_way_there_are_seen_through_changes_of_the_way_back() {
    let mut world = four_flows();
    for (there, back, time) in [(true, false, 5), (true, true, 5), (true, false, 60)] {
        die(&mut world, there, back);
        pass(&mut world, time * SECOND);
    }
    assert_eq!(states(&world).0, Unhealthy);
    assert_ne!(states(&world).1, Unhealthy);
}

/// Invariant 1 beside a fault that stays: the flows that pass make the path well again.
#[test]
fn a_dead_flow_does_not_hold_a_path_after_an_outage() {
    for (there, back) in [(true, true), (true, false), (false, true)] {
        let mut world = four_flows();
        die(&mut world, true, true);
        pass(&mut world, 10 * SECOND);
        die(&mut world, false, false);
        for (from, to, is_dead) in [(0, 1, there), (1, 0, back)] {
            world.links[from][to].dead_flows = if is_dead { 1 << 3 } else { 0 };
        }
        pass(&mut world, 30 * SECOND);
        for state in [states(&world).0, states(&world).1] {
            assert!(matches!(state, Healthy | Degraded), "{there} {back}: {:?}", states(&world));
        }
        assert!(states(&world).0 == Degraded || states(&world).1 == Degraded);
    }
}

/// The same after a relapse, when the path is held back.
#[test]
fn a_dead_flow_does_not_hold_a_path_after_a_relapse() {
    let mut world = four_flows();
    for outage in 0..2 {
        die(&mut world, true, false);
        pass(&mut world, 3 * SECOND);
        assert_eq!(states(&world).0, Unhealthy);
        die(&mut world, false, false);
        world.links[0][1].dead_flows = if outage == 1 { 1 << 3 } else { 0 };
        pass(&mut world, 60 * SECOND);
    }
    assert_eq!(states(&world).0, Degraded);
}

/// Invariant 9, at paces at which a probe is given up before the path counts as silent.
#[test]
fn total_loss_there_is_not_blamed_on_the_way_back_at_any_pace() {
    for (flows, interval) in [(1, 100), (4, 1_000), (2, 500), (16, 100)] {
        let mut world = world(flows, interval * MILLISECOND);
        die(&mut world, true, false);
        pass(&mut world, 60 * SECOND);
        assert_eq!(states(&world).0, Unhealthy, "{flows} flows, {interval} ms");
        assert_eq!(states(&world).1, Healthy, "{flows} flows, {interval} ms");
    }
}

/// Round trips of single flows that are longer make no path flap (invariant 15).
#[test]
fn a_longer_way_of_one_flow_makes_no_path_flap() {
    let mut world = four_flows();
    world.links[0][1].slow_flows = (1, 200 * MILLISECOND);
    pass(&mut world, 3 * HOUR);
    for direction in Direction::ALL {
        assert!(most_changes(&world, direction) <= 4, "{:?}", world.changes);
    }
}

/// Invariant 2: a day of health makes it as if nothing had been, for a node that stalls too.
#[test]
fn a_day_of_health_forgets_relapses_before_a_stall() {
    let mut world = four_flows();
    for _ in 0..8 {
        die(&mut world, true, true);
        pass(&mut world, 5 * SECOND);
        die(&mut world, false, false);
        pass(&mut world, 120 * SECOND);
    }
    assert_eq!(states(&world), (Healthy, Healthy));
    pass(&mut world, 2 * HOUR);
    world.nodes[0].sender_stalled_until = world.now() + 10 * SECOND;
    pass(&mut world, 10 * SECOND);
    assert_eq!(states(&world), (Unknown, Unknown));
    pass(&mut world, 2 * SECOND);
    assert_eq!(states(&world), (Healthy, Healthy));
}

/// A path that was slow for a while is not taken for one that has relapsed when it loses for the first time.
#[test]
fn slow_round_trips_do_not_damp_the_recovery_from_loss() {
    let mut world = four_flows();
    let delay = world.links[0][1].delay;
    world.links[0][1].delay = delay + 300 * MILLISECOND;
    pass(&mut world, 10 * SECOND);
    assert_eq!(states(&world), (Degraded, Degraded));
    world.links[0][1].delay = delay;
    pass(&mut world, 10 * SECOND);
    assert_eq!(states(&world), (Healthy, Healthy));
    die(&mut world, true, true);
    pass(&mut world, 5 * SECOND);
    die(&mut world, false, false);
    pass(&mut world, 3 * SECOND);
    assert_eq!(states(&world), (Healthy, Healthy));
}

/// Invariant 8: where losses were before says nothing for a way back by which nothing comes any more.
#[test]
fn old_losses_do_not_vouch_for_the_way_back_of_a_peer_that_does_not_probe() {
    let mut world = four_flows();
    world.nodes[1].sender_stalled_until = Nanos::MAX;
    pass(&mut world, 120 * SECOND);
    world.links[0][1].lossy = Lossy::new(Loss::Independent(0.02));
    pass(&mut world, 10 * SECOND);
    assert_eq!(states(&world), (Healthy, Healthy));
    die(&mut world, true, true);
    pass(&mut world, 5 * SECOND);
    assert_ne!(states(&world).1, Healthy, "nothing has come for five seconds");
}

/// Invariant 9, where the peer's own probes cannot vouch for the way back.
#[test]
fn loss_there_is_no_loss_on_the_way_back_from_a_peer_that_does_not_probe() {
    for ratio in [0.5, 0.6, 0.7, 0.8] {
        let mut world = four_flows();
        world.nodes[1].sender_stalled_until = Nanos::MAX;
        pass(&mut world, 120 * SECOND);
        world.links[0][1].lossy = Lossy::new(Loss::Independent(ratio));
        world.changes.clear();
        pass(&mut world, 600 * SECOND);
        assert_eq!(states(&world), (Unhealthy, Healthy), "{ratio} is lost there");
        assert_eq!(most_changes(&world, Reverse), 0, "{ratio} is lost there");
    }
}

/// Invariant 15: where much is lost on the way back for good, the peer seems to fall silent now and then.
#[test]
fn loss_on_the_way_back_makes_no_way_there_come_and_go() {
    for ratio in [0.5, 0.6, 0.7, 0.8, 0.9] {
        let mut world = four_flows();
        world.links[1][0].lossy = Lossy::new(Loss::Independent(ratio));
        world.changes.clear();
        pass(&mut world, HOUR);
        assert!(most_changes(&world, Forward) <= 4, "{ratio} is lost on the way back");
        assert!(most_changes(&world, Reverse) <= 4, "{ratio} is lost on the way back");
    }
}
