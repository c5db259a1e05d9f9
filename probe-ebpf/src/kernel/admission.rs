//! For whom the reflector works: the sessions that it knows, whom it gets to know, and how much of it one
//! source may have.
//!
//! A session that is new lives in a table where the least recently used one makes room. Once it has
//! lasted it moves to another table, from which only the agent removes what has gone silent. So a flood
//! of new sessions pushes out other new ones, and never one that lasts.

use core::ptr::addr_of_mut;

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_NOEXIST},
    macros::map,
    maps::{Array, HashMap, LpmTrie, LruHashMap, lpm_trie::Key as Prefix},
};
use probe_ebpf::{
    frame::Address,
    maps::{
        ALLOWANCE, Arrivals, Config, Counter, Line, NO_PEER, PEER_AUTHENTICATED, ReflectorKey,
        ReflectorSession, Source, Way, config_flag,
    },
};

use super::{code, given, outcome, state};

/// How many sessions each of the tables holds.
const SESSIONS: u32 = 65_536;

/// A session has lasted once it has been there for this time and for [`LASTING_REQUESTS`].
const LASTING_NANOS: u64 = 1_000_000_000;
const LASTING_REQUESTS: u32 = 4;

#[map]
static REFLECTOR: HashMap<ReflectorKey, ReflectorSession> = HashMap::with_max_entries(SESSIONS, 0);
#[map]
static NEWCOMERS: LruHashMap<ReflectorKey, ReflectorSession> =
    LruHashMap::with_max_entries(SESSIONS, 0);
#[map]
static SOURCES: LruHashMap<Address, Source> = LruHashMap::with_max_entries(SESSIONS, 0);
#[map]
static ALLOWED: LpmTrie<Address, u32> = LpmTrie::with_max_entries(65_536, BPF_F_NO_PREALLOC);
#[map]
static PEERS: HashMap<Address, u32> = HashMap::with_max_entries(1, 0);
#[map]
static WAYS: HashMap<Way, u32> = HashMap::with_max_entries(1, 0);
#[map]
static ARRIVALS: Array<Line<Arrivals>> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// A request before the reflector's tables.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Visit {
    pub(crate) id: ReflectorKey,
    /// When the request came, `CLOCK_MONOTONIC` in nanoseconds.
    pub(crate) at: u64,
    /// Index of the key that it is signed with; 0 for none. [`Visit::knock`] puts in the one that the
    /// session has used before.
    pub(crate) key: u32,
    /// The number of the reply.
    pub(crate) sequence: u32,
    /// DSCP and ECN with which the reply goes out.
    pub(crate) traffic_class: u8,
    /// Fills up the word.
    pub(crate) reserved: [u8; 3],
    /// Index of the interface that the request came by.
    pub(crate) interface: u32,
}

impl Visit {
    /// Asks whether the request may be answered.
    #[inline(always)]
    pub(crate) fn knock(&mut self) -> Result<(), Counter> {
        outcome(linkprobe_knock(self))
    }

    /// Takes the request in: notes its session, and gives the reply its number.
    #[inline(always)]
    pub(crate) fn enter(&mut self) -> Result<(), Counter> {
        outcome(linkprobe_enter(self))
    }

    /// Both, at the price of one.
    #[inline(always)]
    pub(crate) fn knock_and_enter(&mut self) -> Result<(), Counter> {
        outcome(linkprobe_knock_and_enter(self))
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_knock(visit: *mut Visit) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let visit = unsafe { given(visit) }?;
        let config = state::config().ok_or(Counter::TableFull)?;
        may_enter(visit, Known::find(&visit.id), config)
    })
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_enter(visit: *mut Visit) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let visit = unsafe { given(visit) }?;
        let config = state::config().ok_or(Counter::TableFull)?;
        take_in(visit, Known::find(&visit.id), config)
    })
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_knock_and_enter(visit: *mut Visit) -> i32 {
    code(|| {
        // SAFETY: what the verifier has seen to.
        let visit = unsafe { given(visit) }?;
        let config = state::config().ok_or(Counter::TableFull)?;
        let known = Known::find(&visit.id);
        may_enter(visit, known, config)?;
        take_in(visit, known, config)
    })
}

