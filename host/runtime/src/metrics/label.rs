//! Labels with a bound: a metric never has more than [`NAMES_MAX`] values of a label that clients name.

use metrics::gauge;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

/// The number of views, modules and push sources together, of projects, and of regions, that have series of their own.
const NAMES_MAX: usize = 100;

/// The label of all further ones.
const OTHER: &str = "other";

/// The views, modules and push sources that have series of their own.
static NAMES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The projects that have series of their own.
static PROJECTS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The regions that have series of their own. Peers without TLS name their region themselves.
static REGIONS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Returns the label for the stored name of a view, module or push source: the name, or `other` if too many names came
/// before it.
#[must_use]
pub fn label(name: &str) -> String {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    bounded(&mut names, name, NAMES_MAX)
}

/// Returns the label for the name of a project: the name, or `other` if too many projects came before it.
#[must_use]
pub fn project_label(name: &str) -> String {
    let mut names = PROJECTS.lock().unwrap_or_else(PoisonError::into_inner);
    bounded(&mut names, name, NAMES_MAX)
}

/// Returns the label for the name of a region: the name, or `other` if too many regions came before it.
#[must_use]
pub fn region_label(name: &str) -> String {
    let mut names = REGIONS.lock().unwrap_or_else(PoisonError::into_inner);
    bounded(&mut names, name, NAMES_MAX)
}

fn bounded(names: &mut BTreeSet<String>, name: &str, max: usize) -> String {
    if names.contains(name) {
        return name.to_owned();
    }
    if names.len() >= max {
        return OTHER.to_owned();
    }
    names.insert(name.to_owned());
    name.to_owned()
}

/// The gauges of a node's views: rows and bytes, by view and residency.
#[derive(Debug, Default)]
pub struct ViewGauges(BTreeSet<(String, String)>);

impl ViewGauges {
    /// Sets the gauges from name, residency, rows and bytes of each view. Views that were dropped have zero of both.
    pub fn set<'a>(&mut self, views: impl Iterator<Item = (&'a str, &'a str, u64, u64)>) {
        let mut sums: BTreeMap<_, (u64, u64)> = self.0.iter().map(|labels| (labels.clone(), (0, 0))).collect();
        for (name, residency, rows, bytes) in views {
            let sum = sums.entry((label(name), residency.to_owned())).or_default();
            *sum = (sum.0.saturating_add(rows), sum.1.saturating_add(bytes));
        }
        for ((view, residency), (rows, bytes)) in sums {
            let labels = [("view", view.clone()), ("residency", residency.clone())];
            gauge!("littoral_view_rows", &labels).set(rows as f64);
            gauge!("littoral_view_bytes", &labels).set(bytes as f64);
            self.0.insert((view, residency));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_share_one_label_and_earlier_ones_keep_theirs() {
        let mut names = BTreeSet::new();
        let labels: Vec<_> = ["a", "b", "c", "a", "c"].map(|name| bounded(&mut names, name, 2)).into();
        assert_eq!(labels, ["a", "b", "other", "a", "other"]);
    }
}
