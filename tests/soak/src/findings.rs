//! What was found to be wrong, gathered from all threads.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Kinds of findings that are kept: a fault that shows in every answer is told once, with its count.
const KINDS_MAX: usize = 50;

/// Findings by kind: the first one's words, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Findings(Mutex<BTreeMap<&'static str, (String, u64)>>);

impl Findings {
    /// Something is wrong.
    pub(crate) fn add(&self, kind: &'static str, what: impl FnOnce() -> String) {
        let mut kinds = self.locked();
        if let Some((_, count)) = kinds.get_mut(kind) {
            *count += 1;
        } else if kinds.len() < KINDS_MAX {
            kinds.insert(kind, (what(), 1));
        }
    }

    /// As lines.
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
