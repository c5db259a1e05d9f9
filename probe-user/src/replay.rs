//! `linkprobe replay`: a recording through the verdict engine, with any numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::{
    client::units::percent,
    config::{HealthConfig, ProbeConfig},
    health::{self, Settings, Transition, isolation::Isolation},
    record::{
        Header, MAGIC,
        codec::{Damage, Decoder, Frame},
        writer::segments,
    },
    report::Evidence,
    verdict::{Cause, Direction, MILLISECOND, Nanos, State},
};

/// The agent's tick: where nothing was observed, time passes in these steps.
const TICK: Nanos = 10 * MILLISECOND;

/// A verdict that has changed in a replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// When, in nanoseconds since the Unix epoch.
    #[serde(skip)]
    pub unix: Nanos,
    /// The same in UTC (RFC 3339).
    pub at: String,
    /// To whom the path leads.
    pub peer: String,
    /// Of which direction.
    pub direction: Direction,
    /// The verdict until then.
    pub from: State,
    /// The verdict from then on.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// The probes that it rests on.
    pub evidence: Evidence,
}

/// The segments of a file, or of all files of a directory, in order.
///
/// # Errors
/// Where there is none, or one cannot be read.
pub fn read(path: &Path) -> Result<Vec<Segment>> {
    let files: Vec<PathBuf> = if path.is_dir() {
        let found = segments(path).with_context(|| format!("cannot read {}", path.display()))?;
        found.into_iter().map(|(file, _)| file).collect()
    } else {
        vec![path.to_owned()]
    };
    if files.is_empty() {
        bail!("{} has no recording: its files are named linkprobe-*.rec", path.display());
    }
    files.iter().map(|file| Segment::read(file)).collect()
}

/// A segment of a recording.
#[derive(Clone, Debug)]
pub struct Segment {
    file: PathBuf,
    header: Header,
    octets: Vec<u8>,
    /// Where the frames begin.
    frames: usize,
}

impl Segment {
    fn read(file: &Path) -> Result<Self> {
        let name = file.display();
        let octets = fs::read(file).with_context(|| format!("cannot read {name}"))?;
        let foreign = || format!("{name} is no recording of this version of linkprobe");
        let rest = octets.strip_prefix(MAGIC.as_bytes()).with_context(foreign)?;
        let end = rest.iter().position(|octet| *octet == b'\n').with_context(foreign)?;
        let header = serde_json::from_slice(&rest[..end]).with_context(foreign)?;
        let frames = MAGIC.len() + end + 1;
        Ok(Self { file: file.to_owned(), header, octets, frames })
    }
}

/// The verdicts that a config would have given.
///
/// # Errors
/// Where a recording is damaged; one that ends early is only told in the log.
pub fn replay(segments: &[Segment], health: &HealthConfig) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let mut engine: Option<Engine> = None;
    for segment in segments {
        let header = &segment.header;
        let goes_on =
            engine.take().filter(|engine| header.continues && engine.header.paths == header.paths);
        let mut running = match goes_on {
            Some(engine) => Engine { header: header.clone(), ..engine },
            None => Engine::new(header.clone(), health),
        };
        let octets = &segment.octets[segment.frames..];
        let (paths, flows) = (header.paths.len(), usize::from(header.flows));
        let mut decoder = Decoder::new(octets, header.monotonic, paths, flows);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => running.take(&frame, &mut changes),
                Ok(None) => break,
                Err(cut @ Damage::CutOff(_)) => {
                    tracing::warn!(file = %segment.file.display(), "{cut}");
                    break;
                }
                Err(damage) => bail!("{}: {damage}", segment.file.display()),
            }
        }
        engine = Some(running);
    }
    Ok(changes)
}

/// What the judge of an agent has.
struct Engine {
    header: Header,
    settings: Settings,
    paths: Vec<health::Path>,
    regions: Vec<usize>,
    isolation: Isolation,
    now: Nanos,
}

