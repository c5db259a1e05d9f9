//! The kernel program on one packet again and again, beside the least that a reflector can do.

use std::{
    io::{Write as _, stdout},
    net::{Ipv4Addr, SocketAddrV4},
};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun as _, TestRunOptions,
    maps::{Array, PerCpuArray, PerCpuValues, ProgramArray},
    programs::{ProgramFd, Xdp},
    util::nr_cpus,
};
use probe_ebpf::{
    frame::Address,
    hmac::Key,
    ntp::Format,
    stamp::{self, HMAC_AT, Mode, Request},
};
use probe_user::datapath::{Datapath, Options, ReflectorOptions};

use super::{frame, verdict};

/// The programs of the bench.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("LAB_OBJECTS"), "/bench-bpf"));

/// Rounds, of which the fastest counts: whatever else runs on the host can only make a round slower.
const ROUNDS: usize = 7;

/// Packets of each measurement.
const PACKETS: u32 = 300_000;

/// Octets of the map from which the frame is put back.
const ROOM: usize = 160;

const SENDER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const REFLECTOR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// `XDP_TX`: the packet goes back to where it came from.
const XDP_TX: u32 = 3;

/// Nanoseconds per packet.
struct Figures {
    bare: f64,
    clocks: f64,
    unauthenticated: f64,
    authenticated: f64,
}

/// Measures all programs in turn, and prints what came out.
pub(super) fn run() -> Result<()> {
    let key = Key::new(&[0x5a; 32]);
    let plain = Request { sequence: 7, timestamp: 1, error_estimate: 0x8001, ssid: 0x1234 };
    let mut payload = vec![0; stamp::AUTHENTICATED_LENGTH];
    plain.write(&mut payload[..], 0, Mode::Authenticated).context("a request fits")?;
    let tag = key.tag(&[&payload[..HMAC_AT]]);
    payload[HMAC_AT..].copy_from_slice(&tag);
    let mut bench = Bench::load()?;
    let unauthenticated =
        bench.measure(&frame(&plain.encode()), &mut reflector(None)?, &["bare", "clocks"])?;
    let authenticated = bench.measure(&frame(&payload), &mut reflector(Some(key))?, &[])?;
    print(&Figures {
        bare: unauthenticated[1],
        clocks: unauthenticated[2],
        unauthenticated: unauthenticated[0],
        authenticated: authenticated[0],
    })
}

fn print(figures: &Figures) -> Result<()> {
    let Figures { bare, clocks, unauthenticated, authenticated } = figures;
    let ratio = unauthenticated / bare;
    let mut out = stdout().lock();
    writeln!(
        out,
        "The kernel program, per packet (BPF_PROG_TEST_RUN, fastest of {ROUNDS} rounds):"
    )?;
    writeln!(out, "  bare XDP_TX, addresses swapped    {bare:7.0} ns")?;
    writeln!(
        out,
        "  bare, and the clock read twice    {clocks:7.0} ns   {:5.1} x bare",
        clocks / bare
    )?;
    writeln!(
        out,
        "  reflector, unauthenticated        {unauthenticated:7.0} ns   {ratio:5.1} x bare   at most 4: {}",
        verdict(ratio <= 4.0)
    )?;
    let fast = *unauthenticated < 300.0 && *authenticated < 3_000.0;
    writeln!(
        out,
        "  reflector, authenticated          {authenticated:7.0} ns   {:5.1} x bare   under 3,000 ns, \
         unauthenticated under 300: {}",
        authenticated / bare,
        verdict(fast)
    )?;
    Ok(())
}

/// A request in UDP over IPv4, from the sender to the reflector's port.
fn frame(payload: &[u8]) -> Vec<u8> {
    frame::udp(
        SocketAddrV4::new(SENDER, 50_000),
        SocketAddrV4::new(REFLECTOR, stamp::PORT),
        payload,
    )
}

