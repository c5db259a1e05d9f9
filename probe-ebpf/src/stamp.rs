//! Test packets of STAMP, unauthenticated and authenticated mode (RFC 8762, sections 4.2 and 4.3), with the
//! Session Identifier of RFC 8972, section 3.
//!
//! Both packets of a mode have the same length, so that a reply never carries more than its request.

use crate::{
    checksum::Sum,
    frame::{Bytes, BytesMut},
    ntp::{self, Format},
};

/// The UDP port of the Session-Reflector (RFC 8762, section 4.1).
pub const PORT: u16 = 862;

/// Octets of the shortest test packet: unauthenticated, without TLVs.
pub const LENGTH: usize = Mode::Unauthenticated.length();

/// Octets of an authenticated test packet without TLVs.
pub const AUTHENTICATED_LENGTH: usize = Mode::Authenticated.length();

/// Where the HMAC of an authenticated test packet stands; it covers all before it (RFC 8762, section 4.4).
pub const HMAC_AT: usize = 96;

/// The TTL or Hop Limit of every test packet (RFC 8762, section 4.2.1, by RFC 5082).
pub const TTL: u8 = 255;

/// The two modes. Which one a session is in is a matter of configuration: nothing in a packet tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// RFC 8762, sections 4.2.1 and 4.3.1.
    Unauthenticated,
    /// RFC 8762, sections 4.2.2 and 4.3.2.
    Authenticated,
}

impl Mode {
    /// Octets of a test packet without TLVs, in either direction.
    #[inline(always)]
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::Unauthenticated => 44,
            Self::Authenticated => 112,
        }
    }

    /// Where the fields stand.
    #[inline(always)]
    #[must_use]
    pub const fn offsets(self) -> Offsets {
        match self {
            Self::Unauthenticated => Offsets {
                timestamp: 4,
                error_estimate: 12,
                ssid: 14,
                receive_timestamp: 16,
                sender_sequence: 24,
                sender_timestamp: 28,
                sender_error_estimate: 36,
                sender_ttl: 40,
            },
            Self::Authenticated => Offsets {
                timestamp: 16,
                error_estimate: 24,
                ssid: 26,
                receive_timestamp: 32,
                sender_sequence: 48,
                sender_timestamp: 64,
                sender_error_estimate: 72,
                sender_ttl: 80,
            },
        }
    }
}

