//! What a target is good for, from what two agents say: the one here, and the one in the target's region.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::verdict::Reach;

/// What the guard reads of `/api/v1/regions`. It is less than [`crate::report::Regions`], so that agents of other
/// versions are understood: those of a fleet are not updated all at once.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct View {
    /// Name of the node that reports.
    pub(crate) node: String,
    /// Its region.
    pub(crate) region: String,
    /// Since when it holds itself for cut off, in seconds since the Unix epoch; `None` if it does not.
    pub(crate) isolated_since: Option<f64>,
    /// The regions that it probes.
    pub(crate) regions: Vec<Seen>,
}

/// A region as an agent sees it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Seen {
    /// Its name.
    pub(crate) name: String,
    /// Whether traffic goes there and back.
    pub(crate) reach: Reach,
}

impl View {
    /// What a region is to the agent; `None` where it neither probes it nor is in it.
    pub(crate) fn reach(&self, region: &str) -> Option<Reach> {
        let seen = self.regions.iter().find(|seen| seen.name == region);
        let own = (region == self.region).then_some(Reach::Reachable);
        seen.map(|seen| seen.reach).or(own)
    }
}

/// What a target is good for, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// Its region is reached on every path.
    Reachable,
    /// Its region is reached, but not on every path or not with the usual quality.
    Impaired,
    /// Nothing is known. That is no reason to leave it.
    Unknown,
    /// It may answer, but its region is cut off from the others.
    CutOff,
    /// Its region is not reached, and this node is not to blame.
    Isolated,
}

impl Standing {
    /// All of them, the best first.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 5] =
        [Self::Reachable, Self::Impaired, Self::Unknown, Self::CutOff, Self::Isolated];

    /// Whether it is known to be of use: worth coming back for.
    pub(crate) const fn is_good(self) -> bool {
        matches!(self, Self::Reachable | Self::Impaired)
    }

    /// Whether it is known to be of none: a reason to leave it.
    pub(crate) const fn is_bad(self) -> bool {
        matches!(self, Self::CutOff | Self::Isolated)
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Reachable => "reachable",
            Self::Impaired => "impaired",
            Self::Unknown => "unknown",
            Self::CutOff => "cut off",
            Self::Isolated => "isolated",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// What a target in a region is good for: seen from here, and from there if anybody there could be asked.
pub(crate) fn standing(region: &str, here: &View, there: Option<&View>) -> Standing {
    let from_here = match here.reach(region) {
        Some(Reach::Isolated) => return Standing::Isolated,
        Some(Reach::Reachable) => Standing::Reachable,
        Some(Reach::Impaired) => Standing::Impaired,
        // Where we are cut off ourselves, nothing can be said of anybody.
        Some(Reach::Unknown | Reach::SelfIsolated) | None => Standing::Unknown,
    };
    match there {
        Some(there) if is_cut_off(here, there) => Standing::CutOff,
        _ => from_here,
    }
}

/// Whether the region of `there` is cut off: it says so itself, or it has lost more than half of the regions that
/// witness it. One of which it knows nothing is not lost.
///
/// A region that is not reached from here either is no witness: its own outage must not be laid upon the target. Nor is
/// our region, of which we know more by ourselves, unless there is no other.
fn is_cut_off(here: &View, there: &View) -> bool {
    let is_lost = |seen: &&Seen| matches!(seen.reach, Reach::Isolated | Reach::SelfIsolated);
    let is_witness = |seen: &&Seen| {
        let name = seen.name.as_str();
        name != there.region && name != here.region && here.reach(name) != Some(Reach::Isolated)
    };
    let witnesses = || there.regions.iter().filter(is_witness);
    let (all, lost) = (witnesses().count(), witnesses().filter(is_lost).count());
    there.isolated_since.is_some()
        || match all {
            0 => matches!(there.reach(&here.region), Some(Reach::Isolated | Reach::SelfIsolated)),
            _ => 2 * lost > all,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(region: &str, isolated: bool, regions: &str) -> View {
        let seen = |text: &str| {
            let (name, reach) = text.split_once('=').unwrap();
            let reach = serde_json::from_value(reach.into()).unwrap();
            Seen { name: name.to_owned(), reach }
        };
        View {
            node: format!("{region}1"),
            region: region.to_owned(),
            isolated_since: isolated.then_some(1.0),
            regions: regions.split_whitespace().map(seen).collect(),
        }
    }

    /// From `us` to a target in `t`, without anybody to ask there.
    #[test]
    fn from_here() {
        for (regions, expected) in [
            ("t=reachable", Standing::Reachable),
            ("t=impaired", Standing::Impaired),
            ("t=unknown", Standing::Unknown),
            ("t=self_isolated", Standing::Unknown),
            ("a=isolated", Standing::Unknown),
            ("t=isolated a=reachable", Standing::Isolated),
        ] {
            assert_eq!(standing("t", &view("us", false, regions), None), expected, "{regions}");
        }
        // Nobody probes the way to oneself.
        let own = view("us", false, "a=isolated");
        assert_eq!(standing("us", &own, None), Standing::Reachable);
    }

    #[test]
    fn from_there() {
        use Standing::{CutOff, Isolated, Reachable, Unknown};
        let well = "t=reachable a=reachable b=reachable";
        for (here, there, says_so, expected) in [
            (well, "us=reachable a=reachable b=reachable", false, Reachable),
            // A controller that still answers us, and nobody else.
            (well, "us=reachable a=isolated b=isolated", false, CutOff),
            (well, "us=reachable a=self_isolated b=self_isolated", false, CutOff),
            (well, "us=reachable a=reachable b=reachable", true, CutOff),
            // Half is not more than half, and unknown is not lost.
            (well, "us=reachable a=isolated b=reachable", false, Reachable),
            (well, "us=reachable a=isolated b=unknown", false, Reachable),
            // What is not reached from here either is not the target's fault.
            ("t=reachable a=isolated", "us=reachable a=isolated", false, Reachable),
            ("t=reachable a=isolated b=reachable", "a=isolated b=isolated", false, CutOff),
            // Only we are there to tell.
            ("t=reachable", "us=isolated", false, CutOff),
            ("t=reachable", "us=reachable", false, Reachable),
            ("t=reachable", "", false, Reachable),
            // We are not a witness where there are others.
            (well, "us=isolated a=isolated b=reachable", false, Reachable),
            (well, "us=reachable a=isolated", false, CutOff),
            // What it says counts even while nothing is known from here, but what is known from here comes first.
            ("t=unknown", "us=reachable a=isolated b=isolated", false, CutOff),
            ("t=unknown", "us=reachable a=reachable b=reachable", false, Unknown),
            ("t=isolated a=reachable", "us=reachable a=reachable b=reachable", false, Isolated),
        ] {
            let (from_here, from_there) = (view("us", false, here), view("t", says_so, there));
            let found = standing("t", &from_here, Some(&from_there));
            assert_eq!(found, expected, "here {here}; there {there}, {says_so}");
        }
    }

    #[test]
    fn documents_of_other_versions_are_read() {
        let text = r#"{"node": "a1", "region": "a", "new": [], "isolated_since": null,
            "regions": [{"name": "t", "reach": "impaired", "newer": {}}]}"#;
        let read: View = serde_json::from_str(text).unwrap();
        assert_eq!(read, view("a", false, "t=impaired"));
    }
}
