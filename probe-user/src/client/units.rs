//! Numbers as people read them.

/// A share as a percentage. What is not nothing never reads as `0 %`, nor what is not all as `100 %`.
pub(crate) fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if percent <= 0.0 {
        "0 %".to_owned()
    } else if percent < 0.1 {
        "<0.1 %".to_owned()
    } else if percent < 9.95 || (98.95..99.95).contains(&percent) {
        format!("{percent:.1} %")
    } else if (99.95..100.0).contains(&percent) {
        ">99.9 %".to_owned()
    } else {
        format!("{percent:.0} %")
    }
}

/// A time span with its two greatest units, rounded down.
pub(super) fn span(seconds: f64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    // Saturates; a span is never negative unless a clock has been set back.
    let seconds = seconds as u64;
    let Some(first) = UNITS.iter().position(|(size, _)| seconds >= *size) else {
        return "0 s".to_owned();
    };
    let (size, unit) = UNITS[first];
    let mut text = format!("{} {unit}", seconds / size);
    if let Some((next_size, next_unit)) = UNITS.get(first + 1) {
        let rest = seconds % size / next_size;
        if rest > 0 {
            text += &format!(" {rest} {next_unit}");
        }
    }
    text
}

/// An age in seconds, with one decimal below a minute.
pub(super) fn age(seconds: f64) -> String {
    if seconds < 59.95 { format!("{seconds:.1} s") } else { span(seconds) }
}

/// A round-trip time, given in microseconds, with three digits.
pub(crate) fn round_trip(microseconds: f64) -> String {
    let (value, unit) = if microseconds < 999.5 {
        (microseconds, "µs")
    } else if microseconds < 999_500.0 {
        (microseconds / 1e3, "ms")
    } else {
        (microseconds / 1e6, "s")
    };
    let decimals = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.decimals$} {unit}")
}
