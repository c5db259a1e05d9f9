//! A million packets that nobody asked for: datagrams with any source address, from a raw socket.

use std::{io, net::Ipv4Addr, os::fd::AsRawFd as _, thread, time::Duration};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Packets in one system call. A veth's ring has room for 256.
const BATCH: usize = 32;

/// Between two batches: what the ring holds must be taken out of it, or real packets get lost.
const PAUSE: Duration = Duration::from_micros(150);

/// Sends `count` IPv4 packets to one host from the network namespace of this thread. `write` fills in each
/// of them, which has the octets of the one before; the kernel adds the checksum of the IP header.
///
/// # Errors
/// Those of raw sockets.
pub fn send(
    to: Ipv4Addr,
    mut packet: Vec<u8>,
    count: u32,
    mut write: impl FnMut(u32, &mut [u8]),
) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
    socket.connect(&SockAddr::from(std::net::SocketAddrV4::new(to, 0)))?;
    let mut packets = vec![packet.clone(); BATCH];
    for first in (0..count).step_by(BATCH) {
        let length = BATCH.min((count - first) as usize);
        for (number, place) in (first..).zip(&mut packets[..length]) {
            write(number, &mut packet);
            place.copy_from_slice(&packet);
        }
        send_all(&socket, &mut packets[..length])?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn send_all(socket: &Socket, packets: &mut [Vec<u8>]) -> io::Result<()> {
    let mut parts: Vec<libc::iovec> = packets
        .iter_mut()
        .map(|packet| libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: packet.len() })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = parts
        .iter_mut()
        .map(|part| {
            // SAFETY: all zeros is an empty header.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    let mut rest = messages.as_mut_slice();
    while !rest.is_empty() {
        // SAFETY: the headers lead into `parts`, and those into `packets`; all outlive the call.
        let sent =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0) };
        let sent = usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
        rest = &mut rest[sent..];
    }
    Ok(())
}
