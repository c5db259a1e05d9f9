//! What is seen, by threads that ask again and again, and what of it is news.

use std::{collections::BTreeMap, sync::mpsc, thread, time::Duration};

use anyhow::{Context as _, Result, bail};
use lab::{Agent, Lab, Way, clock, ways::Watch};
use probe_user::{
    report::{Regions, overlay::Overlay},
    verdict::{Direction, Reach, State},
};
use serde::de::DeserializeOwned;

use super::{
    burst::{SICK, VERDICTS},
    record::{History, NOBODY, Requests, Seen},
    workers,
};

/// Time between two questions to the same agent. It tells itself since when something is so.
const PERIOD: Duration = Duration::from_millis(100);

/// Something that was seen. Times are seconds since the Unix epoch.
pub(super) enum Sighting {
    /// What an agent says of routes, and of the ways that they might take.
    Overlay(Box<Overlay>),
    /// What an agent says of regions.
    Regions(Box<Regions>),
    /// What a request through the load balancer was answered by: a region, or nothing.
    Answer { at: f64, region: Option<&'static str>, octets: u64 },
    /// A heartbeat of a worker has arrived at a controller. Of several runs of it the highest is the latest.
    Heartbeat { at: f64, worker: String, run: u64, region: &'static str },
    /// An agent does not answer.
    Failure(anyhow::Error),
}

/// Asks each agent until it does not answer or nobody listens any more.
pub(super) fn ask(agents: &[Agent], sightings: &mpsc::Sender<Sighting>) {
    for agent in agents {
        let (agent, sightings) = (agent.clone(), sightings.clone());
        thread::spawn(move || {
            loop {
                let overlay = get(&agent, "/api/v1/overlay").map(Sighting::Overlay);
                let regions = get(&agent, "/api/v1/regions").map(Sighting::Regions);
                for seen in [overlay, regions] {
                    let failed = seen.is_err();
                    if sightings.send(seen.unwrap_or_else(Sighting::Failure)).is_err() || failed {
                        return;
                    }
                }
                thread::sleep(PERIOD);
            }
        });
    }
}

fn get<T: DeserializeOwned>(agent: &Agent, path: &str) -> Result<Box<T>> {
    let (status, body) = agent.get(path)?;
    if status != 200 {
        bail!("{} answers {status} to GET {path}: {body}", agent.node());
    }
    serde_json::from_str(&body).with_context(|| format!("{path} of {}", agent.node()))
}

/// A line of the timeline: what it means, as a state, and the text.
pub(super) type News = (State, String);

/// All that was seen so far.
pub(super) struct Observer {
    /// By agent, region, relay and direction.
    verdicts: BTreeMap<(String, String, Option<String>, usize), History<State>>,
    /// By agent and region.
    reaches: BTreeMap<(String, String), History<Reach>>,
    watches: Vec<Watch>,
    routes: Vec<History<Way>>,
    balancer: History<String>,
    requests: Requests,
    /// With the latest run of each.
    workers: BTreeMap<String, (u64, History<String>)>,
}

impl Observer {
    /// Begins to watch the routes.
    ///
    /// # Errors
    /// Those of the lab.
    pub(super) fn start(lab: &Lab) -> Result<Self> {
        let watches = crate::topology::pairs().map(|(from, to)| lab.watch_way(from, to));
        let name = |(from, to)| History::new(format!("{from} → {to}"));
        Ok(Self {
            verdicts: BTreeMap::new(),
            reaches: BTreeMap::new(),
            watches: watches.collect::<Result<_>>()?,
            routes: crate::topology::pairs().map(name).collect(),
            balancer: History::new("HAProxy"),
            requests: Requests::default(),
            workers: BTreeMap::new(),
        })
    }

    /// Takes in something that was seen, and says what is new of it.
    ///
    /// # Errors
    /// Where an agent has failed.
    pub(super) fn take(&mut self, sighting: Sighting) -> Result<Vec<News>> {
        match sighting {
            Sighting::Overlay(overlay) => {
                self.take_verdicts(*overlay);
                Ok(Vec::new())
            }
            Sighting::Regions(regions) => Ok(self.take_regions(*regions)),
            Sighting::Answer { at, region, octets } => Ok(self.take_answer(at, region, octets)),
            Sighting::Heartbeat { at, worker, run, region } => {
                Ok(self.take_heartbeat(at, worker, run, region))
            }
            Sighting::Failure(error) => Err(error.context("an agent has failed")),
        }
    }

    fn take_verdicts(&mut self, overlay: Overlay) {
        for destination in overlay.destinations {
            for candidate in destination.candidates {
                for (direction, verdict) in [
                    (Direction::Forward, &candidate.forward),
                    (Direction::Reverse, &candidate.reverse),
                ] {
                    let by = candidate.via.clone();
                    let key =
                        (overlay.node.clone(), destination.region.clone(), by, direction as usize);
                    let history = self.verdicts.entry(key).or_insert_with(|| {
                        History::new(format!("{} to {}", overlay.node, destination.region))
                    });
                    history.note(verdict.since, verdict.verdict);
                }
            }
        }
    }

    fn take_regions(&mut self, regions: Regions) -> Vec<News> {
        let mut news = Vec::new();
        for region in regions.regions {
            let key = (regions.region.clone(), region.name.clone());
            let history = self.reaches.entry(key).or_insert_with(|| History::new(""));
            if history.note(region.reach_since, region.reach) {
                let reach = region.reach.label().replace('_', "-");
                let text = format!("{}: {} is {reach}", regions.region, region.name);
                news.push((meaning(region.reach), text));
            }
        }
        news
    }

    fn take_answer(&mut self, at: f64, region: Option<&str>, octets: u64) -> Vec<News> {
        if region.is_some() {
            self.requests.answered += 1;
            self.requests.octets += octets;
        } else {
            self.requests.failed += 1;
        }
        let who = region.unwrap_or(NOBODY);
        let is_new = self.balancer.note(at, who.to_owned());
        let text = format!("HAProxy: {who} answers now");
        let meaning = region.map_or(State::Unhealthy, at_home);
        is_new.then_some((meaning, text)).into_iter().collect()
    }

    fn take_heartbeat(&mut self, at: f64, worker: String, run: u64, region: &str) -> Vec<News> {
        let name = format!("worker in {worker}");
        let (latest, history) =
            self.workers.entry(worker).or_insert_with(|| (0, History::new(name)));
        if run < *latest {
            return Vec::new();
        }
        *latest = run;
        let text = format!("{}: registered in {region} now", history.name);
        let is_new = history.note(at, region.to_owned());
        is_new.then(|| (at_home(region), text)).into_iter().collect()
    }

    /// Looks where the kernels route to, and says what is new of it.
    ///
    /// # Errors
    /// Where a kernel has stopped to answer.
    pub(super) fn look_at_routes(&mut self) -> Result<Vec<News>> {
        let mut news = Vec::new();
        let (now, unix) = (clock::now(), clock::unix());
        for (watch, history) in self.watches.iter().zip(&mut self.routes) {
            for (at, way) in watch.ways()?.into_iter().skip(history.len()) {
                let (meaning, by) = match &way {
                    Way::Direct => (State::Healthy, "directly".to_owned()),
                    Way::Relay(relay) => (State::Degraded, format!("by {relay}")),
                    Way::None => (State::Unhealthy, "nowhere".to_owned()),
                };
                let text = format!("{} goes {by} now", history.name);
                if history.note(unix - now.duration_since(at).as_secs_f64(), way) {
                    news.push((meaning, text));
                }
            }
        }
        Ok(news)
    }

    /// How many verdicts are in a state.
    pub(super) fn count(&self, state: State) -> usize {
        self.verdicts.values().filter(|verdict| verdict.now() == Some(&state)).count()
    }

    /// Whether all is as it should be: verdicts, routes, load balancer, workers.
    pub(super) fn is_all_well(&self) -> bool {
        let is_home = |history: &History<String>| history.now().is_some_and(|at| at == SICK);
        self.count(State::Healthy) == VERDICTS
            && self.routes.iter().all(|route| route.now() == Some(&Way::Direct))
            && is_home(&self.balancer)
            && self.workers.len() == workers::PLACES.len()
            && self.workers.values().all(|(_, worker)| is_home(worker))
    }

    /// What keeps [`Observer::is_all_well`] from being so, in words.
    pub(super) fn missing(&self) -> String {
        let healthy = self.count(State::Healthy);
        let direct = self.routes.iter().filter(|route| route.now() == Some(&Way::Direct)).count();
        let workers: Vec<String> = self
            .workers
            .values()
            .map(|(_, worker)| format!("the {} in {:?}", worker.name, worker.now()))
            .collect();
        format!(
            "{healthy} of {VERDICTS} verdicts are healthy, {direct} of {} routes direct, through HAProxy answers {:?}, \
             registered are: {}",
            self.routes.len(),
            self.balancer.now(),
            workers.join(", "),
        )
    }

    /// Forgets the requests so far: how it was started is not part of it.
    pub(super) fn forget_requests(&mut self) {
        self.requests = Requests::default();
    }

    /// All that was seen.
    pub(super) fn seen(&self) -> Seen {
        Seen {
            verdicts: self.verdicts.values().cloned().collect(),
            routes: self.routes.clone(),
            balancer: self.balancer.clone(),
            requests: self.requests,
            workers: self.workers.values().map(|(_, worker)| worker.clone()).collect(),
        }
    }
}

const fn meaning(reach: Reach) -> State {
    match reach {
        Reach::Reachable => State::Healthy,
        Reach::Impaired => State::Degraded,
        Reach::Isolated => State::Unhealthy,
        Reach::Unknown | Reach::SelfIsolated => State::Unknown,
    }
}

/// What it means that something is in a region.
fn at_home(region: &str) -> State {
    if region == SICK { State::Healthy } else { State::Degraded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_fails_is_news_once_and_ends_what_was() {
        let mut observer = Observer {
            verdicts: BTreeMap::new(),
            reaches: BTreeMap::new(),
            watches: Vec::new(),
            routes: Vec::new(),
            balancer: History::new("HAProxy"),
            requests: Requests::default(),
            workers: BTreeMap::new(),
        };
        let mut take = |at, region| observer.take_answer(at, region, 7);
        assert_eq!(take(1.0, Some(SICK)), []);
        assert_eq!(take(2.0, None), [(State::Unhealthy, "HAProxy: nobody answers now".to_owned())]);
        assert_eq!(take(3.0, None), []);
        assert_eq!(
            take(4.0, Some(SICK)),
            [(State::Healthy, "HAProxy: nyc answers now".to_owned())]
        );
        assert_eq!(observer.balancer.settled(|region| region == SICK), Some(4.0));
        let Requests { answered, octets, failed } = observer.requests;
        assert_eq!((answered, octets, failed), (2, 14, 2));
    }
}
