//! Ancillary data of a message (`cmsg(3)`).

use std::{
    ffi::{c_int, c_void},
    mem::{size_of, zeroed},
};

/// Octets of room: more than all that is asked for ever takes.
const ROOM: usize = 256;

/// Such data, aligned for its headers.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(super) struct Control {
    octets: [u8; ROOM],
    length: usize,
}

/// One piece of it.
pub(super) struct Piece<'a> {
    pub(super) level: c_int,
    pub(super) kind: c_int,
    value: &'a [u8],
}

/// A structure of the kernel's as a value.
///
/// # Safety
/// Valid for every pattern of bits.
pub(super) unsafe trait Value: Copy {}

// SAFETY: all of them consist of integers only.
unsafe impl Value for c_int {}
// SAFETY: as above.
unsafe impl Value for u8 {}
// SAFETY: as above.
unsafe impl Value for libc::timespec {}
// SAFETY: as above.
unsafe impl Value for libc::in_pktinfo {}
// SAFETY: as above.
unsafe impl Value for libc::in6_pktinfo {}

impl Piece<'_> {
    /// The value; `None` where it is shorter than that.
    pub(super) fn value<T: Value>(&self) -> Option<T> {
        let value = self.value.get(..size_of::<T>())?;
        // SAFETY: the slice has the size of the structure, for which every pattern of bits is valid.
        Some(unsafe { value.as_ptr().cast::<T>().read_unaligned() })
    }
}

impl Control {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self { octets: [0; ROOM], length: 0 }
    }

    /// Adds a value. Panics where there is no room for it.
    pub(super) fn push<T: Value>(&mut self, level: c_int, kind: c_int, value: T) {
        // SAFETY: the two only calculate.
        let (space, length) = unsafe {
            let size = size_of::<T>() as u32;
            (libc::CMSG_SPACE(size) as usize, libc::CMSG_LEN(size) as usize)
        };
        assert!(self.length + space <= ROOM, "no room for {length} octets");
        // SAFETY: there is room for header and value, as has just been seen. The place is aligned for a
        // header, since `space` always is a multiple of that; the value is written without need of it.
        unsafe {
            let header = self.octets.as_mut_ptr().add(self.length).cast::<libc::cmsghdr>();
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            (*header).cmsg_len = length as _;
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        }
        self.length += space;
    }

    /// Hands it over to a header: what there is of it for one that is to leave, all the room for one that
    /// is to be filled in.
    pub(super) fn lend(&mut self, message: &mut libc::msghdr, is_to_be_filled_in: bool) {
        message.msg_control = self.octets.as_mut_ptr().cast::<c_void>();
        message.msg_controllen = if is_to_be_filled_in { ROOM } else { self.length } as _;
    }

    /// Notes how much the kernel has filled in.
    pub(super) fn take_back(&mut self, message: &libc::msghdr) {
        self.length = message.msg_controllen.min(ROOM);
    }

    /// The pieces, in their order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        // SAFETY: all zeros is an empty header.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_control = self.octets.as_ptr().cast_mut().cast();
        message.msg_controllen = self.length as _;
        // SAFETY: the header leads to `length` octets, which nobody writes as long as `self` is lent.
        let first = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
        // SAFETY: as above, and `header` is what these calls have returned.
        let next = move |header: &*mut libc::cmsghdr| unsafe {
            let next = libc::CMSG_NXTHDR(&raw const message, *header);
            (!next.is_null()).then_some(next)
        };
        let headers = std::iter::successors((!first.is_null()).then_some(first), next);
        headers.map(|header| {
            // SAFETY: a header of the list leads to as many octets as it says, less its own.
            unsafe {
                let length = (*header).cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
                let value = std::slice::from_raw_parts(libc::CMSG_DATA(header), length);
                Piece { level: (*header).cmsg_level, kind: (*header).cmsg_type, value }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_there() {
        let mut control = Control::new();
        assert_eq!(control.pieces().count(), 0);
        control.push(libc::IPPROTO_IP, libc::IP_TOS, 0xb8_u8);
        control.push(libc::IPPROTO_IP, libc::IP_TTL, 255);
        let pieces: Vec<_> = control.pieces().collect();
        let [tos, ttl] = &pieces[..] else { panic!("{} pieces", pieces.len()) };
        assert_eq!(
            (tos.level, tos.kind, tos.value()),
            (libc::IPPROTO_IP, libc::IP_TOS, Some(0xb8_u8))
        );
        assert_eq!(tos.value::<c_int>(), None, "it is too short for that");
        assert_eq!((ttl.kind, ttl.value()), (libc::IP_TTL, Some(255)));
    }
}
