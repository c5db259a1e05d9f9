//! The Internet checksum (RFC 1071), as a sum that can be taken in parts.
//!
//! Words are added in the machine's own byte order: the one's complement sum does not depend on the
//! order of bytes (RFC 1071, section 2), so nothing is swapped on the packet path.

/// A one's complement sum that is not folded yet.
///
/// It has room for 2^32 words of 32 bits, far more than a packet has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self(0);

    /// Adds bytes. An odd last byte counts as the first of a pair (RFC 1071, section 4.1), so only
    /// the last part of what is summed may have an odd length.
    #[inline(always)]
    #[must_use]
    pub fn add_bytes<const N: usize>(self, bytes: &[u8; N]) -> Self {
        let mut sum = self.0;
        let mut at = 0;
        while at + 4 <= N {
            sum += u64::from(u32::from_ne_bytes([
                bytes[at],
                bytes[at + 1],
                bytes[at + 2],
                bytes[at + 3],
            ]));
            at += 4;
        }
        if at + 2 <= N {
            sum += u64::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]]));
            at += 2;
        }
        if at < N {
            sum += u64::from(u16::from_ne_bytes([bytes[at], 0]));
        }
        Self(sum)
    }

    /// Adds a slice, for the host; the same rule for odd lengths as [`Sum::add_bytes`].
    #[must_use]
    pub fn add_slice(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<2>();
        let sum = words.iter().fold(self, Self::add_bytes);
        rest.iter().fold(sum, |sum, last| sum.add_bytes(&[*last]))
    }

    /// Adds a number that stands on the wire as a big-endian 16-bit word.
    #[inline(always)]
    #[must_use]
    pub const fn add_be16(self, word: u16) -> Self {
        Self(self.0 + u16::from_ne_bytes(word.to_be_bytes()) as u64)
    }

    /// Adds a partial sum in the machine's byte order, such as `bpf_csum_diff` returns.
    #[inline(always)]
    #[must_use]
    pub const fn add_partial(self, sum: u32) -> Self {
        Self(self.0 + sum as u64)
    }

    /// Adds another sum.
    #[inline(always)]
    #[must_use]
    pub const fn add_sum(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The folded sum as the two bytes that stand on the wire, not complemented.
    #[inline(always)]
    #[must_use]
    pub const fn folded(self) -> [u8; 2] {
        let mut sum = self.0;
        sum = (sum >> 32) + (sum & 0xffff_ffff);
        sum = (sum >> 32) + (sum & 0xffff_ffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        (sum as u16).to_ne_bytes()
    }

    /// The sum of this and of the complement of another: what changes when that part is replaced by
    /// this one, as a partial sum in the machine's byte order.
    #[inline(always)]
    #[must_use]
    pub const fn difference(self, replaced: Self) -> u32 {
        let complement = u16::from_ne_bytes(replaced.checksum());
        u16::from_ne_bytes(Self(self.0 + complement as u64).folded()) as u32
    }

    /// The checksum as the two bytes that stand on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn checksum(self) -> [u8; 2] {
        let [a, b] = self.folded();
        [!a, !b]
    }

    /// The checksum for a UDP header, where zero would mean "no checksum" (RFC 768).
    #[inline(always)]
    #[must_use]
    pub const fn udp_checksum(self) -> [u8; 2] {
        match self.checksum() {
            [0, 0] => [0xff, 0xff],
            sum => sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of RFC 1071, section 3.
    #[test]
    fn rfc1071_example() {
        let sum = Sum::ZERO.add_bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.folded(), [0xdd, 0xf2]);
        assert_eq!(sum.checksum(), [0x22, 0x0d]);
    }

    #[test]
    fn parts_give_the_same_sum_as_the_whole() {
        let bytes: [u8; 45] = core::array::from_fn(|i| (i * 37 + 11) as u8);
        let whole = Sum::ZERO.add_bytes(&bytes).folded();
        assert_eq!(Sum::ZERO.add_slice(&bytes).folded(), whole);
        let (head, tail) = bytes.split_at(16);
        assert_eq!(Sum::ZERO.add_slice(head).add_slice(tail).folded(), whole);
    }

    #[test]
    fn folding_carries_all_the_way() {
        assert_eq!(Sum(u64::MAX).folded(), [0xff, 0xff]);
        assert_eq!(Sum(0x1_0000_ffff).folded(), [1, 0], "little-endian hosts");
    }

    #[test]
    fn a_zero_udp_checksum_is_sent_as_all_ones() {
        let sum = Sum::ZERO.add_bytes(&[0xff, 0xff]);
        assert_eq!(sum.checksum(), [0, 0]);
        assert_eq!(sum.udp_checksum(), [0xff, 0xff]);
    }
}
