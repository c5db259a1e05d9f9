//! Loss between sites: the host's side of the program in `probe-ebpf/src/impair.rs`.

use std::{collections::BTreeMap, fmt, ops::Sub, sync::Mutex};

use anyhow::{Context as _, Result, bail, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, MapData},
    programs::{SchedClassifier, TcAttachType, Xdp, XdpMode, tc},
    util::KernelVersion,
};
use rule::{
    MODE_BLACKHOLE, MODE_BURSTS, MODE_EVERY, MODE_NONE, MODE_RANDOM, MODE_SHIFT, PORT_SHIFT, Tally,
    pair,
};

use crate::{namespace::Namespace, registry::lock, site::Site};

/// The layout that lab and program share.
#[path = "../../../probe-ebpf/src/impair/rule.rs"]
pub(crate) mod rule;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("LAB_OBJECTS"), "/impair-bpf"));

/// 2^32, of which a share is a part.
const WHOLE: f64 = 4_294_967_296.0;

/// How packets of one direction are lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// None is.
    None,
    /// Each with this probability, from 0 to 1, independently of the others.
    Random(f64),
    /// Exactly this share of them, from 0 to 1, spread evenly: of any run of n packets, n times the
    /// share, rounded down or up. The first ones pass.
    Every(f64),
    /// Runs of four, one after the other on their way, are lost together: each run with this probability,
    /// from 0 to 1.
    Bursts(f64),
    /// All are.
    Blackhole,
}

impl Loss {
    /// The rule's word, but for the port.
    fn word(self) -> Result<u64> {
        let share = match self {
            Self::None | Self::Blackhole => 0.0,
            Self::Random(share) | Self::Every(share) | Self::Bursts(share) => share,
        };
        ensure!((0.0..=1.0).contains(&share), "a share of {share} is not between 0 and 1");
        let (mode, parts) = match self {
            Self::None => (MODE_NONE, 0.0),
            Self::Random(_) => (MODE_RANDOM, (share * WHOLE).round()),
            // Up, so that one tenth ten times is a whole.
            Self::Every(_) => (MODE_EVERY, (share * WHOLE).ceil()),
            Self::Bursts(share) => (MODE_BURSTS, (share * WHOLE).round()),
            Self::Blackhole => (MODE_BLACKHOLE, 0.0),
        };
        // A share of 1 does not fit into 32 bits, and is a blackhole.
        let (mode, parts) = if parts >= WHOLE { (MODE_BLACKHOLE, 0.0) } else { (mode, parts) };
        Ok(u64::from(mode) << MODE_SHIFT | parts as u64)
    }
}

/// What became of the packets of one direction: the truth to compare with. Running totals since the lab
/// was built; subtract an earlier reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came by.
    pub seen: u64,
    /// Those that the rule was about: all, or those of its port.
    pub matched: u64,
    /// Those that it dropped.
    pub dropped: u64,
}

impl Counters {
    /// Dropped divided by seen; none where there was nothing to be seen.
    #[must_use]
    pub fn loss_ratio(&self) -> Option<f64> {
        (self.seen > 0).then(|| self.dropped as f64 / self.seen as f64)
    }
}

impl Sub for Counters {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            seen: self.seen - earlier.seen,
            matched: self.matched - earlier.matched,
            dropped: self.dropped - earlier.dropped,
        }
    }
}

// SAFETY: four u64 in `repr(C)`: no padding, and every bit pattern is a value.
unsafe impl aya::Pod for Tally {}

/// The programs and maps of one lab.
pub(crate) struct Impairment {
    maps: Mutex<Maps>,
    /// Holds the programs at their places.
    programs: Option<Ebpf>,
    wan: Namespace,
}

struct Maps {
    rules: Array<MapData, u64>,
    tallies: Array<MapData, Tally>,
    /// What was dropped and counted under the rules before, so that a reset loses nothing.
    before: BTreeMap<u32, Counters>,
}

impl Impairment {
    /// Loads the programs, and attaches them to the WAN's ends of the links.
    pub(crate) fn load(wan: &Namespace, sites: &[Site]) -> Result<Self> {
        let mut programs =
            EbpfLoader::new().load(OBJECT).context("cannot load the impairment program")?;
        let ends: Vec<String> = sites.iter().map(Site::wan_end).collect();
        wan.run(|| attach(&mut programs, &ends))??;
        let mut map = |name: &str| {
            programs.take_map(name).with_context(|| format!("the object has no map {name}"))
        };
        let maps = Maps {
            rules: Array::try_from(map("RULES")?)?,
            tallies: Array::try_from(map("TALLIES")?)?,
            before: BTreeMap::new(),
        };
        Ok(Self { maps: Mutex::new(maps), programs: Some(programs), wan: wan.clone() })
    }

