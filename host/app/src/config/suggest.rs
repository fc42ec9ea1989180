//! Suggestions for misspelled words.

/// How similar two words must be (Jaro-Winkler, 0 to 1) for one to be suggested in place of the other.
const ALIKE: f64 = 0.8;

/// Returns the candidate that is most similar to `word`, if one is similar enough.
pub fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_misspelled_word_gets_a_suggestion_and_nonsense_does_not() {
        let words = ["listen", "leader", "data_dir"];
        assert_eq!(super::closest("listn", words.into_iter()), Some("listen"));
        assert_eq!(super::closest("zebra", words.into_iter()), None);
    }
}
