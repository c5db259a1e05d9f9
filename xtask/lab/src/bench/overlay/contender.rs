//! Those that are compared.

use std::{fmt, path::Path};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use lab::{Lab, Mesh};

use super::{
    babel,
    bfd::{self, Followers},
};
use crate::{bench::version, topology};

/// Who chooses the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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
                "3 x 100 ms on the direct tunnels; static routes follow: bfdd is asked again 10 ms after each answer"
            }
        }
    }

    /// The version of the program that is compared, if it says any.
    pub(super) fn version(self) -> Option<String> {
        match self {
            Self::Ours => None,
            Self::Babel | Self::BabelDefault => version(Path::new("bird")),
            Self::Bfd => version(&Path::new(bfd::DAEMONS).join("bfdd")),
        }
    }

    /// Starts it in every site.
    ///
    /// # Errors
    /// Where it is not installed, or does not start.
    pub(super) fn start(self, lab: &Lab, agent: &Path) -> Result<Running> {
        match self {
            Self::Ours => {
                let more = "[health]\nprofile = \"fast\"\n".to_owned();
                Mesh { overlay: true, more, ..Mesh::default() }.start(lab, agent)?;
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
