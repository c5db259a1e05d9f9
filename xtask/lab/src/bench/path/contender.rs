//! Who is attached to the interfaces at both ends.

use std::path::Path;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    programs::{SchedClassifier, TcAttachType, Xdp, XdpMode},
};
use lab::{Agent, Lab, Mesh, Site, site::INTERFACE};

use super::{super::program::OBJECT, Options};

/// Who is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    /// Nobody.
    Nothing,
    /// A program in the driver that passes everything, and one at the exit.
    Bare,
    /// The same, declared fit for packets in several pieces of memory.
    Pieces,
    /// The same in the network stack, not in the driver.
    Generic,
    /// An agent that probes the other end.
    Ours,
    /// An agent from before a change.
    Before,
}

/// What holds the programs; they go when it is dropped.
pub(super) enum Attached {
    Nothing,
    Programs(#[expect(dead_code, reason = "it is there to be dropped")] Vec<Ebpf>),
    Agents(Vec<Agent>),
}

impl Contender {
    /// Those that are measured: the one from before only where there is one.
    pub(super) fn all(options: &Options) -> Vec<Self> {
        let mut all = vec![Self::Nothing, Self::Bare, Self::Pieces, Self::Generic, Self::Ours];
        all.extend(options.before.as_ref().map(|_| Self::Before));
        all
    }

    /// What it is called in tables.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Bare => "bare programs",
            Self::Pieces => "bare, xdp.frags",
            Self::Generic => "bare, generic XDP",
            Self::Ours => "linkprobe",
            Self::Before => "linkprobe before",
        }
    }

    /// Attaches it at both ends.
    pub(super) fn attach(self, lab: &Lab, options: &Options) -> Result<Attached> {
        match self {
            Self::Nothing => Ok(Attached::Nothing),
            Self::Bare => programs(lab, "pass", XdpMode::Driver),
            Self::Pieces => programs(lab, "pass_pieces", XdpMode::Driver),
            Self::Generic => programs(lab, "pass", XdpMode::Skb),
            Self::Ours => agents(lab, &options.common.agent),
            Self::Before => {
                let before = options.before.as_ref().context("there is none from before")?;
                agents(lab, &before.join("linkprobe"))
            }
        }
    }
}

impl Attached {
    /// Takes it away.
    pub(super) fn detach(self) -> Result<()> {
        match self {
            Self::Nothing | Self::Programs(_) => Ok(()),
            Self::Agents(agents) => agents.iter().try_for_each(Agent::stop),
        }
    }
}

fn agents(lab: &Lab, agent: &Path) -> Result<Attached> {
    Mesh::default().start(lab, agent).map(Attached::Agents)
}

fn programs(lab: &Lab, xdp: &str, mode: XdpMode) -> Result<Attached> {
    let attach = |site: &Site| site.run(|| bare(xdp, mode))?;
    lab.sites().iter().map(attach).collect::<Result<_>>().map(Attached::Programs)
}

/// Attaches the bare programs in the namespace of the calling thread.
fn bare(xdp: &str, mode: XdpMode) -> Result<Ebpf> {
    let mut ebpf = EbpfLoader::new().load(OBJECT).context("the programs of the bench")?;
    let pass: &mut Xdp = ebpf.program_mut(xdp).context("no such program")?.try_into()?;
    pass.load()?;
    pass.attach(INTERFACE, mode).with_context(|| format!("cannot attach {xdp}"))?;
    let leave: &mut SchedClassifier = ebpf.program_mut("leave").context("no leave")?.try_into()?;
    leave.load()?;
    leave.attach(INTERFACE, TcAttachType::Egress).context("cannot attach leave")?;
    Ok(ebpf)
}
