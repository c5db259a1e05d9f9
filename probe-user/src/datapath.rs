//! What moves probes: the BPF programs and their maps, without userspace, or sockets in their place.
//!
//! - [`options`]: what it is told.
//! - [`error`]: why there is none.
//! - `sessions`: those of our Session-Sender; `reflector`: what our Session-Reflector is told.
//! - `backend`: the kernel or sockets.
//! - `kernel`: the programs; [`attach`]: on interfaces, and what is in their way.
//! - [`transmit`]: probes that need no network stack.
//! - `socket`: what is done without them.
//! - [`memory`]: the arrays that are shared without a system call; `array`: one of them.
//! - `tables`: the hash maps.
//! - [`clock`]: the times that the kernel programs cannot know.
//! - [`addresses`]: which addresses are this host's, and when they change.
//! - [`deferred`]: what the kernel hands to the userspace reflector; `responder`: the thread that answers.
//! - `udp`: datagrams with all that their headers say; `worker`: threads that wait for them.
//!
//! Nothing is pinned. Programs and links live as long as the process, however it ends (on kernels
//! without TCX, from 6.1 to 6.5, the TC filter stays behind a kill and is replaced at the next start).

pub mod addresses;
mod array;
pub mod attach;
mod backend;
pub mod clock;
pub mod deferred;
pub mod error;
mod kernel;
pub mod memory;
pub mod options;
mod reflector;
mod responder;
mod sessions;
mod socket;
mod tables;
pub mod transmit;
pub(crate) mod udp;
mod worker;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use probe_ebpf::{
    frame::Address,
    maps::{Config, Counter, Counters, config_flag},
    ntp::Format,
};

use attach::Attachment;
use backend::Backend;
use kernel::Kernel;
use memory::Memory;
use responder::Responder;
use socket::Socket;
use transmit::Transmitter;

pub use error::Error;
pub use options::{Options, ReflectorOptions, SessionKeys};

use crate::{reflector::Reflector, sender::sockets::Sockets};

/// Programs that are loaded, and attached to some interfaces; or sockets in their place.
pub struct Datapath {
    options: Options,
    memory: Memory,
    backend: Backend,
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
        let (kernel, memory) = Kernel::load(&options)?;
        let reflector = reflector::unset(&options);
        Ok(Self::new(options, Backend::Kernel(Box::new(kernel)), memory, reflector))
    }

    /// Does the same with UDP sockets, and needs no privileges but for a reflector's port below 1024. What
    /// leaves by `sockets` is numbered from now on, and answers to it are taken in; without them there is
    /// only the reflector. Nothing is received before [`Datapath::attach`], so that nothing is answered
    /// before it is said how.
    ///
    /// # Errors
    /// Where the reflector's port is not to be had; the message says what to do.
    pub fn socket(options: Options, sockets: Option<&mut Sockets>) -> Result<Self, Error> {
        let reflector = reflector::unset(&options);
        let (socket, memory) = Socket::open(&options, Arc::clone(&reflector), sockets)?;
        Ok(Self::new(options, Backend::Socket(Box::new(socket)), memory, reflector))
    }

    fn new(
        options: Options,
        backend: Backend,
        memory: Memory,
        reflector: Arc<Mutex<Reflector>>,
    ) -> Self {
        let mut datapath = Self {
            memory,
            backend,
            reflector,
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
        datapath
    }

    /// Attaches both programs to an interface, in native mode where its driver has it. Sockets begin to
    /// receive, on all interfaces, whatever the name (`any` is a good one).
    ///
    /// # Errors
    /// Where there is no such interface, or another XDP program is on it. Sockets: where there is no thread.
    pub fn attach(&mut self, interface: &str) -> Result<&Attachment, Error> {
        self.backend.attach(interface)
    }

    /// Does the same with an interface that may come and go, such as a tunnel. Where it is not there yet, it is attached to by
    /// [`Datapath::reattach`] when it is.
    ///
    /// # Errors
    /// Where another XDP program is on it.
    pub fn attach_optional(&mut self, interface: &str) -> Result<&Attachment, Error> {
        self.backend.attach_optional(interface)
    }

    /// Takes in the replies that have come so far. To be called before slots are judged: where sockets do the
    /// work, a host that is short of time must not take what waits in them for lost.
    pub fn catch_up(&self) {
        self.backend.catch_up();
    }

    /// Looks whether the interfaces are still the ones that were attached to, and attaches to those
    /// that were made anew under the same name. Returns what was done, for the log.
    pub fn reattach(&mut self) -> Vec<Result<String, Error>> {
        self.backend.reattach()
    }

    /// Where the programs are; one entry for all interfaces where sockets do the work.
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

    /// What sends probes past the network stack; `None` where sockets do the work.
    ///
    /// # Errors
    /// Where the kernel does not hand it out.
    pub fn transmitter(&mut self) -> Result<Option<Transmitter>, Error> {
        let memory = self.memory.share();
        match &mut self.backend {
            Backend::Kernel(kernel) => kernel.transmitter(memory, self.options.slots).map(Some),
            Backend::Socket(_) => Ok(None),
        }
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
}

impl Drop for Datapath {
    fn drop(&mut self) {
        self.responder = None;
        self.set_keys(&[]);
    }
}

/// The lock of a value that is whole between any two statements: a panic elsewhere leaves it usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
