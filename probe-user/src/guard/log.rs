//! What of all that is seen and done is logged: what is new.

use std::collections::HashSet;

use super::{
    choice::{Look, Why},
    look::Agents,
    standing::{Standing, View},
    targets::{Target, Targets},
};

/// What was logged so far.
pub(super) struct Log {
    /// Of the targets, the last time.
    last: Look,
    /// What was said once and is true as long as the file stays as it is.
    said: HashSet<String>,
}

impl Log {
    /// Nothing was.
    pub(super) fn new() -> Self {
        Self { last: Look::Silent, said: HashSet::new() }
    }

    /// Logs what is new in what is seen of the targets.
    pub(super) fn look(&mut self, look: &Look, targets: &Targets) {
        if *look == self.last {
            return;
        }
        match look {
            // The agents are logged where they are asked.
            Look::Silent => {}
            Look::SelfIsolated => tracing::warn!("this node is cut off: nothing is moved"),
            Look::Standings(now) => {
                let before = match &self.last {
                    Look::Standings(before) if before.len() == now.len() => before.clone(),
                    _ => vec![Standing::Unknown; now.len()],
                };
                for ((target, from), to) in targets.list.iter().zip(before).zip(now) {
                    if from != *to {
                        let Target { name, region, .. } = target;
                        tracing::info!(target = name, region, %from, %to, "standing");
                    }
                }
            }
        }
        self.last = look.clone();
    }

    /// Says once what must be wrong in the file, by what the agent here and those at the targets say.
    pub(super) fn mistakes(&mut self, here: &View, agents: &Agents, targets: &Targets) {
        for Target { name, region, .. } in &targets.list {
            if here.reach(region).is_none() && self.said.insert(format!("region {region}")) {
                let node = &here.node;
                tracing::warn!(
                    target = name,
                    "{node} has no peer in {region}: nothing is known of it"
                );
            }
        }
        for target in &targets.list {
            let Target { name, region, .. } = target;
            if let Some(elsewhere) = agents.is_elsewhere(target)
                && self.said.insert(format!("agent {name}"))
            {
                tracing::warn!(
                    target = name,
                    "its agent is one of {elsewhere}, not of {region}: it is not believed"
                );
            }
        }
    }

    /// The file is another: other targets stand in the places of those that were logged.
    pub(super) fn forget(&mut self) {
        *self = Self::new();
    }
}

/// The command is to be started elsewhere.
pub(super) fn moving(from: Option<&Target>, to: &Target, why: Why) {
    let from = from.map(|target| target.name.as_str());
    tracing::warn!(from, to = to.name, %why, "moving");
}

/// The command was started. Where that is by no knowledge, or where it is of little use, somebody should know.
pub(super) fn start(target: &Target, why: Why, pid: i32) {
    let Target { name, region, address, .. } = target;
    match why {
        Why::Silent | Why::SelfIsolated | Why::LeastBad(_) => {
            tracing::warn!(target = name, region, address, pid, %why, "started");
        }
        _ => tracing::info!(target = name, region, address, pid, %why, "started"),
    }
}
