//! The Session-Reflector at its sockets.

use std::{
    mem::offset_of,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, RawFd},
    sync::{Arc, Mutex},
};

use probe_ebpf::{
    frame::Address,
    maps::{Arrivals, Counter},
};

use super::{Tables, Thread};
use crate::{
    datapath::{
        clock::{self, Wire},
        lock,
        memory::Memory,
        udp::{
            self, Departure,
            inbox::{Batch, Inbox, Received},
        },
        worker::Work,
    },
    reflector::{MAX_PAYLOAD, Reflector, Request},
    verdict::Nanos,
};

/// What the thread works with.
pub(super) struct Reflection {
    inboxes: Vec<Inbox>,
    batch: Batch,
    desk: Desk,
}

impl Reflection {
    pub(super) fn new(
        inboxes: Vec<Inbox>,
        port: u16,
        reflector: Arc<Mutex<Reflector>>,
        tables: Arc<Mutex<Tables>>,
        memory: Memory,
    ) -> Self {
        let time = Wire::new(memory.config.share());
        let desk = Desk { port, reflector, tables, memory, time };
        Self { inboxes, batch: Batch::new(MAX_PAYLOAD), desk }
    }
}

impl Work for Reflection {
    fn descriptors(&self) -> Vec<RawFd> {
        self.inboxes.iter().map(|inbox| inbox.as_fd().as_raw_fd()).collect()
    }

    fn work(&mut self, index: usize) {
        let inbox = &mut self.inboxes[index];
        for index in 0..inbox.receive(&mut self.batch) {
            if let Some(received) = self.batch.get(index) {
                self.desk.answer(&received, inbox.as_fd());
            }
        }
    }
}

struct Desk {
    port: u16,
    reflector: Arc<Mutex<Reflector>>,
    tables: Arc<Mutex<Tables>>,
    memory: Memory,
    time: Wire,
}

impl Desk {
    /// Answers a request, and counts it.
    fn answer(&mut self, received: &Received<'_>, socket: BorrowedFd<'_>) {
        let counter = match self.reflect(received, socket) {
            Ok(()) => Counter::Reflected,
            Err(reason) => reason,
        };
        self.memory.count(Thread::Reflector, counter);
    }

    fn reflect(&mut self, received: &Received<'_>, socket: BorrowedFd<'_>) -> Result<(), Counter> {
        // What is for many hosts would have many of them answer.
        let destination = received.header.destination.ok_or(Counter::NotLocal)?;
        let source = Address::from(received.source.ip());
        let request = Request {
            payload: received.payload,
            source,
            source_port: received.source.port(),
            destination,
            destination_port: self.port,
            ttl: received.header.ttl,
            traffic_class: received.header.traffic_class,
            receive_timestamp: self.time.timestamp(received.at),
            admitted: None,
        };
        let answer = lock(&self.reflector)
            .reflect(request, received.at, || self.time.timestamp(clock::monotonic()));
        if matches!(answer, Ok(_) | Err(Counter::NoReplyWanted)) {
            self.note_arrival(&source, received.at);
        }
        let answer = answer?;
        let departure = Departure {
            payload: &answer.payload,
            destination: received.source,
            source: answer.source,
            traffic_class: answer.traffic_class,
        };
        if let Err(error) = udp::send(socket, &departure) {
            // The session has counted it: a reply that got lost on its way.
            tracing::debug!(source = %received.source, %error, "cannot send a reply");
        }
        Ok(())
    }

    /// Notes that a peer's probe came, if it was one's.
    fn note_arrival(&mut self, source: &Address, at: Nanos) {
        let peer = lock(&self.tables).peers.get(source).copied();
        let Some(index) = peer.map(|peer| peer as usize) else { return };
        if index < self.memory.arrivals.len() {
            self.memory.arrivals.increment(index, offset_of!(Arrivals, packets));
            self.memory.arrivals.write_field(index, offset_of!(Arrivals, last_at), at);
        }
    }
}
