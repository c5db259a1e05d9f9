//! The sessions of our Session-Sender.

use std::{mem::offset_of, net::SocketAddr};

use probe_ebpf::{
    frame::Address,
    maps::{Session, Slot, Tuple, session_flag, transmit::Headers},
};

use super::{Datapath, Error, SessionKeys, memory::SessionMemory};

impl Datapath {
    /// Starts a session from sequence number 0.
    ///
    /// # Errors
    /// Where the map of tuples cannot be written; the session runs in any case.
    pub fn open_session(
        &mut self,
        ssid: u16,
        source_port: u16,
        reflector: SocketAddr,
        keys: SessionKeys,
    ) -> Result<(), Error> {
        let session = Session {
            peer: Address::from(reflector.ip()),
            peer_port: reflector.port(),
            source_port,
            key: keys.key,
            previous_key: keys.previous,
            ..Session::default()
        };
        let index = usize::from(ssid);
        self.memory.sessions.write(index, |_| session);
        // Whoever had the SSID before may have been elsewhere.
        self.memory.headers.write_field(index, offset_of!(Headers, learned_at), 0_u64);
        let first = index * self.options.slots as usize;
        for slot in first..first + self.options.slots as usize {
            self.memory.slots.write(slot, |_| Slot::default());
        }
        self.memory.sessions.write(index, |session| Session { active: 1, ..session });
        self.backend.set_tuple(tuple(&session), ssid)
    }

    /// Signs a session's packets with another key from now on. It must be authenticated, and stay so.
    pub fn set_session_keys(&mut self, ssid: u16, keys: SessionKeys) {
        let SessionKeys { key, previous } = keys;
        // The other key first: at no moment is a reply to the last probe refused.
        let (index, previous_at) = (usize::from(ssid), offset_of!(Session, previous_key));
        self.memory.sessions.write_field(index, previous_at, previous);
        self.memory.sessions.write_field(index, offset_of!(Session, key), key);
    }

    /// Says whether the template of a session begins its TLVs with one of Direct Measurement (RFC 8972,
    /// section 4.5), for the TC program to fill in. To be said before the first packet.
    pub fn set_direct_measurement(&mut self, ssid: u16, is_first: bool) {
        let flags = if is_first { session_flag::DIRECT_MEASUREMENT } else { 0 };
        self.memory.sessions.write_field(usize::from(ssid), offset_of!(Session, flags), flags);
    }

    /// Ends a session: its packets are no longer numbered, its replies no longer accepted.
    pub fn close_session(&mut self, ssid: u16) {
        let session = self.memory.sessions.read(usize::from(ssid));
        self.memory.sessions.write_field(usize::from(ssid), offset_of!(Session, active), 0_u32);
        self.backend.remove_tuple(tuple(&session), ssid);
    }

    /// What the kernel remembers of a session.
    #[must_use]
    pub fn session(&self, ssid: u16) -> SessionMemory<'_> {
        self.memory.session(ssid, self.options.slots)
    }
}

/// What stands in the headers of a session's replies.
pub(super) const fn tuple(session: &Session) -> Tuple {
    Tuple {
        peer: session.peer,
        peer_port: session.peer_port,
        source_port: session.source_port,
        reserved: 0,
    }
}
