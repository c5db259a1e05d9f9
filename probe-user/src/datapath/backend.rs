//! Who moves the packets: the kernel programs, or sockets.

use std::collections::BTreeSet;

use aya::programs::{SchedClassifier, Xdp};
use probe_ebpf::{
    frame::Address,
    maps::{Tuple, Way, name, program},
};

use super::{Error, attach::Attachment, deferred::Queue, kernel::Kernel, socket::Socket};
use crate::{prefix::Prefix, verdict::Nanos};

/// Either of the two. What only the kernel has to be told, the sockets take from the settings of the
/// userspace reflector.
pub(super) enum Backend {
    Kernel(Box<Kernel>),
    Socket(Box<Socket>),
}

impl Backend {
    pub(super) fn attach(&mut self, interface: &str) -> Result<&Attachment, Error> {
        match self {
            Self::Kernel(kernel) => kernel.attach(interface),
            Self::Socket(socket) => socket.start(),
        }
    }

    pub(super) fn catch_up(&self) {
        match self {
            // There is nothing between the wire and the slots.
            Self::Kernel(_) => {}
            Self::Socket(socket) => socket.catch_up(),
        }
    }

    pub(super) fn attach_optional(&mut self, interface: &str) -> Result<&Attachment, Error> {
        match self {
            Self::Kernel(kernel) => kernel.attach_optional(interface),
            Self::Socket(socket) => socket.start(),
        }
    }

    pub(super) fn reattach(&mut self) -> Vec<Result<String, Error>> {
        match self {
            Self::Kernel(kernel) => kernel.reattach(),
            Self::Socket(_) => Vec::new(),
        }
    }

    pub(super) fn attachments(&self) -> &[Attachment] {
        match self {
            Self::Kernel(kernel) => kernel.attachments(),
            Self::Socket(socket) => socket.attachments(),
        }
    }

    pub(super) fn set_local(
        &mut self,
        old: &BTreeSet<Address>,
        new: &BTreeSet<Address>,
    ) -> Result<(), Error> {
        match self {
            Self::Kernel(kernel) => kernel.tables.set_local(old, new),
            Self::Socket(_) => Ok(()),
        }
    }

    pub(super) fn set_allowed(&mut self, prefixes: &[Prefix]) -> Result<(), Error> {
        match self {
            Self::Kernel(kernel) => kernel.tables.set_allowed(prefixes),
            Self::Socket(_) => Ok(()),
        }
    }

    /// `flags` are those beside the index in [`name::PEERS`].
    pub(super) fn set_peer(
        &mut self,
        address: Address,
        index: u32,
        flags: u32,
    ) -> Result<(), Error> {
        match self {
            Self::Kernel(kernel) => kernel.tables.set_peer(address, index | flags)?,
            Self::Socket(socket) => {
                socket.tables().peers.insert(address, index);
            }
        }
        Ok(())
    }

    pub(super) fn remove_peer(&mut self, address: Address) {
        match self {
            Self::Kernel(kernel) => kernel.tables.remove_peer(address),
            Self::Socket(socket) => {
                socket.tables().peers.remove(&address);
            }
        }
    }

    /// Sockets do not tell by which interface a probe came; there it counts for its peer.
    pub(super) fn set_way(&mut self, way: Way, index: u32) -> Result<(), Error> {
        match self {
            Self::Kernel(kernel) => kernel.tables.set_way(way, index),
            Self::Socket(_) => Ok(()),
        }
    }

    pub(super) fn remove_way(&mut self, way: Way) {
        if let Self::Kernel(kernel) = self {
            kernel.tables.remove_way(way);
        }
    }

    pub(super) fn set_tuple(&mut self, tuple: Tuple, ssid: u16) -> Result<(), Error> {
        match self {
            Self::Kernel(kernel) => kernel.tables.set_tuple(tuple, ssid.into())?,
            Self::Socket(socket) => {
                socket.tables().tuples.insert(tuple, ssid);
            }
        }
        Ok(())
    }

    pub(super) fn remove_tuple(&mut self, tuple: Tuple, ssid: u16) {
        match self {
            Self::Kernel(kernel) => kernel.tables.remove_tuple(tuple, ssid.into()),
            Self::Socket(socket) => {
                let tuples = &mut socket.tables().tuples;
                if tuples.get(&tuple) == Some(&ssid) {
                    tuples.remove(&tuple);
                }
            }
        }
    }

    pub(super) fn sweep(&mut self, before: Nanos) -> (usize, usize) {
        match self {
            Self::Kernel(kernel) => kernel.tables.sweep(before),
            Self::Socket(socket) => socket.sweep(before),
        }
    }

    pub(super) fn queue(&mut self) -> Result<Queue, Error> {
        self.kernel(name::DEFERRED)?.queue()
    }

    pub(super) fn ingress(&mut self) -> Result<&mut Xdp, Error> {
        self.kernel(program::INGRESS)?.ingress()
    }

    pub(super) fn egress(&mut self) -> Result<&mut SchedClassifier, Error> {
        self.kernel(program::EGRESS)?.egress()
    }

    /// The kernel programs, for something that only they have.
    fn kernel(&mut self, wanted: &'static str) -> Result<&mut Kernel, Error> {
        match self {
            Self::Kernel(kernel) => Ok(kernel),
            Self::Socket(_) => Err(Error::Missing(wanted)),
        }
    }
}
