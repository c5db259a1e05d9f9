//! One direction of a path, over all its flows.

use super::{
    Settings,
    cusum::{Bank, TESTS},
    damping::Damping,
    defect::Defect,
    evidence::Evidence,
    observation::AGE,
    recovery::Recovery,
};
use crate::verdict::{Cause, Nanos, SECOND, State};

/// Probes in a row of which nothing can be said, after which nothing can be said of the direction; the first time within
/// an hour.
const SILENCES: u32 = 5;

/// What went from unhealthy to unknown within so long of the last time, or of falling silent, does not go back for as long,
/// unless it was healthy in between. Where almost all is lost, evidence comes and goes, and the verdict would with it.
const HUSH: Nanos = 3_600 * SECOND;

/// An alarm lives on signs of life alone, and what falls silent again on nothing, for as long as so many probes take. Where
/// 90 % are lost on the other way, and so say nothing of this one, as many in a row are once in 40,000 times.
const HEARSAY: u32 = 100;

/// What the probes of one direction say.
#[derive(Clone, Debug, Default)]
pub struct Track {
    pub(super) bank: Bank,
    /// For how many probes each statistic has been above zero: where the loss began, if it is one.
    pub(super) ages: [u32; TESTS],
    pub(super) recovery: Recovery,
    pub(super) damping: Damping,
    pub(super) evidence: Evidence,
    pub(super) blip: Option<Blip>,
    /// The alarm was raised, and recovery has not come.
    pub(super) alarmed: bool,
    /// Recovery has come, and no alarm since.
    pub(super) fit: bool,
    pub(super) silences: u32,
    pub(super) evidence_at: Option<Nanos>,
    /// When it was last known what became of a probe here.
    pub(super) probed_at: Option<Nanos>,
    pub(super) unknown_because: Unknown,
    /// When the peer fell silent, or the evidence of an alarm was gone.
    pub(super) lapsed_at: Option<Nanos>,
    /// Until then, it takes a recovery to make more than unknown of it.
    pub(super) hushed_until: Nanos,
}

/// Losses of probes that were sent at about the same time, of which only the first counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blip {
    /// When that was sent.
    pub at: Nanos,
    /// Whether it still counts. If it was none, the next one does.
    pub counts: bool,
}

impl Blip {
    /// Whether the loss of a probe that was sent then is one of them.
    const fn holds(&self, sent_at: Nanos, settings: &Settings) -> bool {
        self.at.abs_diff(sent_at) < settings.blip
    }

    /// Whether it is the first. Times are as coarse as they are recorded.
    const fn began_with(&self, sent_at: Nanos) -> bool {
        self.at.abs_diff(sent_at) <= AGE
    }
}

/// Why nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// There was no evidence yet.
    #[default]
    Starting,
    /// It is too old.
    Expired,
    /// The peer is silent.
    Silence,
}

impl Track {
    /// A probe passed.
    #[inline]
    pub fn pass(&mut self, now: Nanos, settings: &Settings) {
        if self.is_pinned(settings) {
            return;
        }
        if self.bank.passes >= Bank::UNSETTLED {
            self.settle();
        }
        self.bank.pass();
        self.recovery.pass(self.enough(settings));
        self.evidence.add(false);
        self.silences = 0;
        (self.evidence_at, self.probed_at) = (Some(now), Some(now));
    }

    /// Takes the passes since then off the statistics. Those that have been at zero for a pass have no age.
    fn settle(&mut self) {
        let passes = self.bank.passes;
        for (age, statistic) in self.ages.iter_mut().zip(self.bank.statistics) {
            *age = if statistic < passes { 0 } else { age.saturating_add(passes as u32) };
        }
        self.bank.settle();
    }

