//! What the kernel makes of routes and rules, for tests and the simulator.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Change, Plan, Route, Rule, Selector, To, route_changes, rule_changes};
use crate::config::MAIN_TABLE;

/// The routing of one host.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Its routes.
    pub routes: BTreeSet<Route>,
    /// Its rules; behind them the main table is asked.
    pub rules: BTreeSet<Rule>,
    /// Interfaces that are down: routes by them do not count.
    pub down: BTreeSet<String>,
}

impl Model {
    /// The host of a plan, with the choices that it has made.
    #[must_use]
    pub fn new(plan: &Plan, via: &[usize]) -> Self {
        Self { routes: plan.routes(via), rules: plan.rules(), down: BTreeSet::new() }
    }

    /// Puts right what differs from what the plan wants with these choices, change by change, as the actuator does.
    pub fn mend(&mut self, plan: &Plan, via: &[usize]) {
        for change in rule_changes(&plan.rules(), &self.rules) {
            match change {
                Change::Add(rule) | Change::Replace(rule) => self.rules.insert(rule),
                Change::Remove(rule) => self.rules.remove(&rule),
            };
        }
        for change in route_changes(&plan.routes(via), &self.routes) {
            let (Change::Add(route) | Change::Replace(route) | Change::Remove(route)) = &change;
            let is_there = self.routes.iter().any(|known| known.key == route.key);
            match change {
                // The kernel refuses to add what there is.
                Change::Add(_) if is_there => {}
                Change::Add(route) | Change::Replace(route) => {
                    self.routes.retain(|known| known.key != route.key);
                    self.routes.insert(route);
                }
                Change::Remove(route) => self.routes.retain(|known| known.key != route.key),
            }
        }
    }

    /// To whom a packet goes, and by which interface; `None` if it is not sent. It has come in by an interface, or is one of
    /// the host's own, with a mark or without (0).
    #[must_use]
    pub fn way(&self, to: IpAddr, mark: u32, from: Option<&str>) -> Option<(IpAddr, &str)> {
        let applies = |rule: &&Rule| match &rule.selector {
            Selector::From(interface) => from == Some(interface),
            Selector::Marked(wanted) => from.is_none() && *wanted == mark,
            Selector::Other => false,
        };
        let mut rules: Vec<&Rule> = self.rules.iter().filter(applies).collect();
        rules.retain(|rule| rule.is_ipv6 == to.is_ipv6());
        rules.sort_by_key(|rule| rule.priority);
        let tables = rules.into_iter().map(|rule| rule.table).chain([MAIN_TABLE]);
        let found = tables
            .into_iter()
            .find_map(|table| self.route(table, to).filter(|route| route.to != To::Elsewhere));
        match &found?.to {
            To::Gateway(gateway, interface) => Some((*gateway, interface)),
            To::Interface(interface) => Some((to, interface)),
            To::Unreachable | To::Elsewhere | To::Other => None,
        }
    }

    /// The route of a table for an address: the one with the longest prefix, and of these the one with the lowest metric.
    fn route(&self, table: u32, to: IpAddr) -> Option<&Route> {
        let is_up = |route: &&Route| {
            route.to.interface().is_none_or(|interface| !self.down.contains(interface))
        };
        let fits = |route: &&Route| route.key.table == table && route.key.prefix.contains(to);
        let fitting = self.routes.iter().filter(fits).filter(is_up);
        fitting.min_by_key(|route| (u8::MAX - route.key.prefix.length(), route.key.metric))
    }
}
