//! Prefixes of addresses, of both versions of IP.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use probe_ebpf::frame::Address;

/// Bits before the IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED: u32 = 96;

/// A prefix: `192.0.2.0/24`, `2001:db8::/32`, or an address alone, which is a prefix of all its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What stands before the slash.
    #[error("`{0}` is not an IP address")]
    Address(String),
    /// What stands behind it.
    #[error("`/{0}` is not a prefix length: 0 to {1} are")]
    Length(String, u8),
    /// There are bits behind the prefix, so it may be a mistake.
    #[error("`{0}` has bits set behind its prefix: did you mean `{1}`?")]
    HostBits(String, Prefix),
}

impl Prefix {
    /// All IPv4 addresses.
    pub const ALL_IPV4: Self = Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 };

    /// All IPv6 addresses.
    pub const ALL_IPV6: Self = Self { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), length: 0 };

    /// The prefix as the kernel's trie has it: how many bits of an address count.
    #[must_use]
    pub fn bits(&self) -> (u32, Address) {
        let mapped = if self.address.is_ipv4() { MAPPED } else { 0 };
        (mapped + u32::from(self.length), Address::from(self.address))
    }

    /// The first of its addresses.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits all its addresses have in common.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether it is one of IPv4.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// The prefix of so many bits that an address begins with. Beyond those that an address has, all its bits count.
    #[must_use]
    pub fn of(address: IpAddr, length: u8) -> Self {
        let length = length.min(if address.is_ipv4() { 32 } else { 128 });
        Self { address: masked(address, length), length }
    }

    /// Whether an address begins with the prefix. IPv4 and IPv6 have none in common.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && masked(address, self.length) == self.address
    }
}

/// The address with zeros behind its first bits.
fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

/// An address alone.
impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Self {
        Self::of(address, u8::MAX)
    }
}

impl FromStr for Prefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (address, length) =
            text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| Error::Address(address.to_owned()))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => longest,
            Some(length) => length
                .parse()
                .ok()
                .filter(|bits| *bits <= longest && length.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| Error::Length(length.to_owned(), longest))?,
        };
        let prefix = Self { address: masked(address, length), length };
        if prefix.address != address {
            return Err(Error::HostBits(text.to_owned(), prefix));
        }
        Ok(prefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_contain_what_begins_with_them() {
        for (text, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
        ] {
            let prefix = prefix(text);
            assert!(prefix.contains(inside.parse().unwrap()), "{inside} in {text}");
            assert!(!prefix.contains(outside.parse().unwrap()), "{outside} not in {text}");
        }
    }

    #[test]
    fn the_kernel_sees_mapped_addresses() {
        let (bits, address) = prefix("192.0.2.0/24").bits();
        assert_eq!((bits, address), (120, Address::v4([192, 0, 2, 0])));
        assert_eq!(prefix("2001:db8::/32").bits().0, 32);
    }

    #[test]
    fn what_is_no_prefix_is_told() {
        for (text, told) in [
            ("nonsense/8", "`nonsense` is not an IP address"),
            ("192.0.2.0/33", "`/33` is not a prefix length: 0 to 32 are"),
            ("2001:db8::/+8", "`/+8` is not a prefix length: 0 to 128 are"),
            ("192.0.2.0/", "`/` is not a prefix length: 0 to 32 are"),
            (
                "192.0.2.1/24",
                "`192.0.2.1/24` has bits set behind its prefix: did you mean `192.0.2.0/24`?",
            ),
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap_err().to_string(), told);
        }
    }
}
