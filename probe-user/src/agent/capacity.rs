//! How much room the maps of the kernel have.

use anyhow::{Result, ensure};
use probe_ebpf::maps::Slot;

use super::state::nanos;
use crate::{account, config::Config};

/// The least number of sessions that there is room for, so that a reload can add peers.
const LEAST_SESSIONS: usize = 1_024;

/// The most sessions that SSIDs can name.
const MOST_SESSIONS: usize = 65_535;

/// The most memory that the slots of all sessions may take, in bytes.
const MOST_MEMORY: usize = 1 << 30;

/// The most memory that sessions may take for which there are no peers yet, in bytes.
const SPARE_MEMORY: usize = 64 << 20;

/// How many sessions to make room for: twice as many as there are, as far as memory goes.
pub(super) fn sessions(config: &Config, slots: u32) -> Result<usize> {
    let wanted = config.paths() * usize::from(config.probe.flows);
    let affordable = MOST_MEMORY / (slots as usize * size_of::<Slot>());
    ensure!(
        wanted < affordable,
        "{wanted} sessions (paths x flows) with {slots} slots each (probe.timeout / probe.interval) need \
         more kernel memory than the {} MiB that are allowed: shorten probe.timeout, or lengthen \
         probe.interval",
        MOST_MEMORY >> 20
    );
    let spare = (2 * wanted).max(LEAST_SESSIONS).next_power_of_two();
    let cheap = SPARE_MEMORY / (slots as usize * size_of::<Slot>());
    Ok(spare.min(cheap).max(wanted).min(MOST_SESSIONS))
}

/// Slots of each session; a power of two.
pub(super) fn slots(config: &Config) -> u32 {
    account::slots_for(nanos(config.probe.interval), nanos(config.probe.timeout))
}
