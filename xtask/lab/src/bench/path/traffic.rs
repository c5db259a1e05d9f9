//! Ordinary traffic beside the programs.

use std::io::{Write as _, stderr};

use anyhow::{Context as _, Result};
use figures::{Cell, Part, Samples, Table, Target, Unit};
use lab::Lab;

use super::{Options, contender::Contender, load::Traffic};

/// How much of ordinary traffic's throughput must be left.
const LEFT: f64 = 0.98;

/// How it was measured.
const METHOD: &str = "Ordinary traffic between two sites through the WAN of the lab, one segment a packet as on a wire. One \
    thread holds both ends and runs before all others on its CPU, in slices of 10 ms: what it sends, the kernel takes through \
    both stacks and the WAN before the system call returns, so that its time is all that a packet takes, work in soft \
    interrupts included, and throughput is how many packets go into a second of it. Contenders alternate; a ratio is that of \
    two of the same round. Bare programs do nothing but pass: what they take is the driver's and the hooks' own. linkprobe is \
    an agent at each end that probes the other. The stream is sent with Reno, which needs no timers.";

/// Seconds of CPU per packet, of one kind of traffic beside one contender: a value for each round.
type Costs = Vec<f64>;

/// Measures, and adds what came out.
pub(super) fn measure(options: &Options, part: &mut Part) -> Result<()> {
    let (rounds, slices) = if options.quick { (4, 10) } else { (20, 30) };
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
    part.method.push(METHOD.to_owned());
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
    let columns = ["attached", "CPU per packet", "throughput, of nothing's", "of bare ones'"];
    part.tables.push(Table {
        title: format!("{}, with this attached at both ends", traffic.label()),
        columns: columns.map(str::to_owned).to_vec(),
        rows: contenders.iter().zip(costs).map(row).collect(),
    });
    let (Some(nothing), Some(bare), Some(ours)) = (nothing, bare, of(Contender::Ours)) else {
        return;
    };
    let left = throughput(ours, nothing);
    let is_met = left.median().is_some_and(|left| left >= LEFT);
    let what =
        format!("{}: at least {LEFT} of the throughput with nothing attached", traffic.label());
    part.targets.push(Target::new(what, left.show(), is_met));
    part.notes.push(format!(
        "{}: programs that only pass leave {} of the throughput, in native XDP on a veth; what ours do besides leaves {} of \
         that.",
        traffic.label(),
        throughput(bare, nothing).show(),
        throughput(ours, bare).show()
    ));
}

/// Throughput at these costs as a multiple of that at others, round by round.
fn throughput(costs: &Costs, than: &Costs) -> Samples {
    let ratios = costs.iter().zip(than).map(|(cost, than)| than / cost).collect();
    Samples::new(Unit::Times, ratios)
}
