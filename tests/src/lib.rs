//! What the integration tests in `tests/` share.
//!
//! - [`agents`]: what tests of running agents ask again and again.
//! - [`encapsulation`]: frames around a UDP payload.
//! - [`flood`]: a million packets that nobody asked for.
//! - [`golden`]: packets in hex, from an independent encoder.
//! - [`kernel`]: the programs, run on one packet at a time.
//! - [`overlay`]: agents that route.
//! - [`ping`]: `linkprobe ping`, and reflectors for it.
//! - [`random`]: numbers that look random.
//! - [`stamp_suite`]: a sender and a reflector that others wrote.
//! - [`tools`]: where programs of others are.

pub mod agents;
pub mod encapsulation;
pub mod flood;
pub mod golden;
pub mod kernel;
pub mod overlay;
pub mod ping;
pub mod random;
pub mod stamp_suite;
pub mod tools;
