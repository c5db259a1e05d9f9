//! What was measured, as a document and as text.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    client::units::{percent, round_trip},
    report::{Probes, Quantiles},
};

/// What one session measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Probes that left this host.
    pub sent: u64,
    /// Probes that were answered before their timeout.
    pub answered: u64,
    /// Probes lost on the way to the reflector.
    pub lost_forward: u64,
    /// Probes whose reply was lost on the way back.
    pub lost_reverse: u64,
    /// Probes that were lost, and nothing tells where.
    pub lost_unknown: u64,
    /// Further replies to a probe that was answered already.
    pub duplicates: u64,
    /// Replies behind the reply to a later probe.
    pub reordered: u64,
    /// Round trips of all answers, less the reflector's residence; `null` without an answer.
    pub rtt_us: Option<Quantiles>,
    /// One-way delays to the reflector (T2 - T1). The distance of the two clocks is in them.
    pub forward_us: Option<Quantiles>,
    /// One-way delays back: round trip less forward delay.
    pub reverse_us: Option<Quantiles>,
    /// By how much the one-way delays may be wrong: the Error Estimates of both clocks; `null` where one
    /// of the clocks is not synchronised.
    pub clock_error_us: Option<f64>,
    /// Routers on the way to the reflector.
    pub hops: Option<u8>,
    /// Probes that were due, but never left this host.
    pub not_sent: u64,
    /// What measured: "xdp" or "socket".
    pub datapath: &'static str,
    /// How it did: the mode of XDP and the interface, or why it was not XDP.
    pub datapath_detail: String,
    /// Whether the reflector may be a stateless one that was taken for a stateful one.
    #[serde(skip)]
    pub may_be_stateless: bool,
    /// Whether T1 and T2 count seconds in the same way.
    #[serde(skip)]
    pub same_format: bool,
}

impl Summary {
    /// All that were lost, wherever.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost_forward + self.lost_reverse + self.lost_unknown
    }

    /// As people read it, several lines.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let lost = match self.lost() {
            0 => "0 lost".to_owned(),
            lost => format!(
                "{lost} lost ({}): {} forward, {} reverse, {} unknown",
                percent(lost as f64 / self.sent.max(1) as f64),
                self.lost_forward,
                self.lost_reverse,
                self.lost_unknown
            ),
        };
        writeln!(text, "{} sent, {} answered, {lost}", self.sent, self.answered)?;
        write!(text, "{} duplicates, {} reordered", self.duplicates, self.reordered)?;
        match self.not_sent {
            0 => writeln!(text)?,
            not_sent => writeln!(text, ", {not_sent} not sent by this host")?,
        }
        for (name, quantiles) in [
            ("round trip", &self.rtt_us),
            ("forward", &self.forward_us),
            ("reverse", &self.reverse_us),
        ] {
            let Some(Quantiles { min, p50, p99, max }) = quantiles else { continue };
            let [min, p50, p99, max] = [min, p50, p99, max].map(|micros| time(*micros));
            writeln!(text, "{name:<11} min {min}  p50 {p50}  p99 {p99}  max {max}")?;
        }
        if self.rtt_us.is_some() {
            self.write_clocks(text)?;
        }
        if let Some(hops) = self.hops {
            let plural = if hops == 1 { "" } else { "s" };
            writeln!(text, "{hops} hop{plural} to the reflector")?;
        }
        if self.may_be_stateless && self.lost_reverse > 0 {
            writeln!(
                text,
                "every reply had the number of its probe: if the reflector is stateless, nothing tells \
                 where probes were lost (--stateless)"
            )?;
        }
        // Why it was not XDP stands in the header line.
        let detail = if self.datapath == "xdp" { &self.datapath_detail } else { "" };
        writeln!(text, "measured by {}", datapath(self.datapath, detail))
    }

    fn write_clocks(&self, text: &mut String) -> std::fmt::Result {
        if !self.same_format {
            writeln!(
                text,
                "forward and reverse are off by the distance of TAI from UTC: only one of the two \
                 clocks uses PTP timestamps (--ptp)"
            )?;
        }
        match self.clock_error_us {
            Some(error) => writeln!(text, "clock error ± {} in forward and reverse", time(error)),
            None => writeln!(
                text,
                "clock error unknown in forward and reverse: not both clocks are synchronised"
            ),
        }
    }
}

/// What measures, and how.
pub(super) fn datapath(label: &str, detail: &str) -> String {
    if detail.is_empty() { label.to_owned() } else { format!("{label} ({detail})") }
}

/// A time in microseconds that may be negative.
fn time(micros: f64) -> String {
    if micros < 0.0 { format!("-{}", round_trip(-micros)) } else { round_trip(micros) }
}

/// The document of `--json`: the summary of the only session, or of that of XDP with that of sockets
/// beside it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Document {
    /// The summary.
    #[serde(flatten)]
    pub summary: Summary,
    /// The reflector's address and port.
    pub target: String,
    /// The same from sockets, where both were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<Summary>,
    /// What the host adds to the round trip, where both were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_us: Option<Host>,
}

/// What this host's network stack and scheduler add to round trips, in microseconds: the quantile that
/// sockets see less the one that XDP sees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Host {
    /// Difference of the medians.
    pub p50: f64,
    /// Difference of the 99th percentiles.
    pub p99: f64,
}

