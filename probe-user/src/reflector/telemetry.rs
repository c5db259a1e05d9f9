//! The Follow-Up Telemetry TLV (RFC 8972, section 4.7): when the session's last reply really left.

use probe_ebpf::tlv::{HEADER_LENGTH, Header, SOFTWARE_LOCAL};

use super::{recent::Recent, sessions::Id};

/// Octets of Sequence Number and Follow-Up Timestamp.
const TELEMETRY_LENGTH: usize = 12;

/// A reply that has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastReply {
    number: u32,
    /// T3 as it stands on the wire.
    timestamp: u64,
}

/// The last replies of the sessions that userspace has answered.
#[derive(Clone, Debug)]
pub(super) struct LastReplies(Recent<Id, LastReply>);

impl LastReplies {
    /// An empty table with room for this many sessions.
    pub(super) fn new(capacity: usize) -> Self {
        Self(Recent::new(capacity))
    }

    /// Notes a reply.
    pub(super) fn note(&mut self, id: Id, number: u32, timestamp: u64) {
        let reply = LastReply { number, timestamp };
        *self.0.get_or_insert_with(id, || reply) = reply;
    }

    /// The reply before the one with this number. Where the kernel has sent that, it is not known here.
    pub(super) fn before(&self, id: &Id, number: u32) -> Option<LastReply> {
        let known = self.0.peek(id)?;
        (known.number == number.wrapping_sub(1)).then_some(*known)
    }
}

/// Fills in the TLV at an offset; zeros stand for what is not known.
///
/// RFC 8972, section 4.7, with erratum 8339: where the length is wrong, Sequence Number and Follow-Up
/// Timestamp are zeroed, as far as they are there.
pub(super) fn fill_in(payload: &mut [u8], at: usize, tlv: &Header, last: Option<LastReply>) {
    let value = &mut payload[at + HEADER_LENGTH..];
    if tlv.is_malformed {
        let length = TELEMETRY_LENGTH.min(tlv.length).min(value.len());
        value[..length].fill(0);
        return;
    }
    let LastReply { number, timestamp } = last.unwrap_or(LastReply { number: 0, timestamp: 0 });
    value[..4].copy_from_slice(&number.to_be_bytes());
    value[4..12].copy_from_slice(&timestamp.to_be_bytes());
    let method = if last.is_some() { SOFTWARE_LOCAL } else { 0 };
    value[12..16].copy_from_slice(&[method, 0, 0, 0]);
}
