//! What stands behind the base packet: TLVs (RFC 8972, section 4), and padding up to a size.

use clap::ValueEnum;
use probe_ebpf::{
    hmac::TAG_LENGTH,
    stamp::Mode,
    tlv::{DIRECT_MEASUREMENT_LENGTH, HEADER_LENGTH, flag, kind},
};

/// The longest UDP payload whose reply the kernel can verify: that of jumbo frames.
const LONGEST: usize = 9_000;

/// Octets of the headers before the payload: IPv4 or IPv6, and UDP.
const HEADERS: [usize; 2] = [20 + 8, 40 + 8];

/// The TLVs that a probe can carry, in the order in which they stand in it: the TC program looks for the
/// counters of Direct Measurement right behind the base packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Tlv {
    /// RFC 8972, section 4.5.
    DirectMeasurement,
    /// RFC 8972, section 4.4: the reply is to have the DSCP of the probe.
    ClassOfService,
    /// RFC 8972, section 4.3.
    TimestampInformation,
    /// RFC 8972, section 4.2: with both addresses and ports.
    Location,
    /// RFC 8972, section 4.7.
    FollowUpTelemetry,
    /// RFC 8972, section 4.6: of access by 3GPP, which is available.
    AccessReport,
}

/// A size that no probe can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither what has to be in it, nor that and a TLV of padding.
    #[error(
        "a probe cannot have {size} octets of UDP payload: {least} without padding, or {} to {most} \
         with it", least + HEADER_LENGTH
    )]
    Size {
        /// What was asked for.
        size: usize,
        /// The least.
        least: usize,
        /// The most.
        most: usize,
    },
    /// Not even what has to be in it has room on the way.
    #[error(
        "a probe with these TLVs has {least} octets of UDP payload, and the way to the reflector has room \
         for {most}"
    )]
    NoRoom {
        /// The least.
        least: usize,
        /// The most.
        most: usize,
    },
}

/// The most octets of UDP payload that fit into a packet of this length (MTU).
#[must_use]
pub fn room(mtu: usize, is_ipv4: bool) -> usize {
    mtu.saturating_sub(HEADERS[usize::from(!is_ipv4)]).min(LONGEST)
}

/// Encodes the TLVs, and padding up to `size` octets of UDP payload, of which there are at most `most`.
///
/// # Errors
/// Where there is no such probe.
pub fn tlvs(
    mode: Mode,
    wanted: &[Tlv],
    dscp: u8,
    size: Option<usize>,
    most: usize,
) -> Result<Vec<u8>, Error> {
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    let mut octets: Vec<u8> = wanted.iter().flat_map(|tlv| tlv.encode(dscp)).collect();
    if mode == Mode::Authenticated && !wanted.is_empty() {
        // RFC 8972, section 4.8: it signs all before it; only padding may follow.
        octets.extend(encode(kind::HMAC, &[0; TAG_LENGTH]));
    }
    let least = mode.length() + octets.len();
    if least > most {
        return Err(Error::NoRoom { least, most });
    }
    match size {
        None => {}
        Some(size) if size == least => {}
        Some(size) if (least + HEADER_LENGTH..=most).contains(&size) => {
            octets.extend(encode(kind::EXTRA_PADDING, &vec![0; size - least - HEADER_LENGTH]));
        }
        Some(size) => return Err(Error::Size { size, least, most }),
    }
    Ok(octets)
}

