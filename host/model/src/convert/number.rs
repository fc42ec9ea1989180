//! Numbers before they are converted to a feature's type.

/// From here on, doubles cannot represent every integer: 2^53.
const DOUBLE_EXACT_END: f64 = 9_007_199_254_740_992.0;

/// A number as it arrived: an exact integer, or a double.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Whole(i128),
    Real(f64),
}

impl Number {
    /// Parses a number from text or from a decimal's digits; also `NaN`, `Infinity` and
    /// `-Infinity`. Returns `None` for other text, and for digits that exceed a double's range.
    pub(super) fn from_digits(text: &str) -> Option<Self> {
        let text = text.trim();
        let whole = text.split_once('.').map_or(text, |(whole, fraction)| {
            // "5.00" is exactly 5, even where a double would not be.
            if !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0') { whole } else { text }
        });
        if let Ok(value) = whole.parse() {
            return Some(Self::Whole(value));
        }
        let real: f64 = text.parse().ok()?;
        let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        if digits.bytes().all(|digit| digit.is_ascii_digit()) && real.to_string() != whole {
            // An integer that exceeds 128 bits and that no double is written as.
            return None;
        }
        let named = !text.bytes().any(|byte| byte.is_ascii_digit());
        (named || real.is_finite()).then_some(Self::Real(real))
    }

    /// Returns whether the number marks a missing value, as in pandas.
    pub(super) fn is_missing(self) -> bool {
        matches!(self, Self::Real(value) if value.is_nan())
    }

    /// Returns the integer, if it is certain which one was meant.
    pub(super) fn integer(self) -> Result<i128, super::Why> {
        match self {
            Self::Whole(value) => Ok(value),
            Self::Real(value) if value.fract() != 0.0 || !value.is_finite() => Err(super::Why::NotWhole),
            Self::Real(value) if value.abs() >= DOUBLE_EXACT_END => Err(super::Why::NotExact),
            Self::Real(value) => Ok(value as i128),
        }
    }

    /// Returns the nearest double. An integer must survive: either exactly, or as the digits with
    /// which the double is written.
    pub(super) fn double(self) -> Result<f64, super::Why> {
        match self {
            Self::Whole(value) => {
                let double = value as f64;
                let holds = double as i128 == value || double.to_string() == value.to_string();
                if holds { Ok(double) } else { Err(super::Why::NotExact) }
            }
            Self::Real(value) => Ok(value),
        }
    }

    /// Returns the nearest float. An integer must survive, as in [`Self::double`].
    pub(super) fn float(self) -> Result<f32, super::Why> {
        match self {
            Self::Whole(value) => {
                let float = value as f32;
                let holds = float as i128 == value || float.to_string() == value.to_string();
                if holds { Ok(float) } else { Err(super::Why::NotExact) }
            }
            Self::Real(value) => {
                let float = value as f32;
                if float.is_finite() || !value.is_finite() { Ok(float) } else { Err(super::Why::Range) }
            }
        }
    }
}
