//! The TLVs behind a test packet (RFC 8972, section 4), as far as both reflectors handle them alike.
//!
//! A TLV is a header of four octets (flags, type, length of the value) and a value. A reflector copies all
//! of them, and fills in what it was asked for. What is done here needs nothing but the packet and some
//! [`Facts`]; what needs more is for the userspace reflector, and [`survey`] tells the two apart.

use crate::{
    frame::{Bytes, BytesMut},
    stamp::Mode,
};

/// Octets of a TLV's header.
pub const HEADER_LENGTH: usize = 4;

/// Most TLVs of one packet that the kernel looks at: the verifier wants an end to every loop.
pub const MAX_TLVS: usize = 8;

/// Types of TLVs (RFC 8972, section 5.1; RFC 9503, section 7).
pub mod kind {
    /// Reserved.
    pub const RESERVED: u8 = 0;
    /// Extra Padding (RFC 8972, section 4.1).
    pub const EXTRA_PADDING: u8 = 1;
    /// Location (section 4.2).
    pub const LOCATION: u8 = 2;
    /// Timestamp Information (section 4.3).
    pub const TIMESTAMP_INFORMATION: u8 = 3;
    /// Class of Service (section 4.4).
    pub const CLASS_OF_SERVICE: u8 = 4;
    /// Direct Measurement (section 4.5).
    pub const DIRECT_MEASUREMENT: u8 = 5;
    /// Access Report (section 4.6).
    pub const ACCESS_REPORT: u8 = 6;
    /// Follow-Up Telemetry (section 4.7).
    pub const FOLLOW_UP_TELEMETRY: u8 = 7;
    /// HMAC (section 4.8).
    pub const HMAC: u8 = 8;
    /// Destination Node Address (RFC 9503, section 3).
    pub const DESTINATION_NODE_ADDRESS: u8 = 9;
    /// Return Path (RFC 9503, section 4).
    pub const RETURN_PATH: u8 = 10;
}

/// STAMP TLV Flags (RFC 8972, section 5.2).
pub mod flag {
    /// U: the reflector has not understood the TLV. The sender sets it.
    pub const UNRECOGNISED: u8 = 0x80;
    /// M: the length is wrong for the type, or leads beyond the end of the packet.
    pub const MALFORMED: u8 = 0x40;
    /// I: the TLVs have failed HMAC verification.
    pub const INTEGRITY: u8 = 0x20;
}

/// Synchronization Sources (RFC 8972, section 5.4).
pub mod synchronisation_source {
    /// NTP.
    pub const NTP: u8 = 1;
    /// PTP.
    pub const PTP: u8 = 2;
    /// Local free-running clock.
    pub const LOCAL: u8 = 5;
}

/// The timestamping method "SW Local" (RFC 8972, section 5.5): made by software on this host.
pub const SOFTWARE_LOCAL: u8 = 2;

/// [`Facts::permitted`] where every code point is.
pub const EVERY_DSCP: u64 = u64::MAX;

/// Octets of a Direct Measurement TLV's value (RFC 8972, section 4.5).
pub const DIRECT_MEASUREMENT_LENGTH: usize = 12;

/// What the TLVs of a request need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survey {
    /// Nothing: there are none. What there is instead, old-style padding, is copied as it is.
    None,
    /// [`reflect`] does all of it.
    Simple,
    /// Some of it is for the userspace reflector.
    Userspace,
}

/// What a reflector knows about a request, for the TLVs that ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// DSCP and ECN with which the request came.
    pub traffic_class: u8,
    /// Requests of the session that have come so far, with this one (R_RxC).
    pub received: u32,
    /// Replies of the session that have left so far, with this one (R_TxC).
    pub transmitted: u32,
    /// What the clock is set by ([`synchronisation_source`]).
    pub synchronisation_source: u8,
    /// The DSCPs that a sender may ask for, one bit each (RFC 8972, section 6).
    pub permitted: u64,
    /// Whether the TLVs may be believed. In authenticated mode they may only after their own HMAC has
    /// been verified (RFC 8972, section 4.8); else Extra Padding is all that is recognised.
    pub trusted: bool,
}

