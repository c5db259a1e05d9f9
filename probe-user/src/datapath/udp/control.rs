//! Ancillary data of a message (`cmsg(3)`).

use std::{
    ffi::{c_int, c_void},
    mem::size_of,
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

impl Control {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self { octets: [0; ROOM], length: 0 }
    }

    /// Adds a value, a plain structure of the kernel's. Panics where there is no room for it.
    pub(super) fn push<T: Copy>(&mut self, level: c_int, kind: c_int, value: T) {
        // SAFETY: the two only calculate.
        let (space, length) = unsafe {
            let size = size_of::<T>() as u32;
            (libc::CMSG_SPACE(size) as usize, libc::CMSG_LEN(size) as usize)
        };
        assert!(self.length + space <= ROOM, "no room for {length} octets");
        // SAFETY: there is room for header and value, as has just been seen; the place is aligned for a
        // header, since `space` always is a multiple of that, and the value is written without need of
        // alignment.
        unsafe {
            let header = self.octets.as_mut_ptr().add(self.length).cast::<libc::cmsghdr>();
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            (*header).cmsg_len = length as _;
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        }
        self.length += space;
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut c_void {
        self.octets.as_mut_ptr().cast()
    }

    /// How many octets of it are in use.
    pub(super) const fn len(&self) -> usize {
        self.length
    }
}
