//! An agent with so many paths, from its start on.

use std::{thread, time::Duration};

use anyhow::Result;
use figures::{Samples, Unit};
use lab::{Pair, clock};

use crate::bench::{
    cost,
    scrape::{self, Lateness},
    wide::Ours,
};

/// How long the agent is left alone after its verdicts have come.
const SETTLE: Duration = Duration::from_secs(1);

/// How often it is asked for a document, of which the median counts.
const QUESTIONS: usize = 10;

/// What was measured of one agent. Times in seconds, memory and documents in octets.
pub(super) struct Run {
    pub(super) first_verdict: f64,
    pub(super) last_verdict: f64,
    /// CPU time in a second, in seconds.
    pub(super) agent_cpu: f64,
    pub(super) reflector_cpu: f64,
    pub(super) agent_memory: f64,
    pub(super) reflector_memory: f64,
    pub(super) maps: f64,
    /// The 99th percentile of how late the judging thread was.
    pub(super) lateness: f64,
    pub(super) metrics: Document,
    pub(super) paths: Document,
}

/// A document that the agent makes.
pub(super) struct Document {
    pub(super) seconds: f64,
    pub(super) octets: f64,
}

impl Run {
    /// Measures an agent that was just started.
    ///
    /// # Errors
    /// Where it does not come to its verdicts, or does not answer.
    pub(super) fn measure(pair: &Pair, ours: &Ours, window: Duration) -> Result<Self> {
        let [first_verdict, last_verdict] = ours.await_verdicts(pair)?;
        thread::sleep(SETTLE);
        let [agent, reflector] = ours.processes().map(|process| [process]);
        let late = || Lateness::read(&scrape::get(pair.near(), "/metrics")?.body);
        let late_before = late()?;
        thread::sleep(SETTLE);
        let (start, cpu) = (clock::now(), [cost::cpu(&agent)?, cost::cpu(&reflector)?]);
        thread::sleep(window);
        let time = start.elapsed().as_secs_f64();
        let agent_cpu = (cost::cpu(&agent)? - cpu[0]) / time;
        let reflector_cpu = (cost::cpu(&reflector)? - cpu[1]) / time;
        let lateness = late()?.p99_since(&late_before)?.1;
        Ok(Self {
            first_verdict,
            last_verdict,
            agent_cpu,
            reflector_cpu,
            agent_memory: cost::memory(&agent)?,
            reflector_memory: cost::memory(&reflector)?,
            maps: cost::maps(&ours.processes())?,
            lateness,
            metrics: Document::ask(pair, "/metrics")?,
            paths: Document::ask(pair, "/api/v1/paths")?,
        })
    }

    /// CPU time in a second, of both.
    pub(super) const fn cpu(&self) -> f64 {
        self.agent_cpu + self.reflector_cpu
    }

    /// Memory of both, with their maps.
    pub(super) const fn memory(&self) -> f64 {
        self.agent_memory + self.reflector_memory + self.maps
    }
}

impl Document {
    fn ask(pair: &Pair, path: &str) -> Result<Self> {
        let mut seconds = Samples::new(Unit::Seconds, Vec::new());
        let mut octets = 0;
        for _ in 0..QUESTIONS {
            let answer = scrape::get(pair.near(), path)?;
            seconds.values.push(answer.seconds);
            octets = answer.body.len();
        }
        Ok(Self { seconds: seconds.median().unwrap_or(f64::INFINITY), octets: octets as f64 })
    }
}
