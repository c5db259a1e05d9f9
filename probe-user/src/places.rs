//! Sets of places in a list, and how they stay right.

use crate::verdict::{Nanos, SECOND};

/// What is kept up step by step is made anew this often, in nanoseconds.
const RENEWAL: Nanos = SECOND / 4;

/// A set of places in a list, one bit each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Vec<u64>);

impl Places {
    const BITS: usize = u64::BITS as usize;

    /// Adds one, and returns whether it was missing.
    #[inline]
    pub(crate) fn insert(&mut self, place: usize) -> bool {
        let (word, bit) = (place / Self::BITS, 1 << (place % Self::BITS));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let is_missing = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_missing
    }

    /// Empties it.
    pub(crate) fn clear(&mut self) {
        self.0.fill(0);
    }

    /// Makes it those below `count`, and no others.
    pub(crate) fn fill(&mut self, count: usize) {
        self.0.clear();
        self.0.resize(count / Self::BITS, u64::MAX);
        if !count.is_multiple_of(Self::BITS) {
            self.0.push((1 << (count % Self::BITS)) - 1);
        }
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.0.iter().enumerate();
        words.flat_map(|(index, word)| ones(*word).map(move |bit| index * Self::BITS + bit))
    }

    /// Goes through all of them in order, and keeps those for which that is true.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        for (index, word) in self.0.iter_mut().enumerate() {
            for bit in ones(*word) {
                if !keep(index * Self::BITS + bit) {
                    *word &= !(1 << bit);
                }
            }
        }
    }
}

/// The bits that are set in a word, the lowest first.
pub(crate) fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        (bit < u64::BITS).then(|| {
            word &= word - 1;
            bit as usize
        })
    })
}

/// When something was made anew that is kept up step by step. Nothing lasts that a step has missed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Renewal(pub(crate) Nanos);

impl Renewal {
    /// Whether it is to be made anew now; then it counts as done.
    pub(crate) fn is_due(&mut self, now: Nanos) -> bool {
        let is_due = now.checked_sub(self.0).is_none_or(|age| age >= RENEWAL);
        if is_due {
            self.0 = now;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(places: &Places) -> Vec<usize> {
        places.iter().collect()
    }

    #[test]
    fn a_set_has_what_was_put_in_in_order() {
        let mut places = Places::default();
        let added = [130, 0, 63, 64, 0].map(|place| places.insert(place));
        assert_eq!(added, [true, true, true, true, false]);
        assert_eq!(all(&places), [0, 63, 64, 130]);
        let mut seen = Vec::new();
        places.retain(|place| {
            seen.push(place);
            place == 63
        });
        assert_eq!((seen, all(&places)), (vec![0, 63, 64, 130], vec![63]));
    }

    #[test]
    fn a_full_set_has_no_more_than_it_should() {
        let mut places = Places::default();
        for count in [0, 1, 63, 64, 65, 128, 3] {
            places.insert(500);
            places.fill(count);
            assert_eq!(all(&places), (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_was_renewed_in_the_future_is_due() {
        let mut renewal = Renewal::default();
        let due = [SECOND, SECOND + 1, SECOND + RENEWAL - 1, SECOND + RENEWAL, SECOND]
            .map(|now| renewal.is_due(now));
        assert_eq!(due, [true, false, false, true, true]);
    }
}
