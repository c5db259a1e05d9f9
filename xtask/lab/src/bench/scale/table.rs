//! Figures by the number of paths.

use figures::{Axis, Cell, Part, Plot, Samples, Series, Table, Target, Unit};

use super::{
    JUDGED, Size, exponent,
    run::Run,
    scraped::{Late, Scraped},
};

/// Largest exponent of CPU time and memory.
const EXPONENT: f64 = 1.05;

/// Memory at the larger number that is judged, in octets.
const MEMORY: f64 = 256.0 * 1_048_576.0;

/// Time in seconds and octets of a scrape at the smaller number that is judged.
const SCRAPE: (f64, f64) = (0.020, 2.0 * 1_048_576.0);

/// A figure of a run.
struct Row {
    name: &'static str,
    unit: Unit,
    figure: fn(&Run) -> f64,
    /// Whether it has an exponent.
    grows: bool,
}

const CPU: Row = Row::new("CPU, agent and reflector", Unit::Share, Run::cpu_of, true);
const ALL_MEMORY: Row = Row::new("memory, all", Unit::Octets, Run::memory_of, true);
const METRICS: Row = Row::new("/metrics, time", Unit::Seconds, |run| run.metrics.seconds, true);
const PATHS: Row = Row::new("/api/v1/paths, time", Unit::Seconds, |run| run.paths.seconds, true);

const ROWS: [Row; 14] = [
    Row::new("CPU, agent", Unit::Share, |run| run.agent_cpu, true),
    Row::new("CPU, reflector", Unit::Share, |run| run.reflector_cpu, false),
    CPU,
    Row::new("memory, agent", Unit::Octets, |run| run.agent_memory, true),
    Row::new("memory, reflector", Unit::Octets, |run| run.reflector_memory, true),
    Row::new("memory, BPF maps", Unit::Octets, |run| run.maps, true),
    ALL_MEMORY,
    Row::new("first verdict", Unit::Seconds, |run| run.first_verdict, false),
    Row::new("last verdict", Unit::Seconds, |run| run.last_verdict, false),
    Row::new("lateness of the judging thread, p99", Unit::Seconds, |run| run.lateness, false),
    METRICS,
    Row::new("/metrics, size", Unit::Octets, |run| run.metrics.octets, true),
    PATHS,
    Row::new("/api/v1/paths, size", Unit::Octets, |run| run.paths.octets, true),
];

/// All of it as a part.
pub(super) fn part(sizes: &[Size], quick: bool) -> Part {
    let mut targets = targets(sizes);
    for target in &mut targets {
        target.met = target.met.filter(|_| !quick);
    }
    Part {
        name: "scale".to_owned(),
        title: "What more paths cost".to_owned(),
        method: method(),
        tables: vec![figures(sizes), per_path(sizes), scraped(sizes)],
        plots: vec![
            plot("CPU", sizes, &[&ROWS[0], &ROWS[1], &CPU]),
            plot("memory", sizes, &[&ROWS[3], &ROWS[4], &ROWS[5], &ALL_MEMORY]),
            plot("time of a document", sizes, &[&METRICS, &PATHS]),
        ],
        targets,
        ..Part::default()
    }
}

impl Row {
    const fn new(name: &'static str, unit: Unit, figure: fn(&Run) -> f64, grows: bool) -> Self {
        Self { name, unit, figure, grows }
    }

    fn samples(&self, size: &Size) -> Samples {
        Samples::new(self.unit, size.runs.iter().map(self.figure).collect())
    }

    /// Its exponent in each round, over all numbers of paths.
    fn fit(&self, sizes: &[Size]) -> Samples {
        let point = |size: &Size, round: usize| {
            Some((size.paths as f64, (self.figure)(size.runs.get(round)?)))
        };
        let fit = |round| {
            let points: Option<Vec<_>> = sizes.iter().map(|size| point(size, round)).collect();
            exponent::fit(&points?)
        };
        Samples::new(Unit::Number, (0..).map_while(fit).collect())
    }

    /// Its exponent in each round, between the two numbers that are judged.
    fn between(&self, sizes: &[Size]) -> Samples {
        let [Some(small), Some(large)] = JUDGED.map(|paths| find(sizes, paths)) else {
            return Samples::new(Unit::Number, Vec::new());
        };
        let rounds = small.runs.iter().zip(&large.runs).map(|(one, other)| {
            let point = |size: &Size, run| (size.paths as f64, (self.figure)(run));
            exponent::between(point(small, one), point(large, other))
        });
        Samples::new(Unit::Number, rounds.collect())
    }
}

impl Run {
    fn cpu_of(run: &Self) -> f64 {
        run.cpu()
    }

    fn memory_of(run: &Self) -> f64 {
        run.memory()
    }
}

fn find(sizes: &[Size], paths: usize) -> Option<&Size> {
    sizes.iter().find(|size| size.paths == paths)
}

fn heads<'s>(sizes: impl Iterator<Item = &'s Size>) -> Vec<String> {
    let heads = sizes.map(|size| format!("{} paths", Unit::Number.show(size.paths as f64)));
    ["what".to_owned()].into_iter().chain(heads).collect()
}

fn figures(sizes: &[Size]) -> Table {
    let mut columns = heads(sizes.iter());
    columns.extend(["exponent, all".to_owned(), "from 1,000 to 10,000".to_owned()]);
    let row = |row: &Row| {
        let mut cells: Vec<Cell> = vec![row.name.into()];
        cells.extend(sizes.iter().map(|size| Cell::from(row.samples(size))));
        let exponents = [row.fit(sizes), row.between(sizes)];
        cells.extend(exponents.map(|samples| if row.grows { samples.into() } else { "".into() }));
        cells
    };
    Table { title: String::new(), columns, rows: ROWS.iter().map(row).collect() }
}

