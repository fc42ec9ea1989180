//! The faults found by all threads.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The most kinds of findings: a fault in every answer is reported once, with its count.
const KINDS_MAX: usize = 50;

/// Findings by kind: the text of the first one, and their number.
#[derive(Debug, Default)]
pub(crate) struct Findings(Mutex<BTreeMap<&'static str, (String, u64)>>);

impl Findings {
    /// Adds a finding.
    pub(crate) fn add(&self, kind: &'static str, what: impl FnOnce() -> String) {
        let mut kinds = self.locked();
        if let Some((_, count)) = kinds.get_mut(kind) {
            *count += 1;
        } else if kinds.len() < KINDS_MAX {
            kinds.insert(kind, (what(), 1));
        }
    }

    /// Returns the findings as lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(kind, (first, count)): (&&str, &(String, u64))| match count {
            1 => format!("{kind}: {first}"),
            more => format!("{kind}, {more} times; first: {first}"),
        };
        self.locked().iter().map(line).collect()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<&'static str, (String, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
