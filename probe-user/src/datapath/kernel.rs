//! The BPF programs, loaded and attached.

use std::sync::Arc;

use aya::{
    Ebpf, EbpfLoader,
    programs::{SchedClassifier, Xdp},
    util::nr_cpus,
};
use probe_ebpf::maps::{MAX_SESSIONS, name, transmit::LOOPBACK};

use super::{
    Error, Options,
    array::Array,
    attach::{self, Attachment, Mode},
    deferred::Queue,
    memory::Memory,
    tables::Tables,
    transmit::{self, Interfaces, LiveFrames, Transmitter},
};

/// The kernel programs, as the build script made them.
static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("LINKPROBE_OBJECTS"), "/linkprobe-bpf"));

/// Programs and hash maps.
pub(super) struct Kernel {
    ebpf: Ebpf,
    pub(super) tables: Tables,
    attachments: Vec<Attachment>,
    /// Of these, those that the transmitter may use.
    interfaces: Interfaces,
}

impl Kernel {
    /// Loads the programs, attaches nothing, and maps the arrays.
    pub(super) fn load(options: &Options) -> Result<(Self, Memory), Error> {
        let sessions = (options.sessions + 1).min(MAX_SESSIONS);
        let cpus = nr_cpus().map_or(1, |cpus| cpus as u32);
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(name::SESSIONS, sessions)
            .map_max_entries(name::HEADERS, sessions)
            .map_max_entries(name::SLOTS, sessions * options.slots)
            .map_max_entries(name::ARRIVALS, options.peers.max(1))
            .map_max_entries(name::PEERS, options.peers.max(1))
            .map_max_entries(name::WAYS, options.peers.max(1))
            .map_max_entries(name::TUPLES, sessions)
            .map_max_entries(name::COUNTERS, cpus)
            .load(OBJECT)?;
        let memory = Memory::open(&mut ebpf)?;
        attach::load(&mut ebpf)?;
        let tables = Tables::open(&mut ebpf)?;
        Ok((
            Self { ebpf, tables, attachments: Vec::new(), interfaces: Interfaces::default() },
            memory,
        ))
    }

    pub(super) fn attach(&mut self, interface: &str) -> Result<&Attachment, Error> {
        let attachment = attach::attach(&mut self.ebpf, interface)?;
        self.attachments.push(attachment);
        self.look_for_drivers();
        Ok(&self.attachments[self.attachments.len() - 1])
    }

    pub(super) fn attach_optional(&mut self, interface: &str) -> Result<&Attachment, Error> {
        let attachment = match attach::attach(&mut self.ebpf, interface) {
            Ok(attachment) => attachment.optional(),
            Err(Error::Attach(attach::Error::NoInterface(_))) => Attachment::awaited(interface),
            Err(error) => return Err(error),
        };
        self.attachments.push(attachment);
        self.look_for_drivers();
        Ok(&self.attachments[self.attachments.len() - 1])
    }

    pub(super) fn reattach(&mut self) -> Vec<Result<String, Error>> {
        let mut done = Vec::new();
        for attachment in &mut self.attachments {
            let Some(interface) = attachment.replaced() else { continue };
            done.push(attach::attach(&mut self.ebpf, &interface).map(|new| {
                *attachment = if attachment.is_optional() { new.optional() } else { new };
                interface
            }));
        }
        self.look_for_drivers();
        done
    }

    /// Finds out which interfaces take frames. That may change: a veth does while its other end has an XDP program.
    fn look_for_drivers(&self) {
        let is_wanted = Arc::strong_count(&self.interfaces) > 1;
        if !is_wanted {
            return;
        }
        // Frames of ours come by the loopback interface, as it seems to the program.
        if self.attachments.iter().any(|attachment| attachment.index() == Some(LOOPBACK)) {
            return super::lock(&self.interfaces).clear();
        }
        let native = self.attachments.iter().filter(|attachment| attachment.mode == Mode::Native);
        let interfaces = native.filter_map(|attachment| {
            let index = attachment.index()?;
            transmit::takes_frames(&attachment.interface, index).then_some(index)
        });
        *super::lock(&self.interfaces) = interfaces.collect();
    }

    pub(super) fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    /// What sends without the network stack.
    ///
    /// # Errors
    /// Where a map or the program is missing.
    pub(super) fn transmitter(&mut self, memory: Memory, slots: u32) -> Result<Transmitter, Error> {
        let program = LiveFrames::new(self.ingress()?)?;
        let batch = Array::open(&mut self.ebpf, name::BATCH)?;
        let interfaces = Arc::clone(&self.interfaces);
        self.look_for_drivers();
        Ok(Transmitter::new(program, memory, batch, interfaces, slots))
    }

    pub(super) fn queue(&mut self) -> Result<Queue, Error> {
        Queue::open(&mut self.ebpf)
    }

    pub(super) fn ingress(&mut self) -> Result<&mut Xdp, Error> {
        attach::ingress(&mut self.ebpf)
    }

    pub(super) fn egress(&mut self) -> Result<&mut SchedClassifier, Error> {
        attach::egress(&mut self.ebpf)
    }
}