/// Whether a request may be answered: it is for this host, from somebody whom we answer, and not one too
/// many. What is known of a session need not be asked again.
#[inline(always)]
fn may_enter(visit: &mut Visit, known: Known, config: &Config) -> Result<(), Counter> {
    if !known.is_current(config) {
        super::ours(&visit.id.destination)?;
        if !is_allowed(&visit.id.source, config) {
            return Err(Counter::NotAllowed);
        }
    }
    if !within_rate(&visit.id.source, known, config, visit.at) {
        return Err(Counter::RateLimited);
    }
    visit.key = known.key();
    Ok(())
}

/// Notes the session of a request, and gives the reply its number.
#[inline(always)]
fn take_in(visit: &mut Visit, known: Known, config: &Config) -> Result<(), Counter> {
    let session = known.or_new(&visit.id, visit.at).ok_or(Counter::TableFull)?;
    // SAFETY: the map gave the pointer; the element stays readable while the program runs, even if
    // another CPU evicts it. Two CPUs may write here at once, but both write the same.
    let peer = unsafe {
        if (*session).generation != config.generation || (*session).interface != visit.interface {
            (*session).peer = counted(&visit.id.source, visit.interface);
            (*session).interface = visit.interface;
            (*session).generation = config.generation;
        }
        (*session).key = visit.key;
        (*session).last_at = visit.at;
        visit.sequence = state::next_u32(addr_of_mut!((*session).next_sequence));
        (*session).peer
    };
    if peer != NO_PEER {
        note_arrival(peer & !PEER_AUTHENTICATED, visit.at);
    }
    Ok(())
}

/// What is known of the session of a request.
#[derive(Clone, Copy)]
enum Known {
    /// It has lasted.
    Lasting(*mut ReflectorSession),
    /// It has only begun.
    Newcomer(*mut ReflectorSession),
    /// Nothing.
    Nothing,
}

impl Known {
    /// Looks a session up.
    #[inline(always)]
    fn find(id: &ReflectorKey) -> Self {
        if let Some(session) = REFLECTOR.get_ptr_mut(id) {
            return Self::Lasting(session);
        }
        NEWCOMERS.get_ptr_mut(id).map_or(Self::Nothing, Self::Newcomer)
    }

    #[inline(always)]
    const fn session(self) -> Option<*mut ReflectorSession> {
        match self {
            Self::Lasting(session) | Self::Newcomer(session) => Some(session),
            Self::Nothing => None,
        }
    }

    /// Whether what the session remembers was looked up in the maps as they are now.
    #[inline(always)]
    fn is_current(self, config: &Config) -> bool {
        // SAFETY: the map gave the pointer.
        self.session().is_some_and(|session| unsafe { (*session).generation == config.generation })
    }

    /// Index of the key that the session's last request was signed with; 0 for none.
    #[inline(always)]
    fn key(self) -> u32 {
        // SAFETY: as above.
        self.session().map_or(0, |session| unsafe { (*session).key })
    }

    /// The session: noted if it is new, moved if it has lasted by now.
    #[inline(always)]
    fn or_new(self, id: &ReflectorKey, now: u64) -> Option<*mut ReflectorSession> {
        match self {
            Self::Lasting(session) => Some(session),
            Self::Newcomer(session) => Some(promoted(id, session, now).unwrap_or(session)),
            Self::Nothing => begin(id, now),
        }
    }
}

/// Notes a new session. Where another CPU was faster, its session stands.
#[inline(always)]
fn begin(id: &ReflectorKey, now: u64) -> Option<*mut ReflectorSession> {
    let session = ReflectorSession { since: now, ..ReflectorSession::default() };
    // The error is that of a race or of a full table; the look-up tells which.
    NEWCOMERS.insert(id, session, u64::from(BPF_NOEXIST)).ok();
    NEWCOMERS.get_ptr_mut(id)
}

