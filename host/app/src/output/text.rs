//! Numbers as people read them.

use std::time::Duration;

/// A count with thousands apart: `16,505`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes: `3.4 MB`.
pub fn bytes(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1_000.0 {
            break;
        }
        (value, unit) = (value / 1_000.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// A span of time with the unit that suits it: `840 us`, `2.31 ms`, `3.4 s`.
pub fn span(span: Duration) -> String {
    let us = span.as_micros();
    match us {
        0..1_000 => format!("{us} us"),
        1_000..100_000 => format!("{:.2} ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{:.1} s", span.as_secs_f64()),
    }
}

/// Reads a span of time as `250ms`, `2s`, `5m` or `1h`.
///
/// # Errors
/// A text that says what is allowed.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(format!("'{text}' is not a time: write a number and its unit, as 250ms, 2s, 5m or 1h")),
    };
    let number: f64 = number.parse().map_err(|_| format!("'{number}' is not a number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| format!("'{text}' is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        assert_eq!(parse_span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_span("1.5s"), Ok(Duration::from_millis(1_500)));
        for bad in ["5", "ms", "-1s", "1 day"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(7), count(1_000), count(16_505)], ["7", "1,000", "16,505"]);
        assert_eq!([bytes(999), bytes(3_400_000)], ["999 B", "3.4 MB"]);
        assert_eq!(span(Duration::from_micros(840)), "840 us");
        assert_eq!(span(Duration::from_micros(2_310)), "2.31 ms");
        assert_eq!(span(Duration::from_millis(3_400)), "3.4 s");
    }
}
