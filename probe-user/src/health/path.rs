//! The verdicts on one path, from its tracks, its flows and its round trips.

use super::{
    Settings, Transition, Verdict,
    calm::Calm,
    defect::Defect,
    flow::{Flow, Losses},
    latency::Latency,
    observation::AGE,
    reported::Reported,
    says::{Says, says},
};
use crate::{
    account::Outcome,
    prefetch::prefetch,
    report::Needs,
    verdict::{Cause, Direction, Nanos, State},
};

/// The health of the path to one peer, by direction.
#[derive(Clone, Debug)]
pub struct Path {
    pub(super) directions: [Reported; 2],
    pub(super) flows: Box<[[Flow; 2]]>,
    pub(super) losses: Box<[[Losses; 2]]>,
    pub(super) latency: Latency,
    /// Since and until when ticks need not look at the rest.
    pub(super) calm: Option<Calm>,
}

impl Path {
    /// A path of which nothing is known yet.
    #[must_use]
    pub fn new(flows: usize, now: Nanos) -> Self {
        let reported = Reported::unknown(now);
        Self {
            directions: [reported.clone(), reported],
            flows: vec![[Flow::default(); 2]; flows].into_boxed_slice(),
            losses: vec![[Losses::default(); 2]; flows].into_boxed_slice(),
            latency: Latency::default(),
            calm: None,
        }
    }

    /// Has the processor fetch what it keeps elsewhere.
    pub(crate) fn fetch(&self) {
        self.flows.iter().for_each(prefetch);
        self.losses.iter().for_each(prefetch);
    }

    /// Takes in the outcome of one probe of one flow, which was sent at `sent_at`. What it means for the verdicts, the next
    /// [`Path::tick`] says.
    ///
    /// # Panics
    /// Where there is no such flow.
    #[inline]
    pub fn observe(
        &mut self,
        flow: usize,
        sent_at: Nanos,
        outcome: Outcome,
        now: Nanos,
        settings: &Settings,
    ) {
        self.calm = None;
        if let Outcome::Answered { round_trip } = outcome {
            for direction in Direction::ALL {
                self.pass(flow, direction, now, settings);
            }
            let healthy = self.directions.iter().all(|reported| reported.track.fit);
            self.latency.add(round_trip, healthy, now, settings);
        } else {
            self.observe_loss(flow, sent_at, outcome, now, settings);
        }
    }

    #[cold]
    fn observe_loss(
        &mut self,
        flow: usize,
        sent_at: Nanos,
        outcome: Outcome,
        now: Nanos,
        settings: &Settings,
    ) {
        for direction in Direction::ALL {
            let index = direction as usize;
            match says(outcome, direction, settings) {
                Says::Passed => self.pass(flow, direction, now, settings),
                Says::Lost => self.lose(flow, direction, sent_at, now, settings),
                Says::Alive => {
                    self.directions[index].track.alive(now);
                    if matches!(outcome, Outcome::Lost(_)) {
                        self.flows[flow][index].unheard();
                    }
                }
                Says::Nothing => {
                    self.flows[flow][index].unheard();
                    if !self.others_pass(flow, index, settings) {
                        self.directions[index].track.silence();
                    }
                }
                Says::NotLost => {
                    let track = &mut self.directions[index].track;
                    let losses = &mut self.losses[flow][index];
                    track.take_back(sent_at, losses.is_aside(sent_at), settings);
                    let doublings = track.damping.doublings(settings);
                    self.flows[flow][index].take_back(losses, doublings, settings);
                }
            }
        }
    }

    /// A probe of a flow passed in a direction.
    #[inline]
    fn pass(&mut self, flow: usize, direction: Direction, now: Nanos, settings: &Settings) {
        let track = &mut self.directions[direction as usize].track;
        track.pass(now, settings);
        self.flows[flow][direction as usize].pass(track, settings);
    }

    /// A probe of a flow was lost in a direction. What a flow loses that loses more than others is its own, and not to be
    /// averaged into the path's loss.
    fn lose(
        &mut self,
        flow: usize,
        direction: Direction,
        sent_at: Nanos,
        now: Nanos,
        settings: &Settings,
    ) {
        let index = direction as usize;
        if settings.defects.has(Defect::Overlooking) && !sent_at.is_multiple_of(10 * AGE) {
            return self.directions[index].track.alive(now);
        }
        let others_pass = self.others_pass(flow, index, settings);
        let reported = &mut self.directions[index];
        let (of_flow, losses) = (&mut self.flows[flow][index], &mut self.losses[flow][index]);
        let (is_own, is_dead) = (others_pass && of_flow.is_suspect(), of_flow.is_dead());
        let has_become_sick = of_flow.lose(losses, settings);
        reported.sick_flows += usize::from(of_flow.sick);
        let has_alarmed = if is_own {
            losses.put_aside(sent_at, settings);
            if is_dead {
                reported.track.alive(now);
            } else {
                reported.track.lose_aside(now, settings);
            }
            false
        } else {
            reported.track.lose(sent_at, now, settings)
        };
        let was_good = matches!(reported.state, State::Healthy | State::Degraded);
        if (has_alarmed || has_become_sick) && was_good {
            reported.track.damping.relapse(now, settings);
        }
        if has_alarmed {
            self.shorten_rows(index, now.saturating_sub(sent_at), settings);
        }
    }

