//! `linkprobe ping`: one ad-hoc session with a Session-Reflector, and what it measured.
//!
//! - [`arguments`]: the command line.
//! - [`packet`]: TLVs and sizes.
//! - [`route`]: the way to the reflector.
//! - `session`: one session on one datapath.
//! - [`answers`] and [`distribution`]: the times of all answers.
//! - [`summary`]: as a document and as text.

pub mod answers;
pub mod arguments;
pub mod distribution;
pub mod packet;
pub mod route;
mod session;
pub mod summary;

use std::{
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Context as _, Result};
use probe_ebpf::{ntp::Format, stamp::Mode};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use crate::{datapath::clock, keys::KeyRing, resolve, verdict::Nanos};
use arguments::{Auth, Choice};
use packet::Tlv;
use route::Route;
use session::{Plan, Session};
use summary::{Document, Host, Summary, live_line};

pub use arguments::Arguments;

/// How often slots are read.
const TICK: Duration = Duration::from_millis(10);

/// How many ticks lie between two live lines.
const TICKS_PER_LINE: u64 = 20;

/// How many ticks lie between two looks at the host: its clock and its addresses.
const TICKS_PER_CHECK: u64 = 100;

/// Probes the target until `--count` is reached or a signal ends it, and prints what was measured. Returns
/// whether there was any answer.
///
/// # Errors
/// Where it cannot be tried: names, routes, keys, sizes, privileges.
pub async fn run(arguments: &Arguments) -> Result<bool> {
    let mut signals = Signals::new()?;
    let address = &arguments.target;
    let target = resolve::resolve(address, None)
        .await
        .with_context(|| format!("cannot find the host of {address}"))?;
    let route = Route::to(target)?;
    let plan = plan(arguments, target, &route)?;
    let mut sessions = open(arguments, &plan).await?;
    if !arguments.json {
        let by: Vec<String> = sessions.iter().map(Session::describe).collect();
        let line = header(&plan, &route, &by.join(" and "));
        // Who does not read it still gets the exit code.
        writeln!(io::stdout(), "{line}").ok();
    }
    measure(&mut sessions, &mut signals, !arguments.json && io::stderr().is_terminal()).await;
    let document = document(target, &sessions);
    let text = if arguments.json {
        serde_json::to_string_pretty(&document)? + "\n"
    } else {
        document.text()
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the summary")
        }
        _ => Ok(document.has_answers()),
    }
}

/// What the arguments come to.
fn plan(arguments: &Arguments, target: SocketAddr, route: &Route) -> Result<Plan> {
    let keys = arguments.auth.as_ref().map(key).transpose()?;
    let mode = if keys.is_some() { Mode::Authenticated } else { Mode::Unauthenticated };
    let Arguments { tlvs, dscp, size, .. } = arguments;
    let room = packet::room(route.mtu, target.is_ipv4());
    Ok(Plan {
        target,
        interval: nanos(arguments.interval),
        timeout: nanos(arguments.timeout),
        count: arguments.count,
        dscp: *dscp,
        mode,
        keys,
        tlvs: packet::tlvs(mode, tlvs, *dscp, *size, room)?,
        has_direct_measurement: tlvs.contains(&Tlv::DirectMeasurement),
        timestamps: if arguments.ptp { Format::Ptp } else { Format::Ntp },
        is_stateful: !arguments.stateless,
    })
}

/// The keys of a file, and the place of the one that is to sign.
fn key(auth: &Auth) -> Result<(KeyRing, u8)> {
    let ring = KeyRing::load(&auth.file)?;
    let file = auth.file.display();
    let ids = || ring.ids().join(", ");
    let id = match &auth.id {
        Some(id) => id,
        None => ring.ids().first().with_context(|| format!("{file} has no key"))?,
    };
    let place = ring.place(id);
    let place = place.with_context(|| format!("{file} has no key `{id}`, but {}", ids()))?;
    Ok((ring, place))
}

