//! The maps through which the kernel programs and the agent talk, and their layout.
//!
//! All that is read or written once per probe or per tick lies in memory-mapped arrays, so that
//! neither side needs a system call for it. Each field has one writer: the kernel or the agent.
//!
//! - `counter`: what the programs count.
//! - [`transmit`]: what packets are made of that need no network stack.

mod counter;
pub mod transmit;

use core::mem::{align_of, offset_of, size_of};

pub use counter::{Counter, Counters, Fate};

use crate::frame::Address;

/// Names of the maps in the BPF object.
pub mod name {
    /// [`Config`](super::Config), one element, memory-mapped.
    pub const CONFIG: &str = "CONFIG";
    /// [`Session`](super::Session) by SSID, memory-mapped.
    pub const SESSIONS: &str = "SESSIONS";
    /// [`Slot`](super::Slot) by SSID and sequence number, memory-mapped.
    pub const SLOTS: &str = "SLOTS";
    /// [`Arrivals`](super::Arrivals) by peer index, each in a [`Line`](super::Line), memory-mapped.
    pub const ARRIVALS: &str = "ARRIVALS";
    /// [`Counters`](super::Counters) by CPU, memory-mapped.
    pub const COUNTERS: &str = "COUNTERS";
    /// Hash from [`Address`](crate::frame::Address) to the index of the peer that has it.
    pub const PEERS: &str = "PEERS";
    /// Hash from [`Way`](super::Way) to the index that counts in place of that of [`PEERS`], for peers whose probes come
    /// by several interfaces.
    pub const WAYS: &str = "WAYS";
    /// Hash whose keys are the addresses of this host.
    pub const LOCAL_ADDRESSES: &str = "LOCAL_ADDRESSES";
    /// Hash from [`ReflectorKey`](super::ReflectorKey) to [`ReflectorSession`](super::ReflectorSession):
    /// sessions that have lasted. Nothing but the agent removes them.
    pub const REFLECTOR: &str = "REFLECTOR";
    /// LRU hash of the same form: sessions that have only just begun.
    pub const NEWCOMERS: &str = "NEWCOMERS";
    /// LRU hash from [`Address`](crate::frame::Address) to [`Source`](super::Source).
    pub const SOURCES: &str = "SOURCES";
    /// Longest-prefix trie of the IPv6 and IPv4-mapped prefixes for whom we reflect.
    pub const ALLOWED: &str = "ALLOWED";
    /// [`hmac::Key`](crate::hmac::Key) by index; index 0 names none. Memory-mapped.
    pub const KEYS: &str = "KEYS";
    /// Hash from [`Tuple`](super::Tuple) to the SSID of the session that it is, for reflectors that do
    /// not return SSIDs.
    pub const TUPLES: &str = "TUPLES";
    /// [`Headers`](super::transmit::Headers) by SSID, memory-mapped.
    pub const HEADERS: &str = "HEADERS";
    /// [`Batch`](super::transmit::Batch), one element, memory-mapped.
    pub const BATCH: &str = "BATCH";
    /// Ring buffer of [`Deferred`](super::Deferred), each followed by the UDP payload.
    pub const DEFERRED: &str = "DEFERRED";
}

/// The sessions that one agent can have: an SSID has 16 bits, and 0 names none.
pub const MAX_SESSIONS: u32 = 65_536;

/// The index that stands for "no peer of ours".
pub const NO_PEER: u32 = u32::MAX;

/// Set in the value of [`name::PEERS`] besides the index: only authenticated packets of this peer count.
pub const PEER_AUTHENTICATED: u32 = 1 << 31;

/// What the marks of steered packets have in common: the upper half. The lower half says where they go.
pub const STEERED: u32 = 0x6c70_0000;

/// Keys that can be in use at once. Their indices are 1 to this; index 0 stands for "no key".
pub const MAX_KEYS: u32 = 4;

/// Most octets of UDP payload that go to the userspace reflector.
pub const MAX_DEFERRED: usize = 2_048;

/// What both programs need to know. Written by the agent.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    /// Nanoseconds from `CLOCK_MONOTONIC` to the time of day, refreshed by the agent: Unix time, or TAI
    /// where timestamps are in PTP format.
    pub realtime_offset: u64,
    /// Nanoseconds that one request takes from its source's allowance ([`Source`]); 0 for no limit.
    pub source_cost: u64,
    /// Goes up whenever [`name::PEERS`], [`name::WAYS`] or [`name::LOCAL_ADDRESSES`] change, so that the
    /// reflector looks again.
    pub generation: u32,
    /// Slots per session less one; the number of slots is a power of two.
    pub slot_mask: u32,
    /// Error Estimate of this host's clock (RFC 8762, section 4.2.1).
    pub error_estimate: u16,
    /// UDP port of the Session-Reflector; 0 where there is none.
    pub reflector_port: u16,
    /// The first of the UDP ports that the sessions send from.
    pub first_source_port: u16,
    /// How many of them there are, one after the other.
    pub source_ports: u16,
    /// What is in [`config_flag`].
    pub flags: u32,
    /// Synchronization Source for the Timestamp Information TLV (RFC 8972, section 5.4).
    pub synchronisation_source: u8,
    /// Fills up the word; always 0.
    pub reserved: [u8; 3],
}

