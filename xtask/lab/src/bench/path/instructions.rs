//! Instructions that a thread has executed, where the machine counts them.

use std::{fs::File, io::Read as _, os::fd::FromRawFd as _};

use anyhow::Result;

/// `PERF_COUNT_HW_INSTRUCTIONS` of `PERF_TYPE_HARDWARE`.
const INSTRUCTIONS: (u32, u64) = (0, 1);

/// The parts of `perf_event_attr` that every kernel knows (`PERF_ATTR_SIZE_VER0`).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    period: u64,
    sample: u64,
    read: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    more: u64,
}

const _: () = assert!(size_of::<Attributes>() == 64);

/// A counter of what the calling thread executes, the kernel's work for it included.
pub(super) struct Instructions(File);

impl Instructions {
    /// Opens it; `None` where the machine has none, as virtual ones mostly.
    pub(super) fn open() -> Option<Self> {
        Self::of(INSTRUCTIONS)
    }

    fn of((kind, config): (u32, u64)) -> Option<Self> {
        let size = size_of::<Attributes>() as u32;
        let attributes = Attributes { kind, size, config, ..Attributes::default() };
        let (this_thread, any_cpu, no_group, flags) = (0, -1, -1, 0);
        // SAFETY: the call reads the attributes, which outlive it.
        let descriptor = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attributes,
                this_thread,
                any_cpu,
                no_group,
                flags,
            )
        };
        let descriptor = i32::try_from(descriptor).ok().filter(|descriptor| *descriptor >= 0)?;
        // SAFETY: the descriptor is new, and nobody else's.
        Some(Self(unsafe { File::from_raw_fd(descriptor) }))
    }

    /// How many so far.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub(super) fn count(&mut self) -> Result<u64> {
        let mut count = [0; 8];
        self.0.read_exact(&mut count)?;
        Ok(u64::from_ne_bytes(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_goes_up() {
        // `PERF_COUNT_SW_TASK_CLOCK` of `PERF_TYPE_SOFTWARE`, which every machine has.
        let Some(mut clock) = Instructions::of((1, 1)) else { return };
        let before = clock.count().unwrap();
        let sum: u64 = std::hint::black_box((0..100_000_u64).sum());
        assert!(clock.count().unwrap() > before, "{sum}");
    }
}
