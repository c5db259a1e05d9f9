//! Two machines and one cable: nothing is between them that could cost, lose or delay anything.

use std::{fmt::Write as _, net::Ipv4Addr, path::Path, sync::Arc};

use anyhow::{Result, ensure};

use crate::{machine::Machine, registry::Entry, site::INTERFACE};

/// Two machines joined by a cable between their interfaces `wan0`: 10.90.0.1/30 here, 10.90.0.2/30 there. The one
/// there has as many more addresses as are asked for, all reached by the same neighbour. Its drop takes all of it
/// away.
#[derive(Debug)]
pub struct Pair {
    near: Machine,
    far: Machine,
    entry: Arc<Entry>,
}

impl Pair {
    /// Most addresses of the far machine.
    pub const MOST: usize = 60_000;

    /// Builds it, with some more addresses for the far machine.
    ///
    /// # Errors
    /// Where this is not root, there are more than [`Pair::MOST`] addresses, or the system refuses; nothing is left
    /// behind.
    pub fn build(addresses: usize) -> Result<Self> {
        ensure!(addresses <= Self::MOST, "{addresses} addresses are too many");
        let entry = Entry::open(false)?;
        let (near, far) = (Machine::create(&entry, "near")?, Machine::create(&entry, "far")?);
        let there = far.namespace().name();
        near.ip(&format!(
            "link add {INTERFACE} type veth peer name {INTERFACE} netns {there}\n\
             addr add {}/30 dev {INTERFACE}\n\
             link set {INTERFACE} up\n",
            Self::NEAR
        ))?;
        let mut commands =
            format!("addr add {}/30 dev {INTERFACE}\nlink set {INTERFACE} up\n", Self::FAR);
        for index in 0..addresses {
            // Writing to a String cannot fail.
            let _ = writeln!(commands, "addr add {}/32 dev lo", Self::address(index));
        }
        far.ip(&commands)?;
        near.ip(&format!("route add 10.91.0.0/16 via {}\n", Self::FAR))?;
        Ok(Self { near, far, entry })
    }

    /// The near machine's address.
    pub const NEAR: Ipv4Addr = Ipv4Addr::new(10, 90, 0, 1);

    /// The far machine's address on the cable.
    pub const FAR: Ipv4Addr = Ipv4Addr::new(10, 90, 0, 2);

    /// One of the far machine's other addresses, counted from 0: 10.91.0.1 to 10.91.0.250, 10.91.1.1 and so on.
    #[must_use]
    pub const fn address(index: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 91, (index / 250) as u8, (index % 250 + 1) as u8)
    }

    /// The near machine.
    #[must_use]
    pub const fn near(&self) -> &Machine {
        &self.near
    }

    /// The far machine.
    #[must_use]
    pub const fn far(&self) -> &Machine {
        &self.far
    }

    /// The directory of its files: configs and logs.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.entry.directory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_valid_and_different() {
        assert_eq!(Pair::address(0), Ipv4Addr::new(10, 91, 0, 1));
        assert_eq!(Pair::address(250), Ipv4Addr::new(10, 91, 1, 1));
        assert_eq!(Pair::address(Pair::MOST - 1), Ipv4Addr::new(10, 91, 239, 250));
    }
}
