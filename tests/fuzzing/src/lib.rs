//! What is fuzzed, and what must hold whatever comes in.
//!
//! Each target is a function that takes any octets, and panics where something does not hold.
//! `cargo xtask fuzz` looks for octets that make one panic; an ordinary test calls them with all that is
//! kept in `fuzz/corpus`, and needs no fuzzer for that.
//!
//! - [`frame`]: from a frame to the fields of a test packet.
//! - [`tlv`]: the TLVs that kernel and userspace handle alike.
//! - [`reflector`]: the userspace reflector, and a sequence of requests.
//! - [`keys`]: key files.
//! - [`script`]: the form of that sequence.
//! - [`corpus`]: the inputs that are kept.

pub mod corpus;
pub mod frame;
pub mod keys;
pub mod reflector;
pub mod script;
pub mod tlv;

/// A target: its name, which is that of its directory in `fuzz/corpus`, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("frame", frame::check),
    ("keys", keys::check),
    ("tlv", tlv::check),
    ("reflector", reflector::check),
];
