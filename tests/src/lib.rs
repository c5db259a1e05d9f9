//! What the integration tests in `tests/` share.
//!
//! - [`agents`]: what tests of running agents ask again and again.
//! - [`encapsulation`]: frames around a UDP payload.
//! - [`golden`]: packets in hex, from an independent encoder.
//! - [`kernel`]: the programs, run on one packet at a time.
//! - [`random`]: numbers that look random.

pub mod agents;
pub mod encapsulation;
pub mod golden;
pub mod kernel;
pub mod random;
