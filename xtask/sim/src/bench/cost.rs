//! What paths take in memory, and outcomes in time.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    env, fs, io,
    path::Path,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use figures::{Samples, Unit};
use probe_ebpf::maps::{Arrivals, Session, Slot};
use probe_user::verdict::SECOND;
use serde_json::Value;
use sim::paths::{Agent, FLOWS, INTERVAL, Kernels, costs, slots};

use super::findings::{Findings, figure};

/// Counts what is allocated.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is handed on to the system's allocator unchanged; the count is all that is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// So many paths...
const PATHS: usize = 10_000;
/// ...are to fit in so many octets.
const LIMIT: usize = 64 << 20;
/// An outcome is to cost no more, in nanoseconds, while the caches hold the paths.
const NANOS: f64 = 50.0;

/// A table of what ten thousand paths take, in userspace and in the kernel's maps.
pub(super) fn memory(findings: &mut Findings) {
    let userspace = userspace();
    let flows = PATHS * FLOWS;
    let of_slots = flows * slots() as usize * size_of::<Slot>();
    let of_sessions = flows * size_of::<Session>() + PATHS * size_of::<Arrivals>();
    let row = |what: &str, octets: usize| {
        let [all, each] =
            [octets, octets / PATHS].map(|octets| figure(Unit::Octets, octets as f64));
        vec![what.into(), all, each]
    };
    let what = format!("kernel, mapped: {} slots of {} octets a flow", slots(), size_of::<Slot>());
    findings.table(
        format!(
            "Memory of {PATHS} paths of {FLOWS} flows, without names, sockets and room for paths to come"
        ),
        &["", "all", "a path"],
        vec![
            row("userspace: accounts, engine, latest round trips", userspace),
            row(&what, of_slots),
            row("kernel, mapped: sessions, and what comes from the peer", of_sessions),
            row("sum", userspace + of_slots + of_sessions),
        ],
    );
    let target = format!("{PATHS} paths in {} MiB, accounts and engine", mebi(LIMIT));
    findings.exact(&target, &format!("{:.1} MiB", mebi(userspace)), userspace <= LIMIT);
}

/// Octets that paths take in userspace once they have been judged for a while, with a loss now and then.
fn userspace() -> usize {
    let mut kernels = Kernels::new(PATHS);
    let before = ALLOCATED.load(Ordering::Relaxed);
    let mut agent = Agent::new(PATHS);
    let (mut now, mut probes) = (SECOND, 0_u32);
    // Until the latest round trips are as many as are kept.
    for _ in 0..100 {
        kernels.probe(
            now,
            |_| true,
            || {
                probes += 1;
                probes.is_multiple_of(11)
            },
        );
        now += INTERVAL;
        agent.tick(&mut kernels, now);
    }
    ALLOCATED.load(Ordering::Relaxed) - before
}

fn mebi(octets: usize) -> f64 {
    octets as f64 / f64::from(1 << 20)
}

/// Lets criterion measure what an outcome costs, and judges what it finds.
pub(super) fn outcome(quick: bool, findings: &mut Findings) {
    eprintln!("what an outcome costs: cargo bench, with criterion");
    let few = format!("{} paths", costs::FEW);
    let target = format!("at most {NANOS} ns per outcome for accounts and engine, {few}");
    match measure(quick) {
        Ok(found) => {
            show(&found, findings);
            let is_judged = |cost: &&Cost| cost.group == costs::WORK && cost.name.starts_with(&few);
            let work = found.iter().filter(is_judged);
            // The dearer of the two. With more paths than the caches hold, memory adds to it: that is shown beside. Of the samples
            // the fastest is judged: whatever else a shared machine does in the meantime only adds to a time.
            match work.max_by(|one, other| one.fastest().total_cmp(&other.fastest())) {
                Some(cost @ Cost { name, median, .. }) => {
                    let fastest = cost.fastest();
                    let measured = format!("{fastest:.1} ns, median {median:.1} ({name})");
                    findings.sampled(&target, &measured, fastest <= NANOS);
                }
                None => findings.exact(&target, "criterion has not measured it", false),
            }
        }
        Err(error) => findings.exact(&target, &format!("not measured: {error}"), false),
    }
}

/// What criterion has found of one benchmark, in nanoseconds for each of its elements.
#[derive(Debug, PartialEq)]
struct Cost {
    group: String,
    name: String,
    samples: Vec<f64>,
    median: f64,
    interval: [f64; 2],
}

impl Cost {
    fn fastest(&self) -> f64 {
        self.samples.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Runs the benchmarks, and reads what criterion keeps of them.
fn measure(quick: bool) -> io::Result<Vec<Cost>> {
    // A directory of its own, and empty: nothing that an earlier run has left is taken for a result.
    let home = env::current_exe()?.with_file_name("outcome-costs");
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["bench", "--quiet", "--package", "sim", "--bench", "outcome"]);
    // As the product is: without a thought of defects.
    command.args(["--no-default-features", "--"]);
    command.args(quick.then_some("--quick")).env("CRITERION_HOME", &home);
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("it says nothing");
        return Err(io::Error::other(format!(
            "cargo bench --package sim: {}: {last}",
            output.status
        )));
    }
    let mut found = Vec::new();
    collect(&home, &mut found)?;
    found.sort_by(|one, other| (&one.group, &one.name).cmp(&(&other.group, &other.name)));
    Ok(found)
}

