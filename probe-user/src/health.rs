//! From the outcomes of probes to verdicts.
//!
//! Pure: outcomes and the time go in, transitions come out. [`Path::observe`] takes in every outcome,
//! [`Path::tick`] decides, [`Path::direction`] and [`Path::flow_direction`] tell. No verdict ever keeps a probe from
//! being sent or from being counted, and everything that is remembered has an upper limit, so that the way back to
//! healthy is open and short from every state (`ARCHITECTURE.md`, "Verdicts").
//!
//! - [`settings`]: from the goals of the config to the numbers of the engine.
//! - [`cusum`] and [`threshold`]: the tests for loss, and where their thresholds come from.
//! - [`path`]: the verdicts on one path, from everything below.
//! - `calm`: when a tick cannot change one.
//! - `says`: what an outcome says of one direction.
//! - [`recovery`] and [`damping`]: the test for the end of loss, and what makes it longer.
//! - `reported`: what is reported of a direction.
//! - [`track`] and [`flow`]: one direction of a path, and of one of its flows.
//! - [`latency`]: round trips that are longer than usual.
//! - [`evidence`]: the probes that a verdict rests on.
//! - [`isolation`], [`node`] and [`region`]: what a node makes of its paths.
//! - `roster`: whom a tick has to look at.
//! - `symptoms`: what a path shows before there is a verdict.
//! - [`observation`]: what it is fed, as coarse as it is recorded.
//! - [`guarantee`]: what settings guarantee, as numbers.
//! - [`defect`]: for the simulator's negative controls.

mod calm;
pub mod cusum;
pub mod damping;
pub mod defect;
pub mod evidence;
pub mod flow;
pub mod guarantee;
pub mod isolation;
pub mod latency;
pub mod node;
pub mod observation;
pub mod path;
pub mod recovery;
pub mod region;
mod reported;
mod roster;
mod says;
pub mod settings;
mod symptoms;
pub mod threshold;
pub mod track;

#[cfg(any(test, feature = "simulation"))]
mod arbitrary;
#[cfg(test)]
mod tests;

pub use path::Path;
pub use settings::{Goals, Settings};

use crate::{
    report::{Evidence, Needs, Transitions},
    verdict::{Cause, Direction, Nanos, State},
};

/// A verdict that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Nanos,
    /// Of which direction.
    pub direction: Direction,
    /// The verdict until now.
    pub from: State,
    /// The verdict from now on.
    pub to: State,
    /// Why.
    pub cause: Cause,
}

/// The verdict on one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The verdict.
    pub state: State,
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub since: Nanos,
    /// When the newest evidence came.
    pub evidence_at: Option<Nanos>,
    /// The probes that it rests on.
    pub evidence: Evidence,
    /// What would make it healthy; `None` where it is.
    pub needs: Option<Needs>,
    /// How often it has changed.
    pub transitions: Transitions,
}
