//! An XDP program that is run on frames which nobody has sent, and what it makes of them goes on as if somebody had
//! (`BPF_F_TEST_XDP_LIVE_FRAMES`, since Linux 5.18).

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::programs::Xdp;
use probe_ebpf::maps::program::INGRESS;

use super::super::Error;

/// The command of `bpf(2)`.
const BPF_PROG_TEST_RUN: libc::c_int = 10;
/// Its flag.
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;

/// Frames that are made before the first of them goes on. With more, T1 would be the time of a packet that still
/// waits for others; with fewer, each costs more. The kernel hands no more than 16 to a driver at once.
const BULK: u32 = 4;

/// The part of `union bpf_attr` that the command reads and writes.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    program: u32,
    returned: u32,
    data_in_size: u32,
    data_out_size: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_in_size: u32,
    context_out_size: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    reserved: u32,
}

/// A program that is loaded. aya runs programs too, but only for whoever owns all of its object, and that is not the
/// thread that sends.
pub(in crate::datapath) struct LiveFrames(OwnedFd);

impl LiveFrames {
    /// A handle of the XDP program.
    ///
    /// # Errors
    /// Where it is not loaded, or the process has no descriptors left.
    pub(in crate::datapath) fn new(program: &Xdp) -> Result<Self, Error> {
        let refused = |source| Error::Verify { program: INGRESS, source: Box::new(source) };
        let descriptor = program.fd().map_err(refused)?.as_fd().try_clone_to_owned();
        descriptor.map(Self).map_err(|source| refused(source.into()))
    }

    /// Runs it on `count` frames, which begin as this one.
    ///
    /// # Errors
    /// Those of `bpf(2)`.
    pub(super) fn run(&self, frame: &[u8], count: u32) -> io::Result<()> {
        let mut attributes = Attributes {
            program: self.0.as_raw_fd() as u32,
            data_in_size: frame.len() as u32,
            data_in: frame.as_ptr() as u64,
            repeat: count,
            flags: BPF_F_TEST_XDP_LIVE_FRAMES,
            batch_size: count.min(BULK),
            ..Attributes::default()
        };
        // SAFETY: the kernel reads the frame, and reads and writes attributes of the size that it is told.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_PROG_TEST_RUN,
                &raw mut attributes,
                size_of::<Attributes>(),
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