    /// The probe whose loss has raised the alarm was sent so long ago: what passed before it, as far as it is told by now, does
    /// not end the alarm.
    fn shorten_rows(&mut self, index: usize, age: Nanos, settings: &Settings) {
        // One may be just before it, and the jitter may let one more into the time.
        let since = age / settings.time_of(self.flows.len() as u32).max(1) + 2;
        for flow in &mut self.flows {
            flow[index].recovery.shorten(u32::try_from(since).unwrap_or(u32::MAX));
        }
    }

    /// Whether any flow but this one passes. One flow alone is the path.
    fn others_pass(&self, flow: usize, direction: usize, settings: &Settings) -> bool {
        let mut others = self.flows.iter().enumerate().filter(|(index, _)| *index != flow);
        others.any(|(_, other)| other[direction].is_passing(settings))
    }

    /// Decides, and tells what has changed. To be called after outcomes were taken in, and now and then without any:
    /// verdicts without fresh evidence become unknown.
    ///
    /// `isolated` is whether this node holds itself for cut off.
    pub fn tick(
        &mut self,
        now: Nanos,
        isolated: bool,
        settings: &Settings,
        sink: &mut impl FnMut(Transition),
    ) {
        if self.is_calm(now, settings) {
            return;
        }
        self.latency.expire(now, settings);
        for direction in Direction::ALL {
            let recovered = self.judge(direction as usize, now, settings);
            self.count_sick(direction as usize);
            let assessed = self.assess(direction as usize, settings);
            let reported = &mut self.directions[direction as usize];
            if let Some((from, to)) = reported.change(assessed, isolated, recovered, now) {
                sink(Transition { at: now, direction, from, to, cause: reported.cause });
            }
        }
        self.calm_down(settings);
    }

    /// Lets the track of a direction decide, and its flows with it. Returns whether it has come from an alarm.
    fn judge(&mut self, index: usize, now: Nanos, settings: &Settings) -> bool {
        let track = &self.directions[index].track;
        // Of a direction that is well nobody asks.
        let passing = (!track.fit || track.alarmed) && self.flows_pass(index, settings);
        let track = &mut self.directions[index].track;
        let recovered = track.judge(now, settings, passing);
        if recovered {
            for flow in &mut self.flows {
                flow[index].recover(settings);
            }
        }
        if track.state().0 == State::Unknown {
            self.forget_flows(index);
        }
        recovered
    }

    /// Counts the sick flows of a direction again, if there were any.
    #[inline]
    fn count_sick(&mut self, index: usize) {
        let sick = &mut self.directions[index].sick_flows;
        if *sick > 0 {
            *sick = self.flows.iter().filter(|flow| flow[index].sick).count();
        }
    }

    /// What a direction is, all in all.
    fn assess(&self, index: usize, settings: &Settings) -> (State, Cause) {
        let Reported { track, state, sick_flows, .. } = &self.directions[index];
        let (State::Healthy, cause) = track.state() else {
            return match track.state() {
                (State::Unhealthy, cause) if settings.defects.has(Defect::MildAlarm) => {
                    (State::Degraded, cause)
                }
                (State::Unknown, Cause::Silence | Cause::Expired)
                    if settings.defects.has(Defect::Pinning) =>
                {
                    (State::Unhealthy, Cause::Loss)
                }
                other => other,
            };
        };
        // The tests of a path with one flow are those of the flow.
        let sick = if self.flows.len() > 1 { *sick_flows } else { 0 };
        let seems_to_fail = || *state == State::Healthy && track.bank.is_near_alarm(&settings.path);
        match sick {
            0 if !self.latency.is_slow() => (State::Healthy, cause),
            // Where the whole path seems to fail, no flow is singled out.
            _ if seems_to_fail() => (State::Healthy, cause),
            0 => (State::Degraded, Cause::Latency),
            _ if 2 * sick >= self.flows.len() || settings.defects.has(Defect::HarshFlows) => {
                (State::Unhealthy, Cause::FlowLoss)
            }
            _ => (State::Degraded, Cause::FlowLoss),
        }
    }

