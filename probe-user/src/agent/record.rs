//! What is recorded of an agent.

use super::{
    peers::Peer,
    state::{State, nanos},
};
use crate::{
    health::observation::MOMENT,
    record::header::{Header, Path, Probe},
};

impl State {
    /// Tells the recorder, if there is one, what is probed from now on, and how.
    pub(super) fn set_recorded(&mut self) {
        let Some(recorder) = &mut self.recorder else { return };
        let mut paths = Vec::new();
        for Peer { config, path, recorded, .. } in &mut self.peers {
            let Some(path) = path else { continue };
            *recorded = paths.len();
            paths.push(Path {
                peer: config.name.clone(),
                region: config.region.clone(),
                opened: path.opened / MOMENT,
            });
        }
        let probe = &self.config.probe;
        recorder.set_header(Header {
            node: self.config.node.name.clone(),
            run: self.events.revision().epoch,
            sequence: 0,
            gap: false,
            unix: 0,
            monotonic: 0,
            probe: Probe {
                interval: nanos(probe.interval),
                timeout: nanos(probe.timeout),
                flows: probe.flows,
            },
            health: self.config.health.goals(),
            paths,
        });
    }
}
