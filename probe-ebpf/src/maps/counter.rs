//! What the programs count, each packet exactly once.

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
            #[inline(always)]
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
    /// XDP: handed to the userspace reflector.
    Deferred,
    /// XDP: a reply, accepted and consumed.
    Accepted,
    /// XDP: meant for us, but refused.
    Dropped,
    /// A test packet of ours, numbered and stamped.
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
    /// A request that was answered by the userspace reflector.
    Deferred = "deferred", Deferred;
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
    /// A request from outside of the prefixes for whom we reflect.
    NotAllowed = "not_allowed", Dropped;
    /// More requests than one source may send.
    RateLimited = "rate_limited", Dropped;
    /// A request that the userspace reflector has no room for, or that is too long for it.
    NotDeferred = "not_deferred", Dropped;
    /// Not signed with a key of ours, or altered on the way.
    Hmac = "hmac", Dropped;
    /// A request that asks for no reply (RFC 9503, section 4.1.1); for the userspace reflector to see.
    NoReplyWanted = "no_reply_wanted", Dropped;
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
    /// A test packet of ours that was made without the network stack.
    Transmitted = "transmitted", Stamped;
    /// Not from one of our ports.
    OtherTraffic = "other_traffic", Left;
    /// From one of our ports, but of no session that runs.
    NoSession = "no_session", Left;
}

/// The counters of one CPU. Only that CPU writes them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Counters(pub [u64; Self::LENGTH]);

impl Counters {
    /// How many there is room for; a power of two.
    pub const LENGTH: usize = 64;
}

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

const _: () = assert!(Counter::ALL.len() <= Counters::LENGTH);