/// The same divided by the number of paths.
fn per_path(sizes: &[Size]) -> Table {
    let row = |name: &str, unit: Unit, figure: fn(&Run) -> f64| {
        let cell = |size: &Size| {
            let values = size.runs.iter().map(|run| figure(run) / size.paths as f64).collect();
            Cell::from(Samples::new(unit, values))
        };
        [name.into()].into_iter().chain(sizes.iter().map(cell)).collect()
    };
    Table {
        title: "For each path".to_owned(),
        columns: heads(sizes.iter()),
        rows: vec![
            row("CPU time in a second", Unit::Seconds, Run::cpu),
            row("memory", Unit::Octets, Run::memory),
            row("/metrics, time", Unit::Seconds, |run| run.metrics.seconds),
            row("/api/v1/paths, time", Unit::Seconds, |run| run.paths.seconds),
        ],
    }
}

fn scraped(sizes: &[Size]) -> Table {
    let measured = || sizes.iter().filter(|size| !size.scraped.is_empty());
    let row = |name: &str, side: fn(&Scraped) -> Late| {
        let cell = |size: &Size| {
            let values = size.scraped.iter().map(|scraped| side(scraped).seconds).collect();
            Cell::from(Samples::new(Unit::Seconds, values))
        };
        [name.into()].into_iter().chain(measured().map(cell)).collect()
    };
    Table {
        title: "Lateness of the judging thread, p99".to_owned(),
        columns: heads(measured()),
        rows: vec![
            row("not scraped", |scraped| scraped.without),
            row("scraped every second", |scraped| scraped.with),
        ],
    }
}

fn targets(sizes: &[Size]) -> Vec<Target> {
    let mut targets = Vec::new();
    if let Some(large) = find(sizes, JUDGED[1]) {
        for (name, row) in [("CPU time", CPU), ("memory", ALL_MEMORY)] {
            let samples = row.between(sizes);
            let met = samples.median().is_some_and(|exponent| exponent <= EXPONENT);
            let what = format!("exponent of {name} from 1,000 to 10,000 paths, at most {EXPONENT}");
            targets.push(Target::new(what, samples.show(), met));
        }
        let memory = ALL_MEMORY.samples(large);
        let met = memory.median().is_some_and(|memory| memory < MEMORY);
        let what = format!("memory at 10,000 paths under {}", Unit::Octets.show(MEMORY));
        targets.push(Target::new(what, memory.show(), met));
    }
    if let Some(small) = find(sizes, JUDGED[0]) {
        let time = METRICS.samples(small);
        let octets =
            Samples::new(Unit::Octets, small.runs.iter().map(|run| run.metrics.octets).collect());
        let under = |samples: &Samples, limit| samples.median().is_some_and(|value| value < limit);
        targets.push(Target::new(
            format!(
                "a scrape at 1,000 paths under {} and {}",
                Unit::Seconds.show(SCRAPE.0),
                Unit::Octets.show(SCRAPE.1)
            ),
            format!("{}, {}", time.show(), octets.show()),
            under(&time, SCRAPE.0) && under(&octets, SCRAPE.1),
        ));
    }
    targets.extend(sizes.iter().filter(|size| !size.scraped.is_empty()).map(undisturbed));
    targets
}

/// The median of the rounds must not be more than one bucket later with scrapes than without.
fn undisturbed(size: &Size) -> Target {
    let median = |side: fn(&Scraped) -> usize| {
        let buckets = size.scraped.iter().map(|scraped| side(scraped) as f64).collect();
        Samples::new(Unit::Number, buckets).median().unwrap_or(f64::INFINITY)
    };
    let later = median(|scraped| scraped.with.bucket) - median(|scraped| scraped.without.bucket);
    Target::new(
        format!(
            "lateness p99 at {} paths, scraped every second, at most one bucket later than not scraped",
            Unit::Number.show(size.paths as f64)
        ),
        format!("{} later, in the medians of the rounds", Unit::Number.show(later)),
        later <= 1.0,
    )
}

fn plot(title: &str, sizes: &[Size], rows: &[&Row]) -> Plot {
    let series = rows.iter().map(|row| {
        let point = |size: &Size| Some((size.paths as f64, row.samples(size).median()?));
        Series { name: row.name.to_owned(), points: sizes.iter().filter_map(point).collect() }
    });
    let unit = rows.first().map_or(Unit::Number, |row| row.unit);
    let axis = |label: &str, unit| Axis { label: label.to_owned(), unit, logarithmic: true };
    Plot {
        title: format!("{title} by the number of paths"),
        x: axis("paths", Unit::Number),
        y: axis(title, unit),
        series: series.collect(),
    }
}

fn method() -> Vec<String> {
    vec![
        "One agent with so many peers, one flow and ten probes a second each, and one reflector with as many \
         addresses, in two network namespaces joined by a veth. CPU is the share of one core that the processes have \
         used, system calls and BPF programs among it; the veth delivers within the agent's system calls, so what \
         the reflector's programs do is in the agent's share. Memory is the processes' share of the pages that they \
         have mapped (PSS), and all BPF maps of both, after two scrapes."
            .to_owned(),
        "Verdicts count from the start of the agent's process: the first one of any path, and the last first one of \
         any direction of a path. Documents are asked for ten times by a plain HTTP client on the same host, one at \
         a time; the median of the times from connecting to the last octet counts."
            .to_owned(),
        "Lateness is how long after it was due each round of the judging thread began, by the agent's own histogram; \
         a figure is the upper bound of the bucket in which the 99th percentile lies. Both ends of a span are \
         scrapes, also where it is not scraped. Exponents are those of each round."
            .to_owned(),
    ]
}
