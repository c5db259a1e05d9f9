//! The arrays that whoever moves packets shares with the agent, without a system call: memory-mapped maps
//! of the kernel.

use std::{
    fs::File,
    io,
    marker::PhantomData,
    mem::size_of,
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use aya::{Ebpf, maps::Map};
use memmap2::{MmapOptions, MmapRaw};
use probe_ebpf::{
    hmac::Key,
    maps::{Arrivals, Config, Counters, Session, Slot, SlotState, name},
};

use super::Error;
use crate::{account, verdict::Nanos};

/// All of them.
pub(super) struct Memory {
    pub(super) config: Array<Config>,
    pub(super) sessions: Array<Session>,
    pub(super) slots: Array<Slot>,
    pub(super) arrivals: Array<Arrivals>,
    pub(super) counters: Array<Counters>,
    pub(super) keys: Array<Key>,
}

impl Memory {
    /// Maps those of the kernel programs.
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, Error> {
        Ok(Self {
            config: Array::open(ebpf, name::CONFIG)?,
            sessions: Array::open(ebpf, name::SESSIONS)?,
            slots: Array::open(ebpf, name::SLOTS)?,
            arrivals: Array::open(ebpf, name::ARRIVALS)?,
            counters: Array::open(ebpf, name::COUNTERS)?,
            keys: Array::open(ebpf, name::KEYS)?,
        })
    }

    /// What is remembered of one session, which has so many slots.
    pub(super) const fn session(&self, ssid: u16, slots: u32) -> SessionMemory<'_> {
        SessionMemory {
            session: &self.sessions,
            slots: &self.slots,
            ssid: ssid as usize,
            count: slots as usize,
        }
    }
}

/// A memory-mapped BPF array of `T`, which has no padding and for which all bits are valid.
pub(super) struct Array<T> {
    memory: Arc<MmapRaw>,
    length: usize,
    elements: PhantomData<T>,
}

/// A type that the kernel and the agent may share in memory.
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
// SAFETY: as above.
unsafe impl Shared for Arrivals {}
// SAFETY: as above.
unsafe impl Shared for Counters {}
// SAFETY: as above.
unsafe impl Shared for Key {}

impl<T: Shared> Array<T> {
    /// Maps the array with this name.
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

    /// The same array once more, for another thread.
    pub(super) fn share(&self) -> Self {
        Self { memory: Arc::clone(&self.memory), length: self.length, elements: PhantomData }
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// A copy of an element. The kernel may be writing it: single fields are whole, more is not said.
    pub(super) fn read(&self, index: usize) -> T {
        // SAFETY: `at` gives a valid, aligned pointer, and every pattern of bits is a `T`.
        unsafe { self.at(index).read_volatile() }
    }

    /// Changes an element.
    pub(super) fn write(&mut self, index: usize, change: impl FnOnce(T) -> T) {
        let element = self.at(index);
        // SAFETY: as in `read`; `&mut self` keeps other writers of this process out.
        unsafe { element.write_volatile(change(element.read_volatile())) };
    }

    /// Writes the field at an offset into an element, and leaves the others to the kernel. Panics where
    /// the element has no room for it there.
    pub(super) fn write_field<F: Copy>(&mut self, index: usize, offset: usize, value: F) {
        assert!(
            offset + size_of::<F>() <= size_of::<T>() && offset.is_multiple_of(align_of::<F>())
        );
        // SAFETY: `at` gives a valid pointer, aligned for all of `T`, and the field lies inside.
        unsafe { self.at(index).byte_add(offset).cast::<F>().write_volatile(value) };
    }

    /// A pointer to an element; panics beyond the end, as a slice does.
    fn at(&self, index: usize) -> *mut T {
        assert!(index < self.length, "element {index} of {}", self.length);
        // SAFETY: the mapping has `length` elements, and pages are aligned for all of them.
        unsafe { self.memory.as_mut_ptr().cast::<T>().add(index) }
    }
}

/// What the replies of a session had to say, besides its slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replies {
    /// Second replies to the same test packet.
    pub duplicates: u32,
    /// Replies that came behind the reply to a later test packet.
    pub reordered: u32,
    /// Error Estimate of the reflector's clock, as the last one has it.
    pub error_estimate: u16,
    /// TTL or Hop Limit with which the reflector received the last probe that was answered.
    pub sender_ttl: u8,
}

/// What the kernel remembers of one session.
pub struct SessionMemory<'a> {
    session: &'a Array<Session>,
    slots: &'a Array<Slot>,
    ssid: usize,
    count: usize,
}

impl SessionMemory<'_> {
    /// What its replies had to say, besides the slots.
    #[must_use]
    pub fn replies(&self) -> Replies {
        let session = self.session.read(self.ssid);
        Replies {
            duplicates: session.duplicates,
            reordered: session.reordered,
            error_estimate: session.reflector_error_estimate,
            sender_ttl: session.sender_ttl,
        }
    }

    fn slot_at(&self, sequence: u32) -> *mut Slot {
        self.slots.at(self.ssid * self.count + (sequence as usize & (self.count - 1)))
    }

    fn state(&self, sequence: u32) -> &AtomicU32 {
        // SAFETY: the pointer is valid as long as the mapping, which `self` borrows, and `state` is
        // aligned; the kernel writes it by atomic exchange.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.slot_at(sequence)).state) }
    }
}

impl account::Memory for SessionMemory<'_> {
    fn sent(&self) -> u32 {
        // SAFETY: a valid, aligned pointer into the mapping; the kernel counts atomically.
        let sent = unsafe { AtomicU32::from_ptr(&raw mut (*self.session.at(self.ssid)).sent) };
        sent.load(Ordering::Acquire)
    }

    fn answered(&self) -> u64 {
        self.session.read(self.ssid).answered
    }

    fn answered_at(&self) -> Nanos {
        self.session.read(self.ssid).answered_at
    }

    fn slot(&self, sequence: u32) -> Slot {
        // The state is published last, so it is read first.
        let state = self.state(sequence).load(Ordering::Acquire);
        // SAFETY: a valid, aligned pointer into the mapping; every pattern of bits is a slot.
        let slot = unsafe { self.slot_at(sequence).read_volatile() };
        Slot { state, ..slot }
    }

    fn close(&self, sequence: u32) -> bool {
        // SAFETY: as in `slot`.
        let held = unsafe { (&raw const (*self.slot_at(sequence)).sequence).read_volatile() };
        if held != sequence {
            // A later probe has taken the slot; this one can no longer be answered.
            return true;
        }
        let (sent, lost) = (SlotState::Sent as u32, SlotState::Lost as u32);
        let exchange =
            self.state(sequence).compare_exchange(sent, lost, Ordering::AcqRel, Ordering::Acquire);
        exchange.is_ok() || exchange == Err(lost)
    }
}
