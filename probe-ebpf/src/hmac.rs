//! HMAC-SHA-256 (RFC 2104, FIPS 180-4), truncated to 128 bits as STAMP wants it (RFC 8762, section 4.4).
//!
//! A key is kept as the two states of SHA-256 behind its inner and its outer padding, so that the kernel
//! programs never see the secret itself and save two of the compressions.

/// Octets of a tag.
pub const TAG_LENGTH: usize = 16;

/// Octets of a block of SHA-256.
pub const BLOCK_LENGTH: usize = 64;

/// The state of SHA-256: eight words.
pub type State = [u32; 8];

/// A key, ready for use.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Key {
    /// SHA-256 behind the secret and the inner padding.
    pub inner: State,
    /// SHA-256 behind the secret and the outer padding.
    pub outer: State,
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // Whoever has the states can sign.
        f.write_str("Key(..)")
    }
}

impl Key {
    /// The key with this secret, of any length; RFC 2104 advises at least 32 octets.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let mut block = [0; BLOCK_LENGTH];
        if secret.len() > BLOCK_LENGTH {
            for (place, word) in block.chunks_exact_mut(4).zip(digest(INITIAL, &[secret], 0)) {
                place.copy_from_slice(&word.to_be_bytes());
            }
        } else {
            block[..secret.len()].copy_from_slice(secret);
        }
        Self { inner: padded(&block, 0x36), outer: padded(&block, 0x5c) }
    }

    /// The tag of some octets, given in parts.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; TAG_LENGTH] {
        let inner = digest(self.inner, parts, BLOCK_LENGTH);
        let mut octets = [0; 32];
        for (place, word) in octets.chunks_exact_mut(4).zip(inner) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        let outer = digest(self.outer, &[&octets], BLOCK_LENGTH);
        let mut tag = [0; TAG_LENGTH];
        for (place, word) in tag.chunks_exact_mut(4).zip(outer) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        tag
    }

    /// Whether a tag is that of some octets, in a time that does not tell where the two differ.
    #[must_use]
    pub fn has_signed(&self, parts: &[&[u8]], tag: &[u8; TAG_LENGTH]) -> bool {
        u128::from_ne_bytes(self.tag(parts)) ^ u128::from_ne_bytes(*tag) == 0
    }
}

fn padded(secret: &[u8; BLOCK_LENGTH], padding: u8) -> State {
    let mut state = INITIAL;
    compress(&mut state, &secret.map(|octet| octet ^ padding));
    state
}

/// SHA-256 of `parts` behind `before` octets that are in the state already.
fn digest(mut state: State, parts: &[&[u8]], before: usize) -> State {
    let mut block = [0; BLOCK_LENGTH];
    let mut length = 0;
    for octet in parts.iter().copied().flatten() {
        block[length % BLOCK_LENGTH] = *octet;
        length += 1;
        if length % BLOCK_LENGTH == 0 {
            compress(&mut state, &block);
        }
    }
    let used = length % BLOCK_LENGTH;
    block[used..].fill(0);
    block[used] = 0x80;
    if used >= BLOCK_LENGTH - 8 {
        compress(&mut state, &block);
        block.fill(0);
    }
    let bits = ((before + length) as u64) * 8;
    block[BLOCK_LENGTH - 8..].copy_from_slice(&bits.to_be_bytes());
    compress(&mut state, &block);
    state
}

/// The state of SHA-256 before the first block (FIPS 180-4, section 5.3.3).
pub const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The constants of the rounds (FIPS 180-4, section 4.2.2).
#[rustfmt::skip]
pub const ROUNDS: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// Takes one block into the state (FIPS 180-4, section 6.2.2).
pub fn compress(state: &mut State, block: &[u8; BLOCK_LENGTH]) {
    let mut schedule = [0; 16];
    for (word, octets) in schedule.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*octets);
    }
    compress_words(state, &mut schedule);
}

/// The same for a block that is there as words; they are used up.
#[inline(always)]
pub fn compress_words(state: &mut State, schedule: &mut [u32; 16]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    let mut round = 0;
    while round < 64 {
        let at = round & 15;
        if round >= 16 {
            let (near, far) = (schedule[(at + 14) & 15], schedule[(at + 1) & 15]);
            let near = near.rotate_right(17) ^ near.rotate_right(19) ^ (near >> 10);
            let far = far.rotate_right(7) ^ far.rotate_right(18) ^ (far >> 3);
            schedule[at] = schedule[at]
                .wrapping_add(far)
                .wrapping_add(schedule[(at + 9) & 15])
                .wrapping_add(near);
        }
        let sum = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = g ^ (e & (f ^ g));
        let first = h
            .wrapping_add(sum)
            .wrapping_add(choice)
            .wrapping_add(ROUNDS[round])
            .wrapping_add(schedule[at]);
        let sum = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let majority = (a & b) | (c & (a | b));
        let second = sum.wrapping_add(majority);
        (h, g, f, e) = (g, f, e, d.wrapping_add(first));
        (d, c, b, a) = (c, b, a, first.wrapping_add(second));
        round += 1;
    }
    for (word, change) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test cases 1 to 4, 6 and 7 of RFC 4231, truncated.
    #[test]
    fn rfc4231_vectors() {
        let long = [0xaa; 131];
        let counting: [u8; 25] = core::array::from_fn(|i| i as u8 + 1);
        let cases: [(&[u8], &[u8], u128); 6] = [
            (&[0x0b; 20], b"Hi There", 0xb034_4c61_d8db_3853_5ca8_afce_af0b_f12b),
            (b"Jefe", b"what do ya want for nothing?", 0x5bdc_c146_bf60_754e_6a04_2426_0895_75c7),
            (&[0xaa; 20], &[0xdd; 50], 0x773e_a91e_3680_0e46_854d_b8eb_d091_81a7),
            (&counting, &[0xcd; 50], 0x8255_8a38_9a44_3c0e_a4cc_8198_99f2_083a),
            (
                &long,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                0x60e4_3159_1ee0_b67f_0d8a_26aa_cbf5_b77f,
            ),
            (
                &long,
                b"This is a test using a larger than block-size key and a larger than block-size \
                  data. The key needs to be hashed before being used by the HMAC algorithm.",
                0x9b09_ffa7_1b94_2fcb_2763_5fbc_d5b0_e944,
            ),
        ];
        for (secret, data, expected) in cases {
            let (head, tail) = data.split_at(data.len() / 2);
            assert_eq!(u128::from_be_bytes(Key::new(secret).tag(&[head, tail])), expected);
        }
    }

    #[test]
    fn a_key_does_not_show_itself() {
        assert_eq!(format!("{:?}", Key::new(b"secret")), "Key(..)");
    }
}
