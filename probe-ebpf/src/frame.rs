//! From an Ethernet frame to its UDP payload, for the packets that a prober may meet.
//!
//! What this parser does not understand is not ours: every [`NotOurs`] means that the frame goes on
//! its way untouched. It understands Ethernet II with up to two VLAN tags, IPv4 without options and
//! without fragments, IPv6 without extension headers, and UDP.

use crate::checksum::Sum;

/// Where a frame's bytes come from and go to. Kernel programs have packet memory, under the verifier's
/// eyes; the host has slices.
///
/// All that is read here is small enough for a register. Arrays on the stack are no way to carry
/// fields about in a BPF program: a field may stand at an odd place in a packet, but not on the stack.
pub trait Bytes {
    /// `N` bytes from offset `at`, or `None` where the frame ends before.
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]>;

    /// The frame's length in bytes.
    fn length(&self) -> usize;

    /// Adds `N` bytes from offset `at` to a sum, or `None` where the frame ends before. `N` is a
    /// multiple of four.
    #[inline(always)]
    fn sum<const N: usize>(&self, at: usize, mut sum: Sum) -> Option<Sum> {
        const { assert!(N.is_multiple_of(4)) };
        let mut offset = 0;
        while offset < N {
            sum = sum.add_bytes::<4>(&self.read(at + offset)?);
            offset += 4;
        }
        Some(sum)
    }
}

/// A frame that can be changed.
pub trait BytesMut: Bytes {
    /// Writes `N` bytes at offset `at`; `None` where the frame ends before.
    fn write<const N: usize>(&mut self, at: usize, bytes: [u8; N]) -> Option<()>;
}

impl Bytes for [u8] {
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.get(at..)?.first_chunk().copied()
    }

    fn length(&self) -> usize {
        self.len()
    }
}

impl BytesMut for [u8] {
    fn write<const N: usize>(&mut self, at: usize, bytes: [u8; N]) -> Option<()> {
        *self.get_mut(at..)?.first_chunk_mut()? = bytes;
        Some(())
    }
}

/// Why a frame is none of our business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOurs {
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// More than two VLAN tags.
    VlanDepth,
    /// The frame ends before its headers say, or its lengths contradict one another.
    Truncated,
    /// IPv4 with options.
    Ipv4Options,
    /// A fragment of an IPv4 packet.
    Fragment,
    /// IPv6 with an extension header, fragments among them.
    Ipv6Extension,
    /// IP, but not UDP.
    NotUdp,
}

/// The two versions of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

/// Octets of an Ethernet address.
pub const MAC_LENGTH: usize = 6;
/// Octets of an IPv4 header without options.
pub const IPV4_LENGTH: usize = 20;
/// Octets of an IPv6 header.
pub const IPV6_LENGTH: usize = 40;
/// Octets of a UDP header.
pub const UDP_LENGTH: usize = 8;

/// Where the fields of an IPv4 header stand, in octets from its start (RFC 791, section 3.1).
pub mod ipv4 {
    /// Total Length of header and payload, u16.
    pub const TOTAL_LENGTH: usize = 2;
    /// Flags and Fragment Offset, u16.
    pub const FRAGMENT: usize = 6;
    /// Protocol, u8.
    pub const PROTOCOL: usize = 9;
    /// Time to Live, u8.
    pub const TTL: usize = 8;
    /// Header Checksum, u16.
    pub const CHECKSUM: usize = 10;
    /// Source Address, 4 octets.
    pub const SOURCE: usize = 12;
    /// Destination Address, 4 octets.
    pub const DESTINATION: usize = 16;
}

/// Where the fields of an IPv6 header stand, in octets from its start (RFC 8200, section 3).
pub mod ipv6 {
    /// Payload Length, u16.
    pub const PAYLOAD_LENGTH: usize = 4;
    /// Next Header, u8.
    pub const NEXT_HEADER: usize = 6;
    /// Hop Limit, u8.
    pub const HOP_LIMIT: usize = 7;
    /// Source Address, 16 octets.
    pub const SOURCE: usize = 8;
    /// Destination Address, 16 octets.
    pub const DESTINATION: usize = 24;
}

/// Where the fields of a UDP header stand, in octets from its start (RFC 768).
pub mod udp {
    /// Source Port, u16.
    pub const SOURCE_PORT: usize = 0;
    /// Destination Port, u16.
    pub const DESTINATION_PORT: usize = 2;
    /// Length of header and payload, u16.
    pub const LENGTH: usize = 4;
    /// Checksum, u16.
    pub const CHECKSUM: usize = 6;
}

/// Offset of the Ethertype, or of the first VLAN tag.
pub const ETHERTYPE_AT: usize = 2 * MAC_LENGTH;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;
const VLAN_TAG_LENGTH: usize = 4;
const PROTOCOL_UDP: u8 = 17;

/// An address of either version; IPv4 as an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2).
/// Aligned so that a program can build it on its stack in two words.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    first: u64,
    second: u64,
}

