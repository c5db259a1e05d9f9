//! The verdict engine and the accounts in virtual time.
//!
//! - [`loss`]: independent and bursty loss.
//! - [`world`]: nodes, links, faults; the bounds are counted once all is calm.
//! - [`detectors`]: what others use in place of the engine.

pub mod detectors;
pub mod loss;
pub mod world;
