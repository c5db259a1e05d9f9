//! Who probes, and how.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use figures::Unit;
use lab::{Pair, Process, clock};

use super::run::Stage;
use crate::bench::wide::{Ours, PER_PATH, await_line, command};

/// Who sends probes and answers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Contender {
    /// Our agent and our reflector.
    Ours,
    /// One fping for all targets, as cheap as it can be; the kernel there answers.
    Fping,
    /// fping with the options that smokeping gives it by default.
    Smokeping,
    /// An irtt client for each target, and one server.
    Irtt,
    /// One irtt client that probes one target as often as all targets would be, and a server.
    IrttOne,
    /// One stamp-suite with a session for each target, and one as the reflector.
    StampSuite,
}

/// How long fping is to go on, in probes of each target: longer than anything here takes.
const PINGS: &str = "300";

/// Most targets of irtt with a client each.
const CLIENTS: usize = 100;

impl Contender {
    /// All of them.
    pub(super) const ALL: [Self; 6] =
        [Self::Ours, Self::Fping, Self::Smokeping, Self::Irtt, Self::IrttOne, Self::StampSuite];

    /// What it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "linkprobe",
            Self::Fping => "fping",
            Self::Smokeping => "fping as smokeping runs it",
            Self::Irtt => "irtt, a client for each target",
            Self::IrttOne => "irtt, one target",
            Self::StampSuite => "stamp-suite",
        }
    }

    /// Why it need not be tried at a rate, if so.
    pub(super) fn out_of_reach(self, rate: usize) -> Option<String> {
        match self {
            Self::Smokeping if rate > 100 => Some("out of reach: -i10 is 100/s".to_owned()),
            Self::Irtt if rate / PER_PATH > CLIENTS => {
                let processes = Unit::Number.show((rate / PER_PATH) as f64);
                Some(format!("out of reach: {processes} processes"))
            }
            Self::IrttOne if rate <= CLIENTS => Some("not measured at this rate".to_owned()),
            _ => None,
        }
    }

    /// Starts it at a rate, on one core if one is given.
    ///
    /// # Errors
    /// Where it does not start.
    pub(super) fn start(
        self,
        stage: &Stage<'_>,
        rate: usize,
        core: Option<usize>,
    ) -> Result<Running> {
        let (pair, paths) = (&stage.pair, rate / PER_PATH);
        let processes = match self {
            Self::Ours => {
                let ours = Ours::start(pair, stage.agent, paths, core)?;
                ours.await_verdicts(pair)?;
                return Ok(Running { processes: ours.processes().into(), ours: Some(ours) });
            }
            Self::Fping => {
                let file = pair.directory().join("targets");
                fs::write(&file, targets(paths).join("\n")).context("the list of targets")?;
                let mut fping = command("fping".as_ref(), core);
                fping.args(["-q", "-C", PINGS, "-p", "100", "-i", "0.01", "-f"]).arg(&file);
                vec![pair.near().spawn(fping)?]
            }
            Self::Smokeping => {
                let mut fping = command("fping".as_ref(), core);
                fping.args(["-C", PINGS, "-q", "-B1", "-r1", "-i10", "-p100"]).args(targets(paths));
                vec![pair.near().spawn(fping)?]
            }
            Self::Irtt => {
                let mut processes = vec![irtt_server(pair, core)?];
                for target in targets(paths) {
                    processes.push(irtt_client(pair, core, &target, "100ms")?);
                }
                processes
            }
            Self::IrttOne => {
                let interval = format!("{}us", 1_000_000 / rate);
                let server = irtt_server(pair, core)?;
                vec![server, irtt_client(pair, core, &Pair::address(0).to_string(), &interval)?]
            }
            Self::StampSuite => stamp_suite(pair, stage.stamp_suite, paths, core)?,
        };
        Ok(Running { processes, ours: None })
    }
}

/// What has been started.
pub(super) struct Running {
    pub(super) processes: Vec<Process>,
    pub(super) ours: Option<Ours>,
}

fn targets(paths: usize) -> Vec<String> {
    (0..paths).map(|index| Pair::address(index).to_string()).collect()
}

fn irtt_server(pair: &Pair, core: Option<usize>) -> Result<Process> {
    let mut server = command("irtt".as_ref(), core);
    // Without a limit to the rate, and with answers that come from where they were asked.
    server.args(["server", "-i", "0", "--set-src-ip"]);
    let server = pair.far().spawn(server)?;
    await_line(&server, "starting")?;
    Ok(server)
}

fn irtt_client(pair: &Pair, core: Option<usize>, target: &str, interval: &str) -> Result<Process> {
    let file = pair.directory().join(format!("{target}-{}.json", clock::unix()));
    let mut client = command("irtt".as_ref(), core);
    client.args(["client", "-i", interval, "-d", "60s", "-Q", "-o"]).arg(file).arg(target);
    pair.near().spawn(client)
}

fn stamp_suite(
    pair: &Pair,
    program: &Path,
    paths: usize,
    core: Option<usize>,
) -> Result<Vec<Process>> {
    let quiet = |mut command: Command| {
        command.env("RUST_LOG", "info");
        command
    };
    let mut reflector = quiet(command(program, core));
    reflector.args(["--is-reflector", "--local-addr", "0.0.0.0", "--local-port", "862"]);
    let reflector = pair.far().spawn(reflector)?;
    await_line(&reflector, "listening on")?;
    let mut sender = quiet(command(program, core));
    sender.args(["--send-delay", "100", "--count", "0", "--duration", "60", "--timeout", "1"]);
    sender.args(["--local-addr", &Pair::NEAR.to_string()]);
    sender.args(["--remote-addr", &targets(paths).join(",")]);
    Ok(vec![reflector, pair.near().spawn(sender)?])
}
