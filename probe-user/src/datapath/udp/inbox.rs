//! Sockets that receive: each datagram with when and how it came.

use std::{
    ffi::c_int,
    io,
    mem::{size_of_val, zeroed},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
};

use probe_ebpf::{
    frame::Address,
    ntp::{Format, NANOS_PER_SECOND},
};
use socket2::Socket;

use super::control::Control;
use crate::{
    datapath::clock,
    verdict::{MILLISECOND, Nanos},
};

/// Most datagrams that one system call takes.
const BATCH: usize = 32;

/// Octets of datagrams that wait to be read. The system may allow less.
const BUFFER: usize = 1 << 20;

/// A datagram is stamped a little before it can be read.
const SLACK: Nanos = 10 * MILLISECOND;

/// A socket, and until when nothing has been waiting in it.
pub(in crate::datapath) struct Inbox {
    socket: Socket,
    empty_at: Nanos,
}

/// Room for datagrams.
pub(in crate::datapath) struct Batch {
    /// Octets for each of them.
    size: usize,
    octets: Vec<u8>,
    letters: Vec<Letter>,
}

/// What comes with the octets.
struct Letter {
    source: libc::sockaddr_storage,
    control: Control,
    /// Octets of the datagram, of which more may have come than there is room for.
    length: usize,
    at: Nanos,
}

/// A datagram that was received.
pub(in crate::datapath) struct Received<'a> {
    /// The payload, as far as there was room.
    pub(in crate::datapath) payload: &'a [u8],
    /// Octets of the payload.
    pub(in crate::datapath) length: usize,
    pub(in crate::datapath) source: SocketAddr,
    /// When it came, `CLOCK_MONOTONIC` in nanoseconds.
    pub(in crate::datapath) at: Nanos,
    /// What its IP header said; only of sockets that were opened with [`Inbox::with_headers`].
    pub(in crate::datapath) header: Header,
}

/// What an IP header said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::datapath) struct Header {
    /// The address of ours that the datagram was sent to; `None` if that was one of many hosts.
    pub(in crate::datapath) destination: Option<Address>,
    /// TTL or Hop Limit.
    pub(in crate::datapath) ttl: u8,
    /// DSCP and ECN.
    pub(in crate::datapath) traffic_class: u8,
}

