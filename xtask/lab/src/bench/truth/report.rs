//! The figures as a part of the benchmark.

use std::iter;

use figures::{Axis, Cell, Part, Plot, Samples, Series, Table, Target, Unit};

use super::{
    INTERVAL, Load, Run,
    contender::{ALL, Contender, P50, P99},
    link::Bed,
    load::Cpu,
};

/// Our error, as a share of the best userspace tool's, is at most this.
const LIMIT: f64 = 1.0 / 20.0;

/// A host that is busier than this is not idle: no tool here takes as much.
const MOST_BUSY: f64 = 0.3;

/// All that was found.
pub(super) fn part(runs: &[Run], bed: &Bed, versions: Vec<String>, is_quick: bool) -> Part {
    Part {
        name: "truth".to_owned(),
        title: "What a busy host does to the figures".to_owned(),
        method: method(runs, bed),
        tables: vec![table(runs)],
        plots: vec![plot(runs, bed.probes)],
        targets: targets(runs, is_quick),
        notes: notes(runs),
        versions,
    }
}

fn method(runs: &[Run], bed: &Bed) -> Vec<String> {
    let rounds = of(runs, Contender::Agent, Load::Idle).count();
    let plural = if rounds == 1 { "" } else { "s" };
    let (probes, interval) = (bed.probes, INTERVAL.as_millis());
    vec![
        format!(
            "One veth pair between two network namespaces, without a router, a delay or a loss. Its true round trip is the \
             kernel's own, and nothing tells it apart: so the whole round trip that a tool reports counts as its error, and \
             every loss that it reports is a false one. {rounds} round{plural}; in each, every tool sends {probes} probes, one \
             every {interval} ms, first on an idle host, then with a busy loop at normal priority for each core. They take \
             turns, each round with another one first. Figures: median of the rounds (lowest to highest)."
        ),
        "linkprobe run: two agents that probe one another; the last round trips of one of them, up to 256, as its API has \
         them, and the losses of both. linkprobe ping: with linkprobe reflect at the other end, both by XDP and TC, or both \
         by sockets, which shows what the host adds. fping: ICMP echo. The other end's kernel answers, and the time of \
         arrival is the kernel's; what is userspace's is the time of sending. irtt: client and server, in userspace at both ends, less the time that the \
         server says it has held a probe. stamp-suite: sender and reflector, in userspace at both ends; its round trips \
         include the time that the reflector has held a probe, and are taken as it tells them."
            .to_owned(),
    ]
}

/// The runs of one tool.
fn of(runs: &[Run], contender: Contender, load: Load) -> impl Iterator<Item = &Run> {
    runs.iter().filter(move |run| run.contender == contender && run.load == load)
}

/// A quantile of one tool, of each round.
fn quantiles(runs: &[Run], contender: Contender, load: Load, share: f64) -> Vec<f64> {
    of(runs, contender, load).filter_map(|run| run.outcome.quantile(share)).collect()
}

/// How many times one is as much as another, round by round.
fn ratios(ones: &[f64], others: &[f64]) -> Vec<f64> {
    iter::zip(ones, others).map(|(one, other)| one / other).collect()
}

fn table(runs: &[Run]) -> Table {
    let ours = quantiles(runs, Contender::Agent, Load::Loaded, P99);
    let row = |contender: Contender| {
        let seconds = |load, share| -> Cell {
            Samples::new(Unit::Seconds, quantiles(runs, contender, load, share)).into()
        };
        let loaded = quantiles(runs, contender, Load::Loaded, P99);
        vec![
            contender.to_string().into(),
            seconds(Load::Idle, P50),
            seconds(Load::Idle, P99),
            seconds(Load::Loaded, P50),
            seconds(Load::Loaded, P99),
            seconds(Load::Loaded, ALL),
            lost(runs, &[contender]).into(),
            Samples::new(Unit::Times, ratios(&loaded, &ours)).into(),
        ]
    };
    let columns = [
        "",
        "idle p50",
        "idle p99",
        "loaded p50",
        "loaded p99",
        "loaded max",
        "false loss",
        "loaded p99, times linkprobe run's",
    ];
    Table {
        title: "Error of the round trip".to_owned(),
        columns: columns.map(ToOwned::to_owned).to_vec(),
        rows: Contender::ALL.map(row).to_vec(),
    }
}