impl Facts {
    /// The facts about the request whose reply has this number in its session. Every request that was
    /// taken in is answered, so that both counters come from it.
    #[inline(always)]
    #[must_use]
    pub const fn new(
        mode: Mode,
        traffic_class: u8,
        sequence: u32,
        synchronisation_source: u8,
    ) -> Self {
        Self {
            traffic_class,
            received: sequence.wrapping_add(1),
            transmitted: sequence.wrapping_add(1),
            synchronisation_source,
            permitted: EVERY_DSCP,
            trusted: matches!(mode, Mode::Unauthenticated),
        }
    }
}

/// The header of a TLV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The bits of [`flag`], as received.
    pub flags: u8,
    /// One of [`kind`], or unknown.
    pub kind: u8,
    /// Octets of the value.
    pub length: usize,
    /// Whether the length leads beyond the end, or is wrong for the type. Nothing is known then about
    /// what follows.
    pub is_malformed: bool,
}

impl Header {
    /// Reads the header at an offset, of a packet that ends at another; `None` where nothing is left.
    ///
    /// Fewer octets than a header are a malformed TLV of the reserved type.
    #[inline(always)]
    pub fn read(frame: &(impl Bytes + ?Sized), at: usize, end: usize) -> Option<Self> {
        if at >= end {
            return None;
        }
        if end - at < HEADER_LENGTH {
            let [flags] = frame.read(at)?;
            return Some(Self { flags, kind: kind::RESERVED, length: 0, is_malformed: true });
        }
        let [flags, kind, high, low] = frame.read(at)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let is_malformed = length > end - at - HEADER_LENGTH || !has_valid_length(kind, length);
        Some(Self { flags, kind, length, is_malformed })
    }

    /// Offset of what follows a TLV at this offset.
    #[inline(always)]
    #[must_use]
    pub const fn next(&self, at: usize) -> usize {
        at + HEADER_LENGTH + self.length
    }
}

/// Whether a value of this type can have this length.
#[inline(always)]
const fn has_valid_length(kind: u8, length: usize) -> bool {
    match kind {
        kind::TIMESTAMP_INFORMATION | kind::CLASS_OF_SERVICE | kind::ACCESS_REPORT => length == 4,
        kind::DIRECT_MEASUREMENT => length == DIRECT_MEASUREMENT_LENGTH,
        kind::FOLLOW_UP_TELEMETRY | kind::HMAC => length == 16,
        kind::DESTINATION_NODE_ADDRESS => length == 4 || length == 16,
        // Two ports, or one sub-TLV at the least.
        kind::LOCATION | kind::RETURN_PATH => length >= 4,
        _ => true,
    }
}

/// Whether a TLV of this type takes more than [`reflect`] can do.
#[inline(always)]
#[must_use]
pub const fn is_for_userspace(kind: u8) -> bool {
    matches!(
        kind,
        kind::LOCATION
            | kind::ACCESS_REPORT
            | kind::FOLLOW_UP_TELEMETRY
            | kind::HMAC
            | kind::DESTINATION_NODE_ADDRESS
            | kind::RETURN_PATH
    )
}

/// Whether what lies behind the base packet, from `at` to `end`, is padding of the kind that came before
/// RFC 8972 (RFC 6038, section 4): zeros at first, where a sender of TLVs sets the U flag and a type.
#[inline(always)]
pub fn is_plain_padding(frame: &(impl Bytes + ?Sized), at: usize, end: usize) -> bool {
    if at >= end {
        return true;
    }
    let (Some([flags]), kind) = (frame.read(at), frame.read(at + 1)) else { return true };
    let is_reserved = end - at == 1 || kind == Some([kind::RESERVED]);
    flags & flag::UNRECOGNISED == 0 && is_reserved
}

