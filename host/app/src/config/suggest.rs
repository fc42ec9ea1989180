//! Did you mean?

/// How alike two words must be (Jaro-Winkler, 0 to 1) for one to be taken for a slip of the other.
const ALIKE: f64 = 0.8;

/// The candidate that `word` was most likely meant to be.
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
    fn a_slip_finds_its_word_and_nonsense_does_not() {
        let words = ["listen", "leader", "data_dir"];
        assert_eq!(super::closest("listn", words.into_iter()), Some("listen"));
        assert_eq!(super::closest("zebra", words.into_iter()), None);
    }
}
