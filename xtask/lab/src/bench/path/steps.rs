//! What the programs do about each kind of packet: time, look-ups, and instructions where they can be counted.

use std::io::{Write as _, stderr};

use anyhow::{Result, anyhow, ensure};
use figures::{Cell, Part, Samples, Table, Unit};

use super::{
    super::cpu,
    Options,
    instructions::Instructions,
    kinds::Kind,
    lookups::Lookups,
    ours::{Ours, PACKETS},
    runs::{Runs, Subject},
};

/// How it was measured.
const METHOD: &str = "The programs alone: BPF_PROG_TEST_RUN, 32,768 packets at a time on one thread that runs before \
    all others on its CPU; contenders alternate, and what is given is the thread's time. Requests \
    are put back each time, and replies get the next number, by a program in front; it is in front \
    of the bare program too. Bare programs swap the addresses of a request, and do nothing else. \
    Look-ups are calls of the kernel's functions for hash tables (__htab_map_lookup_elem), tries \
    (trie_lookup_elem) and changes (htab_map_update_elem), counted by programs at their entrance \
    (fentry); array elements are found by arithmetic within the program, without a call. \
    Instructions executed are those of the machine, from its own counter.";

/// What was measured of one kind of packet.
#[derive(Default)]
struct Costs {
    bare: Vec<f64>,
    ours: Vec<f64>,
    before: Vec<f64>,
    /// Per packet; none where the machine does not count.
    instructions: Option<f64>,
    instructions_before: Option<f64>,
    /// Look-ups and changes per packet, or why they were not counted.
    lookups: Option<Result<[f64; 3], String>>,
}

/// Measures, and adds what came out.
pub(super) fn measure(options: &Options, part: &mut Part) -> Result<()> {
    let rounds = if options.common.quick { 5 } else { 20 };
    writeln!(stderr(), "path: the programs alone")?;
    let before = options.before.as_deref();
    let load = || -> Result<_> {
        let before = before.map(|directory| Ours::load(Some(directory))).transpose()?;
        Ok((Ours::load(None)?, before))
    };
    let (mut ours, mut before) = load()?;
    sizes(part, &ours, before.as_ref())?;
    let work = || -> Result<Vec<Costs>> {
        cpu::pin(1);
        cpu::give_way_to_nobody()?;
        let mut runs = Runs::load()?;
        Kind::ALL
            .iter()
            .map(|kind| costs(&mut runs, *kind, rounds, &mut ours, before.as_mut()))
            .collect()
    };
    let costs = std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|_| Err(anyhow!("the thread has panicked")))?;
    part.method.push(METHOD.to_owned());
    if let Some(Some(Err(why))) = costs.first().map(|costs| &costs.lookups) {
        part.notes.push(format!("Look-ups were not counted: no program at their entrance: {why}."));
    }
    part.tables.push(table(&costs, options.before.is_some()));
    Ok(())
}

/// Measures one kind.
fn costs(
    runs: &mut Runs,
    kind: Kind,
    rounds: usize,
    ours: &mut Ours,
    mut before: Option<&mut Ours>,
) -> Result<Costs> {
    let frames = [kind.frame(0)];
    let mut costs = Costs::default();
    for round in 0..=rounds {
        let bare = run(runs, kind, None, &frames)?.0;
        let now = run(runs, kind, Some(ours), &frames)?;
        let old = before.as_mut().map(|old| run(runs, kind, Some(old), &frames)).transpose()?;
        // The first round warms up.
        if round > 0 {
            costs.bare.push(bare);
            costs.ours.push(now.0);
            costs.instructions = now.1;
            costs.before.extend(old.map(|old| old.0));
            costs.instructions_before = old.and_then(|old| old.1);
        }
    }
    costs.lookups =
        Some(lookups(runs, kind, ours, &frames).map_err(|error| error.root_cause().to_string()));
    Ok(costs)
}

