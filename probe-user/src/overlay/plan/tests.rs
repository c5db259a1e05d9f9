use proptest::prelude::*;

use super::{model::Model, *};
use crate::config::{DEFAULT_METRIC, DestinationConfig, MAIN_TABLE};

/// The address of a gateway in a full mesh.
fn address(node: usize) -> IpAddr {
    format!("10.79.{node}.1").parse().unwrap()
}

/// What lies behind it.
fn prefix(node: usize) -> Prefix {
    format!("10.78.{node}.0/24").parse().unwrap()
}

fn host(node: usize) -> IpAddr {
    format!("10.78.{node}.7").parse().unwrap()
}

/// The tunnel to a gateway, as it is called at all others.
fn tunnel(node: usize) -> String {
    format!("ov-{node}")
}

fn config(node: usize, nodes: usize) -> OverlayConfig {
    let destination = |other: usize| DestinationConfig {
        peer: format!("gw{other}"),
        interface: tunnel(other),
        prefixes: vec![prefix(other)],
    };
    OverlayConfig {
        table: MAIN_TABLE,
        metric: DEFAULT_METRIC,
        relays: None,
        local: Vec::new(),
        destinations: (0..nodes).filter(|other| *other != node).map(destination).collect(),
    }
}

/// The plan of one of so many gateways.
fn plan(node: usize, nodes: usize) -> Plan {
    let address = |name: &str| name.strip_prefix("gw")?.parse().ok().map(address);
    Plan::new(&config(node, nodes), address).unwrap()
}

/// The node that is a gateway of another's plan.
fn node_of(plan: &Plan, gateway: usize) -> usize {
    plan.gateways[gateway].peer.strip_prefix("gw").unwrap().parse().unwrap()
}

/// The direct choice for each destination.
fn direct(plan: &Plan) -> Vec<usize> {
    (0..plan.gateways.len()).collect()
}

/// The nodes that a packet passes on its way from one node to an address; at most ten.
fn walk(
    hosts: &[Model],
    from: usize,
    to: IpAddr,
    mark: u32,
    is_there: impl Fn(usize) -> bool,
) -> Vec<usize> {
    let (mut passed, mut came_by) = (vec![from], None);
    while passed.len() < 10 {
        let here = passed[passed.len() - 1];
        if is_there(here) {
            break;
        }
        let mark = if passed.len() == 1 { mark } else { 0 };
        let Some((next, _)) = hosts[here].way(to, mark, came_by.as_deref()) else { break };
        let next = (0..hosts.len()).find(|node| address(*node) == next).unwrap();
        came_by = Some(tunnel(here));
        passed.push(next);
    }
    passed
}