impl Inbox {
    /// Lets a socket tell when its datagrams came.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub(in crate::datapath) fn new(socket: Socket) -> io::Result<Self> {
        socket.set_recv_buffer_size(BUFFER)?;
        set(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)?;
        Ok(Self { socket, empty_at: clock::monotonic() })
    }

    /// The same, and what their IP headers said.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub(in crate::datapath) fn with_headers(socket: Socket) -> io::Result<Self> {
        let (level, options) = if socket.local_addr()?.is_ipv4() {
            (libc::IPPROTO_IP, [libc::IP_PKTINFO, libc::IP_RECVTTL, libc::IP_RECVTOS])
        } else {
            let options = [libc::IPV6_RECVPKTINFO, libc::IPV6_RECVHOPLIMIT, libc::IPV6_RECVTCLASS];
            (libc::IPPROTO_IPV6, options)
        };
        for option in options {
            set(&socket, level, option)?;
        }
        Self::new(socket)
    }

    /// Receives what is there, as far as there is room, and says how many. What cannot be received is
    /// nothing: the next call will tell more.
    pub(in crate::datapath) fn receive(&mut self, batch: &mut Batch) -> usize {
        let before = clock::monotonic();
        let count = batch.receive(&self.socket).unwrap_or(0);
        if count > 0 {
            let offset = clock::offset(Format::Ntp);
            let now = clock::monotonic();
            for letter in &mut batch.letters[..count] {
                letter.at = arrival(letter.stamp(), offset, self.empty_at, now);
            }
        }
        if count < BATCH {
            self.empty_at = before;
        }
        count
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Switches an option on.
fn set(socket: &Socket, level: c_int, option: c_int) -> io::Result<()> {
    let on: c_int = 1;
    // SAFETY: the pointer leads to as many octets as is said.
    let set = unsafe {
        let value = (&raw const on).cast();
        libc::setsockopt(socket.as_raw_fd(), level, option, value, size_of_val(&on) as u32)
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// When a datagram came, on the monotonic clock. Its stamp is of the time of day, which is ahead by
/// `offset`. Where somebody has set that clock since, the stamp is not from the time in which the datagram
/// must have come; then it came just now.
fn arrival(stamp: Option<Nanos>, offset: Nanos, empty_at: Nanos, now: Nanos) -> Nanos {
    let possible = empty_at.saturating_sub(SLACK)..=now;
    stamp.map(|stamp| stamp.wrapping_sub(offset)).filter(|at| possible.contains(at)).unwrap_or(now)
}

impl Batch {
    /// Room for datagrams of so many octets. Of longer ones, the end is lost.
    pub(in crate::datapath) fn new(size: usize) -> Self {
        let letter = || Letter {
            // SAFETY: all zeros is an address of no family.
            source: unsafe { zeroed() },
            control: Control::new(),
            length: 0,
            at: 0,
        };
        let letters = (0..BATCH).map(|_| letter()).collect();
        Self { size, octets: vec![0; size * BATCH], letters }
    }

    fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
        let parts = self
            .octets
            .chunks_exact_mut(self.size)
            .map(|part| libc::iovec { iov_base: part.as_mut_ptr().cast(), iov_len: part.len() });
        let mut parts: Vec<libc::iovec> = parts.collect();
        let mut messages: Vec<libc::mmsghdr> = self
            .letters
            .iter_mut()
            .zip(&mut parts)
            .map(|(letter, part)| {
                // SAFETY: all zeros is an empty header.
                let mut message: libc::mmsghdr = unsafe { zeroed() };
                message.msg_hdr.msg_name = (&raw mut letter.source).cast();
                message.msg_hdr.msg_namelen = size_of_val(&letter.source) as u32;
                message.msg_hdr.msg_iov = part;
                message.msg_hdr.msg_iovlen = 1;
                letter.control.lend(&mut message.msg_hdr, true);
                message
            })
            .collect();
        // With MSG_TRUNC, the lengths are those of the datagrams, not of what there was room for.
        let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
        // SAFETY: the pointers of the headers lead into `self` and `parts`, which outlive the call, and
        // to as many octets as stand beside them.
        let received = unsafe {
            let (list, count) = (messages.as_mut_ptr(), messages.len() as u32);
            libc::recvmmsg(socket.as_raw_fd(), list, count, flags as _, std::ptr::null_mut())
        };
        let count = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for (letter, message) in self.letters.iter_mut().zip(&messages[..count]) {
            letter.length = message.msg_len as usize;
            letter.control.take_back(&message.msg_hdr);
        }
        Ok(count)
    }

    /// One of the datagrams that were received last; `None` where it has no address to answer to.
    pub(in crate::datapath) fn get(&self, index: usize) -> Option<Received<'_>> {
        let letter = self.letters.get(index)?;
        let payload = &self.octets[index * self.size..][..letter.length.min(self.size)];
        Some(Received {
            payload,
            length: letter.length,
            source: letter.source()?,
            at: letter.at,
            header: letter.header(),
        })
    }
}

impl Letter {
    fn source(&self) -> Option<SocketAddr> {
        let source = (&raw const self.source).cast::<libc::sockaddr>();
        // SAFETY: the storage is as large as the address of any family, and aligned for it; every pattern
        // of bits is valid.
        unsafe {
            match i32::from((*source).sa_family) {
                libc::AF_INET => {
                    let source = &*source.cast::<libc::sockaddr_in>();
                    let ip = Ipv4Addr::from(u32::from_be(source.sin_addr.s_addr));
                    Some((ip, u16::from_be(source.sin_port)).into())
                }
                libc::AF_INET6 => {
                    let source = &*source.cast::<libc::sockaddr_in6>();
                    let (ip, port) =
                        (source.sin6_addr.s6_addr.into(), u16::from_be(source.sin6_port));
                    Some(SocketAddrV6::new(ip, port, 0, source.sin6_scope_id).into())
                }
                _ => None,
            }
        }
    }

    /// When it came, by the time of day.
    fn stamp(&self) -> Option<Nanos> {
        let stamps = |piece: &super::control::Piece<'_>| {
            (piece.level, piece.kind) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS)
        };
        let stamp: libc::timespec = self.control.pieces().find(stamps)?.value()?;
        Some(stamp.tv_sec as u64 * NANOS_PER_SECOND + stamp.tv_nsec as u64)
    }

    fn header(&self) -> Header {
        let mut header = Header::default();
        for piece in self.control.pieces() {
            match (piece.level, piece.kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    header.destination = piece.value().and_then(one_v4_host);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    header.destination = piece.value().and_then(one_v6_host);
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    header.ttl = piece.value::<c_int>().map_or(0, |ttl| ttl as u8);
                }
                (libc::IPPROTO_IP, libc::IP_TOS) => {
                    header.traffic_class = piece.value().unwrap_or(0);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    header.traffic_class = piece.value::<c_int>().map_or(0, |class| class as u8);
                }
                _ => {}
            }
        }
        header
    }
}

