//! One of those who probe, at one rate, for a few seconds.

use std::{path::Path, thread, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Pair, clock};

use super::{
    PINNED,
    contender::{Contender, Running},
};
use crate::bench::{
    cost::{self, Softirqs},
    scrape::{self, Lateness},
    wide::{INTERVAL, PER_PATH, Packets, kill},
};

/// How long it may take until all paths are probed.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long all of them are probed before anything is measured.
const SETTLE: Duration = Duration::from_millis(500);

/// After which a probe is answered or lost, for our agent.
const SETTLED: Duration = Duration::from_secs(1);

/// At least so much of the rate must be reached.
pub(super) const REACHED: f64 = 0.95;

/// Where all are measured, in turn.
pub(super) struct Stage<'o> {
    pub(super) pair: Pair,
    pub(super) softirqs: Softirqs,
    pub(super) agent: &'o Path,
    pub(super) stamp_suite: &'o Path,
    pub(super) window: Duration,
}

/// What was measured.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Probes sent in a second.
    pub(super) rate: f64,
    /// Of these, what share was answered.
    pub(super) answered: f64,
    /// CPU time of a probe in seconds.
    pub(super) cpu: f64,
    /// CPU time in a second, in seconds.
    pub(super) cores: f64,
    /// Memory in octets, BPF maps among it.
    pub(super) memory: f64,
    /// What our agent itself says, at the highest rate.
    pub(super) own: Option<Own>,
}

/// What our agent says of a while.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) not_sent: f64,
    pub(super) lost: f64,
    /// Of how late the judging thread was, the 99th percentile in seconds.
    pub(super) lateness: f64,
}

impl Stage<'_> {
    /// Starts somebody, measures, and ends it. At the highest rate all of it has one core: the second one, if there
    /// is one, for what else the host does is more often on the first.
    ///
    /// # Errors
    /// Where it does not start, ends by itself, or gets no answers.
    pub(super) fn measure(&self, contender: Contender, rate: usize) -> Result<Run> {
        let core = (rate == PINNED)
            .then(|| usize::from(thread::available_parallelism().is_ok_and(|n| n.get() > 1)));
        let before = Packets::count(&self.pair)?;
        let running = contender.start(self, rate, core)?;
        let run = self.watch(&running, rate, before);
        match &running.ours {
            Some(ours) => ours.stop()?,
            None => kill(&running.processes)?,
        }
        run
    }

    fn watch(&self, running: &Running, rate: usize, before: Packets) -> Result<Run> {
        self.await_answers(running, before, rate / PER_PATH)?;
        let own = running.ours.is_some() && rate == PINNED;
        let first = own.then(|| self.ask()).transpose()?;
        thread::sleep(SETTLE);
        let run = self.window(running)?;
        let Some(first) = first else { return Ok(run) };
        thread::sleep(SETTLED);
        Ok(Run { own: Some(self.ask()?.since(&first)?), ..run })
    }

    /// Waits until as many probes were answered as there are targets.
    fn await_answers(&self, running: &Running, before: Packets, targets: usize) -> Result<()> {
        let deadline = clock::now() + PATIENCE;
        loop {
            let answers = Packets::count(&self.pair)?.received - before.received;
            if answers >= targets as u64 {
                return Ok(());
            }
            check(running)?;
            ensure!(clock::now() < deadline, "{answers} answers of {targets} targets");
            thread::sleep(INTERVAL / 4);
        }
    }

    fn window(&self, running: &Running) -> Result<Run> {
        let (start, packets) = (clock::now(), Packets::count(&self.pair)?);
        let (cpu, softirqs) = (cost::cpu(&running.processes)?, self.softirqs.cpu()?);
        thread::sleep(self.window);
        let cpu = cost::cpu(&running.processes).context("it has ended")? - cpu;
        let cpu = cpu + self.softirqs.cpu()? - softirqs;
        let (time, now) = (start.elapsed().as_secs_f64(), Packets::count(&self.pair)?);
        check(running)?;
        let memory = cost::memory(&running.processes)? + cost::maps(&running.processes)?;
        let sent = (now.sent - packets.sent) as f64;
        let received = (now.received - packets.received) as f64;
        ensure!(sent > 0.0, "it sends nothing");
        Ok(Run {
            rate: sent / time,
            answered: received / sent,
            cpu: cpu / sent,
            cores: cpu / time,
            memory,
            own: None,
        })
    }

    fn ask(&self) -> Result<Said> {
        let text = scrape::get(self.pair.near(), "/metrics")?.body;
        Ok(Said {
            not_sent: scrape::sum(&text, "linkprobe_probes_not_sent_total", ""),
            lost: scrape::sum(&text, "linkprobe_probes_lost_total", ""),
            lateness: Lateness::read(&text)?,
        })
    }
}

/// What our agent has counted so far.
struct Said {
    not_sent: f64,
    lost: f64,
    lateness: Lateness,
}

impl Said {
    fn since(&self, before: &Self) -> Result<Own> {
        Ok(Own {
            not_sent: self.not_sent - before.not_sent,
            lost: self.lost - before.lost,
            lateness: self.lateness.p99_since(&before.lateness)?.1,
        })
    }
}

/// An error where one of the processes has ended, with what it said last.
fn check(running: &Running) -> Result<()> {
    for process in &running.processes {
        if let Some(status) = process.status()? {
            let logs = process.logs()?;
            bail!("it has ended, {status}: {}", logs.lines().last().unwrap_or_default());
        }
    }
    Ok(())
}
