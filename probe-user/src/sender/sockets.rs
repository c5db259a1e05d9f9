//! One UDP port for each flow of a path. All paths share them: what tells two paths apart is where
//! their packets go.

use std::{
    io,
    mem::zeroed,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd as _,
};

use probe_ebpf::stamp::TTL;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::Target;

/// The ports are looked for from here on, in blocks: the same ones after every restart, so that flows
/// keep their way through the fabric.
const FIRST_PORT: u16 = 49_862;

/// How many blocks are tried.
const BLOCKS: u16 = 64;

/// Most packets that one system call takes.
const BATCH: usize = 64;

/// The sockets of all flows.
pub struct Sockets {
    first_port: u16,
    flows: Vec<Pair>,
}

struct Pair {
    v4: Option<Socket>,
    v6: Option<Socket>,
}

impl Sockets {
    /// Opens sockets on `flows` ports in a row, for IPv4 and IPv6 as far as the host has them. The
    /// reflector's port is none of them.
    ///
    /// # Errors
    /// Where no such ports are free, or sockets may not be set up as STAMP wants them.
    pub fn open(flows: u16, dscp: u8, reflector_port: u16) -> io::Result<Self> {
        let mut error = io::Error::from(io::ErrorKind::AddrInUse);
        for block in 0..BLOCKS {
            let first_port = FIRST_PORT + block * flows;
            if (first_port..first_port + flows).contains(&reflector_port) {
                continue;
            }
            match (0..flows).map(|flow| Pair::open(first_port + flow)).collect() {
                Ok(flows) => {
                    let sockets = Self { first_port, flows };
                    sockets.set_dscp(dscp)?;
                    return Ok(sockets);
                }
                Err(in_use) => error = in_use,
            }
            if error.kind() != io::ErrorKind::AddrInUse {
                break;
            }
        }
        Err(error)
    }

    /// The first of the ports; the others follow it.
    #[must_use]
    pub const fn first_port(&self) -> u16 {
        self.first_port
    }

    /// Marks probes with this DSCP (RFC 2474).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_dscp(&self, dscp: u8) -> io::Result<()> {
        let traffic_class = u32::from(dscp) << 2;
        for pair in &self.flows {
            pair.v4.as_ref().map_or(Ok(()), |socket| socket.set_tos_v4(traffic_class))?;
            pair.v6.as_ref().map_or(Ok(()), |socket| socket.set_tclass_v6(traffic_class))?;
        }
        Ok(())
    }

    /// Sends one probe to each target, and tells of each when it has been tried. What cannot be sent
    /// (no route, interface down, no room in the queue) is left out: the kernel does not number it,
    /// and that is where it shows.
    pub(super) fn send(&self, targets: &[Target], mut attempted: impl FnMut(u16)) {
        for (flow, pair) in self.flows.iter().enumerate() {
            for (socket, v4) in [(&pair.v4, true), (&pair.v6, false)] {
                let mut batch = Batch::default();
                let mine = |target: &&Target| {
                    usize::from(target.flow) == flow && target.reflector.is_ipv4() == v4
                };
                for target in targets.iter().filter(mine) {
                    batch.push(target);
                    if batch.targets.len() == BATCH {
                        batch.send(socket.as_ref(), &mut attempted);
                    }
                }
                batch.send(socket.as_ref(), &mut attempted);
            }
        }
    }
}

impl Pair {
    fn open(port: u16) -> io::Result<Self> {
        let v4 = open(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into())?;
        let v6 = open(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into())?;
        if v4.is_none() && v6.is_none() {
            return Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
        }
        Ok(Self { v4, v6 })
    }
}

/// A socket that is set up for STAMP; `None` where the host lacks this version of IP.
fn open(domain: Domain, address: SocketAddr) -> io::Result<Option<Socket>> {
    let socket = match Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)) {
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => return Ok(None),
        socket => socket?,
    };
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(u32::from(TTL))?;
    } else {
        socket.set_ttl_v4(u32::from(TTL))?;
    }
    socket.set_nonblocking(true)?;
    // Nothing is ever read from it: replies end in the XDP program.
    socket.set_recv_buffer_size(0)?;
    match socket.bind(&address.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Ok(None),
        bound => bound.map(|()| Some(socket)),
    }
}

/// Packets for one `sendmmsg`.
#[derive(Default)]
struct Batch<'a> {
    targets: Vec<&'a Target>,
    addresses: Vec<SockAddr>,
}

impl<'a> Batch<'a> {
    fn push(&mut self, target: &'a Target) {
        self.targets.push(target);
        self.addresses.push(target.reflector.into());
    }

    /// Sends what there is, and empties the batch.
    fn send(&mut self, socket: Option<&Socket>, attempted: &mut impl FnMut(u16)) {
        if self.targets.is_empty() {
            return;
        }
        let mut parts: Vec<libc::iovec> = self
            .targets
            .iter()
            .map(|target| libc::iovec {
                // The kernel only reads what it is to send.
                iov_base: target.template.as_ptr().cast_mut().cast(),
                iov_len: target.template.len(),
            })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = self
            .addresses
            .iter()
            .zip(&mut parts)
            .map(|(address, part)| {
                // SAFETY: all zeros is an empty header.
                let mut message: libc::mmsghdr = unsafe { zeroed() };
                message.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
                message.msg_hdr.msg_namelen = address.len();
                message.msg_hdr.msg_iov = part;
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        let mut rest = messages.as_mut_slice();
        while let (Some(socket), false) = (socket, rest.is_empty()) {
            // SAFETY: `rest` is a slice of headers whose pointers lead into `self` and `parts`, which
            // outlive the call.
            let sent = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0)
            };
            // An error is that of the first packet; leave it out and go on with the others.
            let done = usize::try_from(sent).unwrap_or(0).max(1);
            rest = &mut rest[done..];
        }
        drop(messages);
        self.targets.drain(..).for_each(|target| attempted(target.ssid));
        self.addresses.clear();
    }
}
