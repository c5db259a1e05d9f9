//! What our Session-Reflector is told, in the kernel and in userspace alike.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use probe_ebpf::{
    frame::Address,
    hmac::Key,
    maps::{Arrivals, Config, Line, MAX_KEYS, PEER_AUTHENTICATED, Way, config_flag},
    ntp::NANOS_PER_SECOND,
};
use zeroize::Zeroize as _;

use super::{
    Datapath, Error, Options, ReflectorOptions, addresses, backend::Backend, clock, deferred, lock,
    responder::Responder, udp,
};
use crate::{
    reflector::{Reflector, Settings},
    verdict::Nanos,
};

impl Datapath {
    /// Says how the reflector works from now on.
    ///
    /// # Errors
    /// Where the map of allowed prefixes cannot be written.
    pub fn set_reflector(&mut self, options: &ReflectorOptions) -> Result<(), Error> {
        self.backend.set_allowed(options.allow.as_deref().unwrap_or_default())?;
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
        self.backend.set_local(&self.local, &addresses)?;
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
        self.backend.set_peer(address, index, flag)?;
        self.memory.arrivals.write(index as usize, |_| Line::default());
        self.set_userspace(|settings| {
            settings.peers.insert(address, authenticated);
        });
        self.note_authenticated(address, authenticated);
        self.next_generation();
        Ok(())
    }

    /// Makes the reflector forget a peer's address.
    pub fn remove_peer(&mut self, address: Address) {
        self.backend.remove_peer(address);
        self.set_userspace(|settings| {
            settings.peers.remove(&address);
        });
        self.note_authenticated(address, false);
        self.next_generation();
    }

    /// Has probes that come from a peer by one interface counted under an index of their own, and begins to count. The
    /// interface is told by its number.
    ///
    /// # Errors
    /// Where the map cannot be written.
    pub fn set_way(&mut self, peer: Address, interface: u32, index: u32) -> Result<(), Error> {
        self.backend.set_way(Way { peer, interface, reserved: 0 }, index)?;
        self.memory.arrivals.write(index as usize, |_| Line::default());
        self.next_generation();
        Ok(())
    }

    /// Has them counted as all others of the peer again.
    pub fn remove_way(&mut self, peer: Address, interface: u32) {
        self.backend.remove_way(Way { peer, interface, reserved: 0 });
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
        self.backend.sweep(before)
    }

    /// Has the processor fetch what is known of a peer's probes.
    pub(crate) fn fetch_arrivals(&self, index: u32) {
        self.memory.arrivals.fetch(index as usize);
    }

    /// Probes of a peer that were reflected.
    #[must_use]
    pub fn arrivals(&self, index: u32) -> Arrivals {
        self.memory.arrivals.read(index as usize).0
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
    /// it copies those TLVs with the U flag. Where sockets do the work, they answer all by themselves.
    ///
    /// # Errors
    /// Where the port or the queue is somebody else's. The kernel's reflector goes on as before.
    pub fn start_responder(&mut self) -> Result<(), Error> {
        let port = self.options.reflector_port;
        if port == 0 || matches!(self.backend, Backend::Socket(_)) {
            return Ok(());
        }
        let ports = udp::Ports::open(port)?;
        let queue = self.backend.queue()?;
        let time = clock::Wire::new(self.memory.config.share());
        self.responder =
            Some(Responder::start(queue, ports, Arc::clone(&self.reflector), port, time)?);
        self.set_flags(&[(true, config_flag::DEFER)]);
        Ok(())
    }

    /// Changes what the userspace reflector is set to.
    pub(super) fn set_userspace(&self, change: impl FnOnce(&mut Settings)) {
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

/// A reflector in userspace that has been told nothing yet.
pub(super) fn unset(options: &Options) -> Arc<Mutex<Reflector>> {
    let settings = Settings { port: options.reflector_port, ..Settings::default() };
    Arc::new(Mutex::new(Reflector::new(settings)))
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