    /// A probe that was sent then was lost. Returns whether this has raised the alarm.
    pub fn lose(&mut self, sent_at: Nanos, now: Nanos, settings: &Settings) -> bool {
        self.recovery.lose(settings.penalty);
        self.evidence.add(true);
        self.silences = 0;
        (self.evidence_at, self.probed_at) = (Some(now), Some(now));
        if self.blip.is_some_and(|blip| blip.counts && blip.holds(sent_at, settings)) {
            return false;
        }
        self.blip = Some(Blip { at: sent_at, counts: true });
        self.settle();
        for age in &mut self.ages {
            *age = age.saturating_add(1);
        }
        if settings.defects.has(Defect::Unclamped) {
            for (statistic, gain) in self.bank.statistics.iter_mut().zip(settings.path.gains) {
                *statistic = statistic.saturating_add(gain);
            }
        } else {
            self.bank.lose(&settings.path);
        }
        let is_hushed = !self.fit && now < self.hushed_until;
        let test = self.bank.alarm(&settings.path);
        let Some(test) = test.filter(|_| !self.alarmed && !is_hushed) else { return false };
        self.alarmed = true;
        self.recovery.restart();
        // Since the statistic was zero, it has gone up by the gain for each loss and down by one for each pass.
        let (age, gain) = (self.ages[test], settings.path.gains[test] as u32);
        let losses = (self.bank.statistics[test] as u32).saturating_add(age).div_ceil(gain + 1);
        self.evidence.begin(age, losses.min(age));
        true
    }

    /// A probe was lost that belongs to a flow's own loss: no evidence for the alarm, but none for recovery either.
    pub fn lose_aside(&mut self, now: Nanos, settings: &Settings) {
        self.recovery.lose(settings.penalty);
        (self.evidence_at, self.probed_at) = (Some(now), Some(now));
    }

    /// The defect of the incident: nothing reaches a verdict whose evidence has grown old.
    const fn is_pinned(&self, settings: &Settings) -> bool {
        settings.defects.has(Defect::Freshness) && self.alarmed && self.evidence_at.is_none()
    }

    /// There is a sign of life, though no probe of ours.
    pub const fn alive(&mut self, now: Nanos) {
        self.evidence_at = Some(now);
    }

    /// Nothing can be said of a probe.
    pub fn silence(&mut self) {
        self.recovery = Recovery::default();
        self.silences = self.silences.saturating_add(1);
    }

    /// The loss of a probe that was sent then was none. Where it was not counted, there is less to take back.
    pub fn take_back(&mut self, sent_at: Nanos, was_aside: bool, settings: &Settings) {
        if settings.defects.has(Defect::NeverTakenBack) {
            return;
        }
        self.recovery.take_back(self.enough(settings));
        if was_aside {
            return;
        }
        self.evidence.take_back();
        let did_count = match &mut self.blip {
            Some(blip) if blip.began_with(sent_at) => std::mem::take(&mut blip.counts),
            Some(blip) if blip.holds(sent_at, settings) => false,
            _ => true,
        };
        if did_count {
            self.settle();
            self.bank.take_back(&settings.path);
        }
    }

    /// So many clean probes make it healthy.
    #[inline]
    #[must_use]
    pub fn enough(&self, settings: &Settings) -> u32 {
        if settings.defects.has(Defect::HastyRecovery) {
            return 1;
        }
        self.damping.enough(settings.recovery, settings)
    }

    /// Whether damping holds it back.
    #[inline]
    #[must_use]
    pub fn is_held(&self, settings: &Settings) -> bool {
        self.damping.doublings(settings) > 0 && self.recovery.missing(self.enough(settings)) > 0
    }

