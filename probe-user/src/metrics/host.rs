//! What is measured of this host: reflector, kernel programs, agent, hooks.

use probe_ebpf::maps::{Counter, Fate};
use prometheus::proto::{MetricFamily, MetricType};

use super::Interface;
use super::family::{counter, family, gauge, histogram};
use crate::{
    account::rtt::{BOUNDS, Histogram},
    hooks::Runs,
};

/// What the Session-Reflector did with requests: `reflected` in the kernel; `deferred` to the userspace
/// reflector, which answered; `dropped`, with the reasons in
/// `linkprobe_dropped_packets_total`; `passed` on, since they were for another host.
///
/// Checksums and HMACs fail for requests and replies under the same reason, so those packets have only that.
pub(super) fn reflector_packets(counters: &[(Counter, u64)]) -> MetricFamily {
    let actions = ["reflected", "deferred", "dropped", "passed"];
    let sum = |action| {
        let counted = |(counter, _): &&(Counter, u64)| reflector_action(*counter) == Some(action);
        counters.iter().filter(counted).map(|(_, packets)| packets).sum()
    };
    family(
        "linkprobe_reflector_packets_total",
        "Requests to the Session-Reflector, by what it did with them",
        MetricType::COUNTER,
        actions.map(|action| counter(&[("action", action)], sum(action))),
    )
}

const fn reflector_action(counter: Counter) -> Option<&'static str> {
    match counter {
        Counter::Reflected => Some("reflected"),
        Counter::Deferred => Some("deferred"),
        Counter::TooShort
        | Counter::ReflectorLoop
        | Counter::TableFull
        | Counter::NotAllowed
        | Counter::RateLimited
        | Counter::NotDeferred => Some("dropped"),
        Counter::NotLocal => Some("passed"),
        _ => None,
    }
}

/// How many were counted so.
fn packets(counters: &[(Counter, u64)], which: Counter) -> u64 {
    counters.iter().filter(|(counter, _)| *counter == which).map(|(_, packets)| packets).sum()
}

/// Our own test packets that left, by how: through the network `stack`, which chooses the way, or as it has chosen a moment
/// before, straight to the interface's `driver`.
pub(super) fn sender_packets(counters: &[(Counter, u64)]) -> MetricFamily {
    let ways = [("stack", Counter::Stamped), ("driver", Counter::Transmitted)];
    family(
        "linkprobe_sender_packets_total",
        "Test packets of the Session-Sender that left, through the network stack or straight to the driver",
        MetricType::COUNTER,
        ways.map(|(way, which)| counter(&[("way", way)], packets(counters, which))),
    )
}

/// Packets that were meant for us and refused, by reason; every reason is there
/// from the start.
pub(super) fn dropped_packets(counters: &[(Counter, u64)]) -> MetricFamily {
    let reasons = Counter::ALL.iter().filter(|reason| reason.fate() == Fate::Dropped);
    family(
        "linkprobe_dropped_packets_total",
        "Test packets that were refused, by reason",
        MetricType::COUNTER,
        reasons.map(|reason| counter(&[("reason", reason.label())], packets(counters, *reason))),
    )
}

/// What moves the probes of each interface; always 1.
pub(super) fn datapath_info(interfaces: &[Interface]) -> MetricFamily {
    let sample = |interface: &Interface| {
        gauge(&[("interface", interface.name.as_str()), ("mode", interface.mode.as_str())], 1.0)
    };
    family(
        "linkprobe_datapath_info",
        "What moves the probes of an interface: XDP (native or generic), or sockets",
        MetricType::GAUGE,
        interfaces.iter().map(sample),
    )
}

/// How late in seconds the rounds began in which all paths are judged. It adds to the time of detection.
pub(super) fn tick_lateness(lateness: &Histogram) -> MetricFamily {
    family(
        "linkprobe_tick_lateness_seconds",
        "How late the rounds began in which all paths are judged",
        MetricType::HISTOGRAM,
        [histogram(&[], &BOUNDS, &lateness.counts, lateness.sum / 1e9)],
    )
}

/// 1 if the last reload of the config was accepted or there was none, else 0.
pub(super) fn config_last_reload_successful(successful: bool) -> MetricFamily {
    family(
        "linkprobe_config_last_reload_successful",
        "Whether the last reload of the config was accepted",
        MetricType::GAUGE,
        [gauge(&[], f64::from(u8::from(successful)))],
    )
}

/// The version of the agent; always 1.
pub(super) fn build_info() -> MetricFamily {
    family(
        "linkprobe_build_info",
        "Version of this agent",
        MetricType::GAUGE,
        [gauge(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)],
    )
}

/// Runs of hooks, by what came of them; each attempt is one.
pub(super) fn hook_runs(hooks: &[Runs]) -> MetricFamily {
    let samples = |runs: &Runs| {
        let outcomes = Runs::OUTCOMES.into_iter().zip(runs.outcomes);
        let sample = |(outcome, count)| {
            counter(&[("hook", runs.hook.as_str()), ("outcome", outcome)], count)
        };
        outcomes.map(sample).collect::<Vec<_>>()
    };
    family(
        "linkprobe_hook_runs_total",
        "Runs of hooks, by what came of them",
        MetricType::COUNTER,
        hooks.iter().flat_map(samples),
    )
}
