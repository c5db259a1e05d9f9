//! Who measures, and what a run comes to.

use std::{fmt, io, process::Command, thread, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use lab::{Process, Site, clock};

use super::{link::Bed, ours, peers};

/// How long a reflector may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    /// `linkprobe run` at both ends, by XDP and TC.
    Agent,
    /// `linkprobe ping` and `linkprobe reflect`, by XDP and TC.
    Ping,
    /// The same by sockets: what the host adds.
    Socket,
    /// ICMP echo, which the other end's kernel answers; `fping` takes the kernel's time of arrival.
    Fping,
    /// `irtt` at both ends.
    Irtt,
    /// `stamp-suite` at both ends.
    StampSuite,
}

impl Contender {
    /// All of them.
    pub(super) const ALL: [Self; 6] =
        [Self::Agent, Self::Ping, Self::Socket, Self::Fping, Self::Irtt, Self::StampSuite];

    /// Those that others wrote, in userspace.
    pub(super) const PEERS: [Self; 3] = [Self::Fping, Self::Irtt, Self::StampSuite];

    /// Those of them that are in userspace at both ends.
    pub(super) const BOTH_ENDS: [Self; 2] = [Self::Irtt, Self::StampSuite];

    /// Those in the kernel, whose losses have to be none.
    pub(super) const OURS: [Self; 2] = [Self::Agent, Self::Ping];

    /// One run.
    ///
    /// # Errors
    /// Where the tool is missing, does not start, or says something else than usual.
    pub(super) fn run(self, bed: &Bed) -> Result<Outcome> {
        match self {
            Self::Agent => ours::agents(bed),
            Self::Ping => ours::ping(bed, "xdp"),
            Self::Socket => ours::ping(bed, "socket"),
            Self::Fping => peers::fping(bed),
            Self::Irtt => peers::irtt(bed),
            Self::StampSuite => peers::stamp_suite(bed),
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent => "linkprobe run",
            Self::Ping => "linkprobe ping, xdp",
            Self::Socket => "linkprobe ping, socket",
            Self::Fping => "fping",
            Self::Irtt => "irtt",
            Self::StampSuite => "stamp-suite",
        })
    }
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    /// Probes that the tool says it has sent.
    pub(super) sent: u64,
    /// Probes that the tool says were lost, or held lost for a time.
    pub(super) lost: u64,
    /// Round trips: shares of the answered probes, rising, and the seconds that so many of them took at most. Among
    /// them are the median, [`P50`], the 99th percentile, [`P99`], and the worst, [`ALL`].
    pub(super) quantiles: Vec<(f64, f64)>,
}

/// Shares that every tool tells of.
pub(super) const P50: f64 = 0.5;
pub(super) const P99: f64 = 0.99;
pub(super) const ALL: f64 = 1.0;

/// Shares of which a tool that tells every round trip gives the quantiles.
const SHARES: [f64; 8] = [P50, 0.75, 0.9, 0.95, 0.98, P99, 0.995, ALL];

impl Outcome {
    /// Of a tool that tells each round trip, in seconds.
    ///
    /// # Errors
    /// Where none was answered.
    pub(super) fn of_probes(sent: u64, lost: u64, mut seconds: Vec<f64>) -> Result<Self> {
        ensure!(!seconds.is_empty(), "none of {sent} probes was answered");
        seconds.sort_by(f64::total_cmp);
        // The nearest rank, as `linkprobe` takes it.
        let rank = |share: f64| (seconds.len() as f64 * share).ceil() as usize;
        let quantile = |share| (share, seconds[rank(share).clamp(1, seconds.len()) - 1]);
        Ok(Self { sent, lost, quantiles: SHARES.map(quantile).to_vec() })
    }

    /// The seconds that a share of the answered probes took at most; none where the tool does not say.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let found = self.quantiles.iter().find(|(of, _)| (of - share).abs() < 1e-9);
        found.map(|(_, seconds)| *seconds)
    }
}

/// Starts a reflector in a site, and waits until it says that it is there.
///
/// # Errors
/// Where it does not come so far.
pub(super) fn reflector(site: &Site, command: Command, sign: &str) -> Result<Process> {
    let process = site.spawn(command).map_err(explained)?;
    let deadline = clock::now() + PATIENCE;
    while !process.logs()?.contains(sign) {
        let is_late = clock::now() >= deadline || process.status()?.is_some();
        ensure!(!is_late, "the reflector does not start:\n{}", process.logs()?);
        thread::sleep(Duration::from_millis(20));
    }
    Ok(process)
}

/// Runs a tool in a site to its end, and returns what it wrote to its standard output and to its standard error.
///
/// # Errors
/// Where it fails.
pub(super) fn output(site: &Site, command: Command) -> Result<(String, String)> {
    let output = site.output(command).map_err(explained)?;
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    ensure!(output.status.success(), "{}: {stdout}{stderr}", output.status);
    Ok((stdout, stderr))
}

/// Says where a program comes from that is not there.
fn explained(error: anyhow::Error) -> anyhow::Error {
    let is_missing = error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    });
    if is_missing {
        error.context(
            "install Debian's packages `fping` and `irtt`; `cargo xtask setup` builds stamp-suite",
        )
    } else {
        error
    }
}

/// What was measured, in which version.
///
/// # Errors
/// Where a program is missing.
pub(super) fn versions(bed: &Bed) -> Result<Vec<String>> {
    let said = |mut command: Command, argument: &str| {
        command.arg(argument);
        let (stdout, _) = output(bed.sender()?, command)?;
        let first = stdout.lines().next().map(|line| line.trim().replace(['\t', ':'], ""));
        first.ok_or_else(|| anyhow!("a program does not say its version"))
    };
    Ok(vec![
        said(Command::new(&bed.agent), "--version").context("linkprobe")?,
        said(Command::new("fping"), "-v").context("fping")?.replace("Version ", ""),
        said(Command::new("irtt"), "version").context("irtt")?.replace("version ", ""),
        said(Command::new(&bed.stamp_suite), "--version").context("stamp-suite")?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let outcome = Outcome::of_probes(200, 0, (1..=200).rev().map(f64::from).collect()).unwrap();
        let found = [P50, P99, ALL, 0.3].map(|share| outcome.quantile(share));
        assert_eq!(found, [Some(100.0), Some(198.0), Some(200.0), None]);
        let one = Outcome::of_probes(2, 1, vec![0.5]).unwrap();
        assert!(one.quantiles.iter().all(|(_, seconds)| *seconds == 0.5));
        assert!(Outcome::of_probes(3, 3, Vec::new()).is_err());
    }

    #[test]
    fn a_program_that_is_missing_is_named_with_where_it_comes_from() {
        let missing: anyhow::Error = io::Error::from(io::ErrorKind::NotFound).into();
        let text = format!("{:#}", explained(missing.context("cannot start fping")));
        assert!(text.contains("Debian") && text.contains("cannot start fping"), "{text}");
        let other = explained(anyhow!("something else"));
        assert_eq!(format!("{other:#}"), "something else");
    }
}
