//! The thread that answers what the kernel hands over: requests with TLVs that take the userspace
//! reflector.

use std::{
    os::fd::{AsFd as _, AsRawFd as _, RawFd},
    sync::{Arc, Mutex},
};

use probe_ebpf::maps::Counter;

use super::{
    Error,
    clock::{self, Wire},
    deferred::{self, Queue},
    lock,
    udp::{self, Departure, Ports},
    worker::{Work, Worker},
};
use crate::reflector::{Admitted, Reflector, Request};

/// Requests that are answered before it is looked whether the thread is to end.
const BATCH: usize = 64;

/// The thread; it ends when this is dropped.
pub(super) struct Responder(#[expect(dead_code, reason = "its drop ends the thread")] Worker);

impl Responder {
    /// Starts it.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(super) fn start(
        queue: Queue,
        ports: Ports,
        reflector: Arc<Mutex<Reflector>>,
        port: u16,
        time: Wire,
    ) -> Result<Self, Error> {
        let thread = "responder";
        let answering = Answering { queue, ports, reflector, port, time };
        let worker = Worker::start(thread, answering);
        worker.map(Self).map_err(|source| Error::Thread { thread, source })
    }
}

struct Answering {
    queue: Queue,
    ports: Ports,
    reflector: Arc<Mutex<Reflector>>,
    port: u16,
    time: Wire,
}

impl Work for Answering {
    fn descriptors(&self) -> Vec<RawFd> {
        vec![self.queue.as_fd().as_raw_fd()]
    }

    fn work(&mut self, _: usize) {
        for _ in 0..BATCH {
            let Some(request) = self.queue.take() else { return };
            self.answer(&request);
        }
    }
}

impl Answering {
    /// Answers a request with the number, the key and the T2 that the kernel has given it. The kernel has
    /// counted it, too.
    fn answer(&self, deferred: &deferred::Request) {
        let header = &deferred.header;
        let request = Request {
            payload: &deferred.payload,
            source: header.source,
            source_port: header.source_port,
            destination: header.destination,
            destination_port: self.port,
            ttl: header.ttl,
            traffic_class: header.traffic_class,
            receive_timestamp: header.receive_timestamp,
            admitted: Some(Admitted { sequence: header.sequence, key: header.key }),
        };
        let source = udp::endpoint(header.source, header.source_port, header.interface);
        let answer = lock(&self.reflector)
            .reflect(request, clock::monotonic(), || self.time.timestamp(clock::monotonic()));
        let answer = match answer {
            Ok(answer) => answer,
            Err(Counter::NoReplyWanted) => return,
            Err(reason) => {
                tracing::debug!(%source, reason = reason.label(), "a deferred request has no reply");
                return;
            }
        };
        let departure = Departure {
            payload: &answer.payload,
            destination: source,
            source: answer.source,
            traffic_class: answer.traffic_class,
        };
        if let Err(error) = self.ports.send(&departure) {
            tracing::debug!(%source, %error, "cannot send the reply to a deferred request");
        }
    }
}