#[test]
fn a_destination_has_the_direct_candidate_first_and_then_all_other_gateways() {
    let plan = plan(1, 4);
    assert_eq!(plan.candidates(1).collect::<Vec<_>>(), [1, 0, 2]);
    let relays = OverlayConfig { relays: Some(vec!["gw3".to_owned()]), ..config(1, 4) };
    let plan = Plan::new(&relays, |_| Some(address(9))).unwrap();
    assert_eq!(plan.candidates(1).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(plan.candidates(2).collect::<Vec<_>>(), [2]);
    assert_eq!(Plan::new(&relays, |_| None), Err("gw0".to_owned()));
}

#[test]
fn a_gateway_of_the_other_version_of_ip_is_no_relay() {
    let mut plan = plan(0, 3);
    plan.gateways[1].address = "2001:db8::1".parse().unwrap();
    assert_eq!(plan.candidates(0).collect::<Vec<_>>(), [0]);
    let families: Vec<bool> = plan.rules().iter().map(|rule| rule.is_ipv6).collect();
    assert!(families.contains(&true) && families.contains(&false));
}

#[test]
fn a_probe_goes_the_way_of_its_candidate_whatever_was_chosen() {
    let plans: Vec<Plan> = (0..4).map(|node| plan(node, 4)).collect();
    for chosen in 0..3 {
        let hosts: Vec<Model> = plans.iter().map(|plan| Model::new(plan, &[chosen; 3])).collect();
        for (number, gateway) in plans[0].gateways.iter().enumerate() {
            for via in plans[0].candidates(number) {
                let (to, relay) = (node_of(&plans[0], number), node_of(&plans[0], via));
                let way =
                    walk(&hosts, 0, gateway.address, Plan::mark(number, via), |node| node == to);
                let expected = if via == number { vec![0, to] } else { vec![0, relay, to] };
                assert_eq!(way, expected);
            }
        }
    }
}

/// Where a tunnel is down, a probe for its candidate goes nowhere: another way would say nothing of it.
#[test]
fn a_probe_goes_by_no_other_way_than_its_own() {
    let plan = plan(0, 3);
    let mut kept = Model::new(&plan, &direct(&plan));
    kept.down.insert(tunnel(1));
    let to = plan.gateways[0].address;
    assert_eq!(kept.way(to, Plan::mark(0, 0), None), None);
    assert_eq!(kept.way(plan.gateways[1].address, Plan::mark(1, 0), None), None);
    assert!(kept.way(plan.gateways[1].address, Plan::mark(1, 1), None).is_some());
    // Nor does what is to be relayed.
    assert_eq!(kept.way(host(1), 0, Some("ov-2")), None);
}

proptest! {
    /// Invariant 14: whatever each of the nodes has chosen for itself, a packet takes one relay at most, and arrives.
    #[test]
    fn invariant_14_no_choices_of_others_make_a_loop(
        nodes in 2..7_usize,
        seeds in prop::collection::vec(any::<u64>(), 7),
    ) {
        let plans: Vec<Plan> = (0..nodes).map(|node| plan(node, nodes)).collect();
        let choices = |plan: &Plan, seed: u64| -> Vec<usize> {
            let pick = |number: usize| {
                let candidates: Vec<usize> = plan.candidates(number).collect();
                candidates[(seed >> (4 * number)) as usize % candidates.len()]
            };
            (0..plan.gateways.len()).map(pick).collect()
        };
        let hosts: Vec<Model> =
            plans.iter().zip(&seeds).map(|(plan, seed)| Model::new(plan, &choices(plan, *seed))).collect();
        for from in 0..nodes {
            for to in (0..nodes).filter(|to| *to != from) {
                let way = walk(&hosts, from, host(to), 0, |node| node == to);
                prop_assert!(way.len() <= 3 && way.last() == Some(&to), "{:?}", way);
            }
        }
    }
}

#[test]
fn what_is_there_already_is_not_touched_and_a_choice_changes_one_route() {
    let plan = plan(0, 4);
    let mut there = plan.routes(&direct(&plan));
    assert_eq!(route_changes(&plan.routes(&direct(&plan)), &there), []);
    let changes = route_changes(&plan.routes(&[0, 2, 2]), &there);
    let Change::Replace(route) = &changes[..][0] else { panic!("{changes:?}") };
    assert_eq!((changes.len(), route.key.prefix, route.key.table), (1, prefix(2), MAIN_TABLE));
    assert_eq!(route.to, To::Gateway(address(3), tunnel(3)));
    // What is missing is added, what is too much taken out.
    let gone = there.pop_first().unwrap();
    let key = Key { metric: 7, ..gone.key };
    let stray = Route { key, to: To::Unreachable };
    there.insert(stray.clone());
    let changes = route_changes(&plan.routes(&direct(&plan)), &there);
    assert_eq!(changes, [Change::Add(gone), Change::Remove(stray)]);
}

#[test]
fn rules_are_added_and_taken_out() {
    let plan = plan(0, 3);
    let mut there = plan.rules();
    assert_eq!(there.len(), 2 + 1 + 2, "for two tunnels, direct probes and two relays");
    let gone = there.pop_first().unwrap();
    let stray = Rule { table: 7, ..gone.clone() };
    there.insert(stray.clone());
    assert_eq!(rule_changes(&plan.rules(), &there), [Change::Add(gone), Change::Remove(stray)]);
}

#[test]
fn routes_that_the_kernel_has_are_taken_over_if_they_agree() {
    let plan = plan(0, 4);
    for via in plan.candidates(1) {
        let there = plan.routes(&[0, via, 2]);
        assert_eq!(plan.adopted(1, &there), Some(via));
        assert_eq!(plan.adopted(2, &there), Some(2));
    }
    assert_eq!(plan.adopted(1, &BTreeSet::new()), None);
    // Whatever table and metric they had.
    let before = OverlayConfig { table: 100, metric: 7, ..config(0, 4) };
    let before = Plan::new(&before, |name| {
        plan.gateways.iter().find(|gateway| gateway.peer == name).map(|gateway| gateway.address)
    })
    .unwrap();
    assert_eq!(plan.adopted(1, &before.routes(&[0, 2, 2])), Some(2));
    let elsewhere = |to: To| -> BTreeSet<Route> {
        let moved = |mut route: Route| {
            if route.key.table == MAIN_TABLE {
                route.to = to.clone();
            }
            route
        };
        plan.routes(&direct(&plan)).into_iter().map(moved).collect()
    };
    assert_eq!(plan.adopted(1, &elsewhere(To::Interface("eth0".to_owned()))), None);
    assert_eq!(plan.adopted(1, &elsewhere(To::Gateway(address(9), tunnel(9)))), None);
}

/// A prefix that is new, or an agent that was killed between two routes, makes no other one of the rest.
#[test]
fn of_routes_that_do_not_agree_most_are_followed() {
    let mut plan = plan(0, 4);
    let more = ["10.90.0.0/16", "10.91.0.0/16"].map(|prefix| prefix.parse().unwrap());
    plan.gateways[1].prefixes.extend(more);
    let mut there = plan.routes(&[0, 2, 2]);
    assert_eq!(plan.adopted(1, &there), Some(2));
    there.retain(|route| route.key.prefix != more[0]);
    assert_eq!(plan.adopted(1, &there), Some(2));
    assert_eq!(plan.missing(1, 2, &there).collect::<Vec<_>>(), more[..1]);
    assert_eq!(plan.missing(1, 1, &there).count(), 3);
    let mut there = plan.routes(&[0, 2, 2]);
    let direct = plan.routes(&direct(&plan));
    let one = |route: &&Route| route.key.prefix == more[1] && route.key.table == MAIN_TABLE;
    let (old, new) = (there.iter().find(one).unwrap().clone(), direct.iter().find(one).unwrap());
    there.remove(&old);
    there.insert(new.clone());
    assert_eq!(plan.adopted(1, &there), Some(2));
}

/// What lies behind this host is delivered here, though the prefix of a destination covers it.
#[test]
fn what_is_local_is_not_sent_on() {
    let mut plan = plan(0, 3);
    plan.gateways[0].prefixes = vec!["10.0.0.0/8".parse().unwrap()];
    let (lan, behind) = (prefix(0), host(0));
    let routed = Model::new(&plan, &direct(&plan));
    assert!(routed.way(behind, 0, Some("ov-1")).is_some(), "round and round");
    plan.local = vec![lan];
    let mut kept = Model::new(&plan, &direct(&plan));
    let key = Key { table: MAIN_TABLE, prefix: lan, metric: 0 };
    kept.routes.insert(Route { key, to: To::Interface("lan0".to_owned()) });
    assert_eq!(kept.way(behind, 0, Some("ov-1")), Some((behind, "lan0")));
}

/// One route is wanted for one key, or the kernel would be asked for both for ever.
#[test]
fn no_two_routes_have_one_key() {
    let mut plan = plan(0, 3);
    let alone = Prefix::from(plan.gateways[0].address);
    plan.gateways[0].prefixes.push(alone);
    plan.gateways[1].address = "2001:db8::1".parse().unwrap();
    plan.local = vec![prefix(0)];
    let routes = plan.routes(&direct(&plan));
    let keys: BTreeSet<Key> = routes.iter().map(|route| route.key).collect();
    assert_eq!(keys.len(), routes.len());
    // IPv6 asks the main table for the gateway.
    let gateway = Prefix::from(plan.gateways[1].address);
    let is_there = |route: &Route| route.key.prefix == gateway && route.key.table == MAIN_TABLE;
    assert!(routes.iter().any(is_there));
}

#[test]
fn the_overlays_own_tables_are_known() {
    let plan = plan(0, 5);
    for route in plan.routes(&direct(&plan)) {
        assert_ne!(Plan::owns(route.key.table), route.key.table == MAIN_TABLE);
    }
}
