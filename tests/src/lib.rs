//! What the integration tests in `tests/` share.
//!
//! - [`golden`]: packets in hex, from an independent encoder.
//! - [`kernel`]: the programs, run on one packet at a time.

pub mod golden;
pub mod kernel;