    /// Decides. `flows_pass` is whether each flow by itself would allow recovery. Returns whether it has come from an
    /// alarm.
    pub fn judge(&mut self, now: Nanos, settings: &Settings, flows_pass: bool) -> bool {
        self.hushed_until = self.hushed_until.min(now + HUSH);
        self.damping.forget(now, settings);
        if !self.alarmed && self.evidence.since_onset.is_some() {
            // Without an alarm there is no onset.
            self.evidence.restart();
        }
        if self.silences >= self.longest_silence(now) && !self.alarmed {
            self.lapse(now, settings);
            self.forget(Unknown::Silence);
        } else if self.is_expired(now, settings) {
            if settings.defects.has(Defect::Freshness) && self.alarmed {
                self.evidence_at = None;
                return false;
            }
            if self.alarmed || self.silences > 0 {
                self.lapse(now, settings);
            }
            match self.unknown_because {
                _ if self.silences > 0 => self.forget(Unknown::Silence),
                because @ (Unknown::Starting | Unknown::Silence) if !self.is_judged() => {
                    self.forget(because);
                }
                _ => self.forget(Unknown::Expired),
            }
            self.alarmed = settings.defects.has(Defect::StaleIsUnhealthy);
            self.fit = settings.defects.has(Defect::BornHealthy);
        } else if !self.fit || self.alarmed {
            self.fit = false;
            // Without damping the flows decide alone: within a flow, probes are judged in the order in which they
            // were sent, and a loss that becomes known late takes nothing back from what came after it.
            let recovered = !self.is_held(settings) && flows_pass;
            let held = settings.defects.has(Defect::Unclamped)
                && self.bank.alarm(&settings.path).is_some();
            if recovered && !held {
                let was_alarmed = self.alarmed;
                if was_alarmed {
                    self.damping.recover(now, self.evidence.is_unmistakable());
                } else if self.unknown_because == Unknown::Silence {
                    // As many in a row of which nothing came are no chance.
                    self.damping.recover(now, true);
                }
                (self.fit, self.alarmed) = (true, false);
                self.hushed_until = 0;
                (self.bank, self.ages) = Default::default();
                self.evidence.restart();
                return was_alarmed;
            }
        }
        false
    }

    /// The verdict and its cause, as of the last [`Track::judge`].
    #[must_use]
    pub const fn state(&self) -> (State, Cause) {
        match (self.alarmed, self.fit) {
            (true, _) => (State::Unhealthy, Cause::Loss),
            (false, true) => (State::Healthy, Cause::Passing),
            (false, false) => match self.unknown_because {
                Unknown::Starting => (State::Unknown, Cause::Starting),
                Unknown::Expired => (State::Unknown, Cause::Expired),
                Unknown::Silence => (State::Unknown, Cause::Silence),
            },
        }
    }

    /// The peer has fallen silent, or the evidence of an alarm is gone. What was good relapses.
    fn lapse(&mut self, now: Nanos, settings: &Settings) {
        if !self.is_judged() {
            return;
        }
        if self.fit {
            self.damping.relapse(now, settings);
        }
        let again = self.has_lapsed_lately(now);
        self.hushed_until = if self.alarmed && again { now + HUSH } else { 0 };
        self.lapsed_at = Some(now);
    }

    /// How many probes in a row may be silent. Where half of the answers are lost on the way back, the first few are now and
    /// then; the verdict must not come and go with them.
    fn longest_silence(&self, now: Nanos) -> u32 {
        if self.fit && self.has_lapsed_lately(now) { HEARSAY } else { SILENCES }
    }

    /// A lapse in the future never was.
    fn has_lapsed_lately(&self, now: Nanos) -> bool {
        self.lapsed_at.is_some_and(|at| at <= now && now - at < HUSH)
    }

    const fn is_judged(&self) -> bool {
        self.alarmed || self.fit
    }

    /// Whether the newest evidence is too old: of an alarm, signs of life are none for ever. Evidence from the future is none.
    fn is_expired(&self, now: Nanos, settings: &Settings) -> bool {
        if settings.defects.has(Defect::NoExpiry) {
            return false;
        }
        let is_older = |at: Option<Nanos>, limit| at.is_none_or(|at| at > now || now - at > limit);
        is_older(self.evidence_at, settings.expiry)
            || self.alarmed && is_older(self.probed_at, settings.expiry + settings.time_of(HEARSAY))
    }

    fn forget(&mut self, because: Unknown) {
        self.unknown_because = because;
        (self.alarmed, self.fit) = (false, false);
        (self.bank, self.ages) = Default::default();
        self.recovery = Recovery::default();
        self.evidence.restart();
    }
}