impl Engine {
    fn new(header: Header, health: &HealthConfig) -> Self {
        let probe = ProbeConfig {
            interval: Duration::from_nanos(header.interval),
            timeout: Duration::from_nanos(header.timeout),
            flows: header.flows,
            ..ProbeConfig::default()
        };
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let regions = header.paths.iter().map(|path| {
            let next = names.len();
            *names.entry(&path.region).or_insert(next)
        });
        let regions: Vec<usize> = regions.collect();
        let new = |_| health::Path::new(usize::from(header.flows), header.monotonic);
        Self {
            settings: health.settings(&probe),
            paths: regions.iter().map(new).collect(),
            regions,
            isolation: Isolation::default(),
            now: header.monotonic,
            header,
        }
    }

    fn take(&mut self, frame: &Frame, changes: &mut Vec<Change>) {
        // Evidence that grows old changes verdicts too, but nothing else does until the next frame.
        let quiet = (self.now + 2 * self.settings.expiry).min(frame.now);
        while self.now + TICK < quiet {
            self.tick(self.now + TICK, changes);
        }
        for observation in &frame.observations {
            let path = &mut self.paths[observation.path];
            path.observe(
                observation.flow,
                observation.sent_at,
                observation.outcome,
                frame.now,
                &self.settings,
            );
        }
        self.tick(frame.now, changes);
    }

    fn tick(&mut self, now: Nanos, changes: &mut Vec<Change>) {
        self.now = now;
        let settings = &self.settings;
        let paths = self.regions.iter().copied().zip(&self.paths);
        self.isolation.look(paths, now, settings);
        let isolated = self.isolation.since().is_some();
        for (path, name) in self.paths.iter_mut().zip(&self.header.paths) {
            let mut changed: Vec<Transition> = Vec::new();
            path.tick(now, isolated, settings, &mut |change| changed.push(change));
            for Transition { at, direction, from, to, cause } in changed {
                let unix = self.header.unix + (at - self.header.monotonic);
                changes.push(Change {
                    unix,
                    at: humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(unix))
                        .to_string(),
                    peer: name.peer.clone(),
                    direction,
                    from,
                    to,
                    cause,
                    evidence: path.direction(direction, settings).evidence,
                });
            }
        }
    }
}

/// A change as a line.
#[must_use]
pub fn line(change: &Change) -> String {
    let Change { at, peer, direction, from, to, cause, evidence, .. } = change;
    let loss = match (evidence.lost, evidence.loss_ratio) {
        (1.., Some(ratio)) => {
            format!(", {} of {} lost ({})", evidence.lost, evidence.probes, percent(ratio))
        }
        _ => String::new(),
    };
    format!("{at}  {peer} {direction}: {from} -> {to} ({cause}{loss})\n")
}

/// What one config would have said and the other not: lines with `-` and `+`, and a summary.
#[must_use]
pub fn compare(one: &[Change], other: &[Change]) -> String {
    let theirs: BTreeSet<Key<'_>> = other.iter().map(key).collect();
    let in_both: BTreeSet<Key<'_>> =
        one.iter().map(key).filter(|key| theirs.contains(key)).collect();
    let mut lines: Vec<(Nanos, String)> = Vec::new();
    for (sign, changes) in [("-", one), ("+", other)] {
        let only = changes.iter().filter(|change| !in_both.contains(&key(change)));
        lines.extend(only.map(|change| (change.unix, format!("{sign} {}", line(change)))));
    }
    lines.sort_by_key(|(unix, _)| *unix);
    let mut text: String = lines.into_iter().map(|(_, line)| line).collect();
    let count =
        |changes: &[Change], state| changes.iter().filter(|change| change.to == state).count();
    for (sign, changes) in [("-", one), ("+", other)] {
        text += &format!(
            "{sign} {} changes: {} to unhealthy, {} to degraded, {} to healthy, {} to unknown\n",
            changes.len(),
            count(changes, State::Unhealthy),
            count(changes, State::Degraded),
            count(changes, State::Healthy),
            count(changes, State::Unknown),
        );
    }
    text
}

/// What makes two changes the same.
type Key<'c> = (Nanos, &'c str, &'static str, &'static str);

fn key(change: &Change) -> Key<'_> {
    (change.unix, &change.peer, change.direction.label(), change.to.label())
}

#[cfg(test)]
mod tests;
