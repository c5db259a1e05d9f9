//! The verdict engine and the accounts in virtual time.
//!
//! - [`loss`]: independent and bursty loss.
//! - [`world`]: nodes, links, faults; the bounds are counted once all is calm.
//! - [`scenario`]: what happens to a world, and what must hold of it.
//! - [`coverage`]: what must have been reached.
//! - [`mutants`]: engines with a defect, which the simulator has to find.
//! - [`detectors`]: what others use in place of the engine.
//! - [`paths`]: paths as the agent keeps and judges them, to measure what one costs.

#[cfg(feature = "simulation")]
pub mod coverage;
pub mod detectors;
pub mod loss;
#[cfg(feature = "simulation")]
pub mod mutants;
pub mod paths;
#[cfg(feature = "simulation")]
pub mod scenario;
#[cfg(feature = "simulation")]
pub mod world;
