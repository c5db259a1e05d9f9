//! The BPF programs and their maps: what moves probes without userspace.
//!
//! - [`options`]: what it is told.
//! - [`error`]: why there is none.
//! - `sessions`: those of our Session-Sender.
//! - `kernel`: the programs; [`attach`]: on interfaces, and what is in their way.
//! - [`memory`]: the arrays that are shared without a system call.
//! - `tables`: the hash maps.
//! - [`clock`]: the times that the kernel programs cannot know.
//! - [`addresses`]: which addresses are this host's.
//! - [`deferred`]: what the kernel hands to the userspace reflector; `responder`: the thread that answers.
//! - `udp`: datagrams with all that their headers say; `worker`: threads that wait for them.
//!
//! Nothing is pinned. Programs and links live as long as the process, however it ends (on kernels
//! without TCX, from 6.1 to 6.5, the TC filter stays behind a kill and is replaced at the next start).

pub mod addresses;
pub mod attach;
pub mod clock;
pub mod deferred;
pub mod error;
mod kernel;
pub mod memory;
pub mod options;
mod responder;
mod sessions;
mod tables;
mod udp;
mod worker;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use probe_ebpf::{
    frame::Address,
    hmac::Key,
    maps::{Arrivals, Config, Counter, Counters, MAX_KEYS, PEER_AUTHENTICATED, config_flag},
    ntp::{Format, NANOS_PER_SECOND},
};
use zeroize::Zeroize as _;

use attach::Attachment;
use kernel::Kernel;
use memory::Memory;
use responder::Responder;

pub use error::Error;
pub use options::{Options, ReflectorOptions, SessionKeys};

use crate::{
    reflector::{Reflector, Settings},
    verdict::Nanos,
};

