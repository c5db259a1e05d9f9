//! What links do to packets.

use probe_user::random::Random;

/// How a link loses packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Each with the same probability.
    Independent(f64),
    /// In bursts (Gilbert, 1960): while the link is bad, it loses all.
    Bursts {
        /// The share that is lost in the long run, 0 to 1.
        ratio: f64,
        /// Packets that a burst lasts on the average; at least 1.
        length: f64,
    },
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

    /// Whether the next packet is lost.
    pub fn loses(&mut self, random: &mut Random) -> bool {
        match self.loss {
            Loss::Independent(ratio) => random.chance(ratio),
            Loss::Bursts { ratio, .. } if ratio >= 1.0 => true,
            Loss::Bursts { ratio, length } => {
                // In the long run a share `ratio` of the time is bad: in = ratio x out / (1 - ratio).
                let out = 1.0 / length.max(1.0);
                let into = (ratio * out / (1.0 - ratio)).min(1.0);
                self.bad = if self.bad { !random.chance(out) } else { random.chance(into) };
                self.bad
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_lose_what_they_are_told_to() {
        let mut random = Random::new(1);
        for ratio in [0.0, 0.01, 0.3, 1.0] {
            for loss in [Loss::Independent(ratio), Loss::Bursts { ratio, length: 4.0 }] {
                let mut link = Lossy::new(loss);
                let lost = (0..200_000).filter(|_| link.loses(&mut random)).count();
                let measured = lost as f64 / 200_000.0;
                assert!((measured - ratio).abs() < 0.01, "{loss:?}: {measured}");
            }
        }
    }
}
