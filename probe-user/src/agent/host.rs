//! Keeping up with the host.

use crate::{datapath::Datapath, verdict::Nanos};

/// How many looks at the host lie between two sweeps of the reflector's sessions.
const LOOKS_PER_SWEEP: u64 = 10;

/// How long the reflector keeps a session from which nothing comes, in nanoseconds.
const SESSION_LIFETIME: Nanos = 300 * 1_000_000_000;

/// What keeps a datapath in step with its host. To be asked to look every second or so.
#[derive(Debug, Default)]
pub(super) struct Watch {
    looks: u64,
}

impl Watch {
    /// Takes in the host's clock, its addresses, and interfaces that were made anew, and now and again lets
    /// the reflector forget sessions that have ended. `now` is monotonic, in nanoseconds.
    pub(super) fn look(&mut self, datapath: &mut Datapath, now: Nanos) {
        datapath.refresh_clock();
        match datapath.refresh_addresses() {
            Ok(true) => tracing::info!("the addresses of this host have changed"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "cannot look up the addresses of this host"),
        }
        for done in datapath.reattach() {
            match done {
                Ok(interface) => tracing::info!(interface, "attached again: it was made anew"),
                Err(error) => tracing::warn!(%error, "cannot attach again"),
            }
        }
        self.looks += 1;
        if self.looks.is_multiple_of(LOOKS_PER_SWEEP) {
            datapath.sweep(now.saturating_sub(SESSION_LIFETIME));
        }
    }
}