impl Address {
    /// The address with these octets, in network order.
    #[inline(always)]
    #[must_use]
    pub const fn v6(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self {
            first: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            second: u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
        }
    }

    /// The IPv4-mapped form of the IPv4 address with these octets, in network order.
    #[inline(always)]
    #[must_use]
    pub const fn v4([a, b, c, d]: [u8; 4]) -> Self {
        Self { first: 0, second: u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d]) }
    }

    /// The 16 octets, in network order.
    #[must_use]
    pub const fn octets(&self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h] = self.first.to_ne_bytes();
        let [i, j, k, l, m, n, o, p] = self.second.to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// Which version it is an address of.
    #[must_use]
    pub const fn version(&self) -> IpVersion {
        match self.octets() {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..] => IpVersion::V4,
            _ => IpVersion::V6,
        }
    }
}

impl From<core::net::IpAddr> for Address {
    fn from(address: core::net::IpAddr) -> Self {
        match address {
            core::net::IpAddr::V4(address) => Self::v4(address.octets()),
            core::net::IpAddr::V6(address) => Self::v6(address.octets()),
        }
    }
}

/// The IPv6 address at an offset.
#[inline(always)]
fn address_v6(frame: &(impl Bytes + ?Sized), at: usize) -> Option<Address> {
    let (first, second) = (frame.read(at)?, frame.read(at + 8)?);
    Some(Address { first: u64::from_ne_bytes(first), second: u64::from_ne_bytes(second) })
}

/// A big-endian 16-bit field at an offset.
#[inline(always)]
fn word(frame: &(impl Bytes + ?Sized), at: usize) -> Result<u16, NotOurs> {
    frame.read(at).map(u16::from_be_bytes).ok_or(NotOurs::Truncated)
}

/// A UDP datagram that was found in a frame, whole and with lengths that agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Offset of the IP header.
    pub ip_at: usize,
    /// Offset of the UDP header.
    pub udp_at: usize,
    /// Which IP header that is.
    pub version: IpVersion,
    /// UDP source port.
    pub source_port: u16,
    /// UDP destination port.
    pub destination_port: u16,
    /// Octets of UDP header and payload; at least [`UDP_LENGTH`].
    pub length: u16,
}

impl Udp {
    /// Finds the UDP datagram in a frame.
    ///
    /// # Errors
    /// The reason why the frame is not ours.
    #[inline(always)]
    pub fn find(frame: &(impl Bytes + ?Sized)) -> Result<Self, NotOurs> {
        let (ethertype, ip_at) = network_header(frame)?;
        let (version, udp_at, ip_payload) = match ethertype {
            ETHERTYPE_IPV4 => (IpVersion::V4, ip_at + IPV4_LENGTH, ipv4_payload(frame, ip_at)?),
            ETHERTYPE_IPV6 => (IpVersion::V6, ip_at + IPV6_LENGTH, ipv6_payload(frame, ip_at)?),
            _ => return Err(NotOurs::NotIp),
        };
        let length = word(frame, udp_at + udp::LENGTH)?;
        let end = udp_at + usize::from(length);
        if length != ip_payload || usize::from(length) < UDP_LENGTH || end > frame.length() {
            return Err(NotOurs::Truncated);
        }
        Ok(Self {
            ip_at,
            udp_at,
            version,
            source_port: word(frame, udp_at + udp::SOURCE_PORT)?,
            destination_port: word(frame, udp_at + udp::DESTINATION_PORT)?,
            length,
        })
    }

    /// Offset of the UDP payload.
    #[inline(always)]
    #[must_use]
    pub const fn payload_at(&self) -> usize {
        self.udp_at + UDP_LENGTH
    }

    /// Octets of UDP payload.
    #[inline(always)]
    #[must_use]
    pub const fn payload_length(&self) -> usize {
        self.length as usize - UDP_LENGTH
    }

    /// The source address.
    #[inline(always)]
    pub fn source(&self, frame: &(impl Bytes + ?Sized)) -> Option<Address> {
        match self.version {
            IpVersion::V4 => frame.read(self.ip_at + ipv4::SOURCE).map(Address::v4),
            IpVersion::V6 => address_v6(frame, self.ip_at + ipv6::SOURCE),
        }
    }

    /// The destination address.
    #[inline(always)]
    pub fn destination(&self, frame: &(impl Bytes + ?Sized)) -> Option<Address> {
        match self.version {
            IpVersion::V4 => frame.read(self.ip_at + ipv4::DESTINATION).map(Address::v4),
            IpVersion::V6 => address_v6(frame, self.ip_at + ipv6::DESTINATION),
        }
    }

    /// The TTL or Hop Limit.
    #[inline(always)]
    pub fn ttl(&self, frame: &(impl Bytes + ?Sized)) -> Option<u8> {
        let at = match self.version {
            IpVersion::V4 => ipv4::TTL,
            IpVersion::V6 => ipv6::HOP_LIMIT,
        };
        frame.read(self.ip_at + at).map(|[ttl]| ttl)
    }

