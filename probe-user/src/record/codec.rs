//! From ticks to octets and back.
//!
//! A tick is one number, twice the milliseconds since the tick before, plus one if something was observed. In that case
//! the length of the observations follows, and they themselves:
//!
//! - `(path x flows + flow) x 9 + outcome`, where the path is counted from that of the observation before, so that an
//!   octet is enough for the next few paths;
//! - of an answered probe the round trip less the last one of its flow, in [`ROUND_TRIP`]s; of another one its age, in
//!   [`AGE`]s.
//!
//! All numbers are [varints](https://en.wikipedia.org/wiki/LEB128). The ticks that are written at once make a
//! [part](super), with a length before and a checksum behind them. So an answered probe takes two octets as long as
//! round trips do not vary by more than 0.6 ms, and a tick without news one.

use super::{
    Damage,
    header::{Header, LAST_MONOTONIC},
    part,
    varint::{self, Cursor},
};
use crate::{
    account::{Lost, Outcome},
    health::observation::{AGE, MOMENT, Observation, ROUND_TRIP},
    verdict::Nanos,
};

/// Kinds of outcomes; [`kind`] and [`Ticks::outcome`] say which is which.
const KINDS: u64 = 9;

/// The most octets that the observations of one tick take.
const LONGEST: usize = 16 << 20;

/// The most octets of ticks that are written at once: a few, and one such tick.
const LONGEST_PART: usize = 2 * LONGEST;

const LOST: [Lost; 4] = [Lost::Forward, Lost::Reverse, Lost::Unknown, Lost::Silent];

/// What became of one probe to one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The path, as an index into those of the header.
    pub path: usize,
    /// What the engine was fed.
    pub observation: Observation,
}

/// Makes octets of ticks. Where a segment begins, so does another one of these.
#[derive(Clone, Debug)]
pub struct Encoder {
    paths: usize,
    sessions: Sessions,
    /// The ticks that were not written yet.
    ticks: Vec<u8>,
    /// The observations since the last tick.
    body: Vec<u8>,
    /// The path of the last of them.
    last_path: usize,
    /// When the last tick was.
    last_tick: Nanos,
}

/// What observations are told in relation to.
#[derive(Clone, Debug)]
struct Sessions {
    flows: usize,
    /// The last round trip of each flow of each path, in [`ROUND_TRIP`]s.
    round_trips: Vec<u32>,
}

impl Sessions {
    fn new(header: &Header) -> Self {
        let flows = usize::from(header.probe.flows);
        Self { flows, round_trips: vec![0; flows * header.paths.len()] }
    }
}

impl Encoder {
    /// For what follows this header.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        Self {
            paths: header.paths.len(),
            sessions: Sessions::new(header),
            ticks: Vec::new(),
            body: Vec::new(),
            last_path: 0,
            last_tick: header.monotonic * MOMENT,
        }
    }

    /// Takes in what the engine is fed at a moment, until [`Encoder::tick`] ends it. Where the header has no such path or
    /// flow, nothing happens: a recording is worth less than the verdicts of the thread that makes it.
    pub fn note(&mut self, path: usize, seen: &Observation, now: Nanos) {
        let Sessions { flows, round_trips } = &mut self.sessions;
        if path >= self.paths || seen.flow >= *flows {
            return;
        }
        let ahead = (path + self.paths - self.last_path) % self.paths;
        self.last_path = path;
        let session = (ahead * *flows + seen.flow) as u64;
        varint::put(&mut self.body, session * KINDS + kind(seen.outcome));
        if let Outcome::Answered { round_trip } = seen.outcome {
            let last = &mut round_trips[path * *flows + seen.flow];
            let round_trip = round_trip / ROUND_TRIP;
            varint::put_signed(&mut self.body, i64::from(round_trip) - i64::from(*last));
            *last = round_trip;
        } else {
            varint::put(&mut self.body, now.saturating_sub(seen.sent_at) / AGE);
        }
    }

    /// Ends a tick, with all that was taken in before.
    pub fn tick(&mut self, now: Nanos) {
        let since = now.saturating_sub(self.last_tick) / MOMENT;
        self.last_tick += since * MOMENT;
        self.last_path = 0;
        varint::put(&mut self.ticks, 2 * since + u64::from(!self.body.is_empty()));
        if !self.body.is_empty() {
            varint::put(&mut self.ticks, self.body.len() as u64);
            self.ticks.append(&mut self.body);
        }
    }

    /// How many octets of ticks were not written yet.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.ticks.len()
    }

    /// Appends all ticks that were not written yet.
    pub fn write(&mut self, bytes: &mut Vec<u8>) {
        if !self.ticks.is_empty() {
            part::put(bytes, &self.ticks);
            self.ticks.clear();
        }
    }
}

