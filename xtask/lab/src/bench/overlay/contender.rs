//! Those that are compared.

use std::{
    fmt::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use lab::{Agent, Lab, Site, agent::WEB, site::INTERFACE};
use serde::Serialize;

use super::{
    babel,
    bfd::{self, Followers},
    topology,
};

/// Who chooses the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Contender {
    /// The agent: probes every 100 ms on four flows, profile fast
    Ours,
    /// BIRD's Babel: hellos every 100 ms, and a link is dead once one of the last 16 has not come
    Babel,
    /// The same, and a link is dead once five of them have not come, which is BIRD's default
    BabelDefault,
    /// FRR's BFD, three times 100 ms, and static routes
    Bfd,
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "linkprobe",
            Self::Babel => "BIRD, Babel 16/16",
            Self::BabelDefault => "BIRD, Babel 12/16",
            Self::Bfd => "FRR, BFD and static",
        })
    }
}

/// A contender at work. What it has started goes with the lab; its threads go here.
pub(super) enum Running {
    /// Processes only.
    Processes,
    /// And threads.
    Followers(Followers),
}

impl Contender {
    /// How it is configured, in a line: the best that was found for it.
    pub(super) const fn configuration(self) -> &'static str {
        match self {
            Self::Ours => "probes every 100 ms on 4 flows of each candidate, profile fast",
            Self::Babel => {
                "hellos every 100 ms, costs by delay, wired: dead once 1 of the last 16 hellos is missing"
            }
            Self::BabelDefault => {
                "the same, dead once 5 of the last 16 are missing: BIRD's default"
            }
            Self::Bfd => {
                "3 x 100 ms on the direct tunnels; static routes follow the sessions within 10 ms"
            }
        }
    }

    /// Starts it in every site.
    ///
    /// # Errors
    /// Where it is not installed, or does not start.
    pub(super) fn start(self, lab: &Lab, agent: &Path) -> Result<Running> {
        match self {
            Self::Ours => {
                let start = |site| Agent::start(lab, site, agent, &config(lab, site));
                let agents = lab.sites().iter().map(start).collect::<Result<Vec<_>>>()?;
                agents.iter().try_for_each(Agent::await_ready)?;
            }
            Self::Babel => babel::start(lab, 16)?,
            Self::BabelDefault => babel::start(lab, 12)?,
            Self::Bfd => return Ok(Running::Followers(bfd::start(lab, topology::detour)?)),
        }
        Ok(Running::Processes)
    }
}

impl Running {
    /// Ends its threads.
    ///
    /// # Errors
    /// Where one had ended before.
    pub(super) fn stop(self) -> Result<()> {
        match self {
            Self::Processes => Ok(()),
            Self::Followers(followers) => followers.stop().context("FRR"),
        }
    }
}

/// The config of the agent of a site: all other sites are destinations, and relays for one another.
fn config(lab: &Lab, site: &Site) -> String {
    let name = site.name();
    let mut text = format!(
        "[node]\nname = \"{name}\"\nregion = \"{name}\"\ninterfaces = [\"{INTERFACE}\"]\n\n\
         [probe]\ninterval = \"100ms\"\nflows = 4\n\n\
         [health]\nprofile = \"fast\"\n\n\
         [web]\nlisten = \"{WEB}\"\n\n\
         [overlay]\n"
    );
    let others = || lab.sites().iter().filter(|other| other.number() != site.number());
    // Writing to a String cannot fail.
    for other in others() {
        let _ = write!(
            text,
            "[[overlay.destinations]]\npeer = \"{}\"\ninterface = \"{}\"\nprefixes = [\"{}\"]\n",
            other.name(),
            other.tunnel(),
            other.lan_ipv4()
        );
    }
    for other in others() {
        let (name, address) = (other.name(), other.tunnel_ipv4());
        let _ = write!(
            text,
            "\n[[peer]]\nname = \"{name}\"\nregion = \"{name}\"\naddress = \"{address}\"\n"
        );
    }
    text
}
