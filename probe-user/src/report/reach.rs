//! What a region is to a node, for those who send traffic there: whether they may, and why.

use serde::{Deserialize, Serialize};

use super::{Link, Region, Regions};
use crate::verdict::{Cause, Direction, Reach};

/// The answer of `/api/v1/regions/NAME/health`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionHealth {
    /// Name of the node that reports.
    pub node: String,
    /// Name of the region that was asked for.
    pub region: String,
    /// When this was true, in seconds since the Unix epoch.
    pub at: f64,
    /// What the region is to the node.
    pub reach: Reach,
    /// Since when, in seconds since the Unix epoch.
    pub since: f64,
    /// Whether traffic may be sent there, by what was required; the status of the answer says the same.
    pub send: bool,
    /// Why, for people.
    pub why: String,
}

/// How often a region has changed to each reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachTransitions {
    /// To unknown.
    pub unknown: u64,
    /// To reachable.
    pub reachable: u64,
    /// To impaired.
    pub impaired: u64,
    /// To isolated.
    pub isolated: u64,
    /// To self-isolated.
    pub self_isolated: u64,
}

impl ReachTransitions {
    /// The count for a reach.
    #[must_use]
    pub const fn to(&self, reach: Reach) -> u64 {
        match reach {
            Reach::Unknown => self.unknown,
            Reach::Reachable => self.reachable,
            Reach::Impaired => self.impaired,
            Reach::Isolated => self.isolated,
            Reach::SelfIsolated => self.self_isolated,
        }
    }

    /// Counts one more change to a reach.
    pub const fn count(&mut self, reach: Reach) {
        match reach {
            Reach::Unknown => self.unknown += 1,
            Reach::Reachable => self.reachable += 1,
            Reach::Impaired => self.impaired += 1,
            Reach::Isolated => self.isolated += 1,
            Reach::SelfIsolated => self.self_isolated += 1,
        }
    }
}

/// What is required of a region before traffic is sent there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Require {
    /// That it is not isolated. Fail-open: what nobody knows anything of, and what this node cannot judge because it is cut
    /// off itself, is no reason to withdraw traffic.
    #[default]
    NotIsolated,
    /// That it is known to carry traffic, in whatever quality: reachable or impaired.
    Usable,
    /// That it is known to carry traffic as usual.
    Reachable,
}

impl Require {
    /// The words for it, in URLs.
    pub const WORDS: [(&'static str, Self); 2] =
        [("usable", Self::Usable), ("reachable", Self::Reachable)];

    /// Whether traffic may be sent.
    #[must_use]
    pub const fn allows(self, reach: Reach) -> bool {
        match reach {
            Reach::Reachable => true,
            Reach::Impaired => !matches!(self, Self::Reachable),
            Reach::Unknown | Reach::SelfIsolated => matches!(self, Self::NotIsolated),
            Reach::Isolated => false,
        }
    }
}

impl Regions {
    /// A region by its name, as those see it who send traffic there.
    ///
    /// # Errors
    /// Where there is none of that name, in words.
    pub fn health(&self, name: &str, require: Require) -> Result<RegionHealth, String> {
        let region = self.regions.iter().find(|region| region.name == name);
        let region = region.ok_or_else(|| self.no_such_region(name))?;
        Ok(RegionHealth {
            node: self.node.clone(),
            region: region.name.clone(),
            at: self.at,
            reach: region.reach,
            since: region.reach_since,
            send: require.allows(region.reach),
            why: region.why(),
        })
    }

    /// What to say to those who ask for a region that no peer is in.
    #[must_use]
    pub fn no_such_region(&self, name: &str) -> String {
        let mut names: Vec<&str> = self.regions.iter().map(|region| region.name.as_str()).collect();
        names.sort_unstable();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        format!("{} has no peer in region \"{name}\"; its regions: {names}", self.node)
    }
}

impl Region {
    /// Why it is what it is to the node, as a short sentence.
    #[must_use]
    pub fn why(&self) -> String {
        let is_new = [&self.forward, &self.reverse].iter().any(|way| way.cause == Cause::Starting);
        match self.reach {
            Reach::Unknown if is_new => "nothing is known of it yet".to_owned(),
            Reach::Unknown => "nothing is known of it any more: the evidence is too old".to_owned(),
            Reach::Reachable => {
                "every path that anything is known of carries traffic there and back".to_owned()
            }
            Reach::Impaired => {
                format!("traffic goes there and back, but not as usual: {}", self.ways())
            }
            Reach::Isolated => {
                format!("no path carries traffic there and back: {}", self.ways())
            }
            Reach::SelfIsolated => "no path carries traffic there and back, but most regions failed at once, or none is \
                                    reached: this node must be the one that is cut off"
                .to_owned(),
        }
    }

    /// `forward unhealthy (loss), reverse healthy (passing)`.
    fn ways(&self) -> String {
        let way = |way: Direction, link: &Link| format!("{way} {} ({})", link.verdict, link.cause);
        let forward = way(Direction::Forward, &self.forward);
        format!("{forward}, {}", way(Direction::Reverse, &self.reverse))
    }
}

/// A region for tests: for 3 s at 1,800,000,000 it has been so. The way there loses, the way back does not.
#[cfg(test)]
pub(crate) fn example(name: &str, reach: Reach) -> Region {
    use super::{Evidence, States};
    use crate::verdict::State;

    let link = |verdict, cause| Link {
        verdict,
        cause,
        since: 1.8e9,
        age_seconds: None,
        expires_in_seconds: None,
        paths: States::default(),
        evidence: Evidence::default(),
        needs: None,
    };
    let mut reach_transitions = ReachTransitions::default();
    reach_transitions.count(reach);
    Region {
        name: name.to_owned(),
        reach,
        reach_since: 1.8e9 - 3.0,
        reach_transitions,
        state: State::Unhealthy,
        forward: link(State::Unhealthy, Cause::Loss),
        reverse: link(State::Healthy, Cause::Passing),
        paths: 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fail-open: only what is known to be isolated is left, unless more is asked for.
    #[test]
    fn traffic_is_withdrawn_from_what_is_isolated_and_else_only_where_that_was_asked_for() {
        let allowed = |require: Require| {
            Reach::ALL.into_iter().filter(move |reach| require.allows(*reach)).collect::<Vec<_>>()
        };
        assert_eq!(
            allowed(Require::default()),
            [Reach::Unknown, Reach::Reachable, Reach::Impaired, Reach::SelfIsolated]
        );
        assert_eq!(allowed(Require::Usable), [Reach::Reachable, Reach::Impaired]);
        assert_eq!(allowed(Require::Reachable), [Reach::Reachable]);
    }
}
