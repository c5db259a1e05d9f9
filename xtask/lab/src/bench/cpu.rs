//! Where threads run, and what time they take.

use std::{io, mem::zeroed};

/// Keeps the calling thread on a CPU, if the host has as many.
pub(super) fn pin(cpu: usize) {
    // SAFETY: all zeros is an empty set; the calls write to it or read it, and it outlives them.
    unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        libc::CPU_SET(cpu, &mut set);
        // Where there is no such CPU, the thread runs wherever it may.
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// Seconds for which the calling thread has run. The kernel's work on packets counts for the thread that it
/// interrupts.
pub(super) fn of_thread() -> f64 {
    // SAFETY: all zeros is a time.
    let mut time: libc::timespec = unsafe { zeroed() };
    // SAFETY: the call writes to `time`, which outlives it. It cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Lets the calling thread run before all others on its CPU, but for those of its own kind, until it sleeps or ends.
///
/// # Errors
/// Where this is not root.
pub(super) fn give_way_to_nobody() -> io::Result<()> {
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: the call reads the parameters, which outlive it.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const lowest) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
