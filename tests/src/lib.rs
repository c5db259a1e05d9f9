//! What the integration tests in `tests/` share.
//!
//! - [`agents`]: what tests of running agents ask again and again.
//! - [`golden`]: packets in hex, from an independent encoder.
//! - [`kernel`]: the programs, run on one packet at a time.

pub mod agents;
pub mod golden;
pub mod kernel;