/// Our programs, as a reflector without limits.
fn reflector(key: Option<Key>) -> Result<Datapath> {
    let mut datapath = Datapath::load(Options {
        sessions: 1,
        slots: 1,
        peers: 1,
        reflector_port: stamp::PORT,
        first_source_port: 0,
        source_ports: 0,
        timestamps: Format::Ntp,
    })?;
    datapath.set_local_addresses([Address::v4(REFLECTOR.octets())].into())?;
    datapath.set_keys(&key.map(|key| (1, key)).into_iter().collect::<Vec<_>>());
    let authenticated_only = key.is_some();
    datapath.set_reflector(&ReflectorOptions { authenticated_only, ..Default::default() })?;
    Ok(datapath)
}

/// The programs that measure others.
struct Bench {
    ebpf: Ebpf,
    measured: ProgramArray<aya::maps::MapData>,
}

impl Bench {
    fn load() -> Result<Self> {
        let mut ebpf = EbpfLoader::new().load(OBJECT).context("the programs of the bench")?;
        for name in ["restore", "nothing", "bare", "clocks"] {
            let program: &mut Xdp = ebpf.program_mut(name).context(name)?.try_into()?;
            program.load()?;
        }
        let map = ebpf.take_map("MEASURED").context("MEASURED")?;
        Ok(Self { measured: ProgramArray::try_from(map)?, ebpf })
    }

    /// Nanoseconds per packet of our reflector and of some programs of the bench, as `BPF_PROG_TEST_RUN`
    /// would give them if they left the request as it is: what it takes to put it back is taken off. All
    /// are measured in turn in each round.
    fn measure(&mut self, frame: &[u8], ours: &mut Datapath, others: &[&str]) -> Result<Vec<f64>> {
        let mut room = [0; ROOM];
        room[..frame.len()].copy_from_slice(frame);
        let of_cpus = PerCpuValues::try_from(vec![room; nr_cpus().map_err(|(_, error)| error)?])?;
        PerCpuArray::<_, [u8; ROOM]>::try_from(self.ebpf.map_mut("FRAME").context("FRAME")?)?
            .set(0, of_cpus, 0)?;
        Array::<_, u32>::try_from(self.ebpf.map_mut("LENGTH").context("LENGTH")?)?.set(
            0,
            frame.len() as u32,
            0,
        )?;
        let ours = ours.ingress()?.fd()?.try_clone()?;
        let mut programs = vec![self.program("nothing")?, ours];
        for name in others {
            programs.push(self.program(name)?);
        }
        let mut fastest = vec![f64::INFINITY; programs.len()];
        let mut alone = f64::INFINITY;
        for _ in 0..ROUNDS {
            alone = alone.min(self.run("nothing", frame)?);
            for (program, fastest) in programs.iter().zip(&mut fastest) {
                *fastest = fastest.min(self.time(program, frame)?);
            }
        }
        let nothing = fastest.remove(0);
        Ok(fastest.into_iter().map(|time| time - nothing + alone).collect())
    }

    fn program(&self, name: &str) -> Result<ProgramFd> {
        let program: &Xdp = self.ebpf.program(name).context("no such program")?.try_into()?;
        Ok(program.fd()?.try_clone()?)
    }

    /// Nanoseconds per packet, with what it takes to put the request back.
    fn time(&mut self, program: &ProgramFd, frame: &[u8]) -> Result<f64> {
        self.measured.set(0, program, 0)?;
        self.run("restore", frame)
    }

    fn run(&self, program: &str, frame: &[u8]) -> Result<f64> {
        let xdp: &Xdp = self.ebpf.program(program).context("no such program")?.try_into()?;
        let options =
            TestRunOptions { data_in: Some(frame), repeat: PACKETS, ..Default::default() };
        let result = xdp.test_run(options)?;
        ensure!(result.return_value == XDP_TX, "a program did not reflect");
        Ok(result.duration.as_nanos() as f64)
    }
}
