//! The tables at the end. Pure.

use super::{
    super::table::aligned,
    limits::{BALANCER, RECOVERY, Round, WORKERS},
    record::{Record, first_change},
    topology::SICK,
};

/// Both tables, with a line between them, and what is to be said of them.
pub(super) fn lines(record: &Record) -> Vec<String> {
    let mut lines = aligned(&moves(record));
    lines.push(String::new());
    lines.extend(aligned(&streams(record)));
    let requests = &record.seen.requests;
    lines.push(String::new());
    lines.push(format!(
        "Through HAProxy: {} requests answered in full ({} octets), {} failed.",
        requests.answered, requests.octets, requests.failed
    ));
    lines
}

/// What moved, and when.
fn moves(record: &Record) -> Vec<[String; 5]> {
    let begun = |at: Option<f64>| at.map(|at| at - record.times.begun);
    let (verdicts, routes) = (&record.seen.verdicts, &record.seen.routes);
    let row = |what: &str, begin: Option<f64>, end: Option<f64>, limit: &str, then: &str| {
        [what.to_owned(), cell(begin), cell(end), limit.to_owned(), then.to_owned()]
    };
    // A gap in the column that does not apply, "never" in the one that does.
    let after_begin = |what: &str, seconds: Option<f64>, limit: &str, then: &str| {
        let mut row = row(what, seconds, None, limit, then);
        row[1] = seconds.map_or_else(|| "never".to_owned(), |_| row[1].clone());
        row
    };
    let after_end = |what: &str, seconds: Option<f64>, limit: &str, then: &str| {
        let mut row = row(what, None, seconds, limit, then);
        row[2] = seconds.map_or_else(|| "never".to_owned(), |_| row[2].clone());
        row
    };
    let limit = |seconds: f64| format!("{seconds:.0} s");
    let heads = ["what", "after the beginning", "after the end", "limit", "in the incident"];
    let mut table = vec![heads.map(str::to_owned)];
    table.push(after_begin(
        "the first verdict changed",
        begun(first_change(verdicts, record.times.begun)),
        "",
        "",
    ));
    let all = format!("all {} verdicts were healthy", verdicts.len());
    table.push(after_end(&all, record.healthy(), &limit(RECOVERY), "stuck, up to 2 h"));
    let first = begun(first_change(routes, record.times.begun));
    table.push(after_begin("the first route moved", first, "", ""));
    let all = format!("all {} routes were direct", routes.len());
    table.push(after_end(&all, record.direct(), &limit(RECOVERY), "stuck, up to 2 h"));
    let Round { left, back } = record.balancer();
    let what = format!("HAProxy left {SICK}");
    table.push(after_begin(&what, left, &limit(BALANCER), "about 60 s"));
    table.push(after_end("  and came back", back, "", ""));
    for (name, Round { left, back }) in record.workers() {
        let what = format!("the {name} left {SICK}");
        table.push(after_begin(&what, left, &limit(WORKERS), "up to 2 h, by hand"));
        table.push(after_end("  and came back", back, "", ""));
    }
    table
}

/// How the TCP streams fared.
fn streams(record: &Record) -> Vec<[String; 4]> {
    let heads = ["TCP stream", "stood still at first", "and then", "octets received as sent"];
    let mut table = vec![heads.map(str::to_owned)];
    table.extend(record.connections.iter().map(|connection| {
        let octets = match &connection.octets {
            Ok(octets) => octets.to_string(),
            Err(why) => why.clone(),
        };
        let [first, then] =
            [connection.stall_at_first, connection.stall].map(|stall| format!("{stall:.2} s"));
        [connection.name.clone(), first, then, octets]
    }));
    table
}

fn cell(seconds: Option<f64>) -> String {
    seconds.map_or_else(String::new, |seconds| format!("{seconds:.2} s"))
}
