//! One direction of one flow.
//!
//! A fabric spreads flows over its links, so one sick link takes some flows along and leaves the others alone. Each
//! flow therefore has tests of its own. What a sick flow loses is its own loss and not the path's.
//!
//! Almost all probes pass, and many paths do not fit into the caches. So what a pass touches is in [`Flow`], which is small,
//! and what only losses touch is in [`Losses`], elsewhere.

use super::{
    Settings, cusum::Bank, defect::Defect, observation::AGE, recovery::Recovery, track::Track,
};
use crate::verdict::Nanos;

/// After so many losses in a row, while other flows pass, a flow's losses are its own.
const SUSPECT: u8 = 3;

/// After so many probes in a row of which nothing can be said, a flow has no say in whether its path is well.
const UNHEARD: u8 = 3;

/// What the probes of one direction of a flow say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    pub(super) recovery: Recovery,
    /// Passes that its bank has not been told of yet; [`FORGET`] at the end of a sickness.
    pub(super) untold: u32,
    /// Up to 255.
    pub(super) losses_in_a_row: u8,
    /// Probes in a row of which nothing can be said, up to 255.
    pub(super) unheard: u8,
    /// The alarm was raised, and recovery has not come.
    pub(super) sick: bool,
}

const _: () = assert!(size_of::<[Flow; 2]>() <= 48);

/// After so many passes nothing is left of any loss.
const FORGET: u32 = u32::MAX;

/// What the losses of one direction of a flow say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Losses {
    /// Told of passes by [`Flow`] only.
    pub(super) bank: Bank,
    /// When the first and the last were sent of those losses that were the flow's own and not the path's.
    pub(super) aside: Option<(Nanos, Nanos)>,
}

impl Losses {
    /// The loss of a probe that was sent then was not counted for the path.
    pub fn put_aside(&mut self, sent_at: Nanos, settings: &Settings) {
        let goes_on = |(_, last): &(Nanos, Nanos)| last.abs_diff(sent_at) <= settings.expiry;
        let first = self.aside.filter(goes_on).map_or(sent_at, |(first, _)| first);
        self.aside = Some((first, sent_at));
    }

    /// Whether the loss of a probe that was sent then was not counted for the path.
    pub fn is_aside(&self, sent_at: Nanos) -> bool {
        self.aside.is_some_and(|(first, last)| {
            first <= sent_at.saturating_add(AGE) && sent_at <= last.saturating_add(AGE)
        })
    }
}

impl Flow {
    /// A probe passed, in a direction whose track has been told.
    #[inline]
    pub fn pass(&mut self, of: &Track, settings: &Settings) {
        (self.losses_in_a_row, self.unheard) = (0, 0);
        self.untold = self.untold.saturating_add(1);
        let enough = of.damping.enough(settings.recovery_per_flow, settings);
        self.recovery.pass(enough);
        if self.sick && !of.is_held(settings) && self.recovery.missing(enough) == 0 {
            (self.sick, self.untold) = (false, FORGET);
        }
    }

    /// A probe was lost. Returns whether this has raised the alarm.
    pub fn lose(&mut self, losses: &mut Losses, settings: &Settings) -> bool {
        self.losses_in_a_row = self.losses_in_a_row.saturating_add(1);
        self.unheard = 0;
        self.recovery.lose(settings.penalty);
        losses.bank.pass_all(std::mem::take(&mut self.untold));
        losses.bank.lose(&settings.flow);
        let raised = !self.sick
            && losses.bank.alarm(&settings.flow).is_some()
            && !settings.defects.has(Defect::NoFlowTests);
        if raised {
            self.sick = true;
            self.recovery.restart();
        }
        raised
    }

    /// Nothing can be said of a probe.
    pub const fn unheard(&mut self) {
        self.unheard = self.unheard.saturating_add(1);
    }

    /// The last loss was none.
    pub fn take_back(&mut self, losses: &mut Losses, doublings: u8, settings: &Settings) {
        self.losses_in_a_row = 0;
        losses.bank.pass_all(std::mem::take(&mut self.untold));
        losses.bank.take_back(&settings.flow);
        self.recovery.take_back(settings.recovery_per_flow << doublings);
    }

    /// The path as a whole has recovered from an alarm, and so has this flow if it passes by itself.
    pub fn recover(&mut self, settings: &Settings) {
        if self.has_passed_enough(settings) {
            (self.sick, self.untold) = (false, FORGET);
        }
    }

    /// Whether what it loses is to be taken for its own, as long as others pass.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.sick || self.is_dead()
    }

    /// Whether nothing of it passes.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.losses_in_a_row >= SUSPECT
    }

    /// Whether anything is heard of it lately.
    #[must_use]
    pub const fn is_heard(&self) -> bool {
        self.unheard < UNHEARD
    }

    /// Whether its latest probe passed, and it is not sick, or has passed for so long that only its path holds it back.
    #[must_use]
    pub const fn is_passing(&self, settings: &Settings) -> bool {
        self.losses_in_a_row == 0
            && self.unheard == 0
            && self.recovery.row > 0
            && (!self.sick || self.has_passed_enough(settings))
    }

    /// Whether it has passed for long enough for the path to be healthy.
    #[must_use]
    pub const fn has_passed_enough(&self, settings: &Settings) -> bool {
        self.recovery.row >= settings.recovery_per_flow
    }
}
