//! Look-ups of the programs, counted where the kernel makes them.
//!
//! A program at the entrance of each of the kernel's functions for hash tables and tries counts the calls that come
//! from one thread. Elements of arrays are found by arithmetic in the program itself, and are no look-ups.

use anyhow::{Context as _, Result};
use aya::{
    Btf, Ebpf, EbpfLoader, Pod,
    maps::{Array, MapData},
    programs::FEntry,
};

use super::super::program::OBJECT;

/// Look-ups in hash tables, look-ups in prefix tries, and changes of hash tables.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub(super) struct Counts(pub(super) [u64; 3]);

// SAFETY: three integers.
unsafe impl Pod for Counts {}

/// What counts, as long as it is there.
pub(super) struct Lookups {
    ebpf: Ebpf,
}

impl Lookups {
    /// Counts those of the calling thread.
    ///
    /// # Errors
    /// Where the kernel has no such functions, or lets nothing be attached to them.
    pub(super) fn count() -> Result<Self> {
        let btf = Btf::from_sys_fs().context("the kernel does not describe its types")?;
        let mut ebpf = EbpfLoader::new().load(OBJECT).context("the programs of the bench")?;
        // SAFETY: the call has no arguments.
        let thread = unsafe { libc::gettid() }.cast_unsigned();
        let map = ebpf.map_mut("COUNTED_THREAD").context("COUNTED_THREAD")?;
        Array::<_, u32>::try_from(map)?.set(0, thread, 0)?;
        let places = [
            ("count_hash", "__htab_map_lookup_elem"),
            ("count_trie", "trie_lookup_elem"),
            ("count_change", "htab_map_update_elem"),
        ];
        for (name, function) in places {
            let program: &mut FEntry = ebpf.program_mut(name).context(name)?.try_into()?;
            program.load(function, &btf).context(function)?;
            program.attach().context(function)?;
        }
        Ok(Self { ebpf })
    }

    /// How many so far.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn so_far(&self) -> Result<Counts> {
        let map = self.ebpf.map("LOOKUPS").context("LOOKUPS")?;
        let array: Array<&MapData, Counts> = map.try_into()?;
        Ok(array.get(&0, 0)?)
    }
}
