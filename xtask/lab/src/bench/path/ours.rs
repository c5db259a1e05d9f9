//! Our programs, with maps that the bench fills itself.

use std::{fs, net::Ipv4Addr, path::Path};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, HashMap, MapData},
    programs::{ProgramInfo, SchedClassifier, Xdp},
    util::nr_cpus,
};
use probe_ebpf::{
    frame::Address,
    maps::{Config, Counters, Session, Slot, SlotState, name, program},
    stamp,
};

use super::kinds::{HERE, Kind, SOURCE_PORT, SSID, THERE, TIMESTAMP};

/// The product's programs as this build has them.
static OURS: &[u8] = aya::include_bytes_aligned!(concat!(env!("LAB_OBJECTS"), "/linkprobe-bpf"));

/// Slots of the session, and packets of a measurement: each reply answers another one.
pub(super) const PACKETS: u32 = 32_768;

/// A plain value of a map.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Plain<T>(T);

// SAFETY: all of them consist of integers only, without padding: their sizes are asserted where they are defined.
unsafe impl Pod for Plain<Address> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Config> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Counters> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Session> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Slot> {}

/// Our programs, attached to nothing.
pub(super) struct Ours {
    ebpf: Ebpf,
}

impl Ours {
    /// Those of this build, or of a directory with those from before.
    ///
    /// # Errors
    /// Where they cannot be read or loaded.
    pub(super) fn load(before: Option<&Path>) -> Result<Self> {
        let cpus = nr_cpus().map_err(|(_, error)| error)? as u32;
        let file = before.map(|directory| directory.join("linkprobe-bpf"));
        let object = file.map(|file| fs::read(&file).with_context(|| file.display().to_string()));
        let object = object.transpose()?;
        let sessions = u32::from(SSID) + 3;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(name::SESSIONS, sessions)
            .map_max_entries(name::SLOTS, sessions * PACKETS)
            .map_max_entries(name::COUNTERS, cpus)
            .map_max_entries(name::PEERS, 2)
            .map_max_entries(name::ARRIVALS, 2)
            .load(object.as_deref().unwrap_or(OURS))
            .context("the programs of linkprobe")?;
        let xdp: &mut Xdp = ebpf.program_mut(program::INGRESS).context("no XDP")?.try_into()?;
        xdp.load()?;
        let tc: &mut SchedClassifier =
            ebpf.program_mut(program::EGRESS).context("no TC")?.try_into()?;
        tc.load()?;
        let mut ours = Self { ebpf };
        ours.set_up()?;
        Ok(ours)
    }

    fn set_up(&mut self) -> Result<()> {
        let config = Config {
            slot_mask: PACKETS - 1,
            reflector_port: stamp::PORT,
            first_source_port: SOURCE_PORT,
            source_ports: 1,
            generation: 1,
            error_estimate: 1,
            // Sources are looked up as the agent has it, and what is measured is not refused.
            source_cost: 1,
            ..Config::default()
        };
        self.array(name::CONFIG)?.set(0, Plain(config), 0)?;
        let map = self.ebpf.map_mut(name::LOCAL_ADDRESSES).context("no addresses")?;
        let mut local: HashMap<_, Plain<Address>, u32> = map.try_into()?;
        local.insert(Plain(Address::v4(HERE.octets())), 1, 0)?;
        // Both that send requests are peers, which are next to one another.
        let map = self.ebpf.map_mut(name::PEERS).context("no peers")?;
        let mut peers: HashMap<_, Plain<Address>, u32> = map.try_into()?;
        for peer in 0..2_u32 {
            let address = Ipv4Addr::from(u32::from(THERE) + peer);
            peers.insert(Plain(Address::v4(address.octets())), peer, 0)?;
        }
        for ssid in SSID..SSID + 2 {
            let session = Session {
                peer: Address::v4(THERE.octets()),
                peer_port: stamp::PORT,
                source_port: SOURCE_PORT,
                active: 1,
                ..Session::default()
            };
            self.array(name::SESSIONS)?.set(u32::from(ssid), Plain(session), 0)?;
        }
        Ok(())
    }

    fn array<T>(&mut self, name: &'static str) -> Result<Array<&mut MapData, Plain<T>>>
    where
        Plain<T>: Pod,
    {
        self.ebpf.map_mut(name).context(name)?.try_into().context(name)
    }

    /// What the kernel says of both programs.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn info(&self) -> Result<[ProgramInfo; 2]> {
        let info = |name| -> Result<_> { Ok(self.ebpf.program(name).context(name)?.info()?) };
        Ok([info(program::INGRESS)?, info(program::EGRESS)?])
    }

    /// The XDP program.
    ///
    /// # Errors
    /// None: it is there.
    pub(super) fn ingress(&self) -> Result<&Xdp> {
        Ok(self.ebpf.program(program::INGRESS).context("no XDP")?.try_into()?)
    }

    /// The TC program.
    ///
    /// # Errors
    /// None: it is there.
    pub(super) fn egress(&self) -> Result<&SchedClassifier> {
        Ok(self.ebpf.program(program::EGRESS).context("no TC")?.try_into()?)
    }

    /// How many packets were counted as a kind.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn counted(&mut self, kind: Kind) -> Result<u64> {
        let array = self.array::<Counters>(name::COUNTERS)?;
        array.iter().map(|counters| Ok(counters?.0.0[kind.counter() as usize])).sum()
    }

    /// Lets all slots of the session wait for an answer.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn send_all(&mut self) -> Result<()> {
        let mut slots = self.array::<Slot>(name::SLOTS)?;
        for sequence in 0..PACKETS {
            let slot = Slot {
                state: SlotState::Sent as u32,
                sequence,
                sent_at: 1,
                timestamp: TIMESTAMP,
                ..Slot::default()
            };
            slots.set(u32::from(SSID) * PACKETS + sequence, Plain(slot), 0)?;
        }
        Ok(())
    }
}
