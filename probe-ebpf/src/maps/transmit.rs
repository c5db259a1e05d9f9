//! Sending without the network stack: whole packets are made of headers that the kernel itself has put before an
//! earlier one.

use crate::{
    frame::{ETHERTYPE_AT, IPV4_LENGTH, IPV6_LENGTH, UDP_LENGTH},
    stamp,
};

/// Index of the loopback interface, in every network namespace: there the kernel runs programs on frames of whoever
/// asks.
pub const LOOPBACK: u32 = 1;

/// Octets of the longest headers that are kept: Ethernet, IPv6 and UDP.
pub const MAX_HEADERS: usize = ETHERTYPE_AT + 2 + IPV6_LENGTH + UDP_LENGTH;

/// The same with IPv4.
pub const IPV4_HEADERS: usize = ETHERTYPE_AT + 2 + IPV4_LENGTH + UDP_LENGTH;

/// Octets of payload of the packets that are sent so: the base packet, unauthenticated and without TLVs.
pub const PAYLOAD: usize = stamp::LENGTH;

/// Most packets of one call.
pub const MAX_BATCH: usize = 64;

/// What stood before the last packet of a session that the network stack has sent: the way that it chose. The index
/// in the map is the SSID. Written by the TC program.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct Headers {
    /// When that was, `CLOCK_MONOTONIC` in nanoseconds; 0 for never.
    pub learned_at: u64,
    /// Index of the interface that it left by.
    pub interface: u32,
    /// Octets of `octets` that count: [`IPV4_HEADERS`] or [`MAX_HEADERS`].
    pub length: u16,
    /// What pseudo-header, ports and length add to the UDP checksum, folded.
    pub sum: [u8; 2],
    /// Ethernet, IP and UDP.
    pub octets: [u8; MAX_HEADERS],
}

/// Whose packets are to be sent by the next call, in this order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// How many of them have been taken. The agent sets it to 0 before a call, and the XDP program counts.
    pub taken: u32,
    /// How many there are; at most [`MAX_BATCH`].
    pub count: u32,
    /// Their SSIDs. All of one call have headers of the same length.
    pub ssids: [u16; MAX_BATCH],
}

const _: () = {
    assert!(size_of::<Headers>() == 128 && size_of::<Batch>() == 136);
};
