//! Suggestions for misspelled words.

/// How similar two words must be (Jaro-Winkler, 0 to 1) for one to be suggested in place of the other.
const ALIKE: f64 = 0.8;

/// Returns the known word that is most similar to `word`, if one is similar enough.
pub fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|one| (strsim::jaro_winkler(word, one), one))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, one)| one)
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
