//! Packet memory, behind one bounds check.

use core::{hint::black_box, mem::size_of};

use aya_ebpf::programs::{TcContext, XdpContext};
use probe_ebpf::{
    checksum::Sum,
    frame::{Bytes, BytesMut},
};

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

    /// Swaps two neighbouring fields of `N` integers each, from an offset on.
    #[inline(always)]
    pub(crate) fn swap<T: Copy, const N: usize>(&mut self, at: usize) -> Option<()> {
        let first = self.at::<[[T; N]; 2]>(at)?.cast::<T>();
        let mut i = 0;
        while i < N {
            // SAFETY: `at` has checked that both fields lie within the frame. Every bit pattern is an
            // integer.
            unsafe {
                let (one, other) = (first.add(i), first.add(N + i));
                let kept = one.read_unaligned();
                one.write_unaligned(other.read_unaligned());
                other.write_unaligned(kept);
            }
            i += 1;
        }
        Some(())
    }

    /// Copies the first `N` octets of the frame to memory that has room for them.
    ///
    /// # Safety
    /// The pointer leads to `N` octets that may be written.
    #[inline(always)]
    pub(crate) unsafe fn save<const N: usize>(&self, to: *mut u8) -> Option<()> {
        let from = self.at::<[u8; N]>(0)?.cast::<u8>();
        // SAFETY: `at` has checked that N octets lie within the frame; the caller promises the others.
        unsafe { copy::<N>(from, to) };
        Some(())
    }

    /// Copies memory over the first `N` octets of the frame.
    ///
    /// # Safety
    /// The pointer leads to `N` octets that may be read.
    #[inline(always)]
    pub(crate) unsafe fn restore<const N: usize>(&mut self, from: *const u8) -> Option<()> {
        let to = self.at::<[u8; N]>(0)?.cast::<u8>();
        // SAFETY: as in `save`.
        unsafe { copy::<N>(from, to) };
        Some(())
    }

    /// Big-endian words from an offset on, under one check for all of them: of many checks in a row the
    /// compiler makes a computation that the verifier cannot follow.
    #[inline(always)]
    pub(crate) fn words<const N: usize>(&self, at: usize) -> Option<Words<N>> {
        self.at::<[[u8; 4]; N]>(at).map(Words)
    }
}

/// Copies `N` octets in pieces that fit registers: the compiler would call a function for each.
///
/// # Safety
/// Both pointers lead to `N` octets.
#[inline(always)]
unsafe fn copy<const N: usize>(from: *const u8, to: *mut u8) {
    let mut at = 0;
    // SAFETY: each piece lies within the N octets.
    unsafe {
        while at + 8 <= N {
            to.add(at).cast::<u64>().write_unaligned(from.add(at).cast::<u64>().read_unaligned());
            at += 8;
        }
        while at + 2 <= N {
            to.add(at).cast::<u16>().write_unaligned(from.add(at).cast::<u16>().read_unaligned());
            at += 2;
        }
    }
}

/// `N` words that lie in the frame.
#[derive(Clone, Copy)]
pub(crate) struct Words<const N: usize>(*mut [[u8; 4]; N]);

impl<const N: usize> Words<N> {
    /// One of them, in network order.
    #[inline(always)]
    pub(crate) fn get(self, word: usize) -> [u8; 4] {
        // SAFETY: the pointer comes from `Packet::at`, and the remainder keeps the index inside.
        unsafe { (*self.0)[word % N] }
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
    fn sum<const N: usize>(&self, at: usize, mut sum: Sum) -> Option<Sum> {
        const { assert!(N.is_multiple_of(4)) };
        let words = self.at::<[u8; N]>(at)?.cast::<[u8; 4]>();
        let mut word = 0;
        while word < N / 4 {
            // SAFETY: `at` has checked that N bytes lie within the frame.
            sum = sum.add_bytes(&unsafe { words.add(word).read_unaligned() });
            word += 1;
        }
        Some(sum)
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

/// A frame that is read and written at offsets that come from the frame itself.
///
/// The verifier wants to see that they are small. Checksums have been verified before, and that refuses
/// frames which are longer than [`Far::LENGTH`].
pub(crate) struct Far(pub(crate) Packet);

impl Far {
    /// A power of two; no frame that gets here is as long.
    const LENGTH: usize = 1 << 14;

    /// The offset, with a bound that the compiler does not know and the verifier does.
    #[inline(always)]
    fn bounded(at: usize) -> usize {
        black_box(at & (Self::LENGTH - 1))
    }
}

impl Bytes for Far {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.read(Self::bounded(at))
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.0.length()
    }
}

impl BytesMut for Far {
    #[inline(always)]
    fn write<const N: usize>(&mut self, at: usize, bytes: [u8; N]) -> Option<()> {
        self.0.write(Self::bounded(at), bytes)
    }
}
