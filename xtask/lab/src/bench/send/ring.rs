//! A transmit ring of AF_XDP in copy mode, and the memory that it sends from.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::clock;

use super::probes::Probes;

/// Octets of the place of one packet.
const CHUNK: usize = 2048;
/// Places of each ring; a power of two.
const ENTRIES: u32 = 128;

/// How long the queue may be taken by a socket that is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// A socket with its rings, and packets in its memory.
pub(super) struct Ring {
    socket: OwnedFd,
    transmit: Shared,
    completed: Shared,
    memory: Mapping,
    probes: Probes,
    next: usize,
}

impl Ring {
    /// Opens it on an interface of this namespace, and puts the packets into its memory.
    ///
    /// # Errors
    /// Where the kernel has no AF_XDP, and those of its calls.
    pub(super) fn open(interface: u32, probes: Probes) -> Result<Self> {
        // SAFETY: the call takes numbers only.
        let socket = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        ensure!(socket >= 0, "no AF_XDP: {}", io::Error::last_os_error());
        // SAFETY: the descriptor is new, and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let mut memory = Mapping::anonymous(probes.len() * CHUNK)?;
        for index in 0..probes.len() {
            let frame = probes.frame(index);
            memory.octets(index * CHUNK, frame.len()).copy_from_slice(frame);
        }
        let region = libc::xdp_umem_reg {
            addr: memory.start as u64,
            len: memory.length as u64,
            chunk_size: CHUNK as u32,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        set(&socket, libc::XDP_UMEM_REG, &region)?;
        for ring in [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_TX_RING] {
            set(&socket, ring, &ENTRIES)?;
        }
        let offsets = offsets(&socket)?;
        let transmit = Shared::map(
            &socket,
            libc::XDP_PGOFF_TX_RING,
            &offsets.tx,
            size_of::<libc::xdp_desc>(),
        )?;
        let at = libc::XDP_UMEM_PGOFF_COMPLETION_RING as libc::off_t;
        let completed = Shared::map(&socket, at, &offsets.cr, size_of::<u64>())?;
        bind(&socket, interface)?;
        Ok(Self { socket, transmit, completed, memory, probes, next: 0 })
    }

    /// Numbers and sends the next packets, and waits until the interface has taken them; returns how many it was.
    ///
    /// # Errors
    /// Those of `sendto(2)`.
    pub(super) fn send(&mut self) -> Result<f64> {
        let count = self.probes.at_once();
        let produced = self.transmit.producer().load(Ordering::Relaxed);
        for number in 0..count {
            let index = self.next;
            self.next = (index + 1) % self.probes.len();
            let length = self.probes.frame(index).len();
            self.probes.stamp(index, self.memory.octets(index * CHUNK, length));
            let descriptor =
                libc::xdp_desc { addr: (index * CHUNK) as u64, len: length as u32, options: 0 };
            self.transmit.put(produced.wrapping_add(number as u32), descriptor);
        }
        let end = produced.wrapping_add(count as u32);
        self.transmit.producer().store(end, Ordering::Release);
        while self.completed.producer().load(Ordering::Acquire) != end {
            self.kick()?;
        }
        self.completed.consumer().store(end, Ordering::Release);
        Ok(count as f64)
    }

    /// Has the kernel send what is in the ring, or some of it.
    fn kick(&self) -> Result<()> {
        let (descriptor, flags) = (self.socket.as_raw_fd(), libc::MSG_DONTWAIT);
        // SAFETY: the call is given no memory.
        let result = unsafe { libc::sendto(descriptor, ptr::null(), 0, flags, ptr::null(), 0) };
        let error = io::Error::last_os_error();
        // There is more than it sends at once.
        let is_busy = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY));
        ensure!(result >= 0 || is_busy, "cannot send: {error}");
        Ok(())
    }
}

/// A ring that is shared with the kernel.
struct Shared {
    mapping: Mapping,
    producer: usize,
    consumer: usize,
    entries: usize,
}

