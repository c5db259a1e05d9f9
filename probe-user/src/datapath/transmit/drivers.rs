//! Which interfaces take frames that no network stack has seen, as the kernel's netlink family `netdev` has it
//! (since Linux 6.3). Its messages are short and fixed, so they are written down here.

use std::{
    io,
    mem::size_of,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
};

/// The family that knows all families, its command, and attributes: `linux/genetlink.h`.
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// A command and attributes of `netdev`: `linux/netdev.h`.
const GET_DEVICE: u8 = 1;
const INTERFACE: u16 = 1;
const XDP_FEATURES: u16 = 3;

/// A bit of the XDP features: other drivers may hand it frames.
const NDO_XMIT: u64 = 1 << 2;

/// Octets of the headers of netlink and of generic netlink.
const HEADERS: usize = size_of::<libc::nlmsghdr>() + 4;

/// Whether the driver of an interface of this network namespace takes frames. Not where the kernel is older than that
/// question, nor where the interface is a bond: what one of those takes depends on members that come and go.
pub(in crate::datapath) fn takes_frames(interface: &str, index: u32) -> bool {
    let is_bond = Path::new("/proc/thread-self/net/bonding").join(interface).exists();
    let features = || {
        features(index).inspect_err(|error| {
            tracing::debug!(interface, %error, "the kernel does not tell of XDP features");
        })
    };
    !is_bond && features().is_ok_and(|features| features & NDO_XMIT != 0)
}

fn features(index: u32) -> io::Result<u64> {
    let socket = Socket::open()?;
    let family = socket.ask(CONTROL, GET_FAMILY, FAMILY_NAME, b"netdev\0", FAMILY_ID)?;
    let family = u16::from_ne_bytes(family);
    let features = socket.ask(family, GET_DEVICE, INTERFACE, &index.to_ne_bytes(), XDP_FEATURES)?;
    Ok(u64::from_ne_bytes(features))
}

struct Socket(OwnedFd);

impl Socket {
    fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: the call takes numbers only.
        let socket = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_GENERIC) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(socket) }))
    }

    /// Asks a family a question with one attribute, and returns one attribute of the answer.
    fn ask<const N: usize>(
        &self,
        family: u16,
        command: u8,
        attribute: u16,
        value: &[u8],
        wanted: u16,
    ) -> io::Result<[u8; N]> {
        let question = question(family, command, attribute, value);
        // SAFETY: the kernel reads as much as it is told of.
        let sent =
            unsafe { libc::send(self.0.as_raw_fd(), question.as_ptr().cast(), question.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut answer = [0_u8; 8192];
        // SAFETY: the kernel writes as much as it is told that there is room for.
        let length =
            unsafe { libc::recv(self.0.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        self::answer(&answer[..length], wanted)
    }
}

fn question(family: u16, command: u8, attribute: u16, value: &[u8]) -> Vec<u8> {
    let length = HEADERS + 4 + value.len().next_multiple_of(4);
    let mut question = Vec::with_capacity(length);
    question.extend((length as u32).to_ne_bytes());
    question.extend(family.to_ne_bytes());
    question.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    // Number and port: one answer comes to each question.
    question.extend([0; 8]);
    question.extend([command, 1, 0, 0]);
    question.extend((4 + value.len() as u16).to_ne_bytes());
    question.extend(attribute.to_ne_bytes());
    question.extend(value);
    question.resize(length, 0);
    question
}

fn answer<const N: usize>(answer: &[u8], wanted: u16) -> io::Result<[u8; N]> {
    let truncated =
        || io::Error::new(io::ErrorKind::InvalidData, "the answer of netlink is cut short");
    let word = |at: usize| {
        let word: Option<&[u8; 2]> = answer.get(at..).and_then(<[u8]>::first_chunk);
        word.map(|word| u16::from_ne_bytes(*word)).ok_or_else(truncated)
    };
    if i32::from(word(4)?) == libc::NLMSG_ERROR {
        let code: Option<&[u8; 4]> = answer.get(16..).and_then(<[u8]>::first_chunk);
        return Err(io::Error::from_raw_os_error(-i32::from_ne_bytes(
            *code.ok_or_else(truncated)?,
        )));
    }
    let mut at = HEADERS;
    while at < answer.len() {
        let (length, kind) = (usize::from(word(at)?), word(at + 2)?);
        if kind == wanted {
            let value = answer.get(at + 4..).and_then(<[u8]>::first_chunk);
            return value.copied().ok_or_else(truncated);
        }
        at += length.max(4).next_multiple_of(4);
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "the answer of netlink lacks what was asked for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_found_behind_others() {
        let mut message = question(7, 1, 2, b"name\0");
        message.extend([12, 0, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(answer(&message, 3).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(answer(&message, 2).unwrap(), *b"name");
        assert_eq!(answer::<8>(&message, 4).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        let mut message = question(7, 1, 2, b"name");
        message.extend([12, 0, 3, 0, 1, 2, 3, 4]);
        for length in 0..message.len() {
            assert!(answer::<8>(&message[..length], 3).is_err(), "{length} octets");
        }
        assert!(answer::<8>(&message, 3).is_err());
    }

    #[test]
    fn a_refusal_has_the_kernels_reason() {
        let mut message = question(2, 0, 0, &[]);
        message[16..20].copy_from_slice(&(-libc::ENODEV).to_ne_bytes());
        assert_eq!(answer::<8>(&message, 3).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
