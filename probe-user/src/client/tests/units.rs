use super::super::units::{age, percent, round_trip, span};

#[test]
fn percentages_never_hide_a_loss_or_a_survivor() {
    let cases = [
        (0.0, "0 %"),
        (0.0001, "<0.1 %"),
        (1.0 / 128.0, "0.8 %"),
        (0.0994, "9.9 %"),
        (0.0999, "10 %"),
        (0.3125, "31 %"),
        (0.989, "99 %"),
        (0.99, "99.0 %"),
        (0.9912, "99.1 %"),
        (0.9994, "99.9 %"),
        (0.9999, ">99.9 %"),
        (1.0, "100 %"),
    ];
    for (ratio, text) in cases {
        assert_eq!(percent(ratio), text, "{ratio}");
    }
}

#[test]
fn spans_have_their_two_greatest_units() {
    let cases = [
        (-1.0, "0 s"),
        (0.0, "0 s"),
        (3.99, "3 s"),
        (59.9, "59 s"),
        (60.0, "1 min"),
        (125.0, "2 min 5 s"),
        (3600.0, "1 h"),
        (3659.0, "1 h"),
        (7530.0, "2 h 5 min"),
        (90_000.0, "1 d 1 h"),
        (f64::NAN, "0 s"),
    ];
    for (seconds, text) in cases {
        assert_eq!(span(seconds), text, "{seconds}");
    }
}

#[test]
fn round_trips_have_three_digits() {
    let cases = [
        (0.0, "0.00 µs"),
        (8.25, "8.25 µs"),
        (85.04, "85.0 µs"),
        (812.4, "812 µs"),
        (999.6, "1.00 ms"),
        (1234.5, "1.23 ms"),
        (23_456.0, "23.5 ms"),
        (123_456.0, "123 ms"),
        (1_500_000.0, "1.50 s"),
    ];
    for (microseconds, text) in cases {
        assert_eq!(round_trip(microseconds), text, "{microseconds}");
    }
}

#[test]
fn ages_have_a_decimal_while_they_are_young() {
    for (seconds, text) in
        [(0.04, "0.0 s"), (2.875, "2.9 s"), (59.96, "59 s"), (125.0, "2 min 5 s")]
    {
        assert_eq!(age(seconds), text, "{seconds}");
    }
}
