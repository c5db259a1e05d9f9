//! The hash maps: what the kernel programs look up, and the agent writes now and then.

use std::collections::BTreeSet;

use aya::{
    Ebpf, Pod,
    maps::{
        HashMap, Map, MapData, MapError,
        lpm_trie::{Key as TrieKey, LpmTrie},
    },
};
use probe_ebpf::{
    frame::Address,
    maps::{ReflectorKey, ReflectorSession, Tuple, Way, name},
};

use super::Error;
use crate::{prefix::Prefix, verdict::Nanos};

/// A plain value as key or value of a BPF map.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Plain<T>(T);

// SAFETY: all five consist of integers only, without padding: their sizes are asserted where they are
// defined.
unsafe impl Pod for Plain<Address> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Tuple> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Way> {}
// SAFETY: as above.
unsafe impl Pod for Plain<ReflectorKey> {}
// SAFETY: as above.
unsafe impl Pod for Plain<ReflectorSession> {}

/// The hash maps of the programs.
pub(super) struct Tables {
    local: HashMap<MapData, Plain<Address>, u32>,
    peers: HashMap<MapData, Plain<Address>, u32>,
    ways: HashMap<MapData, Plain<Way>, u32>,
    tuples: HashMap<MapData, Plain<Tuple>, u32>,
    allowed: LpmTrie<MapData, Plain<Address>, u32>,
    reflector: HashMap<MapData, Plain<ReflectorKey>, Plain<ReflectorSession>>,
    /// What `allowed` holds.
    prefixes: Vec<Prefix>,
}

impl Tables {
    /// Takes the maps out of the object.
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, Error> {
        Ok(Self {
            local: take(ebpf, name::LOCAL_ADDRESSES)?,
            peers: take(ebpf, name::PEERS)?,
            ways: take(ebpf, name::WAYS)?,
            tuples: take(ebpf, name::TUPLES)?,
            allowed: take(ebpf, name::ALLOWED)?,
            reflector: take(ebpf, name::REFLECTOR)?,
            prefixes: Vec::new(),
        })
    }

    /// Replaces the addresses of this host.
    pub(super) fn set_local(
        &mut self,
        old: &BTreeSet<Address>,
        new: &BTreeSet<Address>,
    ) -> Result<(), Error> {
        for gone in old.difference(new) {
            self.local.remove(&Plain(*gone)).ok();
        }
        for address in new.difference(old) {
            let inserted = self.local.insert(Plain(*address), 1, 0);
            inserted.map_err(refused(name::LOCAL_ADDRESSES))?;
        }
        Ok(())
    }

    /// Notes which peer has an address.
    pub(super) fn set_peer(&mut self, address: Address, peer: u32) -> Result<(), Error> {
        self.peers.insert(Plain(address), peer, 0).map_err(refused(name::PEERS))
    }

    /// Forgets it.
    pub(super) fn remove_peer(&mut self, address: Address) {
        self.peers.remove(&Plain(address)).ok();
    }

    /// Notes under which index the probes count that come by a way.
    pub(super) fn set_way(&mut self, way: Way, index: u32) -> Result<(), Error> {
        self.ways.insert(Plain(way), index, 0).map_err(refused(name::WAYS))
    }

    /// Forgets it.
    pub(super) fn remove_way(&mut self, way: Way) {
        self.ways.remove(&Plain(way)).ok();
    }

    /// Notes which session has a tuple.
    pub(super) fn set_tuple(&mut self, tuple: Tuple, ssid: u32) -> Result<(), Error> {
        self.tuples.insert(Plain(tuple), ssid, 0).map_err(refused(name::TUPLES))
    }

    /// Forgets it, unless another session has it by now.
    pub(super) fn remove_tuple(&mut self, tuple: Tuple, ssid: u32) {
        if self.tuples.get(&Plain(tuple), 0).is_ok_and(|holder| holder == ssid) {
            self.tuples.remove(&Plain(tuple)).ok();
        }
    }

    /// Replaces the prefixes for whom the reflector works.
    pub(super) fn set_allowed(&mut self, prefixes: &[Prefix]) -> Result<(), Error> {
        for gone in self.prefixes.iter().filter(|prefix| !prefixes.contains(prefix)) {
            self.allowed.remove(&trie_key(gone)).ok();
        }
        for prefix in prefixes.iter().filter(|prefix| !self.prefixes.contains(prefix)) {
            self.allowed.insert(&trie_key(prefix), 1, 0).map_err(refused(name::ALLOWED))?;
        }
        self.prefixes = prefixes.to_vec();
        Ok(())
    }

    /// Removes the sessions without a request since `before`; returns how many there were and are.
    pub(super) fn sweep(&mut self, before: Nanos) -> (usize, usize) {
        let mut count = 0;
        let idle: Vec<_> = self
            .reflector
            .iter()
            .filter_map(Result::ok)
            .inspect(|_| count += 1)
            .filter(|(_, Plain(session))| session.last_at < before)
            .map(|(key, _)| key)
            .collect();
        for key in &idle {
            self.reflector.remove(key).ok();
        }
        (count, count - idle.len())
    }
}

fn trie_key(prefix: &Prefix) -> TrieKey<Plain<Address>> {
    let (bits, address) = prefix.bits();
    TrieKey::new(bits, Plain(address))
}

fn take<M: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, map: &'static str) -> Result<M, Error> {
    let found = ebpf.take_map(map).ok_or(Error::Missing(map))?;
    M::try_from(found).map_err(refused(map))
}

fn refused(map: &'static str) -> impl FnOnce(MapError) -> Error {
    move |source| Error::Map { map, source }
}
