//! One UDP port for each flow of a path. All paths share them: what tells two paths apart is where
//! their packets go.

use std::{
    io,
    mem::zeroed,
    net::{Ipv4Addr, Ipv6Addr},
    os::fd::AsRawFd as _,
};

use socket2::{SockAddr, Socket};

use super::Target;
use crate::datapath::{
    transmit::Transmitter,
    udp::{self, Fragments},
};

/// The ports are looked for from here on, in blocks: the same ones after every restart, so that flows
/// keep their way through the fabric.
const FIRST_PORT: u16 = 49_862;

/// How many blocks are tried.
const BLOCKS: u16 = 64;

/// Most packets that one system call takes.
const BATCH: usize = 64;

/// Who numbers, stamps and signs packets where no TC program does it as they leave.
pub trait Numbering: Send {
    /// Makes a test packet out of a target's template. Returns false where there is no such session: then
    /// it is not sent.
    fn number(&mut self, target: &Target, payload: &mut [u8]) -> bool;

    /// Says whether the packet that was numbered last has left.
    fn settle(&mut self, target: &Target, has_left: bool);
}

/// The sockets of all flows.
pub struct Sockets {
    first_port: u16,
    flows: Vec<Pair>,
    /// `None` where the kernel numbers.
    numbering: Option<Box<dyn Numbering>>,
    /// What sends most probes in place of the sockets, if there is such a thing.
    transmitter: Option<Transmitter>,
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
                    let mut sockets =
                        Self { first_port, flows, numbering: None, transmitter: None };
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
    pub fn set_dscp(&mut self, dscp: u8) -> io::Result<()> {
        if let Some(transmitter) = &mut self.transmitter {
            transmitter.forget();
        }
        let traffic_class = u32::from(dscp) << 2;
        for pair in &self.flows {
            pair.v4.as_ref().map_or(Ok(()), |socket| socket.set_tos_v4(traffic_class))?;
            pair.v6.as_ref().map_or(Ok(()), |socket| socket.set_tclass_v6(traffic_class))?;
        }
        Ok(())
    }

    /// Has packets numbered before they leave, not as they do. Then they may be long, and arrive in pieces.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_numbering(&mut self, numbering: Box<dyn Numbering>) -> io::Result<()> {
        self.numbering = Some(numbering);
        let mut v4 = self.flows.iter().filter_map(|pair| pair.v4.as_ref());
        v4.try_for_each(|socket| udp::set_fragments(socket, Fragments::Allowed))
    }

    /// Has probes sent past the network stack where that can be done.
    pub fn set_transmitter(&mut self, transmitter: Option<Transmitter>) {
        self.transmitter = transmitter;
    }

    /// The same sockets once more, to receive from, and the port of each.
    ///
    /// # Errors
    /// Where the process has no descriptors left.
    pub fn receivers(&self) -> io::Result<Vec<(u16, Socket)>> {
        let sockets = |(port, pair): (u16, &Pair)| {
            let both = [&pair.v4, &pair.v6].into_iter().flatten();
            both.map(|socket| Ok((port, socket.try_clone()?))).collect::<Vec<_>>()
        };
        (self.first_port..).zip(&self.flows).flat_map(sockets).collect()
    }

    /// Sends one probe to each target, and tells of each when it has been tried. What cannot be sent
    /// (no route, interface down, no room in the queue) is left out: it gets no number, and that is
    /// where it shows.
    ///
    /// # Panics
    /// Where there is no such flow.
    pub fn send(&mut self, targets: &[&Target], mut attempted: impl FnMut(u16)) {
        let Self { flows, numbering, transmitter, .. } = self;
        let rest = transmitter.as_mut().map(|all| all.send(targets, &mut attempted));
        let targets = rest.as_deref().unwrap_or(targets);
        let mut batches: Vec<[Batch<'_>; 2]> = flows.iter().map(|_| Default::default()).collect();
        for target in targets {
            let (flow, is_v6) = (usize::from(target.flow), target.reflector.is_ipv6());
            let socket = flows[flow].socket(is_v6);
            if let Some(numbering) = numbering {
                send_numbered(socket, target, numbering.as_mut());
                attempted(target.ssid);
                continue;
            }
            let batch = &mut batches[flow][usize::from(is_v6)];
            batch.push(target);
            if batch.targets.len() == BATCH {
                batch.send(socket, &mut attempted);
            }
        }
        for (pair, [v4, v6]) in flows.iter().zip(&mut batches) {
            v4.send(pair.socket(false), &mut attempted);
            v6.send(pair.socket(true), &mut attempted);
        }
    }
}

