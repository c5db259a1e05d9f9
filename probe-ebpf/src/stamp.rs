//! Test packets of STAMP, unauthenticated mode (RFC 8762, sections 4.2.1 and 4.3.1) with the Session
//! Identifier of RFC 8972, section 3.
//!
//! Both packets have the same length, so that a reply never carries more than its request.

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
    /// Reads a request. Octets that must be zero are ignored (RFC 8762, section 4.2.1).
    #[inline(always)]
    #[must_use]
    pub fn parse(octets: &[u8; LENGTH]) -> Self {
        Self {
            sequence: u32::from_be_bytes(field(octets, offset::SEQUENCE)),
            timestamp: u64::from_be_bytes(field(octets, offset::TIMESTAMP)),
            error_estimate: u16::from_be_bytes(field(octets, offset::ERROR_ESTIMATE)),
            ssid: u16::from_be_bytes(field(octets, offset::SSID)),
        }
    }

    /// The packet, with zeros where RFC 8762 wants zeros.
    #[inline(always)]
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        put(&mut octets, offset::SEQUENCE, self.sequence.to_be_bytes());
        put(&mut octets, offset::TIMESTAMP, self.timestamp.to_be_bytes());
        put(&mut octets, offset::ERROR_ESTIMATE, self.error_estimate.to_be_bytes());
        put(&mut octets, offset::SSID, self.ssid.to_be_bytes());
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
    /// Reads a reply. Octets that must be zero are ignored (RFC 8762, section 4.3.1).
    #[inline(always)]
    #[must_use]
    pub fn parse(octets: &[u8; LENGTH]) -> Self {
        Self {
            sequence: u32::from_be_bytes(field(octets, offset::SEQUENCE)),
            timestamp: u64::from_be_bytes(field(octets, offset::TIMESTAMP)),
            error_estimate: u16::from_be_bytes(field(octets, offset::ERROR_ESTIMATE)),
            ssid: u16::from_be_bytes(field(octets, offset::SSID)),
            receive_timestamp: u64::from_be_bytes(field(octets, offset::RECEIVE_TIMESTAMP)),
            sender_sequence: u32::from_be_bytes(field(octets, offset::SENDER_SEQUENCE)),
            sender_timestamp: u64::from_be_bytes(field(octets, offset::SENDER_TIMESTAMP)),
            sender_error_estimate: u16::from_be_bytes(field(octets, offset::SENDER_ERROR_ESTIMATE)),
            sender_ttl: octets[offset::SENDER_TTL],
        }
    }

    /// The packet, with zeros where RFC 8762 wants zeros.
    #[inline(always)]
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        put(&mut octets, offset::SEQUENCE, self.sequence.to_be_bytes());
        put(&mut octets, offset::TIMESTAMP, self.timestamp.to_be_bytes());
        put(&mut octets, offset::ERROR_ESTIMATE, self.error_estimate.to_be_bytes());
        put(&mut octets, offset::SSID, self.ssid.to_be_bytes());
        put(&mut octets, offset::RECEIVE_TIMESTAMP, self.receive_timestamp.to_be_bytes());
        put(&mut octets, offset::SENDER_SEQUENCE, self.sender_sequence.to_be_bytes());
        put(&mut octets, offset::SENDER_TIMESTAMP, self.sender_timestamp.to_be_bytes());
        put(&mut octets, offset::SENDER_ERROR_ESTIMATE, self.sender_error_estimate.to_be_bytes());
        octets[offset::SENDER_TTL] = self.sender_ttl;
        octets
    }
}

#[inline(always)]
fn field<const N: usize>(octets: &[u8; LENGTH], at: usize) -> [u8; N] {
    core::array::from_fn(|i| octets[at + i])
}

#[inline(always)]
fn put<const N: usize>(octets: &mut [u8; LENGTH], at: usize, value: [u8; N]) {
    octets[at..at + N].copy_from_slice(&value);
}

#[cfg(test)]
mod tests;