    /// Sets the rule of a pair, for one UDP port or (0) for all packets.
    pub(crate) fn set(&self, from: &Site, to: &Site, loss: Loss, port: u16) -> Result<()> {
        if from.number() == to.number() {
            bail!("no packet goes through the WAN from {} to itself", from.name());
        }
        let word = loss.word()? | u64::from(port) << PORT_SHIFT;
        let pair = pair(u32::from(from.number()), u32::from(to.number()));
        let mut maps = lock(&self.maps);
        if matches!(loss, Loss::Every(_)) {
            // The sequence starts anew. The old rule ends first: a packet that came between the two
            // steps would take the new sequence's first place.
            maps.rules.set(pair, 0, 0)?;
            let counters = maps.read(pair)?;
            maps.tallies.set(pair, Tally::default(), 0)?;
            maps.before.insert(pair, counters);
        }
        maps.rules.set(pair, word, 0).context("cannot set the rule")
    }

    /// What became of the packets of a pair.
    pub(crate) fn counters(&self, from: &Site, to: &Site) -> Result<Counters> {
        lock(&self.maps).read(pair(u32::from(from.number()), u32::from(to.number())))
    }
}

impl fmt::Debug for Impairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Impairment").finish_non_exhaustive()
    }
}

impl Maps {
    fn read(&self, pair: u32) -> Result<Counters> {
        let tally = self.tallies.get(&pair, 0).context("cannot read the counters")?;
        let before = self.before.get(&pair).copied().unwrap_or_default();
        Ok(Counters {
            seen: before.seen + tally.seen,
            matched: before.matched + tally.matched,
            dropped: before.dropped + tally.dropped,
        })
    }
}

impl Drop for Impairment {
    fn drop(&mut self) {
        // Where links are made by netlink (before Linux 6.6), they are also unmade by it, by interface
        // number: that must happen where the numbers are those of the lab.
        let programs = self.programs.take();
        self.wan.run(move || drop(programs)).ok();
    }
}

/// The first kernel that needs no qdisc for a classifier.
const TCX: KernelVersion = KernelVersion::new(6, 6, 0);

/// Runs inside the WAN.
fn attach(programs: &mut Ebpf, ends: &[String]) -> Result<()> {
    let xdp: &mut Xdp =
        programs.program_mut("impair_pass").context("no impair_pass")?.try_into()?;
    xdp.load().context("the kernel refuses impair_pass")?;
    for end in ends {
        xdp.attach(end, XdpMode::Driver)
            .with_context(|| format!("cannot attach impair_pass to {end}"))?;
    }
    let classifier: &mut SchedClassifier =
        programs.program_mut("impair_egress").context("no impair_egress")?.try_into()?;
    classifier.load().context("the kernel refuses impair_egress")?;
    let kernel = KernelVersion::current().context("cannot read the kernel's version")?;
    for end in ends {
        if kernel < TCX {
            tc::qdisc_add_clsact(end).with_context(|| format!("no clsact on {end}"))?;
        }
        classifier
            .attach(end, TcAttachType::Egress)
            .with_context(|| format!("cannot attach impair_egress to {end}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_becomes_32_bits() {
        let word = |mode: u16, share: u64| u64::from(mode) << MODE_SHIFT | share;
        for (loss, expected) in [
            (Loss::None, word(MODE_NONE, 0)),
            (Loss::Random(0.0), word(MODE_RANDOM, 0)),
            (Loss::Random(0.5), word(MODE_RANDOM, 1 << 31)),
            (Loss::Random(1.0), word(MODE_BLACKHOLE, 0)),
            (Loss::Every(0.25), word(MODE_EVERY, 1 << 30)),
            (Loss::Every(0.1), word(MODE_EVERY, 429_496_730)),
            (Loss::Every(1.0), word(MODE_BLACKHOLE, 0)),
            (Loss::Bursts(0.5), word(MODE_BURSTS, 1 << 31)),
            (Loss::Blackhole, word(MODE_BLACKHOLE, 0)),
        ] {
            assert_eq!(loss.word().expect("a valid share"), expected, "{loss:?}");
        }
        for share in [-0.1, 1.1, f64::NAN] {
            assert!(Loss::Random(share).word().is_err(), "{share}");
        }
    }
}
