//! Whole reflectors in a site of the lab, one after the other under the same load: CPU time per reflected
//! packet.
//!
//! What counts is the time of the process and, of ours, that of its programs in the kernel. The network
//! stack's own work before a socket is woken counts for nobody, so sockets look better here than they are.

use std::{
    fs,
    io::{Write as _, stderr},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    process::Command,
    slice, thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aya::sys::{Stats, enable_stats};
use figures::{Part, Samples, Table, Target, Unit};
use lab::{Lab, Process, Site, clock};
use probe_ebpf::stamp::{self, Request};

use super::{
    cost,
    reflector::{Options, ratios},
    version,
};

/// Packets that are sent at once, and the pause behind them: 6,400 per second.
const BATCH: u32 = 32;
const PAUSE: Duration = Duration::from_millis(5);

/// Batches of one measurement, about 4 s, and of one in a quick run.
const BATCHES: [u32; 2] = [800, 200];

/// How often each reflector is measured, all in turn, and in a quick run.
const ROUNDS: [usize; 2] = [5, 2];

/// At most so many times what stamp-suite takes.
const TARGET: f64 = 0.1;

/// How long a reflector may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A reflector that is measured.
struct Subject {
    name: &'static str,
    command: Box<dyn Fn(&Site) -> Command>,
    /// What it logs once it reflects.
    sign: &'static str,
    /// CPU time per reflected packet in each round, in seconds.
    rounds: Vec<f64>,
    /// Packets that came back, altogether.
    reflected: u64,
}

/// Measures all reflectors, and adds what came out to a part.
///
/// # Errors
/// Those of the lab, and of a reflector that does not reflect.
pub(super) fn measure(options: &Options, part: &mut Part) -> Result<()> {
    let quick = usize::from(options.common.quick);
    let _stats = enable_stats(Stats::RunTime).context("cannot let the kernel time its programs")?;
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let mut subjects = subjects(options);
    for round in 1..=ROUNDS[quick] {
        for subject in &mut subjects {
            writeln!(stderr(), "{}, round {round} of {}", subject.name, ROUNDS[quick])?;
            subject.measure(&lab, BATCHES[quick]).with_context(|| subject.name)?;
        }
    }
    part.versions.extend(version(&options.stamp_suite));
    describe(&subjects, options.common.quick, part)
}

fn subjects(options: &Options) -> [Subject; 3] {
    let ours = |arguments: &'static [&'static str]| {
        let agent = options.common.agent.clone();
        Box::new(move |_: &Site| {
            let mut command = Command::new(&agent);
            command.args(["reflect", "--rate", "0", "--interface", lab::site::INTERFACE]);
            command.args(arguments);
            command
        })
    };
    let theirs = options.stamp_suite.clone();
    let stamp_suite = move |site: &Site| {
        let mut command = Command::new(&theirs);
        command
            .args(["--is-reflector", "--local-port", "862", "--stateful-reflector"])
            .args(["--local-addr", &site.ipv4().to_string()])
            .env("RUST_LOG", "info");
        command
    };
    let subject =
        |name, command, sign| Subject { name, command, sign, rounds: Vec::new(), reflected: 0 };
    [
        subject("linkprobe, xdp", ours(&["--datapath", "xdp"]), "reflecting"),
        subject("linkprobe, socket", ours(&["--datapath", "socket"]), "reflecting"),
        subject("stamp-suite", Box::new(stamp_suite), "listening on"),
    ]
}

/// Adds a table and a target to a part. The last of the subjects is what the others are compared with.
fn describe(subjects: &[Subject], quick: bool, part: &mut Part) -> Result<()> {
    let theirs = &subjects.last().context("nobody to compare with")?.rounds;
    let rate = Duration::from_secs(1).div_duration_f64(PAUSE) * f64::from(BATCH);
    part.method.push(format!(
        "Whole reflectors: CPU time per reflected packet, one reflector after the other, {} times, under the same load of at most \
         {rate:.0} packets a second. What counts is the time of the process and, of ours, that of its programs in the kernel. The \
         network stack's own work before a socket is woken counts for nobody, so sockets look better here than they are.",
        theirs.len(),
    ));
    let row = |subject: &Subject| {
        let Subject { name, rounds, reflected, .. } = subject;
        let packets = Samples::new(Unit::Number, vec![*reflected as f64]);
        let times = Samples::new(Unit::Seconds, rounds.clone());
        vec![(*name).into(), times.into(), ratios(rounds, theirs).into(), packets.into()]
    };
    part.tables.push(Table {
        title: "Whole reflectors, CPU time per reflected packet".to_owned(),
        columns: ["reflector", "CPU time", "to stamp-suite", "packets"].map(str::to_owned).into(),
        rows: subjects.iter().map(row).collect(),
    });
    let ours = ratios(&subjects[0].rounds, theirs);
    let is_met = ours.median().is_some_and(|median| median <= TARGET);
    let what =
        format!("{} takes at most {TARGET} times the CPU time of stamp-suite", subjects[0].name);
    let target = Target::new(what, ours.show(), is_met);
    part.targets.push(if quick { Target { met: None, ..target } } else { target });
    Ok(())
}

