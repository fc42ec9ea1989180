//! Event timestamps.

use crate::instant::{Instant, InvalidInstant};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The time of the event that a row describes, in nanoseconds since 1970, UTC. Written as RFC 3339
/// with 0, 3, 6 or 9 fraction digits, like the timestamps in protobuf's JSON that Feast sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventTime(pub i64);

/// Why a text is not an event timestamp.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEventTime {
    /// The text is not a timestamp at all.
    #[error(transparent)]
    Text(#[from] InvalidInstant),
    /// The timestamp does not fit 64 bits of nanoseconds since 1970.
    #[error("event timestamp {0} is outside the years 1678 to 2261")]
    Range(Instant),
}

impl EventTime {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: EventTime = EventTime(0);

    /// Converts from milliseconds since 1970; saturates at the ends of the range (years 1677 and
    /// 2262).
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// Returns whole milliseconds since 1970, rounded down.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Appends the RFC 3339 text. Written by hand for speed, because a read formats one per row.
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        let seconds = self.0.div_euclid(1_000_000_000);
        let nanos = self.0.rem_euclid(1_000_000_000) as u32;
        let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u32);
        let (year, month, day) = civil_from_days(days);
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        two_digits(&mut text[0..2], year / 100);
        two_digits(&mut text[2..4], year % 100);
        two_digits(&mut text[5..7], month);
        two_digits(&mut text[8..10], day);
        two_digits(&mut text[11..13], second_of_day / 3_600);
        two_digits(&mut text[14..16], second_of_day / 60 % 60);
        two_digits(&mut text[17..19], second_of_day % 60);
        let digits = match nanos {
            0 => {
                out.extend_from_slice(&text[..19]);
                out.push(b'Z');
                return;
            }
            n if n % 1_000_000 == 0 => 3,
            n if n % 1_000 == 0 => 6,
            _ => 9,
        };
        let mut rest = nanos;
        for at in (20..29).rev() {
            text[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&text[..20 + digits]);
        out.push(b'Z');
    }
}

fn two_digits(out: &mut [u8], number: u32) {
    out[0] = b'0' + (number / 10 % 10) as u8;
    out[1] = b'0' + (number % 10) as u8;
}

/// Converts days since 1970 to (year, month, day). From Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms".
fn civil_from_days(days: i64) -> (u32, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097) as u32;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + i64::from(year_of_era) + i64::from(month <= 2);
    (year as u32, month, day)
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(30);
        self.write_rfc3339(&mut text);
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl FromStr for EventTime {
    type Err = InvalidEventTime;

    /// Parses RFC 3339, and ISO 8601 with `T` or a space. Text without an offset is UTC.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Instant>()?.try_into()
    }
}

impl TryFrom<Instant> for EventTime {
    type Error = InvalidEventTime;

    fn try_from(instant: Instant) -> Result<Self, InvalidEventTime> {
        instant.as_nanos().map(Self).ok_or(InvalidEventTime::Range(instant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fraction_digits_are_0_3_6_or_9() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-01-01T23:00:00Z",
            "2001-06-30T23:59:59.100Z",
            "2024-02-29T12:00:00.000001Z",
            "1969-12-31T23:59:59.999999999Z",
        ] {
            assert_eq!(text.parse::<EventTime>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn text_without_an_offset_is_utc_and_offsets_are_applied() {
        let utc: EventTime = "2026-01-01T23:00:00Z".parse().unwrap();
        for same in
            ["2026-01-01T23:00:00", "2026-01-01 23:00:00", "2026-01-02T01:00:00+02:00", "2026-01-01T23:00:00.000000"]
        {
            assert_eq!(same.parse::<EventTime>().unwrap(), utc, "{same}");
        }
        for bad in ["", "yesterday", "2026-13-01T00:00:00Z", "9999-01-01T00:00:00Z"] {
            assert!(bad.parse::<EventTime>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn written_text_parses_to_the_same_time(nanos in -8_000_000_000_000_000_000i64..i64::MAX) {
            let time = EventTime(nanos);
            prop_assert_eq!(time.to_string().parse::<EventTime>().unwrap(), time);
        }
    }
}
