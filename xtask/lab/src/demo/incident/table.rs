//! The tables at the end. Pure.

use super::{
    super::table::aligned,
    burst::SICK,
    limits::{BALANCER, RECOVERY, WORKERS},
    record::{Record, first_change},
};

/// Both tables, with a line between them, and what is to be said of them.
pub(super) fn lines(record: &Record) -> Vec<String> {
    let mut lines = aligned(&moves(record));
    lines.push(String::new());
    lines.extend(aligned(&streams(record)));
    lines.push(String::new());
    let is_led_around = record.detours().iter().all(|(_, led_around)| led_around.is_some());
    let led_around = if is_led_around { ", and the overlay led around it" } else { "" };
    lines.push(format!(
        "At first only one link was lost{led_around}; then all were. TCP tries again after"
    ));
    lines.push("times that double, which comes on top of the burst.".to_owned());
    let requests = &record.seen.requests;
    lines.push(format!(
        "Through HAProxy: {} requests answered in full ({} octets), {} failed.",
        requests.answered, requests.octets, requests.failed
    ));
    lines
}

/// What moved, and when.
fn moves(record: &Record) -> Vec<[String; 5]> {
    let heads = ["what", "after the beginning", "after the end", "limit", "in the incident"];
    let mut table = vec![heads.map(str::to_owned)];
    // Each happens after the one or after the other.
    let begin = |what: String, at: Option<f64>, limit: Option<f64>, then: &str| {
        [what, seconds(at), String::new(), limit.map_or_else(String::new, whole), then.to_owned()]
    };
    let end = |what: String, at: Option<f64>, limit: Option<f64>, then: &str| {
        [what, String::new(), seconds(at), limit.map_or_else(String::new, whole), then.to_owned()]
    };
    let back = || "  and came back".to_owned();

    let (verdicts, routes, begun) =
        (&record.seen.verdicts, &record.seen.routes, record.times.begun);
    let first = first_change(verdicts, begun).map(|at| at - begun);
    table.push(begin("the first verdict changed".to_owned(), first, None, ""));
    let all = format!("all {} verdicts were healthy", verdicts.len());
    table.push(end(all, record.healthy(), Some(RECOVERY), "stuck, up to 2 h"));
    let first = first_change(routes, begun).map(|at| at - begun);
    table.push(begin("the first route moved".to_owned(), first, None, ""));
    let all = format!("all {} routes were direct", routes.len());
    table.push(end(all, record.direct(), Some(RECOVERY), "stuck, up to 2 h"));
    let round = record.balancer();
    table.push(begin(format!("HAProxy left {SICK}"), round.left, Some(BALANCER), "about 60 s"));
    table.push(end(back(), round.back, None, ""));
    for (name, round) in record.workers() {
        let what = format!("the {name} left {SICK}");
        table.push(begin(what, round.left, Some(WORKERS), "up to 2 h, by hand"));
        table.push(end(back(), round.back, None, ""));
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

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.2} s"))
}

fn whole(seconds: f64) -> String {
    format!("{seconds:.0} s")
}

#[cfg(test)]
mod tests {
    use super::{super::limits::tests::well, *};

    #[test]
    fn each_time_stands_below_what_it_is_counted_from() {
        let lines = lines(&well());
        let at = |text: &str| lines.iter().position(|line| line.starts_with(text)).unwrap_or(0);
        let heads = &lines[0];
        for (what, time, head) in [
            ("the first verdict changed", "0.40 s", "after the beginning"),
            ("all 2 verdicts were healthy", "2.00 s", "after the end"),
            ("HAProxy left nyc", "3.00 s", "after the beginning"),
            ("the worker in sin left nyc", "5.00 s", "after the beginning"),
        ] {
            let line = &lines[at(what)];
            assert!(line.contains(time), "{what}: {line}");
            assert_eq!(line.find(time), heads.find(head), "{what}: {line}");
        }
        let stream = lines[at("fra → nyc")].split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(stream, "fra → nyc 0.50 s 14.00 s 1000");
    }

    #[test]
    fn that_the_overlay_led_around_is_said_where_it_did() {
        let mut record = well();
        let says_so =
            |record: &Record| lines(record).iter().any(|line| line.contains("led around"));
        assert!(says_so(&record));
        record.seen.routes.pop();
        assert!(!says_so(&record));
    }

    #[test]
    fn what_has_not_happened_never_did() {
        let mut record = well();
        record.seen.balancer = super::super::record::History::new("HAProxy");
        let lines = lines(&record);
        let left = lines.iter().position(|line| line.starts_with("HAProxy left")).unwrap_or(0);
        assert!(lines[left].contains("never"), "{}", lines[left]);
        assert!(lines[left + 1].contains("never"), "{}", lines[left + 1]);
    }
}
