//! The Location TLV (RFC 8972, section 4.2): how the request looked when it arrived, so that its sender
//! sees whether it was changed on the way.

use probe_ebpf::{
    frame::{Address, IpVersion},
    tlv::{HEADER_LENGTH, Header, flag},
};

use super::Request;

/// Octets of the two ports.
const PORTS_LENGTH: usize = 4;

/// Types of sub-TLVs (RFC 8972, section 5.3).
mod kind {
    pub(super) const SOURCE_MAC: u8 = 1;
    pub(super) const SOURCE_EUI64: u8 = 3;
    pub(super) const DESTINATION_IP: u8 = 4;
    pub(super) const DESTINATION_IPV4: u8 = 5;
    pub(super) const DESTINATION_IPV6: u8 = 6;
    pub(super) const SOURCE_IP: u8 = 7;
    pub(super) const SOURCE_IPV4: u8 = 8;
    pub(super) const SOURCE_IPV6: u8 = 9;
}

/// Fills in the Location TLV with this value. Returns whether it is well formed; nothing is filled in
/// else, and the sub-TLV that is not has its M flag set.
pub(super) fn fill_in(value: &mut [u8], request: &Request<'_>) -> bool {
    let mut at = PORTS_LENGTH;
    while let Some(sub) = sub_tlv(value, at) {
        if sub.is_malformed {
            value[at] = flag::MALFORMED;
            return false;
        }
        at = sub.next(at);
    }
    value[..2].copy_from_slice(&request.destination_port.to_be_bytes());
    value[2..4].copy_from_slice(&request.source_port.to_be_bytes());
    let mut at = PORTS_LENGTH;
    while let Some(sub) = sub_tlv(value, at) {
        let next = sub.next(at);
        fill_in_sub_tlv(&mut value[at..next], sub.kind, request);
        at = next;
    }
    true
}

/// The header of the sub-TLV at an offset.
fn sub_tlv(value: &[u8], at: usize) -> Option<Header> {
    // The lengths that the type of a TLV has to have are not those of the sub-TLV with that type.
    let mut header = Header::read(value, at, value.len())?;
    let rest = value.len() - at;
    let length = match header.kind {
        kind::SOURCE_MAC => 8,
        kind::DESTINATION_IP | kind::SOURCE_IP => 16,
        _ => header.length,
    };
    header.is_malformed =
        rest < HEADER_LENGTH || header.length > rest - HEADER_LENGTH || header.length != length;
    Some(header)
}

/// Answers one sub-TLV (RFC 8972, section 4.2.2): it changes its type to say what it now holds.
fn fill_in_sub_tlv(sub_tlv: &mut [u8], kind: u8, request: &Request<'_>) {
    let (header, value) = sub_tlv.split_at_mut(HEADER_LENGTH);
    let (kind, octets) = match kind {
        // A UDP socket does not say from which Ethernet address a datagram came.
        kind::SOURCE_MAC => (kind::SOURCE_EUI64, [0; 16]),
        kind::DESTINATION_IP => {
            address(&request.destination, [kind::DESTINATION_IPV4, kind::DESTINATION_IPV6])
        }
        kind::SOURCE_IP => address(&request.source, [kind::SOURCE_IPV4, kind::SOURCE_IPV6]),
        _ => {
            header[0] = flag::UNRECOGNISED;
            return;
        }
    };
    header[..2].copy_from_slice(&[0, kind]);
    for (place, octet) in value.iter_mut().zip(octets) {
        *place = octet;
    }
}

/// The type of an address, and the value that holds it.
fn address(address: &Address, [v4, v6]: [u8; 2]) -> (u8, [u8; 16]) {
    let octets = address.octets();
    match address.version() {
        IpVersion::V4 => {
            let mut value = [0; 16];
            value[..4].copy_from_slice(&octets[12..]);
            (v4, value)
        }
        IpVersion::V6 => (v6, octets),
    }
}
