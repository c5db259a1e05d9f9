//! An array in mapped memory: a memory-mapped map of the kernel, or plain memory where sockets do its work.
//!
//! Each field of an element has one writer, but for those that are taken as [`Array::atomic`]. A whole
//! element is written only while nobody else writes any field of it.

use std::{
    fs::File,
    io,
    marker::PhantomData,
    mem::size_of,
    os::fd::AsFd as _,
    sync::{Arc, atomic::AtomicU32},
};

use aya::{Ebpf, maps::Map};
use memmap2::{MmapOptions, MmapRaw};
use probe_ebpf::{
    hmac::Key,
    maps::{
        Arrivals, Config, Counters, Line, Session, Slot,
        transmit::{Batch, Headers},
    },
};

use super::Error;
use crate::prefetch::prefetch_at;

/// An array of `T`, for which all bits are valid.
pub(super) struct Array<T> {
    memory: Arc<MmapRaw>,
    length: usize,
    elements: PhantomData<T>,
}

/// A type that several threads, and the kernel, may share in memory.
///
/// # Safety
/// `repr(C)`, a size that is a multiple of eight, and valid for every pattern of bits.
pub(super) unsafe trait Shared: Copy {}

// SAFETY: all of them consist of integers only, and their sizes are asserted in `probe_ebpf::maps`.
unsafe impl Shared for Config {}
// SAFETY: as above.
unsafe impl Shared for Session {}
// SAFETY: as above.
unsafe impl Shared for Slot {}
// SAFETY: as above, and nobody minds what is in the rest of the line.
unsafe impl Shared for Line<Arrivals> {}
// SAFETY: as above.
unsafe impl Shared for Counters {}
// SAFETY: as above.
unsafe impl Shared for Key {}

// SAFETY: as above, and nobody minds what is behind the headers.
unsafe impl Shared for Headers {}
// SAFETY: as above.
unsafe impl Shared for Batch {}

/// A type of which every pattern of bits is a value.
///
/// # Safety
/// It is a primitive integer.
pub(super) unsafe trait Number: Copy {}

// SAFETY: it is one.
unsafe impl Number for u16 {}
// SAFETY: it is one.
unsafe impl Number for u32 {}
// SAFETY: it is one.
unsafe impl Number for u64 {}

impl<T: Shared> Array<T> {
    /// Maps the kernel's array with this name.
    pub(super) fn open(ebpf: &mut Ebpf, map: &'static str) -> Result<Self, Error> {
        let Some(Map::Array(data)) = ebpf.map_mut(map) else { return Err(Error::Missing(map)) };
        let length =
            data.info().map_err(|source| Error::Map { map, source })?.max_entries() as usize;
        let memory = File::from(
            data.fd()
                .as_fd()
                .try_clone_to_owned()
                .map_err(|source| Error::Memory { map, source })?,
        );
        let memory = MmapOptions::new()
            .len(length * size_of::<T>())
            .map_raw(&memory)
            .map_err(|source: io::Error| Error::Memory { map, source })?;
        Ok(Self { memory: Arc::new(memory), length, elements: PhantomData })
    }

    /// An array of zeros that stands for the kernel's array with this name.
    pub(super) fn anonymous(map: &'static str, length: usize) -> Result<Self, Error> {
        let memory = MmapOptions::new().len(length * size_of::<T>()).map_anon();
        let memory = memory.map_err(|source| Error::Memory { map, source })?;
        Ok(Self { memory: Arc::new(memory.into()), length, elements: PhantomData })
    }

    /// The same array once more, for another thread.
    pub(super) fn share(&self) -> Self {
        Self { memory: Arc::clone(&self.memory), length: self.length, elements: PhantomData }
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// Has the processor fetch an element.
    pub(super) fn fetch(&self, index: usize) {
        prefetch_at(self.at(index));
    }

    /// A copy of an element. Others may be writing it: single fields are whole, more is not said.
    pub(super) fn read(&self, index: usize) -> T {
        // SAFETY: `at` gives a valid, aligned pointer, and every pattern of bits is a `T`.
        unsafe { self.at(index).read_volatile() }
    }

    /// Changes an element.
    pub(super) fn write(&mut self, index: usize, change: impl FnOnce(T) -> T) {
        let element = self.at(index);
        // SAFETY: as in `read`.
        unsafe { element.write_volatile(change(element.read_volatile())) };
    }

    /// The field at an offset of an element. Panics as [`Array::write_field`].
    pub(super) fn read_field<F: Number>(&self, index: usize, offset: usize) -> F {
        // SAFETY: `field` gives a valid, aligned pointer, and every pattern of bits is a number.
        unsafe { self.field::<F>(index, offset).read_volatile() }
    }

    /// Writes the field at an offset into an element, and leaves the others as they are. Panics where the
    /// element has no room for it there.
    pub(super) fn write_field<F: Copy>(&mut self, index: usize, offset: usize, value: F) {
        // SAFETY: `field` gives a valid, aligned pointer.
        unsafe { self.field::<F>(index, offset).write_volatile(value) };
    }

    /// Counts the 64-bit number at an offset of an element up by one. Panics as [`Array::write_field`].
    pub(super) fn increment(&mut self, index: usize, offset: usize) {
        let number = self.field::<u64>(index, offset);
        // SAFETY: `field` gives a valid, aligned pointer.
        unsafe { number.write_volatile(number.read_volatile().wrapping_add(1)) };
    }

    /// The 32-bit number at an offset of an element, for those who must agree on its value, or publish
    /// other fields by it. Panics as [`Array::write_field`].
    pub(super) fn atomic(&self, index: usize, offset: usize) -> &AtomicU32 {
        // SAFETY: `field` gives a valid, aligned pointer, and the mapping lives as long as `self`. The
        // kernel too writes such numbers atomically.
        unsafe { AtomicU32::from_ptr(self.field(index, offset)) }
    }

    /// A pointer to a field, which lies inside of its element and is aligned; panics where it does not.
    fn field<F>(&self, index: usize, offset: usize) -> *mut F {
        let is_inside = offset + size_of::<F>() <= size_of::<T>();
        assert!(is_inside && offset.is_multiple_of(align_of::<F>()), "no field at {offset}");
        self.at(index).wrapping_byte_add(offset).cast()
    }

    /// A pointer to an element; panics beyond the end, as a slice does.
    fn at(&self, index: usize) -> *mut T {
        assert!(index < self.length, "element {index} of {}", self.length);
        // SAFETY: the mapping has `length` elements, and pages are aligned for all of them.
        unsafe { self.memory.as_mut_ptr().cast::<T>().add(index) }
    }
}

#[cfg(test)]
mod tests {
    use std::{mem::offset_of, sync::atomic::Ordering};

    use super::*;

    #[test]
    fn threads_share_what_one_of_them_writes() {
        let mut array = Array::<Slot>::anonymous("SLOTS", 4).unwrap();
        let other = array.share();
        array.write_field(3, offset_of!(Slot, sent_at), 7_u64);
        array.increment(3, offset_of!(Slot, sent_at));
        array.atomic(3, offset_of!(Slot, state)).store(2, Ordering::Release);
        assert_eq!((other.read(3).state, other.read(3).sent_at, other.len()), (2, 8, 4));
        assert_eq!(other.read(2).sent_at, 0);
    }

    #[test]
    #[should_panic(expected = "no field at 40")]
    fn there_is_no_field_behind_an_element() {
        let array = Array::<Slot>::anonymous("SLOTS", 4).unwrap();
        array.atomic(0, size_of::<Slot>());
    }
}
