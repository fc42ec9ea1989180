//! Timestamps as they arrive in text and columns.

use std::{fmt, str::FromStr};

const SECONDS_PER_DAY: i64 = 86_400;

/// A point in time: whole seconds since 1970, rounded down, plus nanoseconds. Its range extends
/// far beyond that of [`EventTime`](crate::event_time::EventTime), whose nanoseconds end in 2262.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Seconds since 1970, UTC.
    pub seconds: i64,
    /// Nanoseconds within the second, below 1,000,000,000.
    pub nanos: u32,
}

/// Why a text is not a timestamp.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' {why}")]
pub struct InvalidInstant {
    text: String,
    pub(crate) why: &'static str,
}

const NO_TIMESTAMP: &str = "is not a timestamp: use RFC 3339 with the years 0000 to 9999 and at most nine fraction \
                            digits, for example 2026-01-31T23:59:59.123Z (no offset means UTC)";
const NAMED_ZONE: &str = "names a time zone in brackets, which is not supported: write only the offset, for example \
                          2026-01-31T23:59:59+09:00";
const LEAP_SECOND: &str = "is a leap second, which has no Unix time: write the second before or after it";

impl Instant {
    /// Converts from a clock with `per_second` ticks per second, which must divide 1,000,000,000.
    #[must_use]
    pub const fn from_ticks(ticks: i64, per_second: i64) -> Self {
        let nanos = ticks.rem_euclid(per_second) * (1_000_000_000 / per_second);
        Self { seconds: ticks.div_euclid(per_second), nanos: nanos as u32 }
    }

    /// Returns the start of a day, counted from 1970-01-01.
    #[must_use]
    pub const fn from_days(days: i64) -> Self {
        Self { seconds: days.saturating_mul(SECONDS_PER_DAY), nanos: 0 }
    }

    /// Returns nanoseconds since 1970; `None` outside the years 1677 to 2262.
    #[must_use]
    pub fn as_nanos(self) -> Option<i64> {
        // In 128 bits, because the seconds alone may underflow when the sum does not.
        i64::try_from(i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos)).ok()
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nanos {
            0 => write!(f, "{} s since 1970", self.seconds),
            nanos => write!(f, "{} s and {nanos} ns since 1970", self.seconds),
        }
    }
}

impl FromStr for Instant {
    type Err = InvalidInstant;

    /// Parses RFC 3339, and ISO 8601 with `T` or a space. Text without an offset is UTC.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |why| InvalidInstant { text: text.chars().take(64).collect(), why };
        let text = text.trim();
        if text.contains('[') {
            return Err(invalid(NAMED_ZONE));
        }
        let pieces = jiff::fmt::temporal::Pieces::parse(text).map_err(|_| invalid(NO_TIMESTAMP))?;
        let (date, time) = (pieces.date(), pieces.time().unwrap_or(jiff::civil::Time::midnight()));
        let offset = i64::from(pieces.to_numeric_offset().map_or(0, |offset| offset.seconds()));
        if date.year() < 0 || offset.abs() >= SECONDS_PER_DAY {
            return Err(invalid(NO_TIMESTAMP));
        }
        // The parser accepts second 60 as 59.
        if time.second() == 59 && names_second_60(text) {
            return Err(invalid(LEAP_SECOND));
        }
        let second_of_day = i64::from(time.hour()) * 3_600 + i64::from(time.minute()) * 60 + i64::from(time.second());
        let seconds = days_from_civil(date) * SECONDS_PER_DAY + second_of_day - offset;
        Ok(Self { seconds, nanos: time.subsec_nanosecond().unsigned_abs() })
    }
}