/// Finds the results below a directory: each in a directory `new`.
fn collect(directory: &Path, found: &mut Vec<Cost>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == "new") {
            found.push(read(&path)?);
        } else if path.is_dir() {
            collect(&path, found)?;
        }
    }
    Ok(())
}

fn read(directory: &Path) -> io::Result<Cost> {
    let json = |file: &str| -> io::Result<Value> {
        Ok(serde_json::from_slice(&fs::read(directory.join(file))?)?)
    };
    let (benchmark, estimates) = (json("benchmark.json")?, json("estimates.json")?);
    cost(&benchmark, &estimates, &json("sample.json")?).ok_or_else(|| {
        io::Error::other(format!("{}: criterion's format has changed", directory.display()))
    })
}

fn cost(benchmark: &Value, estimates: &Value, sample: &Value) -> Option<Cost> {
    let elements = benchmark["throughput"]["Elements"].as_f64()?;
    let each = |nanos: &Value| Some(nanos.as_f64()? / elements);
    let runs = sample["times"].as_array()?.iter().zip(sample["iters"].as_array()?);
    let of_run = |(time, iterations): (&Value, &Value)| Some(time.as_f64()? / iterations.as_f64()?);
    let samples = runs.map(|run| Some(of_run(run)? / elements)).collect::<Option<Vec<f64>>>()?;
    if samples.is_empty() {
        return None;
    }
    let median = &estimates["median"];
    let interval = &median["confidence_interval"];
    let parts = ["function_id", "value_str"].map(|part| benchmark[part].as_str());
    Some(Cost {
        group: benchmark["group_id"].as_str()?.to_owned(),
        name: parts.into_iter().flatten().collect::<Vec<_>>().join(", "),
        samples,
        median: each(&median["point_estimate"])?,
        interval: [each(&interval["lower_bound"])?, each(&interval["upper_bound"])?],
    })
}

/// A table of all costs.
fn show(found: &[Cost], findings: &mut Findings) {
    let mut rows = Vec::new();
    for (group, meaning) in [
        ("engine", "the engine alone, per outcome"),
        (costs::WORK, "accounts and engine, per outcome, every tick has one of each flow"),
        (
            costs::CADENCE,
            "the same at 10 ms a tick and 100 ms a probe, with the ticks that have none",
        ),
        (costs::IDLE, "a tick that has none, per path"),
    ] {
        for Cost { name, samples, interval: [low, high], .. } in
            found.iter().filter(|cost| cost.group == group)
        {
            let seconds = samples.iter().map(|nanoseconds| nanoseconds / SECOND as f64).collect();
            let samples = Samples::new(Unit::Seconds, seconds);
            let interval = format!("{low:.1} ns to {high:.1} ns");
            rows.push(vec![meaning.into(), name.as_str().into(), samples.into(), interval.into()]);
        }
    }
    findings.table(
        "Time (criterion)".to_owned(),
        &["of what", "with", "samples", "95 % interval of the median"],
        rows,
    );
    let cadence = found.iter().filter(|cost| cost.group == costs::CADENCE);
    if let Some(cost) = cadence.max_by(|one, other| one.median.total_cmp(&other.median)) {
        let outcomes = (PATHS * FLOWS) as f64 * SECOND as f64 / INTERVAL as f64;
        let share = cost.median * outcomes / SECOND as f64;
        let note =
            format!("{PATHS} paths at that pace keep {:.0} % of a core busy.", 100.0 * share);
        findings.part.notes.push(note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As criterion 0.5 writes them, but for what is not read.
    #[test]
    fn what_criterion_keeps_is_read_per_element() {
        let benchmark = json!({
            "group_id": "work per outcome", "function_id": "32 paths", "value_str": "1 % lost",
            "throughput": { "Elements": 128 },
        });
        let interval = json!({ "lower_bound": 6_400.0, "upper_bound": 12_800.0 });
        let estimates =
            json!({ "median": { "confidence_interval": interval, "point_estimate": 8_192.0 } });
        let expected = Cost {
            group: costs::WORK.to_owned(),
            name: "32 paths, 1 % lost".to_owned(),
            samples: vec![70.3125, 60.0, 64.0],
            median: 64.0,
            interval: [50.0, 100.0],
        };
        let sample = json!({ "iters": [1.0, 2.0, 3.0], "times": [9_000.0, 15_360.0, 24_576.0] });
        assert_eq!(cost(&benchmark, &estimates, &sample), Some(expected));
        assert_eq!(cost(&json!({}), &estimates, &sample), None);
        assert_eq!(cost(&benchmark, &json!({ "mean": 1.0 }), &sample), None);
        assert_eq!(cost(&benchmark, &estimates, &json!({ "iters": [], "times": [] })), None);
    }
}
