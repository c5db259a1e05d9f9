//! Sockets that do the work of the kernel programs, for hosts without privileges or kernel support, and to
//! be compared with them: what differs is this host, not the network.
//!
//! They share the same arrays with the agent, and count under the same names. What the kernel's network
//! stack refuses by itself (checksums, other hosts' addresses) is not counted.
//!
//! - `numbering`: our test packets on their way out, on the sender's thread.
//! - `replies`: what comes back, on a thread of its own.
//! - `reflection`: the Session-Reflector, on another.

mod numbering;
mod reflection;
mod replies;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use probe_ebpf::{
    frame::Address,
    hmac::Key,
    maps::{Counter, MAX_KEYS, Session, Tuple},
};

use super::{Error, Options, attach::Attachment, clock, lock, memory::Memory, udp, worker::Worker};
use crate::{reflector::Reflector, sender::sockets::Sockets, verdict::Nanos};
use numbering::Numbers;
use reflection::Reflection;
use replies::{Replies, Shared};
use udp::inbox::Inbox;

/// The threads that count. Each has counters of its own.
#[derive(Clone, Copy)]
enum Thread {
    Sender,
    Replies,
    Reflector,
}

/// How many there are.
const THREADS: usize = 3;

/// What stands in for the kernel's hash maps.
#[derive(Default)]
pub(super) struct Tables {
    /// The index of the peer that has an address.
    pub(super) peers: HashMap<Address, u32>,
    /// The session that replies without SSID belong to.
    pub(super) tuples: HashMap<Tuple, u16>,
}

/// The sockets and their threads.
pub(super) struct Socket {
    tables: Arc<Mutex<Tables>>,
    reflector: Arc<Mutex<Reflector>>,
    /// What the thread will do, until it does it.
    reflection: Option<Reflection>,
    replies: Option<Arc<Mutex<Replies>>>,
    /// They end when this is dropped.
    workers: Vec<Worker>,
    attachment: Option<Attachment>,
}

impl Socket {
    /// Binds the reflector's port, if there is to be one, and has what leaves by `sockets` numbered.
    ///
    /// # Errors
    /// Where the port or the memory is not to be had, or sockets may not be set up.
    pub(super) fn open(
        options: &Options,
        reflector: Arc<Mutex<Reflector>>,
        sockets: Option<&mut Sockets>,
    ) -> Result<(Self, Memory), Error> {
        let memory = Memory::anonymous(options, THREADS)?;
        let tables = Arc::<Mutex<Tables>>::default();
        let port = options.reflector_port;
        let reflection = if port == 0 {
            None
        } else {
            let inboxes: io::Result<_> =
                udp::bind(port)?.into_iter().map(Inbox::with_headers).collect();
            let inboxes = inboxes.map_err(|source| Error::Bind { port, source })?;
            let (reflector, tables) = (Arc::clone(&reflector), Arc::clone(&tables));
            Some(Reflection::new(inboxes, port, reflector, tables, memory.share()))
        };
        let replies = match sockets {
            None => None,
            Some(sockets) => {
                let numbers = Box::new(Numbers::new(memory.share()));
                sockets.set_numbering(numbers).map_err(Error::Receive)?;
                let inboxes = receiving(sockets).map_err(Error::Receive)?;
                let replies = Replies::new(inboxes, Arc::clone(&tables), memory.share());
                Some(Arc::new(Mutex::new(replies)))
            }
        };
        let workers = Vec::new();
        let socket = Self { tables, reflector, reflection, replies, workers, attachment: None };
        Ok((socket, memory))
    }

    /// Begins to receive.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(super) fn start(&mut self) -> Result<&Attachment, Error> {
        if self.attachment.is_none() {
            let start = |thread, worker: io::Result<Worker>| {
                worker.map_err(|source| Error::Thread { thread, source })
            };
            if let Some(work) = self.reflection.take() {
                self.workers.push(start("reflector", Worker::start("reflector", work))?);
            }
            if let Some(replies) = &self.replies {
                let work = Shared(Arc::clone(replies));
                self.workers.push(start("replies", Worker::start("replies", work))?);
            }
        }
        Ok(self.attachment.get_or_insert_with(Attachment::of_sockets))
    }

    pub(super) fn catch_up(&self) {
        if let Some(replies) = &self.replies {
            lock(replies).catch_up();
        }
    }

    pub(super) fn attachments(&self) -> &[Attachment] {
        self.attachment.as_slice()
    }

    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        lock(&self.tables)
    }

    /// As that of the kernel's tables.
    pub(super) fn sweep(&self, before: Nanos) -> (usize, usize) {
        let mut reflector = lock(&self.reflector);
        let count = reflector.sessions();
        let now = clock::monotonic();
        reflector.sweep(now, now.saturating_sub(before).saturating_add(1));
        (count, reflector.sessions())
    }
}

/// The sender's sockets, to receive from.
fn receiving(sockets: &Sockets) -> io::Result<Vec<(u16, Inbox)>> {
    let inbox = |(port, socket)| Ok((port, Inbox::new(socket)?));
    sockets.receivers()?.into_iter().map(inbox).collect()
}

/// What all threads ask of the shared memory.
impl Memory {
    /// Counts a packet.
    fn count(&mut self, thread: Thread, counter: Counter) {
        self.counters.increment(thread as usize, counter as usize * size_of::<u64>());
    }

    /// A session of ours that runs.
    fn running(&self, ssid: u16) -> Option<Session> {
        let index = usize::from(ssid);
        let session = (index < self.sessions.len()).then(|| self.sessions.read(index))?;
        (session.active != 0).then_some(session)
    }

    /// Where the slot of a test packet is.
    fn slot(&self, ssid: u16, sequence: u32) -> usize {
        let mask = self.config.read(0).slot_mask;
        usize::from(ssid) * (mask as usize + 1) + (sequence & mask) as usize
    }

    /// The key with this index. A place without a key holds zeros, and nothing is signed with those.
    fn key(&self, index: u8) -> Option<Key> {
        let index =
            Some(usize::from(index)).filter(|index| (1..=MAX_KEYS as usize).contains(index));
        index.map(|index| self.keys.read(index)).filter(|key| *key != Key::default())
    }
}

#[cfg(test)]
mod tests;
