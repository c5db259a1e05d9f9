//! `linkprobe guard --dry-run`: what is seen of the targets, and which would be chosen.

use serde::Serialize;

use super::{
    choice::Choice,
    look::Agents,
    standing::{Standing, View},
    targets::{Target, Targets},
};
use crate::{
    report::ISOLATED,
    verdict::{Nanos, Reach},
};

/// What a dry run says.
#[derive(Debug, Serialize)]
pub(super) struct DryRun {
    agent: Here,
    targets: Vec<Row>,
    /// The name of the target that would be chosen.
    choice: String,
    why: String,
}

/// The agent of this host.
#[derive(Debug, Serialize)]
struct Here {
    url: String,
    node: Option<String>,
    region: Option<String>,
    isolated_since: Option<f64>,
    /// Why it says nothing, if it does not.
    problem: Option<String>,
}

/// A target.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    address: String,
    region: String,
    /// What its region is to the agent here; `null` where that does not probe it, or does not answer.
    here: Option<Reach>,
    /// What the agent there says of itself.
    there: String,
    standing: Standing,
    good: bool,
}

impl DryRun {
    /// Sums up what is known now.
    pub(super) fn new(
        url: &str,
        agents: &Agents,
        targets: &Targets,
        mut choice: Choice,
        now: Nanos,
    ) -> Self {
        let (look, at) = agents.look(url, targets, now);
        choice.observe(look, at);
        let (index, why) = choice.pick();
        let here = agents.here(url, now);
        let standings = match &here {
            Ok(here) => agents.standings(here, targets, now),
            Err(_) => vec![Standing::Unknown; targets.list.len()],
        };
        let rows = targets.list.iter().zip(standings).map(|(target, standing)| Row {
            name: target.name.clone(),
            address: target.address.clone(),
            region: target.region.clone(),
            here: here.ok().and_then(|here| here.reach(&target.region)),
            there: there(agents, target, now),
            standing,
            good: standing.is_good(),
        });
        let of = |read: fn(&View) -> String| here.ok().map(read);
        Self {
            agent: Here {
                url: url.to_owned(),
                node: of(|view| view.node.clone()),
                region: of(|view| view.region.clone()),
                isolated_since: here.ok().and_then(|view| view.isolated_since),
                problem: here.err().map(str::to_owned),
            },
            targets: rows.collect(),
            choice: targets.list[index].name.clone(),
            why: why.to_string(),
        }
    }

    /// Whether any target is known to be of use.
    pub(super) fn is_any_good(&self) -> bool {
        self.targets.iter().any(|row| row.good)
    }

    /// The same for people.
    pub(super) fn table(&self) -> String {
        let agent = &self.agent;
        let mut text = match (&agent.problem, &agent.node, &agent.region) {
            (None, Some(node), Some(region)) => format!("seen by {node} (region {region})\n"),
            (problem, ..) => {
                format!("nothing is seen from here: {}\n", problem.as_deref().unwrap_or_default())
            }
        };
        if agent.isolated_since.is_some() {
            text += &format!("{ISOLATED}\n");
        }
        let header = ["TARGET", "REGION", "ADDRESS", "FROM HERE", "STANDING", "FROM THERE"];
        let rows = self.targets.iter().map(|row| {
            let here = row.here.map_or("-", Reach::label).to_owned();
            let standing = row.standing.to_string();
            [
                row.name.clone(),
                row.region.clone(),
                row.address.clone(),
                here,
                standing,
                row.there.clone(),
            ]
        });
        let rows: Vec<_> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        for row in &rows {
            let cells = row.iter().enumerate();
            let line: String = cells
                .map(|(column, cell)| {
                    format!("{cell:<width$}  ", width = width(column).unwrap_or(0))
                })
                .collect();
            text += &format!("{}\n", line.trim_end());
        }
        text + &format!("would be started: {} ({})\n", self.choice, self.why)
    }
}

/// What the agent at a target says: of itself, and how many regions it reaches.
fn there(agents: &Agents, target: &Target, now: Nanos) -> String {
    if target.agent.is_none() {
        return "-".to_owned();
    }
    match agents.there(target, now) {
        Err(problem) => problem,
        Ok(view) if view.isolated_since.is_some() => "says that it is cut off".to_owned(),
        Ok(view) => {
            let reached = |reach| matches!(reach, Reach::Reachable | Reach::Impaired);
            let others = || view.regions.iter().filter(|seen| seen.name != view.region);
            let count = others().filter(|seen| reached(seen.reach)).count();
            format!("reaches {count} of {} regions", others().count())
        }
    }
}
