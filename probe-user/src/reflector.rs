//! The Session-Reflector in userspace (RFC 8762, section 4.3), for what the kernel's leaves over and for
//! hosts without it.
//!
//! Pure: a request and the time go in, a reply or the reason why there is none comes out. The rules are
//! those of the kernel program, in the same order, and what can be shared with it is: the packets and the
//! TLVs of `probe_ebpf`. A test holds the two against each other.
//!
//! - `sessions`: for whom it works, and how much.
//! - `recent`: a table in which the least recently used makes room.
//! - `extensions`: the TLVs, and their HMAC.
//! - `location`, `telemetry`, `return_path`: those of them that have a way of their own.

mod extensions;
mod location;
mod recent;
mod return_path;
mod sessions;
mod telemetry;

use std::collections::{HashMap, HashSet};

use probe_ebpf::{
    frame::Address,
    hmac::Key,
    maps::{Counter, MAX_KEYS},
    stamp::{self, HMAC_AT, Mode, Reply},
    tlv,
};

use crate::{prefix::Prefix, verdict::Nanos};

/// The longest UDP payload that there is.
pub const MAX_PAYLOAD: usize = 65_527;

/// What a reflector is set to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The UDP port that it answers at.
    pub port: u16,
    /// Only authenticated requests are answered, whoever sends them.
    pub authenticated_only: bool,
    /// Addresses of our peers, and whether they must authenticate.
    pub peers: HashMap<Address, bool>,
    /// The keys; the first has index 1.
    pub keys: [Option<Key>; MAX_KEYS as usize],
    /// The Sequence Number is copied (RFC 8762, section 4.3).
    pub stateless: bool,
    /// For whom we reflect, besides our peers; `None` for everybody.
    pub allowed: Option<Vec<Prefix>>,
    /// Nanoseconds that one request takes from its source's allowance
    /// ([`probe_ebpf::maps::ALLOWANCE`]); 0 for no limit.
    pub source_cost: Nanos,
    /// Error Estimate of this host's clock (RFC 8762, section 4.2.1).
    pub error_estimate: u16,
    /// What the clock is set by ([`tlv::synchronisation_source`]).
    pub synchronisation_source: u8,
    /// The DSCPs that a sender may ask for, one bit each (RFC 8972, section 6).
    pub permitted_dscps: u64,
    /// Addresses of this host.
    pub local_addresses: HashSet<Address>,
    /// How many entries each of the tables holds; at least 1.
    pub table_size: usize,
}

impl Default for Settings {
    /// Unauthenticated, stateful, for everybody, at the port of the RFC.
    fn default() -> Self {
        Self {
            port: stamp::PORT,
            authenticated_only: false,
            peers: HashMap::new(),
            keys: [None; MAX_KEYS as usize],
            stateless: false,
            allowed: None,
            source_cost: 0,
            // Not synchronised, and the largest multiplier: 0 is invalid.
            error_estimate: 0x00ff,
            synchronisation_source: tlv::synchronisation_source::LOCAL,
            permitted_dscps: tlv::EVERY_DSCP,
            local_addresses: HashSet::new(),
            table_size: 65_536,
        }
    }
}

impl Settings {
    /// Whether requests from an address must be authenticated. Nothing in a packet tells its mode.
    #[must_use]
    pub fn mode_of(&self, source: &Address) -> Mode {
        if self.authenticated_only || self.peers.get(source) == Some(&true) {
            Mode::Authenticated
        } else {
            Mode::Unauthenticated
        }
    }

    /// The key with an index.
    fn key(&self, index: u8) -> Option<&Key> {
        self.keys.get(usize::from(index).checked_sub(1)?)?.as_ref()
    }

    /// The keys and their indices, this one first.
    fn keys_from(&self, first: u8) -> impl Iterator<Item = (u8, &Key)> {
        let others = (1..=MAX_KEYS as u8).filter(move |index| *index != first);
        std::iter::once(first).chain(others).filter_map(|index| Some((index, self.key(index)?)))
    }
}

/// A request as it came in.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The UDP payload.
    pub payload: &'a [u8],
    /// The Session-Sender's address.
    pub source: Address,
    /// Its UDP port.
    pub source_port: u16,
    /// The address of ours that it probes.
    pub destination: Address,
    /// The UDP port of ours.
    pub destination_port: u16,
    /// TTL or Hop Limit as received.
    pub ttl: u8,
    /// DSCP and ECN as received.
    pub traffic_class: u8,
    /// T2 as it stands on the wire.
    pub receive_timestamp: u64,
    /// What the kernel has decided, where it has handed the request over.
    pub admitted: Option<Admitted>,
}

/// A request that the kernel has verified and numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The number of the reply in its session.
    pub sequence: u32,
    /// Index of the key that the request was signed with; 0 in unauthenticated mode.
    pub key: u8,
}

/// A reply, ready to be sent to where the request came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The UDP payload, as long as the request's.
    pub payload: Vec<u8>,
    /// DSCP and ECN of its IP header.
    pub traffic_class: u8,
    /// The address of ours that it is sent from.
    pub source: Address,
}

/// The Session-Reflector.
#[derive(Clone, Debug)]
pub struct Reflector {
    settings: Settings,
    sessions: sessions::Sessions,
    last_replies: telemetry::LastReplies,
}