impl Shared {
    fn map(
        socket: &OwnedFd,
        at: libc::off_t,
        offsets: &libc::xdp_ring_offset,
        entry: usize,
    ) -> Result<Self> {
        let entries = offsets.desc as usize;
        let mapping = Mapping::shared(socket, at, entries + ENTRIES as usize * entry)?;
        let (producer, consumer) = (offsets.producer as usize, offsets.consumer as usize);
        Ok(Self { mapping, producer, consumer, entries })
    }

    fn producer(&self) -> &AtomicU32 {
        self.mapping.number(self.producer)
    }

    fn consumer(&self) -> &AtomicU32 {
        self.mapping.number(self.consumer)
    }

    /// Writes an entry of a ring of descriptors.
    fn put(&self, number: u32, descriptor: libc::xdp_desc) {
        let index = (number % ENTRIES) as usize;
        // SAFETY: the mapping has room for all entries behind this offset, and the kernel reads this one only once
        // the producer's number has gone beyond it.
        unsafe {
            let entries = self.mapping.start.add(self.entries).cast::<libc::xdp_desc>();
            entries.add(index).write(descriptor);
        }
    }
}

/// Mapped memory, which goes when it is dropped.
struct Mapping {
    start: *mut u8,
    length: usize,
}

// SAFETY: it owns the memory, as a box does; nothing in it belongs to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn anonymous(length: usize) -> Result<Self> {
        Self::new(-1, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, 0, length)
    }

    fn shared(socket: &OwnedFd, at: libc::off_t, length: usize) -> Result<Self> {
        Self::new(socket.as_raw_fd(), libc::MAP_SHARED | libc::MAP_POPULATE, at, length)
    }

    fn new(descriptor: i32, flags: i32, at: libc::off_t, length: usize) -> Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses where; no memory of ours is touched.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, descriptor, at) };
        ensure!(start != libc::MAP_FAILED, "cannot map memory: {}", io::Error::last_os_error());
        Ok(Self { start: start.cast(), length })
    }

    /// Some octets, which the kernel only reads, and not now.
    fn octets(&mut self, at: usize, length: usize) -> &mut [u8] {
        assert!(at + length <= self.length, "no memory at {at}");
        // SAFETY: they lie in the mapping, and `self` is borrowed as long as they are.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), length) }
    }

    /// A number that the kernel writes, or reads.
    fn number(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4) && at + 4 <= self.length, "no number at {at}");
        // SAFETY: it lies in the mapping, which pages align, and both sides take it atomically.
        unsafe { AtomicU32::from_ptr(self.start.add(at).cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing leads into it any more.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}

/// Sets an option of the socket.
fn set<T>(socket: &OwnedFd, option: i32, value: &T) -> Result<()> {
    // SAFETY: the call reads the value, which outlives it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            option,
            (&raw const *value).cast(),
            size_of::<T>() as u32,
        )
    };
    ensure!(result == 0, "option {option} of AF_XDP: {}", io::Error::last_os_error());
    Ok(())
}

/// Where the parts of each ring are.
fn offsets(socket: &OwnedFd) -> Result<libc::xdp_mmap_offsets> {
    // SAFETY: all zeros is a value: of numbers only.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::xdp_mmap_offsets>() as u32;
    // SAFETY: the call writes at most `length` octets to a value of that size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_MMAP_OFFSETS,
            (&raw mut offsets).cast(),
            &raw mut length,
        )
    };
    ensure!(result == 0, "no offsets of the rings: {}", io::Error::last_os_error());
    Ok(offsets)
}

/// Binds to the first queue of an interface, in copy mode. The kernel takes a socket that was closed off the queue
/// a little later.
fn bind(socket: &OwnedFd, interface: u32) -> Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: libc::XDP_COPY,
        sxdp_ifindex: interface,
        sxdp_queue_id: 0,
        sxdp_shared_umem_fd: 0,
    };
    let length = size_of::<libc::sockaddr_xdp>() as u32;
    let deadline = clock::now() + PATIENCE;
    loop {
        // SAFETY: the call reads the address, which outlives it.
        let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
        let error = io::Error::last_os_error();
        if result == 0 {
            return Ok(());
        }
        if error.raw_os_error() != Some(libc::EBUSY) || clock::now() >= deadline {
            return Err(error).context("cannot bind AF_XDP to the interface");
        }
        thread::sleep(Duration::from_millis(5));
    }
}
