//! The link: one veth pair between two namespaces, without a router and without a delay.
//!
//! The kernel's own round trip over it counts as the tool's error. A delay that userspace makes would not be known
//! on a busy host, and the qdiscs that could make one in the kernel, `fq` by time of departure and `netem`, are not
//! in every kernel.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use anyhow::Result;
use lab::{Lab, Site};

use super::{super::Common, FEW_PROBES, INTERVAL, Options, PROBES};

/// The interface at either end.
pub(super) const INTERFACE: &str = "direct";

/// The end that measures, and the end that answers.
pub(super) const SENDER: Ipv4Addr = Ipv4Addr::new(10, 79, 250, 1);
pub(super) const REFLECTOR: Ipv4Addr = Ipv4Addr::new(10, 79, 250, 2);

const SENDER_MAC: &str = "02:00:00:00:fa:01";
const REFLECTOR_MAC: &str = "02:00:00:00:fa:02";

/// What all contenders measure on, and with.
pub(super) struct Bed {
    pub(super) lab: Lab,
    pub(super) agent: PathBuf,
    pub(super) stamp_suite: PathBuf,
    /// Probes of each run.
    pub(super) probes: u32,
}

impl Bed {
    /// Builds it.
    ///
    /// # Errors
    /// Those of the lab.
    pub(super) fn build(options: &Options) -> Result<Self> {
        let lab = Lab::builder().sites(&["a", "b"]).build()?;
        let (a, b) = (lab.site("a")?, lab.site("b")?);
        a.ip(&format!(
            "link add {INTERFACE} address {SENDER_MAC} type veth \
             peer name {INTERFACE} address {REFLECTOR_MAC} netns {}\n",
            b.namespace().name()
        ))?;
        connect(a, SENDER, REFLECTOR, REFLECTOR_MAC)?;
        connect(b, REFLECTOR, SENDER, SENDER_MAC)?;
        let Options { common: Common { agent, quick, .. }, stamp_suite } = options;
        Ok(Self {
            agent: agent.clone(),
            stamp_suite: stamp_suite.clone(),
            probes: if *quick { FEW_PROBES } else { PROBES },
            lab,
        })
    }

    /// The site that measures.
    pub(super) fn sender(&self) -> Result<&Site> {
        self.lab.site("a")
    }

    /// The site that answers.
    pub(super) fn reflector(&self) -> Result<&Site> {
        self.lab.site("b")
    }

    /// How long it takes to send all probes of a run.
    pub(super) fn duration(&self) -> Duration {
        INTERVAL * self.probes
    }
}

/// Brings an end up. Nobody ever has to ask for the neighbour's address: that would be in the round trip of one probe.
fn connect(site: &Site, own: Ipv4Addr, other: Ipv4Addr, mac: &str) -> Result<()> {
    site.ip(&format!(
        "link set {INTERFACE} up\n\
         addr add {own}/30 dev {INTERFACE}\n\
         neigh replace {other} lladdr {mac} nud permanent dev {INTERFACE}\n"
    ))
}
