//! Keeping up with the host.

use crate::{
    datapath::{Datapath, addresses::Changes},
    verdict::Nanos,
};

/// How many looks at the host lie between two at its addresses though the kernel has told of no change.
const LOOKS_PER_LISTING: u64 = 60;

/// How many looks at the host lie between two sweeps of the reflector's sessions.
const LOOKS_PER_SWEEP: u64 = 10;

/// How long the reflector keeps a session from which nothing comes, in nanoseconds.
const SESSION_LIFETIME: Nanos = 300 * 1_000_000_000;

/// What keeps a datapath in step with its host. To be asked to look every second or so.
pub(super) struct Watch {
    looks: u64,
    /// Changes of the host's addresses, where the kernel tells of them. To list the addresses takes a millisecond for every
    /// thousand.
    changes: Option<Changes>,
    /// Whether the addresses may be others than the datapath knows.
    outdated: bool,
}

impl Watch {
    /// One that has not looked yet.
    pub(super) fn new() -> Self {
        let changes = Changes::watch().inspect_err(|error| {
            tracing::warn!(%error, "the kernel does not tell of new addresses: they are listed every second");
        });
        Self { looks: 0, changes: changes.ok(), outdated: true }
    }

    /// Takes in the host's clock, its addresses, and interfaces that were made anew, and now and again lets
    /// the reflector forget sessions that have ended. `now` is monotonic, in nanoseconds.
    pub(super) fn look(&mut self, datapath: &mut Datapath, now: Nanos) {
        self.looks += 1;
        datapath.refresh_clock();
        self.refresh_addresses(datapath);
        for done in datapath.reattach() {
            match done {
                Ok(interface) => tracing::info!(interface, "attached again: it was made anew"),
                Err(error) => tracing::warn!(%error, "cannot attach again"),
            }
        }
        if self.looks.is_multiple_of(LOOKS_PER_SWEEP) {
            datapath.sweep(now.saturating_sub(SESSION_LIFETIME));
        }
    }

    fn refresh_addresses(&mut self, datapath: &mut Datapath) {
        // Before they are listed, so that what changes meanwhile is told at the next look.
        let is_told = self.changes.as_ref().is_none_or(Changes::any);
        self.outdated |= is_told || self.looks.is_multiple_of(LOOKS_PER_LISTING);
        if !self.outdated {
            return;
        }
        match datapath.refresh_addresses() {
            Ok(true) => tracing::info!("the addresses of this host have changed"),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot look up the addresses of this host");
                return;
            }
        }
        self.outdated = false;
    }
}
