//! `lab bench send`: what it takes to send a probe, by `sendmmsg` and past the network stack as the agent does it,
//! and by AF_XDP.
//!
//! - [`stage`]: an interface whose other end drops everything, with our programs on it.
//! - [`contender`]: the ways to send.
//! - [`ring`]: a transmit ring of AF_XDP, and [`probes`]: whole packets for it.

mod contender;
mod probes;
mod ring;
mod stage;

use std::io::{Write as _, stderr};

use anyhow::{Context as _, Result};
use contender::Contender;
use figures::{Cell, Part, Samples, Table, Unit};
use stage::Stage;

use super::{Common, deliver};

/// What was measured, and how.
const METHOD: [&str; 2] = [
    "Test packets of 64 sessions to as many destinations, sent through a veth whose other end drops \
     them by the smallest XDP program there is; what that takes is in all figures. The agent's programs are \
     on it where nothing else is said. One thread sends, and runs before all others on its CPU, in \
     slices of 10 ms: its time is all that a packet takes, and packets per second are those that go \
     into a second of it. Contenders alternate; a ratio is that of two of the same round.",
    "`sendmmsg` is the agent's own sender: it makes messages of templates and destinations and sends \
     them, and the TC program numbers and stamps them. Straight to the driver is how the agent sends once \
     the network stack has shown the way: the XDP program makes the packets of headers that it has seen. AF_XDP (copy \
     mode, written for this bench) sends whole packets out of shared memory, with the headers of all \
     layers made beforehand; number, T1 and checksum it has to write itself, for these packets meet \
     no program: what part of them the kernel has numbered is in the last column. Zero-copy mode needs a \
     driver that this interface does not have.",
];

/// Measures, and prints what came out. The sender of the agent is part of this program; the agent itself is not run.
///
/// # Errors
/// Those of the lab and of the kernel.
pub(crate) fn run(options: &Common) -> Result<bool> {
    let part = measure(options.quick)?;
    deliver(&part, options.json.as_deref())?;
    Ok(true)
}

/// Measures all contenders in turn.
fn measure(quick: bool) -> Result<Part> {
    let (rounds, slices) = if quick { (5, 10) } else { (20, 30) };
    let contenders = Contender::all();
    let mut stage = Stage::set()?;
    let mut costs = vec![Vec::new(); contenders.len()];
    let mut numbered = vec![Vec::new(); contenders.len()];
    for round in 0..rounds {
        writeln!(stderr(), "send: round {} of {rounds}", round + 1)?;
        for turn in 0..contenders.len() {
            let who = (round + turn) % contenders.len();
            let result = contenders[who].measure(&mut stage, slices);
            let (cost, share) = result.with_context(|| contenders[who].label())?;
            costs[who].push(cost);
            numbered[who].push(share);
        }
    }
    let base = contenders.iter().position(|who| *who == Contender::AGENT).context("no agent")?;
    let row = |who: usize| -> Vec<Cell> {
        let rates = costs[who].iter().map(|cost| 1.0 / cost).collect();
        let ratios = costs[who].iter().zip(&costs[base]).map(|(cost, base)| cost / base).collect();
        vec![
            contenders[who].label().into(),
            Samples::new(Unit::Seconds, costs[who].clone()).into(),
            Samples::new(Unit::Times, ratios).into(),
            Samples::new(Unit::PerSecond, rates).into(),
            Samples::new(Unit::Share, numbered[who].clone()).into(),
        ]
    };
    let columns = [
        "how",
        "CPU per packet",
        "of sendmmsg, 64",
        "packets per second of CPU",
        "numbered in the kernel",
    ];
    let rows: Vec<_> = (0..contenders.len()).map(row).collect();
    Ok(Part {
        name: "send".to_owned(),
        title: "Sending: sendmmsg, straight to the driver, and AF_XDP".to_owned(),
        method: METHOD.map(str::to_owned).to_vec(),
        notes: notes(&rows),
        tables: vec![Table {
            title: "One probe on its way out of the host".to_owned(),
            columns: columns.map(str::to_owned).to_vec(),
            rows,
        }],
        ..Part::default()
    })
}

/// What the figures mean for the agent.
fn notes(rows: &[Vec<Cell>]) -> Vec<String> {
    let ratio = |who: Contender| {
        let label = who.label();
        let row = rows.iter().find(|row| row[0].show() == label);
        row.map_or_else(|| "-".to_owned(), |row| row[2].show())
    };
    vec![
        format!(
            "The agent sends straight to the driver what leaves together, and the rest by sendmmsg, of whose CPU it takes {} \
             with 64 packets at once, {} with eight, {} with one.",
            ratio(Contender::Driver(64)),
            ratio(Contender::Driver(8)),
            ratio(Contender::Driver(1)),
        ),
        format!(
            "AF_XDP takes {} with 64 packets at once, {} with one; but its packets meet no program and no route: the \
             agent would number and stamp them itself, so that one that stands still makes up round trips, and would have to \
             follow routes, neighbours and marks as the kernel does.",
            ratio(Contender::Ring(64)),
            ratio(Contender::Ring(1)),
        ),
        format!(
            "With one packet a system call, sendmmsg takes {}; with eight, {}.",
            ratio(Contender::Messages(1)),
            ratio(Contender::Messages(8)),
        ),
        format!(
            "Of sendmmsg with 64 packets, all but the programs is {}.",
            ratio(Contender::Unstamped(64))
        ),
    ]
}
