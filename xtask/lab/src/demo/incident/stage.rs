//! Everybody who takes part in the incident.

use std::{
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lab::{Agent, Lab, Mesh, Process, Stream, clock};

use super::{
    balancer,
    burst::SICK,
    observe::{self, Observer, Sighting},
    record::Connection,
    workers,
};

/// Between which hosts there are streams: into the sick region, out of it, and two past it.
const STREAMS: [(&str, &str); 4] = [("fra", "nyc"), ("nyc", "sin"), ("fra", "sin"), ("lon", "fra")];
/// How long records may be late while a stream flows.
const FLOWING: Duration = Duration::from_millis(500);

/// Everybody who takes part.
pub(super) struct Stage {
    // In the order in which they must go.
    streams: Vec<((&'static str, &'static str), Stream)>,
    pub(super) agents: Vec<Agent>,
    others: Vec<(&'static str, Process)>,
    pub(super) sightings: mpsc::Receiver<Sighting>,
    pub(super) observer: Observer,
    pub(super) lab: Lab,
}

impl Stage {
    /// Starts all but the streams. Each agent must have logged `mark`, if there is one.
    ///
    /// # Errors
    /// Those of the lab and of everybody who does not start.
    pub(super) fn set(lab: Lab, mesh: &Mesh, binary: &Path, mark: Option<&str>) -> Result<Self> {
        let (sender, sightings) = mpsc::channel();
        balancer::serve(&lab)?;
        workers::control(&lab, &sender)?;
        let agents = mesh.start(&lab, binary)?;
        if let Some(mark) = mark {
            for agent in &agents {
                ensure!(
                    agent.process().logs()?.contains(mark),
                    "{} has no defects: `cargo xtask demo --incident --defect ...` builds an agent that has",
                    agent.node()
                );
            }
        }
        let mut others = vec![("HAProxy", balancer::start(&lab)?)];
        others.extend(workers::start(&lab, binary)?.into_iter().map(|guard| ("a guard", guard)));
        let observer = Observer::start(&lab)?;
        observe::ask(&agents, &sender);
        balancer::fetch(&lab, sender)?;
        Ok(Self { streams: Vec::new(), agents, others, sightings, observer, lab })
    }

    /// Starts the streams.
    ///
    /// # Errors
    /// Where there is no connection.
    pub(super) fn start_streams(&mut self) -> Result<()> {
        for (from, to) in STREAMS {
            let stream = Stream::start(self.lab.host(from)?, self.lab.host(to)?)?;
            self.streams.push(((from, to), stream));
        }
        Ok(())
    }

    /// Whether all streams flow.
    pub(super) fn is_flowing(&self) -> bool {
        let now = clock::now();
        let lately = now.checked_sub(Duration::from_secs(1)).unwrap_or(now);
        let has_flown = |stream: &Stream| stream.longest_gap_between(lately, now) < FLOWING;
        self.streams.iter().all(|(_, stream)| has_flown(stream))
    }

    /// Ends all streams, and says how they fared.
    pub(super) fn finish_streams(&mut self, begun: Instant, cut: Instant) -> Vec<Connection> {
        let finish = |((from, to), stream): ((&str, &str), Stream)| {
            let stall_at_first = stream.longest_gap_between(begun, cut).as_secs_f64();
            let stall = stream.longest_gap(cut).as_secs_f64();
            let octets = stream.finish().map(|totals| totals.received);
            let octets = octets.map_err(|error| format!("{error:#}"));
            let (name, is_past) = (format!("{from} → {to}"), from != SICK && to != SICK);
            Connection { name, is_past, stall_at_first, stall, octets }
        };
        self.streams.drain(..).map(finish).collect()
    }

    /// Ends everybody, and says who did not end well.
    pub(super) fn end(self) -> Vec<String> {
        drop(self.sightings);
        let mut problems = Vec::new();
        for (name, process) in &self.others {
            if let Ok(Some(status)) = process.status() {
                problems.push(format!("{name} has ended: {status}"));
            }
        }
        for agent in &self.agents {
            problems.extend(agent.stop().err().map(|error| format!("{error:#}")));
        }
        problems
    }
}