/// Seconds and, where they are counted, instructions per packet, of ours or of the bare program. Sees to it that
/// ours has found all packets to be what they are.
fn run(
    runs: &mut Runs,
    kind: Kind,
    ours: Option<&mut Ours>,
    frames: &[Vec<u8>],
) -> Result<(f64, Option<f64>)> {
    let mut counter = Instructions::open();
    let Some(ours) = ours else {
        runs.prepare(kind, Subject::Bare, frames)?;
        return Ok((runs.run(kind, Subject::Bare, &frames[0])?, None));
    };
    if kind == Kind::Reply {
        ours.send_all()?;
    }
    runs.prepare(kind, Subject::Ours(ours), frames)?;
    let counted = ours.counted(kind)?;
    let before = counter.as_mut().map(Instructions::count).transpose()?;
    let time = runs.run(kind, Subject::Ours(ours), &frames[0])?;
    let after = counter.as_mut().map(Instructions::count).transpose()?;
    let counted = ours.counted(kind)? - counted;
    ensure!(counted == u64::from(PACKETS), "{}: {counted} of {PACKETS} packets", kind.label());
    let executed = before.zip(after);
    Ok((time, executed.map(|(before, after)| (after - before) as f64 / f64::from(PACKETS))))
}

/// Look-ups in hash tables and tries, and changes, per packet.
fn lookups(runs: &mut Runs, kind: Kind, ours: &mut Ours, frames: &[Vec<u8>]) -> Result<[f64; 3]> {
    if kind == Kind::Reply {
        ours.send_all()?;
    }
    runs.prepare(kind, Subject::Ours(ours), frames)?;
    let lookups = Lookups::count()?;
    let before = lookups.so_far()?.0;
    runs.run(kind, Subject::Ours(ours), &frames[0])?;
    let after = lookups.so_far()?.0;
    // Whatever else on this host looks into tables at system calls is a few look-ups of many thousands.
    let per_packet = |kind: usize| {
        let exactly = (after[kind] - before[kind]) as f64 / f64::from(PACKETS);
        (100.0 * exactly).round() / 100.0
    };
    Ok([per_packet(0), per_packet(1), per_packet(2)])
}

/// How large the programs are.
fn sizes(part: &mut Part, ours: &Ours, before: Option<&Ours>) -> Result<()> {
    let mut rows = Vec::new();
    for (whose, programs) in [("", Some(ours)), (", before", before)] {
        let Some(programs) = programs else { continue };
        for (name, info) in ["XDP", "TC"].iter().zip(programs.info()?) {
            let number = |value: Option<u32>| -> Cell {
                value.map_or_else(
                    || "the kernel does not say".into(),
                    |value| Samples::new(Unit::Number, vec![f64::from(value)]).into(),
                )
            };
            let code = Samples::new(Unit::Octets, vec![f64::from(info.size_jitted())]);
            rows.push(vec![
                format!("{name}{whose}").into(),
                number(info.size_translated().map(|octets| octets / 8)),
                code.into(),
                number(info.verified_instruction_count()),
            ]);
        }
    }
    let columns =
        ["program", "BPF instructions", "machine code", "instructions that the verifier followed"];
    part.tables.push(Table {
        title: "The programs in the kernel".to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    });
    Ok(())
}

fn table(costs: &[Costs], has_before: bool) -> Table {
    let mut columns = vec![
        "packet",
        "time",
        "of the bare program's",
        "hash look-ups",
        "trie look-ups",
        "changes",
        "instructions executed",
    ];
    if has_before {
        columns.extend(["time before", "time, of before", "instructions before"]);
    }
    let rows = Kind::ALL.iter().zip(costs).map(|(kind, costs)| row(*kind, costs, has_before));
    Table {
        title: "One packet before the programs".to_owned(),
        columns: columns.into_iter().map(str::to_owned).collect(),
        rows: rows.collect(),
    }
}

fn row(kind: Kind, costs: &Costs, has_before: bool) -> Vec<Cell> {
    let ratio = |of: &[f64], than: &[f64]| -> Cell {
        Samples::new(Unit::Times, of.iter().zip(than).map(|(of, than)| of / than).collect()).into()
    };
    let executed = |count: Option<f64>| -> Cell {
        count.map_or_else(
            || "no counter here".into(),
            |count| Samples::new(Unit::Number, vec![count]).into(),
        )
    };
    let mut row = vec![
        kind.label().into(),
        Samples::new(Unit::Seconds, costs.ours.clone()).into(),
        ratio(&costs.ours, &costs.bare),
    ];
    match &costs.lookups {
        Some(Ok(counts)) => {
            row.extend(counts.map(|count| Samples::new(Unit::Number, vec![count]).into()));
        }
        _ => row.extend([(); 3].map(|()| "not counted".into())),
    }
    row.push(executed(costs.instructions));
    if has_before {
        row.push(Samples::new(Unit::Seconds, costs.before.clone()).into());
        row.push(ratio(&costs.ours, &costs.before));
        row.push(executed(costs.instructions_before));
    }
    row
}
