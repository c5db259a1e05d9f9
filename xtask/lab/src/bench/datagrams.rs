//! Many datagrams in one system call.

use std::{io, mem::zeroed, net::UdpSocket, os::fd::AsRawFd as _};

/// Room for some datagrams of one length, on a socket that is connected or only receives.
pub(super) struct Datagrams {
    messages: Vec<libc::mmsghdr>,
    /// What the messages lead to: neither is touched, nor grows, as long as they do.
    _parts: Vec<libc::iovec>,
    _octets: Vec<u8>,
}

impl Datagrams {
    /// Room for `count` datagrams of `length` octets, which are zeros.
    pub(super) fn new(count: usize, length: usize) -> Self {
        let mut octets = vec![0; count * length];
        let part = |chunk: &mut [u8]| libc::iovec {
            iov_base: chunk.as_mut_ptr().cast(),
            iov_len: chunk.len(),
        };
        let mut parts: Vec<_> = octets.chunks_mut(length).map(part).collect();
        let message = |part| {
            // SAFETY: all zeros is an empty header.
            let mut message: libc::mmsghdr = unsafe { zeroed() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message
        };
        let messages = parts.iter_mut().map(|part| message(&raw mut *part)).collect();
        Self { messages, _parts: parts, _octets: octets }
    }

    /// Sends all of them where the socket is connected to; returns how many it was.
    ///
    /// # Errors
    /// Those of `sendmmsg(2)`.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let (room, count) = (self.messages.as_mut_ptr(), self.messages.len() as u32);
        // SAFETY: the headers lead into what `self` owns.
        done(unsafe { libc::sendmmsg(socket.as_raw_fd(), room, count, 0) })
    }

    /// Waits for the first one, as long as the socket does, and takes what is there with it; returns how many it was.
    ///
    /// # Errors
    /// Those of `recvmmsg(2)`.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let (room, count) = (self.messages.as_mut_ptr(), self.messages.len() as u32);
        let (flags, no_time) = (libc::MSG_WAITFORONE, std::ptr::null_mut());
        // SAFETY: the headers lead into what `self` owns.
        done(unsafe { libc::recvmmsg(socket.as_raw_fd(), room, count, flags, no_time) })
    }
}

/// What such a system call has returned.
fn done(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
