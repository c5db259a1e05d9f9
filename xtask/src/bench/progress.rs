//! How far a run is, and how long it may take yet.

use std::time::Duration;

use crate::process::{Stopwatch, readable};

/// Characters of a full bar.
const WIDTH: usize = 20;

/// How much of a run is done.
pub(super) struct Progress {
    /// How long each part may take.
    typical: Vec<Duration>,
    done: usize,
    since: Stopwatch,
}

impl Progress {
    /// A run that begins now, of parts that typically take so long.
    pub(super) fn new(typical: impl Iterator<Item = Duration>) -> Self {
        Self { typical: typical.collect(), done: 0, since: Stopwatch::start() }
    }

    /// One part more is done.
    pub(super) fn step(&mut self) {
        self.done += 1;
    }

    /// What is said before the next part, which has a name.
    pub(super) fn line(&self, name: &str) -> String {
        line(name, &self.typical, self.done, self.since.elapsed())
    }
}

fn line(name: &str, typical: &[Duration], done: usize, elapsed: Duration) -> String {
    let count = typical.len();
    let left = readable(left(typical, done, elapsed));
    if count == 1 {
        return format!("{name}, about {left}");
    }
    let (before, rest) = typical.split_at(done);
    let sum = |times: &[Duration]| times.iter().sum::<Duration>().as_secs_f64();
    let share = sum(before) / (sum(before) + sum(rest));
    let bar = "#".repeat((share * WIDTH as f64).round() as usize);
    let elapsed = readable(elapsed);
    format!("[{bar:WIDTH$}] {name}, {} of {count}; {elapsed} gone, about {left} left", done + 1)
}

/// What is left, as fast as what is done: what a part typically takes was found on another machine.
fn left(typical: &[Duration], done: usize, elapsed: Duration) -> Duration {
    let (before, rest) = typical.split_at(done);
    let (before, rest) = (before.iter().sum::<Duration>(), rest.iter().sum::<Duration>());
    let left = if before.is_zero() { rest } else { rest.mul_f64(elapsed.div_duration_f64(before)) };
    // Nobody believes in tenths of a second.
    Duration::from_secs(left.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPICAL: [Duration; 3] =
        [Duration::from_secs(60), Duration::from_secs(60), Duration::from_secs(120)];

    #[test]
    fn what_is_left_goes_by_what_has_gone() {
        let seconds = Duration::from_secs;
        assert_eq!(left(&TYPICAL, 0, seconds(3)), seconds(240));
        assert_eq!(left(&TYPICAL, 1, seconds(120)), seconds(360));
        assert_eq!(left(&TYPICAL, 2, seconds(60)), seconds(60));
    }

    #[test]
    fn a_line_says_where_we_are() {
        assert_eq!(
            line("send", &TYPICAL, 1, Duration::from_secs(120)),
            "[#####               ] send, 2 of 3; 2 min 0 s gone, about 6 min 0 s left"
        );
        assert_eq!(line("send", &TYPICAL[..1], 0, Duration::ZERO), "send, about 1 min 0 s");
    }
}