impl Host {
    /// What is between two measurements of the same way.
    #[must_use]
    pub fn between(xdp: &Summary, socket: &Summary) -> Option<Self> {
        let (xdp, socket) = (xdp.rtt_us?, socket.rtt_us?);
        Some(Self { p50: socket.p50 - xdp.p50, p99: socket.p99 - xdp.p99 })
    }
}

impl Document {
    /// Whether any probe was answered.
    #[must_use]
    pub fn has_answers(&self) -> bool {
        let others = self.socket.as_ref().map_or(0, |socket| socket.answered);
        self.summary.answered + others > 0
    }

    /// As people read it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.summary.text();
        if let Some(socket) = &self.socket {
            text = format!("{text}\n{}", socket.text());
        }
        if let Some(Host { p50, p99 }) = self.host_us {
            let (p50, p99) = (time(p50), time(p99));
            text += &format!("\nthis host adds to the round trip: p50 {p50}, p99 {p99}\n");
        }
        text
    }
}

/// The line that shows how it goes, at most 78 columns in all but extreme cases.
#[must_use]
pub fn live_line(probes: &Probes, rtt_us: Option<&Quantiles>, last: Option<u32>) -> String {
    let Probes { sent, answered, lost_forward, lost_reverse, lost_unknown, .. } = probes;
    let mut line = format!(
        "{sent} sent  {answered} answered  lost {lost_forward} fwd {lost_reverse} rev {lost_unknown} ?"
    );
    if let (Some(quantiles), Some(last)) = (rtt_us, last) {
        let (last, p50) = (time(f64::from(last) / 1e3), time(quantiles.p50));
        line += &format!("  rtt {last}  p50 {p50}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let quantiles =
            |p50| Some(Quantiles { min: p50 - 10.0, p50, p99: p50 + 5.0, max: 2_500.0 });
        Summary {
            sent: 1_000,
            answered: 990,
            lost_forward: 6,
            lost_reverse: 3,
            lost_unknown: 1,
            duplicates: 2,
            reordered: 4,
            rtt_us: quantiles(101.0),
            forward_us: quantiles(-50.0),
            reverse_us: quantiles(151.0),
            clock_error_us: Some(1_234.0),
            hops: Some(1),
            not_sent: 0,
            datapath: "xdp",
            datapath_detail: "native on eth0".to_owned(),
            may_be_stateless: false,
            same_format: true,
        }
    }

    #[test]
    fn as_people_read_it() {
        assert_eq!(
            summary().text(),
            "1000 sent, 990 answered, 10 lost (1.0 %): 6 forward, 3 reverse, 1 unknown\n\
             2 duplicates, 4 reordered\n\
             round trip  min 91.0 µs  p50 101 µs  p99 106 µs  max 2.50 ms\n\
             forward     min -60.0 µs  p50 -50.0 µs  p99 -45.0 µs  max 2.50 ms\n\
             reverse     min 141 µs  p50 151 µs  p99 156 µs  max 2.50 ms\n\
             clock error ± 1.23 ms in forward and reverse\n\
             1 hop to the reflector\n\
             measured by xdp (native on eth0)\n"
        );
    }

    #[test]
    fn without_an_answer_there_are_no_times() {
        let nothing = Summary {
            answered: 0,
            lost_unknown: 991,
            rtt_us: None,
            forward_us: None,
            reverse_us: None,
            hops: None,
            not_sent: 7,
            ..summary()
        };
        assert_eq!(
            nothing.text(),
            "1000 sent, 0 answered, 1000 lost (100 %): 6 forward, 3 reverse, 991 unknown\n\
             2 duplicates, 4 reordered, 7 not sent by this host\n\
             measured by xdp (native on eth0)\n"
        );
    }

    #[test]
    fn what_is_uncertain_is_said() {
        let text = Summary {
            clock_error_us: None,
            may_be_stateless: true,
            same_format: false,
            ..summary()
        }
        .text();
        for expected in ["not both clocks are synchronised", "--stateless", "TAI"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }

    #[test]
    fn both_datapaths_and_what_is_between_them() {
        let socket = Summary {
            rtt_us: Some(Quantiles { min: 100.0, p50: 121.5, p99: 206.0, max: 300.0 }),
            datapath: "socket",
            ..summary()
        };
        let host_us = Host::between(&summary(), &socket);
        assert_eq!(host_us, Some(Host { p50: 20.5, p99: 100.0 }));
        let target = "192.0.2.1:862".to_owned();
        let document = Document { summary: summary(), target, socket: Some(socket), host_us };
        let last = document.text();
        let last = last.lines().last().unwrap();
        assert_eq!(last, "this host adds to the round trip: p50 20.5 µs, p99 100 µs");
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!(json["datapath"], "xdp");
        assert_eq!((&json["socket"]["datapath"], &json["sent"]), (&"socket".into(), &1_000.into()));
    }

    #[test]
    fn the_live_line_fits_a_terminal() {
        let probes =
            Probes { sent: 86_400, answered: 86_399, lost_forward: 1, ..Probes::default() };
        let line = live_line(&probes, summary().rtt_us.as_ref(), Some(99_400));
        assert_eq!(
            line,
            "86400 sent  86399 answered  lost 1 fwd 0 rev 0 ?  rtt 99.4 µs  p50 101 µs"
        );
        assert_eq!(
            live_line(&Probes::default(), None, None),
            "0 sent  0 answered  lost 0 fwd 0 rev 0 ?"
        );
    }
}
