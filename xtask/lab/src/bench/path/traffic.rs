//! Ordinary traffic beside the programs.

use std::io::{Write as _, stderr};

use anyhow::{Context as _, Result};
use figures::{Cell, Part, Samples, Table, Target, Unit};
use lab::Lab;

use super::{Options, contender::Contender, load::Traffic};

/// How much of ordinary traffic's throughput must be left.
const LEFT: f64 = 0.98;

/// How it was measured.
const METHOD: [&str; 3] = [
    "Ordinary traffic between two sites through the WAN of the lab, one segment a packet as on a \
     wire. Contenders alternate; a ratio is that of two of the same round. Bare programs do nothing \
     but pass: what they take is the driver's and the hooks' own. linkprobe is an agent at each end \
     that probes the other.",
    "By the clock: a TCP stream of two threads with the congestion control of the host, as \
     applications have it. What else the host does shows in it.",
    "Per CPU: one thread holds both ends and runs before all others on its CPU, in slices of 10 ms. \
     What it sends, the kernel takes through both stacks and the WAN before the system call returns; \
     so its time is all that a packet takes, work in soft interrupts included, and throughput is how \
     many packets go into a second of it. The stream has Reno, which needs no timers.",
];

/// Seconds per packet, of one kind of traffic beside one contender: a value for each round.
type Costs = Vec<f64>;

/// Measures, and adds what came out.
pub(super) fn measure(options: &Options, part: &mut Part) -> Result<()> {
    let (rounds, slices) = if options.common.quick { (4, 10) } else { (20, 40) };
    let contenders = Contender::all(options);
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let mut costs = vec![[const { Costs::new() }; Traffic::ALL.len()]; contenders.len()];
    for round in 0..rounds {
        writeln!(stderr(), "path: ordinary traffic, round {} of {rounds}", round + 1)?;
        for turn in 0..contenders.len() {
            let who = (round + turn) % contenders.len();
            let label = contenders[who].label();
            let attached = contenders[who].attach(&lab, options).context(label)?;
            for (traffic, costs) in Traffic::ALL.iter().zip(&mut costs[who]) {
                costs.push(traffic.flow(&lab, slices).with_context(|| traffic.label())?);
            }
            attached.detach()?;
        }
    }
    part.method.extend(METHOD.map(str::to_owned));
    for (kind, traffic) in Traffic::ALL.iter().enumerate() {
        let costs: Vec<_> = costs.iter().map(|of_one| &of_one[kind]).collect();
        add(part, *traffic, &contenders, &costs);
    }
    Ok(())
}

/// Adds the table, the target and a note of one kind of traffic.
fn add(part: &mut Part, traffic: Traffic, contenders: &[Contender], costs: &[&Costs]) {
    let of = |who| contenders.iter().position(|one| *one == who).map(|at| costs[at]);
    let (nothing, bare) = (of(Contender::Nothing), of(Contender::Bare));
    let cell = |cost: &Costs, than: Option<&Costs>| -> Cell {
        than.map_or_else(|| "-".into(), |than| throughput(cost, than).into())
    };
    let row = |(who, cost): (&Contender, &&Costs)| -> Vec<Cell> {
        let time = Samples::new(Unit::Seconds, cost.to_vec());
        vec![who.label().into(), time.into(), cell(cost, nothing), cell(cost, bare)]
    };
    let columns = ["attached", traffic.measure(), "throughput, of nothing's", "of bare ones'"];
    part.tables.push(Table {
        title: format!("{}, with this attached at both ends", traffic.label()),
        columns: columns.map(str::to_owned).to_vec(),
        rows: contenders.iter().zip(costs).map(row).collect(),
    });
    let (Some(nothing), Some(bare), Some(ours)) = (nothing, bare, of(Contender::Ours)) else {
        return;
    };
    part.targets.push(target(traffic, &throughput(ours, nothing)));
    part.notes.push(format!(
        "{}: programs that only pass leave {} of the throughput, in native XDP on a veth; what ours do \
         besides leaves {} of that.",
        traffic.label(),
        throughput(bare, nothing).show(),
        throughput(ours, bare).show()
    ));
}

/// What has to be left, and whether it is; not judged where the rounds differ too much to tell.
fn target(traffic: Traffic, left: &Samples) -> Target {
    let what =
        format!("{}: at least {LEFT} of the throughput with nothing attached", traffic.label());
    let [low, high] = median_between(&left.values);
    let unit = left.unit;
    let measured =
        format!("{}, median between {} and {}", left.show(), unit.show(low), unit.show(high));
    let met = match (low >= LEFT, high >= LEFT) {
        (true, true) => Some(true),
        (false, false) => Some(false),
        _ => None,
    };
    Target { what, measured, met }
}

/// Between which values the true median lies, but for one case in twenty: each value is above it or below it like a
/// coin. Of less than six values, between the lowest and the highest, which says less.
fn median_between(values: &[f64]) -> [f64; 2] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    // The probability of one outcome of all coins, and that at most `rank` values are below.
    let outcome = 0.5_f64.powi(count as i32);
    let (mut rank, mut ways, mut below) = (0, 1.0, outcome);
    loop {
        ways *= count.saturating_sub(rank) as f64 / (rank + 1) as f64;
        below += ways * outcome;
        if below > 0.025 || rank >= count {
            break;
        }
        rank += 1;
    }
    let ends = [sorted.get(rank), sorted.get(count.saturating_sub(rank + 1))];
    ends.map(|end| end.copied().unwrap_or(f64::INFINITY))
}

/// Throughput at these costs as a multiple of that at others, round by round.
fn throughput(costs: &Costs, than: &Costs) -> Samples {
    let ratios = costs.iter().zip(than).map(|(cost, than)| than / cost).collect();
    Samples::new(Unit::Times, ratios)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_between_values_of_these_ranks() {
        let values = |count: u8| (1..=count).map(f64::from).rev().collect::<Vec<_>>();
        for (count, low, high) in [(1, 1, 1), (4, 1, 4), (6, 1, 6), (9, 2, 8), (20, 6, 15)] {
            let expected = [low, high].map(f64::from);
            assert_eq!(median_between(&values(count)), expected, "{count} values");
        }
        assert_eq!(median_between(&[]), [f64::INFINITY; 2]);
    }

    #[test]
    fn a_target_is_judged_where_the_rounds_agree() {
        let met =
            |values: &[f64]| target(Traffic::Udp, &Samples::new(Unit::Times, values.to_vec())).met;
        assert_eq!(met(&[0.99, 1.0, 1.01]), Some(true));
        assert_eq!(met(&[0.95, 0.96, 0.97]), Some(false));
        assert_eq!(met(&[0.7, 1.0, 1.4]), None);
    }
}
