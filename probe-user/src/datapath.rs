//! The BPF programs and their maps: what moves probes without userspace.
//!
//! - [`attach`]: programs on interfaces, and what is in their way.
//! - [`memory`]: the memory-mapped arrays.
//! - [`clock`]: the times that the kernel programs cannot know.
//! - [`addresses`]: which addresses are this host's.
//! - [`deferred`]: what the kernel hands to the userspace reflector.
//! - `tables`: the hash maps.
//!
//! Nothing is pinned. Programs and links live as long as the process, however it ends (on kernels
//! without TCX, from 6.1 to 6.5, the TC filter stays behind a kill and is replaced at the next start).

pub mod addresses;
pub mod attach;
pub mod clock;
pub mod deferred;
pub mod memory;
mod tables;

use std::{collections::BTreeSet, io, mem::offset_of, net::SocketAddr};

use aya::{Ebpf, EbpfLoader, maps::MapError, util::nr_cpus};
use probe_ebpf::{
    frame::Address,
    hmac::Key,
    maps::{
        Arrivals, Config, Counter, Counters, MAX_KEYS, MAX_SESSIONS, PEER_AUTHENTICATED, Session,
        Slot, Tuple, config_flag, name, session_flag,
    },
    ntp::{Format, NANOS_PER_SECOND},
};

use attach::{Attachment, attach};
use memory::{Array, SessionMemory};
use tables::Tables;

use crate::{prefix::Prefix, verdict::Nanos};

/// The kernel programs, as the build script made them.
static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("LINKPROBE_OBJECTS"), "/linkprobe-bpf"));

/// Why the datapath cannot be had, or cannot do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused the object.
    #[error("cannot load the BPF programs: {0}{hint}", hint = privileges())]
    Load(#[from] aya::EbpfError),
    /// The kernel refused a program.
    #[error("the kernel refused the BPF program `{program}`: {source}{hint}", hint = privileges())]
    Verify {
        /// Its name.
        program: &'static str,
        /// What the kernel said.
        source: Box<aya::programs::ProgramError>,
    },
    /// A program cannot be attached.
    #[error(transparent)]
    Attach(#[from] attach::Error),
    /// A map cannot be written.
    #[error("cannot write the BPF map {map}: {source}")]
    Map {
        /// Its name.
        map: &'static str,
        /// What the kernel said.
        source: MapError,
    },
    /// A map cannot be mapped into memory.
    #[error("cannot map the BPF map {map} into memory: {source}")]
    Memory {
        /// Its name.
        map: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The addresses of the host cannot be found out.
    #[error("cannot list the addresses of this host: {0}")]
    Addresses(io::Error),
    /// The object lacks something: it was not built from the same source.
    #[error("the BPF object has no `{0}`")]
    Missing(&'static str),
}

fn privileges() -> &'static str {
    // SAFETY: the call has no arguments and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        ""
    } else {
        "; this needs root, or the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
    }
}

/// What the kernel programs are told when they are loaded.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many sessions there is room for, SSID 0 not counted; at most 65,535.
    pub sessions: u32,
    /// Slots for each of them; a power of two.
    pub slots: u32,
    /// How many peers there is room for.
    pub peers: u32,
    /// UDP port of the Session-Reflector; 0 for none.
    pub reflector_port: u16,
    /// The first UDP port that sessions send from.
    pub first_source_port: u16,
    /// How many there are.
    pub source_ports: u16,
    /// The format of our timestamps.
    pub timestamps: Format,
}

/// The keys of a session, by index; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionKeys {
    /// Signs, and verifies replies. Without it, the session is unauthenticated.
    pub key: u8,
    /// Verifies replies besides, for a reflector that still signs with the key before.
    pub previous: u8,
}

/// How the Session-Reflector works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReflectorOptions {
    /// It copies the Sequence Number and does not count by itself (RFC 8762, section 4.3).
    pub stateless: bool,
    /// It answers authenticated requests only.
    pub authenticated_only: bool,
    /// Requests per second that it answers to one source; `None` for no limit.
    pub rate: Option<u32>,
    /// Whom it answers, besides peers; `None` for everybody.
    pub allow: Option<Vec<Prefix>>,
    /// Somebody reads [`Datapath::take_queue`]: what the kernel cannot answer goes there.
    pub defer: bool,
}