impl Tlv {
    fn encode(self, dscp: u8) -> Vec<u8> {
        match self {
            Self::DirectMeasurement => {
                encode(kind::DIRECT_MEASUREMENT, &[0; DIRECT_MEASUREMENT_LENGTH])
            }
            Self::ClassOfService => encode(kind::CLASS_OF_SERVICE, &[dscp << 2, 0, 0, 0]),
            Self::TimestampInformation => encode(kind::TIMESTAMP_INFORMATION, &[0; 4]),
            Self::Location => {
                let addresses = [location::DESTINATION_IP, location::SOURCE_IP];
                let sub_tlvs = addresses.iter().flat_map(|kind| encode(*kind, &[0; 16]));
                encode(kind::LOCATION, &[0; 4].into_iter().chain(sub_tlvs).collect::<Vec<_>>())
            }
            Self::FollowUpTelemetry => encode(kind::FOLLOW_UP_TELEMETRY, &[0; 16]),
            Self::AccessReport => encode(
                kind::ACCESS_REPORT,
                &[access::THIRD_GENERATION << 4, access::AVAILABLE, 0, 0],
            ),
        }
    }
}

/// Sub-TLVs of Location that ask for an address (RFC 8972, section 5.3).
mod location {
    pub(super) const DESTINATION_IP: u8 = 4;
    pub(super) const SOURCE_IP: u8 = 7;
}

/// Code points of Access Report (RFC 8972, section 4.6).
mod access {
    pub(super) const THIRD_GENERATION: u8 = 1;
    pub(super) const AVAILABLE: u8 = 1;
}

/// A TLV as its sender makes it: with the U flag (RFC 8972, section 4).
fn encode(kind: u8, value: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(value.len()).expect("no value is that long").to_be_bytes();
    [&[flag::UNRECOGNISED, kind, high, low], value].concat()
}

#[cfg(test)]
mod tests {
    use probe_ebpf::tlv::Header;

    use super::*;
    use crate::sender::template::Template;

    #[test]
    fn tlvs_are_well_formed_and_direct_measurement_is_first() {
        let mut all = Tlv::value_variants().to_vec();
        all.reverse();
        for (mode, expected) in [
            (Mode::Unauthenticated, &[5, 4, 3, 2, 7, 6, 1][..]),
            (Mode::Authenticated, &[5, 4, 3, 2, 7, 6, 8, 1]),
        ] {
            let octets = tlvs(mode, &all, 46, Some(1_000), 1_472).unwrap();
            assert_eq!(mode.length() + octets.len(), 1_000);
            let (mut at, mut kinds) = (0, Vec::new());
            while let Some(tlv) = Header::read(&octets[..], at, octets.len()) {
                assert!(!tlv.is_malformed, "type {}", tlv.kind);
                assert_eq!(tlv.flags, flag::UNRECOGNISED);
                kinds.push(tlv.kind);
                at = tlv.next(at);
            }
            assert_eq!(at, octets.len());
            assert_eq!(kinds, expected);
            let template = Template::new(1, mode, &octets);
            assert_eq!(template.len(), 1_000, "nothing is added to it");
        }
    }

    /// RFC 8972, section 4.4: DSCP1 is the first six bits.
    #[test]
    fn class_of_service_asks_for_the_dscp_of_the_probe() {
        let octets = tlvs(Mode::Unauthenticated, &[Tlv::ClassOfService; 2], 46, None, 1_472);
        assert_eq!(octets.unwrap(), [0x80, 4, 0, 4, 0xb8, 0, 0, 0], "once, though named twice");
    }

    #[test]
    fn sizes_that_there_are_and_those_that_there_are_not() {
        let (mode, most) = (Mode::Unauthenticated, room(1_500, true));
        let length = |size| tlvs(mode, &[], 0, Some(size), most).map(|tlvs| 44 + tlvs.len());
        for size in [44, 48, 49, 1_000, 1_472] {
            assert_eq!(length(size), Ok(size));
        }
        for size in [0, 43, 45, 47, 1_473, usize::MAX] {
            assert_eq!(length(size), Err(Error::Size { size, least: 44, most: 1_472 }));
        }
        assert_eq!(tlvs(Mode::Authenticated, &[], 0, Some(112), most), Ok(Vec::new()));
        assert_eq!(room(1_500, false), 1_452);
        let narrow = tlvs(mode, &[Tlv::Location], 0, None, 68);
        assert_eq!(narrow, Err(Error::NoRoom { least: 92, most: 68 }));
    }
}
