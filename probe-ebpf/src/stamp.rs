//! Test packets of STAMP, unauthenticated mode (RFC 8762, sections 4.2.1 and 4.3.1) with the Session
//! Identifier of RFC 8972, section 3.
//!
//! Both packets have the same length, so that a reply never carries more than its request.

use crate::{
    checksum::Sum,
    frame::{Bytes, BytesMut},
};

/// The UDP port of the Session-Reflector (RFC 8762, section 4.1).
pub const PORT: u16 = 862;

/// Octets of a test packet without TLVs, in either direction.
pub const LENGTH: usize = 44;

/// The TTL or Hop Limit of every test packet (RFC 8762, section 4.2.1, by RFC 5082).
pub const TTL: u8 = 255;

/// Where the fields stand, in octets from the start of the UDP payload.
pub mod offset {
    /// Sequence Number, u32.
    pub const SEQUENCE: usize = 0;
    /// Timestamp, u64: T1 in a request, T3 in a reply.
    pub const TIMESTAMP: usize = 4;
    /// Error Estimate, u16, of the clock that made [`TIMESTAMP`].
    pub const ERROR_ESTIMATE: usize = 12;
    /// SSID, u16 (RFC 8972).
    pub const SSID: usize = 14;
    /// Receive Timestamp, u64: T2. Replies only, as all that follow.
    pub const RECEIVE_TIMESTAMP: usize = 16;
    /// Session-Sender Sequence Number, u32.
    pub const SENDER_SEQUENCE: usize = 24;
    /// Session-Sender Timestamp, u64: T1.
    pub const SENDER_TIMESTAMP: usize = 28;
    /// Session-Sender Error Estimate, u16.
    pub const SENDER_ERROR_ESTIMATE: usize = 36;
    /// Session-Sender TTL, u8: the TTL with which the request arrived.
    pub const SENDER_TTL: usize = 40;
}

/// The Session-Sender's test packet (RFC 8762, section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Sequence Number; starts at 0 and goes up by one (RFC 8762, section 4.2.1).
    pub sequence: u32,
    /// T1, in the format that the Error Estimate names.
    pub timestamp: u64,
    /// Error Estimate of the sender's clock.
    pub error_estimate: u16,
    /// Session Identifier; 0 where RFC 8972 is not in use.
    pub ssid: u16,
}

impl Request {
    /// Reads the request at an offset; `None` where the frame ends before. Octets that must be zero are
    /// ignored (RFC 8762, section 4.2.1).
    #[inline(always)]
    pub fn read(frame: &(impl Bytes + ?Sized), at: usize) -> Option<Self> {
        Some(Self {
            sequence: u32::from_be_bytes(frame.read(at + offset::SEQUENCE)?),
            timestamp: u64::from_be_bytes(frame.read(at + offset::TIMESTAMP)?),
            error_estimate: u16::from_be_bytes(frame.read(at + offset::ERROR_ESTIMATE)?),
            ssid: u16::from_be_bytes(frame.read(at + offset::SSID)?),
        })
    }

    /// Writes the fields of the request at an offset, and leaves what must be zero as it is; `None`
    /// where the frame ends before.
    #[inline(always)]
    pub fn write(&self, frame: &mut (impl BytesMut + ?Sized), at: usize) -> Option<()> {
        frame.write(at + offset::SEQUENCE, self.sequence.to_be_bytes())?;
        frame.write(at + offset::TIMESTAMP, self.timestamp.to_be_bytes())?;
        frame.write(at + offset::ERROR_ESTIMATE, self.error_estimate.to_be_bytes())?;
        frame.write(at + offset::SSID, self.ssid.to_be_bytes())
    }

    /// The sum over what [`Request::write`] writes.
    #[inline(always)]
    #[must_use]
    pub fn sum(&self) -> Sum {
        Sum::ZERO
            .add_bytes(&self.sequence.to_be_bytes())
            .add_bytes(&self.timestamp.to_be_bytes())
            .add_be16(self.error_estimate)
            .add_be16(self.ssid)
    }

    /// The packet, with zeros where RFC 8762 wants zeros.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        self.write(&mut octets[..], 0).expect("the array has the length of the packet");
        octets
    }
}

