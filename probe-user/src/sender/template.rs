//! The UDP payload of a session's test packets, as it goes into the socket.

use std::{fmt, ops::Deref, sync::Arc};

use probe_ebpf::{
    hmac::TAG_LENGTH,
    stamp::Mode,
    tlv::{self, Header, Survey, flag, kind},
};

/// A test packet without number, time and HMAC: zeros, and behind them the TLVs.
///
/// In authenticated mode all TLVs but a lone Extra Padding must be signed (RFC 8972, section 4.8). For those
/// an HMAC TLV comes behind them, for the socket datapath to fill in; the kernel programs sign no TLVs.
///
/// The SSID stands where unauthenticated packets have it, in authenticated mode too: that is where
/// whoever numbers the packet looks for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Arc<[u8]>);

impl Template {
    /// The template of a session in this mode, with these TLVs (RFC 8972, section 4), encoded.
    #[must_use]
    pub fn new(ssid: u16, mode: Mode, tlvs: &[u8]) -> Self {
        let mut octets = vec![0; mode.length()];
        let at = Mode::Unauthenticated.offsets().ssid;
        octets[at..at + 2].copy_from_slice(&ssid.to_be_bytes());
        octets.extend_from_slice(tlvs);
        let survey = tlv::survey(&octets[..], mode.length(), octets.len(), mode);
        if mode == Mode::Authenticated && survey == Survey::Userspace && !has_hmac(tlvs) {
            octets.extend([flag::UNRECOGNISED, kind::HMAC, 0, TAG_LENGTH as u8]);
            octets.resize(octets.len() + TAG_LENGTH, 0);
        }
        Self(octets.into())
    }
}

/// Whether an HMAC TLV is among these.
fn has_hmac(tlvs: &[u8]) -> bool {
    let mut at = 0;
    while let Some(tlv) = Header::read(tlvs, at, tlvs.len()) {
        if tlv.kind == kind::HMAC {
            return true;
        }
        at = tlv.next(at);
    }
    false
}

impl Deref for Template {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({} octets)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ssid_is_all_that_is_not_zero() {
        for (mode, length) in [(Mode::Unauthenticated, 44), (Mode::Authenticated, 112)] {
            // A lone Extra Padding TLV, which needs no signature.
            let template = Template::new(0x1234, mode, &[0x80, 1, 0, 0]);
            assert_eq!(template.len(), length + 4);
            let set: Vec<usize> = (0..length).filter(|at| template[*at] != 0).collect();
            assert_eq!((set, &template[14..16]), (vec![14, 15], &[0x12, 0x34][..]));
            assert_eq!(template[length..], [0x80, 1, 0, 0]);
        }
    }

    #[test]
    fn tlvs_that_must_be_signed_have_room_for_it() {
        let class_of_service = [0x80, 4, 0, 4, 0xb8, 0, 0, 0];
        let mut signed = class_of_service.to_vec();
        signed.extend([0x80, 8, 0, 16]);
        signed.resize(signed.len() + 16, 0);
        for tlvs in [&class_of_service[..], &signed] {
            let template = Template::new(1, Mode::Authenticated, tlvs);
            assert_eq!(template[112..], signed, "once, whoever has put it there");
        }
        let template = Template::new(1, Mode::Unauthenticated, &class_of_service);
        assert_eq!(template[44..], class_of_service);
    }
}
