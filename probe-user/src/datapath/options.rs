//! What a datapath is told.

use probe_ebpf::ntp::Format;

use crate::prefix::Prefix;

/// What is fixed from the start.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many sessions there is room for, SSID 0 not counted; at most 65,535.
    pub sessions: u32,
    /// Slots for each of them; a power of two.
    pub slots: u32,
    /// How many peers there is room for.
    pub peers: u32,
    /// UDP port of the Session-Reflector; 0 for none.
    pub reflector_port: u16,
    /// The first UDP port that sessions send from.
    pub first_source_port: u16,
    /// How many there are.
    pub source_ports: u16,
    /// The format of our timestamps.
    pub timestamps: Format,
}

/// The keys of a session, by index; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionKeys {
    /// Signs, and verifies replies. Without it, the session is unauthenticated.
    pub key: u8,
    /// Verifies replies besides, for a reflector that still signs with the key before.
    pub previous: u8,
}

/// How the Session-Reflector works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReflectorOptions {
    /// It copies the Sequence Number and does not count by itself (RFC 8762, section 4.3).
    pub stateless: bool,
    /// It answers authenticated requests only.
    pub authenticated_only: bool,
    /// Requests per second that it answers to one source; `None` for no limit.
    pub rate: Option<u32>,
    /// Whom it answers, besides peers; `None` for everybody.
    pub allow: Option<Vec<Prefix>>,
    /// Somebody reads [`Datapath::take_queue`](super::Datapath::take_queue): what the kernel cannot answer
    /// goes there. [`Datapath::start_responder`](super::Datapath::start_responder) needs no such word.
    pub defer: bool,
}
