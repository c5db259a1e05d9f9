//! From the outcomes of probes to verdicts.
//!
//! Pure: outcomes and the time go in, transitions come out. What is inside may change, the interface
//! stays: [`Path::observe`] for every outcome, [`Path::tick`] now and then, [`Path::direction`] to ask.
//!
//! The detector counts lost probes among the last `window` of a direction. `unhealthy_losses` of them
//! are too many; `recovery_probes` in a row that pass make the direction healthy, whatever was before.
//! No verdict ever keeps a probe from being sent or from being counted, so the way back to healthy is
//! open from every state (`ARCHITECTURE.md`, "Invariants").
//!
//! - [`track`]: one direction of a path.

pub mod track;

use track::Track;

use crate::{
    account::{Lost, Outcome},
    report::{Evidence, Transitions},
    verdict::{Cause, Direction, Nanos, State},
};

/// What the detector is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Probes that are looked at; at most 128.
    pub window: u32,
    /// Lost ones among them that make a direction unhealthy.
    pub unhealthy_losses: u32,
    /// Probes in a row that must pass to make it healthy.
    pub recovery_probes: u32,
    /// Age of the last evidence at which a verdict becomes unknown, in nanoseconds.
    pub expiry: Nanos,
}

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
    /// How often it has changed.
    pub transitions: Transitions,
}

/// Losses in a row after which one flow of a path counts as dead.
const DEAD_FLOW_LOSSES: u32 = 8;

/// After so many losses in a row, while other flows pass, a flow's losses are its own.
const SUSPECT_FLOW_LOSSES: u32 = 3;

/// The health of the path to one peer, by direction.
#[derive(Clone, Debug)]
pub struct Path {
    settings: Settings,
    directions: [Reported; 2],
    flows: Vec<[FlowTrack; 2]>,
}

/// A direction's own track, and what is reported once its flows are looked at too.
#[derive(Clone, Debug)]
struct Reported {
    track: Track,
    state: State,
    cause: Cause,
    since: Nanos,
    transitions: Transitions,
}

/// One direction of one flow.
#[derive(Clone, Copy, Debug, Default)]
struct FlowTrack {
    losses_in_a_row: u32,
    passes_in_a_row: u32,
    dead: bool,
}

impl Path {
    /// A path of which nothing is known yet.
    #[must_use]
    pub fn new(settings: Settings, flows: usize, now: Nanos) -> Self {
        let reported = Reported {
            track: Track::default(),
            state: State::Unknown,
            cause: Cause::Starting,
            since: now,
            transitions: Transitions::default(),
        };
        Self {
            settings,
            directions: [reported.clone(), reported],
            flows: vec![[FlowTrack::default(); 2]; flows],
        }
    }

    /// Judges by other settings from now on; the evidence stays.
    pub const fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Takes in the outcome of one probe of one flow.
    pub fn observe(
        &mut self,
        flow: usize,
        outcome: Outcome,
        now: Nanos,
        sink: &mut impl FnMut(Transition),
    ) {
        for direction in Direction::ALL {
            let index = direction as usize;
            let others_pass = self.flows.iter().any(|flow| flow[index].losses_in_a_row == 0);
            let track = &mut self.directions[index].track;
            let flow = &mut self.flows[flow][index];
            match evidence(outcome, direction) {
                Says::Passed => {
                    track.pass(now, &self.settings);
                    flow.pass(&self.settings);
                }
                // A flow that is dead by itself is not to be averaged into the path's loss.
                Says::Lost if flow.losses_in_a_row >= SUSPECT_FLOW_LOSSES && others_pass => {
                    track.alive(now);
                    flow.fail();
                }
                Says::Lost => {
                    track.fail(now);
                    flow.fail();
                }
                Says::Alive => track.alive(now),
                Says::Nothing => track.silence(),
                Says::NotLost => {
                    track.forgive();
                    flow.pass(&self.settings);
                }
            }
        }
        self.tick(now, sink);
    }

    /// Lets time pass: verdicts without fresh evidence become unknown.
    pub fn tick(&mut self, now: Nanos, sink: &mut impl FnMut(Transition)) {
        for direction in Direction::ALL {
            let index = direction as usize;
            let flow_dead = self.flows.iter().any(|flow| flow[index].dead);
            let reported = &mut self.directions[index];
            reported.track.judge(now, &self.settings);
            let (state, cause) = match reported.track.state() {
                (State::Healthy, _) if flow_dead => (State::Degraded, Cause::FlowLoss),
                other => other,
            };
            reported.cause = cause;
            if state != reported.state {
                sink(Transition { at: now, direction, from: reported.state, to: state, cause });
                reported.state = state;
                reported.since = now;
                reported.transitions.count(state);
            }
        }
    }

    /// The verdict on one direction.
    #[must_use]
    pub fn direction(&self, direction: Direction) -> Verdict {
        let reported = &self.directions[direction as usize];
        Verdict {
            state: reported.state,
            cause: reported.cause,
            since: reported.since,
            evidence_at: reported.track.evidence_at(),
            evidence: reported.track.evidence(),
            transitions: reported.transitions,
        }
    }

    /// The worse of the two directions.
    #[must_use]
    pub fn state(&self) -> State {
        self.directions[0].state.worse(self.directions[1].state)
    }

    /// Whether one flow's probes pass.
    #[must_use]
    pub fn flow(&self, flow: usize) -> State {
        let dead = self.flows[flow].iter().any(|track| track.dead);
        if dead { State::Unhealthy } else { self.state() }
    }
}

/// What an outcome says of one direction.
enum Says {
    /// The probe passed there.
    Passed,
    /// It was lost there.
    Lost,
    /// Probes pass there, though nothing is known of this one.
    Alive,
    /// Nothing.
    Nothing,
    /// A loss that was reported was none.
    NotLost,
}

const fn evidence(outcome: Outcome, direction: Direction) -> Says {
    use Direction::{Forward, Reverse};
    match (outcome, direction) {
        (Outcome::Answered { .. }, _) | (Outcome::Lost(Lost::Reverse), Forward) => Says::Passed,
        (Outcome::Lost(Lost::Forward), Forward)
        | (Outcome::Lost(Lost::Reverse | Lost::Silent), Reverse)
        | (Outcome::Lost(Lost::Unknown), _) => Says::Lost,
        (Outcome::Lost(Lost::Forward), Reverse) => Says::Alive,
        (Outcome::Lost(Lost::Silent), Forward) => Says::Nothing,
        (Outcome::TakenBack(Lost::Forward | Lost::Unknown), Forward)
        | (Outcome::TakenBack(Lost::Reverse | Lost::Unknown | Lost::Silent), Reverse) => {
            Says::NotLost
        }
        (Outcome::TakenBack(_), _) => Says::Alive,
    }
}

impl FlowTrack {
    fn pass(&mut self, settings: &Settings) {
        self.losses_in_a_row = 0;
        self.passes_in_a_row = self.passes_in_a_row.saturating_add(1);
        // A flow has only its share of the path's probes, but the same time to recover.
        self.dead &= self.passes_in_a_row < settings.recovery_probes.min(DEAD_FLOW_LOSSES);
    }

    fn fail(&mut self) {
        self.passes_in_a_row = 0;
        self.losses_in_a_row = self.losses_in_a_row.saturating_add(1);
        self.dead |= self.losses_in_a_row >= DEAD_FLOW_LOSSES;
    }
}

#[cfg(test)]
mod tests;