impl Reflector {
    /// A reflector that knows no session yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let sessions = sessions::Sessions::new(settings.table_size);
        let last_replies = telemetry::LastReplies::new(settings.table_size);
        Self { settings, sessions, last_replies }
    }

    /// What it is set to. Changes hold from the next request on; sessions go on, and so do the sizes of
    /// the tables.
    pub const fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// How many sessions it knows.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Forgets the sessions without a request since `idle` before `now`.
    pub fn sweep(&mut self, now: Nanos, idle: Nanos) {
        self.sessions.sweep(now, idle);
    }

    /// Turns a request into its reply. `now` is the monotonic time; `timestamp` gives T3 as it stands on
    /// the wire, and is called once, when nothing is left to be done but to sign.
    ///
    /// # Errors
    /// Why there is no reply.
    pub fn reflect(
        &mut self,
        request: Request<'_>,
        now: Nanos,
        timestamp: impl FnOnce() -> u64,
    ) -> Result<Answer, Counter> {
        let mode = self.mode(&request);
        // RFC 8762, section 4.2.1: a reply must never be longer than its request.
        if request.payload.len() < mode.length() {
            return Err(Counter::TooShort);
        }
        if request.payload.len() > MAX_PAYLOAD {
            return Err(Counter::TooLong);
        }
        let asked = stamp::Request::read(request.payload, 0, mode).ok_or(Counter::TooShort)?;
        let id = sessions::Id::of(&request, asked.ssid);
        let Admitted { sequence: number, key } = match request.admitted {
            Some(admitted) => admitted,
            None => self.admit(&request, &id, mode, now)?,
        };
        let key = match mode {
            Mode::Unauthenticated => None,
            Mode::Authenticated => Some(*self.settings.key(key).ok_or(Counter::Hmac)?),
        };

        let sequence = if self.settings.stateless { asked.sequence } else { number };
        let mut payload = request.payload.to_vec();
        let context = extensions::Context {
            settings: &self.settings,
            request: &request,
            mode,
            key: key.as_ref(),
            number,
            sequence,
            last: self.last_reply(&id, number),
        };
        let done = extensions::reflect(&mut payload, &context)?;

        // RFC 8762, section 4.3.1. T3 is taken last; the signature covers it.
        let reply = Reply {
            sequence,
            receive_timestamp: request.receive_timestamp,
            sender_sequence: asked.sequence,
            sender_timestamp: asked.timestamp,
            sender_error_estimate: asked.error_estimate,
            sender_ttl: request.ttl,
            ssid: asked.ssid,
            error_estimate: self.settings.error_estimate,
            timestamp: timestamp(),
        };
        reply.write(&mut payload[..], 0, mode).ok_or(Counter::TooShort)?;
        if let Some(key) = key {
            let (covered, rest) = payload.split_at_mut(HMAC_AT);
            rest[..probe_ebpf::hmac::TAG_LENGTH].copy_from_slice(&key.tag(&[covered]));
        }
        if !self.settings.stateless {
            self.last_replies.note(id, number, reply.timestamp);
        }
        Ok(Answer { payload, traffic_class: done.traffic_class, source: done.source })
    }

    /// The mode of a request: by its sender, or as the kernel has found.
    fn mode(&self, request: &Request<'_>) -> Mode {
        match request.admitted {
            Some(Admitted { key: 0, .. }) => Mode::Unauthenticated,
            Some(_) => Mode::Authenticated,
            None => self.settings.mode_of(&request.source),
        }
    }

    /// Decides whether a request is answered, and with what number.
    fn admit(
        &mut self,
        request: &Request<'_>,
        id: &sessions::Id,
        mode: Mode,
        now: Nanos,
    ) -> Result<Admitted, Counter> {
        // RFC 8762, section 4.1, leaves the sender's port open; a reflector's would make two of them
        // answer each other for ever. A reflector at another port is known by what it sends.
        let looks_like_a_reply =
            Reply::read(request.payload, 0, mode).is_some_and(|reply| reply.is_plausible());
        let ports = [self.settings.port, stamp::PORT];
        if ports.contains(&request.source_port) || looks_like_a_reply {
            return Err(Counter::ReflectorLoop);
        }
        let last_key = self.sessions.knock(id, &self.settings, now)?;
        let key = match mode {
            Mode::Unauthenticated => 0,
            // RFC 8762, section 4.4: the HMAC is verified as early as possible.
            Mode::Authenticated => self.signer(request.payload, last_key).ok_or(Counter::Hmac)?,
        };
        let sequence = self.sessions.enter(id, key, now);
        Ok(Admitted { sequence, key })
    }

    /// Index of the key that an authenticated request is signed with. The one of the request before is
    /// tried first.
    fn signer(&self, payload: &[u8], last: u8) -> Option<u8> {
        let (covered, rest) = payload.split_at_checked(HMAC_AT)?;
        let tag = rest.first_chunk()?;
        let signs = |key: &Key| key.has_signed(&[covered], tag);
        self.settings.keys_from(last).find(|(_, key)| signs(key)).map(|(index, _)| index)
    }

    /// The session's last reply, as far as it is known. RFC 8972, section 4.7: a stateless reflector
    /// does not.
    fn last_reply(&self, id: &sessions::Id, number: u32) -> Option<telemetry::LastReply> {
        if self.settings.stateless {
            return None;
        }
        self.last_replies.before(id, number)
    }
}

#[cfg(test)]
mod tests;
