//! Changes of verdicts as lines, for people and for machines.

use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::{
    client::units::percent,
    record::{header::LAST_UNIX, player::Change},
};

/// A time of day in milliseconds since the Unix epoch, as RFC 3339 writes it.
pub(super) fn time(unix: u64) -> String {
    let since = Duration::from_millis(unix.min(LAST_UNIX));
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).to_string()
}

/// Time, peer, direction, change, cause, and the probes that it rests on.
pub(super) fn line(change: &Change) -> String {
    let Change { unix, peer, transition, evidence, .. } = change;
    let mut line = format!(
        "{}  {peer}  {:<7}  {:>9} -> {:<9}  {}",
        time(*unix),
        transition.direction,
        transition.from,
        transition.to,
        transition.cause,
    );
    if let Some(ratio) = evidence.loss_ratio.filter(|_| evidence.lost > 0) {
        let (lost, probes) = (evidence.lost, evidence.probes);
        line += &format!(", {lost} of {probes} lost ({})", percent(ratio));
    }
    line
}

/// The same as one object. `only_in` says which of two configs it comes from.
pub(super) fn json(change: &Change, only_in: Option<&str>) -> String {
    let Change { unix, peer, region, transition, evidence } = change;
    let mut object = json!({
        "at": time(*unix),
        "peer": peer,
        "region": region,
        "direction": transition.direction,
        "from": transition.from,
        "to": transition.to,
        "cause": transition.cause,
        "evidence": evidence,
    });
    if let Some(only_in) = only_in {
        object["only_in"] = only_in.into();
    }
    object.to_string()
}
