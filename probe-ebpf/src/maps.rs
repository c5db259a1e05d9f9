//! The maps through which the kernel programs and the agent talk, and their layout.
//!
//! All that is read or written once per probe or per tick lies in memory-mapped arrays, so that
//! neither side needs a system call for it. Each field has one writer: the kernel or the agent.

use core::mem::{align_of, offset_of, size_of};

use crate::frame::Address;

/// Names of the maps in the BPF object.
pub mod name {
    /// [`Config`](super::Config), one element, memory-mapped.
    pub const CONFIG: &str = "CONFIG";
    /// [`Session`](super::Session) by SSID, memory-mapped.
    pub const SESSIONS: &str = "SESSIONS";
    /// [`Slot`](super::Slot) by SSID and sequence number, memory-mapped.
    pub const SLOTS: &str = "SLOTS";
    /// [`Arrivals`](super::Arrivals) by peer index, memory-mapped.
    pub const ARRIVALS: &str = "ARRIVALS";
    /// [`Counters`](super::Counters) by CPU, memory-mapped.
    pub const COUNTERS: &str = "COUNTERS";
    /// Hash from [`Address`](crate::frame::Address) to the index of the peer that has it.
    pub const PEERS: &str = "PEERS";
    /// Hash whose keys are the addresses of this host.
    pub const LOCAL_ADDRESSES: &str = "LOCAL_ADDRESSES";
    /// LRU hash from [`ReflectorKey`](super::ReflectorKey) to [`ReflectorSession`](super::ReflectorSession).
    pub const REFLECTOR: &str = "REFLECTOR";
}

/// The sessions that one agent can have: an SSID has 16 bits, and 0 names none.
pub const MAX_SESSIONS: u32 = 65_536;

/// The index that stands for "no peer of ours".
pub const NO_PEER: u32 = u32::MAX;

/// What both programs need to know. Written by the agent.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    /// Nanoseconds from `CLOCK_MONOTONIC` to Unix time, refreshed by the agent.
    pub realtime_offset: u64,
    /// Goes up whenever [`name::PEERS`] or [`name::LOCAL_ADDRESSES`] change, so that the reflector
    /// looks again.
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
    /// Test packets that left: the next sequence number. Written by the TC program; the agent sets it
    /// to 0 before it makes the session active.
    pub sent: u32,
    /// Keeps `answered` on its boundary.
    pub reserved: u32,
    /// Replies that were accepted. Written by the XDP program.
    pub answered: u64,
    /// When the last of them came, `CLOCK_MONOTONIC` in nanoseconds. Written by the XDP program.
    pub answered_at: u64,
    /// Fills the cache line.
    pub padding: [u64; 2],
}

/// What became of one test packet.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// Nothing was sent under this number yet.
    Empty = 0,
    /// It left; no answer so far. Set by the TC program.
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
    /// Keeps the size a multiple of eight.
    pub reserved: u32,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident = $label:literal, $kind:ident;)*) => {
        /// What the programs count, each packet exactly once.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter { $($(#[$doc])* $variant),* }

        impl Counter {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in metrics and logs.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),* }
            }

            /// What was done with the packet.
            #[must_use]
            pub const fn fate(self) -> Fate {
                match self { $(Self::$variant => Fate::$kind),* }
            }
        }
    };
}

/// What was done with a packet that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// XDP: not ours, passed on untouched.
    Passed,
    /// XDP: answered by the Session-Reflector.
    Reflected,
    /// XDP: a reply, accepted and consumed.
    Accepted,
    /// XDP: meant for us, but refused.
    Dropped,
    /// TC: a test packet of ours, numbered and stamped.
    Stamped,
    /// TC: not ours, left as it is.
    Left,
}