/// Where the fields of a test packet stand, in octets from the start of the UDP payload. The Sequence
/// Number is the first one in both modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// Timestamp, u64: T1 in a request, T3 in a reply.
    pub timestamp: usize,
    /// Error Estimate, u16, of the clock that made the timestamp.
    pub error_estimate: usize,
    /// SSID, u16 (RFC 8972).
    pub ssid: usize,
    /// Receive Timestamp, u64: T2. Replies only, as all that follow.
    pub receive_timestamp: usize,
    /// Session-Sender Sequence Number, u32.
    pub sender_sequence: usize,
    /// Session-Sender Timestamp, u64: T1.
    pub sender_timestamp: usize,
    /// Session-Sender Error Estimate, u16.
    pub sender_error_estimate: usize,
    /// Session-Sender TTL, u8: the TTL with which the request arrived.
    pub sender_ttl: usize,
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
    pub fn read(frame: &(impl Bytes + ?Sized), at: usize, mode: Mode) -> Option<Self> {
        let offset = mode.offsets();
        Some(Self {
            sequence: u32::from_be_bytes(frame.read(at)?),
            timestamp: u64::from_be_bytes(frame.read(at + offset.timestamp)?),
            error_estimate: u16::from_be_bytes(frame.read(at + offset.error_estimate)?),
            ssid: u16::from_be_bytes(frame.read(at + offset.ssid)?),
        })
    }

    /// Writes the fields of the request at an offset, and leaves what must be zero as it is; `None`
    /// where the frame ends before.
    #[inline(always)]
    pub fn write(&self, frame: &mut (impl BytesMut + ?Sized), at: usize, mode: Mode) -> Option<()> {
        let offset = mode.offsets();
        frame.write(at, self.sequence.to_be_bytes())?;
        frame.write(at + offset.timestamp, self.timestamp.to_be_bytes())?;
        frame.write(at + offset.error_estimate, self.error_estimate.to_be_bytes())?;
        frame.write(at + offset.ssid, self.ssid.to_be_bytes())
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

    /// The unauthenticated packet, with zeros where RFC 8762 wants zeros.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        self.write(&mut octets[..], 0, Mode::Unauthenticated).expect("it has the packet's length");
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
    pub fn read(frame: &(impl Bytes + ?Sized), at: usize, mode: Mode) -> Option<Self> {
        let offset = mode.offsets();
        let Request { sequence, timestamp, error_estimate, ssid } = Request::read(frame, at, mode)?;
        let sender_error_estimate = frame.read(at + offset.sender_error_estimate)?;
        let [sender_ttl] = frame.read(at + offset.sender_ttl)?;
        Some(Self {
            sequence,
            timestamp,
            error_estimate,
            ssid,
            receive_timestamp: u64::from_be_bytes(frame.read(at + offset.receive_timestamp)?),
            sender_sequence: u32::from_be_bytes(frame.read(at + offset.sender_sequence)?),
            sender_timestamp: u64::from_be_bytes(frame.read(at + offset.sender_timestamp)?),
            sender_error_estimate: u16::from_be_bytes(sender_error_estimate),
            sender_ttl,
        })
    }

    /// Writes the reply at an offset, with zeros where RFC 8762 wants zeros; `None` where the frame
    /// ends before. The HMAC of an authenticated packet is left as it is.
    #[inline(always)]
    pub fn write(&self, frame: &mut (impl BytesMut + ?Sized), at: usize, mode: Mode) -> Option<()> {
        let offset = mode.offsets();
        self.head().write(frame, at, mode)?;
        frame.write(at + offset.receive_timestamp, self.receive_timestamp.to_be_bytes())?;
        frame.write(at + offset.sender_sequence, self.sender_sequence.to_be_bytes())?;
        frame.write(at + offset.sender_timestamp, self.sender_timestamp.to_be_bytes())?;
        let sender_error_estimate = u32::from(self.sender_error_estimate) << 16;
        frame.write(at + offset.sender_error_estimate, sender_error_estimate.to_be_bytes())?;
        frame.write(at + offset.sender_ttl, [self.sender_ttl, 0, 0, 0])?;
        if matches!(mode, Mode::Authenticated) {
            for (zeros, words) in [(4, 3), (28, 1), (40, 2), (52, 3), (76, 1), (84, 3)] {
                for word in 0..words {
                    frame.write(at + zeros + 4 * word, [0; 4])?;
                }
            }
        }
        Some(())
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

    /// The reflector's residence T3-T2 in nanoseconds, as it says: negative where its clock was set back in between.
    #[inline(always)]
    #[must_use]
    pub const fn residence(&self) -> i64 {
        let format = Format::of(self.error_estimate);
        let received_at = format.to_ntp(self.receive_timestamp);
        ntp::difference_nanos(format.to_ntp(self.timestamp), received_at)
    }

    /// The unauthenticated packet as octets.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        self.write(&mut octets[..], 0, Mode::Unauthenticated).expect("it has the packet's length");
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

/// The round trip without the reflector's residence, of a reply that came `elapsed` nanoseconds after its request, by
/// the monotonic clock of the sender. In nanoseconds; saturates at 4.29 s.
///
/// A reflector whose clock steps between T2 and T3 may claim any residence: it never takes more than there is, nor adds
/// to it.
#[inline(always)]
#[must_use]
pub const fn round_trip(elapsed: u64, residence: i64) -> u32 {
    let believable = residence >= 0 && residence as u64 <= elapsed;
    let round_trip = if believable { elapsed - residence as u64 } else { elapsed };
    if round_trip < u32::MAX as u64 { round_trip as u32 } else { u32::MAX }
}

#[cfg(test)]
mod tests;
