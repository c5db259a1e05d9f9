//! What the lab and its impairment program agree on. Compiled into both.
//!
//! A rule is one 64-bit word: the kernel copies it whole, so a packet meets the old rule or the new
//! one, never half of each. From the least significant bit: share (32), port (16), mode (16).

/// Sites are numbered from 1 up to, not including, this.
pub(crate) const SITES: u32 = 64;
/// One rule and one tally for each ordered pair of sites.
pub(crate) const PAIRS: u32 = SITES * SITES;

/// Lets all packets pass.
pub(crate) const MODE_NONE: u16 = 0;
/// Drops a packet with a probability of share / 2^32.
pub(crate) const MODE_RANDOM: u16 = 1;
/// Drops packet n, counted from 0, if floor((n + 1) * share / 2^32) > floor(n * share / 2^32).
pub(crate) const MODE_EVERY: u16 = 2;
/// Drops all.
pub(crate) const MODE_BLACKHOLE: u16 = 3;
/// Drops whole runs of four packets of the pair, each run with a probability of share / 2^32.
pub(crate) const MODE_BURSTS: u16 = 4;

/// Bit of the UDP port to which the rule is restricted; 0 stands for all packets.
pub(crate) const PORT_SHIFT: u32 = 32;
/// Bit of the mode.
pub(crate) const MODE_SHIFT: u32 = 48;

/// What became of the packets of one ordered pair of sites.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Packets that came by.
    pub(crate) seen: u64,
    /// Those that the rule was about: all, or those of its port.
    pub(crate) matched: u64,
    /// Those that it dropped.
    pub(crate) dropped: u64,
    /// The n of [`MODE_EVERY`]; the lab starts it at 0 with each new rule.
    pub(crate) position: u64,
}

/// Index of an ordered pair of sites.
#[inline(always)]
pub(crate) const fn pair(from: u32, to: u32) -> u32 {
    from * SITES + to
}

/// The site that an IPv4 address belongs to: S of 10.77.S.x.
#[inline(always)]
pub(crate) fn site_of_ipv4([a, b, site, _]: [u8; 4]) -> Option<u32> {
    let site = u32::from(site);
    (a == 10 && b == 77 && site > 0 && site < SITES).then_some(site)
}

/// The site that an IPv6 address belongs to: S of fd77:0:0:S::/64.
#[inline(always)]
pub(crate) fn site_of_ipv6(address: [u8; 16]) -> Option<u32> {
    let [0xfd, 0x77, 0, 0, 0, 0, 0, site, ..] = address else { return None };
    let site = u32::from(site);
    (site > 0 && site < SITES).then_some(site)
}
