//! Probes that need no network stack: the XDP program makes them, of headers that the network stack has put before
//! an earlier one, and hands them to the interface's driver.
//!
//! What it costs is a fraction of a system call with all that comes behind it. What it must not do is invent loss.
//! So the network stack sends the first probes of a session, one every two seconds, and all of one that has missed
//! an answer.
//!
//! - `trust`: whether a session's probes may go this way. Pure.
//! - `live_frames`: a program that is run on frames which nobody has sent.
//! - `drivers`: which interfaces take frames.

mod drivers;
mod live_frames;
mod trust;

use std::{
    collections::BTreeSet,
    io,
    mem::offset_of,
    sync::{Arc, Mutex, atomic::Ordering},
};

use probe_ebpf::maps::{
    SlotState,
    transmit::{Batch, Headers, IPV4_HEADERS, MAX_BATCH, MAX_HEADERS, PAYLOAD},
};

use super::{array::Array, clock, lock, memory::Memory};
use crate::{
    account::Memory as _,
    sender::Target,
    verdict::{Nanos, SECOND},
};
use trust::{Fate, Seen, Trust};

pub(super) use drivers::takes_frames;
pub(super) use live_frames::LiveFrames;

/// So many probes at once make it worth while: a call alone costs as much as a few packets do in the network stack.
const WORTHWHILE: usize = 6;

/// How long the kernel is not asked again that has refused.
const RETRY: Nanos = 60 * SECOND;

/// The indices of interfaces whose drivers take frames that no network stack has seen.
pub(super) type Interfaces = Arc<Mutex<BTreeSet<u32>>>;

/// Sends probes without the network stack.
pub struct Transmitter {
    program: LiveFrames,
    memory: Memory,
    batch: Array<Batch>,
    interfaces: Interfaces,
    /// Slots of each session.
    slots: u32,
    /// By SSID.
    trust: Vec<Trust>,
    /// Not before then, because the kernel has refused.
    not_before: Nanos,
}

impl Transmitter {
    pub(super) fn new(
        program: LiveFrames,
        memory: Memory,
        batch: Array<Batch>,
        interfaces: Interfaces,
        slots: u32,
    ) -> Self {
        let trust = vec![Trust::default(); memory.sessions.len()];
        Self { program, memory, batch, interfaces, slots, trust, not_before: 0 }
    }

    /// Sends one probe to each target that it can, and tells of each that has been tried. Returns the others, for
    /// sockets.
    pub(crate) fn send<'t>(
        &mut self,
        targets: &[&'t Target],
        mut attempted: impl FnMut(u16),
    ) -> Vec<&'t Target> {
        let now = clock::monotonic();
        if targets.len() < WORTHWHILE || now < self.not_before {
            return targets.to_vec();
        }
        let (mut v4, mut v6, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        let interfaces = lock(&self.interfaces).clone();
        for &target in targets {
            match self.headers_of(target, &interfaces, now) {
                Some(IPV4_HEADERS) => v4.push(target),
                Some(MAX_HEADERS) => v6.push(target),
                _ => rest.push(target),
            }
        }
        for (headers, targets) in [(IPV4_HEADERS, v4), (MAX_HEADERS, v6)] {
            for some in targets.chunks(MAX_BATCH) {
                let tried =
                    if some.len() < WORTHWHILE { 0 } else { self.try_run(headers, some, now) };
                let (tried, untried) = some.split_at(tried);
                for target in tried {
                    let last = self.memory.session(target.ssid, self.slots).sent().wrapping_sub(1);
                    self.trust[usize::from(target.ssid)].sent(last);
                    attempted(target.ssid);
                }
                rest.extend(untried);
            }
        }
        rest
    }

    /// Has a packet for each of these made and sent, and returns how many were tried.
    fn try_run(&mut self, headers: usize, targets: &[&Target], now: Nanos) -> usize {
        if now < self.not_before {
            return 0;
        }
        match self.run(headers, targets.iter().map(|target| target.ssid)) {
            // A signal came between two packets; the next call is as good as this one was.
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                tracing::warn!(%error, "the network stack sends all probes for a minute: its way round is closed");
                self.not_before = now + RETRY;
            }
            _ => {}
        }
        self.taken().min(targets.len())
    }

    /// Has the network stack send all probes until it has shown the way of each again.
    pub(crate) fn forget(&mut self) {
        for session in 0..self.memory.headers.len() {
            self.memory.headers.write_field(session, offset_of!(Headers, learned_at), 0_u64);
        }
    }

    /// The length of the headers that a probe is to be made of, if it may go this way.
    fn headers_of(
        &mut self,
        target: &Target,
        interfaces: &BTreeSet<u32>,
        now: Nanos,
    ) -> Option<usize> {
        // Templates that are longer have TLVs or an HMAC.
        if target.template.len() != PAYLOAD {
            return None;
        }
        let ssid = usize::from(target.ssid);
        // Field by field: the octets are the kernel's business, and long ones lie on another line of the cache.
        let headers = &self.memory.headers;
        let interface: u32 = headers.read_field(ssid, offset_of!(Headers, interface));
        if !interfaces.contains(&interface) {
            return None;
        }
        let length: u16 = headers.read_field(ssid, offset_of!(Headers, length));
        let learned_at = headers.read_field(ssid, offset_of!(Headers, learned_at));
        let session = self.memory.sessions.read(ssid);
        let memory = self.memory.session(target.ssid, self.slots);
        let seen = Seen { learned_at, answered: session.answered };
        let round_trip = || memory.slot(session.latest_answered).round_trip.into();
        let fate = |number| {
            let slot = memory.slot(number);
            match SlotState::from_u32(slot.state) {
                _ if slot.sequence != number => Fate::Gone,
                SlotState::Answered => Fate::Answered,
                SlotState::Sent => Fate::Sent { at: slot.sent_at, round_trip: round_trip() },
                SlotState::Empty | SlotState::Lost => Fate::Gone,
            }
        };
        let may = self.trust[ssid].may(&seen, now, fate);
        may.then_some(usize::from(length))
    }

    /// Has a packet of each of these sessions made and sent, of which there are at most [`MAX_BATCH`], with headers
    /// of this length; whatever is known of them. For the sending thread, and to measure what it costs.
    ///
    /// # Errors
    /// Those of `bpf(2)`.
    pub fn run(
        &mut self,
        headers: usize,
        sessions: impl IntoIterator<Item = u16>,
    ) -> io::Result<()> {
        let count = self.prepare(sessions);
        let blank = [0; MAX_HEADERS + PAYLOAD];
        self.program.run(&blank[..headers + PAYLOAD], count)
    }

    /// How many of them were tried.
    fn taken(&self) -> usize {
        self.batch.atomic(0, offset_of!(Batch, taken)).load(Ordering::Acquire) as usize
    }

    /// Says of which sessions the next packets are that the program makes, and returns how many: for
    /// [`Transmitter::run`], and for tests that run it on frames of their own.
    pub fn prepare(&mut self, sessions: impl IntoIterator<Item = u16>) -> u32 {
        let (mut ssids, mut count) = ([0; MAX_BATCH], 0);
        for (place, ssid) in ssids.iter_mut().zip(sessions) {
            *place = ssid;
            count += 1;
        }
        self.batch.write(0, |_| Batch { taken: 0, count, ssids });
        count
    }
}