/// Why the kernel programs cannot send such probes, if they cannot.
fn beyond_xdp(arguments: &Arguments) -> Option<&'static str> {
    let is_beyond = arguments.auth.is_some() && !arguments.tlvs.is_empty();
    is_beyond.then_some("in authenticated mode, only sockets can sign TLVs (RFC 8972, section 4.8)")
}

/// Opens the sessions that were asked for, that of XDP first.
async fn open(arguments: &Arguments, plan: &Plan) -> Result<Vec<Session>> {
    let choice = arguments.datapath;
    if choice == Choice::Socket {
        return Ok(vec![Session::socket(plan, "")?]);
    }
    let xdp = match beyond_xdp(arguments) {
        Some(why) => Err(anyhow::anyhow!("{why}")),
        None => xdp(arguments, plan).await,
    };
    match (choice, xdp) {
        (Choice::Both, Ok(xdp)) => Ok(vec![xdp, Session::socket(plan, "")?]),
        (_, Ok(xdp)) => Ok(vec![xdp]),
        (Choice::Auto, Err(why)) => {
            let why = format!("no xdp: {why:#}");
            if arguments.json {
                tracing::warn!("{why}");
            }
            Ok(vec![Session::socket(plan, &why)?])
        }
        (_, Err(error)) => Err(error.context("no xdp (--datapath socket does without it)")),
    }
}

async fn xdp(arguments: &Arguments, plan: &Plan) -> Result<Session> {
    let interface = match &arguments.interface {
        Some(interface) => interface.clone(),
        None => route::interface(plan.target.ip()).await?,
    };
    Session::xdp(plan, &interface)
}

fn header(plan: &Plan, route: &Route, by: &str) -> String {
    let octets = plan.mode.length() + plan.tlvs.len();
    let every = humantime::format_duration(Duration::from_nanos(plan.interval));
    let how = match plan.mode {
        Mode::Unauthenticated => "unauthenticated",
        Mode::Authenticated => "authenticated",
    };
    let (target, source) = (plan.target, route.source);
    format!("STAMP to {target} from {source}: {octets} octets every {every}, {how}, by {by}")
}

/// Reads slots until all sessions are over. The first signal ends the sending, the second the waiting.
async fn measure(sessions: &mut [Session], signals: &mut Signals, is_live: bool) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_stopped = false;
    for tick in 1_u64.. {
        let is_signal = tokio::select! {
            _ = ticks.tick() => false,
            () = signals.next() => true,
        };
        if is_signal && is_stopped {
            break;
        }
        if is_signal {
            is_stopped = true;
            sessions.iter_mut().for_each(Session::stop);
        }
        let now = clock::monotonic();
        for session in sessions.iter_mut() {
            session.tick(now);
            if tick.is_multiple_of(TICKS_PER_CHECK) {
                session.check_host();
            }
        }
        if sessions.iter().all(|session| session.is_over(now)) {
            break;
        }
        if is_live && tick.is_multiple_of(TICKS_PER_LINE) {
            show(&sessions[0]);
        }
    }
    if is_live {
        erase();
    }
}

/// Writes the live line over the one before.
fn show(session: &Session) {
    let answers = session.answers();
    let rtt_us = answers.round_trip.quantiles();
    let line = live_line(&session.probes(), rtt_us.as_ref(), answers.last());
    write!(io::stderr(), "\r{line}\x1b[K").ok();
}

fn erase() {
    write!(io::stderr(), "\r\x1b[K").ok();
}

fn document(target: SocketAddr, sessions: &[Session]) -> Document {
    let mut summaries = sessions.iter().map(Session::summary);
    let summary = summaries.next().expect("there is a session at least");
    let socket: Option<Summary> = summaries.next();
    let host_us = socket.as_ref().and_then(|socket| Host::between(&summary, socket));
    Document { summary, target: target.to_string(), socket, host_us }
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

const fn nanos(duration: Duration) -> Nanos {
    duration.as_nanos() as Nanos
}
