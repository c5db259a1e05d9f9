//! For whom the reflector works: the sessions that it knows, whom it gets to know, and how much of it one
//! source may have. The rules are those of the kernel program.

use std::collections::HashMap;

use probe_ebpf::{
    frame::Address,
    maps::{ALLOWANCE, Counter},
};

use super::{Request, Settings, recent::Recent};
use crate::{
    prefix::Prefix,
    verdict::{Nanos, SECOND},
};

/// A session has lasted once it has been there for this time and for [`LASTING_REQUESTS`].
const LASTING: Nanos = SECOND;
const LASTING_REQUESTS: u32 = 4;

/// A session as the reflector knows it (RFC 8972, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id {
    source: Address,
    destination: Address,
    source_port: u16,
    ssid: u16,
}

impl Id {
    /// The session of a request with this SSID.
    pub(super) const fn of(request: &Request<'_>, ssid: u16) -> Self {
        Self {
            source: request.source,
            destination: request.destination,
            source_port: request.source_port,
            ssid,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Session {
    next_sequence: u32,
    /// Index of the key of the last request; 0 for none.
    key: u8,
    since: Nanos,
    last_at: Nanos,
}

/// The tables.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    capacity: usize,
    /// Sessions that have lasted. Only [`Sessions::sweep`] removes any.
    lasting: HashMap<Id, Session>,
    /// Sessions that have only begun: a flood of them pushes out other new ones only.
    newcomers: Recent<Id, Session>,
    /// Each source's virtual clock ([`probe_ebpf::maps::Source`]).
    sources: Recent<Address, Nanos>,
}

impl Sessions {
    /// Empty tables with room for this many entries each.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            lasting: HashMap::new(),
            newcomers: Recent::new(capacity),
            sources: Recent::new(capacity),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lasting.len() + self.newcomers.len()
    }

    pub(super) fn sweep(&mut self, now: Nanos, idle: Nanos) {
        let is_alive = |session: &Session| now.saturating_sub(session.last_at) < idle;
        self.lasting.retain(|_, session| is_alive(session));
        self.newcomers.retain(is_alive);
    }

    /// Asks whether a request of a session may be answered. Returns the key that the session has used
    /// before, 0 for none.
    pub(super) fn knock(
        &mut self,
        id: &Id,
        settings: &Settings,
        now: Nanos,
    ) -> Result<u8, Counter> {
        if !is_allowed(&id.source, settings) {
            return Err(Counter::NotAllowed);
        }
        if !self.is_within_rate(id, settings.source_cost, now) {
            return Err(Counter::RateLimited);
        }
        let known = self.lasting.get(id).or_else(|| self.newcomers.peek(id));
        Ok(known.map_or(0, |session| session.key))
    }

    /// Takes a request in: notes its session, and returns the number of the reply.
    pub(super) fn enter(&mut self, id: &Id, key: u8, now: Nanos) -> u32 {
        self.promote(id, now);
        let new = || Session { next_sequence: 0, key, since: now, last_at: now };
        let session = match self.lasting.get_mut(id) {
            Some(session) => session,
            None => self.newcomers.get_or_insert_with(*id, new),
        };
        session.key = key;
        session.last_at = now;
        let sequence = session.next_sequence;
        session.next_sequence = sequence.wrapping_add(1);
        sequence
    }

    /// Moves a session to those that last, if it has lasted and there is room.
    fn promote(&mut self, id: &Id, now: Nanos) {
        if self.lasting.contains_key(id) || self.lasting.len() >= self.capacity {
            return;
        }
        let Some(begun) = self.newcomers.peek(id).copied() else { return };
        let lasts =
            begun.next_sequence >= LASTING_REQUESTS && now.saturating_sub(begun.since) >= LASTING;
        if lasts {
            self.newcomers.remove(id);
            self.lasting.insert(*id, begun);
        }
    }

    /// Whether a source may have one more request answered, and takes it from its allowance. New sessions
    /// get no more than half of that, so that those which last always find theirs.
    fn is_within_rate(&mut self, id: &Id, cost: Nanos, now: Nanos) -> bool {
        if cost == 0 {
            return true;
        }
        if self.sources.peek(&id.source).is_none() {
            self.sources.get_or_insert_with(id.source, || now.saturating_add(cost));
            return true;
        }
        let allowance = if self.lasting.contains_key(id) { ALLOWANCE } else { ALLOWANCE / 2 };
        let clock = self.sources.get_or_insert_with(id.source, || now);
        let busy_until = (*clock).max(now).saturating_add(cost);
        let is_within = busy_until - now <= allowance;
        if is_within {
            *clock = busy_until;
        }
        is_within
    }
}

/// Whether we reflect for an address. Our own peers always are among those.
fn is_allowed(source: &Address, settings: &Settings) -> bool {
    settings.allowed.as_ref().is_none_or(|prefixes| {
        settings.peers.contains_key(source) || prefixes.iter().any(|prefix| covers(prefix, source))
    })
}

/// Whether an address begins with a prefix, both in the form that the kernel's trie compares.
fn covers(prefix: &Prefix, address: &Address) -> bool {
    let (length, first) = prefix.bits();
    let differs = u128::from_be_bytes(first.octets()) ^ u128::from_be_bytes(address.octets());
    // A shift by all 128 bits overflows; nothing differs in no bits.
    differs.checked_shr(128 - length.min(128)).unwrap_or(0) == 0
}
