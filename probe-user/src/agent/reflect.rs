//! `linkprobe reflect`: only a Session-Reflector. Once it is attached, the kernel does all the work but
//! that of a few TLVs.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use probe_ebpf::{maps::Fate, ntp::Format, stamp};
use tokio::signal::unix::{SignalKind, signal};

use super::host::Watch;
use crate::{
    config::{DEFAULT_RATE, DatapathKind, MAX_RATE, ReflectorConfig},
    datapath::{Datapath, Options, clock},
    keys::KeyRing,
    prefix::Prefix,
};

/// How often the host is looked at.
const CHECK: Duration = Duration::from_secs(1);

/// What is to be reflected, and where.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Interface to reflect on; may be given several times (sockets reflect on all, and need none)
    #[arg(short, long = "interface", value_name = "IFACE", num_args = 1..)]
    interfaces: Vec<String>,
    /// UDP port of the reflector
    #[arg(long, default_value_t = stamp::PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Answer only what is authenticated with a key of this file; SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    auth: Option<PathBuf>,
    /// Answer only sources in this prefix, such as 192.0.2.0/24; may be given several times
    #[arg(long, value_name = "PREFIX")]
    allow: Vec<Prefix>,
    /// Requests per second that one source may send; 0 for no limit
    #[arg(
        long,
        value_name = "N",
        default_value_t = DEFAULT_RATE,
        value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_RATE))
    )]
    rate: u32,
    /// Copy the Sequence Number of requests instead of counting by itself (RFC 8762, section 4.3)
    #[arg(long)]
    stateless: bool,
    /// Send timestamps in the PTPv2 format instead of NTP's
    #[arg(long)]
    ptp: bool,
    /// What reflects: xdp in the kernel, socket in userspace, or whichever can be had
    #[arg(long, value_name = "WHICH", value_enum, default_value_t)]
    datapath: DatapathKind,
}

impl Arguments {
    fn keys(&self) -> Result<KeyRing> {
        self.auth.as_deref().map_or_else(|| Ok(KeyRing::default()), |file| Ok(KeyRing::load(file)?))
    }

    fn options(&self) -> Options {
        Options {
            sessions: 1,
            slots: 1,
            peers: 1,
            reflector_port: self.port,
            first_source_port: 0,
            source_ports: 0,
            timestamps: if self.ptp { Format::Ptp } else { Format::Ntp },
        }
    }

    fn reflector(&self) -> ReflectorConfig {
        let default = ReflectorConfig::default();
        let allow = if self.allow.is_empty() { default.allow } else { self.allow.clone() };
        ReflectorConfig { rate: self.rate, allow, stateless: self.stateless }
    }
}

/// Reflects until it is told to stop by SIGTERM or SIGINT. SIGHUP reads the keys again.
///
/// # Errors
/// Where it cannot start: privileges, interfaces, keys.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut keys = arguments.keys()?;
    let mut datapath = open(arguments, &keys)?;
    tracing::info!(port = arguments.port, keys = keys.ids().len(), "reflecting");
    let mut check = tokio::time::interval(CHECK);
    let mut watch = Watch::new();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => match arguments.keys() {
                Ok(mut new) => {
                    new.keep_places(&keys);
                    datapath.set_keys(new.placed());
                    tracing::info!(keys = new.ids().len(), "read the keys again");
                    keys = new;
                }
                Err(error) => tracing::error!(%error, "the keys stay as they were"),
            },
            _ = check.tick() => watch.look(&mut datapath, clock::monotonic()),
        }
    }
    for (counter, packets) in datapath.counters() {
        if packets > 0 && matches!(counter.fate(), Fate::Reflected | Fate::Deferred | Fate::Dropped)
        {
            tracing::info!(packets, "{}", counter.label());
        }
    }
    Ok(())
}

fn open(arguments: &Arguments, keys: &KeyRing) -> Result<Datapath> {
    let Arguments { interfaces, datapath: kind, .. } = arguments;
    if interfaces.is_empty() && *kind != DatapathKind::Socket {
        bail!("say on which interfaces (--interface IFACE), or --datapath socket for all of them");
    }
    let reflector = arguments.reflector().options(arguments.auth.is_some());
    let prepare = |datapath: &mut Datapath| {
        datapath.refresh_addresses()?;
        datapath.set_keys(keys.placed());
        datapath.set_reflector(&reflector)
    };
    super::datapath::open(*kind, interfaces, arguments.options(), None, prepare)
        .context("cannot reflect")
}
