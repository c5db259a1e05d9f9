//! What will be read soon, fetched into the cache now. Of thousands of paths hardly anything is in it when their turn comes,
//! and to wait for one line after the other takes longer than all that is done with them.

/// Has the processor fetch a value. Nothing but time depends on it; on processors other than x86-64 it does nothing.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    prefetch_at(value);
}

/// The same of a value of this type at an address, where there need be none.
#[inline]
pub(crate) fn prefetch_at<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..size_of::<T>()).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: it reads nothing that anybody can see, and an address that is not mapped does no harm.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.wrapping_byte_add(offset).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// A line of the cache.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;
