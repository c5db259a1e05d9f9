//! Packet memory, behind one bounds check.

use core::mem::size_of;

use aya_ebpf::programs::{TcContext, XdpContext};
use probe_ebpf::frame::{Bytes, BytesMut};

/// The linear part of a frame.
pub(crate) struct Packet {
    start: usize,
    end: usize,
}

impl Packet {
    /// The frame that an XDP program was called for.
    #[inline(always)]
    pub(crate) fn of_xdp(ctx: &XdpContext) -> Self {
        Self { start: ctx.data(), end: ctx.data_end() }
    }

    /// The frame that a TC program was called for.
    #[inline(always)]
    pub(crate) fn of_tc(ctx: &TcContext) -> Self {
        Self { start: ctx.data(), end: ctx.data_end() }
    }

    /// The only way to packet memory: a pointer to `T` at an offset, if all of it lies in the frame.
    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let start = self.start + offset;
        (start + size_of::<T>() <= self.end).then_some(start as *mut T)
    }
}

impl Bytes for Packet {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let pointer = self.at::<[u8; N]>(at)?;
        // SAFETY: `at` has checked that N bytes lie within the frame, and the verifier checks it
        // again. Every bit pattern is a value of an array of bytes.
        Some(unsafe { pointer.read_unaligned() })
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.end - self.start
    }
}

impl BytesMut for Packet {
    #[inline(always)]
    fn write<const N: usize>(&mut self, at: usize, bytes: [u8; N]) -> Option<()> {
        let pointer = self.at::<[u8; N]>(at)?;
        // SAFETY: as in `read`; the context lends the frame to this program alone while it runs.
        unsafe { pointer.write_unaligned(bytes) };
        Some(())
    }
}