/// The session in the table of those that last, if it has lasted and there is room.
#[inline(always)]
fn promoted(
    id: &ReflectorKey,
    session: *mut ReflectorSession,
    now: u64,
) -> Option<*mut ReflectorSession> {
    // SAFETY: the map gave the pointer.
    let begun = unsafe { *session };
    let lasts =
        begun.next_sequence >= LASTING_REQUESTS && now.saturating_sub(begun.since) >= LASTING_NANOS;
    if !lasts {
        return None;
    }
    REFLECTOR.insert(id, begun, u64::from(BPF_NOEXIST)).ok()?;
    NEWCOMERS.remove(id).ok();
    REFLECTOR.get_ptr_mut(id)
}

/// Whether a source may have one more request answered, and takes it from its allowance. New sessions
/// get no more than half of that, so that those which last always find theirs.
#[inline(always)]
fn within_rate(source: &Address, known: Known, config: &Config, now: u64) -> bool {
    if config.source_cost == 0 {
        return true;
    }
    let Some(bucket) = SOURCES.get_ptr_mut(source) else {
        let bucket = Source { busy_until: now + config.source_cost };
        // Where there is no room, nothing is held against it.
        SOURCES.insert(source, bucket, u64::from(BPF_ANY)).ok();
        return true;
    };
    let allowance = if matches!(known, Known::Lasting(_)) { ALLOWANCE } else { ALLOWANCE / 2 };
    // SAFETY: the map gave the pointer. CPUs may overwrite one another's request here: the limit is
    // one of load, not an account.
    unsafe {
        let busy_until = (*bucket).busy_until.max(now) + config.source_cost;
        let within = busy_until - now <= allowance;
        if within {
            (*bucket).busy_until = busy_until;
        }
        within
    }
}

/// Whether the list of those for whom we reflect has an address. Our own peers always are on it.
#[inline(always)]
fn is_allowed(source: &Address, config: &Config) -> bool {
    config.flags & config_flag::ALLOW_LIST == 0 || is_listed(source) || peer(source) != NO_PEER
}

/// Whether a prefix on the list covers an address.
#[inline(always)]
fn is_listed(source: &Address) -> bool {
    /// A key of the trie, behind a word that puts its address on a boundary of the stack.
    #[repr(C)]
    struct Aligned {
        padding: u32,
        prefix_length: u32,
        address: Address,
    }
    let key = Aligned { padding: 0, prefix_length: 128, address: *source };
    // SAFETY: a `Prefix` is a length and an address behind it, without alignment; the trie only reads.
    let prefix = unsafe { &*(&raw const key.prefix_length).cast::<Prefix<Address>>() };
    let _ = key.padding;
    ALLOWED.get(prefix).is_some()
}

/// Whether requests from an address must be authenticated.
#[inline(always)]
pub(crate) fn must_authenticate(source: &Address, config: &Config) -> bool {
    if config.flags & config_flag::AUTHENTICATED_ONLY != 0 {
        return true;
    }
    if config.flags & config_flag::AUTHENTICATED_PEERS == 0 {
        return false;
    }
    let peer = peer(source);
    peer != NO_PEER && peer & PEER_AUTHENTICATED != 0
}

/// Index of the peer with this address, with [`PEER_AUTHENTICATED`] if it is to be; or [`NO_PEER`].
#[inline(always)]
fn peer(address: &Address) -> u32 {
    // SAFETY: the agent writes an element once, before it raises the generation.
    unsafe { PEERS.get(address) }.copied().unwrap_or(NO_PEER)
}

/// Index under which the probes of an address count that come by an interface; or [`NO_PEER`].
#[inline(always)]
fn counted(address: &Address, interface: u32) -> u32 {
    let way = Way { peer: *address, interface, reserved: 0 };
    // SAFETY: as above.
    unsafe { WAYS.get(way) }.copied().unwrap_or_else(|| peer(address))
}

/// Notes that a peer's probe came.
#[inline(always)]
fn note_arrival(peer: u32, now: u64) {
    let Some(arrivals) = ARRIVALS.get_ptr_mut(peer) else { return };
    // SAFETY: the kernel gave a pointer to a whole element.
    unsafe {
        state::increment(addr_of_mut!((*arrivals).0.packets));
        addr_of_mut!((*arrivals).0.last_at).write_volatile(now);
    }
}