/// What the TLVs from `at` to `end` of a frame need.
#[inline(always)]
pub fn survey(frame: &(impl Bytes + ?Sized), at: usize, end: usize, mode: Mode) -> Survey {
    if is_plain_padding(frame, at, end) {
        return Survey::None;
    }
    if matches!(mode, Mode::Authenticated) {
        // RFC 8972, section 4.8: all but a single Extra Padding TLV must be covered by an HMAC TLV.
        return match Header::read(frame, at, end) {
            Some(tlv)
                if tlv.kind == kind::EXTRA_PADDING && !tlv.is_malformed && tlv.next(at) == end =>
            {
                Survey::Simple
            }
            _ => Survey::Userspace,
        };
    }
    let mut at = at;
    for _ in 0..MAX_TLVS {
        let Some(tlv) = Header::read(frame, at, end) else { return Survey::Simple };
        if is_for_userspace(tlv.kind) {
            return Survey::Userspace;
        }
        if tlv.is_malformed {
            return Survey::Simple;
        }
        at = tlv.next(at);
    }
    if at >= end { Survey::Simple } else { Survey::Userspace }
}

/// Turns the TLVs from `at` to `end` into those of the reply, in place, and returns the traffic class
/// with which the reply goes out.
///
/// TLVs that need the userspace reflector are copied with the U flag; those beyond [`MAX_TLVS`] are left
/// as they came, which is with the U flag too. The caller mends the checksum.
#[inline(always)]
pub fn reflect(frame: &mut (impl BytesMut + ?Sized), at: usize, end: usize, facts: &Facts) -> u8 {
    let mut traffic_class = facts.traffic_class;
    if is_plain_padding(frame, at, end) {
        return traffic_class;
    }
    let mut at = at;
    for _ in 0..MAX_TLVS {
        let Some(tlv) = Header::read(frame, at, end) else { break };
        if let Some(asked) = reflect_one(frame, at, &tlv, facts) {
            traffic_class = asked;
        }
        if tlv.is_malformed {
            break;
        }
        at = tlv.next(at);
    }
    traffic_class
}

/// Turns one TLV into that of the reply, and returns the traffic class that it asks for.
#[inline(always)]
pub fn reflect_one(
    frame: &mut (impl BytesMut + ?Sized),
    at: usize,
    tlv: &Header,
    facts: &Facts,
) -> Option<u8> {
    let value_at = at + HEADER_LENGTH;
    let is_recognised = tlv.kind == kind::EXTRA_PADDING
        || facts.trusted
            && matches!(
                tlv.kind,
                kind::TIMESTAMP_INFORMATION | kind::CLASS_OF_SERVICE | kind::DIRECT_MEASUREMENT
            );
    // RFC 8972, section 4: the flags of the request count for nothing, and reserved ones are zero.
    let unrecognised = if is_recognised { 0 } else { flag::UNRECOGNISED };
    let malformed = if tlv.is_malformed { flag::MALFORMED } else { 0 };
    frame.write(at, [unrecognised | malformed])?;
    if !is_recognised || tlv.is_malformed {
        return None;
    }
    match tlv.kind {
        kind::TIMESTAMP_INFORMATION => {
            // Ingress and egress share one clock, and one way to read it.
            let source = facts.synchronisation_source;
            frame.write(value_at, [source, SOFTWARE_LOCAL, source, SOFTWARE_LOCAL])?;
            None
        }
        kind::DIRECT_MEASUREMENT => {
            frame.write(value_at + 4, facts.received.to_be_bytes())?;
            frame.write(value_at + 8, facts.transmitted.to_be_bytes())?;
            None
        }
        kind::CLASS_OF_SERVICE => class_of_service(frame, value_at, facts),
        _ => None,
    }
}

/// RFC 8972, section 4.4, with erratum 8199: DSCP1, DSCP2, ECN and RP share two octets; two more are
/// reserved.
#[inline(always)]
fn class_of_service(
    frame: &mut (impl BytesMut + ?Sized),
    value_at: usize,
    facts: &Facts,
) -> Option<u8> {
    let [asked, _] = frame.read::<2>(value_at)?;
    let dscp = asked >> 2;
    let is_permitted = (facts.permitted >> dscp) & 1 == 1;
    let reverse_path = u16::from(!is_permitted);
    let received = u16::from(facts.traffic_class) << 2;
    let fields = u32::from((u16::from(dscp) << 10) | received | reverse_path) << 16;
    frame.write(value_at, fields.to_be_bytes())?;
    let ecn = facts.traffic_class & 0b11;
    Some(if is_permitted { (dscp << 2) | ecn } else { facts.traffic_class })
}

#[cfg(test)]
mod tests;