/// The destination, if it is this host alone. The kernel gives an address of ours beside it, which is
/// another one where the destination is for many.
fn one_v4_host(info: libc::in_pktinfo) -> Option<Address> {
    let destination = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr));
    let ours = Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr));
    (destination == ours).then(|| IpAddr::from(destination).into())
}

fn one_v6_host(info: libc::in6_pktinfo) -> Option<Address> {
    let destination = Ipv6Addr::from(info.ipi6_addr.s6_addr);
    (!destination.is_multicast()).then(|| IpAddr::from(destination).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::SECOND;

    #[test]
    fn a_stamp_is_taken_to_the_monotonic_clock() {
        let offset = 1_700_000_000 * SECOND;
        let (empty_at, now) = (10 * SECOND, 10 * SECOND + 100 * MILLISECOND);
        let at = 10 * SECOND + 40 * MILLISECOND;
        assert_eq!(arrival(Some(offset + at), offset, empty_at, now), at);
        // A little before: it was on its way when the socket was looked at.
        let early = empty_at - MILLISECOND;
        assert_eq!(arrival(Some(offset + early), offset, empty_at, now), early);
        assert_eq!(arrival(None, offset, empty_at, now), now);
    }

    /// Invariant 11: who sets the clock between stamp and reading changes no round trip by more than the
    /// datagram waited.
    #[test]
    fn a_stamp_from_before_the_clock_was_set_does_not_count() {
        let (empty_at, now) = (10 * SECOND, 10 * SECOND + 100 * MILLISECOND);
        for step in [-3_600, -1, 1, 3_600_i64] {
            let before = 1_700_000_000 * SECOND;
            let after = before.wrapping_add_signed(step * SECOND as i64);
            let stamp = before + 10 * SECOND + 40 * MILLISECOND;
            assert_eq!(arrival(Some(stamp), after, empty_at, now), now, "{step} s");
        }
        assert_eq!(arrival(Some(0), u64::MAX / 2, empty_at, now), now);
    }

    #[test]
    fn what_is_for_many_hosts_is_for_none() {
        let info = |destination: [u8; 4]| libc::in_pktinfo {
            ipi_ifindex: 1,
            ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes([192, 0, 2, 1]) },
            ipi_addr: libc::in_addr { s_addr: u32::from_ne_bytes(destination) },
        };
        assert_eq!(one_v4_host(info([192, 0, 2, 1])), Some(Address::v4([192, 0, 2, 1])));
        assert_eq!(one_v4_host(info([192, 0, 2, 255])), None);
        assert_eq!(one_v4_host(info([224, 0, 0, 1])), None);
        let mut info = libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr { s6_addr: Ipv6Addr::LOCALHOST.octets() },
            ipi6_ifindex: 1,
        };
        assert!(one_v6_host(info).is_some());
        info.ipi6_addr.s6_addr[0] = 0xff;
        assert_eq!(one_v6_host(info), None);
    }
}