/// False losses of some tools in all of their runs, in words.
fn lost(runs: &[Run], of: &[Contender]) -> String {
    let (lost, sent) = losses(runs, of);
    format!("{lost} of {sent}")
}

fn losses(runs: &[Run], of: &[Contender]) -> (u64, u64) {
    let theirs = runs.iter().filter(|run| of.contains(&run.contender));
    theirs.fold((0, 0), |(lost, sent), run| (lost + run.outcome.lost, sent + run.outcome.sent))
}

/// Of each tool under load, how bad one probe in so many is.
fn plot(runs: &[Run], probes: u32) -> Plot {
    let axis = |label: &str, unit| Axis { label: label.to_owned(), unit, logarithmic: true };
    Plot {
        title: "Error of the round trip on a busy host, median of the rounds".to_owned(),
        x: axis("one probe in so many is at least as wrong", Unit::Number),
        y: axis("error", Unit::Seconds),
        series: Contender::ALL.map(|contender| curve(runs, contender, probes)).to_vec(),
    }
}

fn curve(runs: &[Run], contender: Contender, probes: u32) -> Series {
    let first = of(runs, contender, Load::Loaded).next();
    let shares = first.into_iter().flat_map(|run| &run.outcome.quantiles);
    let points = shares.filter_map(|(share, _)| {
        let seconds = quantiles(runs, contender, Load::Loaded, *share);
        // Of all of them, the worst is one in as many as there are.
        let one_in = (1.0 / (1.0 - share)).round().min(f64::from(probes));
        Some((one_in, Samples::new(Unit::Seconds, seconds).median()?))
    });
    Series { name: contender.to_string(), points: points.collect() }
}

/// Our p99 under load as a share of that of the best of some, round by round.
fn shares_of_best(runs: &[Run], peers: &[Contender]) -> Samples {
    let ours = quantiles(runs, Contender::Agent, Load::Loaded, P99);
    let of_peer = |peer: &Contender| quantiles(runs, *peer, Load::Loaded, P99);
    let theirs: Vec<Vec<f64>> = peers.iter().map(of_peer).collect();
    let best = |round: usize| theirs.iter().map(|of| of[round]).fold(f64::INFINITY, f64::min);
    let best: Vec<f64> = (0..ours.len()).map(best).collect();
    Samples::new(Unit::Times, ratios(&ours, &best))
}

fn targets(runs: &[Run], is_quick: bool) -> Vec<Target> {
    let shares = shares_of_best(runs, &Contender::PEERS);
    let is_small = shares.median().is_some_and(|median| median <= LIMIT);
    let is_none = losses(runs, &Contender::OURS).0 == 0;
    let what = "RTT error on a busy host, p99: at most 0.05 x that of the best userspace tool of the round";
    let mut targets = vec![
        Target::new(what, shares.show(), is_small),
        Target::new("false loss by XDP and TC: none", lost(runs, &Contender::OURS), is_none),
    ];
    if is_quick {
        targets[0].met = None;
    }
    targets
}

fn notes(runs: &[Run]) -> Vec<String> {
    let share = |load: Load, of: fn(Cpu) -> f64| {
        let values = runs.iter().filter(|run| run.load == load).map(|run| of(run.cpu)).collect();
        Samples::new(Unit::Share, values).show()
    };
    let processors = |load: Load| {
        let (busy, stolen) = (share(load, Cpu::busy), share(load, Cpu::stolen));
        format!("Of the processors' time, {load}: busy {busy}, stolen by the hypervisor {stolen}.")
    };
    let far = shares_of_best(runs, &Contender::BOTH_ENDS).show();
    let mut notes = vec![
        format!(
            "Against the better of irtt and stamp-suite, which are in userspace at both ends, p99 on a busy host is {far}."
        ),
        processors(Load::Idle),
        processors(Load::Loaded),
        "The curves of linkprobe and stamp-suite are straight between the quantiles that they tell."
            .to_owned(),
    ];
    if was_disturbed(runs) {
        notes.push(
            "The idle runs were not idle: something else kept the processors busy in half of them or more. No column is \
             that of an idle host then, and under load there was more than the busy loops."
                .to_owned(),
        );
    }
    notes
}

