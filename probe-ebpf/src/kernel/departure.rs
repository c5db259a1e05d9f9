//! The number and the time of a test packet of ours that is about to leave.

use core::ptr::addr_of_mut;

use probe_ebpf::{
    maps::{Config, Session, Slot, SlotState},
    stamp::Request,
};

use super::{clock, state};

/// What a packet is to carry, and where that is noted.
pub(crate) struct Departure {
    pub(crate) request: Request,
    pub(crate) sent_at: u64,
    slot: *mut Slot,
    session: *mut Session,
}

impl Departure {
    /// The next number of a session that runs, and the time.
    #[inline(always)]
    pub(crate) fn now(config: &Config, ssid: u16, session: *mut Session) -> Option<Self> {
        // SAFETY: the map gave the pointer to a whole element.
        let sequence = unsafe { addr_of_mut!((*session).sent).read_volatile() };
        let slot = state::slot(config, ssid, sequence)?;
        let sent_at = clock::monotonic();
        let timestamp = clock::wire(config, sent_at);
        let request = Request { sequence, timestamp, error_estimate: config.error_estimate, ssid };
        Some(Self { request, sent_at, slot, session })
    }

    /// Notes that a packet with this number leaves. From then on the number is taken.
    #[inline(always)]
    pub(crate) fn note(&self) {
        // SAFETY: the map gave the pointers. One thread sends all packets of a session, so nobody else
        // takes this number; the slot is complete before the number counts as sent.
        unsafe {
            (*self.slot).sequence = self.request.sequence;
            (*self.slot).sent_at = self.sent_at;
            (*self.slot).timestamp = self.request.timestamp;
            state::publish(self.slot, SlotState::Sent);
            state::next_u32(addr_of_mut!((*self.session).sent));
        }
    }
}
