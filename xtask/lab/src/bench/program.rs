//! The kernel program on one packet again and again, beside the least that a reflector can do.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun as _, TestRunOptions,
    maps::{Array, PerCpuArray, PerCpuValues, ProgramArray},
    programs::{ProgramFd, Xdp},
    util::nr_cpus,
};
use figures::{Part, Samples, Table, Target, Unit};
use probe_ebpf::{
    frame::Address,
    hmac::Key,
    ntp::Format,
    stamp::{self, HMAC_AT, Mode, Request},
};
use probe_user::datapath::{Datapath, Options, ReflectorOptions};

use super::{frame, reflector::ratios};

/// The programs of the bench.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("LAB_OBJECTS"), "/bench-bpf"));

/// Rounds, and those of a quick run. Of them the fastest is judged: whatever else runs on the host can only make a
/// round slower.
const ROUNDS: [usize; 2] = [7, 3];

/// Packets of each measurement.
const PACKETS: u32 = 300_000;

/// Octets of the map from which the frame is put back.
const ROOM: usize = 160;

const SENDER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const REFLECTOR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// `XDP_TX`: the packet goes back to where it came from.
const XDP_TX: u32 = 3;

/// What a packet took in one program, in nanoseconds.
struct Times {
    rounds: Vec<f64>,
    fastest: f64,
}

/// What was measured.
pub(super) struct Figures {
    bare: Times,
    clocks: Times,
    unauthenticated: Times,
    authenticated: Times,
    /// The bare program on the longer packets of the one before.
    bare_authenticated: Times,
}

/// Measures all programs in turn.
///
/// # Errors
/// Those of the kernel, and where a program does not reflect.
pub(super) fn measure(quick: bool) -> Result<Figures> {
    let key = Key::new(&[0x5a; 32]);
    let plain = Request { sequence: 7, timestamp: 1, error_estimate: 0x8001, ssid: 0x1234 };
    let mut payload = vec![0; stamp::AUTHENTICATED_LENGTH];
    plain.write(&mut payload[..], 0, Mode::Authenticated).context("a request fits")?;
    let tag = key.tag(&[&payload[..HMAC_AT]]);
    payload[HMAC_AT..].copy_from_slice(&tag);
    let mut bench = Bench::load(ROUNDS[usize::from(quick)])?;
    let [unauthenticated, bare, clocks] =
        bench.measure(&frame(&plain.encode()), &mut reflector(None)?, ["bare", "clocks"])?;
    let [authenticated, bare_authenticated, _] =
        bench.measure(&frame(&payload), &mut reflector(Some(key))?, ["bare", "clocks"])?;
    Ok(Figures { bare, clocks, unauthenticated, authenticated, bare_authenticated })
}

impl Times {
    /// By the times of a program that is called once the request was put back, those of doing so with nothing behind
    /// it, and those of nothing: round by round.
    fn new(called: &[f64], restoring: &[f64], alone: &[f64]) -> Self {
        let fastest = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
        let of_round =
            |((called, restoring), alone): ((&f64, &f64), &f64)| called - restoring + alone;
        Self {
            rounds: called.iter().zip(restoring).zip(alone).map(of_round).collect(),
            fastest: fastest(called) - fastest(restoring) + fastest(alone),
        }
    }
}