/// Whether the host had other things to do in half of the runs or more in which it was to be idle.
fn was_disturbed(runs: &[Run]) -> bool {
    let busy = runs.iter().filter(|run| run.load == Load::Idle).map(|run| run.cpu.busy()).collect();
    Samples::new(Unit::Share, busy).median().is_some_and(|median| median > MOST_BUSY)
}

#[cfg(test)]
mod tests {
    use super::{super::contender::Outcome, *};

    fn run(contender: Contender, load: Load, p99: f64, lost: u64) -> Run {
        let quantiles = vec![(P50, p99 / 2.0), (P99, p99), (ALL, 2.0 * p99)];
        let outcome = Outcome { sent: 100, lost, quantiles };
        Run { contender, load, outcome, cpu: Cpu::default() }
    }

    /// Two rounds, in which another peer is the best each time.
    fn runs(ours: f64, lost: u64) -> Vec<Run> {
        let mut runs = Vec::new();
        for (fping, irtt) in [(100.0, 400.0), (400.0, 200.0)] {
            for load in [Load::Idle, Load::Loaded] {
                runs.push(run(Contender::Agent, load, ours, lost));
                runs.push(run(Contender::Ping, load, ours, 0));
                runs.push(run(Contender::Socket, load, 1.0, 7));
                runs.push(run(Contender::Fping, load, fping, 3));
                runs.push(run(Contender::Irtt, load, irtt, 0));
                runs.push(run(Contender::StampSuite, load, 1_000.0, 0));
            }
        }
        runs
    }

    #[test]
    fn the_best_peer_of_each_round_sets_the_target_and_our_own_sockets_do_not() {
        assert_eq!(shares_of_best(&runs(6.0, 0), &Contender::PEERS).values, [0.06, 0.03]);
        let met = |ours, lost, is_quick| -> Vec<Option<bool>> {
            targets(&runs(ours, lost), is_quick).iter().map(|target| target.met).collect()
        };
        assert_eq!(met(6.0, 0, false), [Some(true), Some(true)]);
        assert_eq!(met(7.0, 0, false), [Some(false), Some(true)]);
        assert_eq!(met(6.0, 1, false), [Some(true), Some(false)]);
        assert_eq!(met(7.0, 0, true), [None, Some(true)]);
    }

    #[test]
    fn a_host_that_is_busy_in_the_idle_runs_is_told_of() {
        let mut runs = runs(6.0, 0);
        let told = |runs: &[Run]| notes(runs).iter().any(|note| note.contains("were not idle"));
        runs.iter_mut().for_each(|run| run.cpu = Cpu::of(100, 95));
        assert!(!told(&runs));
        runs.iter_mut()
            .filter(|run| run.load == Load::Loaded)
            .for_each(|run| run.cpu = Cpu::of(100, 0));
        assert!(!told(&runs));
        runs.iter_mut().for_each(|run| run.cpu = Cpu::of(100, 5));
        assert!(told(&runs));
    }

    #[test]
    fn a_table_has_a_row_for_each_and_a_curve_ends_at_the_worst() {
        let runs = runs(6.0, 0);
        let table = table(&runs);
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));
        assert_eq!(table.rows[3][6].show(), "12 of 400");
        let curve = curve(&runs, Contender::Agent, 256);
        assert_eq!(curve.points, [(2.0, 3.0), (100.0, 6.0), (256.0, 12.0)]);
    }
}