    /// Whether the flows by themselves allow recovery: all that are heard and not sick pass, and together as many probes in a
    /// row as it takes.
    fn flows_pass(&self, index: usize, settings: &Settings) -> bool {
        if settings.defects.has(Defect::HastyRecovery) {
            return true;
        }
        let (mut clean, mut all) = (0_u32, true);
        for flow in &self.flows {
            let flow = &flow[index];
            if !flow.is_heard() {
                all = false;
                continue;
            }
            if !flow.has_passed_enough(settings) {
                if !flow.sick {
                    return false;
                }
                all = false;
            }
            clean = clean.saturating_add(flow.recovery.row.min(4 * settings.recovery));
        }
        // That some flows are fine while others are not must be plain: under heavy loss it looks like that now and then.
        clean >= if all { settings.recovery } else { 4 * settings.recovery }
    }

    /// Where nothing is known of the path, nothing is known of its flows.
    fn forget_flows(&mut self, index: usize) {
        let track = &self.directions[index].track;
        if track.recovery.clean == 0 && track.evidence.counts().0 == 0 {
            for (flow, losses) in self.flows.iter_mut().zip(&mut self.losses) {
                (flow[index], losses[index]) = Default::default();
            }
        }
    }

    /// The verdict on one direction.
    #[must_use]
    pub fn direction(&self, direction: Direction, settings: &Settings) -> Verdict {
        let reported = &self.directions[direction as usize];
        Verdict {
            state: reported.state,
            cause: reported.cause,
            since: reported.since,
            evidence_at: reported.track.evidence_at,
            evidence: reported.track.evidence.report(),
            needs: self.needs(direction, settings),
            transitions: reported.transitions,
        }
    }

    /// How many clean probes would make a direction healthy.
    fn needs(&self, direction: Direction, settings: &Settings) -> Option<Needs> {
        let index = direction as usize;
        let Reported { track, state, .. } = &self.directions[index];
        if *state == State::Healthy {
            return None;
        }
        let doublings = track.damping.doublings(settings);
        let of_track = match doublings {
            0 => 0,
            _ if track.fit && self.flows.iter().all(|flow| !flow[index].sick) => 0,
            _ => track.recovery.missing(track.enough(settings)),
        };
        let of_flow = |flow: &[Flow; 2]| {
            let Flow { recovery, sick, .. } = &flow[index];
            let damped = recovery.missing(settings.recovery_per_flow << doublings);
            let undamped = settings.recovery_per_flow.saturating_sub(recovery.row);
            let missing = match (sick, track.fit) {
                (true, _) => damped.max(undamped),
                (false, true) => 0,
                (false, false) => undamped,
            };
            missing * self.flows.len() as u32
        };
        let of_flows = self.flows.iter().map(of_flow).max().unwrap_or(0);
        let slow = self.latency.is_slow();
        let of_latency = if slow { self.latency.missing(settings) } else { 0 };
        let probes = of_track.max(of_flows).max(of_latency).max(1);
        Some(Needs { clean_probes: probes, seconds: settings.time_of(probes) as f64 / 1e9 })
    }

    /// The verdict on one direction, without its evidence.
    #[inline]
    #[must_use]
    pub const fn state_of(&self, direction: Direction) -> State {
        self.directions[direction as usize].state
    }

    /// The verdict on one direction, and why.
    #[must_use]
    pub const fn verdict_of(&self, direction: Direction) -> (State, Cause) {
        let reported = &self.directions[direction as usize];
        (reported.state, reported.cause)
    }

    /// The worse of the two directions.
    #[must_use]
    pub const fn state(&self) -> State {
        self.directions[0].state.worse(self.directions[1].state)
    }

    /// Whether the path has ever been healthy.
    #[must_use]
    pub fn was_ever_healthy(&self) -> bool {
        self.directions.iter().all(|reported| reported.transitions.healthy > 0)
    }

    /// Since when the path as a whole has had its state.
    #[must_use]
    pub fn since(&self) -> Nanos {
        let state = self.state();
        let of_state = self.directions.iter().filter(|reported| reported.state == state);
        of_state.map(|reported| reported.since).max().unwrap_or(0)
    }

    /// Whether one flow's probes pass in one direction.
    #[must_use]
    pub fn flow_direction(&self, flow: usize, direction: Direction) -> State {
        let reported = &self.directions[direction as usize];
        match reported.state {
            _ if self.flows[flow][direction as usize].sick => State::Unhealthy,
            // What makes the path so is other flows.
            State::Degraded | State::Unhealthy
                if reported.track.fit && reported.by_flows && !self.latency.is_slow() =>
            {
                State::Healthy
            }
            state => state,
        }
    }
}
