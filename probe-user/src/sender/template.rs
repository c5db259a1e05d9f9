//! The UDP payload of a session's test packets, as it goes into the socket.

use std::{fmt, ops::Deref, sync::Arc};

use probe_ebpf::stamp::Mode;

/// A test packet without number, time and HMAC: zeros, and behind them the TLVs.
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
        Self(octets.into())
    }
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
            let template = Template::new(0x1234, mode, &[0x80, 1, 0, 0]);
            assert_eq!(template.len(), length + 4);
            let set: Vec<usize> = (0..length).filter(|at| template[*at] != 0).collect();
            assert_eq!((set, &template[14..16]), (vec![14, 15], &[0x12, 0x34][..]));
            assert_eq!(template[length..], [0x80, 1, 0, 0]);
        }
    }
}