/// Numbers one packet and sends it. Not in a batch: the others' numbering and sending would count as part
/// of its round trip.
fn send_numbered(socket: Option<&Socket>, target: &Target, numbering: &mut dyn Numbering) {
    let Some(socket) = socket else { return };
    let mut payload = target.template.to_vec();
    let destination = target.reflector.into();
    if numbering.number(target, &mut payload) {
        let sent = socket.send_to(&payload, &destination);
        numbering.settle(target, sent.is_ok());
    }
}

impl Pair {
    const fn socket(&self, is_v6: bool) -> Option<&Socket> {
        if is_v6 { self.v6.as_ref() } else { self.v4.as_ref() }
    }

    fn open(port: u16) -> io::Result<Self> {
        let v4 = udp::open((Ipv4Addr::UNSPECIFIED, port).into())?;
        let v6 = udp::open((Ipv6Addr::UNSPECIFIED, port).into())?;
        // Nothing is ever read from them, as long as replies end in the XDP program.
        for socket in v4.iter().chain(&v6) {
            socket.set_recv_buffer_size(0)?;
        }
        // What is not in one piece is no test packet to the programs.
        v4.as_ref().map_or(Ok(()), |socket| udp::set_fragments(socket, Fragments::Never))?;
        if v4.is_none() && v6.is_none() {
            return Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
        }
        Ok(Self { v4, v6 })
    }
}

/// A mark as ancillary data of a message (`cmsg(3)`).
#[repr(C, align(8))]
struct Mark {
    header: libc::cmsghdr,
    mark: u32,
}

impl Mark {
    const fn new(mark: u32) -> Self {
        let header = libc::cmsghdr {
            cmsg_len: (size_of::<libc::cmsghdr>() + size_of::<u32>()) as _,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SO_MARK,
        };
        Self { header, mark }
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
        let mut marks: Vec<Mark> =
            self.targets.iter().map(|target| Mark::new(target.mark)).collect();
        let mut messages: Vec<libc::mmsghdr> = self
            .addresses
            .iter()
            .zip(&mut parts)
            .zip(&mut marks)
            .map(|((address, part), mark)| {
                // SAFETY: all zeros is an empty header.
                let mut message: libc::mmsghdr = unsafe { zeroed() };
                message.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
                message.msg_hdr.msg_namelen = address.len();
                message.msg_hdr.msg_iov = part;
                message.msg_hdr.msg_iovlen = 1;
                if mark.mark != 0 {
                    message.msg_hdr.msg_control = (&raw mut *mark).cast();
                    message.msg_hdr.msg_controllen = size_of::<Mark>() as _;
                }
                message
            })
            .collect();
        let mut rest = messages.as_mut_slice();
        while let (Some(socket), false) = (socket, rest.is_empty()) {
            // SAFETY: `rest` is a slice of headers whose pointers lead into `self`, `parts` and `marks`,
            // which outlive the call.
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Numbering for Nobody {
        fn number(&mut self, _: &Target, _: &mut [u8]) -> bool {
            false
        }

        fn settle(&mut self, _: &Target, _: bool) {}
    }

    /// Whether the IPv4 sockets let long datagrams be cut up.
    fn are_cut_up(sockets: &Sockets) -> Vec<bool> {
        let v4 = sockets.flows.iter().filter_map(|pair| pair.v4.as_ref());
        v4.map(|socket| udp::fragments(socket).unwrap() == Fragments::Allowed).collect()
    }

    #[test]
    fn only_what_the_kernel_numbers_is_never_cut_up() {
        let mut sockets = Sockets::open(2, 0, 862).unwrap();
        assert_eq!(are_cut_up(&sockets), [false, false]);
        sockets.set_numbering(Box::new(Nobody)).unwrap();
        assert_eq!(are_cut_up(&sockets), [true, true]);
    }
}
