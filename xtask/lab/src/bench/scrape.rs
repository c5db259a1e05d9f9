//! What an agent says by HTTP, and how long it takes.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use lab::{Machine, agent::WEB, clock};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came back.
pub(super) struct Answer {
    pub(super) body: String,
    /// From before the connection to the last octet, in seconds.
    pub(super) seconds: f64,
}

/// Asks the agent of a machine. Nothing is done with the answer before the time is taken.
///
/// # Errors
/// Where it does not answer, or not with 200.
pub(super) fn get(machine: &Machine, path: &str) -> Result<Answer> {
    machine.run(|| ask(path))?.with_context(|| format!("no answer of {WEB}{path}"))
}

fn ask(path: &str) -> Result<Answer> {
    let mut octets = Vec::with_capacity(32 << 20);
    let start = clock::now();
    let mut stream = TcpStream::connect(WEB)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {WEB}\r\nConnection: close\r\n\r\n")?;
    stream.read_to_end(&mut octets)?;
    let seconds = start.elapsed().as_secs_f64();
    let text = String::from_utf8(octets).context("it is no text")?;
    let (head, body) = text.split_once("\r\n\r\n").context("it has no end of its head")?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("{}", head.lines().next().unwrap_or_default());
    }
    Ok(Answer { body: body.to_owned(), seconds })
}

/// The sum of all samples of a metric; of those with a label, if one is given.
pub(super) fn sum(text: &str, name: &str, label: &str) -> f64 {
    samples(text, name).filter(|(labels, _)| labels.contains(label)).map(|(_, value)| value).sum()
}

/// Labels and value of each sample of a metric.
fn samples<'t>(text: &'t str, name: &str) -> impl Iterator<Item = (&'t str, f64)> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        if !rest.starts_with(['{', ' ']) {
            return None;
        }
        let (labels, value) = rest.rsplit_once(' ')?;
        Some((labels, value.parse().ok()?))
    })
}

/// How late the rounds of the judging thread have begun so far.
#[derive(Clone, Debug)]
pub(super) struct Lateness {
    /// Rounds up to each bound, by the bound's place; the last one is infinite.
    counts: Vec<(f64, f64)>,
}

impl Lateness {
    /// Reads it from `/metrics`.
    ///
    /// # Errors
    /// Where it is not there.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut counts = BTreeMap::new();
        for (labels, count) in samples(text, "linkprobe_tick_lateness_seconds_bucket") {
            let bound = labels.split_once("le=\"").and_then(|(_, rest)| rest.split('"').next());
            let bound = bound.and_then(|bound| bound.replace("+Inf", "inf").parse::<f64>().ok());
            let bound = bound.with_context(|| format!("a bucket without a bound: {labels}"))?;
            // The bits of positive numbers are in the order of the numbers.
            *counts.entry(bound.to_bits()).or_insert(0.0) += count;
        }
        if counts.is_empty() {
            bail!("/metrics has no linkprobe_tick_lateness_seconds: this agent is too old");
        }
        let counts = counts.into_iter().map(|(bits, count)| (f64::from_bits(bits), count));
        Ok(Self { counts: counts.collect() })
    }

    /// The place, from 0, and the upper bound in seconds of the bucket with the 99th percentile of the rounds since
    /// then.
    ///
    /// # Errors
    /// Where there was none.
    pub(super) fn p99_since(&self, before: &Self) -> Result<(usize, f64)> {
        let since = |at: usize| {
            let (now, then) = (self.counts.get(at), before.counts.get(at));
            Some(now?.1 - then?.1)
        };
        let all = self.counts.len().checked_sub(1).and_then(since).context("other buckets")?;
        if all < 1.0 {
            bail!("the judging thread has begun no round");
        }
        let rank = (0.99 * all).ceil();
        let at = (0..self.counts.len()).find(|at| since(*at).is_some_and(|count| count >= rank));
        let at = at.context("buckets that do not add up")?;
        Ok((at, self.counts[at].0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a b\na_total{peer=\"x\",state=\"lost\"} 3\na_total{peer=\"y\"} 4\na_totals 9\nb 1.5\n";

    #[test]
    fn samples_of_one_metric_are_added_up() {
        assert_eq!(sum(TEXT, "a_total", ""), 7.0);
        assert_eq!(sum(TEXT, "a_total", "state=\"lost\""), 3.0);
        assert_eq!(sum(TEXT, "b", ""), 1.5);
    }

    fn lateness(counts: [u32; 3]) -> Lateness {
        let lines = ["0.001", "0.01", "+Inf"].iter().zip(counts).map(|(bound, count)| {
            format!("linkprobe_tick_lateness_seconds_bucket{{le=\"{bound}\"}} {count}\n")
        });
        Lateness::read(&lines.collect::<String>()).unwrap()
    }

    #[test]
    fn the_99th_percentile_is_that_of_what_came_since() {
        let before = lateness([0, 100, 100]);
        assert_eq!(lateness([99, 200, 200]).p99_since(&before).unwrap(), (0, 0.001));
        assert_eq!(lateness([98, 200, 200]).p99_since(&before).unwrap(), (1, 0.01));
        assert_eq!(lateness([0, 100, 110]).p99_since(&before).unwrap(), (2, f64::INFINITY));
        assert!(before.p99_since(&before).is_err());
        assert!(Lateness::read(TEXT).is_err());
    }
}
