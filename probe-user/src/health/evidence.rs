//! The probes that a verdict rests on.

use crate::report;

/// While all is well, the latest 128 probes; since an alarm, all from where the loss seems to have begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The latest probes, the newest in bit 0; a set bit is a lost one.
    pub(super) latest: u128,
    /// How many of the bits mean something.
    pub(super) known: u8,
    /// Probes since the onset, and how many of them were lost.
    pub(super) since_onset: Option<(u32, u32)>,
    /// The same at the first loss by which so much had been lost that it was no chance. That less is lost afterwards, or that
    /// another flow's probes of the same time are told later, does not change that.
    pub(super) unmistakable: Option<(u32, u32)>,
}

/// An outage that has lost so many probes, and so large a part of them, was none by chance, and nor was its end. Fewer are
/// enough where almost all were lost, or all.
const UNMISTAKABLE: [(u32, f64); 3] = [(12, 0.4), (6, 0.8), (5, 1.0)];

/// So many probes and losses, if they are [`UNMISTAKABLE`].
fn unmistakable((probes, losses): (u32, u32)) -> Option<(u32, u32)> {
    let is_more = |(least, share): &(u32, f64)| {
        losses >= *least && f64::from(losses) >= share * f64::from(probes)
    };
    UNMISTAKABLE.iter().any(is_more).then_some((probes, losses))
}

impl Evidence {
    /// Takes in a probe.
    #[inline]
    pub fn add(&mut self, lost: bool) {
        self.latest = (self.latest << 1) | u128::from(lost);
        self.known = (self.known + 1).min(128);
        if let Some((probes, losses)) = &mut self.since_onset {
            if *probes >= 1 << 20 {
                // What goes on for a day is told by its later half.
                (*probes, *losses) = (*probes / 2, *losses / 2);
            }
            *probes = probes.saturating_add(1);
            *losses = losses.saturating_add(u32::from(lost));
            if lost {
                self.unmistakable = self.unmistakable.or(unmistakable((*probes, *losses)));
            }
        }
    }

    /// The last loss was none.
    pub fn take_back(&mut self) {
        self.latest &= self.latest.wrapping_sub(1);
        if let Some((_, losses)) = &mut self.since_onset {
            *losses = losses.saturating_sub(1);
        }
        let one_less = |(probes, losses): (u32, u32)| (probes, losses.saturating_sub(1));
        self.unmistakable = self.unmistakable.map(one_less).and_then(unmistakable);
    }

    /// An alarm: the loss began so many probes ago, and so many of them were lost.
    pub fn begin(&mut self, probes: u32, losses: u32) {
        self.since_onset = Some((probes, losses));
        self.unmistakable = unmistakable((probes, losses));
    }

    /// A new verdict that is no alarm rests on what comes from now on.
    pub const fn restart(&mut self) {
        *self = Self { latest: 0, known: 0, since_onset: None, unmistakable: None };
    }

    /// The probes, and how many were lost.
    #[must_use]
    pub fn counts(&self) -> (u32, u32) {
        self.since_onset.unwrap_or((u32::from(self.known), self.latest.count_ones()))
    }

    /// Whether so much was lost that it was no chance.
    #[must_use]
    pub const fn is_unmistakable(&self) -> bool {
        self.unmistakable.is_some()
    }

    /// The share that was lost, 0 to 1; 0 of none.
    #[must_use]
    pub fn loss_ratio(&self) -> f64 {
        let (probes, lost) = self.counts();
        if probes == 0 { 0.0 } else { f64::from(lost) / f64::from(probes) }
    }

    /// As it is reported, with the interval that holds the true loss with 95 % confidence (Wilson, 1927).
    #[must_use]
    pub fn report(&self) -> report::Evidence {
        let (probes, lost) = self.counts();
        if probes == 0 {
            return report::Evidence::default();
        }
        let (n, ratio) = (f64::from(probes), self.loss_ratio());
        let z2 = 1.96_f64.powi(2);
        let middle = (ratio + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = (z2 * (ratio * (1.0 - ratio) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
        report::Evidence {
            probes,
            lost,
            loss_ratio: Some(ratio),
            loss_interval: Some([(middle - half).max(0.0), (middle + half).min(1.0)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_wilson() {
        let mut evidence = Evidence::default();
        assert_eq!(evidence.report(), report::Evidence::default());
        evidence.begin(40, 12);
        // Reference: 12 of 40 gives 0.1807 to 0.4543.
        let [low, high] = evidence.report().loss_interval.unwrap();
        assert!((low - 0.1807).abs() < 5e-4 && (high - 0.4543).abs() < 5e-4, "{low} {high}");
        evidence.begin(50, 0);
        let [low, high] = evidence.report().loss_interval.unwrap();
        assert!(low == 0.0 && (high - 0.0714).abs() < 5e-4, "{high}");
    }

    #[test]
    fn an_outage_is_unmistakable_if_it_lost_many_or_almost_all() {
        for (probes, losses, expected) in [
            (4, 4, false),
            (5, 5, true),
            (6, 5, false),
            (7, 6, true),
            (8, 6, false),
            (11, 11, true),
            (30, 12, true),
            (31, 12, false),
        ] {
            let mut evidence = Evidence::default();
            evidence.begin(probes, losses);
            assert_eq!(evidence.is_unmistakable(), expected, "{losses} of {probes}");
        }
    }

    #[test]
    fn a_loss_that_is_taken_back_is_none() {
        let mut evidence = Evidence::default();
        for lost in [false, true, false, false] {
            evidence.add(lost);
        }
        assert_eq!(evidence.counts(), (4, 1));
        evidence.take_back();
        assert_eq!(evidence.counts(), (4, 0));
        evidence.begin(5, 5);
        // Other flows' probes of the same time are told later.
        (0..100).for_each(|_| evidence.add(false));
        assert!(evidence.is_unmistakable());
        evidence.take_back();
        assert!(!evidence.is_unmistakable());
        evidence.begin(100, 100);
        (0..1_000).for_each(|_| evidence.add(false));
        evidence.take_back();
        assert!(evidence.is_unmistakable(), "99 of 100");
    }
}
