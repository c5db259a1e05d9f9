//! Whole numbers in as few octets as they need: seven bits in each, the lowest first, and the eighth says that more
//! follow (LEB128).

use super::Damage;

/// Appends a number.
pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Appends a number that may be negative, small ones of both signs in few octets.
pub(super) fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put(bytes, ((number << 1) ^ (number >> 63)) as u64);
}

/// Octets that are read from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'d> {
    pub(super) bytes: &'d [u8],
    /// Where the next octet stands in the segment.
    pub(super) offset: usize,
}

impl<'d> Cursor<'d> {
    pub(super) fn number(&mut self) -> Result<u64, Damage> {
        let start = self.offset;
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte, rest @ ..] = self.bytes else {
                return Err(Damage::Truncated { offset: start });
            };
            (self.bytes, self.offset) = (rest, self.offset + 1);
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Damage::corrupt(start, "a number is longer than 64 bits"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, Damage> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// The next octets, as many as are asked for; at most `limit`.
    pub(super) fn take(&mut self, length: u64, limit: usize) -> Result<Self, Damage> {
        let start = self.offset;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > limit {
            let what = format!("{length} octets are announced, more than the {limit} that can be");
            return Err(Damage::corrupt(start, what));
        }
        let Some((bytes, rest)) = self.bytes.split_at_checked(length) else {
            return Err(Damage::Truncated { offset: start });
        };
        (self.bytes, self.offset) = (rest, start + length);
        Ok(Self { bytes, offset: start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_in_as_few_octets_as_they_need() {
        let edges = [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX, 10)];
        for (number, octets) in edges {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            assert_eq!(bytes.len(), octets, "{number}");
            assert_eq!(Cursor { bytes: &bytes, offset: 0 }.number(), Ok(number));
        }
        for number in [0, -1, 1, -64, 63, i64::MIN, i64::MAX] {
            let mut bytes = Vec::new();
            put_signed(&mut bytes, number);
            assert_eq!(Cursor { bytes: &bytes, offset: 0 }.signed(), Ok(number));
            assert_eq!(bytes.len() == 1, (-64..64).contains(&number), "{number}");
        }
    }

    #[test]
    fn what_is_cut_off_is_told_apart_from_what_is_too_long() {
        let cut_off = Cursor { bytes: &[0x80; 9], offset: 5 }.number();
        assert_eq!(cut_off, Err(Damage::Truncated { offset: 5 }));
        let too_long = Cursor { bytes: &[0xff; 20], offset: 5 }.number();
        assert!(matches!(too_long, Err(Damage::Corrupt { offset: 5, .. })), "{too_long:?}");
    }
}
