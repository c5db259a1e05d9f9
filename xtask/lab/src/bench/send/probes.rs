//! Whole packets, which their sender numbers and stamps itself.

use probe_ebpf::{
    checksum::Sum,
    frame::{Udp, udp as udp_field},
    ntp::Format,
    stamp::{Mode, Request},
};
use probe_user::datapath::clock;

use super::{super::frame, stage::Target};

/// A packet for each target, and what their numbers are.
pub(super) struct Probes {
    probes: Vec<Probe>,
    at_once: usize,
    /// From the monotonic clock to the time of day.
    offset: u64,
}

struct Probe {
    frame: Vec<u8>,
    /// Offset of the UDP header.
    udp_at: usize,
    /// The sum of all that stays the same.
    sum: Sum,
    ssid: u16,
    sequence: u32,
}

impl Probes {
    /// Packets for the targets, of which some go at once.
    pub(super) fn new(targets: &[Target], at_once: usize) -> Self {
        let offset = clock::offset(Format::Ntp);
        Self { probes: targets.iter().map(Probe::new).collect(), at_once, offset }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.probes.len()
    }

    /// How many go at once.
    pub(super) const fn at_once(&self) -> usize {
        self.at_once
    }

    /// A packet without number and time, to be put where it is sent from.
    pub(super) fn frame(&self, index: usize) -> &[u8] {
        &self.probes[index].frame
    }

    /// Numbers and stamps a packet where it is sent from.
    pub(super) fn stamp(&mut self, index: usize, frame: &mut [u8]) {
        let timestamp = Format::Ntp.timestamp(clock::monotonic() + self.offset);
        self.probes[index].stamp(timestamp, frame);
    }
}

impl Probe {
    fn new(target: &Target) -> Self {
        let frame = frame::udp(target.from, target.to, &target.template);
        let udp = Udp::find(&frame[..]).expect("the frame is one of UDP");
        let pseudo_header = udp.pseudo_header(&frame[..]).expect("it is whole");
        // Behind the base packet there is nothing, and all of that is written.
        let header = &frame[udp.udp_at..udp.udp_at + udp_field::CHECKSUM];
        let sum = pseudo_header.add_slice(header);
        Self { udp_at: udp.udp_at, sum, ssid: target.ssid(), sequence: 0, frame }
    }

    fn stamp(&mut self, timestamp: u64, frame: &mut [u8]) {
        let request =
            Request { sequence: self.sequence, timestamp, error_estimate: 0x8001, ssid: self.ssid };
        self.sequence = self.sequence.wrapping_add(1);
        let payload_at = self.udp_at + 8;
        // The frame is as long as the packet that it was made of.
        let _ = request.write(frame, payload_at, Mode::Unauthenticated);
        let checksum = self.sum.add_sum(request.sum()).udp_checksum();
        frame[self.udp_at + udp_field::CHECKSUM..][..2].copy_from_slice(&checksum);
    }
}
