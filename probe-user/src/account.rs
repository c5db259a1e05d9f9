//! From the memory of the kernel to the outcome of every probe.
//!
//! The kernel notes in the slots of a session what left and what came back. This module reads the
//! slots in the order in which the probes were sent and says of each what became of it. It is pure:
//! the kernel's memory is behind [`Memory`], and the time is an argument.
//!
//! A probe is judged twice. It is **given up** as soon as an answer has become improbable
//! ([`rtt::Estimator`]), which is what the detector sees; an answer after that takes the loss back.
//! It is **lost** once `timeout` has passed, and only then the counters say so: they never go back.
//!
//! - [`flow`]: the probes of one session.
//! - [`rtt`]: how long an answer may take, and the distribution of round trips.
//! - [`located`]: where losses are of which nothing tells it.
//! - [`path`](mod@path): the flows to one peer, and what its silence means.
//! - [`awaited`]: whose probes are on their way.
//! - `rest`: when there is nothing to judge.
//! - `visits`: the peer's own probes.

#[cfg(any(test, feature = "simulation"))]
mod arbitrary;
pub mod awaited;
pub mod flow;
pub mod located;
pub mod model;
pub mod path;
mod rest;
pub mod rtt;
mod visits;

use probe_ebpf::maps::Slot;

use crate::{
    health::defect::Defects,
    verdict::{MILLISECOND, Nanos},
};

/// What the kernel remembers of one session: the memory-mapped arrays, or a model of them.
pub trait Memory {
    /// Test packets that left; the next sequence number. Wraps.
    fn sent(&self) -> u32;

    /// Replies that were accepted.
    fn answered(&self) -> u64;

    /// When the last one came; 0 before the first.
    fn answered_at(&self) -> Nanos;

    /// The slot in which the probe with this number was noted; by now it may hold a later one.
    fn slot(&self, sequence: u32) -> Slot;

    /// Closes the slot of a probe that is lost. Returns false where an answer has come after all.
    fn close(&self, sequence: u32) -> bool;
}

/// Where a probe was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// On the way to the peer.
    Forward,
    /// On the way back.
    Reverse,
    /// Nothing tells where.
    Unknown,
    /// Neither answers nor the peer's own probes come any more: the way back is dead, and nothing can
    /// be said of the way there.
    Silent,
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered in time.
    Answered {
        /// Round trip in nanoseconds, less the reflector's residence.
        round_trip: u32,
    },
    /// Given up.
    Lost(Lost),
    /// Answered after it had been given up so: that loss was none.
    TakenBack(Lost),
}

/// What is fixed for the flows of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Time between two probes of one flow, in nanoseconds.
    pub interval: Nanos,
    /// After this a probe is lost for good, in nanoseconds.
    pub timeout: Nanos,
    /// Slots that the kernel has for each session; a power of two.
    pub slots: u32,
    /// Whether the peer's reflector counts on its own (RFC 8762, section 4.3). A stateless one copies
    /// our numbers, which tell nothing.
    pub stateful: bool,
    /// For the simulator's negative controls; nothing in the product.
    pub defects: Defects,
}

/// The least time that an answer is given before its probe is given up. A floor for the jitter of
/// busy hosts: softirqs wait for tens of milliseconds there.
pub const PATIENCE: Nanos = 60 * MILLISECOND;

/// So many probes of a path in a row without an answer are silence. With 50 % loss that happens by
/// chance once in 4,000 probes, with 30 % once in two million.
pub const SILENT_PROBES: u32 = 12;

/// Slots that a session needs: enough that none is taken again before its probe is lost for good, and
/// then as much again, for the agent may be late.
#[must_use]
pub fn slots_for(interval: Nanos, timeout: Nanos) -> u32 {
    let in_flight = timeout.div_ceil(interval.max(1)) + 1;
    u32::try_from(in_flight * 2).unwrap_or(1 << 20).next_power_of_two().clamp(16, 1 << 20)
}