/// The Session-Reflector's test packet (RFC 8762, section 4.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Sequence Number: the reflector's own per session (stateful) or the request's (stateless).
    pub sequence: u32,
    /// T3: when the reply left.
    pub timestamp: u64,
    /// Error Estimate of the reflector's clock.
    pub error_estimate: u16,
    /// Session Identifier, copied from the request.
    pub ssid: u16,
    /// T2: when the request arrived.
    pub receive_timestamp: u64,
    /// The Sequence Number of the request.
    pub sender_sequence: u32,
    /// T1: the Timestamp of the request.
    pub sender_timestamp: u64,
    /// The Error Estimate of the request.
    pub sender_error_estimate: u16,
    /// The TTL or Hop Limit with which the request arrived.
    pub sender_ttl: u8,
}

impl Reply {
    /// Reads the reply at an offset; `None` where the frame ends before. Octets that must be zero are
    /// ignored (RFC 8762, section 4.3.1).
    #[inline(always)]
    pub fn read(frame: &(impl Bytes + ?Sized), at: usize) -> Option<Self> {
        let Request { sequence, timestamp, error_estimate, ssid } = Request::read(frame, at)?;
        let sender_error_estimate = frame.read(at + offset::SENDER_ERROR_ESTIMATE)?;
        let [sender_ttl] = frame.read(at + offset::SENDER_TTL)?;
        Some(Self {
            sequence,
            timestamp,
            error_estimate,
            ssid,
            receive_timestamp: u64::from_be_bytes(frame.read(at + offset::RECEIVE_TIMESTAMP)?),
            sender_sequence: u32::from_be_bytes(frame.read(at + offset::SENDER_SEQUENCE)?),
            sender_timestamp: u64::from_be_bytes(frame.read(at + offset::SENDER_TIMESTAMP)?),
            sender_error_estimate: u16::from_be_bytes(sender_error_estimate),
            sender_ttl,
        })
    }

    /// Writes the reply at an offset, with zeros where RFC 8762 wants zeros; `None` where the frame
    /// ends before.
    #[inline(always)]
    pub fn write(&self, frame: &mut (impl BytesMut + ?Sized), at: usize) -> Option<()> {
        self.head().write(frame, at)?;
        frame.write(at + offset::RECEIVE_TIMESTAMP, self.receive_timestamp.to_be_bytes())?;
        frame.write(at + offset::SENDER_SEQUENCE, self.sender_sequence.to_be_bytes())?;
        frame.write(at + offset::SENDER_TIMESTAMP, self.sender_timestamp.to_be_bytes())?;
        let sender_error_estimate = u32::from(self.sender_error_estimate) << 16;
        frame.write(at + offset::SENDER_ERROR_ESTIMATE, sender_error_estimate.to_be_bytes())?;
        frame.write(at + offset::SENDER_TTL, [self.sender_ttl, 0, 0, 0])
    }

    /// The sum over what [`Reply::write`] writes.
    #[inline(always)]
    #[must_use]
    pub fn sum(&self) -> Sum {
        self.head()
            .sum()
            .add_bytes(&self.receive_timestamp.to_be_bytes())
            .add_bytes(&self.sender_sequence.to_be_bytes())
            .add_bytes(&self.sender_timestamp.to_be_bytes())
            .add_be16(self.sender_error_estimate)
            .add_be16(u16::from(self.sender_ttl) << 8)
    }

    /// Whether this can be what a reflector has sent: received within the second before it was
    /// reflected. A request has zeros there, or whatever its sender pads with, which passes for a reply
    /// once in 2^32 times.
    #[inline(always)]
    #[must_use]
    pub const fn is_plausible(&self) -> bool {
        let residence = self.timestamp.wrapping_sub(self.receive_timestamp);
        self.receive_timestamp != 0 && residence < 1 << 32 && self.sender_ttl != 0
    }

    /// The packet as octets.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        self.write(&mut octets[..], 0).expect("the array has the length of the packet");
        octets
    }

    /// The fields that stand where a request has them too.
    #[inline(always)]
    const fn head(&self) -> Request {
        Request {
            sequence: self.sequence,
            timestamp: self.timestamp,
            error_estimate: self.error_estimate,
            ssid: self.ssid,
        }
    }
}

#[cfg(test)]
mod tests;
