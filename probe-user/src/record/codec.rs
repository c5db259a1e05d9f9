//! Frames to octets and back.
//!
//! A frame is its length, the nanoseconds since the frame before, and items: a 0 and the index of the path that what
//! follows belongs to, or an outcome with its flow, followed by the round trip in microseconds or the age of the probe in
//! nanoseconds. All numbers are variable-length integers, seven bits to an octet, the lowest first (LEB128).

use super::Observation;
use crate::{
    account::{Lost, Outcome},
    verdict::Nanos,
};

/// The longest frame: far more than a tick can bring forth.
const MAX_FRAME: u64 = 64 << 20;

/// The outcomes, by the number that stands for each.
const OUTCOMES: [Outcome; 9] = [
    Outcome::Answered { round_trip: 0 },
    Outcome::Lost(Lost::Forward),
    Outcome::Lost(Lost::Reverse),
    Outcome::Lost(Lost::Unknown),
    Outcome::Lost(Lost::Silent),
    Outcome::TakenBack(Lost::Forward),
    Outcome::TakenBack(Lost::Reverse),
    Outcome::TakenBack(Lost::Unknown),
    Outcome::TakenBack(Lost::Silent),
];

/// Makes frames.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    items: Vec<u8>,
    path: Option<usize>,
}

impl Encoder {
    /// Takes in an outcome of the tick at `now`.
    pub fn add(&mut self, observation: &Observation, now: Nanos) {
        let Observation { path, flow, sent_at, outcome } = *observation;
        if self.path != Some(path) {
            self.path = Some(path);
            put(&mut self.items, 0);
            put(&mut self.items, path as u64);
        }
        let (number, value) = match outcome {
            Outcome::Answered { round_trip } => (0, u64::from(round_trip / 1_000)),
            other => {
                let number = OUTCOMES.iter().position(|known| *known == other);
                (number.unwrap_or(0), now.saturating_sub(sent_at))
            }
        };
        put(&mut self.items, ((flow as u64) << 4) | (number as u64 + 1));
        put(&mut self.items, value);
    }

    /// Ends the frame of a tick, `since` nanoseconds after the one before. Returns whether there was anything in it.
    pub fn finish(&mut self, since: Nanos, out: &mut Vec<u8>) -> bool {
        if self.items.is_empty() {
            return false;
        }
        let mut time = Vec::with_capacity(10);
        put(&mut time, since);
        put(out, (time.len() + self.items.len()) as u64);
        out.extend_from_slice(&time);
        out.append(&mut self.items);
        self.path = None;
        true
    }
}

/// What a frame says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its time.
    pub now: Nanos,
    /// What was observed, in order.
    pub observations: Vec<Observation>,
}

/// What is wrong with a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It ends in the middle of a frame, as it does after a crash.
    #[error("it ends in the middle of a frame, at octet {0}")]
    CutOff(usize),
    /// There is something that no encoder writes.
    #[error("it is damaged at octet {0}")]
    Corrupt(usize),
}

/// Reads frames, one after the other.
#[derive(Clone, Debug)]
pub struct Decoder<'o> {
    octets: &'o [u8],
    at: usize,
    now: Nanos,
    paths: usize,
    flows: usize,
}

