//! What must be, and what is stuck: from what was seen to what is wrong with it. Pure.

use lab::Way;
use probe_user::verdict::State;

use super::{
    burst::{OTHER, SICK},
    record::{Connection, History, NOBODY, Record, all_settled},
};

/// Seconds from the end of the burst within which all verdicts are healthy and all routes direct.
pub(super) const RECOVERY: f64 = 10.0;
/// Seconds from its beginning within which the load balancer has left the sick region.
pub(super) const BALANCER: f64 = 10.0;
/// Seconds from its beginning within which workers have left the sick region's controller.
pub(super) const WORKERS: f64 = 30.0;

/// Seconds for which a stream that has nothing to do with the sick region may stand still: such as where this host is busy.
pub(super) const PAST: f64 = 2.0;

/// Something that is to leave the sick region while that is cut off, and to come back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Round {
    /// When it left, in seconds since the beginning of the burst.
    pub(super) left: Option<f64>,
    /// When it came back for good, in seconds since the end of the burst; none where it did not, or never left.
    pub(super) back: Option<f64>,
}

impl Record {
    /// When all verdicts were healthy for good, in seconds since the end of the burst.
    pub(super) fn healthy(&self) -> Option<f64> {
        let settled = all_settled(&self.seen.verdicts, |state| *state == State::Healthy);
        settled.map(|at| (at - self.times.ended).max(0.0))
    }

    /// When all routes were direct for good, in seconds since the end of the burst.
    pub(super) fn direct(&self) -> Option<f64> {
        let settled = all_settled(&self.seen.routes, |way| *way == Way::Direct);
        settled.map(|at| (at - self.times.ended).max(0.0))
    }

    /// The routes over the link that failed first, there and back, and when each went by a relay, in seconds since then;
    /// none where it did not before there was no relay any more.
    pub(super) fn detours(&self) -> [(String, Option<f64>); 2] {
        let times = &self.times;
        [(OTHER, SICK), (SICK, OTHER)].map(|(from, to)| {
            let name = format!("{from} → {to}");
            let route = self.seen.routes.iter().find(|route| route.name == name);
            let is_relayed = |way: &Way| matches!(way, Way::Relay(_));
            let at = route.and_then(|route| route.first(times.begun, is_relayed));
            (name, at.filter(|at| *at <= times.cut).map(|at| at - times.begun))
        })
    }

    /// The load balancer's round.
    pub(super) fn balancer(&self) -> Round {
        self.round(&self.seen.balancer)
    }

    /// Each worker's round, in the order of the record.
    pub(super) fn workers(&self) -> impl Iterator<Item = (&str, Round)> {
        self.seen.workers.iter().map(|worker| (worker.name.as_str(), self.round(worker)))
    }

    fn round(&self, history: &History<String>) -> Round {
        let times = &self.times;
        let left = history.first(times.begun, |region| region == OTHER);
        let back = left.and_then(|_| history.settled(|region| region == SICK));
        Round { left: left.map(|at| at - times.begun), back: back.map(|at| at - times.ended) }
    }

    /// What was not as it must be: nothing, in the product.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (what, seconds, limit) in [
            ("all verdicts were healthy", self.healthy(), RECOVERY),
            ("all routes were direct", self.direct(), RECOVERY),
        ] {
            problems.extend(late(what, "the end", seconds, limit));
        }
        if self.seen.verdicts.iter().all(|verdict| verdict.changed(self.times.begun).is_none()) {
            problems.push("no verdict has changed: was there a burst?".to_owned());
        }
        for (name, led_around) in self.detours() {
            if led_around.is_none() {
                problems.push(format!("{name} went by no relay while only that link had failed"));
            }
        }
        let Round { left, back } = self.balancer();
        problems.extend(late(&format!("HAProxy left {SICK}"), "the beginning", left, BALANCER));
        if left.is_some() && back.is_none() {
            problems.push(format!("HAProxy has not come back to {SICK}"));
        }
        for (name, Round { left, back }) in self.workers() {
            let what = format!("the {name} left {SICK}");
            problems.extend(late(&what, "the beginning", left, WORKERS));
            if left.is_some() && back.is_none() {
                problems.push(format!("the {name} has not come back to {SICK}"));
            }
        }
        for Connection { name, stall, stall_at_first, .. } in
            self.connections.iter().filter(|connection| connection.is_past)
        {
            let stall = stall.max(*stall_at_first);
            if stall > PAST {
                let text = format!(
                    "the TCP stream {name} goes past {SICK}, and stood still for {stall:.1} s"
                );
                problems.push(text);
            }
        }
        problems.extend(self.broken());
        problems
    }

    /// What got lost on the way, which no defect is an excuse for.
    pub(super) fn broken(&self) -> Vec<String> {
        let broken = self.connections.iter().filter_map(|connection| {
            let why = connection.octets.as_ref().err()?;
            Some(format!("the TCP stream {}: {why}", connection.name))
        });
        let mut problems: Vec<String> = broken.collect();
        if self.undelivered > 0 {
            problems.push(format!("the lab itself lost {} packets", self.undelivered));
        }
        problems
    }

    /// What is not as before the burst: stuck, where the network has been in order for long.
    pub(super) fn stuck(&self) -> Vec<String> {
        let mut stuck = Vec::new();
        let sick =
            self.seen.verdicts.iter().filter(|verdict| verdict.now() != Some(&State::Healthy));
        let (count, all) = (sick.count(), self.seen.verdicts.len());
        if count > 0 {
            stuck.push(format!("{count} of {all} verdicts are not healthy"));
        }
        let detours = self.seen.routes.iter().filter(|route| route.now() != Some(&Way::Direct));
        let names: Vec<&str> = detours.map(|route| route.name.as_str()).collect();
        if !names.is_empty() {
            stuck.push(format!("not routed directly: {}", names.join(", ")));
        }
        let away = |now: Option<&String>| now.filter(|region| *region != SICK).cloned();
        match away(self.seen.balancer.now()) {
            Some(region) if region == NOBODY => {
                stuck.push("nobody answers through HAProxy".to_owned());
            }
            Some(region) => stuck.push(format!("HAProxy sends everybody to {region}")),
            None => {}
        }
        for worker in &self.seen.workers {
            if let Some(region) = away(worker.now()) {
                stuck.push(format!("the {} is still registered in {region}", worker.name));
            }
        }
        stuck
    }

    /// Whether all that the incident left behind is there: verdicts that do not heal, and nobody comes back by them.
    pub(super) fn is_stuck(&self) -> bool {
        let is_away = |round: Round| round.left.is_some() && round.back.is_none();
        self.healthy().is_none()
            && is_away(self.balancer())
            && self.workers().all(|(_, round)| is_away(round))
    }
}

/// What is wrong with when something happened.
fn late(what: &str, since: &str, seconds: Option<f64>, limit: f64) -> Option<String> {
    match seconds {
        Some(seconds) if seconds <= limit => None,
        Some(seconds) => Some(format!("{what} {seconds:.1} s after {since}, later than {limit} s")),
        None => Some(format!("not so at the end: {what}")),
    }
}

#[cfg(test)]
pub(super) mod tests;