impl Subject {
    /// Starts it, loads it with so many batches, and notes what it took.
    fn measure(&mut self, lab: &Lab, batches: u32) -> Result<()> {
        let (sender, site) = (lab.site("a")?, lab.site("b")?);
        let process = site.spawn((self.command)(site))?;
        let deadline = clock::now() + PATIENCE;
        while !process.logs()?.contains(self.sign) {
            let is_late = clock::now() >= deadline || process.status()?.is_some();
            ensure!(!is_late, "it does not start:\n{}", process.logs()?);
            thread::sleep(Duration::from_millis(20));
        }
        let (from, to) = (sender.ipv4(), site.ipv4());
        sender.run(|| load(from, to, batches / 10))??;
        let before = time(&process)?;
        let reflected = sender.run(|| load(from, to, batches))??;
        let time = time(&process)? - before;
        process.stop()?;
        ensure!(reflected > u64::from(BATCH * batches / 2), "only {reflected} came back");
        self.reflected += reflected;
        self.rounds.push(time / reflected as f64);
        Ok(())
    }
}

/// Sends batches of requests, and returns how many replies came.
fn load(from: Ipv4Addr, to: Ipv4Addr, batches: u32) -> Result<u64> {
    let socket = UdpSocket::bind((from, 0))?;
    socket.connect(SocketAddr::from((to, stamp::PORT)))?;
    socket.set_nonblocking(true)?;
    let mut replies = 0;
    let mut buffer = [0; 256];
    let mut receive = || {
        while socket.recv(&mut buffer).is_ok() {
            replies += 1;
        }
    };
    for batch in 0..batches {
        for number in 0..BATCH {
            let sequence = batch * BATCH + number;
            let request = Request { sequence, timestamp: 1, error_estimate: 0x8001, ssid: 1 };
            socket.send(&request.encode())?;
        }
        thread::sleep(PAUSE);
        receive();
    }
    thread::sleep(Duration::from_millis(200));
    receive();
    Ok(replies)
}

/// The CPU time of a process and of its BPF programs so far, in seconds.
fn time(process: &Process) -> Result<f64> {
    let descriptors = Path::new("/proc").join(process.pid().to_string()).join("fdinfo");
    let mut programs = 0;
    for descriptor in fs::read_dir(descriptors)? {
        let text = fs::read_to_string(descriptor?.path())?;
        let running = text.lines().find_map(|line| line.strip_prefix("run_time_ns:"));
        programs += running.map_or(Ok(0), |running| running.trim().parse::<u64>())?;
    }
    Ok(cost::cpu(slice::from_ref(process))? + programs as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::bench::Common;

    fn target(ours: &[f64], quick: bool) -> Target {
        let options = Options {
            common: Common { agent: PathBuf::new(), quick, json: None },
            stamp_suite: PathBuf::new(),
        };
        let mut subjects = subjects(&options);
        for (subject, rounds) in subjects.iter_mut().zip([ours, &[5e-6, 5e-6], &[1e-5, 2e-5]]) {
            subject.rounds = rounds.to_vec();
        }
        let mut part = Part::default();
        describe(&subjects, quick, &mut part).unwrap();
        part.targets.remove(0)
    }

    #[test]
    fn ours_is_judged_beside_stamp_suite() {
        let judged = |ours: &[f64]| target(ours, false);
        assert_eq!(judged(&[1e-6, 1e-6]).met, Some(true));
        assert_eq!(judged(&[1e-6, 1e-6]).measured, "0.075 x (0.05 x to 0.1 x)");
        assert_eq!(judged(&[2e-6, 1e-6]).met, Some(false));
        assert_eq!(target(&[2e-6, 1e-6], true).met, None);
    }
}