impl<'o> Decoder<'o> {
    /// The frames in `octets`, of a segment that begins at `now` and has so many paths with so many flows.
    #[must_use]
    pub const fn new(octets: &'o [u8], now: Nanos, paths: usize, flows: usize) -> Self {
        Self { octets, at: 0, now, paths, flows }
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// Where the recording is damaged; nothing more can be read then.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Damage> {
        if self.at == self.octets.len() {
            return Ok(None);
        }
        let start = self.at;
        let length = get(self.octets, &mut self.at).ok_or(Damage::CutOff(start))?;
        if length > MAX_FRAME {
            return Err(Damage::Corrupt(start));
        }
        let end = self.at + length as usize;
        let octets = self.octets.get(..end).ok_or(Damage::CutOff(start))?;
        let corrupt = Damage::Corrupt(start);
        let since = get(octets, &mut self.at).ok_or(corrupt)?;
        self.now = self.now.checked_add(since).ok_or(corrupt)?;
        let mut frame = Frame { now: self.now, observations: Vec::new() };
        let mut path = None;
        while self.at < end {
            let item = get(octets, &mut self.at).ok_or(corrupt)?;
            let value = get(octets, &mut self.at).ok_or(corrupt)?;
            if item == 0 {
                path = Some(value as usize).filter(|path| *path < self.paths);
                continue;
            }
            let flow = (item >> 4) as usize;
            let outcome = *OUTCOMES.get((item & 15).wrapping_sub(1) as usize).ok_or(corrupt)?;
            let path = path.filter(|_| flow < self.flows).ok_or(corrupt)?;
            let (sent_at, outcome) = match outcome {
                Outcome::Answered { .. } => {
                    let nanos =
                        value.checked_mul(1_000).and_then(|nanos| u32::try_from(nanos).ok());
                    (self.now, Outcome::Answered { round_trip: nanos.ok_or(corrupt)? })
                }
                other => (self.now.saturating_sub(value), other),
            };
            frame.observations.push(Observation { path, flow, sent_at, outcome });
        }
        Ok(Some(frame))
    }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn get(octets: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let octet = *octets.get(*at)?;
        *at += 1;
        number |= u64::from(octet & 0x7f) << shift;
        if octet < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Nanos = 1 << 40;

    fn observation() -> impl Strategy<Value = Observation> {
        let outcome = prop_oneof![
            any::<u32>().prop_map(|round_trip| Outcome::Answered { round_trip }),
            (1..9_usize).prop_map(|number| OUTCOMES[number]),
        ];
        (0..5_usize, 0..64_usize, 0..START, outcome)
            .prop_map(|(path, flow, sent_at, outcome)| Observation { path, flow, sent_at, outcome })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            ticks in prop::collection::vec((1..u64::from(u32::MAX), prop::collection::vec(observation(), 1..20)), 0..20),
        ) {
            let (mut encoder, mut octets) = (Encoder::default(), Vec::new());
            let (mut now, mut written) = (START, Vec::new());
            for (since, observations) in ticks {
                now += since;
                let observations: Vec<Observation> =
                    observations.into_iter().map(|observation| observation.rounded(now)).collect();
                for observation in &observations {
                    encoder.add(observation, now);
                }
                prop_assert!(encoder.finish(since, &mut octets));
                written.push(Frame { now, observations });
            }
            let mut decoder = Decoder::new(&octets, START, 5, 64);
            for frame in written {
                prop_assert_eq!(decoder.next_frame(), Ok(Some(frame)));
            }
            prop_assert_eq!(decoder.next_frame(), Ok(None));
            // Cut off anywhere, it is read as far as it goes.
            let cut = octets.len() / 2;
            let mut decoder = Decoder::new(&octets[..cut], START, 5, 64);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }

        #[test]
        fn nothing_makes_it_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = Decoder::new(&octets, START, 5, 4);
            for _ in 0..octets.len() + 1 {
                if !matches!(decoder.next_frame(), Ok(Some(_))) {
                    break;
                }
            }
        }
    }

    #[test]
    fn an_answered_probe_takes_few_octets() {
        let (mut encoder, mut octets) = (Encoder::default(), Vec::new());
        for flow in 0..4 {
            let outcome = Outcome::Answered { round_trip: 12_345_678 };
            encoder.add(&Observation { path: 7, flow, sent_at: 0, outcome }, START);
        }
        encoder.finish(10_000_000, &mut octets);
        // A length, four octets of time, two for the path, three for each outcome.
        assert_eq!(octets.len(), 1 + 4 + 2 + 4 * 3);
    }
}
