//! Whose probes are on their way: a tick looks at those paths, and at all of them four times a second. The peer's own probes
//! wait for that, and so does what was handed over and left later: behind a neighbour that had to be found.

use crate::{
    places::{Places, Renewal},
    verdict::Nanos,
};

/// Paths, or groups of them, by their places, of whose probes something may have become since they were last looked at.
#[derive(Clone, Debug, Default)]
pub struct Awaited {
    pub(super) paths: Places,
    pub(super) renewal: Renewal,
}

impl Awaited {
    /// A probe of a path has left, or was to leave.
    #[inline]
    pub fn add(&mut self, path: usize) {
        self.paths.insert(path);
    }

    /// Takes out, in order, those that are to be looked at now, of so many paths. Whoever still expects something then
    /// ([`super::path::Path::expects`]) is to be added again.
    pub fn take(&mut self, paths: usize, now: Nanos, taken: &mut Vec<usize>) {
        if self.renewal.is_due(now) {
            self.paths.fill(paths);
        }
        taken.clear();
        taken.extend(self.paths.iter().filter(|path| *path < paths));
        self.paths.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{MILLISECOND, SECOND};

    /// Looks once, and says at whom. Something is still to be expected of `open`.
    fn look(awaited: &mut Awaited, now: Nanos, open: &[usize]) -> Vec<usize> {
        let mut taken = Vec::new();
        awaited.take(3, now, &mut taken);
        taken.iter().filter(|path| open.contains(path)).for_each(|path| awaited.add(*path));
        taken
    }

    #[test]
    fn whoever_expects_something_is_looked_at_until_it_is_there() {
        let mut awaited = Awaited::default();
        assert_eq!(look(&mut awaited, SECOND, &[]), [0, 1, 2], "of those nothing is known");
        let mut now = SECOND;
        let mut look = |awaited: &mut Awaited, open: &[usize]| {
            now += 10 * MILLISECOND;
            look(awaited, now, open)
        };
        assert!(look(&mut awaited, &[]).is_empty());
        awaited.add(2);
        awaited.add(0);
        // It was a path until a moment ago.
        awaited.add(3);
        assert_eq!(look(&mut awaited, &[2]), [0, 2]);
        assert_eq!(look(&mut awaited, &[2]), [2]);
        assert_eq!(look(&mut awaited, &[]), [2]);
        assert!(look(&mut awaited, &[]).is_empty());
        let looks: usize = (0..100).map(|_| look(&mut awaited, &[]).len()).sum();
        assert_eq!(looks, 3 * 4, "in a second, whatever is known");
    }
}