/// Programs that are loaded, and attached to some interfaces.
pub struct Datapath {
    options: Options,
    memory: Memory,
    backend: Kernel,
    /// The Session-Reflector in userspace. It is told all that the kernel's is told.
    reflector: Arc<Mutex<Reflector>>,
    responder: Option<Responder>,
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
        let (backend, memory) = Kernel::load(&options)?;
        let settings = Settings { port: options.reflector_port, ..Settings::default() };
        let mut datapath = Self {
            memory,
            backend,
            reflector: Arc::new(Mutex::new(Reflector::new(settings))),
            responder: None,
            options,
            local: BTreeSet::new(),
            authenticated: BTreeSet::new(),
        };
        datapath.memory.config.write(0, |config| Config {
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
        self.backend.attach(interface)
    }

    /// Looks whether the interfaces are still the ones that were attached to, and attaches to those
    /// that were made anew under the same name. Returns what was done, for the log.
    pub fn reattach(&mut self) -> Vec<Result<String, Error>> {
        self.backend.reattach()
    }

    /// Where the programs are.
    #[must_use]
    pub fn attachments(&self) -> &[Attachment] {
        self.backend.attachments()
    }

    /// Tells the kernel programs the time of day and the quality of the clock. Wanted every second
    /// or so, since the clock is being disciplined.
    pub fn refresh_clock(&mut self) {
        let format = self.options.timestamps;
        let (realtime_offset, quality) = (clock::offset(format), clock::Quality::now());
        let error_estimate = quality.error_estimate(format);
        let synchronisation_source = quality.synchronisation_source();
        self.memory.config.write(0, |config| Config {
            realtime_offset,
            error_estimate,
            synchronisation_source,
            ..config
        });
        self.set_userspace(|settings| {
            settings.error_estimate = error_estimate;
            settings.synchronisation_source = synchronisation_source;
        });
    }

    /// Says how the reflector works from now on.
    ///
    /// # Errors
    /// Where the map of allowed prefixes cannot be written.
    pub fn set_reflector(&mut self, options: &ReflectorOptions) -> Result<(), Error> {
        self.backend.tables.set_allowed(options.allow.as_deref().unwrap_or_default())?;
        let defer = options.defer || self.responder.is_some();
        let source_cost = options.rate.map_or(0, |rate| NANOS_PER_SECOND / u64::from(rate.max(1)));
        self.memory.config.write(0, |config| Config { source_cost, ..config });
        self.set_flags(&[
            (options.stateless, config_flag::STATELESS),
            (options.authenticated_only, config_flag::AUTHENTICATED_ONLY),
            (options.allow.is_some(), config_flag::ALLOW_LIST),
            (defer, config_flag::DEFER),
        ]);
        self.set_userspace(|settings| {
            settings.stateless = options.stateless;
            settings.authenticated_only = options.authenticated_only;
            settings.allowed.clone_from(&options.allow);
            settings.source_cost = source_cost;
        });
        self.next_generation();
        Ok(())
    }

    /// Replaces the keys by these, each with its index from 1 to [`MAX_KEYS`]; other places are wiped.
    pub fn set_keys(&mut self, keys: &[(u8, Key)]) {
        for index in 1..=MAX_KEYS as usize {
            let new = keys.iter().find(|(place, _)| usize::from(*place) == index);
            let new = new.map_or_else(Key::default, |(_, key)| *key);
            self.memory.keys.write(index, |_| new);
        }
        self.set_userspace(|settings| {
            wipe(settings);
            for (place, key) in keys {
                let place = usize::from(*place).checked_sub(1);
                if let Some(place) = place.and_then(|place| settings.keys.get_mut(place)) {
                    *place = Some(*key);
                }
            }
        });
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
        self.backend.tables.set_local(&self.local, &addresses)?;
        self.set_userspace(|settings| {
            settings.local_addresses = addresses.iter().copied().collect();
        });
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
        self.backend.tables.set_peer(address, index | flag)?;
        self.memory.arrivals.write(index as usize, |_| Arrivals::default());
        self.set_userspace(|settings| {
            settings.peers.insert(address, authenticated);
        });
        self.note_authenticated(address, authenticated);
        self.next_generation();
        Ok(())
    }

    /// Makes the reflector forget a peer's address.
    pub fn remove_peer(&mut self, address: Address) {
        self.backend.tables.remove_peer(address);
        self.set_userspace(|settings| {
            settings.peers.remove(&address);
        });
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
        self.set_flags(&[(any, config_flag::AUTHENTICATED_PEERS)]);
    }

    /// Makes the reflector forget sessions without a request since `before`, `CLOCK_MONOTONIC` in
    /// nanoseconds, and returns how many it had and how many of them are left.
    pub fn sweep(&mut self, before: Nanos) -> (usize, usize) {
        self.backend.tables.sweep(before)
    }

    /// Probes of a peer that were reflected.
    #[must_use]
    pub fn arrivals(&self, index: u32) -> Arrivals {
        self.memory.arrivals.read(index as usize)
    }

    /// The queue for the userspace reflector; once.
    ///
    /// # Errors
    /// Where it has been taken already.
    pub fn take_queue(&mut self) -> Result<deferred::Queue, Error> {
        self.backend.queue()
    }

    /// Starts the thread that answers what the kernel hands over, from UDP sockets at the reflector's port.
    /// From now on the kernel does hand over requests with TLVs that it cannot answer; without the thread
    /// it copies those TLVs with the U flag.
    ///
    /// # Errors
    /// Where the port or the queue is somebody else's. The kernel's reflector goes on as before.
    pub fn start_responder(&mut self) -> Result<(), Error> {
        let port = self.options.reflector_port;
        if port == 0 {
            return Ok(());
        }
        let ports = udp::Ports::open(port).map_err(|source| Error::Bind { port, source })?;
        let queue = self.backend.queue()?;
        let time = clock::Wire::new(self.memory.config.share());
        self.responder =
            Some(Responder::start(queue, ports, Arc::clone(&self.reflector), port, time)?);
        self.set_flags(&[(true, config_flag::DEFER)]);
        Ok(())
    }

    /// What it was loaded with.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// All counters, summed over the CPUs.
    #[must_use]
    pub fn counters(&self) -> Vec<(Counter, u64)> {
        let cpus: Vec<Counters> =
            (0..self.memory.counters.len()).map(|i| self.memory.counters.read(i)).collect();
        let sum = |counter: Counter| cpus.iter().map(|cpu| cpu.0[counter as usize]).sum();
        Counter::ALL.iter().map(|counter| (*counter, sum(*counter))).collect()
    }

    /// The XDP program, for tests that run it on packets of their own.
    ///
    /// # Errors
    /// Where the object lacks it.
    pub fn ingress(&mut self) -> Result<&mut aya::programs::Xdp, Error> {
        self.backend.ingress()
    }

    /// The TC program, for tests that run it on packets of their own.
    ///
    /// # Errors
    /// Where the object lacks it.
    pub fn egress(&mut self) -> Result<&mut aya::programs::SchedClassifier, Error> {
        self.backend.egress()
    }

    /// Changes what the userspace reflector is set to.
    fn set_userspace(&self, change: impl FnOnce(&mut Settings)) {
        change(lock(&self.reflector).settings_mut());
    }

    fn set_flags(&mut self, flags: &[(bool, u32)]) {
        let set = |all, (set, flag): &(bool, u32)| if *set { all | flag } else { all & !flag };
        self.memory
            .config
            .write(0, |config| Config { flags: flags.iter().fold(config.flags, set), ..config });
    }

    fn next_generation(&mut self) {
        self.memory.config.write(0, |config| Config {
            generation: config.generation.wrapping_add(1).max(1),
            ..config
        });
    }
}

impl Drop for Datapath {
    fn drop(&mut self) {
        self.responder = None;
        self.set_userspace(wipe);
    }
}

/// Overwrites all keys: whoever has one can sign.
fn wipe(settings: &mut Settings) {
    for place in &mut settings.keys {
        if let Some(Key { inner, outer }) = place {
            inner.zeroize();
            outer.zeroize();
        }
        *place = None;
    }
}

/// The lock of a value that is whole between any two statements: a panic elsewhere leaves it usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