/// Programs that are loaded, and attached to some interfaces.
pub struct Datapath {
    ebpf: Ebpf,
    options: Options,
    attachments: Vec<Attachment>,
    config: Array<Config>,
    sessions: Array<Session>,
    slots: Array<Slot>,
    arrivals: Array<Arrivals>,
    counters: Array<Counters>,
    keys: Array<Key>,
    tables: Tables,
    local: BTreeSet<Address>,
    /// The addresses of peers that must authenticate.
    authenticated: BTreeSet<Address>,
}

impl Datapath {
    /// Loads the programs, and attaches nothing yet.
    ///
    /// # Errors
    /// Where the kernel refuses, for want of privileges most of the time.
    pub fn load(options: Options) -> Result<Self, Error> {
        let sessions = (options.sessions + 1).min(MAX_SESSIONS);
        let cpus = nr_cpus().map_or(1, |cpus| cpus as u32);
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(name::SESSIONS, sessions)
            .map_max_entries(name::SLOTS, sessions * options.slots)
            .map_max_entries(name::ARRIVALS, options.peers.max(1))
            .map_max_entries(name::PEERS, options.peers.max(1))
            .map_max_entries(name::TUPLES, sessions)
            .map_max_entries(name::COUNTERS, cpus)
            .load(OBJECT)?;
        let datapath_config = Array::<Config>::open(&mut ebpf, name::CONFIG)?;
        attach::load(&mut ebpf)?;
        let mut datapath = Self {
            config: datapath_config,
            sessions: Array::open(&mut ebpf, name::SESSIONS)?,
            slots: Array::open(&mut ebpf, name::SLOTS)?,
            arrivals: Array::open(&mut ebpf, name::ARRIVALS)?,
            counters: Array::open(&mut ebpf, name::COUNTERS)?,
            keys: Array::open(&mut ebpf, name::KEYS)?,
            tables: Tables::open(&mut ebpf)?,
            ebpf,
            options,
            attachments: Vec::new(),
            local: BTreeSet::new(),
            authenticated: BTreeSet::new(),
        };
        datapath.config.write(0, |config| Config {
            slot_mask: options.slots - 1,
            reflector_port: options.reflector_port,
            first_source_port: options.first_source_port,
            source_ports: options.source_ports,
            generation: 1,
            flags: match options.timestamps {
                Format::Ntp => 0,
                Format::Ptp => config_flag::PTP,
            },
            ..config
        });
        datapath.refresh_clock();
        Ok(datapath)
    }

    /// Attaches both programs to an interface, in native mode where its driver has it.
    ///
    /// # Errors
    /// Where there is no such interface, or another XDP program is on it.
    pub fn attach(&mut self, interface: &str) -> Result<&Attachment, Error> {
        let attachment = attach(&mut self.ebpf, interface)?;
        self.attachments.push(attachment);
        Ok(&self.attachments[self.attachments.len() - 1])
    }

    /// Looks whether the interfaces are still the ones that were attached to, and attaches to those
    /// that were made anew under the same name. Returns what was done, for the log.
    pub fn reattach(&mut self) -> Vec<Result<String, Error>> {
        let mut done = Vec::new();
        for index in 0..self.attachments.len() {
            let Some(interface) = self.attachments[index].replaced() else { continue };
            done.push(match attach(&mut self.ebpf, &interface) {
                Ok(attachment) => {
                    self.attachments[index] = attachment;
                    Ok(interface)
                }
                Err(error) => Err(error),
            });
        }
        done
    }

    /// Where the programs are.
    #[must_use]
    pub fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    /// Tells the kernel programs the time of day and the quality of the clock. Wanted every second
    /// or so, since the clock is being disciplined.
    pub fn refresh_clock(&mut self) {
        let format = self.options.timestamps;
        let (realtime_offset, quality) = (clock::offset(format), clock::Quality::now());
        self.config.write(0, |config| Config {
            realtime_offset,
            error_estimate: quality.error_estimate(format),
            synchronisation_source: quality.synchronisation_source(),
            ..config
        });
    }

