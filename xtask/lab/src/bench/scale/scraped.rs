//! Whether a scrape every second makes the judging thread late.

use std::{thread, time::Duration};

use anyhow::Result;
use lab::{Pair, clock};

use crate::bench::scrape::{self, Lateness};

/// Between two scrapes.
const SECOND: Duration = Duration::from_secs(1);

/// How late the judging thread was, without scrapes and with them.
pub(super) struct Scraped {
    pub(super) without: Late,
    pub(super) with: Late,
}

/// The bucket in which the 99th percentile lies.
#[derive(Clone, Copy)]
pub(super) struct Late {
    /// Its place, from 0.
    pub(super) bucket: usize,
    /// Its upper bound, in seconds.
    pub(super) seconds: f64,
}

impl Scraped {
    /// Measures an agent for as long as is said without scrapes, and as long with them; the latter first, if that is
    /// said.
    ///
    /// # Errors
    /// Where the agent does not answer.
    pub(super) fn measure(pair: &Pair, span: Duration, scraped_first: bool) -> Result<Self> {
        let early = scraped_first.then(|| late(pair, span, true)).transpose()?;
        let without = late(pair, span, false)?;
        let with = early.map_or_else(|| late(pair, span, true), Ok)?;
        Ok(Self { without, with })
    }
}

/// Both ends of the span need a scrape, even without scrapes in it.
fn late(pair: &Pair, span: Duration, is_scraped: bool) -> Result<Late> {
    let read = || Lateness::read(&scrape::get(pair.near(), "/metrics")?.body);
    let before = read()?;
    let start = clock::now();
    let mut due = SECOND / 2;
    while is_scraped && due < span {
        thread::sleep(due.saturating_sub(start.elapsed()));
        scrape::get(pair.near(), "/metrics")?;
        due += SECOND;
    }
    thread::sleep(span.saturating_sub(start.elapsed()));
    let (bucket, seconds) = read()?.p99_since(&before)?;
    Ok(Late { bucket, seconds })
}
