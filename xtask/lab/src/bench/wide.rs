//! A network with many addresses behind one neighbour, and an agent that probes them all.

use std::{
    fmt::Write as _,
    fs,
    fs::File,
    io::Read as _,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Pair, Process, Signal, agent::WEB, clock, site::INTERFACE};

use super::scrape;

/// Between the probes of a path; each path has one flow.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

/// Probes in a second of each path.
pub(super) const PER_PATH: usize = 10;

/// How many regions the peers are in.
const REGIONS: usize = 50;

/// How long a program may take to start, and an agent to its last verdict.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// Starts a program, on one core if one is given.
pub(super) fn command(program: &Path, core: Option<usize>) -> Command {
    let Some(core) = core else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

/// Packets on the near machine's interface so far.
#[derive(Clone, Copy)]
pub(super) struct Packets {
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Packets {
    /// Counts them.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub(super) fn count(pair: &Pair) -> Result<Self> {
        let text = pair.near().run(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
        let fields = text.lines().find_map(|line| line.trim().strip_prefix(INTERFACE));
        let fields = fields.and_then(|line| line.strip_prefix(':')).context("no such interface")?;
        let field = |at: usize| -> Result<u64> {
            Ok(fields.split_whitespace().nth(at).context("a counter is missing")?.parse()?)
        };
        Ok(Self { received: field(1)?, sent: field(9)? })
    }
}

/// A reflector on the far machine, and an agent on the near one.
pub(super) struct Ours {
    pub(super) reflector: Process,
    pub(super) agent: Process,
    paths: usize,
    started: Instant,
}

impl Ours {
    /// Starts both, the agent with as many peers as there are to be paths.
    ///
    /// # Errors
    /// Where one does not start.
    pub(super) fn start(
        pair: &Pair,
        program: &Path,
        paths: usize,
        core: Option<usize>,
    ) -> Result<Self> {
        let mut reflect = command(program, core);
        reflect.args(["reflect", "--rate", "0", "--interface", INTERFACE]);
        let reflector = pair.far().spawn(reflect)?;
        await_line(&reflector, "reflecting")?;
        let file = pair.directory().join("linkprobe.toml");
        fs::write(&file, config(paths)).with_context(|| file.display().to_string())?;
        let mut run = command(program, core);
        run.arg("run").arg("--config").arg(&file);
        let started = clock::now();
        let agent = pair.near().spawn(run)?;
        Ok(Self { reflector, agent, paths, started })
    }

    /// Waits for the first verdicts of all paths on both directions. Returns when the first and when the last of them
    /// came, in seconds since the agent was started.
    ///
    /// # Errors
    /// Where that takes too long, or the agent ends.
    pub(super) fn await_verdicts(&self, pair: &Pair) -> Result<[f64; 2]> {
        let mut log = Log::open(self.agent.log_file())?;
        let mut first = None;
        loop {
            let verdicts = log.verdicts()?;
            let time = self.started.elapsed();
            if verdicts > 0 {
                first.get_or_insert(time);
            }
            if verdicts >= 2 * self.paths {
                let text = scrape::get(pair.near(), "/metrics")?.body;
                let unknown = scrape::sum(&text, "linkprobe_path_state", "state=\"unknown\"");
                ensure!(unknown == 0.0, "{unknown} verdicts are unknown again");
                let first = first.unwrap_or(time);
                return Ok([first.as_secs_f64(), time.as_secs_f64()]);
            }
            if time > PATIENCE || self.agent.status()?.is_some() {
                bail!("{verdicts} of {} verdicts after {time:?}", 2 * self.paths);
            }
            thread::sleep(LOOK);
        }
    }

    /// Both processes.
    pub(super) fn processes(&self) -> [Process; 2] {
        [self.agent.clone(), self.reflector.clone()]
    }

    /// Ends both.
    ///
    /// # Errors
    /// Where one does not end.
    pub(super) fn stop(&self) -> Result<()> {
        self.agent.stop()?;
        self.reflector.stop()?;
        Ok(())
    }
}

/// Waits until a process has logged something.
///
/// # Errors
/// Where that takes too long, or the process ends.
pub(super) fn await_line(process: &Process, sign: &str) -> Result<()> {
    let deadline = clock::now() + PATIENCE;
    while !process.logs()?.contains(sign) {
        let is_late = clock::now() >= deadline || process.status()?.is_some();
        ensure!(!is_late, "it does not start:\n{}", process.logs()?);
        thread::sleep(LOOK);
    }
    Ok(())
}

/// Ends processes that have nothing to tidy up.
pub(super) fn kill(processes: &[Process]) -> Result<()> {
    for process in processes {
        process.signal(Signal::Kill);
    }
    processes.iter().try_for_each(|process| process.wait(PATIENCE).map(drop))
}

fn config(paths: usize) -> String {
    let mut text = format!(
        "[node]\nname = \"near\"\nregion = \"near\"\ninterfaces = [\"{INTERFACE}\"]\n\n\
         [probe]\ninterval = \"{}ms\"\nflows = 1\n\n[web]\nlisten = \"{WEB}\"\n",
        INTERVAL.as_millis()
    );
    for index in 0..paths {
        let (region, address) = (index % REGIONS, Pair::address(index));
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[peer]]\nname = \"p{index:04}\"\nregion = \"r{region}\"\naddress = \"{address}\"\n"
        );
    }
    text
}

/// The log of an agent, read as it grows.
struct Log {
    file: File,
    /// The beginning of a line whose end has not been read.
    rest: String,
    verdicts: usize,
}

impl Log {
    fn open(file: &Path) -> Result<Self> {
        let file = File::open(file).with_context(|| file.display().to_string())?;
        Ok(Self { file, rest: String::new(), verdicts: 0 })
    }

    /// How many directions of paths have had a first verdict so far. The agent leaves lines out where there are too
    /// many at once, and says how many; those count too.
    fn verdicts(&mut self) -> Result<usize> {
        self.file.read_to_string(&mut self.rest)?;
        let whole = self.rest.rfind('\n').map_or(0, |at| at + 1);
        self.verdicts += self.rest[..whole].lines().map(first_verdicts).sum::<usize>();
        self.rest.drain(..whole);
        Ok(self.verdicts)
    }
}

/// How many first verdicts a line of the log stands for.
fn first_verdicts(line: &str) -> usize {
    if line.contains("left out of the log") {
        let lines = line.split_once("lines=").and_then(|(_, rest)| rest.split(' ').next());
        return lines.and_then(|lines| lines.parse().ok()).unwrap_or(0);
    }
    usize::from(line.contains(" verdict ") && line.contains(" from=unknown "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_for_as_many_first_verdicts_as_it_says() {
        let first = "INFO linkprobe::agent::events: verdict peer=\"p0001\" direction=forward from=unknown to=healthy";
        let later = first.replace("from=unknown", "from=healthy");
        let left_out =
            "WARN left out of the log: standard error did not take them in time lines=12";
        let lines = [first, &later, left_out, "INFO reach: it is"].map(first_verdicts);
        assert_eq!(lines, [1, 0, 12, 0]);
    }
}