/// The ticks of a segment.
#[derive(Clone, Debug)]
pub struct Ticks<'d> {
    /// The parts that were not begun yet.
    parts: Cursor<'d>,
    /// What was not read yet of the one that was.
    part: Cursor<'d>,
    paths: usize,
    sessions: Sessions,
    last_tick: Nanos,
}

/// Reads what a segment begins with.
///
/// # Errors
/// Where the octets are none of a segment, or too few.
pub fn open(bytes: &[u8]) -> Result<(Header, Ticks<'_>), Damage> {
    let mut cursor = Cursor { bytes, offset: 0 };
    let header = Header::decode(&mut cursor)?;
    let ticks = Ticks {
        parts: cursor,
        part: Cursor { bytes: &[], offset: cursor.offset },
        paths: header.paths.len(),
        sessions: Sessions::new(&header),
        last_tick: header.monotonic * MOMENT,
    };
    Ok((header, ticks))
}

impl Ticks<'_> {
    /// Reads the next tick: puts what was observed into `seen`, in place of what is there, and returns when it was;
    /// `None` behind the last.
    ///
    /// # Errors
    /// Where the segment is damaged. What was read before is good; behind it, nothing is to be read.
    pub fn next(&mut self, seen: &mut Vec<Seen>) -> Result<Option<Nanos>, Damage> {
        seen.clear();
        if self.part.bytes.is_empty() {
            if self.parts.bytes.is_empty() {
                return Ok(None);
            }
            self.part = self.parts.part(LONGEST_PART)?;
        }
        let offset = self.part.offset;
        let read = self.read(seen);
        read.map(Some).map_err(|damage| damage.in_whole(offset, "a tick is longer than its part"))
    }

    fn read(&mut self, seen: &mut Vec<Seen>) -> Result<Nanos, Damage> {
        let offset = self.part.offset;
        let head = self.part.number()?;
        let now = self.last_tick / MOMENT + head / 2;
        if now > LAST_MONOTONIC {
            return Err(Damage::corrupt(offset, "a tick is many years later"));
        }
        self.last_tick = now * MOMENT;
        if head % 2 == 1 {
            let length = self.part.number()?;
            let mut body = self.part.take(length, LONGEST)?;
            let mut path = 0;
            while !body.bytes.is_empty() {
                let offset = body.offset;
                let observation = self.observation(&mut body, &mut path).map_err(|damage| {
                    damage.in_whole(offset, "an observation is longer than its tick")
                })?;
                seen.push(Seen { path, observation });
            }
        }
        Ok(self.last_tick)
    }

    fn observation(
        &mut self,
        body: &mut Cursor<'_>,
        path: &mut usize,
    ) -> Result<Observation, Damage> {
        let offset = body.offset;
        let key = body.number()?;
        let session = key / KINDS;
        let flow = (session % self.sessions.flows as u64) as usize;
        let ahead = session / self.sessions.flows as u64;
        if ahead >= self.paths as u64 {
            return Err(Damage::corrupt(offset, "there is no such path"));
        }
        *path = (*path + ahead as usize) % self.paths;
        let outcome = self.outcome(body, key % KINDS, *path, flow)?;
        let sent_at = match outcome {
            Outcome::Answered { .. } => 0,
            _ => self.last_tick.saturating_sub(body.number()?.saturating_mul(AGE)),
        };
        Ok(Observation::new(flow, sent_at, outcome, self.last_tick))
    }

    fn outcome(
        &mut self,
        body: &mut Cursor<'_>,
        kind: u64,
        path: usize,
        flow: usize,
    ) -> Result<Outcome, Damage> {
        Ok(match kind {
            0 => {
                let offset = body.offset;
                let last = &mut self.sessions.round_trips[path * self.sessions.flows + flow];
                let round_trip = body.signed()?.saturating_add(i64::from(*last));
                let round_trip = u32::try_from(round_trip).ok();
                let in_range = round_trip.filter(|units| *units <= u32::MAX / ROUND_TRIP);
                *last = in_range
                    .ok_or_else(|| Damage::corrupt(offset, "a round trip cannot be so long"))?;
                Outcome::Answered { round_trip: *last * ROUND_TRIP }
            }
            1..=4 => Outcome::Lost(LOST[kind as usize - 1]),
            _ => Outcome::TakenBack(LOST[kind as usize - 5]),
        })
    }
}

fn kind(outcome: Outcome) -> u64 {
    let place = |lost: Lost| match lost {
        Lost::Forward => 0,
        Lost::Reverse => 1,
        Lost::Unknown => 2,
        Lost::Silent => 3,
    };
    match outcome {
        Outcome::Answered { .. } => 0,
        Outcome::Lost(lost) => 1 + place(lost),
        Outcome::TakenBack(lost) => 5 + place(lost),
    }
}