impl Figures {
    /// Adds a table and targets to a part. Those of a quick run are not judged.
    pub(super) fn describe(&self, quick: bool, part: &mut Part) {
        let Self { bare, clocks, unauthenticated, authenticated, bare_authenticated } = self;
        let rounds = bare.rounds.len();
        part.method.push(format!(
            "The kernel program alone: time per packet by BPF_PROG_TEST_RUN, all programs in turn in each of {rounds} rounds of \
             {PACKETS} packets. Beside it the least that a reflector can do: a program that swaps addresses and sends the packet \
             back, and the same with the clock read twice, as T2 and T3 want it. What is judged is the fastest round: whatever \
             else the machine does can only make a round slower."
        ));
        let row = |name: &str, times: &Times, bare: &Times| {
            let nanoseconds = |value: &f64| value / 1e9;
            let times_of = times.rounds.iter().map(nanoseconds).collect();
            let samples = Samples::new(Unit::Seconds, times_of);
            let fastest = Samples::new(Unit::Seconds, vec![nanoseconds(&times.fastest)]);
            let ratios = ratios(&times.rounds, &bare.rounds);
            vec![name.into(), fastest.into(), samples.into(), ratios.into()]
        };
        part.tables.push(Table {
            title: "The kernel program, time per packet".to_owned(),
            columns: ["program", "fastest", "all rounds", "to bare"].map(str::to_owned).into(),
            rows: vec![
                row("bare, addresses swapped", bare, bare),
                row("bare, and the clock read twice", clocks, bare),
                row("reflector, unauthenticated", unauthenticated, bare),
                row("bare, on authenticated packets", bare_authenticated, bare_authenticated),
                row("reflector, authenticated", authenticated, bare_authenticated),
            ],
        });
        let ratio = unauthenticated.fastest / bare.fastest;
        let (plain, signed) = (unauthenticated.fastest, authenticated.fastest);
        let mut targets = [
            Target::new(
                "the reflector takes at most 4 times as long as a bare program",
                Unit::Times.show(ratio),
                ratio <= 4.0,
            ),
            Target::new(
                "the reflector takes less than 300 ns, authenticated less than 3,000 ns",
                format!("{plain:.0} ns, authenticated {signed:.0} ns"),
                plain < 300.0 && signed < 3_000.0,
            ),
        ];
        if quick {
            targets.iter_mut().for_each(|target| target.met = None);
        }
        part.targets.extend(targets);
    }
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
    rounds: usize,
    ebpf: Ebpf,
    measured: ProgramArray<aya::maps::MapData>,
}

impl Bench {
    fn load(rounds: usize) -> Result<Self> {
        let mut ebpf = EbpfLoader::new().load(OBJECT).context("the programs of the bench")?;
        for name in ["restore", "nothing", "bare", "clocks"] {
            let program: &mut Xdp = ebpf.program_mut(name).context(name)?.try_into()?;
            program.load()?;
        }
        let map = ebpf.take_map("MEASURED").context("MEASURED")?;
        Ok(Self { rounds, measured: ProgramArray::try_from(map)?, ebpf })
    }

    /// What a packet takes in our reflector and in some programs of the bench, as `BPF_PROG_TEST_RUN` would give it if
    /// they left the request as it is: what it takes to put it back is taken off. All are measured in turn in each
    /// round.
    fn measure(
        &mut self,
        frame: &[u8],
        ours: &mut Datapath,
        others: [&str; 2],
    ) -> Result<[Times; 3]> {
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
        let programs = [ours, self.program(others[0])?, self.program(others[1])?];
        let nothing = self.program("nothing")?;
        let mut rounds = [(); 3].map(|()| Vec::new());
        let (mut restoring, mut alone) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            alone.push(self.run("nothing", frame)?);
            restoring.push(self.time(&nothing, frame)?);
            for (program, rounds) in programs.iter().zip(&mut rounds) {
                rounds.push(self.time(program, frame)?);
            }
        }
        Ok(rounds.map(|rounds| Times::new(&rounds, &restoring, &alone)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_takes_to_put_the_request_back_is_taken_off() {
        let times = Times::new(&[30.0, 25.0], &[10.0, 12.0], &[2.0, 1.0]);
        assert_eq!((&times.rounds[..], times.fastest), (&[22.0, 14.0][..], 16.0));
    }

    fn part(plain: f64, quick: bool) -> Part {
        let times = |time| Times { rounds: vec![time, time + 1.0], fastest: time };
        let figures = Figures {
            bare: times(50.0),
            clocks: times(80.0),
            unauthenticated: times(plain),
            authenticated: times(2_400.0),
            bare_authenticated: times(60.0),
        };
        let mut part = Part::default();
        figures.describe(quick, &mut part);
        part
    }

    #[test]
    fn the_fastest_round_is_judged_and_a_quick_run_is_not() {
        let met = |part: Part| part.targets.iter().map(|target| target.met).collect::<Vec<_>>();
        assert_eq!(met(part(200.0, false)), [Some(true), Some(true)]);
        assert_eq!(met(part(201.0, false)), [Some(false), Some(true)]);
        assert_eq!(met(part(300.0, false)), [Some(false), Some(false)]);
        assert_eq!(met(part(300.0, true)), [None, None]);
        let shown: Vec<_> =
            part(200.0, false).tables[0].rows[4].iter().map(figures::Cell::show).collect();
        assert_eq!(
            shown,
            [
                "reflector, authenticated",
                "2.4 µs",
                "2.4 µs (2.4 µs to 2.4 µs)",
                "39.7 x (39.4 x to 40 x)"
            ]
        );
    }
}
