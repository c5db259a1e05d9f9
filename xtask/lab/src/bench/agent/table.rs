//! All of those who probe, at all rates.

use std::{collections::BTreeMap, time::Duration};

use figures::{Axis, Cell, Part, Plot, Samples, Series, Table, Target, Unit};

use super::{
    COMPARED, PINNED,
    contender::Contender,
    run::{Own, REACHED, Run},
};
use crate::bench::reflector::ratios;

/// At most so many times what the best of the others takes.
const TARGET: f64 = 0.1;

/// How late the judging thread may be at the highest rate, in seconds: an interval.
const LATEST: f64 = 0.1;

/// A figure of a run, and what it is called.
type Figure = (&'static str, fn(&Run) -> f64);

/// What was measured so far, by who and rate.
#[derive(Default)]
pub(super) struct Figures {
    runs: BTreeMap<(Contender, usize), Vec<Run>>,
    failures: BTreeMap<(Contender, usize), String>,
}

impl Figures {
    pub(super) fn add(&mut self, contender: Contender, rate: usize, run: Run) {
        self.runs.entry((contender, rate)).or_default().push(run);
    }

    pub(super) fn fail(&mut self, contender: Contender, rate: usize, why: String) {
        self.failures.insert((contender, rate), why);
    }

    pub(super) fn has_failed(&self, contender: Contender, rate: usize) -> bool {
        self.failures.contains_key(&(contender, rate))
    }

    /// All of it as a part.
    pub(super) fn part(&self, quick: bool, rates: &[usize], window: Duration) -> Part {
        let cpu = |run: &Run| run.cpu;
        let memory = |run: &Run| run.memory;
        Part {
            name: "agent".to_owned(),
            title: "What a probe costs".to_owned(),
            method: method(window),
            tables: [
                Some(self.table("CPU time per probe", Unit::Seconds, rates, cpu)),
                Some(self.table("Memory", Unit::Octets, rates, memory)),
                self.pinned(),
            ]
            .into_iter()
            .flatten()
            .collect(),
            plots: vec![
                self.plot("CPU time per probe", Unit::Seconds, cpu),
                self.plot("Memory", Unit::Octets, memory),
            ],
            targets: self.targets(quick),
            notes: self.notes(rates),
            versions: Vec::new(),
        }
    }

    fn runs(&self, contender: Contender, rate: usize) -> &[Run] {
        self.runs.get(&(contender, rate)).map_or(&[], Vec::as_slice)
    }

    fn samples(
        &self,
        contender: Contender,
        rate: usize,
        unit: Unit,
        figure: impl Fn(&Run) -> f64,
    ) -> Samples {
        Samples::new(unit, self.runs(contender, rate).iter().map(figure).collect())
    }

    fn table(
        &self,
        title: &str,
        unit: Unit,
        rates: &[usize],
        figure: impl Fn(&Run) -> f64,
    ) -> Table {
        let heads = rates.iter().map(|rate| Unit::PerSecond.show(*rate as f64));
        let row = |contender: Contender| {
            let cells = rates.iter().map(|rate| self.cell(contender, *rate, unit, &figure));
            [contender.name().into()].into_iter().chain(cells).collect()
        };
        Table {
            title: title.to_owned(),
            columns: ["who".to_owned()].into_iter().chain(heads).collect(),
            rows: Contender::ALL.into_iter().map(row).collect(),
        }
    }

    /// A figure, or what was reached instead.
    fn cell(
        &self,
        contender: Contender,
        rate: usize,
        unit: Unit,
        figure: &impl Fn(&Run) -> f64,
    ) -> Cell {
        if let Some(why) = self.failures.get(&(contender, rate)) {
            return why.as_str().into();
        }
        let samples = self.samples(contender, rate, unit, figure);
        match self.shortfall(contender, rate) {
            Some(what) => format!("{}; {what}", samples.show()).into(),
            None => samples.into(),
        }
    }

    /// What it fell short of at a rate, if of anything.
    fn shortfall(&self, contender: Contender, rate: usize) -> Option<String> {
        let median = |figure: fn(&Run) -> f64| {
            self.samples(contender, rate, Unit::Number, figure).median().unwrap_or(0.0)
        };
        let (reached, answered) = (median(|run| run.rate), median(|run| run.answered));
        if reached < REACHED * rate as f64 {
            return Some(format!("reached {}", Unit::PerSecond.show(reached)));
        }
        (answered < REACHED).then(|| format!("{} answered", Unit::Share.show(answered)))
    }

    /// What our agent does with one core.
    fn pinned(&self) -> Option<Table> {
        let own = |figure: fn(&Own) -> f64, unit| {
            let values = self.owns().map(figure).collect();
            Cell::from(Samples::new(unit, values))
        };
        self.owns().next()?;
        let rate = self.samples(Contender::Ours, PINNED, Unit::PerSecond, |run| run.rate);
        let cores = self.samples(Contender::Ours, PINNED, Unit::Share, |run| run.cores);
        let rows = vec![
            vec!["probes sent".into(), rate.into()],
            vec!["of one core".into(), cores.into()],
            vec!["probes that were due and not sent".into(), own(|own| own.not_sent, Unit::Number)],
            vec!["probes lost".into(), own(|own| own.lost, Unit::Number)],
            vec![
                "lateness of the judging thread, p99".into(),
                own(|own| own.lateness, Unit::Seconds),
            ],
        ];
        Some(Table {
            title: format!("linkprobe on one core, {}", Unit::PerSecond.show(PINNED as f64)),
            columns: vec!["what".to_owned(), "measured".to_owned()],
            rows,
        })
    }

    fn owns(&self) -> impl Iterator<Item = &Own> {
        self.runs(Contender::Ours, PINNED).iter().filter_map(|run| run.own.as_ref())
    }

    /// Of those who have reached the rate of the comparison, the one that takes the least.
    fn best(&self) -> Option<Contender> {
        let median = |who: &Contender| {
            let cpu = self.samples(*who, COMPARED, Unit::Seconds, |run| run.cpu);
            cpu.median().unwrap_or(f64::INFINITY)
        };
        Contender::ALL
            .into_iter()
            .filter(|who| *who != Contender::Ours && !self.runs(*who, COMPARED).is_empty())
            .filter(|who| {
                self.shortfall(*who, COMPARED).is_none() && !self.has_failed(*who, COMPARED)
            })
            .min_by(|one, other| median(one).total_cmp(&median(other)))
    }

    fn targets(&self, quick: bool) -> Vec<Target> {
        let mut targets: Vec<_> =
            [self.compared(), self.on_one_core()].into_iter().flatten().collect();
        for target in &mut targets {
            target.met = target.met.filter(|_| !quick);
        }
        targets
    }

    fn compared(&self) -> Option<Target> {
        let ours = self.samples(Contender::Ours, COMPARED, Unit::Seconds, |run| run.cpu);
        ours.median()?;
        let what = format!(
            "CPU time per probe at {}, at most {TARGET} times that of the best of the others that reach it",
            Unit::PerSecond.show(COMPARED as f64)
        );
        let Some(best) = self.best() else {
            return Some(Target::new(what, "none of the others reaches it", true));
        };
        let theirs = self.samples(best, COMPARED, Unit::Seconds, |run| run.cpu);
        let ratio = ratios(&ours.values, &theirs.values);
        let met = ratio.median().is_some_and(|ratio| ratio <= TARGET);
        Some(Target::new(what, format!("{} of {}", ratio.show(), best.name()), met))
    }

    fn on_one_core(&self) -> Option<Target> {
        self.owns().next()?;
        let runs = self.runs(Contender::Ours, PINNED);
        let worst = |figure: fn(&Run) -> f64| runs.iter().map(figure).fold(0.0, f64::max);
        let own = |figure: fn(&Own) -> f64| self.owns().map(figure).fold(0.0, f64::max);
        let (not_sent, lost) = (own(|own| own.not_sent), own(|own| own.lost));
        let lateness = own(|own| own.lateness);
        let slowest = runs.iter().map(|run| run.rate).fold(f64::INFINITY, f64::min);
        let cores = worst(|run| run.cores);
        let met = slowest >= REACHED * PINNED as f64
            && (not_sent, lost) == (0.0, 0.0)
            && cores < 1.0
            && lateness <= LATEST;
        Some(Target::new(
            format!(
                "{} on one core: none lost and none left out, less than the core used, p99 of lateness at most {}",
                Unit::PerSecond.show(PINNED as f64),
                Unit::Seconds.show(LATEST)
            ),
            format!(
                "at worst {} sent, {lost} lost, {not_sent} left out, {} of the core, p99 at most {}",
                Unit::PerSecond.show(slowest),
                Unit::Share.show(cores),
                Unit::Seconds.show(lateness)
            ),
            met,
        ))
    }

    /// Who takes less than ours, and where: a line for each figure and rate.
    fn notes(&self, rates: &[usize]) -> Vec<String> {
        let cpu: Figure = ("CPU time", |run| run.cpu);
        let memory: Figure = ("memory", |run| run.memory);
        let each = rates.iter().flat_map(|rate| [(rate, cpu), (rate, memory)]);
        let note = |(rate, (name, figure)): (&usize, Figure)| {
            let median = |who| self.samples(who, *rate, Unit::Times, figure).median();
            let ours = median(Contender::Ours)?;
            let less = |who: Contender| {
                let theirs = median(who).filter(|theirs| *theirs < ours)?;
                let has_reached = self.shortfall(who, *rate).is_none();
                has_reached
                    .then(|| format!("{} ({} ours)", who.name(), Unit::Times.show(theirs / ours)))
            };
            let ahead: Vec<String> = Contender::ALL.into_iter().filter_map(less).collect();
            let rate = Unit::PerSecond.show(*rate as f64);
            (!ahead.is_empty())
                .then(|| format!("Less {name} than ours at {rate}: {}.", ahead.join(", ")))
        };
        each.filter_map(note).collect()
    }

    fn plot(&self, title: &str, unit: Unit, figure: impl Fn(&Run) -> f64) -> Plot {
        let series = Contender::ALL.into_iter().map(|contender| {
            let of = self.runs.iter().filter(|((who, _), _)| *who == contender);
            let point = |(&(who, rate), _): (&(Contender, usize), _)| {
                let reached = self.samples(who, rate, Unit::PerSecond, |run| run.rate).median()?;
                Some((reached, self.samples(who, rate, unit, &figure).median()?))
            };
            let mut points: Vec<_> = of.filter_map(point).collect();
            points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            Series { name: contender.name().to_owned(), points }
        });
        let axis = |label: &str, unit| Axis { label: label.to_owned(), unit, logarithmic: true };
        Plot {
            title: title.to_owned(),
            x: axis("probes sent in a second", Unit::PerSecond),
            y: axis(title, unit),
            series: series.filter(|series| !series.points.is_empty()).collect(),
        }
    }
}

fn method(window: Duration) -> Vec<String> {
    vec![
        format!(
            "Two network namespaces joined by a veth, with nothing between them. Each target is probed every 100 ms, \
             so 1,000/s are 100 targets; the targets are addresses of the far side. All contenders in turn, {} s \
             each once all targets have answered, in several rounds. At {} all processes are pinned to one core; \
             that others do not get there is measured once.",
            window.as_secs(),
            Unit::PerSecond.show(PINNED as f64)
        ),
        "CPU time is that of all processes of a contender, of both sides, user and system, by their CPU clocks: ours \
         is the agent with its verdicts and metrics, the reflector and the BPF programs of both. A veth delivers \
         within the system call that sends, so the network stack's work for request and answer is in it, for \
         everybody; what the kernel put off to ksoftirqd meanwhile is added. Not in it: interrupts that found the \
         host idle. Probes are the packets that the near interface has sent."
            .to_owned(),
        "Memory is the share of all pages mapped by the processes (PSS) and, of ours, all its BPF maps; what the \
         kernel keeps for sockets and routes is in nobody's."
            .to_owned(),
        "fping: `fping -q -C N -p 100 -i 0.01`, the cheapest way that was found; it has no reflector, the kernel \
         answers. As smokeping runs it: `fping -C N -q -B1 -r1 -i10 -p100`, its defaults with a hostinterval of 0.1 \
         s; a long run, although smokeping starts a process for every 20 probes. irtt: `irtt client -i 100ms -o \
         FILE` for each target, or one client that probes one target at the whole rate. stamp-suite: one sender with \
         a session for each target."
            .to_owned(),
    ]
}
