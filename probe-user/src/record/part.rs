//! What a segment is made of: parts, each a length, so many octets, and their CRC-32 in four more, the lowest first.
//!
//! A part is what is handed to the disk at once. So one that does not hold what was written is seen before anything is
//! read out of it, be it that the agent was killed, the power lost or a bit turned over.

use super::{
    Damage,
    header::NAME,
    varint::{self, Cursor},
};

/// Octets of a checksum.
const CHECKSUM: usize = 4;

/// Appends a part with this in it.
pub(super) fn put(bytes: &mut Vec<u8>, content: &[u8]) {
    varint::put(bytes, content.len() as u64);
    bytes.extend(content);
    bytes.extend(crc32fast::hash(content).to_le_bytes());
}

impl Cursor<'_> {
    /// What is in the next part, which is never empty; at most `limit` octets.
    pub(super) fn part(&mut self, limit: usize) -> Result<Self, Damage> {
        let start = *self;
        self.intact(limit).map_err(|damage| start.explain(damage))
    }

    fn intact(&mut self, limit: usize) -> Result<Self, Damage> {
        let start = self.offset;
        let length = self.number()?;
        let content = self.take(length, limit)?;
        if content.bytes.is_empty() {
            return Err(Damage::corrupt(start, "there is nothing in this part"));
        }
        let tail = *self;
        let checksum = self.take(CHECKSUM as u64, CHECKSUM)?;
        if checksum.bytes == crc32fast::hash(content.bytes).to_le_bytes() {
            return Ok(content);
        }
        Err(if tail.is_blank() {
            Damage::Blank { offset: start }
        } else {
            Damage::corrupt(start, "the checksum of what begins here does not match")
        })
    }

    /// What is wrong with the part that begins here, after a closer look.
    fn explain(&self, damage: Damage) -> Damage {
        let offset = self.offset;
        match damage {
            _ if self.is_blank() => Damage::Blank { offset },
            _ if offset > 0 && self.bytes.starts_with(&NAME) => {
                let what =
                    "another segment begins here; replay segments as the files that they were";
                Damage::corrupt(offset, what)
            }
            Damage::Truncated { .. } => Damage::Truncated { offset },
            other => other,
        }
    }

    /// Whether there is something, and nothing but zeros.
    pub(super) fn is_blank(&self) -> bool {
        !self.bytes.is_empty() && self.bytes.iter().all(|byte| *byte == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 300;

    fn parts() -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, b"123456789");
        put(&mut bytes, &[7; LIMIT]);
        bytes
    }

    /// All that can be read, and why it is not more.
    fn read(bytes: &[u8]) -> (Vec<usize>, Option<Damage>) {
        let (mut cursor, mut lengths) = (Cursor { bytes, offset: 0 }, Vec::new());
        while !cursor.bytes.is_empty() {
            match cursor.part(LIMIT) {
                Ok(content) => lengths.push(content.bytes.len()),
                Err(damage) => return (lengths, Some(damage)),
            }
        }
        (lengths, None)
    }

    /// The check value that every description of this CRC-32 gives.
    #[test]
    fn the_checksum_is_the_usual_crc_32() {
        assert_eq!(parts()[..14], *b"\x09123456789\x26\x39\xf4\xcb");
        assert_eq!(read(&parts()), (vec![9, LIMIT], None));
    }

    #[test]
    fn no_bit_can_be_turned_over_unseen() {
        let parts = parts();
        for bit in 0..parts.len() * 8 {
            let mut bytes = parts.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (lengths, damage) = read(&bytes);
            assert!(damage.is_some(), "bit {bit}");
            assert_eq!(lengths, [9][..usize::from(bit / 8 >= 14)], "bit {bit}");
        }
    }

    #[test]
    fn what_is_cut_off_is_told_by_its_part() {
        let parts = parts();
        for end in 1..parts.len() {
            let damage = match end {
                14 => None,
                _ => Some(Damage::Truncated { offset: if end < 14 { 0 } else { 14 } }),
            };
            assert_eq!(read(&parts[..end]).1, damage, "cut off at {end}");
        }
    }

    /// As where the size of a file was on disk before power was lost, and its octets were not.
    #[test]
    fn zeros_at_the_end_are_told_from_other_damage() {
        let parts = parts();
        let blank = |offset| Some(Damage::Blank { offset });
        let behind = [&parts[..], &[0; 9_000]].concat();
        assert_eq!(read(&behind), (vec![9, LIMIT], blank(parts.len())));
        for written in 15..parts.len() - CHECKSUM {
            let mut bytes = behind.clone();
            bytes[written..].fill(0);
            assert_eq!(read(&bytes), (vec![9], blank(14)), "{written} octets written");
        }
        let mut hole = behind;
        hole[20..].fill(0);
        hole.push(1);
        assert!(matches!(read(&hole).1, Some(Damage::Corrupt { offset: 14, .. })));
    }
}