/// The bits of [`Config::flags`].
pub mod config_flag {
    /// The reflector answers authenticated requests only, whoever sends them.
    pub const AUTHENTICATED_ONLY: u32 = 1;
    /// Some peers must authenticate: the map of peers tells which.
    pub const AUTHENTICATED_PEERS: u32 = 1 << 1;
    /// The reflector is stateless: it copies the Sequence Number (RFC 8762, section 4.3).
    pub const STATELESS: u32 = 1 << 2;
    /// The reflector answers only whom the map of allowed prefixes names, and our peers.
    pub const ALLOW_LIST: u32 = 1 << 3;
    /// Timestamps are in the PTPv2 truncated format (RFC 8762, section 4.2.1); else in NTP's.
    pub const PTP: u32 = 1 << 4;
    /// Somebody reads the ring buffer: requests that need more than the kernel can do go there.
    pub const DEFER: u32 = 1 << 5;
}

/// A session of our Session-Sender. The index in the map is the SSID.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Session {
    /// Address of the reflector. Written by the agent, as all up to `active`.
    pub peer: Address,
    /// Its UDP port.
    pub peer_port: u16,
    /// Our UDP port.
    pub source_port: u16,
    /// 1 while the session runs, else 0.
    pub active: u32,
    /// Test packets that left: the next sequence number. Written by the programs that send; the agent sets it
    /// to 0 before it makes the session active.
    pub sent: u32,
    /// Index of the key that signs and verifies; 0 in unauthenticated mode. Written by the agent.
    pub key: u8,
    /// Index of another key that replies may still be signed with, after a rotation; 0 for none.
    pub previous_key: u8,
    /// What is in [`session_flag`]. Written by the agent.
    pub flags: u16,
    /// Replies that were accepted. Written by the XDP program.
    pub answered: u64,
    /// When the last of them came, `CLOCK_MONOTONIC` in nanoseconds. Written by the XDP program.
    pub answered_at: u64,
    /// Second replies to the same test packet. Written by the XDP program, as all that follow.
    pub duplicates: u32,
    /// Replies that came behind the reply to a later test packet (RFC 4737, section 3.3).
    pub reordered: u32,
    /// Number of the latest test packet that was answered.
    pub latest_answered: u32,
    /// Error Estimate of the reflector's clock, as the last reply has it.
    pub reflector_error_estimate: u16,
    /// TTL or Hop Limit with which the reflector received the last probe that was answered.
    pub sender_ttl: u8,
    /// Fills the cache line.
    pub reserved: u8,
}

/// The bits of [`Session::flags`].
pub mod session_flag {
    /// The first TLV of the template is a Direct Measurement TLV, for the TC program to fill in.
    pub const DIRECT_MEASUREMENT: u16 = 1;
}

/// What became of one test packet.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// Nothing was sent under this number yet.
    Empty = 0,
    /// It left; no answer so far. Set by the programs that send.
    Sent = 1,
    /// It was answered. Set by the XDP program.
    Answered = 2,
    /// It was not answered in time. Set by the agent.
    Lost = 3,
}

impl SlotState {
    /// The state with this number; unknown numbers are [`SlotState::Empty`].
    #[inline(always)]
    #[must_use]
    pub const fn from_u32(state: u32) -> Self {
        match state {
            1 => Self::Sent,
            2 => Self::Answered,
            3 => Self::Lost,
            _ => Self::Empty,
        }
    }
}

/// The memory of one test packet. The index in the map is `ssid * slots + (sequence & slot_mask)`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    /// A [`SlotState`]; published after all else.
    pub state: u32,
    /// Sequence number of the test packet that the slot holds.
    pub sequence: u32,
    /// T1 as `CLOCK_MONOTONIC` in nanoseconds.
    pub sent_at: u64,
    /// T1 as it stands on the wire, to be matched with the reply's.
    pub timestamp: u64,
    /// Round trip in nanoseconds, less the reflector's residence T3-T2. Saturates at 4.29 s.
    pub round_trip: u32,
    /// The reflector's sequence number.
    pub reflector_sequence: u32,
    /// T2-T1 in nanoseconds: the way there, plus the difference of the two clocks.
    pub forward_delay: i64,
}

