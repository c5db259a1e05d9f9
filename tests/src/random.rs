//! Numbers that look random, and are the same in every run.

/// Xorshift (Marsaglia, 2003).
pub struct Random(u64);

impl Random {
    /// A sequence that a seed stands for; it must not be 0.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below a bound, which must not be 0.
    pub const fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Any octet.
    pub const fn octet(&mut self) -> u8 {
        (self.next() >> 32) as u8
    }
}
