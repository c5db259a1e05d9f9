//! Code shared by the kernel programs and the host: the wire format and the layout of the maps.
//!
//! There is one parser. The XDP and TC programs, the agent, the tests and the fuzzers all call the
//! functions of this crate, so that what one accepts, all accept.
//!
//! - [`frame`]: Ethernet, VLAN, IPv4, IPv6 and UDP, up to the UDP payload.
//! - [`stamp`]: the test packets of RFC 8762 and RFC 8972.
//! - [`tlv`]: the TLVs behind them.
//! - [`hmac`]: HMAC-SHA-256, truncated to 128 bits, of the authenticated mode.
//! - [`ntp`]: their timestamps and the Error Estimate.
//! - [`checksum`]: the Internet checksum of RFC 1071.
//! - [`maps`]: the maps through which kernel and agent talk, and what is counted.
#![cfg_attr(not(test), no_std)]

pub mod checksum;
pub mod frame;
pub mod hmac;
pub mod maps;
pub mod ntp;
pub mod stamp;
pub mod tlv;
