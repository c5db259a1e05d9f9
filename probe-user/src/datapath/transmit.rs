//! Probes that need no network stack: the transmit program makes them, of headers that the network stack has put before an
//! earlier one.

use std::mem::offset_of;

use probe_ebpf::maps::{
    Session,
    transmit::{Batch, Headers, IPV4_HEADERS, MAX_BATCH, MAX_HEADERS, PAYLOAD},
};

use super::{array::Array, live_frames::LiveFrames};
use crate::{
    datapath::clock,
    sender::Target,
    verdict::{Nanos, SECOND},
};

/// How long the way is taken that the network stack chose.
const FRESH: Nanos = 2 * SECOND;

/// Has the transmit program send.
pub struct Transmitter {
    program: LiveFrames,
    sessions: Array<Session>,
    headers: Array<Headers>,
    batch: Array<Batch>,
}

impl Transmitter {
    pub(super) fn new(
        program: LiveFrames,
        sessions: Array<Session>,
        headers: Array<Headers>,
        batch: Array<Batch>,
    ) -> Self {
        Self { program, sessions, headers, batch }
    }

    /// Sends what it can, and returns the others.
    pub(crate) fn send<'t>(
        &mut self,
        targets: &[&'t Target],
        mut attempted: impl FnMut(u16),
    ) -> Vec<&'t Target> {
        let now = clock::monotonic();
        let mut rest = Vec::new();
        let mut short = Vec::new();
        let mut long = Vec::new();
        for &target in targets {
            match self.length(target, now) {
                Some(IPV4_HEADERS) => short.push(target),
                Some(MAX_HEADERS) => long.push(target),
                _ => rest.push(target),
            }
        }
        for (length, targets) in [(IPV4_HEADERS, short), (MAX_HEADERS, long)] {
            for some in targets.chunks(MAX_BATCH) {
                let taken = self.run(length, some);
                some[..taken].iter().for_each(|target| attempted(target.ssid));
                rest.extend(&some[taken..]);
            }
        }
        rest
    }

    fn length(&self, target: &Target, now: Nanos) -> Option<usize> {
        let index = usize::from(target.ssid);
        let headers = self.headers.read(index);
        let session = self.sessions.read(index);
        let is_fresh = headers.learned_at + FRESH > now;
        let is_answered =
            session.answered > 0 && session.sent.wrapping_sub(session.latest_answered) <= 4;
        (is_fresh && is_answered && target.template.len() == PAYLOAD)
            .then_some(usize::from(headers.length))
    }

    fn run(&mut self, length: usize, targets: &[&Target]) -> usize {
        let mut ssids = [0; MAX_BATCH];
        for (ssid, target) in ssids.iter_mut().zip(targets) {
            *ssid = target.ssid;
        }
        let count = targets.len() as u32;
        self.batch.write(0, |_| Batch { taken: 0, count, ssids });
        let frame = [0; MAX_HEADERS + PAYLOAD];
        if let Err(error) = self.program.run(&frame[..length + PAYLOAD], count) {
            tracing::warn!(%error, "live frames");
        }
        self.batch.atomic(0, offset_of!(Batch, taken)).load(std::sync::atomic::Ordering::Acquire)
            as usize
    }
}
