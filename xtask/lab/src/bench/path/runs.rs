//! Packets before programs, by `BPF_PROG_TEST_RUN`.

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader, TestRun, TestRunOptions,
    maps::{Array, PerCpuArray, PerCpuValues, ProgramArray},
    programs::{SchedClassifier, Xdp},
    util::nr_cpus,
};

use super::{
    super::{cpu, program::OBJECT},
    kinds::Kind,
    ours::{Ours, PACKETS},
};

/// Octets of the map from which a frame is put back.
const ROOM: usize = 160;

/// Whose program is run.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    /// The least that can be done with the packet.
    Bare,
    /// Ours.
    Ours(&'a Ours),
}

/// The programs of the bench: bare ones, and those that make each packet the first one.
pub(super) struct Runs {
    ebpf: Ebpf,
}

impl Runs {
    /// Loads them.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn load() -> Result<Self> {
        let mut ebpf = EbpfLoader::new().load(OBJECT).context("the programs of the bench")?;
        for name in ["restore", "next_reply", "nothing", "bare", "pass"] {
            let program: &mut Xdp = ebpf.program_mut(name).context(name)?.try_into()?;
            program.load()?;
        }
        let leave: &mut SchedClassifier =
            ebpf.program_mut("leave").context("no leave")?.try_into()?;
        leave.load()?;
        Ok(Self { ebpf })
    }

    /// Prepares for a kind and a subject; each CPU may have a frame of its own.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn prepare(
        &mut self,
        kind: Kind,
        subject: Subject<'_>,
        frames: &[Vec<u8>],
    ) -> Result<()> {
        let length = frames.first().context("no frame")?.len();
        let room = |frame: &Vec<u8>| {
            let mut room = [0; ROOM];
            room[..frame.len()].copy_from_slice(frame);
            room
        };
        let cpus = nr_cpus().map_err(|(_, error)| error)?;
        let rooms: Vec<[u8; ROOM]> = frames.iter().cycle().take(cpus).map(room).collect();
        let map = self.ebpf.map_mut("FRAME").context("FRAME")?;
        let mut frame: PerCpuArray<_, [u8; ROOM]> = map.try_into()?;
        frame.set(0, PerCpuValues::try_from(rooms)?, 0)?;
        let map = self.ebpf.map_mut("LENGTH").context("LENGTH")?;
        Array::<_, u32>::try_from(map)?.set(0, length as u32, 0)?;
        let program = match (subject, kind) {
            (Subject::Ours(ours), _) => ours.ingress()?.fd()?.try_clone()?,
            (Subject::Bare, Kind::Request) => self.xdp("bare")?.fd()?.try_clone()?,
            (Subject::Bare, _) => self.xdp("nothing")?.fd()?.try_clone()?,
        };
        let map = self.ebpf.map_mut("MEASURED").context("MEASURED")?;
        Ok(ProgramArray::try_from(map)?.set(0, &program, 0)?)
    }

    /// Runs what was prepared on so many packets, and returns seconds per packet. What makes a packet the first one
    /// is part of it, for ours and for bare programs.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(super) fn run(&self, kind: Kind, subject: Subject<'_>, frame: &[u8]) -> Result<f64> {
        match (kind, subject) {
            (Kind::Request, _) => time(self.xdp("restore")?, frame),
            (Kind::Reply, _) => time(self.xdp("next_reply")?, frame),
            (_, Subject::Ours(ours)) if kind.is_egress() => time(ours.egress()?, frame),
            (_, Subject::Ours(ours)) => time(ours.ingress()?, frame),
            (_, Subject::Bare) if kind.is_egress() => time(self.tc("leave")?, frame),
            (_, Subject::Bare) => time(self.xdp("pass")?, frame),
        }
    }

    fn xdp(&self, name: &'static str) -> Result<&Xdp> {
        Ok(self.ebpf.program(name).context(name)?.try_into()?)
    }

    fn tc(&self, name: &'static str) -> Result<&SchedClassifier> {
        Ok(self.ebpf.program(name).context(name)?.try_into()?)
    }
}

/// Seconds of the calling thread's time per packet: what the kernel says itself are whole nanoseconds.
fn time<P>(program: &P, frame: &[u8]) -> Result<f64>
where
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>>,
{
    let options = TestRunOptions { data_in: Some(frame), repeat: PACKETS, ..Default::default() };
    let before = cpu::of_thread();
    program.test_run(options)?;
    Ok((cpu::of_thread() - before) / f64::from(PACKETS))
}