    /// The Traffic Class (RFC 8200, section 7), which IPv4 calls Type of Service: six bits of DSCP and
    /// two of ECN.
    #[inline(always)]
    pub fn traffic_class(&self, frame: &(impl Bytes + ?Sized)) -> Option<u8> {
        let [first, second] = frame.read(self.ip_at)?;
        Some(match self.version {
            IpVersion::V4 => second,
            IpVersion::V6 => (first << 4) | (second >> 4),
        })
    }

    /// Writes the Traffic Class, and leaves an IPv4 header's checksum as it is.
    #[inline(always)]
    pub fn set_traffic_class(&self, frame: &mut (impl BytesMut + ?Sized), class: u8) -> Option<()> {
        let [first, second] = frame.read(self.ip_at)?;
        let octets = match self.version {
            IpVersion::V4 => [first, class],
            IpVersion::V6 => [(first & 0xf0) | (class >> 4), (class << 4) | (second & 0x0f)],
        };
        frame.write(self.ip_at, octets)
    }

    /// The checksum field as it stands on the wire.
    #[inline(always)]
    pub fn checksum(&self, frame: &(impl Bytes + ?Sized)) -> Option<[u8; 2]> {
        frame.read(self.udp_at + udp::CHECKSUM)
    }

    /// The sum over the pseudo-header (RFC 768; RFC 8200, section 8.1).
    ///
    /// The words are those of both forms, for the length and the protocol have zeros around them.
    #[inline(always)]
    pub fn pseudo_header(&self, frame: &(impl Bytes + ?Sized)) -> Option<Sum> {
        let addresses = match self.version {
            IpVersion::V4 => frame.sum::<8>(self.ip_at + ipv4::SOURCE, Sum::ZERO)?,
            IpVersion::V6 => frame.sum::<32>(self.ip_at + ipv6::SOURCE, Sum::ZERO)?,
        };
        Some(addresses.add_be16(self.length).add_be16(u16::from(PROTOCOL_UDP)))
    }
}

/// The Ethertype behind the VLAN tags, and the offset of what it announces.
#[inline(always)]
fn network_header(frame: &(impl Bytes + ?Sized)) -> Result<(u16, usize), NotOurs> {
    let mut at = ETHERTYPE_AT;
    // Unrolled by hand: a loop would leave the verifier with an offset that it does not know.
    let mut ethertype = word(frame, at)?;
    if is_vlan(ethertype) {
        at += VLAN_TAG_LENGTH;
        ethertype = word(frame, at)?;
        if is_vlan(ethertype) {
            at += VLAN_TAG_LENGTH;
            ethertype = word(frame, at)?;
            if is_vlan(ethertype) {
                return Err(NotOurs::VlanDepth);
            }
        }
    }
    Ok((ethertype, at + 2))
}

#[inline(always)]
const fn is_vlan(ethertype: u16) -> bool {
    matches!(ethertype, ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN)
}

/// Octets behind an IPv4 header without options, if they are a whole UDP datagram.
#[inline(always)]
fn ipv4_payload(frame: &(impl Bytes + ?Sized), at: usize) -> Result<u16, NotOurs> {
    match frame.read(at).ok_or(NotOurs::Truncated)? {
        [0x45u8] => {}
        [0x46..=0x4f] => return Err(NotOurs::Ipv4Options),
        _ => return Err(NotOurs::NotIp),
    }
    // More Fragments, or a Fragment Offset: RFC 791, section 3.1.
    if word(frame, at + ipv4::FRAGMENT)? & 0x3fff != 0 {
        return Err(NotOurs::Fragment);
    }
    if frame.read(at + ipv4::PROTOCOL).ok_or(NotOurs::Truncated)? != [PROTOCOL_UDP] {
        return Err(NotOurs::NotUdp);
    }
    word(frame, at + ipv4::TOTAL_LENGTH)?.checked_sub(IPV4_LENGTH as u16).ok_or(NotOurs::Truncated)
}

/// Octets behind an IPv6 header without extension headers, if they are a UDP datagram.
#[inline(always)]
fn ipv6_payload(frame: &(impl Bytes + ?Sized), at: usize) -> Result<u16, NotOurs> {
    let [version_and_class] = frame.read(at).ok_or(NotOurs::Truncated)?;
    if version_and_class >> 4 != 6 {
        return Err(NotOurs::NotIp);
    }
    match frame.read(at + ipv6::NEXT_HEADER).ok_or(NotOurs::Truncated)? {
        [PROTOCOL_UDP] => word(frame, at + ipv6::PAYLOAD_LENGTH),
        // IANA's list of IPv6 Extension Header Types.
        [0 | 43 | 44 | 50 | 51 | 60 | 135 | 139 | 140] => Err(NotOurs::Ipv6Extension),
        _ => Err(NotOurs::NotUdp),
    }
}

#[cfg(test)]
mod tests;
