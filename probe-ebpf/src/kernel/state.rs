//! The maps, and the few ways in which the programs use them.

use core::{
    hint::black_box,
    intrinsics::{AtomicOrdering, atomic_xadd, atomic_xchg},
    ptr::addr_of_mut,
};

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    helpers::bpf_get_smp_processor_id,
    macros::map,
    maps::{Array, HashMap},
};
use probe_ebpf::{
    frame::Address,
    hmac::Key,
    maps::{Config, Counter, Counters, MAX_KEYS, Session, Slot, SlotState, Tuple},
};

// The agent sets the sizes that depend on its config before it loads the object.

#[map]
static CONFIG: Array<Config> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static SESSIONS: Array<Session> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static SLOTS: Array<Slot> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static TUPLES: HashMap<Tuple, u32> = HashMap::with_max_entries(1, 0);
#[map]
static KEYS: Array<Key> = Array::with_max_entries(MAX_KEYS + 1, BPF_F_MMAPABLE);
#[map]
static COUNTERS: Array<Counters> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static LOCAL_ADDRESSES: HashMap<Address, u32> =
    HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// The config; it is always there, but the verifier wants to be told.
#[inline(always)]
pub(crate) fn config() -> Option<&'static Config> {
    CONFIG.get(0)
}

/// A session of ours that runs.
#[inline(always)]
pub(crate) fn session(ssid: u16) -> Option<*mut Session> {
    let session = SESSIONS.get_ptr_mut(u32::from(ssid))?;
    // SAFETY: the kernel gave a pointer to a whole element, which lives as long as the program.
    (unsafe { (*session).active } != 0).then_some(session)
}

/// The SSID of the session that replies with these addresses and ports belong to; 0 if there is none.
#[inline(always)]
pub(crate) fn ssid_of(tuple: &Tuple) -> u16 {
    // SAFETY: the agent writes an element once, before it starts the session.
    unsafe { TUPLES.get(tuple) }.map_or(0, |ssid| *ssid as u16)
}

/// The key with this index.
#[inline(always)]
pub(crate) fn key(index: u32) -> Option<&'static Key> {
    KEYS.get(index)
}

/// The slot of a test packet.
#[inline(always)]
pub(crate) fn slot(config: &Config, ssid: u16, sequence: u32) -> Option<*mut Slot> {
    let slots = config.slot_mask + 1;
    SLOTS.get_ptr_mut(u32::from(ssid) * slots + (sequence & config.slot_mask))
}

/// Publishes a slot's state after its other fields, for the agent on another CPU.
///
/// # Safety
/// `slot` is a pointer to an element of the map.
#[inline(always)]
pub(crate) unsafe fn publish(slot: *mut Slot, state: SlotState) {
    // SAFETY: the caller's promise. An atomic exchange is a full barrier in the BPF memory model.
    unsafe {
        atomic_xchg::<u32, { AtomicOrdering::SeqCst }>(addr_of_mut!((*slot).state), state as u32)
    };
}

/// Adds one to a number that several CPUs may count, and returns what it was.
///
/// # Safety
/// `number` points into an element of a map.
#[inline(always)]
pub(crate) unsafe fn next_u32(number: *mut u32) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { atomic_xadd::<u32, u32, { AtomicOrdering::SeqCst }>(number, 1) }
}

/// The same for 64 bits.
///
/// # Safety
/// `number` points into an element of a map.
#[inline(always)]
pub(crate) unsafe fn increment(number: *mut u64) {
    // SAFETY: the caller's promise.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(number, 1) };
}

/// Counts a packet.
#[inline(always)]
pub(crate) fn count(counter: Counter) {
    // SAFETY: the helper has no arguments and no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let Some(counters) = COUNTERS.get_ptr_mut(cpu) else { return };
    // The compiler knows that no counter has a greater number; the verifier has to be told.
    let index = black_box(counter as usize) & (Counters::LENGTH - 1);
    // SAFETY: the kernel gave a pointer to a whole element, and the mask keeps the index inside. Only
    // this CPU writes it, and of the two programs that may interrupt one another each has counters of
    // its own.
    unsafe {
        let number = addr_of_mut!((*counters).0).cast::<u64>().add(index);
        number.write_volatile(number.read_volatile() + 1);
    }
}

/// Whether an address is one of this host's.
#[inline(always)]
pub(crate) fn is_local(address: &Address) -> bool {
    // SAFETY: only the presence of the key matters; the value is not read.
    unsafe { LOCAL_ADDRESSES.get(address) }.is_some()
}
