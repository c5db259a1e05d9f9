//! Which addresses are this host's, and when to look for them again.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use probe_ebpf::frame::Address;
use rtnetlink::{
    constants::{RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR},
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};

/// All addresses of all interfaces in this network namespace.
///
/// # Errors
/// Those of `getifaddrs(3)`.
pub fn local() -> io::Result<BTreeSet<Address>> {
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: the call fills in the pointer, and the list is freed below, once.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut addresses = BTreeSet::new();
    let mut next = first;
    // SAFETY: the list ends with a null pointer; its elements are valid until it is freed.
    while let Some(entry) = unsafe { next.as_ref() } {
        // SAFETY: as above; the address is null or valid.
        addresses.extend(unsafe { address(entry.ifa_addr) }.map(Address::from));
        next = entry.ifa_next;
    }
    // SAFETY: `first` comes from getifaddrs, and nothing points into the list any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(addresses)
}

/// The IP address in a socket address, if it has one.
///
/// # Safety
/// `address` is null, or points to a socket address as long as its family asks for.
unsafe fn address(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: the caller's promise.
    unsafe {
        match i32::from(address.as_ref()?.sa_family) {
            libc::AF_INET => {
                let address = &*address.cast::<libc::sockaddr_in>();
                Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into())
            }
            libc::AF_INET6 => {
                let address = &*address.cast::<libc::sockaddr_in6>();
                Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

/// What the kernel tells of addresses that come and go in this network namespace.
pub struct Changes(Socket);

impl Changes {
    /// Is told of them from now on.
    ///
    /// # Errors
    /// Where the kernel has no such socket (rtnetlink(7)), or there is no descriptor left.
    pub fn watch() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))?;
        Ok(Self(socket))
    }

    /// Whether there may have been any since the last call.
    pub fn any(&self) -> bool {
        let mut any = false;
        loop {
            // That there is a message is all that counts; the rest of it is thrown away.
            let mut message = [0; 1];
            match self.0.recv(&mut &mut message[..], libc::MSG_DONTWAIT) {
                Ok(_) => any = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return any,
                // Most likely there were more than the socket has room for (ENOBUFS).
                Err(_) => return true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_ours() {
        let addresses = local().unwrap();
        assert!(addresses.contains(&Address::v4([127, 0, 0, 1])), "{addresses:?}");
    }
}
