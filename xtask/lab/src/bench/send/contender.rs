//! The ways to send.

use anyhow::{Result, ensure};
use probe_ebpf::maps::transmit::IPV4_HEADERS;
use probe_user::{datapath::transmit::Transmitter, sender::Target};

use super::{
    super::slices::measured,
    probes::Probes,
    ring::Ring,
    stage::{ByAgent, MARK, SESSIONS, Stage},
};

/// A way to send, with how many packets at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    /// As the agent does.
    Messages(usize),
    /// The same with a mark on each, as steered probes have.
    Marked(usize),
    /// The same without programs on the interface.
    Unstamped(usize),
    /// A socket for each session, connected, and a system call for each packet.
    Connected,
    /// Past the network stack, as the agent does where it can.
    Driver(usize),
    /// AF_XDP.
    Ring(usize),
}

impl Contender {
    /// What the others are compared with.
    pub(super) const AGENT: Self = Self::Messages(64);

    /// All that are measured.
    pub(super) const fn all() -> [Self; 12] {
        [
            Self::Messages(1),
            Self::Messages(8),
            Self::AGENT,
            Self::Marked(64),
            Self::Unstamped(64),
            Self::Connected,
            Self::Driver(1),
            Self::Driver(8),
            Self::Driver(64),
            Self::Ring(1),
            Self::Ring(8),
            Self::Ring(64),
        ]
    }

    /// What it is called in the table.
    pub(super) fn label(self) -> String {
        match self {
            Self::Messages(count) => format!("sendmmsg, {count}"),
            Self::Marked(count) => format!("sendmmsg, {count}, marked"),
            Self::Unstamped(count) => format!("sendmmsg, {count}, no programs"),
            Self::Connected => "send, connected".to_owned(),
            Self::Driver(count) => format!("straight to the driver, {count}"),
            Self::Ring(count) => format!("AF_XDP, {count}"),
        }
    }

    /// Sends, and returns seconds of CPU per packet and what part of all packets our programs have numbered.
    ///
    /// # Errors
    /// Those of sockets, and where packets are not taken.
    pub(super) fn measure(self, stage: &mut Stage, slices: usize) -> Result<(f64, f64)> {
        if matches!(self, Self::Unstamped(_)) {
            stage.detach();
        } else {
            stage.attach()?;
        }
        let (numbered, sent) = (stage.numbered(), stage.sent()?);
        let cost = self.send(stage, slices)?;
        let sent = stage.sent()? - sent;
        ensure!(sent > 0.0, "the interface has seen no packet");
        Ok((cost, (stage.numbered() - numbered) / sent))
    }

    fn send(self, stage: &mut Stage, slices: usize) -> Result<f64> {
        match self {
            Self::Messages(count) | Self::Unstamped(count) => {
                measured(slices, || Ok(stage.by_agent(0)), by_agent(count))
            }
            Self::Marked(count) => measured(slices, || Ok(stage.by_agent(MARK)), by_agent(count)),
            Self::Connected => measured(
                slices,
                move || stage.connected(),
                |sockets| {
                    for (socket, template) in sockets.iter() {
                        socket.send(template)?;
                    }
                    Ok(f64::from(SESSIONS))
                },
            ),
            Self::Driver(count) => {
                let transmitter = stage.transmitter()?;
                // The program is run in the namespace of the thread that asks for it.
                stage.run(|| measured(slices, || Ok(transmitter), straight(count)))?
            }
            Self::Ring(count) => {
                let open = move || {
                    let interface = stage.interface()?;
                    let probes = Probes::new(stage.targets(), count);
                    stage.run(move || Ring::open(interface, probes))?
                };
                measured(slices, open, Ring::send)
            }
        }
    }
}

/// Sends all targets by the agent's sender, so many at once.
fn by_agent(at_once: usize) -> impl Fn(&mut ByAgent<'_>) -> Result<f64> {
    move |(sockets, targets)| {
        let targets: Vec<&Target> = targets.iter().collect();
        for some in targets.chunks(at_once) {
            sockets.send(some, |_| {});
        }
        Ok(targets.len() as f64)
    }
}

/// Sends to all targets past the network stack, so many at once.
fn straight(at_once: usize) -> impl Fn(&mut Transmitter) -> Result<f64> {
    move |transmitter| {
        let sessions: Vec<u16> = (1..=SESSIONS).collect();
        for some in sessions.chunks(at_once) {
            transmitter.run(IPV4_HEADERS, some.iter().copied())?;
        }
        Ok(f64::from(SESSIONS))
    }
}
