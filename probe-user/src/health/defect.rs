//! Defects that can be put into the engine and the accounts, as negative controls: a simulator that does not find them
//! is worth nothing. Only the feature `simulation` has them; without it all of this is nothing at compile time.

/// One defect. The first two are those of the incident, each so bad that it needs no other. [`Defect::Revalidation`] and
/// [`Defect::Pinning`] are the same as they were: either alone heals, both together do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Defect {
    /// Probe validation: after a gap of more than 16 probes every answer is refused, for its number is out of
    /// the window.
    Validation = 1 << 0,
    /// Freshness: what was unhealthy when its evidence grew old stays so, and new evidence is not looked at.
    Freshness = 1 << 1,
    /// Statistics of the path have no upper limit, and an alarm holds until they have leaked away.
    Unclamped = 1 << 2,
    /// The damping has no cap.
    EndlessDamping = 1 << 3,
    /// There is no damping.
    NoDamping = 1 << 4,
    /// Old evidence does not expire.
    NoExpiry = 1 << 5,
    /// Old evidence makes a verdict unhealthy.
    StaleIsUnhealthy = 1 << 6,
    /// Any loss counts for both directions.
    NoDirection = 1 << 7,
    /// Losses that are taken back remain losses.
    NeverTakenBack = 1 << 8,
    /// A single pass is recovery.
    HastyRecovery = 1 << 9,
    /// A restart of the reflector's numbers is refused.
    NoReflectorRestart = 1 << 10,
    /// A first look is enough: a path is healthy before anything was measured.
    BornHealthy = 1 << 11,
    /// Round trips are less by whatever residence a reflector claims.
    CredulousRoundTrip = 1 << 12,
    /// Relapses are never forgotten.
    LongMemory = 1 << 13,
    /// The alarm of a path makes it degraded only.
    MildAlarm = 1 << 14,
    /// What is lost on the way back counts as passed there.
    BlindReverse = 1 << 15,
    /// Nine of ten losses are not looked at.
    Overlooking = 1 << 16,
    /// The tests of single flows raise no alarm.
    NoFlowTests = 1 << 17,
    /// One sick flow makes the path unhealthy.
    HarshFlows = 1 << 18,
    /// The test for round trips raises no alarm.
    NoLatency = 1 << 19,
    /// The node never holds itself for cut off.
    NeverIsolated = 1 << 20,
    /// The node always does.
    AlwaysIsolated = 1 << 21,
    /// Traffic that has left the direct way does not come back.
    NeverReturn = 1 << 22,
    /// The way back to the direct one waits as what is not urgent does.
    SlowReturn = 1 << 23,
    /// A path is not left because it is sick.
    StayUnhealthy = 1 << 24,
    /// A path is not left because nothing is known of it any more.
    FreshnessPinned = 1 << 25,
    /// Where no candidate is healthy, the route is taken out.
    FailClosed = 1 << 26,
    /// A new agent does not look for the routes of the last one.
    NoAdoption = 1 << 27,
    /// A new agent moves routes though nothing is known yet.
    HastyStart = 1 << 28,
    /// A relay forwards as it has chosen for itself.
    TransitByChoice = 1 << 29,
    /// Where none is healthy, the route goes wherever less seems to be lost, at once.
    HastyLeastBad = 1 << 30,
    /// Candidates count of which nothing was heard lately.
    Unheard = 1 << 31,
    /// Probe validation: after a gap of more than 16 probes every answer is refused, until the way there has become unknown
    /// and so the path begins anew.
    Revalidation = 1 << 32,
    /// Freshness: what falls silent or grows old is pinned to unhealthy, instead of unknown, until probes pass again.
    Pinning = 1 << 33,
    /// A relay is used as soon as it is healthy.
    Immature = 1 << 34,
    /// Where a relay's direct route is gone, nothing beneath it keeps transit from going as the relay has chosen for itself.
    NothingBeneath = 1 << 35,
    /// A relay is kept though it is sick.
    SickRelay = 1 << 36,
    /// Any shorter round trip is worth a change, at any time.
    AnyGain = 1 << 37,
}

/// A set of defects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defects(#[cfg(feature = "simulation")] u64);

impl Defects {
    /// What the product has.
    #[cfg(not(feature = "simulation"))]
    pub const NONE: Self = Self();
    /// What the product has.
    #[cfg(feature = "simulation")]
    pub const NONE: Self = Self(0);

    /// Adds one.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub const fn with(self, defect: Defect) -> Self {
        Self(self.0 | defect as u64)
    }

    /// Whether it is there.
    #[inline]
    #[must_use]
    pub const fn has(self, defect: Defect) -> bool {
        #[cfg(feature = "simulation")]
        return self.0 & defect as u64 != 0;
        #[cfg(not(feature = "simulation"))]
        {
            let _ = defect;
            false
        }
    }
}
