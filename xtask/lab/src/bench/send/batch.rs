//! Messages for `sendmmsg`, as the agent makes them.

use std::{io, mem::zeroed, net::UdpSocket, os::fd::AsRawFd as _};

use anyhow::{Result, ensure};

use super::stage::Target;

/// A mark as ancillary data of a message (`cmsg(3)`).
#[repr(C, align(8))]
struct Mark {
    header: libc::cmsghdr,
    mark: u32,
}

/// The packets of all targets, of which some go at once.
pub(super) struct Batch {
    socket: UdpSocket,
    messages: Vec<libc::mmsghdr>,
    at_once: usize,
    /// What the messages lead to: none is touched, or grows, as long as they do.
    _targets: Vec<Target>,
    _addresses: Vec<libc::sockaddr_in>,
    _parts: Vec<libc::iovec>,
    _marks: Vec<Mark>,
}

impl Batch {
    /// Prepares them, with a mark if it is not 0.
    pub(super) fn new(
        socket: UdpSocket,
        targets: &[Target],
        at_once: usize,
        mark: u32,
    ) -> Result<Self> {
        let targets = targets.to_vec();
        let mut addresses: Vec<_> = targets.iter().map(address).collect();
        let mut marks: Vec<_> = targets.iter().map(|_| Mark::new(mark)).collect();
        let part = |target: &Target| libc::iovec {
            // The kernel only reads what it is to send.
            iov_base: target.template.as_ptr().cast_mut().cast(),
            iov_len: target.template.len(),
        };
        let mut parts: Vec<_> = targets.iter().map(part).collect();
        let messages = addresses.iter_mut().zip(&mut parts).zip(&mut marks);
        let messages = messages.map(|((address, part), of_mark)| {
            // SAFETY: all zeros is an empty header.
            let mut message: libc::mmsghdr = unsafe { zeroed() };
            message.msg_hdr.msg_name = (&raw mut *address).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            if mark != 0 {
                message.msg_hdr.msg_control = (&raw mut *of_mark).cast();
                message.msg_hdr.msg_controllen = size_of::<Mark>() as _;
            }
            message
        });
        let messages = messages.collect();
        Ok(Self {
            socket,
            messages,
            at_once,
            _targets: targets,
            _addresses: addresses,
            _parts: parts,
            _marks: marks,
        })
    }

    /// Sends all of them, and returns how many it was.
    ///
    /// # Errors
    /// Those of `sendmmsg(2)`, and where one is not taken.
    pub(super) fn send(&mut self) -> Result<f64> {
        for some in self.messages.chunks_mut(self.at_once) {
            // SAFETY: the headers lead into what `self` owns.
            let sent = unsafe {
                libc::sendmmsg(self.socket.as_raw_fd(), some.as_mut_ptr(), some.len() as u32, 0)
            };
            let all = usize::try_from(sent).is_ok_and(|sent| sent == some.len());
            ensure!(all, "{sent} of {} packets left: {}", some.len(), io::Error::last_os_error());
        }
        Ok(self.messages.len() as f64)
    }
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

/// Where a target is, for the kernel.
fn address(target: &Target) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: target.to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(target.to.ip().octets()) },
        sin_zero: [0; 8],
    }
}
