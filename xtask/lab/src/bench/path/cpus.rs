//! Whether two CPUs that work at once get in one another's way.

use std::{
    io::{Write as _, stderr},
    sync::Barrier,
    thread,
};

use anyhow::{Result, anyhow};
use figures::{Cell, Part, Samples, Table, Unit};

use super::{
    super::cpu,
    Options,
    kinds::Kind,
    ours::Ours,
    runs::{Runs, Subject},
};

/// How it was measured.
const METHOD: &str = "Two CPUs at once: two threads that start together, each on a CPU of its own, run the program on \
    packets of one session (which a network card does not do: it gives a flow to one CPU), or of a \
    session and a source each; the same alone before. Where two CPUs of this machine share a core, \
    bare programs are slower together too.";

/// Who works beside the first CPU.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nobody,
    SameSession,
    OtherSession,
}

/// What is run.
const CASES: [(Kind, bool, &str); 4] = [
    (Kind::Request, false, "bare program, addresses swapped"),
    (Kind::Request, true, "request, reflected"),
    (Kind::Probe, true, "our probe, stamped"),
    (Kind::UdpIn, true, "UDP, passed"),
];

/// Measures, and adds what came out.
pub(super) fn measure(options: &Options, part: &mut Part) -> Result<()> {
    let cpus = thread::available_parallelism()?.get();
    if cpus < 2 {
        part.notes
            .push("This machine has one CPU: what two do at once was not measured.".to_owned());
        return Ok(());
    }
    let rounds = if options.common.quick { 5 } else { 20 };
    writeln!(stderr(), "path: two CPUs at once")?;
    let (ours, mut runs) = (Ours::load(None)?, Runs::load()?);
    let mut rows = Vec::new();
    for (kind, is_ours, label) in CASES {
        let subject = if is_ours { Subject::Ours(&ours) } else { Subject::Bare };
        let mut costs = [const { Vec::new() }; 3];
        for round in 0..=rounds {
            let all = [Beside::Nobody, Beside::SameSession, Beside::OtherSession];
            for (beside, costs) in all.iter().zip(&mut costs) {
                let time = together(&mut runs, kind, subject, *beside)?;
                // The first round warms up.
                costs.extend((round > 0).then_some(time));
            }
        }
        let [alone, same, other] = costs;
        let ratio = |of: &[f64]| -> Cell {
            let ratios = of.iter().zip(&alone).map(|(of, alone)| of / alone).collect();
            Samples::new(Unit::Times, ratios).into()
        };
        let (same, other) = (ratio(&same), ratio(&other));
        rows.push(vec![label.into(), Samples::new(Unit::Seconds, alone).into(), same, other]);
    }
    part.method.push(METHOD.to_owned());
    let columns = ["packet", "alone", "two CPUs, one session", "two CPUs, two sessions"];
    part.tables.push(Table {
        title: "Two CPUs at once, time per packet".to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    });
    Ok(())
}

/// Seconds per packet on the slower one of the CPUs.
fn together(runs: &mut Runs, kind: Kind, subject: Subject<'_>, beside: Beside) -> Result<f64> {
    let second = u16::from(beside == Beside::OtherSession);
    let frames = [kind.frame(0), kind.frame(second)];
    runs.prepare(kind, subject, &frames)?;
    let runs = &*runs;
    let cpus = if beside == Beside::Nobody { 1 } else { 2 };
    let start = Barrier::new(cpus);
    let run = |number: usize| -> Result<f64> {
        cpu::pin(number);
        cpu::give_way_to_nobody()?;
        start.wait();
        runs.run(kind, subject, &frames[number])
    };
    thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..cpus).map(|number| scope.spawn(move || run(number))).collect();
        threads.into_iter().try_fold(0.0, |slowest: f64, thread| {
            let time = thread.join().unwrap_or_else(|_| Err(anyhow!("a thread has panicked")))?;
            Ok(slowest.max(time))
        })
    })
}
