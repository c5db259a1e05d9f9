//! `linkprobe reflect`: only a Session-Reflector. Once it is attached, the kernel does all the work but
//! that of a few TLVs.

use std::time::Duration;

use anyhow::Result;
use probe_ebpf::maps::Fate;
use tokio::signal::unix::{SignalKind, signal};

use crate::datapath::{Datapath, Options};

/// How often the host's clock, addresses and interfaces are looked at.
const CHECK: Duration = Duration::from_secs(1);

/// Reflects on these interfaces until it is told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// Where it cannot start: privileges, interfaces.
pub async fn run(interfaces: &[String], port: u16) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut datapath = Datapath::load(Options {
        sessions: 1,
        slots: 1,
        peers: 1,
        reflector_port: port,
        first_source_port: 0,
        source_ports: 0,
        timestamps: probe_ebpf::ntp::Format::Ntp,
    })?;
    datapath.refresh_addresses()?;
    super::start_responder(&mut datapath);
    for interface in interfaces {
        let attachment = datapath.attach(interface)?;
        tracing::info!(interface, xdp = %attachment.mode, port, "reflecting");
    }
    let mut check = tokio::time::interval(CHECK);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = check.tick() => {
                datapath.refresh_clock();
                if let Err(error) = datapath.refresh_addresses() {
                    tracing::warn!(%error, "cannot look up the addresses of this host");
                }
                for done in datapath.reattach() {
                    match done {
                        Ok(interface) => tracing::info!(interface, "attached again"),
                        Err(error) => tracing::warn!(%error, "cannot attach again"),
                    }
                }
            }
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