/// Probes that a peer sent to our reflector: a sign of life of the reverse direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrivals {
    /// How many were reflected.
    pub packets: u64,
    /// When the last one came, `CLOCK_MONOTONIC` in nanoseconds.
    pub last_at: u64,
}

/// An element with a cache line of its own: two CPUs that write elements of one line wait for each other.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Line<T>(pub T);

/// How a peer's probes come here: its address, and by which interface.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The peer's address.
    pub peer: Address,
    /// Index of the interface.
    pub interface: u32,
    /// Fills up the key; always 0.
    pub reserved: u32,
}

/// A session as the Session-Reflector knows it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReflectorKey {
    /// The Session-Sender's address.
    pub source: Address,
    /// The address of ours that it probes.
    pub destination: Address,
    /// Its UDP port.
    pub source_port: u16,
    /// Its SSID.
    pub ssid: u16,
    /// Fills up the key; always 0.
    pub reserved: u32,
}

/// What the Session-Reflector remembers of a session.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ReflectorSession {
    /// The sequence number of the next reply (stateful mode; RFC 8762, section 4.3).
    pub next_sequence: u32,
    /// The [`Config::generation`] in which `peer` and our own address were looked up.
    pub generation: u32,
    /// Index of the peer in [`name::ARRIVALS`], or [`NO_PEER`].
    pub peer: u32,
    /// Index of the key that the last request was signed with; 0 for none.
    pub key: u32,
    /// When the session began, `CLOCK_MONOTONIC` in nanoseconds.
    pub since: u64,
    /// When its last request came.
    pub last_at: u64,
    /// Index of the interface that its last request came by, for which `peer` was looked up.
    pub interface: u32,
    /// Fills up the word; always 0.
    pub reserved: u32,
}

/// What a source of requests may still send: a virtual clock that each request advances by
/// [`Config::source_cost`], and that may run ahead of the real one by [`ALLOWANCE`] (the generic cell
/// rate algorithm of ITU-T I.371, with one bucket).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Source {
    /// The virtual clock, in nanoseconds of `CLOCK_MONOTONIC`.
    pub busy_until: u64,
}

/// How far a [`Source`]'s clock may run ahead, in nanoseconds, for sessions that have lasted. New ones
/// have half of it: they never use up what the old ones need.
pub const ALLOWANCE: u64 = 1_000_000_000;

/// A session of ours by what stands in the IP and UDP headers of its replies.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// The reflector's address.
    pub peer: Address,
    /// Its UDP port.
    pub peer_port: u16,
    /// Our UDP port.
    pub source_port: u16,
    /// Fills up the key; always 0.
    pub reserved: u32,
}

/// A request that the kernel has verified and numbered, for the userspace reflector to answer. The UDP
/// payload follows, `length` octets of it, as it came.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Deferred {
    /// The Session-Sender's address.
    pub source: Address,
    /// The address of ours that it probes.
    pub destination: Address,
    /// T2 as it stands on the wire.
    pub receive_timestamp: u64,
    /// Its UDP port.
    pub source_port: u16,
    /// Octets of UDP payload.
    pub length: u16,
    /// The number of the reply.
    pub sequence: u32,
    /// Index of the key that the request was signed with; 0 in unauthenticated mode.
    pub key: u8,
    /// TTL or Hop Limit as received.
    pub ttl: u8,
    /// DSCP and ECN as received.
    pub traffic_class: u8,
    /// Fills up the word; always 0.
    pub reserved: u8,
    /// Index of the interface that it came by: what a link-local address belongs to.
    pub interface: u32,
}

const _: () = {
    assert!(size_of::<Config>() == 40 && align_of::<Config>() == 8);
    assert!(size_of::<Session>() == 64 && align_of::<Session>() == 8);
    assert!(offset_of!(Session, sent) == 24 && offset_of!(Session, answered) == 32);
    assert!(size_of::<Slot>() == 40 && align_of::<Slot>() == 8);
    assert!(offset_of!(Slot, sent_at) == 8 && offset_of!(Slot, forward_delay) == 32);
    assert!(size_of::<Arrivals>() == 16 && size_of::<Line<Arrivals>>() == 64);
    assert!(size_of::<ReflectorKey>() == 40 && align_of::<ReflectorKey>() == 8);
    assert!(size_of::<ReflectorSession>() == 40 && size_of::<Way>() == 24);
    assert!(size_of::<Tuple>() == 24 && size_of::<Deferred>() == 56 && size_of::<Source>() == 8);
};

/// The programs in the BPF object.
pub mod program {
    /// XDP: Session-Reflector, the reply side of the Session-Sender, and what it sends straight to a driver.
    pub const INGRESS: &str = "linkprobe_xdp";
    /// TC egress: numbers and stamps test packets.
    pub const EGRESS: &str = "linkprobe_tc";
}
