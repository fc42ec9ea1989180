//! Patterns of names.

use crate::project;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A pattern of names: `*` stands for any characters, also for none. Other characters stand for themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern that every name matches.
    #[must_use]
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    /// Creates a pattern.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns whether every name matches.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0 == "*"
    }

    /// Returns the only name that matches, if the pattern stands for no other.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(&self.0)
    }

    /// Returns whether a name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        matches(&self.0, name)
    }

    /// Returns whether the stored name of a definition matches. `PROJECT/NAME` matches the project and the name
    /// separately. A pattern without a slash stands for names of the project `default`, and `*` for every name.
    #[must_use]
    pub fn matches_stored(&self, stored: &str) -> bool {
        let ((projects, names), (project, name)) = (project::split(&self.0), project::split(stored));
        self.is_any() || (matches(projects, project) && matches(names, name))
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return left.ends_with(piece);
        }
        // The first occurrence leaves the most for the later pieces.
        let Some(at) = left.find(piece) else { return false };
        left = &left[at + piece.len()..];
    }
    true
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_names_with_any_characters_in_place_of_a_star() {
        let matches = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
        for (pattern, name) in [
            ("*", "a"),
            ("*", ""),
            ("a", "a"),
            ("a*", "a"),
            ("a*", "ab"),
            ("*b", "ab"),
            ("a*c", "abc"),
            ("a*b*c", "a1b2b3c"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a", "ab"), ("a", ""), ("", "a"), ("a*", "ba"), ("*b", "ba"), ("a*a", "a"), ("a*b*c", "acb")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_stored_names_does_not_reach_into_other_projects() {
        let matches = |pattern: &str, stored: &str| Pattern::new(pattern).matches_stored(stored);
        for (pattern, stored) in [
            ("*", "a"),
            ("*", "fraud/a"),
            ("*_public", "a_public"),
            ("default/a", "a"),
            ("fraud/*", "fraud/a"),
            ("fr*/a*", "fraud/ab"),
            ("*/a", "fraud/a"),
            ("*/*", "a"),
        ] {
            assert!(matches(pattern, stored), "{pattern} {stored}");
        }
        for (pattern, stored) in
            [("*_public", "fraud/a_public"), ("f*", "fraud/a"), ("fraud/*", "a"), ("fraud/*", "other/a"), ("a*", "b/a")]
        {
            assert!(!matches(pattern, stored), "{pattern} {stored}");
        }
    }
}