/// Returns the days from 1970-01-01 to a date of the proleptic Gregorian calendar.
fn days_from_civil(date: jiff::civil::Date) -> i64 {
    // From Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". The library's own
    // timestamps end in 9999.
    let (year, month, day) = (i64::from(date.year()), i64::from(date.month()), i64::from(date.day()));
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Returns whether the seconds of a valid text are 60: the third pair of digits after the date.
fn names_second_60(text: &str) -> bool {
    let Some(at) = text.find(['T', 't', ' ']) else { return false };
    let digits = text[at + 1..].bytes().filter(|byte| *byte != b':').take(6);
    digits.skip(4).eq(*b"60")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(text: &str) -> i64 {
        let instant: Instant = text.parse().unwrap_or_else(|error| panic!("{error}"));
        instant.seconds
    }

    #[test]
    fn four_digit_years_are_accepted_with_every_offset() {
        for (text, expected) in [
            ("9999-12-31T00:00:00Z", 253_402_214_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("9999-12-31T23:59:59-23:59", 253_402_387_139),
            ("0000-01-01T00:00:00Z", -62_167_219_200),
            ("0001-01-01 00:00:00+14:00", -62_135_647_200),
            ("1677-01-01T00:00:00Z", -9_246_096_000),
            ("2024-01-01T10:00:00+09:00", 1_704_070_800),
            ("2024-01-01t10:00:00z", 1_704_103_200),
            ("2024-01-01 10:00", 1_704_103_200),
            ("2024-02-29", 1_709_164_800),
            (" 2024-01-01T10:00:00.9999999Z ", 1_704_103_200),
            ("1969-12-31T23:59:59.5Z", -1),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
        let half: Instant = "1969-12-31T23:59:59.5Z".parse().unwrap();
        assert_eq!((half.nanos, half.as_nanos()), (500_000_000, Some(-500_000_000)));
    }

    #[test]
    fn ambiguous_and_lossy_text_is_rejected_with_the_reason() {
        for (text, why) in [
            ("2024-01-01T10:00[Asia/Tokyo]", "brackets"),
            ("2024-01-01T10:00+09:00[Asia/Tokyo]", "brackets"),
            ("2024-01-01T10:00Z[nonsense]", "brackets"),
            ("2016-12-31T23:59:60Z", "leap second"),
            ("20161231T235960Z", "leap second"),
            ("2016-12-31 23:59:60", "leap second"),
            ("-000001-01-01T00:00:00Z", "RFC 3339"),
            ("+010000-01-01T00:00:00Z", "RFC 3339"),
            ("10000-01-01T00:00:00Z", "RFC 3339"),
            ("2024-01-01T10:00:00.1234567890Z", "nine fraction digits"),
            ("2024-01-01T10:00:00+24:00", "RFC 3339"),
            ("2023-02-29T00:00:00Z", "RFC 3339"),
            ("2024-01-01T24:00:00Z", "RFC 3339"),
            ("2024-01-01T10:00:00 UTC", "RFC 3339"),
            ("soon", "RFC 3339"),
            ("", "RFC 3339"),
        ] {
            let error = text.parse::<Instant>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert_eq!(seconds("2016-12-31T23:59:59.60Z"), 1_483_228_799, "a fraction of 60 is not second 60");
        assert_eq!(seconds("2016-12-31T23:59:59+00:00"), 1_483_228_799);
    }

    #[test]
    fn ticks_and_days_are_rounded_down() {
        assert_eq!(Instant::from_ticks(-1, 1_000), Instant { seconds: -1, nanos: 999_000_000 });
        assert_eq!(Instant::from_ticks(i64::MIN, 1_000_000_000).as_nanos(), Some(i64::MIN));
        assert_eq!(Instant::from_ticks(i64::MAX, 1).as_nanos(), None);
        assert_eq!(Instant::from_days(-1).seconds, -86_400);
    }

    proptest! {
        #[test]
        fn text_in_the_range_of_event_times_parses_to_the_same_time(nanos in any::<i64>()) {
            let text = crate::event_time::EventTime(nanos).to_string();
            let instant: Instant = text.parse().unwrap();
            prop_assert_eq!(instant.as_nanos(), Some(nanos));
        }
    }
}
