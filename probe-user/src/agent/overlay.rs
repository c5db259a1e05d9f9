//! The overlay of an agent: the candidates are probed with the paths to peers, the judge chooses among them, and the actuator
//! is told.
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
    health::{Settings, observation::moment},
    overlay::{
        actuator::Actuator,
        choice::{Choice, View},
        plan::Plan,
    },
    verdict::{Direction, Nanos, State as Verdict},
};

/// What is routed, and how.
pub(super) struct Overlay {
    pub(super) plan: Arc<Plan>,
    pub(super) choices: Vec<Choice>,
    actuator: Actuator,
    /// Kept for its memory.
    views: Vec<View>,
}

impl Overlay {
    /// Takes over the routes that the kernel has for the overlay of a config, if there is one.
    ///
    /// # Errors
    /// Where the kernel does not tell of its routes.
    pub(super) async fn start(config: &Config, now: Nanos) -> Result<Option<Self>> {
        let Some(overlay) = &config.overlay else { return Ok(None) };
        let plan =
            overlay.plan(&config.peers).context("a gateway of the overlay has no address")?;
        let plan = Arc::new(plan);
        let started = Actuator::start(Arc::clone(&plan)).await;
        let (actuator, adopted) = started.context("cannot take over the routes of the overlay")?;
        for (gateway, adopted) in plan.gateways.iter().zip(&adopted) {
            if let Some(via) = adopted {
                let via = &plan.gateways[*via].peer;
                tracing::info!(destination = gateway.peer, via, "overlay: route taken over");
            }
        }
        let place = |(number, via): (usize, Option<usize>)| {
            plan.candidates(number).position(|candidate| Some(candidate) == via)
        };
        let choices = adopted.into_iter().enumerate().map(place);
        let choices = choices.map(|adopted| Choice::new(adopted, moment(now))).collect();
        Ok(Some(Self { plan, choices, actuator, views: Vec::new() }))
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
    pub(super) fn via(&self, number: usize) -> usize {
        let current = self.choices[number].current();
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
        let Self { plan, choices, actuator, views } = self;
        let mut has_changed = false;
        for (number, choice) in choices.iter_mut().enumerate() {
            let gateway = &plan.gateways[number];
            let Some(peer) = peers.iter().find(|peer| peer.config.name == gateway.peer) else {
                continue;
            };
            let up = &actuator.status().up;
            let is_down = |via: usize| up.get(via).is_some_and(|up| !up);
            if choice.current() == 0 && is_healthy(peer.path.as_ref()) && !is_down(number) {
                continue;
            }
            views.clear();
            views.extend(
                plan.candidates(number)
                    .map(|via| view(report::path(peer, number, via), is_down(via), settings)),
            );
            if let Some(change) = choice.look(views, isolated, now, settings) {
                has_changed = true;
                let way = [change.from, change.to].map(|place| name(plan, number, place));
                events.route(&peer.config, way, change.reason, clock::realtime() as f64 / 1e9);
            }
        }
        if has_changed {
            let via = (0..self.choices.len()).map(|number| self.via(number)).collect();
            self.actuator.choose(via);
        }
    }
}

fn is_healthy(path: Option<&Path>) -> bool {
    path.is_some_and(|path| path.health.state_of(Direction::Forward) == Verdict::Healthy)
}

fn view(path: Option<&Path>, is_down: bool, settings: &Settings) -> View {
    path.map_or(View { is_down, ..View::NEW }, |path| {
        View::of(&path.health, &path.recent, path.heard, is_down, settings)
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
        for peer in &mut self.peers {
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
