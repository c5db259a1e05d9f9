//! What one thing takes of a thread's time, whatever else the host does.

use std::{thread, time::Duration};

use anyhow::{Result, anyhow, ensure};
use lab::clock;

use super::cpu;

/// The thread gives way to nobody for so long, so that nobody else's work gets between.
pub(super) const SLICE: Duration = Duration::from_millis(10);
/// Then it lets others run.
const PAUSE: Duration = Duration::from_millis(3);
/// Slices that do not count.
const WARM: usize = 3;
/// Where the thread runs.
const CPU: usize = 1;

/// Opens something on a thread of its own and lets packets pass by it until all slices are over: `pass` says how
/// many it was. Returns seconds of the thread's time per packet, the kernel's work in its place included.
///
/// # Errors
/// Those of both, and where no packet passed.
pub(super) fn measured<T>(
    slices: usize,
    open: impl FnOnce() -> Result<T> + Send,
    pass: impl Fn(&mut T) -> Result<f64> + Send,
) -> Result<f64> {
    let work = move || {
        let mut flow = open()?;
        cpu::pin(CPU);
        cpu::give_way_to_nobody()?;
        let (mut packets, mut time) = (0.0, 0.0);
        for slice in 0..WARM + slices {
            thread::sleep(PAUSE);
            let (end, before) = (clock::now() + SLICE, cpu::of_thread());
            while clock::now() < end {
                let passed = pass(&mut flow)?;
                packets += if slice < WARM { 0.0 } else { passed };
            }
            time += if slice < WARM { 0.0 } else { cpu::of_thread() - before };
        }
        ensure!(packets > 0.0, "no packet arrived");
        Ok(time / packets)
    };
    thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|_| Err(anyhow!("the thread has panicked")))
}
