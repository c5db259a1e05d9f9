//! The overlay of an agent: the candidates are probed with the paths to peers, the judge chooses among them, and the
//! actuator is told.
//!
//! - `report`: what the outside is told.

mod report;

use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::{
    events::Events,
    paths::{Path, Steering},
    peers::Peer,
    state::State,
};
use crate::{
    config::Config,
    datapath::clock,
    health::Settings,
    overlay::{
        actuator::{self, Actuator},
        choice::{Candidate, Choice, Lookout, View},
        plan::Plan,
    },
    verdict::Nanos,
};

/// What is routed, and how.
pub(super) struct Overlay {
    pub(super) plan: Arc<Plan>,
    actuator: Actuator,
    pub(super) destinations: Vec<Destination>,
    /// Kept for its memory.
    views: Vec<View>,
}

/// What lies behind a gateway.
pub(super) struct Destination {
    lookout: Lookout,
    /// The gateway, by its place among the peers, as soon as that is known.
    peer: Option<usize>,
}

impl Overlay {
    /// Takes over the routes that the kernel has for the overlay of a config, if there is one.
    ///
    /// # Errors
    /// Where another agent routes here, or the kernel does not tell of its routes.
    pub(super) async fn start(config: &Config) -> Result<Option<Self>> {
        let Some(overlay) = &config.overlay else {
            warn_of_what_is_left().await;
            return Ok(None);
        };
        let plan =
            overlay.plan(&config.peers).context("a gateway of the overlay has no address")?;
        let plan = Arc::new(plan);
        let started = Actuator::start(Arc::clone(&plan)).await;
        let (actuator, adopted) = started.context("cannot take over the routes of the overlay")?;
        let destination = |(number, adopted): (usize, Option<usize>)| {
            let gateway = &plan.gateways[number].peer;
            if let Some(via) = adopted {
                let via = &plan.gateways[via].peer;
                tracing::info!(destination = gateway, via, "overlay: route taken over");
            }
            let place = plan.candidates(number).position(|via| Some(via) == adopted);
            Destination { lookout: Lookout::new(Choice::new(place, 0)), peer: None }
        };
        let destinations = adopted.into_iter().enumerate().map(destination).collect();
        Ok(Some(Self { plan, actuator, destinations, views: Vec::new() }))
    }

    /// From now on it is probed: what was taken over is kept until something can be known of it.
    pub(super) fn begin(&mut self, now: Nanos) {
        for Destination { lookout, .. } in &mut self.destinations {
            lookout.choice.begin(now);
        }
    }

    /// Takes in where the gateways are among the peers.
    pub(super) fn set_peers(&mut self, peers: &[Peer]) {
        for (destination, gateway) in self.destinations.iter_mut().zip(&self.plan.gateways) {
            destination.peer = peers.iter().position(|peer| peer.config.name == gateway.peer);
        }
    }

    /// The tunnels.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = &String> {
        self.plan.gateways.iter().map(|gateway| &gateway.interface)
    }

    /// How each path to a peer is steered, the direct one first; nothing where it is no gateway.
    pub(super) fn steering(&self, peer: &str) -> Vec<Steering> {
        let number = self.plan.gateways.iter().position(|gateway| gateway.peer == peer);
        let Some(number) = number else { return Vec::new() };
        let steering = |via: usize| {
            let interface = self.plan.gateways[via].interface.clone();
            Steering { via, mark: Plan::mark(number, via), interface }
        };
        self.plan.candidates(number).map(steering).collect()
    }

    /// The gateway that the traffic of a destination goes through.
    fn via(&self, number: usize) -> usize {
        let current = self.destinations[number].lookout.choice.current();
        self.plan.candidates(number).nth(current).unwrap_or(number)
    }

    /// Looks at all candidates of all destinations, and has the kernel told where a choice has changed.
    fn look(
        &mut self,
        peers: &[Peer],
        isolated: bool,
        now: Nanos,
        settings: &Settings,
        events: &Events,
    ) {
        let Self { plan, actuator, destinations, views } = self;
        let mut has_changed = false;
        let status = actuator.status();
        let is_down = |via: usize| status.up.get(via).is_some_and(|up| !up);
        for (number, destination) in destinations.iter_mut().enumerate() {
            let Some(peer) = destination.peer.and_then(|place| peers.get(place)) else { continue };
            let candidates = candidates(plan, number, peer).map(|(via, path)| Candidate {
                path: path.map(|path| (&path.health, &path.recent)),
                is_down: is_down(via),
            });
            let lookout = &mut destination.lookout;
            if let Some(change) = lookout.look(candidates, isolated, now, settings, views) {
                has_changed = true;
                let way = [change.from, change.to].map(|place| name(plan, number, place));
                events.route(&peer.config, way, change.reason, clock::realtime() as f64 / 1e9);
            }
        }
        drop(status);
        if has_changed {
            let via = (0..self.destinations.len()).map(|number| self.via(number)).collect();
            self.actuator.choose(via);
        }
    }
}

/// Says what nobody looks after any more: routes of an overlay that has left the config lead where they led.
async fn warn_of_what_is_left() {
    // That is no reason not to start.
    let (routes, rules) = actuator::left().await.unwrap_or_default();
    if routes + rules > 0 {
        tracing::warn!(
            "{routes} routes and {rules} rules of an overlay are left that the config has no more, and stay as they are: \
             `linkprobe overlay flush` takes them out"
        );
    }
}

/// The candidates of a destination, each with the gateway that it goes through and its path, if it is probed.
fn candidates<'p>(
    plan: &'p Plan,
    number: usize,
    peer: &'p Peer,
) -> impl Iterator<Item = (usize, Option<&'p Path>)> + Clone {
    // In the same order, though some may be missing.
    let mut relayed = peer.relayed.iter().peekable();
    plan.candidates(number).map(move |via| {
        if via == number {
            return (via, peer.path.as_ref());
        }
        let path = relayed.next_if(|relayed| relayed.via == via);
        (via, path.map(|relayed| &relayed.path))
    })
}

/// What a candidate of a destination is called.
fn name(plan: &Plan, number: usize, place: usize) -> &str {
    match plan.candidates(number).nth(place) {
        Some(via) if via != number => &plan.gateways[via].peer,
        _ => "direct",
    }
}

impl State {
    /// Judges the paths through relays, and chooses.
    pub(super) fn route(&mut self, now: Nanos) {
        let Some(overlay) = &mut self.overlay else { return };
        let isolated = self.node.isolated_since().is_some();
        for destination in &overlay.destinations {
            let peer = destination.peer.and_then(|place| self.peers.get_mut(place));
            let Some(peer) = peer else { continue };
            for relayed in &mut peer.relayed {
                relayed.path.health.tick(now, isolated, &self.settings, &mut |change| {
                    let (direction, from, to) = (change.direction, change.from, change.to);
                    let via = &overlay.plan.gateways[relayed.via].peer;
                    let (peer, cause) = (&peer.config.name, change.cause);
                    tracing::info!(peer, via, %direction, %from, %to, %cause, "verdict");
                });
            }
        }
        overlay.look(&self.peers, isolated, now, &self.settings, &self.events);
    }
}