    /// Says how the reflector works from now on.
    ///
    /// # Errors
    /// Where the map of allowed prefixes cannot be written.
    pub fn set_reflector(&mut self, options: &ReflectorOptions) -> Result<(), Error> {
        self.tables.set_allowed(options.allow.as_deref().unwrap_or_default())?;
        let flags = [
            (options.stateless, config_flag::STATELESS),
            (options.authenticated_only, config_flag::AUTHENTICATED_ONLY),
            (options.allow.is_some(), config_flag::ALLOW_LIST),
            (options.defer, config_flag::DEFER),
        ];
        let source_cost = options.rate.map_or(0, |rate| NANOS_PER_SECOND / u64::from(rate.max(1)));
        self.config.write(0, |config| Config {
            source_cost,
            flags: flags.into_iter().fold(
                config.flags,
                |all, (set, flag)| {
                    if set { all | flag } else { all & !flag }
                },
            ),
            ..config
        });
        self.next_generation();
        Ok(())
    }

    /// Replaces the keys by these, each with its index from 1 to [`MAX_KEYS`]; other places are wiped.
    pub fn set_keys(&mut self, keys: &[(u8, Key)]) {
        for index in 1..=MAX_KEYS as usize {
            let new = keys.iter().find(|(place, _)| usize::from(*place) == index);
            let new = new.map_or_else(Key::default, |(_, key)| *key);
            self.keys.write(index, |_| new);
        }
    }

    /// Tells the kernel programs which addresses are this host's. Returns whether they have changed.
    ///
    /// # Errors
    /// Where they cannot be found out or written.
    pub fn refresh_addresses(&mut self) -> Result<bool, Error> {
        let addresses = addresses::local().map_err(Error::Addresses)?;
        if addresses == self.local {
            return Ok(false);
        }
        self.set_local_addresses(addresses)?;
        Ok(true)
    }

    /// Tells the kernel programs that these addresses, and no others, are this host's.
    ///
    /// # Errors
    /// Where the map cannot be written.
    pub fn set_local_addresses(&mut self, addresses: BTreeSet<Address>) -> Result<(), Error> {
        self.tables.set_local(&self.local, &addresses)?;
        self.local = addresses;
        self.next_generation();
        Ok(())
    }

    /// Tells the reflector which peer has which address; the number is the index of its
    /// [`Datapath::arrivals`]. Of a peer that is to be authenticated, nothing else counts.
    ///
    /// # Errors
    /// Where the map cannot be written.
    pub fn set_peer(
        &mut self,
        address: Address,
        index: u32,
        authenticated: bool,
    ) -> Result<(), Error> {
        let flag = if authenticated { PEER_AUTHENTICATED } else { 0 };
        self.tables.set_peer(address, index | flag)?;
        self.arrivals.write(index as usize, |_| Arrivals::default());
        self.note_authenticated(address, authenticated);
        self.next_generation();
        Ok(())
    }

    /// Makes the reflector forget a peer's address.
    pub fn remove_peer(&mut self, address: Address) {
        self.tables.remove_peer(address);
        self.note_authenticated(address, false);
        self.next_generation();
    }

    fn note_authenticated(&mut self, address: Address, authenticated: bool) {
        if authenticated {
            self.authenticated.insert(address);
        } else {
            self.authenticated.remove(&address);
        }
        let any = !self.authenticated.is_empty();
        self.config.write(0, |config| Config {
            flags: config.flags & !config_flag::AUTHENTICATED_PEERS
                | if any { config_flag::AUTHENTICATED_PEERS } else { 0 },
            ..config
        });
    }

    /// Makes the reflector forget sessions without a request since `before`, `CLOCK_MONOTONIC` in
    /// nanoseconds, and returns how many it had and how many of them are left.
    pub fn sweep(&mut self, before: Nanos) -> (usize, usize) {
        self.tables.sweep(before)
    }

    /// Probes of a peer that were reflected.
    #[must_use]
    pub fn arrivals(&self, index: u32) -> Arrivals {
        self.arrivals.read(index as usize)
    }

