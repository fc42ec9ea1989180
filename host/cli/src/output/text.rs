//! Numbers, durations and sizes as text for people.

use std::time::Duration;

/// Formats a count with separated thousands: `16,505`.
#[must_use]
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

/// Formats a number of bytes: `3.4 MB`.
#[must_use]
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

/// Formats the members of an object on one line: `airport="ATL" delay=3.5`.
#[must_use]
pub fn members(values: &serde_json::Map<String, serde_json::Value>) -> String {
    values.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// Formats a duration in a suitable unit: `840 us`, `2.31 ms`, `3.4 s`.
#[must_use]
pub fn span(span: Duration) -> String {
    let us = span.as_micros();
    match us {
        0..1_000 => format!("{us} us"),
        1_000..10_000 => format!("{:.2} ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", span.as_secs_f64()),
    }
}

/// Formats an age: `14 ms`, `3.4 s`, `5 min`, `7 h`, `12 days`, `25 years`.
#[must_use]
pub fn age(age: Duration) -> String {
    const UNITS: [(f64, &str); 4] = [(60.0, "min"), (3_600.0, "h"), (86_400.0, "days"), (31_557_600.0, "years")];
    let seconds = age.as_secs_f64();
    match UNITS.iter().rev().find(|(unit, _)| seconds >= 2.0 * unit) {
        Some((unit, name)) => format!("{:.0} {name}", seconds / unit),
        None => span(age),
    }
}

/// Formats a JSON number with at most six decimals.
#[must_use]
pub fn number(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && (1e-4..1e15).contains(&float.abs()) => {
            let text = format!("{float:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => number.to_string(),
    }
}

/// Parses a duration such as `250ms`, `2s`, `5m` or `1h`.
///
/// # Errors
/// A message with the accepted forms.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => {
            return Err(format!(
                "'{text}' is not a duration: write a number and its unit, such as 250ms, 2s, 5m or 1h"
            ));
        }
    };
    let number: f64 = number.parse().map_err(|_| format!("'{number}' is not a number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| format!("'{text}' is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_a_unit() {
        assert_eq!(parse_span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_span("1.5s"), Ok(Duration::from_millis(1_500)));
        for bad in ["5", "ms", "-1s", "1 day"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_durations_and_sizes_are_readable() {
        assert_eq!([count(7), count(1_000), count(16_505)], ["7", "1,000", "16,505"]);
        assert_eq!([bytes(999), bytes(3_400_000)], ["999 B", "3.4 MB"]);
        assert_eq!(span(Duration::from_micros(840)), "840 us");
        assert_eq!(span(Duration::from_micros(2_310)), "2.31 ms");
        assert_eq!(span(Duration::from_millis(14)), "14 ms");
        assert_eq!(span(Duration::from_millis(3_400)), "3.4 s");
        assert_eq!(age(Duration::from_secs(119)), "119.0 s");
        assert_eq!(age(Duration::from_secs(300)), "5 min");
        assert_eq!(age(Duration::from_secs(801_511_911)), "25 years");
        let shown = |float: f64| number(&serde_json::Number::from_f64(float).unwrap());
        assert_eq!([shown(-11.343283653259276), shown(2.5), shown(1e-9)], ["-11.343284", "2.5", "1e-9"]);
    }
}