counters! {
    /// Neither IPv4 nor IPv6.
    NotIp = "not_ip", Passed;
    /// More than two VLAN tags.
    VlanDepth = "vlan_depth", Passed;
    /// Cut short, or with lengths that contradict one another.
    Truncated = "truncated", Passed;
    /// IPv4 options.
    Ipv4Options = "ipv4_options", Passed;
    /// An IPv4 fragment.
    Fragment = "fragment", Passed;
    /// An IPv6 extension header.
    Ipv6Extension = "ipv6_extension", Passed;
    /// Not UDP.
    NotUdp = "not_udp", Passed;
    /// Neither the reflector's port nor one of ours.
    OtherPort = "other_port", Passed;
    /// To a port of ours, but at an address that is not this host's: traffic in transit.
    NotLocal = "not_local", Passed;
    /// A request that was answered.
    Reflected = "reflected", Reflected;
    /// A reply that was accepted.
    Accepted = "accepted", Accepted;
    /// Too short for a test packet: an answer would be longer than the request.
    TooShort = "too_short", Dropped;
    /// Longer than any frame that we can check.
    TooLong = "too_long", Dropped;
    /// The IPv4 header does not match its checksum.
    Ipv4Checksum = "ipv4_checksum", Dropped;
    /// The datagram does not match its checksum.
    UdpChecksum = "udp_checksum", Dropped;
    /// A request from a reflector's port: two reflectors would answer each other for ever.
    ReflectorLoop = "reflector_loop", Dropped;
    /// No room for a new session in the reflector's table.
    TableFull = "table_full", Dropped;
    /// A reply whose SSID names no session that runs.
    UnknownSession = "unknown_session", Dropped;
    /// A reply that comes from another address or port than its session probes.
    WrongPeer = "wrong_peer", Dropped;
    /// A reply to a test packet that was not sent, or so long ago that its slot is taken.
    NotSent = "not_sent", Dropped;
    /// A second reply to the same test packet.
    Duplicate = "duplicate", Dropped;
    /// A reply to a test packet that had been given up.
    Late = "late", Dropped;
    /// A reply that does not echo the T1 that we sent: forged or corrupt.
    WrongTimestamp = "wrong_timestamp", Dropped;
    /// A test packet of ours that left with number and time.
    Stamped = "stamped", Stamped;
    /// Not from one of our ports.
    OtherTraffic = "other_traffic", Left;
    /// From one of our ports, but of no session that runs.
    NoSession = "no_session", Left;
}

/// The counters of one CPU. Only that CPU writes them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Counters(pub [u64; 32]);

const _: () = {
    assert!(Counter::ALL.len() <= size_of::<Counters>() / 8);
    assert!(size_of::<Config>() == 24 && align_of::<Config>() == 8);
    assert!(size_of::<Session>() == 64 && align_of::<Session>() == 8);
    assert!(offset_of!(Session, sent) == 24 && offset_of!(Session, answered) == 32);
    assert!(size_of::<Slot>() == 40 && align_of::<Slot>() == 8);
    assert!(offset_of!(Slot, sent_at) == 8 && offset_of!(Slot, forward_delay) == 32);
    assert!(size_of::<Arrivals>() == 16);
    assert!(size_of::<ReflectorKey>() == 40 && align_of::<ReflectorKey>() == 8);
    assert!(size_of::<ReflectorSession>() == 16);
};

impl From<crate::frame::NotOurs> for Counter {
    #[inline(always)]
    fn from(reason: crate::frame::NotOurs) -> Self {
        use crate::frame::NotOurs;
        match reason {
            NotOurs::NotIp => Self::NotIp,
            NotOurs::VlanDepth => Self::VlanDepth,
            NotOurs::Truncated => Self::Truncated,
            NotOurs::Ipv4Options => Self::Ipv4Options,
            NotOurs::Fragment => Self::Fragment,
            NotOurs::Ipv6Extension => Self::Ipv6Extension,
            NotOurs::NotUdp => Self::NotUdp,
        }
    }
}

/// The programs in the BPF object.
pub mod program {
    /// XDP: Session-Reflector, and the reply side of the Session-Sender.
    pub const INGRESS: &str = "linkprobe_xdp";
    /// TC egress: numbers and stamps test packets.
    pub const EGRESS: &str = "linkprobe_tc";
}