    /// Starts a session from sequence number 0.
    ///
    /// # Errors
    /// Where the map of tuples cannot be written; the session runs in any case.
    pub fn open_session(
        &mut self,
        ssid: u16,
        source_port: u16,
        reflector: SocketAddr,
        keys: SessionKeys,
    ) -> Result<(), Error> {
        let session = Session {
            peer: Address::from(reflector.ip()),
            peer_port: reflector.port(),
            source_port,
            key: keys.key,
            previous_key: keys.previous,
            ..Session::default()
        };
        self.sessions.write(usize::from(ssid), |_| session);
        let first = usize::from(ssid) * self.options.slots as usize;
        for slot in first..first + self.options.slots as usize {
            self.slots.write(slot, |_| Slot::default());
        }
        self.sessions.write(usize::from(ssid), |session| Session { active: 1, ..session });
        self.tables.set_tuple(tuple(&session), u32::from(ssid))
    }

    /// Signs a session's packets with another key from now on. It must be authenticated, and stay so.
    pub fn set_session_keys(&mut self, ssid: u16, keys: SessionKeys) {
        let SessionKeys { key, previous } = keys;
        // The other key first: at no moment is a reply to the last probe refused.
        let (index, previous_at) = (usize::from(ssid), offset_of!(Session, previous_key));
        self.sessions.write_field(index, previous_at, previous);
        self.sessions.write_field(index, offset_of!(Session, key), key);
    }

    /// Says whether the template of a session begins its TLVs with one of Direct Measurement (RFC 8972,
    /// section 4.5), for the TC program to fill in. To be said before the first packet.
    pub fn set_direct_measurement(&mut self, ssid: u16, is_first: bool) {
        let flags = if is_first { session_flag::DIRECT_MEASUREMENT } else { 0 };
        self.sessions.write_field(usize::from(ssid), offset_of!(Session, flags), flags);
    }

    /// Ends a session: its packets are no longer numbered, its replies no longer accepted.
    pub fn close_session(&mut self, ssid: u16) {
        let session = self.sessions.read(usize::from(ssid));
        self.sessions.write_field(usize::from(ssid), offset_of!(Session, active), 0_u32);
        self.tables.remove_tuple(tuple(&session), u32::from(ssid));
    }

    /// The queue for the userspace reflector; once.
    ///
    /// # Errors
    /// Where it has been taken already.
    pub fn take_queue(&mut self) -> Result<deferred::Queue, Error> {
        deferred::Queue::open(&mut self.ebpf)
    }

    /// What the kernel remembers of a session.
    #[must_use]
    pub fn session(&self, ssid: u16) -> SessionMemory<'_> {
        SessionMemory::new(&self.sessions, &self.slots, ssid, self.options.slots)
    }

    /// What it was loaded with.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// All counters, summed over the CPUs.
    #[must_use]
    pub fn counters(&self) -> Vec<(Counter, u64)> {
        let cpus: Vec<Counters> = (0..self.counters.len()).map(|i| self.counters.read(i)).collect();
        let sum = |counter: Counter| cpus.iter().map(|cpu| cpu.0[counter as usize]).sum();
        Counter::ALL.iter().map(|counter| (*counter, sum(*counter))).collect()
    }

    /// The XDP program, for tests that run it on packets of their own.
    ///
    /// # Errors
    /// Where the object lacks it.
    pub fn ingress(&mut self) -> Result<&mut aya::programs::Xdp, Error> {
        attach::ingress(&mut self.ebpf)
    }

    /// The TC program, for tests that run it on packets of their own.
    ///
    /// # Errors
    /// Where the object lacks it.
    pub fn egress(&mut self) -> Result<&mut aya::programs::SchedClassifier, Error> {
        attach::egress(&mut self.ebpf)
    }

    fn next_generation(&mut self) {
        self.config.write(0, |config| Config {
            generation: config.generation.wrapping_add(1).max(1),
            ..config
        });
    }
}

/// What stands in the headers of a session's replies.
const fn tuple(session: &Session) -> Tuple {
    Tuple {
        peer: session.peer,
        peer_port: session.peer_port,
        source_port: session.source_port,
        reserved: 0,
    }
}
