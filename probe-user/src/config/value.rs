//! Durations, numbers and names. Each reader says what it found, and what would be right.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

/// The longest name of a node, peer or region.
pub(super) const MAX_NAME: usize = 63;

/// What a value is, for messages.
pub(crate) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {text:?}"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => format!("the boolean {value}"),
        DeValue::Datetime(time) => format!("the date {time}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A string.
pub(crate) fn string<'v>(value: &'v DeValue<'_>, example: &str) -> Result<&'v str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("{} is not a string; write one such as {example}", describe(value)))
}

/// An integer in a range.
pub(super) fn integer<T>(value: &DeValue<'_>, range: RangeInclusive<T>) -> Result<T, String>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    let (least, most) = (range.start(), range.end());
    let right = format!("write a whole number from {least} to {most}");
    let number =
        value.as_integer().ok_or_else(|| format!("{} does not do; {right}", describe(value)))?;
    i64::from_str_radix(number.as_str(), number.radix())
        .ok()
        .and_then(|number| T::try_from(number).ok())
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("{number} is out of range; {right}"))
}

/// A number in a range, whole or not.
pub(super) fn number(value: &DeValue<'_>, range: &RangeInclusive<f64>) -> Result<f64, String> {
    let right = format!("write a number from {} to {}", range.start(), range.end());
    let number = match value {
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n as f64)
        }
        DeValue::Float(number) => number.as_str().parse().ok(),
        other => return Err(format!("{} does not do; {right}", describe(other))),
    };
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("{} is out of range; {right}", describe(value)))
}

/// A percentage with its sign, as a ratio; the range is one of ratios.
pub(super) fn percentage(value: &DeValue<'_>, range: &RangeInclusive<f64>) -> Result<f64, String> {
    let (least, most) = (100.0 * range.start(), 100.0 * range.end());
    let right = format!("write a percentage from \"{least}%\" to \"{most}%\"");
    let text = value.as_str().ok_or_else(|| format!("{} has no sign; {right}", describe(value)))?;
    let percent =
        text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let percent = percent.ok_or_else(|| format!("{text:?} is not a percentage; {right}"))?;
    Some(percent / 100.0)
        .filter(|ratio| range.contains(ratio))
        .ok_or_else(|| format!("{text} is out of range; {right}"))
}

/// A size with its unit, in octets.
pub(super) fn size(
    value: &DeValue<'_>,
    range: &RangeInclusive<u64>,
    example: &str,
) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let unlike = |found: &dyn Display| {
        format!("{found} is not a size; write a number and a unit, such as \"{example}\"")
    };
    let text = value.as_str().ok_or_else(|| unlike(&describe(value)))?;
    let parsed = UNITS.iter().find_map(|(unit, octets)| {
        let number = text.trim().strip_suffix(unit)?.trim();
        number.parse::<u64>().ok()?.checked_mul(*octets)
    });
    let octets = parsed.ok_or_else(|| unlike(&format!("{text:?}")))?;
    Some(octets).filter(|octets| range.contains(octets)).ok_or_else(|| {
        let (least, most) = (range.start() >> 20, range.end() >> 20);
        format!("{text} is out of range; write a size from {least}MiB to {most}MiB")
    })
}

/// A boolean.
pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{} does not do; write true or false", describe(value)))
}

/// One of some words.
pub(super) fn word<T: Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| value.as_str() == Some(word));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        format!("{} does not do; write {}", describe(value), words.join(" or "))
    })
}

/// A duration with its unit.
pub(super) fn duration(
    value: &DeValue<'_>,
    range: RangeInclusive<Duration>,
    example: &str,
) -> Result<Duration, String> {
    let unit = |number: &dyn Display| {
        format!("{number} has no unit; write a duration with one, such as \"{example}\"")
    };
    let text = match value {
        DeValue::Integer(number) => return Err(unit(number)),
        DeValue::String(text) if is_digits(text) => return Err(unit(text)),
        DeValue::String(text) => text,
        other => {
            let found = describe(other);
            return Err(format!("{found} is not a duration; write one such as \"{example}\""));
        }
    };
    let duration = humantime::parse_duration(text).map_err(|_| {
        format!("{text:?} is not a duration; write a number and a unit, such as \"{example}\"")
    })?;
    if range.contains(&duration) {
        return Ok(duration);
    }
    let (least, most) = (readable(*range.start()), readable(*range.end()));
    Err(format!("{text} is out of range; write a duration from {least} to {most}"))
}

/// A duration as one would write it in the config.
pub(super) fn readable(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The name of a node, peer or region. It becomes part of URLs, labels and command lines, so it is
/// made of characters that need no quoting in any of them.
pub(crate) fn name(value: &DeValue<'_>) -> Result<String, String> {
    let name = string(value, "\"ams1\"")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() {
        return Err("is empty; write a name such as \"ams1\"".to_owned());
    }
    if name.len() > MAX_NAME {
        return Err(format!("{name:?} is too long; a name has at most {MAX_NAME} characters"));
    }
    if !name.chars().all(plain) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(format!(
            "{name:?} is not a name; write letters, digits, \"-\", \"_\" and \".\", \
             with a letter or digit in front"
        ));
    }
    Ok(name.to_owned())
}

/// The name of a network interface, as the kernel accepts it (`dev_valid_name`).
pub(super) fn interface(value: &DeValue<'_>) -> Result<String, String> {
    let name = string(value, "\"eth0\"")?;
    let forbidden = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name == "." || name == ".." || name.contains(forbidden) {
        return Err(format!(
            "{name:?} cannot be the name of an interface; write one such as \"eth0\" \
             (`ip link` lists them)"
        ));
    }
    if name.len() > 15 {
        let length = name.len();
        return Err(format!(
            "{name:?} has {length} bytes, but the name of an interface has at most 15 \
             (`ip link` lists them)"
        ));
    }
    Ok(name.to_owned())
}

/// Names of code points (RFC 2474, 2597, 3246, 5865, 8622).
const CODE_POINTS: &[(&str, u8)] = &[
    ("default", 0),
    ("le", 1),
    ("cs0", 0),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("voice-admit", 44),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

/// The number of a differentiated services code point, by its name: "ef".
#[must_use]
pub fn code_point(name: &str) -> Option<u8> {
    let is_it = |(known, number): &(&str, u8)| known.eq_ignore_ascii_case(name).then_some(*number);
    CODE_POINTS.iter().find_map(is_it)
}

/// A differentiated services code point: a number or a name.
pub(super) fn dscp(value: &DeValue<'_>) -> Result<u8, String> {
    let number = match value {
        DeValue::String(text) => code_point(text),
        other => integer(other, 0..=63).ok(),
    };
    number.ok_or_else(|| {
        let found = describe(value);
        format!("{found} is not a DSCP; write a number from 0 to 63 or a name such as \"ef\"")
    })
}
