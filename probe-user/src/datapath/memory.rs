//! The arrays that whoever moves packets shares with the agent, without a system call.

use std::{
    mem::offset_of,
    sync::atomic::{AtomicU32, Ordering},
};

use aya::Ebpf;
use probe_ebpf::{
    hmac::Key,
    maps::{
        Arrivals, Config, Counters, Line, MAX_KEYS, MAX_SESSIONS, Session, Slot, SlotState, name,
        transmit::Headers,
    },
};

use super::{Error, Options, array::Array};
use crate::{account, verdict::Nanos};

/// All of them.
pub(super) struct Memory {
    pub(super) config: Array<Config>,
    pub(super) sessions: Array<Session>,
    pub(super) slots: Array<Slot>,
    pub(super) headers: Array<Headers>,
    pub(super) arrivals: Array<Line<Arrivals>>,
    pub(super) counters: Array<Counters>,
    pub(super) keys: Array<Key>,
}

impl Memory {
    /// Maps those of the kernel programs.
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, Error> {
        Ok(Self {
            config: Array::open(ebpf, name::CONFIG)?,
            sessions: Array::open(ebpf, name::SESSIONS)?,
            slots: Array::open(ebpf, name::SLOTS)?,
            headers: Array::open(ebpf, name::HEADERS)?,
            arrivals: Array::open(ebpf, name::ARRIVALS)?,
            counters: Array::open(ebpf, name::COUNTERS)?,
            keys: Array::open(ebpf, name::KEYS)?,
        })
    }

    /// The same in plain memory, with counters for so many threads.
    pub(super) fn anonymous(options: &Options, threads: usize) -> Result<Self, Error> {
        let sessions = (options.sessions + 1).min(MAX_SESSIONS) as usize;
        Ok(Self {
            config: Array::anonymous(name::CONFIG, 1)?,
            sessions: Array::anonymous(name::SESSIONS, sessions)?,
            slots: Array::anonymous(name::SLOTS, sessions * options.slots as usize)?,
            headers: Array::anonymous(name::HEADERS, sessions)?,
            arrivals: Array::anonymous(name::ARRIVALS, options.peers.max(1) as usize)?,
            counters: Array::anonymous(name::COUNTERS, threads)?,
            keys: Array::anonymous(name::KEYS, MAX_KEYS as usize + 1)?,
        })
    }

    /// The same arrays once more, for another thread.
    pub(super) fn share(&self) -> Self {
        Self {
            config: self.config.share(),
            sessions: self.sessions.share(),
            slots: self.slots.share(),
            headers: self.headers.share(),
            arrivals: self.arrivals.share(),
            counters: self.counters.share(),
            keys: self.keys.share(),
        }
    }

    /// What is remembered of one session, which has so many slots.
    pub(super) const fn session(&self, ssid: u16, slots: u32) -> SessionMemory<'_> {
        SessionMemory {
            session: &self.sessions,
            slots: &self.slots,
            ssid: ssid as usize,
            count: slots as usize,
        }
    }
}

/// What the replies of a session had to say, besides its slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replies {
    /// Second replies to the same test packet.
    pub duplicates: u32,
    /// Replies that came behind the reply to a later test packet.
    pub reordered: u32,
    /// Error Estimate of the reflector's clock, as the last one has it.
    pub error_estimate: u16,
    /// TTL or Hop Limit with which the reflector received the last probe that was answered.
    pub sender_ttl: u8,
}

/// What is remembered of one session.
pub struct SessionMemory<'a> {
    session: &'a Array<Session>,
    slots: &'a Array<Slot>,
    ssid: usize,
    count: usize,
}

impl SessionMemory<'_> {
    /// What its replies had to say, besides the slots.
    #[must_use]
    pub fn replies(&self) -> Replies {
        let session = self.session.read(self.ssid);
        Replies {
            duplicates: session.duplicates,
            reordered: session.reordered,
            error_estimate: session.reflector_error_estimate,
            sender_ttl: session.sender_ttl,
        }
    }

    /// Has the processor fetch it, and the slot of a probe.
    pub(crate) fn fetch(&self, sequence: u32) {
        self.session.fetch(self.ssid);
        self.slots.fetch(self.slot_at(sequence));
    }

    fn slot_at(&self, sequence: u32) -> usize {
        self.ssid * self.count + (sequence as usize & (self.count - 1))
    }

    fn state(&self, sequence: u32) -> &AtomicU32 {
        self.slots.atomic(self.slot_at(sequence), offset_of!(Slot, state))
    }
}

impl account::Memory for SessionMemory<'_> {
    fn sent(&self) -> u32 {
        self.session.atomic(self.ssid, offset_of!(Session, sent)).load(Ordering::Acquire)
    }

    fn answered(&self) -> u64 {
        self.session.read(self.ssid).answered
    }

    fn answered_at(&self) -> Nanos {
        self.session.read(self.ssid).answered_at
    }

    fn slot(&self, sequence: u32) -> Slot {
        // The state is published last, so it is read first.
        let state = self.state(sequence).load(Ordering::Acquire);
        Slot { state, ..self.slots.read(self.slot_at(sequence)) }
    }

    fn close(&self, sequence: u32) -> bool {
        if self.slots.read(self.slot_at(sequence)).sequence != sequence {
            // A later probe has taken the slot; this one can no longer be answered.
            return true;
        }
        let (sent, lost) = (SlotState::Sent as u32, SlotState::Lost as u32);
        let exchange =
            self.state(sequence).compare_exchange(sent, lost, Ordering::AcqRel, Ordering::Acquire);
        exchange.is_ok() || exchange == Err(lost)
    }
}
