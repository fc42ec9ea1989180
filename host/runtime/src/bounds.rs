//! Rejects numbers of a configuration that cannot work, such as a limit of zero connections.

use std::ops::RangeInclusive;

/// The largest value of a count: counted things need memory, and counting semaphores have a maximum.
pub const COUNT_MAX: u64 = 1 << 20;

/// A number that is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct OutOfBounds {
    /// The key of the number.
    pub key: &'static str,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

/// Returns an error for each of `numbers` that is outside `range`.
pub fn check(
    range: RangeInclusive<u64>,
    numbers: impl IntoIterator<Item = (&'static str, u64)>,
) -> impl Iterator<Item = OutOfBounds> {
    let (least, most) = (*range.start(), *range.end());
    let needed = move |value| match () {
        () if value < least => format!("is {value}, and must be at least {least}"),
        () => format!("is {value}, and must be at most {most}"),
    };
    let bad = numbers.into_iter().filter(move |(_, value)| !range.contains(value));
    bad.map(move |(key, value)| OutOfBounds { key, reason: needed(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_either_end_are_named() {
        let bad: Vec<_> = check(1..=9, [("a", 0), ("b", 1), ("c", 9), ("d", 10)]).map(|bad| bad.to_string()).collect();
        assert_eq!(bad, ["a: is 0, and must be at least 1", "d: is 10, and must be at most 9"]);
    }
}
