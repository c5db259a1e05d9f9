//! What links do to packets.

use probe_user::random::Random;

/// How a link loses packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Each with the same probability.
    Independent(f64),
    /// In bursts (Gilbert, 1960; Elliott, 1963): the link is good or bad, and loses another share in each.
    Bursts {
        /// The share of packets that meet a bad link in the long run, 0 to 1.
        bad: f64,
        /// Packets for which it stays bad on the average; at least 1.
        length: f64,
        /// The shares that are lost while it is good, and while it is bad, each 0 to 1.
        loses: [f64; 2],
    },
}

impl Loss {
    /// In bursts of `length` packets on the average in which all are lost, and none between; `ratio` in the long run.
    #[must_use]
    pub const fn bursts(ratio: f64, length: f64) -> Self {
        Self::Bursts { bad: ratio, length, loses: [0.0, 1.0] }
    }
}

/// A link that loses packets so.
#[derive(Clone, Debug)]
pub struct Lossy {
    loss: Loss,
    bad: bool,
}

impl Lossy {
    /// A link that is good at first.
    #[must_use]
    pub const fn new(loss: Loss) -> Self {
        Self { loss, bad: false }
    }

    /// How it loses packets.
    #[must_use]
    pub const fn loss(&self) -> Loss {
        self.loss
    }

    /// Whether the next packet is lost.
    pub fn loses(&mut self, random: &mut Random) -> bool {
        match self.loss {
            Loss::Independent(ratio) => random.chance(ratio),
            Loss::Bursts { bad, length, loses } => {
                self.bad = bad >= 1.0 || self.turns_bad(bad, length.max(1.0), random);
                random.chance(loses[usize::from(self.bad)])
            }
        }
    }

    /// Whether the next packet meets a bad link. In the long run a share `bad` of all do: what turns bad in a step, and
    /// what turns good, are the same then.
    fn turns_bad(&self, bad: f64, length: f64, random: &mut Random) -> bool {
        let out = 1.0 / length;
        let into = (bad * out / (1.0 - bad)).min(1.0);
        if self.bad { !random.chance(out) } else { random.chance(into) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_lose_what_they_are_told_to() {
        let mut random = Random::new(1);
        for ratio in [0.0, 0.01, 0.3, 1.0] {
            for loss in [Loss::Independent(ratio), Loss::bursts(ratio, 4.0)] {
                let measured = measure(loss, &mut random);
                assert!((measured - ratio).abs() < 0.01, "{loss:?}: {measured}");
            }
        }
    }

    #[test]
    fn good_and_bad_times_lose_a_share_of_their_own() {
        let loss = Loss::Bursts { bad: 0.25, length: 10.0, loses: [0.02, 0.6] };
        let measured = measure(loss, &mut Random::new(2));
        assert!((measured - (0.75 * 0.02 + 0.25 * 0.6)).abs() < 0.01, "{measured}");
    }

    #[test]
    fn bursts_are_as_long_as_they_are_told_to_be() {
        let (mut random, mut link) = (Random::new(3), Lossy::new(Loss::bursts(0.1, 4.0)));
        let lost: Vec<bool> = (0..200_000).map(|_| link.loses(&mut random)).collect();
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        let length = lost.iter().filter(|lost| **lost).count() as f64 / bursts as f64;
        assert!((length - 4.0).abs() < 0.1, "{length}");
    }

    fn measure(loss: Loss, random: &mut Random) -> f64 {
        let mut link = Lossy::new(loss);
        (0..200_000).filter(|_| link.loses(random)).count() as f64 / 200_000.0
    }
}
