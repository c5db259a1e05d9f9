//! Whole reflectors in a site of the lab, one after the other under the same load: CPU time per reflected
//! packet.
//!
//! What counts is the time of the process and, of ours, that of its programs in the kernel. The network
//! stack's own work before a socket is woken counts for nobody, so sockets look better here than they are.

use std::{
    fs,
    io::{Write as _, stdout},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aya::sys::{Stats, enable_stats};
use lab::{Lab, Process, Site, clock};
use probe_ebpf::stamp::{self, Request};

use super::{Options, verdict};

/// Packets that are sent at once, and the pause behind them: 6,400 per second.
const BATCH: u32 = 32;
const PAUSE: Duration = Duration::from_millis(5);

/// Batches of one measurement: about 4 s.
const BATCHES: u32 = 800;

/// How often each reflector is measured, all in turn.
const ROUNDS: usize = 2;

/// How long a reflector may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A reflector that is measured.
struct Subject {
    name: &'static str,
    command: Box<dyn Fn(&Site) -> Command>,
    /// What it logs once it reflects.
    sign: &'static str,
    reflected: u64,
    /// CPU time, in nanoseconds.
    time: u64,
}

/// Measures all reflectors, and prints what came out.
pub(super) fn run(options: &Options) -> Result<()> {
    let _stats = enable_stats(Stats::RunTime).context("cannot let the kernel time its programs")?;
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let mut subjects = subjects(options);
    for _ in 0..ROUNDS {
        for subject in &mut subjects {
            subject.measure(&lab).with_context(|| subject.name)?;
        }
    }
    print(&subjects)
}

fn subjects(options: &Options) -> [Subject; 3] {
    let ours = |arguments: &'static [&'static str]| {
        let agent = options.agent.clone();
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
    let subject = |name, command, sign| Subject { name, command, sign, reflected: 0, time: 0 };
    [
        subject("linkprobe, xdp", ours(&["--datapath", "xdp"]), "reflecting"),
        subject("linkprobe, socket", ours(&["--datapath", "socket"]), "reflecting"),
        subject("stamp-suite", Box::new(stamp_suite), "listening on"),
    ]
}

fn print(subjects: &[Subject]) -> Result<()> {
    let mut out = stdout().lock();
    let rate = Duration::from_secs(1).div_duration_f64(PAUSE) * f64::from(BATCH);
    writeln!(
        out,
        "Whole reflectors, CPU time per reflected packet (at most {rate:.0} per second):"
    )?;
    let theirs = subjects.last().context("nobody to compare with")?.per_packet();
    for subject in subjects {
        let (time, reflected) = (subject.per_packet(), subject.reflected);
        let ratio = time / theirs;
        write!(out, "  {:<20} {time:9.0} ns   {ratio:5.3} x stamp-suite", subject.name)?;
        write!(out, "   {reflected} packets")?;
        let is_target = subject.name.ends_with("xdp");
        let target = format!("   at most 0.1: {}", verdict(ratio <= 0.1));
        writeln!(out, "{}", if is_target { target.as_str() } else { "" })?;
    }
    Ok(())
}

impl Subject {
    fn per_packet(&self) -> f64 {
        self.time as f64 / self.reflected as f64
    }

    /// Starts it, loads it, and adds what it took.
    fn measure(&mut self, lab: &Lab) -> Result<()> {
        let (sender, site) = (lab.site("a")?, lab.site("b")?);
        let process = site.spawn((self.command)(site))?;
        let deadline = clock::now() + PATIENCE;
        while !process.logs()?.contains(self.sign) {
            let is_late = clock::now() >= deadline || process.status()?.is_some();
            ensure!(!is_late, "it does not start:\n{}", process.logs()?);
            thread::sleep(Duration::from_millis(20));
        }
        let (from, to) = (sender.ipv4(), site.ipv4());
        sender.run(|| load(from, to, BATCHES / 10))??;
        let before = time(&process)?;
        let reflected = sender.run(|| load(from, to, BATCHES))??;
        let time = time(&process)? - before;
        process.stop()?;
        ensure!(reflected > u64::from(BATCH * BATCHES / 2), "only {reflected} came back");
        self.reflected += reflected;
        self.time += time;
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

/// The CPU time of a process and of its BPF programs so far, in nanoseconds.
fn time(process: &Process) -> Result<u64> {
    let root = Path::new("/proc").join(process.pid().to_string());
    let mut time = 0;
    for thread in fs::read_dir(root.join("task"))? {
        let statistics = fs::read_to_string(thread?.path().join("schedstat"))?;
        let running = statistics.split_whitespace().next().context("no time in schedstat")?;
        time += running.parse::<u64>()?;
    }
    for descriptor in fs::read_dir(root.join("fdinfo"))? {
        let text = fs::read_to_string(descriptor?.path())?;
        let running = text.lines().find_map(|line| line.strip_prefix("run_time_ns:"));
        time += running.map_or(Ok(0), |running| running.trim().parse::<u64>())?;
    }
    Ok(time)
}
