//! What a hook is told.

use std::borrow::Cow;

use serde::Serialize;

use crate::verdict::Direction;

/// What can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What a region is to this node.
    Region,
    /// The verdict on one direction of a path.
    Path,
    /// Whether this node holds itself for cut off.
    Isolated,
    /// Which way the traffic to a gateway of the overlay goes.
    Route,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Region, Self::Path, Self::Isolated, Self::Route];

    /// The name in the config, and in what a hook is told.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Path => "path",
            Self::Isolated => "isolated",
            Self::Route => "route",
        }
    }
}

/// A change, as the document that a hook gets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What has changed.
    pub event: Kind,
    /// Name of the node that reports.
    pub node: String,
    /// When, in seconds since the Unix epoch.
    pub at: f64,
    /// The region, or that of the peer; `null` where the node itself is told of.
    pub region: Option<String>,
    /// Name of the peer, of a path or a route.
    pub peer: Option<String>,
    /// Of which direction, of a path.
    pub direction: Option<Direction>,
    /// What it was until then, or if changes are left out, what it was before the first of them. Of a route the relay, or
    /// `direct`.
    pub from: Cow<'static, str>,
    /// What it is now.
    pub to: Cow<'static, str>,
    /// Why, for people.
    pub why: String,
    /// So many changes of the same are left out between `from` and `to`: the hook was too slow for them, or failed.
    pub left_out: u64,
}

/// What a change is of. Of each, only the latest change is worth being told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject(Kind, Option<String>, Option<Direction>);

impl Change {
    pub(super) fn subject(&self) -> Subject {
        let name = match self.event {
            Kind::Region => &self.region,
            Kind::Path | Kind::Route => &self.peer,
            Kind::Isolated => &None,
        };
        Subject(self.event, name.clone(), self.direction)
    }

    /// The environment of a command that is told of it, besides the document.
    pub(super) fn environment(&self) -> [(&'static str, &str); 6] {
        [
            ("LINKPROBE_EVENT", self.event.label()),
            ("LINKPROBE_REGION", self.region.as_deref().unwrap_or_default()),
            ("LINKPROBE_PEER", self.peer.as_deref().unwrap_or_default()),
            ("LINKPROBE_DIRECTION", self.direction.map_or("", Direction::label)),
            ("LINKPROBE_FROM", &self.from),
            ("LINKPROBE_TO", &self.to),
        ]
    }
}
