//! The TLVs of RFC 9503: to whom a request is really meant to go, and by what way the reply should.

use probe_ebpf::{
    frame::Address,
    tlv::{HEADER_LENGTH, Header, flag},
};

use super::Request;

/// Types of sub-TLVs of the Return Path TLV (RFC 9503, section 4.1).
mod kind {
    pub(super) const CONTROL_CODE: u8 = 1;
    pub(super) const RETURN_ADDRESS: u8 = 2;
    pub(super) const MPLS_LABEL_STACK: u8 = 3;
    pub(super) const SRV6_SEGMENT_LIST: u8 = 4;
}

/// The bit of the Control Code that asks for a reply, on the link that the request came by.
const REPLY_REQUEST: u32 = 1;

/// What becomes of a Return Path TLV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReturnPath {
    /// The reply goes where it asks for.
    Used,
    /// We cannot do it: the reply goes the usual way, with the U flag.
    NotUsable,
    /// No reply is wanted.
    NoReply,
    /// One of its sub-TLVs is malformed.
    Malformed,
}

/// The address that the value of a Destination Node Address TLV (RFC 9503, section 3) or of a Return
/// Address sub-TLV holds; `None` where it has no address's length.
pub(super) fn address(value: &[u8]) -> Option<Address> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(Address::v4(octets));
    }
    <[u8; 16]>::try_from(value).ok().map(Address::v6)
}

/// Looks at the value of a Return Path TLV, and sets the flags of its sub-TLVs (RFC 9503, section 4.1).
///
/// The way that we can send a reply is to where the request came from; a Return Address that is just
/// that is the only path that we can use.
pub(super) fn follow(value: &mut [u8], request: &Request<'_>) -> ReturnPath {
    let mut control = None;
    let mut path = None;
    let mut at = 0;
    while let Some(sub) = sub_tlv(value, at) {
        let recognised = (kind::CONTROL_CODE..=kind::SRV6_SEGMENT_LIST).contains(&sub.kind);
        value[at] = if recognised { 0 } else { flag::UNRECOGNISED };
        if sub.is_malformed {
            value[at] |= flag::MALFORMED;
            return ReturnPath::Malformed;
        }
        let content = &value[at + HEADER_LENGTH..sub.next(at)];
        match sub.kind {
            kind::CONTROL_CODE => {
                let code = content.first_chunk().map_or(0, |code| u32::from_be_bytes(*code));
                control.get_or_insert(code & REPLY_REQUEST != 0);
            }
            kind::RETURN_ADDRESS => {
                let is_usual = address(content) == Some(request.source);
                path = Some(path.unwrap_or(true) && is_usual);
            }
            kind::MPLS_LABEL_STACK | kind::SRV6_SEGMENT_LIST => path = Some(false),
            _ => {}
        }
        at = sub.next(at);
    }
    match (control, path) {
        // RFC 9503, section 4.1.1: where there is a Control Code, all others are ignored.
        (Some(false), _) => ReturnPath::NoReply,
        // A socket does not choose the link.
        (Some(true), _) => ReturnPath::NotUsable,
        (None, Some(true)) => ReturnPath::Used,
        (None, _) => ReturnPath::NotUsable,
    }
}

/// The header of the sub-TLV at an offset.
fn sub_tlv(value: &[u8], at: usize) -> Option<Header> {
    let mut header = Header::read(value, at, value.len())?;
    let rest = value.len() - at;
    let has_valid_length = match header.kind {
        kind::CONTROL_CODE => header.length == 4,
        kind::RETURN_ADDRESS => matches!(header.length, 4 | 16),
        kind::MPLS_LABEL_STACK => header.length > 0 && header.length.is_multiple_of(4),
        kind::SRV6_SEGMENT_LIST => header.length > 0 && header.length.is_multiple_of(16),
        _ => true,
    };
    header.is_malformed =
        rest < HEADER_LENGTH || header.length > rest - HEADER_LENGTH || !has_valid_length;
    Some(header)
}
