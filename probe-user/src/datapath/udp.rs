//! Datagrams with all that their IP headers say.
//!
//! - `inbox`: sockets that receive.
//! - `control`: what goes beside the payload.

mod control;
pub(super) mod inbox;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
};

use probe_ebpf::{frame::Address, stamp::TTL};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use control::Control;

use super::Error;

/// The sockets at the Session-Reflector's port, for IPv4 and IPv6 as far as the host has them.
pub(super) struct Ports {
    v4: Option<Socket>,
    v6: Option<Socket>,
}

/// A datagram that is to leave.
pub(super) struct Departure<'a> {
    pub(super) payload: &'a [u8],
    /// Where to.
    pub(super) destination: SocketAddr,
    /// The address of ours that it comes from.
    pub(super) source: Address,
    /// DSCP and ECN.
    pub(super) traffic_class: u8,
}

impl Ports {
    /// Binds them, on all addresses of the host. They only send: what arrives is thrown away.
    ///
    /// # Errors
    /// Those of [`bind`].
    pub(super) fn open(port: u16) -> Result<Self, Error> {
        let mut ports = Self { v4: None, v6: None };
        for socket in bind(port)? {
            let refused = |source| Error::Bind { port, source };
            socket.set_recv_buffer_size(0).map_err(refused)?;
            let is_ipv4 = socket.domain().map_err(refused)? == Domain::IPV4;
            *(if is_ipv4 { &mut ports.v4 } else { &mut ports.v6 }) = Some(socket);
        }
        Ok(ports)
    }

    /// Sends a datagram, with the TTL or Hop Limit of test packets.
    ///
    /// # Errors
    /// Those of `sendmsg(2)`. Where there is no room for it at once, it is not sent.
    pub(super) fn send(&self, departure: &Departure<'_>) -> io::Result<()> {
        let socket = if departure.destination.is_ipv4() { &self.v4 } else { &self.v6 };
        let socket = socket.as_ref().ok_or(io::ErrorKind::AddrNotAvailable)?;
        send(socket.as_fd(), departure)
    }
}

/// An address and a port in the form that sockets take. The interface counts for link-local addresses.
pub(super) fn endpoint(address: Address, port: u16, interface: u32) -> SocketAddr {
    match ip(address) {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => {
            SocketAddrV6::new(ip, port, 0, interface).into()
        }
        ip => SocketAddr::new(ip, port),
    }
}

fn ip(address: Address) -> IpAddr {
    Ipv6Addr::from(address.octets()).to_canonical()
}

/// Sockets at a port of all addresses of the host, for IPv4 and IPv6 as far as it has them.
///
/// # Errors
/// Where the port is taken or not to be had without privileges, or the host has no IP at all.
pub(super) fn bind(port: u16) -> Result<Vec<Socket>, Error> {
    let both = || -> io::Result<Vec<Socket>> {
        let v4 = open((Ipv4Addr::UNSPECIFIED, port).into())?;
        let v6 = open((Ipv6Addr::UNSPECIFIED, port).into())?;
        let sockets: Vec<Socket> = v4.into_iter().chain(v6).collect();
        if sockets.is_empty() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        Ok(sockets)
    };
    both().map_err(|source| Error::Bind { port, source })
}

/// A socket that sends as STAMP wants it, bound to an address; `None` where the host lacks this version of
/// IP. It never waits.
///
/// # Errors
/// Those of `setsockopt(2)` and `bind(2)`.
pub(crate) fn open(address: SocketAddr) -> io::Result<Option<Socket>> {
    let domain = Domain::for_address(address);
    let socket = match Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)) {
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => return Ok(None),
        socket => socket?,
    };
    // RFC 8762, section 4.2.1.
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(u32::from(TTL))?;
    } else {
        socket.set_ttl_v4(u32::from(TTL))?;
    }
    socket.set_nonblocking(true)?;
    match socket.bind(&address.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Ok(None),
        bound => bound.map(|()| Some(socket)),
    }
}

/// What is done with datagrams that are longer than what the way takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fragments {
    /// They are sent in pieces.
    Allowed,
    /// They are not sent, or lost on the way. What is sent needs no Identification (RFC 6864, section 4.1), and the kernel
    /// no random number for it.
    Never,
}

/// Says what a socket of IPv4 does with long datagrams.
///
/// # Errors
/// Those of `setsockopt(2)`.
pub(crate) fn set_fragments(socket: &Socket, fragments: Fragments) -> io::Result<()> {
    let discovery: libc::c_int = match fragments {
        Fragments::Allowed => libc::IP_PMTUDISC_WANT,
        // Not by what routers say of the way: that can be forged.
        Fragments::Never => libc::IP_PMTUDISC_PROBE,
    };
    // SAFETY: the pointer leads to an integer that outlives the call, of the length beside it.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            (&raw const discovery).cast(),
            size_of_val(&discovery) as libc::socklen_t,
        )
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What was said of it.
///
/// # Errors
/// Those of `getsockopt(2)`.
#[cfg(test)]
pub(crate) fn fragments(socket: &Socket) -> io::Result<Fragments> {
    let (mut discovery, mut length) = (0, size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: the pointers lead to integers that outlive the call, the first one of the length in the second.
    let got = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            (&raw mut discovery).cast(),
            &raw mut length,
        )
    };
    let is_never = discovery == libc::IP_PMTUDISC_PROBE;
    match got {
        0 => Ok(if is_never { Fragments::Never } else { Fragments::Allowed }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends a datagram from a socket of the same version of IP.
///
/// # Errors
/// Those of `sendmsg(2)`. Where there is no room for it at once, it is not sent.
pub(super) fn send(socket: BorrowedFd<'_>, departure: &Departure<'_>) -> io::Result<()> {
    let mut control = Control::new();
    match ip(departure.source) {
        IpAddr::V4(source) => {
            let source = libc::in_addr { s_addr: source.to_bits().to_be() };
            let any = libc::in_addr { s_addr: 0 };
            // Interface 0: the routes decide by which one it leaves.
            let from = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: any };
            control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, from);
            control.push(libc::IPPROTO_IP, libc::IP_TOS, i32::from(departure.traffic_class));
        }
        IpAddr::V6(source) => {
            let source = libc::in6_addr { s6_addr: source.octets() };
            let from = libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: 0 };
            let class = i32::from(departure.traffic_class);
            control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, from);
            control.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, class);
        }
    }
    let destination = SockAddr::from(departure.destination);
    let mut part = libc::iovec {
        // The kernel only reads what it is to send.
        iov_base: departure.payload.as_ptr().cast_mut().cast(),
        iov_len: departure.payload.len(),
    };
    // SAFETY: all zeros is an empty header.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = destination.as_ptr().cast_mut().cast();
    message.msg_namelen = destination.len();
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    control.lend(&mut message, false);
    // SAFETY: the pointers of the header lead to what outlives the call, of the lengths beside them.
    match unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) } {
        sent if sent < 0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
