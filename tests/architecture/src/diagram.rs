//! The diagram and the table of crates in `host/ARCHITECTURE.md`.

use std::collections::{BTreeMap, BTreeSet};

/// Crates with the crates on which each depends.
pub type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Reads the diagram: the first code block under "The crates".
///
/// A line `a, b ──▶ c, d` means that `a` and `b` depend on `c` and `d`. A line `every crate but a, b ──▶ c` means that
/// all others do, except `c` itself. Several lines may have the same crate on their left.
///
/// # Panics
/// If the page has no such block, or a line in it has another form.
#[must_use]
pub fn arrows(page: &str, crates: &BTreeSet<String>) -> Arrows {
    let mut arrows: Arrows = crates.iter().map(|name| (name.clone(), BTreeSet::new())).collect();
    for line in block(page).lines().filter(|line| !line.trim().is_empty()) {
        let Some((left, right)) = line.split_once('▶') else {
            panic!("no arrow in the line '{line}' of the diagram")
        };
        let left = left.trim_end_matches('─');
        let right = names(right);
        let from = match left.trim().strip_prefix("every crate but ") {
            None => names(left),
            Some(others) => {
                let (others, known) = (names(others), crates);
                known.iter().filter(|name| !others.contains(*name) && !right.contains(*name)).cloned().collect()
            }
        };
        for name in from {
            arrows.entry(name).or_default().extend(right.iter().cloned());
        }
    }
    arrows
}

/// Reads the first column of the table of crates.
#[must_use]
pub fn described(page: &str) -> BTreeSet<String> {
    let rows = section(page).lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

fn names(list: &str) -> BTreeSet<String> {
    list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

fn section(page: &str) -> &str {
    let Some((_, section)) = page.split_once("\n## The crates\n") else {
        panic!("the page has no section 'The crates'")
    };
    section.split_once("\n## ").map_or(section, |(section, _)| section)
}

fn block(page: &str) -> &str {
    match section(page).split("```\n").nth(1) {
        Some(block) => block,
        None => panic!("the section 'The crates' has no code block"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_diagram_is_read() {
        let page = "# P\n\n## The crates\n\nText.\n\n```\n app ──▶ a, b\n a, b ▶ c\n app ─▶ d\n every crate but c, d ──▶ m\n```\n\n\
                    | crate | contents |\n|---|---|\n| `app` | all `of` it |\n\n## More\n\n| `not` | this |\n";
        let arrows = arrows(page, &set(&["a", "app", "b", "c", "d", "m"]));
        assert_eq!(arrows["app"], set(&["a", "b", "d", "m"]));
        assert_eq!(arrows["a"], set(&["c", "m"]));
        assert_eq!((&arrows["c"], &arrows["m"]), (&set(&[]), &set(&[])));
        assert_eq!(described(page), set(&["app"]));
    }
}
