//! What is judged, kept for replays.

use anyhow::{Context as _, Result};

use super::state::{State, nanos};
use crate::{
    datapath::clock,
    record::{Header, PathName, writer::Writer},
};

impl State {
    /// Begins to record, if the config says so.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub(super) fn start_recorder(&mut self) -> Result<()> {
        let Some(directory) = &self.config.record.directory else { return Ok(()) };
        let writer = Writer::start(directory, self.config.record.limit, self.header());
        let why = || format!("cannot record in {} ([record] directory)", directory.display());
        self.recorder = Some(writer.with_context(why)?);
        Ok(())
    }

    /// Tells the recorder of another config.
    pub(super) fn tell_recorder(&mut self) {
        let header = self.header();
        if let Some(recorder) = &mut self.recorder {
            recorder.set_header(header);
        }
    }

    fn header(&self) -> Header {
        let peers = self.config.peers.iter();
        Header {
            node: self.config.node.name.clone(),
            monotonic: clock::monotonic(),
            unix: clock::realtime(),
            continues: false,
            interval: nanos(self.config.probe.interval),
            timeout: nanos(self.config.probe.timeout),
            flows: self.config.probe.flows,
            paths: peers
                .map(|peer| PathName { peer: peer.name.clone(), region: peer.region.clone() })
                .collect(),
        }
    }
}
